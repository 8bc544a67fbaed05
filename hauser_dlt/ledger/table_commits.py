"""What the commits to tables of a lakehouse have in common, whatever their format."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import tenacity

from hauser_dlt.errors import TransientError
from hauser_dlt.windows import Window

LOAD_OF_COMMIT = "hauser_dlt_load_id"
"""The property of a commit that names its load."""
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Events:
    """The events of an interval: those that windows there brought, or that lie there.

    By a sync row that was altered, windows that begin before the interval may hold events of it.

    Attributes:
        window: the column of the window that brought an event.
        start: the column of its time.
        keeps_to_windows: events lie within their windows.
    """

    interval: Window
    window: str
    start: str
    keeps_to_windows: bool

    def condition(self) -> str:
        """Return what they fulfil, in SQL."""
        brought = self._within(self.window)
        return f"({brought}) OR ({self._within(self.start)})" if self.keeps_to_windows else brought

    def _within(self, column: str) -> str:
        return f'"{column}" >= {as_sql(self.interval.start)} AND "{column}" < {as_sql(self.interval.end)}'


class LakehouseTable(ABC):
    """A table whose commits name their loads.

    Attributes:
        failures: what is raised where others were quicker, or where the answer to a commit was lost.
    """

    name: str
    failures: ClassVar[tuple[type[Exception], ...]]

    @abstractmethod
    def has_arrived(self, load_id: str) -> bool:
        """Tell whether a load has been committed to the table."""

    @abstractmethod
    def rows(self, columns: Iterable[str]) -> list[dict[str, Any]]:
        """Return some columns of all rows."""

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Return the columns; none if there is no table."""

    @abstractmethod
    def count(self) -> int:
        """Return how many rows there are."""

    def commit(
        self,
        load_id: str,
        files: Sequence[Path],
        replaced: Events | None = None,
        may: Callable[[], None] = lambda: None,
    ) -> None:
        """Add what a load has brought, in one commit that names it; a commit whose answer was lost is found.

        Args:
            files: Parquet, with the rows.
            replaced: the events that go with that very commit.
            may: raises if the load must not be committed, as it is seen after the table has been read.

        Raises:
            TransientError: others have changed the table, time and again.
        """
        self._again(self._commit, load_id, files, replaced, may)

    def delete(self, which: str) -> None:
        """Delete rows.

        Raises:
            TransientError: as above.
        """
        self._again(self._delete, which)

    @abstractmethod
    def compact(self, day: datetime | None = None) -> None:
        """Make one file of a day's many, or of all that there are; or leave that to others."""

    @abstractmethod
    def expire(self, after: timedelta) -> None:
        """Forget versions that are older than so long."""

    @abstractmethod
    def _commit(self, load_id: str, files: Sequence[Path], replaced: Events | None, may: Callable[[], None]) -> None:
        """Do so once, on the table as it is then, unless it has been done."""

    @abstractmethod
    def _delete(self, which: str) -> None:
        """Do so once, on the table as it is then."""

    def _again(self, change: Callable[..., None], *what: Any) -> None:
        trying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(self.failures),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random(0.05, 1),
            reraise=True,
        )
        try:
            trying(change, *what)
        except self.failures as exc:
            raise TransientError(
                f"table {self.name}: other runs change it at the same time ({exc}); run again"
            ) from exc


def as_sql(moment: datetime) -> str:
    """Return a moment as it stands in conditions."""
    return f"'{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}+00:00'"


def batches_of(files: Sequence[Path], days: tuple[str, str] | None = None) -> pa.RecordBatchReader:
    """Return the rows of Parquet files, with all columns that any of them has.

    Args:
        days: a column of times, and what a column is to be called of their days.
    """
    opened = [pyarrow.parquet.ParquetFile(file) for file in files]
    schema = pa.unify_schemas([file.schema_arrow.remove_metadata() for file in opened])
    schema = pa.schema([field.with_nullable(nullable=True).remove_metadata() for field in schema])
    if days:
        schema = schema.append(pa.field(days[1], pa.date32()))

    def batches() -> Iterator[pa.RecordBatch]:
        for file in opened:
            for batch in file.iter_batches():
                yield _with_all(batch, schema, days)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _with_all(batch: pa.RecordBatch, schema: pa.Schema, days: tuple[str, str] | None) -> pa.RecordBatch:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    if days:
        columns[days[1]] = pc.cast(columns[days[0]], pa.date32())
    rows = batch.num_rows
    filled = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(filled, schema=schema)
