"""The export and the sync table as Iceberg tables: what is read of them, and the commits by which they change.

A commit of a load names its id in the properties of its snapshots. A commit fails if anybody has committed to the table
since it was read, and is tried anew on the table as it is then.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from dlt.common.libs.pyiceberg import is_ephemeral_catalog
from pydantic import ValidationError
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    ForbiddenError,
    NoSuchNamespaceError,
    NoSuchTableError,
    NotInstalledError,
    OAuthError,
    TableAlreadyExistsError,
    UnauthorizedError,
)
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.table import Table, Transaction
from pyiceberg.transforms import DayTransform

from hauser_dlt.dlt_internals import keep_written
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import EVENT_START
from hauser_dlt.ledger.table_commits import LOAD_OF_COMMIT, Events, LakehouseTable, as_sql, batches_of
from hauser_dlt.redaction import error_line
from hauser_dlt.windows import DAY

_SETTINGS_OF_CATALOG = "[iceberg_catalog.iceberg_catalog_config]"
_UNUSABLE = (
    ForbiddenError,
    ImportError,
    NoSuchNamespaceError,
    NotInstalledError,
    OAuthError,
    UnauthorizedError,
    ValueError,
)
_MANY_FILES = 50
_ROWS = 250_000  # that are written at a time
_SMALL = 256 << 20  # bytes of a day that is compacted, which takes all of its rows into memory
_ONCE = {"commit.retry.num-retries": "0"}  # pyiceberg would repeat what was made for the table as it was
_SETTINGS = _ONCE | {
    "commit.manifest-merge.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",  # else each commit leaves a list of all snapshots
}


class IcebergTable(LakehouseTable):
    """See `LakehouseTable`.

    Args:
        client: dlt's of files.

    Raises:
        ConfigError: there is no catalog.
    """

    failures = (CommitFailedException, CommitStateUnknownException)

    def __init__(self, client: Any, name: str) -> None:
        self.name = name
        self._catalog = _catalog_of(client)
        if is_ephemeral_catalog(self._catalog):
            raise ConfigError(
                f'table_format = "iceberg": a catalog is missing; set it under {_SETTINGS_OF_CATALOG},'
                ' such as type = "sql", uri = "sqlite:///catalog.db", warehouse = "lakehouse"'
            )
        self._id = f"{client.dataset_name}.{name}"
        place: str = client.get_open_table_location("iceberg", name).rstrip("/")
        self._place = None if isinstance(self._catalog, RestCatalog) else place  # such a one has a place of its own

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
        with suppress(*self.failures), _one_commit(table) as changes:  # rows may have been replaced meanwhile
            changes.overwrite(table.scan(row_filter=within).to_arrow(), within)

    def expire(self, after: timedelta) -> None:
        """See `LakehouseTable`. Their files stay: to remove them is the work of other engines."""
        if table := self.open():
            with suppress(*self.failures):  # another run changes the table: next time, then
                table.maintenance.expire_snapshots().older_than(datetime.now(UTC) - after).commit()


def _catalog_of(client: Any) -> Any:
    """Return the catalog that the settings name, of pyiceberg's."""
    try:
        return client.get_open_table_catalog("iceberg")
    except ValidationError as exc:  # of dlt, which reads the settings
        names = ", ".join(str(error["loc"][0]) for error in exc.errors())
        raise ConfigError(f"the Iceberg catalog lacks {names}: set that under {_SETTINGS_OF_CATALOG}") from None
    except _UNUSABLE as exc:
        told = error_line(exc)
        raise ConfigError(f"the Iceberg catalog cannot be used: {told}; look at {_SETTINGS_OF_CATALOG}") from None


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
        keep_written(changes)
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
