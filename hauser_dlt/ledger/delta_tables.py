"""The export and the sync table as Delta tables: what is read of them, and the commits by which they change.

A commit of a load names its id, as the id of an application's transaction, so that it can be told whether a load has
arrived. Delta checks a commit against those that others have made since its table was read: what replaces the events of
an interval fails if events of that interval have come or gone meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import tenacity
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.exceptions import DeltaError as DeltaFailure
from dlt.common.libs.deltalake import deltalake_storage_options

from hauser_dlt.errors import TransientError
from hauser_dlt.fields import EVENT_START, LOAD_ID, ROW_WINDOW
from hauser_dlt.records.tables import Table
from hauser_dlt.windows import Window

DAY_COLUMN = "_hauser_day"
"""The day of an event's start, by which the export table is partitioned."""
_VERSION = 1  # of a load, which arrives once
_MANY_FILES = 50
_again = tenacity.Retrying(
    retry=tenacity.retry_if_exception_type(CommitFailedError),
    stop=tenacity.stop_after_attempt(20),
    wait=tenacity.wait_random(0.05, 1),
    reraise=True,
)


class DeltaFile:
    """A Delta table in a folder or bucket.

    Args:
        client: dlt's of files.
    """

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
        """Tell whether a load has been committed to the table."""
        table = self.open()
        return table is not None and table.transaction_version(load_id) is not None

    def rows(self, columns: Iterable[str]) -> list[dict[str, Any]]:
        """Return some columns of all rows."""
        table = self.open()
        if table is None:
            return []
        there = [name for name in columns if name in {field.name for field in table.schema().fields}]
        rows: list[dict[str, Any]] = table.to_pyarrow_table(columns=there).to_pylist()
        return rows

    def schema(self) -> pa.Schema:
        """Return the columns; none if there is no table."""
        table = self.open()
        return pa.schema(table.schema().to_arrow()) if table else pa.schema([])

    def count(self) -> int:
        """Return how many rows there are."""
        table = self.open()
        return table.count() if table else 0

    def commit(
        self,
        load_id: str,
        batches: Callable[[], pa.RecordBatchReader],
        *,
        replacing: str | None = None,
        day_column: str | None = None,
        may: Callable[[], None] = lambda: None,
    ) -> None:
        """Add what a load has brought, in one commit that names it; a commit whose answer was lost is found.

        Args:
            batches: opens the rows.
            replacing: the condition on the rows that go with that very commit.
            may: raises if the load must not be committed, as it is seen after the table has been read.

        Raises:
            TransientError: others have changed the same rows, time and again.
        """
        try:
            _again(self._commit, load_id, batches, replacing, day_column, may)
        except CommitFailedError as exc:
            raise TransientError(
                f"table {self.name}: other runs change it at the same time ({exc}); run again"
            ) from exc

    def _commit(
        self,
        load_id: str,
        batches: Callable[[], pa.RecordBatchReader],
        replacing: str | None,
        day_column: str | None,
        may: Callable[[], None],
    ) -> None:
        reader = batches()
        table = self.open() or self._create(reader.schema, day_column)
        if table.transaction_version(load_id) is not None:
            return
        may()
        how: dict[str, Any] = {"mode": "overwrite", "predicate": replacing} if replacing else {"mode": "append"}
        named = CommitProperties(
            custom_metadata={"hauser_dlt_load_id": load_id}, app_transactions=[Transaction(load_id, _VERSION)]
        )
        write_deltalake(table, reader, schema_mode="merge", commit_properties=named, **how)

    def _create(self, schema: pa.Schema, day_column: str | None) -> DeltaTable:
        """Make the table. Of columns that conditions are about, each file's least and greatest value are noted."""
        named = [name for name in (EVENT_START, ROW_WINDOW, LOAD_ID, "BundleEndTime") if name in schema.names]
        settings = {"delta.dataSkippingStatsColumns": ",".join(named)}
        try:
            return DeltaTable.create(
                self._place,
                schema,
                partition_by=day_column,
                configuration=settings,
                storage_options=self._options,
            )
        except DeltaFailure:
            if table := self.open():  # another run was quicker
                return table
            raise

    def delete(self, which: str) -> None:
        """Delete rows."""
        _again(self._delete, which)

    def _delete(self, which: str) -> None:
        if table := self.open():
            table.delete(which)

    def compact(self, day: datetime | None = None) -> None:
        """Make one file of a day's many, or of all that there are; or leave that to others."""
        table = self.open()
        if table is None or (day is None and len(table.file_uris()) < _MANY_FILES):
            return
        which: Any = [(DAY_COLUMN, "=", f"{day:%Y-%m-%d}")] if day else None
        try:
            table.optimize.compact(partition_filters=which)
        except CommitFailedError:  # rows have been replaced meanwhile
            return

    def expire(self, after: timedelta) -> None:
        """Remove the files that no version of the table of the last time has, those of dead runs among them."""
        if table := self.open():
            hours = after // timedelta(hours=1)
            table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)


def events_in(interval: Window, export: Table, *, keeps_to_windows: bool) -> str:
    """Return the condition on the events of an interval's windows: those that windows there brought, or that lie there.

    By a sync row that was altered, windows that begin before it may hold events of the interval.
    """
    window, start = export.spelled(ROW_WINDOW), export.spelled(EVENT_START)
    within = f'"{window}" >= {as_sql(interval.start)} AND "{window}" < {as_sql(interval.end)}'
    if not keeps_to_windows:
        return within
    lies = f'"{start}" >= {as_sql(interval.start)} AND "{start}" < {as_sql(interval.end)}'
    days = f"{DAY_COLUMN} >= '{interval.start:%Y-%m-%d}' AND {DAY_COLUMN} <= '{interval.end:%Y-%m-%d}'"
    return f"({days} OR {DAY_COLUMN} IS NULL) AND (({within}) OR ({lies}))"


def as_sql(moment: datetime) -> str:
    """Return a moment as it stands in conditions."""
    return f"'{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"


def batches_of(files: Iterable[Path], day_of: str | None = None) -> pa.RecordBatchReader:
    """Return the rows of Parquet files, with all columns that any of them has.

    Args:
        day_of: the column by whose days the table is partitioned.
    """
    opened = [pyarrow.parquet.ParquetFile(file) for file in files]
    schema = pa.unify_schemas([file.schema_arrow.remove_metadata() for file in opened])
    schema = pa.schema([field.with_nullable(nullable=True).remove_metadata() for field in schema])
    if day_of:
        schema = schema.append(pa.field(DAY_COLUMN, pa.date32()))

    def batches() -> Iterator[pa.RecordBatch]:
        for file in opened:
            for batch in file.iter_batches():
                yield _with_all(batch, schema, day_of)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _with_all(batch: pa.RecordBatch, schema: pa.Schema, day_of: str | None) -> pa.RecordBatch:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    if day_of:
        columns[DAY_COLUMN] = pc.cast(columns[day_of], pa.date32())
    rows = batch.num_rows
    filled = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(filled, schema=schema)
