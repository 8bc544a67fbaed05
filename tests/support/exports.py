"""Segment exports of the simulator's account, without a destination."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from hauser_dlt.config.reading import read
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.exports import Bundle, Client, SegmentExports
from hauser_dlt.windows import Window

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUICK = {"backoff": "10ms", "max_retries": 3, "request_timeout": "5s", "export_timeout": "30s"}


def bundle(number=0):
    """Return the bundle of an hour."""
    return Bundle(Window(NOON + number * HOUR, NOON + (number + 1) * HOUR))


def segment_exports(sim, pause, **given):
    """Return the exports of the simulator's account.

    Args:
        pause: is told of each pause.
        given: settings.
    """
    spelled = QUICK | {"api_token": sim.token} | given
    settings = read(SourceSettings, lambda name: (spelled[name], "test") if name in spelled else None)
    return SegmentExports(Client(settings, sim.url, pause), settings, {})


def fetch_all(exports, folder, count, threads):
    """Fetch the bundles of some hours, side by side; return their files in order."""
    paths = [folder / str(number) for number in range(count)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(exports.fetch, map(bundle, range(count)), paths))
    return paths


def asked(sim, start="/", listener="api"):
    """Return the requests that arrived at one of the simulator's ports."""
    return [r for r in list(sim.requests) if r.listener == listener and r.path.startswith(start)]


def creates(sim):
    """Return the requests that asked for an export, refused ones included."""
    return [r for r in asked(sim, "/segments/v1/exports") if r.method == "POST"]


def lists(sim):
    """Return the requests for the list of operations."""
    return [r for r in asked(sim, "/operations/v1") if r.path == "/operations/v1"]
