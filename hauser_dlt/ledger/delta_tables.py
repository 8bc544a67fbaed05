"""The export and the sync table as Delta tables: what is read of them, and the commits by which they change.

A commit of a load names its id, as the id of an application's transaction, so that it can be told whether a load has
arrived. Delta checks a commit against those that others have made since its table was read: what replaces the events of
an interval fails if events of that interval have come or gone meanwhile.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from dlt.common.libs.deltalake import deltalake_storage_options

from hauser_dlt.fields import EVENT_START, LOAD_ID, ROW_WINDOW
from hauser_dlt.ledger.table_commits import LOAD_OF_COMMIT, Events, LakehouseTable, batches_of

DAY_COLUMN = "_hauser_day"
"""The day of an event's start, by which the export table is partitioned."""
_VERSION = 1  # of a load, which arrives once
_MANY_FILES = 50


class DeltaLakeTable(LakehouseTable):
    """See `LakehouseTable`.

    Args:
        client: dlt's of files.
    """

    failures = (CommitFailedError,)

    def __init__(self, client: Any, name: str) -> None:
        self.name = name
        self._place = client.get_open_table_location("delta", name)
        self._options = deltalake_storage_options(client.config.credentials, client.config.deltalake_storage_options)

    def open(self) -> DeltaTable | None:
        """Return the table as it is at this moment; None if there is none."""
        try:
            return DeltaTable(self._place, storage_options=self._options)
        except TableNotFoundError:
            return None

    def has_arrived(self, load_id: str) -> bool:
        """See `LakehouseTable`."""
        table = self.open()
        return table is not None and table.transaction_version(load_id) is not None

    def rows(self, columns: Iterable[str]) -> list[dict[str, Any]]:
        """See `LakehouseTable`."""
        table = self.open()
        if table is None:
            return []
        there = [name for name in columns if name in {field.name for field in table.schema().fields}]
        rows: list[dict[str, Any]] = pa.table(_asked(table, ", ".join(f'"{name}"' for name in there))).to_pylist()
        return rows

    def schema(self) -> pa.Schema:
        """See `LakehouseTable`."""
        table = self.open()
        found = pa.schema(table.schema().to_arrow()) if table else pa.schema([])
        return pa.schema([field for field in found if field.name != DAY_COLUMN])

    def count(self) -> int:
        """See `LakehouseTable`."""
        table = self.open()
        return table.count() if table else 0

    def _commit(self, load_id: str, files: Sequence[Path], replaced: Events | None, may: Callable[[], None]) -> None:
        reader = batches_of(files, (replaced.start, DAY_COLUMN) if replaced else None)
        table = self.open() or self._create(reader.schema)
        if table.transaction_version(load_id) is not None:
            return
        may()
        how: dict[str, Any] = {"mode": "append"}
        if replaced:
            how = {"mode": "overwrite", "predicate": _on_days(replaced)}
        named = CommitProperties(
            custom_metadata={LOAD_OF_COMMIT: load_id}, app_transactions=[Transaction(load_id, _VERSION)]
        )
        write_deltalake(table, reader, schema_mode="merge", commit_properties=named, **how)

    def _create(self, schema: pa.Schema) -> DeltaTable:
        """Make the table. Of columns that conditions are about, each file's least and greatest value are noted."""
        named = [name for name in (EVENT_START, ROW_WINDOW, LOAD_ID, "BundleEndTime") if name in schema.names]
        settings = {"delta.dataSkippingStatsColumns": ",".join(named)}
        try:
            return DeltaTable.create(
                self._place,
                schema,
                partition_by=DAY_COLUMN if DAY_COLUMN in schema.names else None,
                configuration=settings,
                storage_options=self._options,
            )
        except DeltaError:
            if table := self.open():  # another run was quicker
                return table
            raise

    def _delete(self, which: str) -> None:
        if table := self.open():
            table.delete(which)

    def compact(self, day: datetime | None = None) -> None:
        """See `LakehouseTable`. Of two runs that optimize at the same time, deltalake lets both add the rows."""
        table = self.open()
        if table is None:
            return
        which = f"{DAY_COLUMN} = '{day:%Y-%m-%d}'" if day else f"{LOAD_ID} IS NULL OR {LOAD_ID} IS NOT NULL"
        files: dict[str, Any] = {"file_pruning_predicate": which} if day else {}
        if len(table.file_uris(**files)) < (2 if day else _MANY_FILES):
            return
        rows = _asked(table, "*", which)
        named = CommitProperties(custom_metadata={"hauser_dlt": "compaction"})
        with suppress(CommitFailedError):  # rows have been replaced meanwhile
            write_deltalake(table, rows, mode="overwrite", predicate=which, commit_properties=named)

    def expire(self, after: timedelta) -> None:
        """See `LakehouseTable`. Files go that none of the other versions has, those of dead runs among them."""
        if table := self.open():
            hours = after // timedelta(hours=1)
            with suppress(CommitFailedError):  # another run changes the table: next time, then
                table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)


def _asked(table: DeltaTable, columns: str, where: str = "TRUE") -> Any:
    """Return rows as a stream of Arrow's. Arrow's own readers of such tables may abort the process at its end."""
    return QueryBuilder().register("rows", table).execute(f"SELECT {columns} FROM rows WHERE {where}")


def _on_days(events: Events) -> str:
    """Return the condition on events in an interval, with the days in whose partitions they are."""
    if not events.keeps_to_windows:
        return events.condition()
    first, last = f"{events.interval.start:%Y-%m-%d}", f"{events.interval.end:%Y-%m-%d}"
    days = f"{DAY_COLUMN} >= '{first}' AND {DAY_COLUMN} <= '{last}' OR {DAY_COLUMN} IS NULL"
    return f"({days}) AND ({events.condition()})"
