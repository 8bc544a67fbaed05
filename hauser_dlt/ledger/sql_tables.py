"""The tables of the ledger at destinations that speak SQL: what they have, and the connection to ask them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.fields import EVENT_START, LOAD_ID
from hauser_dlt.ledger.model import Lease, pending_name
from hauser_dlt.ledger.sql_names import Names
from hauser_dlt.records.tables import Table, Tables
from hauser_dlt.windows import DAY, Window, floor


class SqlTables:
    """What statements need to know of the tables, and a connection.

    Attributes:
        found: the tables as they were when they were inspected.
        has_pending: whether there is a table of leases.
        sync_is_marked: whether the sync table is more than the Go hauser's: our first load adds what that lacks.
        export_is_marked: likewise.
        known_leases: as they were read while connected; None if they must be read.
    """

    def __init__(self, pipeline: dlt.Pipeline, settings: SourceSettings, tables: Tables) -> None:
        self.pipeline = pipeline
        self.settings = settings
        self.found = tables
        self.has_pending = pending_name(settings.sync_table) not in tables.missing
        self.sync_is_marked = tables.sync.column(LOAD_ID) is not None
        self.export_is_marked = tables.export.column(LOAD_ID) is not None
        self.known_leases: list[Lease] | None = None
        self._client: Any = None  # while connected

    @cached_property
    def names(self) -> Names:
        """What stands for the tables and columns in statements."""
        return Names.of(self._connection, self.settings, self.found)

    @cached_property
    def _connection(self) -> Any:
        """What opens a connection whenever it is entered; to find its settings takes dlt longer than to open it."""
        return self.pipeline.sql_client()

    @property
    def is_connected(self) -> bool:
        """Whether one connection is kept for more than one statement."""
        return self._client is not None

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Keep one connection for all statements inside."""
        if self._client:
            yield
            return
        with self._connection as client:
            self._client = client
            try:
                yield
            finally:
                self._client = self.known_leases = None

    def query(self, sql: str, *arguments: Any) -> list[Any]:
        """Return the rows of one statement; none where there are no tables yet."""
        try:
            return self.execute(sql, *arguments)
        except DatabaseUndefinedRelation:
            return []

    def execute(self, sql: str, *arguments: Any) -> list[Any]:
        """Run one statement."""
        with self.connected():
            return list(self._client.execute_sql(sql, *arguments) or ())

    def as_sync_has(self, column: str, moment: datetime) -> datetime:
        """Return a moment as it compares with a column of the sync table."""
        return _as_there(self.found.sync, column, moment)

    def end_time(self, moment: datetime) -> datetime:
        """Return a moment as it compares with the ends of windows."""
        return self.as_sync_has("BundleEndTime", moment)

    def event_time(self, moment: datetime) -> datetime:
        """Return a moment as it compares with the times of events."""
        return _as_there(self.found.export, EVENT_START, moment)

    def within(self, interval: Window) -> tuple[str, list[datetime]]:
        """Return the condition that an event lies in an interval, or has no time, and its arguments."""
        n = self.names
        bounds = [self.event_time(interval.start), self.event_time(interval.end)]
        sql = f" AND ({n.event_start} >= %s AND {n.event_start} < %s OR {n.event_start} IS NULL)"
        if self.found.export.by_ingestion:
            sql += " AND _PARTITIONTIME >= %s AND _PARTITIONTIME < %s"
            bounds += [floor(interval.start, DAY), interval.end]
        return sql, bounds


def _as_there(table: Table, name: str, moment: datetime) -> datetime:
    """Return a moment as it compares with a column: without a zone, the column's digits are those of UTC."""
    column = table.column(name) or {}
    return moment.replace(tzinfo=None) if column.get("timezone") is False else moment


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC, as which columns without a time zone are meant, the Go hauser's and ours."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def utc(moment: datetime | None) -> datetime | None:
    """Return a moment in UTC, if there is one."""
    return moment and in_utc(moment)
