"""The ledger at destinations that speak SQL.

Beside the sync table stands one with the suffix `_pending`: a row for each load that has begun and is not known
to be complete. It is empty between runs; a row that is found there tells of a load that died. In `_dlt_loads`,
dlt gives a load the status 0 once all of it has arrived.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

import dlt
import tenacity
from dlt.common.schema.utils import new_table
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from hauser_dlt.fields import EVENT_START, LOAD_ID, ROW_WINDOW
from hauser_dlt.ledger import SyncRow
from hauser_dlt.settings import SourceSettings
from hauser_dlt.source import keeps_to_windows
from hauser_dlt.tables import Table, Tables
from hauser_dlt.windows import DAY, Window, floor

# Back-fills that begin at the same moment make the same tables and columns: all but one are told that they exist.
_together = tenacity.Retrying(
    retry=tenacity.retry_if_exception_message(match=r"(?is).*(already exists|duplicate|concurrent)"),
    stop=tenacity.stop_after_attempt(8),
    wait=tenacity.wait_random(0.05, 0.5),
    reraise=True,
)


def pending_table(sync_table: str) -> Any:
    """Return the schema of the table of loads under way."""
    columns: list[Any] = [{"name": "load_id", "data_type": "text"}]
    columns += [{"name": name, "data_type": "timestamp"} for name in ("window_start", "window_end", "started_at")]
    return new_table(f"{sync_table}_pending", write_disposition="append", columns=columns)


class SqlLedger:
    """See `Ledger`. Names come from settings, where only letters, digits and _ pass."""

    def __init__(self, pipeline: dlt.Pipeline, read: SourceSettings, tables: Tables) -> None:
        self._pipeline = pipeline
        self._read = read
        self._tables = tables
        # whether the sync table is more than the Go hauser's: our first load adds what that one lacks
        self._has_our_columns = tables.sync.column(LOAD_ID) is not None

    def last(self, until: datetime) -> datetime | None:
        """See `Ledger`."""
        newest = "ORDER BY s.{BundleEndTime} DESC LIMIT 1"
        found = self._sync_rows("WHERE s.{BundleEndTime} <= %s", self._end_time(until), tail=newest)
        return found[0].end if found else None

    def inherited(self) -> datetime | None:
        """See `Ledger`."""
        where = f"WHERE {{{LOAD_ID}}} IS NULL" if self._has_our_columns else ""
        found = self._query(f"SELECT MAX({{BundleEndTime}}) FROM {{sync}} {where}")
        return _utc(found[0][0]) if found else None

    def disinherit(self, since: datetime) -> None:
        """See `Ledger`. The rows that the Go hauser wrote are those without a load id."""
        name = self._tables.export.column(LOAD_ID)
        sql = "DELETE FROM {export} WHERE {EventStart} >= %s"
        arguments = [_as_there(self._tables.export, EVENT_START, since)]
        if self._tables.export.by_ingestion:
            sql += " AND _PARTITIONTIME >= %s"
            arguments.append(floor(since, DAY))
        self._query(sql + (f" AND {{{LOAD_ID}}} IS NULL" if name else ""), *arguments)

    def owned(self, since: datetime) -> list[Window]:
        """See `Ledger`."""
        return [row.window for row in self._sync_rows("WHERE s.{BundleEndTime} > %s", self._end_time(since))]

    def rows(self) -> list[SyncRow]:
        """See `Ledger`."""
        return self._sync_rows("", tail="ORDER BY s.{BundleEndTime}", only_complete=False)

    def widened(self, stretch: Window) -> Window:
        """See `Ledger`. Rows can be taken out of a load, window by window."""
        return stretch

    def dead(self, scope: Window, now: datetime) -> list[str]:
        """See `Ledger`."""
        if not self._has_our_columns:
            return []
        announced = self._query(
            "SELECT p.{load_id} FROM {pending} p WHERE (p.{window_start} < %s AND p.{window_end} > %s"
            " OR p.{started_at} < %s) AND p.{load_id} NOT IN (SELECT {load_id} FROM {loads} WHERE {status} = 0)",
            scope.end,
            scope.start,
            now - DAY,
        )
        half_written = self._query(
            "SELECT DISTINCT s.{_dlt_load_id} FROM {sync} s WHERE s.{BundleEndTime} > %s AND s.{BundleStartTime} < %s"
            " AND s.{_dlt_load_id} NOT IN (SELECT {load_id} FROM {loads} WHERE {status} = 0)",
            self._end_time(scope.start),
            scope.end,
        )
        return sorted({load_id for (load_id,) in (*announced, *half_written)})

    def remove(self, load_ids: Collection[str]) -> None:
        """See `Ledger`. The announcement goes last, so that a kill in between is made good next time."""
        for load_id in load_ids:
            inside, bounds = self._among_events_of(self._span(load_id))
            self._query(f"DELETE FROM {{export}} WHERE {{{LOAD_ID}}} = %s{inside}", load_id, *bounds)
            self._query(f"DELETE FROM {{sync}} WHERE {{{LOAD_ID}}} = %s", load_id)
            self._query("DELETE FROM {pending} WHERE {load_id} = %s", load_id)

    def clear(self, gaps: Iterable[Window]) -> None:
        """See `Ledger`."""
        for gap in gaps:
            inside, bounds = self._among_events_of(gap)
            self._query(
                f"DELETE FROM {{export}} WHERE {{{ROW_WINDOW}}} >= %s AND {{{ROW_WINDOW}}} < %s{inside}",
                gap.start,
                gap.end,
                *bounds,
            )

    def announced(self) -> set[str]:
        """See `Ledger`."""
        return {load_id for (load_id,) in self._query("SELECT {load_id} FROM {pending}")}

    def _span(self, load_id: str) -> Window | None:
        """Return the stretch that a load was to fill, as it was announced or as its sync rows say."""
        found = self._query("SELECT {window_start}, {window_end} FROM {pending} WHERE {load_id} = %s", load_id)
        found = found or self._query(
            f"SELECT MIN({{BundleStartTime}}), MAX({{BundleEndTime}}) FROM {{sync}} WHERE {{{LOAD_ID}}} = %s", load_id
        )
        start, end = (_utc(moment) for moment in (found[0] if found else (None, None)))
        return Window(start, end) if start and end else None

    def _among_events_of(self, span: Window | None) -> tuple[str, list[datetime]]:
        """Return what keeps a statement from going through the whole export table, where a stretch tells the days."""
        if span is None or not keeps_to_windows(self._read):
            return "", []
        event_start = f"{{{EVENT_START}}}"
        bounds = [_as_there(self._tables.export, EVENT_START, moment) for moment in (span.start, span.end)]
        sql = f" AND ({event_start} >= %s AND {event_start} < %s OR {event_start} IS NULL)"
        if self._tables.export.by_ingestion:
            sql += " AND _PARTITIONTIME >= %s AND _PARTITIONTIME < %s"
            bounds += [floor(span.start, DAY), span.end]
        return sql, bounds

    def _end_time(self, moment: datetime) -> datetime:
        return _as_there(self._tables.sync, "BundleEndTime", moment)

    def announce(self, load_id: str, span: Window) -> None:
        """See `Ledger`."""
        _together(self._pipeline.sync_schema)
        self._has_our_columns = True
        columns = "{load_id}, {window_start}, {window_end}, {started_at}"
        self._execute(
            f"INSERT INTO {{pending}} ({columns}) VALUES (%s, %s, %s, %s)",
            load_id,
            span.start,
            span.end,
            datetime.now(UTC),
        )

    def settle(self) -> None:
        """See `Ledger`."""
        self._query("DELETE FROM {pending} WHERE {load_id} IN (SELECT {load_id} FROM {loads} WHERE {status} = 0)")

    def _sync_rows(self, where: str, *arguments: Any, tail: str = "", only_complete: bool = True) -> list[SyncRow]:
        if not self._has_our_columns:
            return []
        # rows without a load id are the Go hauser's: it wrote them when a bundle was loaded
        complete = "(s.{_dlt_load_id} IS NULL OR l.{load_id} IS NOT NULL)"
        if only_complete:
            where = f"{where} AND {complete}" if where else f"WHERE {complete}"
        found = self._query(
            "SELECT s.{BundleStartTime}, s.{BundleEndTime}, s.{_dlt_load_id}, s.{EventCount}, s.{Processed},"
            f" CASE WHEN {complete} THEN 1 ELSE 0 END FROM {{sync}} s LEFT JOIN"
            " (SELECT DISTINCT {load_id} FROM {loads} WHERE {status} = 0) l"
            f" ON l.{{load_id}} = s.{{_dlt_load_id}} {where} {tail}",
            *arguments,
        )
        return [
            SyncRow(_utc(start), _utc(end) or end, load_id, bool(whole), events, _utc(processed))
            for start, end, load_id, events, processed, whole in found
        ]

    def _query(self, sql: str, *arguments: Any) -> list[Any]:
        """Return the rows of one statement; none where there are no tables yet."""
        try:
            return self._execute(sql, *arguments)
        except DatabaseUndefinedRelation:
            return []

    def _execute(self, sql: str, *arguments: Any) -> list[Any]:
        """Run one statement; in it, {name} stands for a table or column."""
        with self._pipeline.sql_client() as client:
            names = _Names(client, self._read, self._tables)
            return list(client.execute_sql(sql.format_map(names), *arguments) or ())


class _Names(dict[str, str]):
    """{export}, {sync}, {pending} and {loads} are tables; whatever else is asked for is a column."""

    def __init__(self, client: Any, read: SourceSettings, there: Tables) -> None:
        sync = read.sync_table
        tables = {"export": read.export_table, "sync": sync, "pending": f"{sync}_pending", "loads": "_dlt_loads"}
        super().__init__({name: client.make_qualified_table_name(table) for name, table in tables.items()})
        self._client = client
        self._there = there

    def __missing__(self, column: str) -> str:
        return str(self._client.escape_column_name(self._there.export.spelled(self._there.sync.spelled(column))))


def _as_there(table: Table, name: str, moment: datetime) -> datetime:
    """Return a moment as it compares with a column: without a zone, the column's digits are those of UTC."""
    column = table.column(name) or {}
    return moment.replace(tzinfo=None) if column.get("timezone") is False else moment


def _utc(moment: datetime | None) -> datetime | None:
    """Return a moment in UTC, as which the Go hauser's columns without a time zone are meant."""
    return moment and (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
