"""The dlt source `fullstory`, and `account` for several of them in one project."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from time import sleep
from typing import Any

import dlt
from dlt.extract import DltResource

from hauser_dlt.config import toml_files
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.conversion.events import EventReader
from hauser_dlt.exports.prefetch import Delivery, deliver
from hauser_dlt.exports.readers import Reader
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.tables import Fitting, Table
from hauser_dlt.source.arguments import as_found, takes_settings
from hauser_dlt.source.connections import ahead, api_client, connect, first_start, replays_begin, snapshots
from hauser_dlt.source.events import export_resources
from hauser_dlt.source.resources import text_limit
from hauser_dlt.source.schema import SCHEMA
from hauser_dlt.source.snapshots import Snapshot, SnapshotReader, fetched, snapshot_resource
from hauser_dlt.windows import END_OF_TIME, Window

toml_files.skip_byte_order_marks()


@dlt.source(schema=SCHEMA, section="fullstory", spec=as_found())
@takes_settings
def fullstory(settings: SourceSettings, end_time: datetime | None) -> tuple[DltResource, ...]:
    """Load FullStory's events, a window at a time; an export has no key by which rows could be merged.

    `fs_export` yields the events as Arrow batches of up to 10,000 rows: a nullable column for each known field,
    `CustomVars` with all custom variables as one JSON object, `_dlt_load_id`, and `_hauser_window`, the start of
    the window that brought the row. `fs_sync` yields one row for each window, empty ones too; its
    `BundleEndTime` is the cursor, so the next run goes on from there. Take both: `fs_export` alone moves no cursor.
    With `individuals` there is `fs_individuals`, merged on `IndvId`, and with `segments` there is `fs_segments`; both
    are fetched anew by each run.

    All arguments but `end_time` are settings, found by dlt's rules under `[sources.fullstory]`. The key may also stand
    in the environment as FULLSTORY_API_TOKEN.

    Args:
        end_time: with `start_time`, a backfill: just this interval, without looking at the cursor or moving it.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    return (
        *_event_resources(settings, end_time),
        *map(_own_resource, snapshots(settings, sleep, {}, datetime.now(UTC))),
    )


def _event_resources(settings: SourceSettings, end: datetime | None) -> tuple[DltResource, ...]:
    """Return the events, and the windows that they came from."""
    exports = connect(settings, sleep, {})
    links = cache(partial(replays_begin, settings, api_client(settings, sleep).me))

    def deliveries(cursor: datetime | None) -> Iterator[Delivery]:
        now = datetime.now(UTC)
        start = first_start(settings, now) if cursor is None or end else cursor
        bundles = exports.bundles(Window(start, end or END_OF_TIME), (), now)
        with (
            tempfile.TemporaryDirectory(prefix="hauser-dlt-") as folder,
            closing(deliver(exports, bundles, Path(folder), ahead(settings), allowed=exports.at_once)) as delivered,
        ):
            for delivery in delivered:
                yield delivery
                delivery.path.unlink()

    def open_reader(delivery: Delivery, columns: Columns, load_id: str | None) -> Reader:
        return EventReader(settings, Fitting(Table(), text_limit()), delivery, columns, load_id, replays=links())

    return export_resources(deliveries, open_reader, settings, moves_cursor=end is None)


def _own_resource(snapshot: Snapshot) -> DltResource:
    def deliveries() -> Iterator[Delivery]:
        with tempfile.TemporaryDirectory(prefix="hauser-dlt-") as folder:
            yield from fetched(snapshot, Path(folder))

    def open_reader(delivery: Delivery, columns: Columns, load_id: str | None) -> Reader:
        return SnapshotReader(snapshot, Fitting(Table(), text_limit()), delivery, columns, load_id)

    return snapshot_resource(snapshot, deliveries, open_reader)


def account(name: str) -> Any:
    """Return `fullstory` for one of several accounts: its settings stand under `[sources.<name>]`.

    Its schema bears that name, too, so each account has a cursor of its own in one pipeline.
    """
    return fullstory.clone(name=name, section=name, schema=SCHEMA.clone(with_name=name))
