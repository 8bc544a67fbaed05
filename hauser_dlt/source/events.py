"""The resources `fs_export` and `fs_sync`: events as Arrow batches, and the windows that they came from."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dlt
from dlt.extract import DltResource

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.exports.readers import OpenReader
from hauser_dlt.fields import LOAD_ID, SYNC_KINDS
from hauser_dlt.records.tables import DLT_TYPES, Table, Tables
from hauser_dlt.source.resources import Loaded, note, suit_destination, windowed
from hauser_dlt.source.schema import table_columns
from hauser_dlt.source.snapshots import package_id

CURSOR = "BundleEndTime"
_NULLABLE_MARKS: Any = {LOAD_ID: {"data_type": "text", "nullable": True}}


def export_resources(
    deliveries: Callable[[datetime | None], Iterable[Delivery]],
    open_reader: OpenReader,
    settings: SourceSettings,
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
        settings: names of tables, types of fields.
        moves_cursor: False for backfills.
        tables: as they are at the destination, where that has been looked at.
    """
    there = tables or Tables()
    bundles = _bundles(deliveries, open_reader, settings, there.export)
    sync = _sync(bundles, settings.sync_table, there.sync)
    if moves_cursor:
        sync.apply_hints(incremental=dlt.sources.incremental(there.sync.spelled(CURSOR), range_start="open"))
    return _events(bundles, settings.export_table), sync


def _bundles(
    deliveries: Callable[[datetime | None], Iterable[Delivery]],
    open_reader: OpenReader,
    settings: SourceSettings,
    export: Table,
) -> DltResource:
    """Return the resource that yields the items of each bundle, and then `Loaded`."""

    @dlt.resource(name="bundles", selected=False)
    def bundles() -> Iterator[Any]:
        suit_destination(dlt.current.source().resources, is_new=not export.columns)
        columns = table_columns(settings, export)
        load_id = package_id()
        for delivery in deliveries(cursor_in(dlt.current.resource_state("fs_sync"))):
            reader = open_reader(delivery, columns, load_id)
            yield from reader
            yield Loaded(delivery.bundle, reader.tally)

    made: DltResource = bundles
    return made


def _events(bundles: DltResource, table_name: str) -> DltResource:
    @windowed(
        name="fs_export",
        data_from=bundles,
        table_name=table_name,
        write_disposition="append",
        columns=_NULLABLE_MARKS,
    )
    def events(item: Any) -> Any:
        if not isinstance(item, Loaded):
            return item
        note(item.tally)
        return None

    return events


def _sync(bundles: DltResource, table_name: str, table: Table) -> DltResource:
    @windowed(
        name="fs_sync",
        data_from=bundles,
        table_name=table_name,
        write_disposition="append",
        columns=_sync_columns(table),
    )
    def sync(item: Any) -> Any:
        if not isinstance(item, Loaded):
            return None
        return {table.spelled(name): value for name, value in item.row().items()}

    return sync


def _sync_columns(table: Table) -> Any:
    """Return dlt's hints for the sync table, with the names and types that it has already."""
    columns: dict[str, Any] = {"_dlt_id": {"data_type": "text", "nullable": True, "unique": False}, **_NULLABLE_MARKS}
    for name, kind in SYNC_KINDS.items():
        columns[table.spelled(name)] = {"data_type": DLT_TYPES[kind], "nullable": True, **table.narrower(name)}
    return columns


def cursor_in(state: Mapping[str, Any]) -> datetime | None:
    """Return the end of the last loaded window, where dlt's incremental keeps it in the state of `fs_sync`."""
    cursors = {path.lower(): cursor for path, cursor in state.get("incremental", {}).items()}
    last: datetime | None = cursors.get(CURSOR.lower(), {}).get("last_value")
    return last and last.astimezone(UTC)
