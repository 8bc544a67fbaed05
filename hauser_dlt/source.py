"""The dlt source `fullstory`: events as Arrow batches, and the windows that they came from."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from time import sleep
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.configuration.specs.base_configuration import BaseConfiguration, configspec
from dlt.extract import DltResource

from hauser_dlt import parsers, settings
from hauser_dlt.configuration import find, skip_byte_order_marks
from hauser_dlt.downloads import Delivery, deliver
from hauser_dlt.errors import ConfigError
from hauser_dlt.exports import (
    Bundle,
    Client,
    DataExports,
    Exports,
    IndividualExports,
    SegmentExports,
    hosts,
    roles,
)
from hauser_dlt.exports.people import write_segments
from hauser_dlt.exports.segment_exports import requested
from hauser_dlt.fields import (
    CUSTOM_VARS,
    EVENT_START,
    INDIVIDUAL,
    INDIVIDUALS,
    LOAD_ID,
    MOBILE,
    ROW_WINDOW,
    SCHEMA_NAME,
    SEGMENTS,
    SELECTOR_TOKENS,
    SESSION_REPLAY_URL,
    SYNC_KINDS,
    Kind,
    column_of,
    todays,
)
from hauser_dlt.misspelled import SOURCE
from hauser_dlt.readers import OpenReader, Reader
from hauser_dlt.records import json_stream, replay_urls
from hauser_dlt.records.batches import BATCH_ROWS, Batcher
from hauser_dlt.records.columns import ARROW_TYPES, Columns, no_rows
from hauser_dlt.resources import (
    Loaded,
    active_destination,
    names_of,
    suit_destination,
    text_limit,
    windowed,
)
from hauser_dlt.settings import SourceSettings
from hauser_dlt.snapshots import Snapshot, SnapshotReader, fetched, package_id, snapshot_resource
from hauser_dlt.tables import DLT_TYPES, Fitting, Table, Tables
from hauser_dlt.windows import DAY, END_OF_TIME, Schedule, Window, floor

logger = logging.getLogger(__name__)
skip_byte_order_marks()

CURSOR = "BundleEndTime"
_READY = 24
_FIRST_RUN_REACHES_BACK = 30 * DAY

# dlt's relational normalizer, but names as FullStory spells them: people's SQL goes on working.
SCHEMA = dlt.Schema(
    SCHEMA_NAME,
    normalizers={"names": "sql_cs_v1", "json": {"module": "dlt.common.normalizers.json.relational"}},
)

_NULLABLE_MARKS: Any = {LOAD_ID: {"data_type": "text", "nullable": True}}


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
        end_time: with `start_time`, a back-fill: just this stretch, without looking at the cursor or moving it.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    given = dict(locals())
    del given["end_time"]
    read = settings.read(SourceSettings, partial(_argument, given))
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


def export_resources(
    deliveries: Callable[[datetime | None], Iterable[Delivery]],
    open_reader: OpenReader,
    read: SourceSettings,
    *,
    moves_cursor: bool = True,
    tables: Tables | None = None,
) -> tuple[DltResource, DltResource]:
    """Return the resources `fs_export` and `fs_sync` over ready-made parts.

    Both are transformers of one hidden resource that goes through the bundles in order. They must not be
    generators: dlt takes turns among generators, and would open many bundles at the same time.

    Args:
        deliveries: the cursor (None at first) -> the bundles' files, oldest first.
        open_reader: opens what makes the items of `fs_export` out of one file.
        read: names of tables, types of fields.
        moves_cursor: False for back-fills.
        tables: as they are at the destination, where that has been looked at.
    """
    there = tables or Tables()

    @dlt.resource(name="bundles", selected=False)
    def bundles() -> Iterator[Any]:
        suit_destination(dlt.current.source().resources, is_new=not there.export.columns)
        columns = table_columns(read, there.export)
        load_id = package_id()
        for delivery in deliveries(cursor_in(dlt.current.resource_state("fs_sync"))):
            reader = open_reader(delivery, columns, load_id)
            yield from reader
            yield Loaded(delivery.bundle, reader.tally)

    @windowed(
        name="fs_export",
        data_from=bundles,
        table_name=read.export_table,
        write_disposition="append",
        columns=_NULLABLE_MARKS,
    )
    def events(item: Any) -> Any:
        return None if isinstance(item, Loaded) else item

    @windowed(
        name="fs_sync",
        data_from=bundles,
        table_name=read.sync_table,
        write_disposition="append",
        columns=_sync_columns(there.sync),
    )
    def sync(item: Any) -> Any:
        return (
            {there.sync.spelled(name): value for name, value in item.row().items()}
            if isinstance(item, Loaded)
            else None
        )

    if moves_cursor:
        sync.apply_hints(incremental=dlt.sources.incremental(there.sync.spelled(CURSOR), range_start="open"))
    return events, sync


def _sync_columns(table: Table) -> Any:
    """Return dlt's hints for the sync table, with the names and types that it has already."""
    columns: dict[str, Any] = {"_dlt_id": {"data_type": "text", "nullable": True, "unique": False}, **_NULLABLE_MARKS}
    for name, kind in SYNC_KINDS.items():
        columns[table.spelled(name)] = {"data_type": DLT_TYPES[kind], "nullable": True, **table.narrower(name)}
    return columns


class EventReader(Reader):
    """One bundle's events as Arrow batches; an `OpenReader` once the first two arguments are given.

    Args:
        read: the settings by which the bundle was asked for.
        fit: makes a batch fit the destination's table.
        replays: what links to sessions begin with.
    """

    def __init__(
        self,
        read: SourceSettings,
        fit: Fitting,
        delivery: Delivery,
        columns: Columns,
        load_id: str | None,
        *,
        replays: str = "",
    ) -> None:
        window = delivery.bundle.window
        strict = window if read.keeps_to_windows else None
        marks = _marks(load_id, window.start)
        self._batcher = Batcher(columns, strict, marks, needed=EVENT_START, replays=replays)
        self._fit = fit
        self._in_array = comes_in_array(read)
        super().__init__(delivery, self._batcher.tally)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; see `Reader`."""
        with closing(self.delivery.pieces()) as pieces:
            records = json_stream.records(pieces, in_array=self._in_array)
            for batch in self._batcher.batches(records, BATCH_ROWS):
                yield self._fit(batch, self.tally)
        if not self.tally.rows:
            # the table has all its columns after the first run, events or not
            yield self._fit(empty_batch(self._batcher.columns), self.tally)


def comes_in_array(read: SourceSettings) -> bool:
    """Tell whether FullStory promises an array, as which even an hour without events is not empty."""
    return read.api == "data_export" or read.export_format == "json"


def declared_kinds(read: SourceSettings) -> dict[str, Kind]:
    """Return the fields that are columns from the first run on: known ones, and those that the settings add."""
    return {**requested(read), **read.extra_fields}


def as_table_has(read: SourceSettings, table: Table) -> SourceSettings:
    """Return the settings that have FullStory asked for what the table has columns of, as hauser asked for it."""
    return replace(read, include_selector_tokens=True) if table.column(SELECTOR_TOKENS) else read


def export_kinds(read: SourceSettings) -> dict[str, Kind]:
    """Return all columns of the export table that are there from the first run on, bookkeeping included."""
    custom = {column_of(name): kind for name, kind in read.custom_columns.items()}
    links: dict[str, Kind] = {SESSION_REPLAY_URL: "text"} if read.session_replay_url else {}
    return {**declared_kinds(read), CUSTOM_VARS: "text", **custom, **links, LOAD_ID: "text", ROW_WINDOW: "timestamp"}


def table_columns(read: SourceSettings, table: Table) -> Columns:
    """Return the export table's columns: declared ones, and those that earlier runs have found."""
    kinds = declared_kinds(read)
    names = names_of(active_destination())
    names.refuse(read)
    declared = {name.lower() for name in export_kinds(read)}
    earlier = dlt.current.source_schema().tables.get(read.export_table, {"columns": {}})["columns"]
    for name in earlier:
        # with an underscore, it was the column of a custom variable
        if todays(name).lower() not in declared and "_" not in name and names.takes(name) and table.fits_new(name):
            kinds[name] = MOBILE.get(name) or table.kind_of_new(name)
    custom: dict[str, Kind] = {name: "any" if kind == "text" else kind for name, kind in read.custom_columns.items()}
    return Columns(
        kinds,
        grow=read.new_fields == "columns",
        new=table.kind_of_new,
        custom=custom,
        replays=read.session_replay_url,
        drops=read.denylist(declared_kinds(read)).drops,
        takes=names.takes,
        fits=table.fits_new,
        numbers=table.numbers,
    )


def empty_batch(columns: Columns) -> pa.RecordBatch:
    """Return no rows, with the columns of the export table."""
    return no_rows(columns, {LOAD_ID: "text", ROW_WINDOW: "timestamp"})


def _marks(load_id: str | None, window_start: datetime) -> dict[str, pa.Scalar]:
    return {
        LOAD_ID: pa.scalar(load_id, pa.string()),
        ROW_WINDOW: pa.scalar(window_start, ARROW_TYPES["timestamp"]),
    }


def cursor_in(state: Mapping[str, Any]) -> datetime | None:
    """Return the end of the last loaded window, where dlt's incremental keeps it in the state of `fs_sync`."""
    cursors = {path.lower(): cursor for path, cursor in state.get("incremental", {}).items()}
    last: datetime | None = cursors.get(CURSOR.lower(), {}).get("last_value")
    return last and last.astimezone(UTC)
