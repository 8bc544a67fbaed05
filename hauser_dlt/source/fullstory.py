"""The dlt source `fullstory`, and `account` for several of them in one project."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from time import sleep
from typing import Any

import dlt
from dlt.common.configuration.specs.base_configuration import BaseConfiguration, configspec
from dlt.extract import DltResource

from hauser_dlt.config import parsers, reading, toml_files
from hauser_dlt.config.lookup import find
from hauser_dlt.config.names import SOURCE
from hauser_dlt.config.settings import SourceSettings
from hauser_dlt.errors import ConfigError
from hauser_dlt.exports.prefetch import Delivery, deliver
from hauser_dlt.exports.readers import Reader
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.tables import Fitting, Table
from hauser_dlt.source.connections import ahead, api_client, connect, first_start, replays_begin, snapshots
from hauser_dlt.source.events import EventReader, export_resources
from hauser_dlt.source.resources import text_limit
from hauser_dlt.source.schema import SCHEMA
from hauser_dlt.source.snapshots import Snapshot, SnapshotReader, fetched, snapshot_resource
from hauser_dlt.windows import END_OF_TIME, Window

toml_files.skip_byte_order_marks()


def _as_found() -> type[BaseConfiguration]:
    """Return a specification by which dlt hands over what it finds; by defaults, it would make text of lists.

    None is what dlt finds nowhere, and stands for the default.
    """
    names = [*(declared.name for declared in fields(SourceSettings)), "end_time"]
    body = {"__module__": __name__, "__annotations__": dict.fromkeys(names, Any | None), **dict.fromkeys(names)}
    return configspec(type("Arguments", (BaseConfiguration,), body))


@dlt.source(schema=SCHEMA, section="fullstory", spec=_as_found())
def fullstory(
    api_token: str = "",
    api: str = "segment_export",
    base_url: str = "",
    segment_id: str = "everyone",
    event_scope: str = "",
    export_format: str = "ndjson",
    fields: Any = "known",
    extra_fields: Any = None,
    new_fields: str = "columns",
    custom_columns: Any = None,
    session_replay_url: bool = False,
    drop_custom_vars: Any = (),
    drop_fields: Any = (),
    include_mobile_fields: bool = False,
    include_selector_tokens: bool = False,
    start_time: Any = "",
    end_time: Any = "",
    export_duration: str = "1h",
    export_delay: str = "24h",
    concurrent_exports: int = 4,
    request_timeout: str = "60s",
    export_timeout: str = "6h",
    backoff: str = "1s",
    max_retries: int = 8,
    http_headers: Any = None,
    export_table: str = "fs_export",
    sync_table: str = "fs_sync",
    individuals: bool = False,
    individuals_table: str = "fs_individuals",
    segments: bool = False,
    segments_table: str = "fs_segments",
) -> tuple[DltResource, ...]:
    """Load FullStory's events, a window at a time; an export has no key by which rows could be merged.

    `fs_export` yields the events as Arrow batches of up to 10,000 rows: a nullable column for each known field,
    `CustomVars` with all custom variables as one JSON object, `_dlt_load_id`, and `_hauser_window`, the start of
    the window that brought the row. `fs_sync` yields one row for each window, empty ones too; its
    `BundleEndTime` is the cursor, so the next run goes on from there. Take both: `fs_export` alone moves no cursor.
    With `individuals` there is `fs_individuals`, merged on `IndvId`, and with `segments` there is `fs_segments`; both
    are fetched anew by each run.

    All arguments but `end_time` are settings, found by dlt's rules under `[sources.fullstory]`; docs/settings.md
    explains them. The key may also stand in the environment as FULLSTORY_API_TOKEN.

    Args:
        end_time: with `start_time`, a backfill: just this stretch, without looking at the cursor or moving it.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    given = dict(locals())
    del given["end_time"]
    read = reading.read(SourceSettings, partial(_argument, given))
    exports = connect(read, sleep, {})
    stretch_end = _end_of_stretch(end_time)
    if stretch_end and read.start_time and stretch_end <= read.start_time:
        raise ConfigError(f"end_time = {end_time!r}: it must lie after start_time, {read.start_time.isoformat()}")

    def deliveries(cursor: datetime | None) -> Iterator[Delivery]:
        now = datetime.now(UTC)
        start = first_start(read, now) if cursor is None or stretch_end else cursor
        stretch = Window(start, stretch_end or END_OF_TIME)
        bundles = exports.bundles(stretch, (), now)
        with (
            tempfile.TemporaryDirectory(prefix="hauser-dlt-") as folder,
            closing(deliver(exports, bundles, Path(folder), ahead(read))) as delivered,
        ):
            for delivery in delivered:
                yield delivery
                delivery.path.unlink()

    links = cache(partial(replays_begin, read, api_client(read, sleep).me))

    def open_reader(delivery: Delivery, columns: Columns, load_id: str | None) -> Reader:
        return EventReader(read, Fitting(Table(), text_limit()), delivery, columns, load_id, replays=links())

    return (
        *export_resources(deliveries, open_reader, read, moves_cursor=stretch_end is None),
        *map(_own_resource, snapshots(read, sleep, {}, datetime.now(UTC))),
    )


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


def _argument(given: dict[str, Any], name: str) -> tuple[Any, str] | None:
    value = given[name]
    if name == "api_token":
        value = _key(value)
    return None if value is None else (value, "argument or dlt's configuration")


def _key(given: Any) -> Any:
    """Return the API key: FULLSTORY_API_TOKEN is stronger than all that stands in files, but not than an argument."""
    found = find("api_token", *SOURCE, hide=True)
    if given and (found is None or given != found[0]):
        return given
    return os.environ.get("FULLSTORY_API_TOKEN") or given or (found and found[0])


def _end_of_stretch(end_time: Any) -> datetime | None:
    try:
        return parsers.moment("" if end_time is None else end_time)
    except ValueError as exc:
        raise ConfigError(f"end_time = {end_time!r} (from argument or dlt's configuration): allowed is {exc}") from None
