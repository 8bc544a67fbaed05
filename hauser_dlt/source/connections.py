"""What FullStory is asked for, and by which API: settings into clients, exports and snapshots."""

import logging
from collections.abc import Callable, Iterator, MutableMapping
from datetime import datetime
from functools import partial
from typing import Any

from hauser_dlt.config.settings import SourceSettings
from hauser_dlt.exports import Bundle, Client, DataExports, Exports, IndividualExports, SegmentExports, hosts, roles
from hauser_dlt.exports.segments import write_segments
from hauser_dlt.fields import INDIVIDUAL, INDIVIDUALS, SEGMENTS
from hauser_dlt.records import replay_urls
from hauser_dlt.source.snapshots import Snapshot
from hauser_dlt.windows import DAY, Schedule, Window, floor

logger = logging.getLogger(__name__)

_READY = 24
_FIRST_RUN_REACHES_BACK = 30 * DAY


def first_start(read: SourceSettings, now: datetime) -> datetime:
    """Return where to start when nothing is loaded yet, on the grid of windows."""
    start = read.start_time or floor(now - _FIRST_RUN_REACHES_BACK, DAY)
    return floor(start, read.export_duration) if read.api == "segment_export" else start


def ahead(read: SourceSettings) -> int:
    """Return how many bundles to have prepared at a time."""
    return read.concurrent_exports if read.api == "segment_export" else 1


def ready(read: SourceSettings) -> int:
    """Return how many bundles may wait on the disk to be loaded: those of a day, while the day before is loaded."""
    return max(1, min(_READY, DAY // read.export_duration))


def client(read: SourceSettings, pause: Callable[[float], None]) -> Client:
    """Return a client of the API that the settings name."""
    usual = hosts.DATA_EXPORT if read.api == "data_export" else hosts.api(read.api_token)
    return Client(read, read.base_url or usual, pause)


def api_client(read: SourceSettings, pause: Callable[[float], None]) -> Client:
    """Return a client of today's API, which alone tells of accounts, segments and individuals."""
    return Client(read, _api_url(read), pause)


def _api_url(read: SourceSettings) -> str:
    base_url = hosts.api_beside(read.base_url) if read.api == "data_export" else read.base_url
    return base_url or hosts.api(read.api_token)


def replays_begin(read: SourceSettings, asked: Callable[[], dict[str, Any]]) -> str:
    """Return what all links to sessions begin with; "" if the settings want none.

    Args:
        asked: returns the key's account.

    Raises:
        AccessError: the key, by its role, cannot export.
    """
    if not read.session_replay_url:
        return ""
    account = asked()
    roles.refuse_too_low(account)
    if doubt := roles.doubt(account):
        logger.warning("%s", doubt)
    return replay_urls.beginning(account, _api_url(read))


def snapshots(
    read: SourceSettings, pause: Callable[[float], None], operations: MutableMapping[str, str], now: datetime
) -> Iterator[Snapshot]:
    """Yield what the settings want to have besides events. Nobody is asked for anything yet."""
    settled = Schedule(read.export_duration, read.export_delay).settled(now)
    stretch = Window(min(first_start(read, now), settled - read.export_duration), settled)
    if read.individuals:
        exports, bundle = IndividualExports(api_client(read, pause), read, operations), Bundle(stretch)
        yield Snapshot(
            name="fs_individuals",
            table=read.individuals_table,
            kinds=INDIVIDUALS,
            key=INDIVIDUAL,
            grow=read.new_fields == "columns",
            denylist=read.denylist(INDIVIDUALS),
            stretch=stretch,
            fetch=partial(exports.fetch, bundle),
            forget=partial(exports.forget, bundle),
        )
    if read.segments:
        yield Snapshot(
            name="fs_segments",
            table=read.segments_table,
            kinds=SEGMENTS,
            key=None,
            grow=False,
            denylist=read.denylist(SEGMENTS),
            stretch=stretch,
            fetch=partial(write_segments, api_client(read, pause)),
        )


def connect(read: SourceSettings, pause: Callable[[float], None], operations: MutableMapping[str, str]) -> Exports:
    """Return the exports of the API that the settings name."""
    if read.api == "data_export":
        return DataExports(client(read, pause), read, api_client(read, pause))
    return SegmentExports(client(read, pause), read, operations)
