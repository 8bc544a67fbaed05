"""What FullStory is asked for, and by which API: settings into clients, exports and snapshots."""

import logging
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.exports import Bundle, Client, DataExports, Exports, IndividualExports, SegmentExports, hosts, roles
from hauser_dlt.exports.concurrency import MOST, START
from hauser_dlt.exports.disk import Disk
from hauser_dlt.exports.prefetch import Deliveries, deliver
from hauser_dlt.exports.segments import write_segments
from hauser_dlt.fields import INDIVIDUAL, INDIVIDUALS, SEGMENTS
from hauser_dlt.records import replay_urls
from hauser_dlt.source.snapshots import Snapshot
from hauser_dlt.windows import DAY, Schedule, Window, floor

logger = logging.getLogger(__name__)

_READY = 24
_FIRST_RUN_REACHES_BACK = 30 * DAY


def first_start(settings: SourceSettings, now: datetime) -> datetime:
    """Return where to start when nothing is loaded yet, on the grid of windows."""
    start = settings.start_time or floor(now - _FIRST_RUN_REACHES_BACK, DAY)
    return floor(start, settings.export_duration) if settings.api == "segment_export" else start


def ahead(settings: SourceSettings) -> int:
    """Return how many bundles to have prepared at a time, at most."""
    if settings.api != "segment_export":
        return 1
    return settings.concurrent_exports or min(MOST, START + _bundles_of_a_day(settings))


def ready(settings: SourceSettings) -> int:
    """Return how many bundles may wait on the disk to be loaded: those of a day, while the day before is loaded.

    Where the number of exports at once is found out, it costs no disk: with those that are being prepared, there are no
    more bundles than with the number that it begins with.
    """
    day = _bundles_of_a_day(settings)
    found_out = settings.api == "segment_export" and settings.concurrent_exports is None
    return START + day - ahead(settings) if found_out else day


def fetched_ahead(
    exports: Exports, bundles: Iterable[Bundle], folder: Path, settings: SourceSettings, disk: Disk
) -> Deliveries:
    """Return the files of bundles for a run, which come as far ahead as the settings and the disk allow."""
    return deliver(exports, bundles, folder, ahead(settings), ready(settings), exports.at_once, disk)


def _bundles_of_a_day(settings: SourceSettings) -> int:
    return max(1, min(_READY, DAY // settings.export_duration))


def client(settings: SourceSettings, pause: Callable[[float], None]) -> Client:
    """Return a client of the API that the settings name."""
    usual = hosts.DATA_EXPORT if settings.api == "data_export" else hosts.api(settings.api_token)
    return Client(settings, settings.base_url or usual, pause)


def api_client(settings: SourceSettings, pause: Callable[[float], None]) -> Client:
    """Return a client of today's API, which alone tells of accounts, segments and individuals."""
    return Client(settings, _api_url(settings), pause)


def _api_url(settings: SourceSettings) -> str:
    base_url = hosts.api_beside(settings.base_url) if settings.api == "data_export" else settings.base_url
    return base_url or hosts.api(settings.api_token)


def replays_begin(settings: SourceSettings, asked: Callable[[], dict[str, Any]]) -> str:
    """Return what all links to sessions begin with; "" if the settings want none.

    Args:
        asked: returns the key's account.

    Raises:
        AccessError: the key, by its role, cannot export.
    """
    if not settings.session_replay_url:
        return ""
    account = asked()
    roles.refuse_too_low(account)
    if doubt := roles.doubt(account):
        logger.warning("%s", doubt)
    return replay_urls.beginning(account, _api_url(settings))


def snapshots(
    settings: SourceSettings, pause: Callable[[float], None], operations: MutableMapping[str, str], now: datetime
) -> Iterator[Snapshot]:
    """Yield what the settings want to have besides events. Nobody is asked for anything yet."""
    ready_until = Schedule(settings.export_duration, settings.export_delay).ready_until(now)
    interval = Window(min(first_start(settings, now), ready_until - settings.export_duration), ready_until)
    if settings.individuals:
        exports, bundle = IndividualExports(api_client(settings, pause), settings, operations), Bundle(interval)
        yield Snapshot(
            name="fs_individuals",
            table=settings.individuals_table,
            kinds=INDIVIDUALS,
            key=INDIVIDUAL,
            grow=settings.new_fields == "columns",
            denylist=settings.denylist(INDIVIDUALS),
            interval=interval,
            fetch=partial(exports.fetch, bundle),
            release=partial(exports.release, bundle),
        )
    if settings.segments:
        yield Snapshot(
            name="fs_segments",
            table=settings.segments_table,
            kinds=SEGMENTS,
            key=None,
            grow=False,
            denylist=settings.denylist(SEGMENTS),
            interval=interval,
            fetch=partial(write_segments, api_client(settings, pause)),
        )


def connect(settings: SourceSettings, pause: Callable[[float], None], operations: MutableMapping[str, str]) -> Exports:
    """Return the exports of the API that the settings name."""
    if settings.api == "data_export":
        return DataExports(client(settings, pause), settings, api_client(settings, pause))
    return SegmentExports(client(settings, pause), settings, operations)
