"""The export and the sync table as Iceberg tables: what is read of them, and the commits by which they change.

A commit of a load names its id in the properties of its snapshots. A commit fails if anybody has committed to the table
since it was read, and is tried anew on the table as it is then.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import tenacity
from dlt.common.libs.pyiceberg import is_ephemeral_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.table import Table, Transaction
from pyiceberg.transforms import DayTransform

from hauser_dlt.errors import ConfigError, TransientError
from hauser_dlt.fields import EVENT_START
from hauser_dlt.ledger.table_commits import LOAD_OF_COMMIT, Events, as_sql, batches_of
from hauser_dlt.windows import DAY

_MANY_FILES = 50
_ROWS = 250_000  # that are written at a time
_SMALL = 256 << 20  # bytes of a day that is compacted, which takes all of its rows into memory
_ONCE = {"commit.retry.num-retries": "0"}  # pyiceberg would repeat what was made for the table as it was
_SETTINGS = _ONCE | {
    "commit.manifest-merge.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",  # else each commit leaves a list of all snapshots
}
_again = tenacity.Retrying(
    retry=tenacity.retry_if_exception_type(CommitFailedException),
    stop=tenacity.stop_after_attempt(20),
    wait=tenacity.wait_random(0.05, 1),
    reraise=True,
)


class IcebergTable:
    """See `LakehouseTable`.

    Args:
        client: dlt's of files.

    Raises:
        ConfigError: there is no catalog.
    """

    def __init__(self, client: Any, name: str) -> None:
        self.name = name
        self._catalog = client.get_open_table_catalog("iceberg")
        if is_ephemeral_catalog(self._catalog):
            raise ConfigError(
                'table_format = "iceberg": a catalog is missing; set it under [iceberg_catalog.iceberg_catalog_config],'
                ' such as type = "sql", uri = "sqlite:///catalog.db"'
            )
        self._id = f"{client.dataset_name}.{name}"
        self._place = client.get_open_table_location("iceberg", name).rstrip("/")

    def open(self) -> Table | None:
        """Return the table as it is at this moment; None if there is none."""
        try:
            found: Table = self._catalog.load_table(self._id)
        except NoSuchTableError:
            return None
        return found

    def has_arrived(self, load_id: str) -> bool:
        """See `LakehouseTable`."""
        table = self.open()
        return table is not None and _has(table, load_id)

    def rows(self, columns: Iterable[str]) -> list[dict[str, Any]]:
        """See `LakehouseTable`."""
        table = self.open()
        if table is None:
            return []
        there = [name for name in columns if name in table.schema().column_names]
        rows: list[dict[str, Any]] = table.scan(selected_fields=tuple(there)).to_arrow().to_pylist()
        return rows

    def schema(self) -> pa.Schema:
        """See `LakehouseTable`."""
        table = self.open()
        return table.schema().as_arrow() if table else pa.schema([])

    def count(self) -> int:
        """See `LakehouseTable`."""
        table = self.open()
        return table.scan().count() if table else 0

    def commit(
        self,
        load_id: str,
        files: Sequence[Path],
        replaced: Events | None = None,
        may: Callable[[], None] = lambda: None,
    ) -> None:
        """See `LakehouseTable`."""
        try:
            _again(self._commit, load_id, files, replaced, may)
        except CommitFailedException as exc:
            raise TransientError(
                f"table {self.name}: other runs change it at the same time ({exc}); run again"
            ) from exc

    def _commit(self, load_id: str, files: Sequence[Path], replaced: Events | None, may: Callable[[], None]) -> None:
        reader = batches_of(files)
        table = self.open() or self._create(reader.schema)
        if table.properties.items().isdisjoint(_ONCE.items()):  # made by others
            with _one_commit(table) as changes:
                changes.set_properties(_ONCE)
        if _has(table, load_id):
            return
        may()
        with _one_commit(table) as changes:
            if set(reader.schema.names) - set(table.schema().column_names):
                with changes.update_schema() as columns:
                    columns.union_by_name(reader.schema)
            if replaced:
                changes.delete(replaced.condition(), {LOAD_OF_COMMIT: load_id})
            for rows in _tables(reader):
                changes.append(rows, {LOAD_OF_COMMIT: load_id})

    def _create(self, schema: pa.Schema) -> Table:
        """Make the table; events are partitioned by the day of their start."""
        try:
            with self._catalog.create_table_transaction(
                self._id, schema, location=self._place, properties=_SETTINGS
            ) as making:
                if EVENT_START in schema.names:
                    with making.update_spec() as parts:
                        parts.add_field(EVENT_START, DayTransform(), "day")
        except TableAlreadyExistsError:  # another run was quicker
            pass
        table: Table = self._catalog.load_table(self._id)
        return table

    def delete(self, which: str) -> None:
        """See `LakehouseTable`."""
        _again(self._delete, which)

    def _delete(self, which: str) -> None:
        if table := self.open():
            with _one_commit(table) as changes:
                changes.delete(which)

    def compact(self, day: datetime | None = None) -> None:
        """See `LakehouseTable`."""
        table = self.open()
        if table is None:
            return
        within: Any = AlwaysTrue()
        if day:
            within = f'"{EVENT_START}" >= {as_sql(day)} AND "{EVENT_START}" < {as_sql(day + DAY)}'
        files = [task.file for task in table.scan(row_filter=within).plan_files()]
        few = len(files) < (2 if day else _MANY_FILES)
        if few or sum(file.file_size_in_bytes for file in files) > _SMALL:
            return
        try:
            with _one_commit(table) as changes:
                changes.overwrite(table.scan(row_filter=within).to_arrow(), within)
        except CommitFailedException:  # rows have been replaced meanwhile
            return

    def expire(self, after: timedelta) -> None:
        """See `LakehouseTable`. Their files stay: to remove them is the work of other engines."""
        if table := self.open():
            table.maintenance.expire_snapshots().older_than(datetime.now(UTC) - after).commit()


def _has(table: Table, load_id: str) -> bool:
    summaries = (snapshot.summary for snapshot in table.snapshots())
    return any(summary and summary.additional_properties.get(LOAD_OF_COMMIT) == load_id for summary in summaries)


@contextmanager
def _one_commit(table: Table) -> Iterator[Transaction]:
    """Commit what is done inside in one piece."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Delete operation did not match any records")
        changes = table.transaction()
        yield changes
        changes.commit_transaction()


def _tables(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Yield batches, some of them together; one without rows if there are none, since a load without events commits."""
    gathered: list[pa.RecordBatch] = []
    rows = 0
    for batch in reader:
        gathered.append(batch)
        rows += batch.num_rows
        if rows >= _ROWS:
            yield pa.Table.from_batches(gathered, reader.schema)
            gathered, rows = [], 0
    if gathered or not rows:
        yield pa.Table.from_batches(gathered, reader.schema)
