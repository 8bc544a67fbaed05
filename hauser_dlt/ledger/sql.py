"""The ledger at destinations that speak SQL.

Beside the sync table stands one with the suffix `_pending`: a row for each load that has begun and is not known
to be complete. It is empty between runs; a row that is found there tells of a load that died. In `_dlt_loads`,
dlt gives a load the status 0 once all of it has arrived.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import dlt
import tenacity
from dlt.common.schema.utils import new_table
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation

from hauser_dlt.errors import LoadError, TransientError
from hauser_dlt.fields import EVENT_START, LOAD_ID, ROW_WINDOW, SCHEMA_NAME
from hauser_dlt.ledger import load_ids, process_id
from hauser_dlt.ledger.model import (
    CLOCKS_DIFFER,
    FIRST_YEAR,
    LAST_YEAR,
    Announcement,
    Findings,
    Sent,
    SyncRow,
    is_ahead,
    is_well_formed,
    superseded,
)
from hauser_dlt.settings import SourceSettings
from hauser_dlt.tables import Table, Tables
from hauser_dlt.windows import DAY, MOMENT, Window, floor, united

# Back-fills that begin at the same moment make the same tables and columns: all but one are told that they exist.
_together = tenacity.Retrying(
    retry=tenacity.retry_if_exception_message(match=r"(?is).*(already exists|duplicate|concurrent)"),
    stop=tenacity.stop_after_attempt(8),
    wait=tenacity.wait_random(0.05, 0.5),
    reraise=True,
)


_LOAD_ID = "__________.%"
LOADS = "_dlt_loads"
_ENDS = ("BundleEndTime", "BundleStartTime")
_NOTED = "SELECT {load_id} FROM {pending} WHERE {load_id} IS NOT NULL"
_COMPLETE = "SELECT DISTINCT {load_id} FROM {loads} WHERE {status} = 0"


def pending_name(sync_table: str) -> str:
    """Return the name of the table of loads under way."""
    return f"{sync_table}_pending"


def pending_table(sync_table: str) -> Any:
    """Return the schema of the table of loads under way."""
    columns: list[Any] = [{"name": name, "data_type": "text"} for name in ("load_id", "runner")]
    columns += [{"name": name, "data_type": "timestamp"} for name in ("window_start", "window_end", "seen_at")]
    return new_table(pending_name(sync_table), write_disposition="append", columns=columns)


class SqlLedger:
    """See `Ledger`. Names come from settings, where only letters, digits and _ pass."""

    def __init__(self, pipeline: dlt.Pipeline, read: SourceSettings, tables: Tables, now: datetime) -> None:
        self._pipeline = pipeline
        self._read = read
        self._tables = tables
        self._client: Any = None  # while connected, and what was then read
        self._read_announcements: list[Announcement] | None = None
        self._made: str | None = None  # the version of the schema whose tables and columns have been made
        self._now = now
        self._has_pending = pending_name(read.sync_table) not in tables.missing
        # whether the tables are more than the Go hauser's: our first load adds what those lack
        self._rows_are_marked, self._events_are_marked = (
            table.column(LOAD_ID) is not None for table in (tables.sync, tables.export)
        )

    @cached_property
    def _lacks_loads(self) -> bool:
        """Whether `_dlt_loads` has been dropped or emptied, so that it tells nothing of the loads that there are."""
        return self._rows_are_marked and (LOADS in self._tables.missing or not self._found[1])

    @property
    def _complete(self) -> str:
        """The query for the ids of complete loads.

        Without `_dlt_loads`, those are complete of which no note is left, since it goes last. If the notes are gone,
        too, those whose events are all there.
        """
        if not self._lacks_loads:
            return _COMPLETE
        load_id, rows = f"{{{LOAD_ID}}}", f"FROM {{sync}} WHERE {{{LOAD_ID}}} IS NOT NULL"
        if self._has_pending:
            return f"SELECT DISTINCT {load_id} AS {{load_id}} {rows} AND {load_id} NOT IN ({_NOTED})"
        counted = f"SELECT {load_id}, SUM({{EventCount}}) AS told {rows} GROUP BY {load_id}"
        there = f"SELECT {load_id}, COUNT(*) AS events FROM {{export}} GROUP BY {load_id}"
        if not self._events_are_marked:
            return f"SELECT c.{load_id} AS {{load_id}} FROM ({counted}) c WHERE COALESCE(c.told, 0) = 0"
        return (
            f"SELECT c.{load_id} AS {{load_id}} FROM ({counted}) c LEFT JOIN ({there}) e"
            f" ON e.{load_id} = c.{load_id} WHERE COALESCE(c.told, 0) = COALESCE(e.events, 0)"
        )

    def findings(self) -> Findings:
        """See `Ledger`."""
        return self._found[0]

    @cached_property
    def _found(self) -> tuple[Findings, bool]:
        """What is wrong, and whether there is any load in `_dlt_loads`: all of it in one question."""
        if not self._rows_are_marked:
            return Findings(), True
        ahead, moments = self._is_ahead()
        spoiled, before = self._is_spoiled()
        noted = f" AND s.{{{LOAD_ID}}} NOT IN ({_NOTED})" if self._has_pending else ""
        ((bad, future, until, brought, twice, loads, events),) = self._execute(
            f"SELECT SUM(CASE WHEN {spoiled} THEN 1 ELSE 0 END), SUM(CASE WHEN {ahead} THEN 1 ELSE 0 END),"
            f" MAX(CASE WHEN {ahead} AND s.{{BundleEndTime}} < %s THEN s.{{BundleEndTime}} END),"
            f" SUM(CASE WHEN s.{{{LOAD_ID}}} IS NOT NULL{noted} THEN s.{{EventCount}} ELSE 0 END),"
            " (SELECT COUNT(*) FROM (SELECT 1 AS one FROM {sync} GROUP BY {BundleStartTime}, {BundleEndTime},"
            f" {{{LOAD_ID}}} HAVING COUNT(*) > 1) d), {self._any('loads', LOADS)},"
            f" {self._any('export', self._read.export_table)} FROM {{sync}} s",
            *before,
            *moments,
            *moments,
            self._end_time(LAST_YEAR),
        )
        lost = 0 if events else int(brought or 0)
        return Findings(int(bad or 0) + twice, int(future or 0), _utc(until), lost), bool(loads)

    def forget_future(self) -> None:
        """See `Ledger`."""
        if self.findings().future:
            ahead = "({BundleEndTime} > %s OR {Processed} > %s)"
            self._query(
                f"DELETE FROM {{sync}} WHERE {{{LOAD_ID}}} IS NOT NULL AND {ahead}",
                self._end_time(self._now + CLOCKS_DIFFER),
                self._written_by_now(),
            )

    def _written_by_now(self) -> datetime:
        return _as_there(self._tables.sync, "Processed", datetime.now(UTC) + CLOCKS_DIFFER)

    def _any(self, table: str, name: str) -> str:
        """Return the question whether a table has rows."""
        return (
            "0"
            if name in self._tables.missing
            else f"(SELECT COUNT(*) FROM (SELECT 1 AS one FROM {{{table}}} LIMIT 1) t)"
        )

    def _is_ahead(self) -> tuple[str, list[datetime]]:
        """Return the condition that a row tells of the future, and its arguments. See `is_ahead`."""
        condition = f"(s.{{BundleEndTime}} > %s OR (s.{{{LOAD_ID}}} IS NOT NULL AND s.{{Processed}} > %s))"
        return condition, [self._end_time(self._now + CLOCKS_DIFFER), self._written_by_now()]

    def _is_spoiled(self) -> tuple[str, list[datetime]]:
        """Return the condition that no load can have written a row. See `is_well_formed`."""
        condition = (
            f"(s.{{BundleEndTime}} IS NULL OR s.{{BundleEndTime}} < %s OR s.{{BundleStartTime}} < %s"
            f" OR (s.{{{LOAD_ID}}} IS NOT NULL AND s.{{BundleStartTime}} IS NULL)"
        )
        zones = {(self._tables.sync.column(name) or {}).get("timezone") is False for name in _ENDS}
        condition += " OR s.{BundleStartTime} >= s.{BundleEndTime})" if len(zones) == 1 else ")"
        return condition, [_as_there(self._tables.sync, name, FIRST_YEAR) for name in _ENDS]

    def first(self) -> datetime | None:
        """See `Ledger`."""
        oldest = "ORDER BY s.{BundleStartTime} LIMIT 1"
        found = self._sync_rows("s.{BundleStartTime} IS NOT NULL", tail=oldest)
        return found[0].start if found else None

    def last(self, until: datetime) -> datetime | None:
        """See `Ledger`."""
        ahead, moments = self._is_ahead()
        newest = f"ORDER BY s.{{BundleEndTime}} DESC LIMIT {_SOME}"
        where = f"s.{{BundleEndTime}} <= %s AND NOT COALESCE({ahead}, FALSE)"
        found = self._sync_rows(where, self._end_time(until), *moments, tail=newest)
        return found[0].end if found else None

    def inherited(self) -> datetime | None:
        """See `Ledger`."""
        where = f" AND {{{LOAD_ID}}} IS NULL" if self._rows_are_marked else ""
        until = self._end_time(self._now + CLOCKS_DIFFER)
        found = self._query(f"SELECT MAX({{BundleEndTime}}) FROM {{sync}} WHERE {{BundleEndTime}} <= %s{where}", until)
        return _utc(found[0][0]) if found else None

    def disinherit(self, since: datetime, until: datetime | None = None) -> None:
        """See `Ledger`. The rows that the Go hauser wrote are those without a load id."""
        conditions = ["{EventStart} >= %s"]
        arguments = [_as_there(self._tables.export, EVENT_START, since)]
        if self._tables.export.by_ingestion:
            conditions.append("_PARTITIONTIME >= %s")
            arguments.append(floor(since, DAY))
        if until:
            conditions.append("{EventStart} < %s")
            arguments.append(_as_there(self._tables.export, EVENT_START, until))
        if self._events_are_marked:
            conditions.append(f"{{{LOAD_ID}}} IS NULL")
        self._query(f"DELETE FROM {{export}} WHERE {' AND '.join(conditions)}", *arguments)

    def owned(self, stretch: Window) -> list[Window]:
        """See `Ledger`."""
        found = self._sync_rows("s.{BundleEndTime} > %s", self._end_time(stretch.start))
        return [row.window for row in found if row.owns]

    def rows(self, within: Window | None = None) -> list[SyncRow]:
        """See `Ledger`."""
        if within is None:
            return self._sync_rows("", tail="ORDER BY s.{BundleEndTime}", only_complete=False)
        touching = "s.{BundleEndTime} > %s AND (s.{BundleStartTime} < %s OR s.{BundleStartTime} IS NULL)"
        found = self._sync_rows(touching, self._end_time(within.start), within.end, only_complete=False)
        return sorted((row for row in found if row.start or row.end <= within.end), key=lambda row: row.end)

    def is_complete(self, load_id: str) -> bool:
        """See `Ledger`. dlt restores the state of no other load."""
        return True

    def whole(self, stretch: Window) -> Window:
        """See `Ledger`."""
        windows = [row.window for row in self.rows(stretch) if row.complete and row.start]
        return Window(min([stretch.start, *(w.start for w in windows)]), max([stretch.end, *(w.end for w in windows)]))

    def widened(self, stretch: Window) -> Window:
        """See `Ledger`. Rows can be taken out of a load, window by window."""
        return stretch

    def orphans(self, scope: Window, old_before: datetime | None) -> list[str]:
        """See `Ledger`."""
        if not self._rows_are_marked:
            return []
        noted = f" AND s.{{{LOAD_ID}}} NOT IN ({_NOTED})" if self._has_pending else ""
        half_written = self._query(
            f"SELECT DISTINCT s.{{{LOAD_ID}}} FROM {{sync}} s WHERE s.{{BundleEndTime}} > %s"
            f" AND s.{{BundleStartTime}} < %s AND s.{{{LOAD_ID}}} NOT IN ({self._complete}){noted}",
            self._end_time(scope.start),
            scope.end,
        )
        return sorted(load_id for (load_id,) in half_written)

    def remove(self, load_ids: Collection[str]) -> None:
        """See `Ledger`. The announcement goes last, so that a kill in between is made good next time."""
        for load_id in load_ids:
            inside, bounds = self._among_events_of(self._span(load_id))
            self._query(f"DELETE FROM {{export}} WHERE {{{LOAD_ID}}} = %s{inside}", load_id, *bounds)
            self._query(f"DELETE FROM {{sync}} WHERE {{{LOAD_ID}}} = %s", load_id)
            self._query("DELETE FROM {pending} WHERE {load_id} = %s", load_id)
            self._read_announcements = None

    def clear(self, gaps: Iterable[Window]) -> None:
        """See `Ledger`."""
        for gap in gaps if self._events_are_marked else ():
            inside, bounds = self._among_events_of(gap)
            which, moments = f"{{{ROW_WINDOW}}} >= %s AND {{{ROW_WINDOW}}} < %s", [gap.start, gap.end]
            if self._read.keeps_to_windows:  # a sync row may have been altered, so that other windows hold the events
                which += f" OR {{{LOAD_ID}}} IS NOT NULL AND {{{EVENT_START}}} >= %s AND {{{EVENT_START}}} < %s"
                moments += [_as_there(self._tables.export, EVENT_START, moment) for moment in (gap.start, gap.end)]
            self._query(f"DELETE FROM {{export}} WHERE ({which}){inside}", *moments, *bounds)

    def announced(self) -> list[Announcement]:
        """See `Ledger`."""
        self._read_announcements = None
        return [row for row in self._announced() if not row.complete]

    def _announced(self) -> list[Announcement]:
        """Return all loads that have begun; while connected, the table is read once."""
        if self._read_announcements is None:
            found = self._query(
                "SELECT p.{load_id}, MIN(p.{window_start}), MAX(p.{window_end}), MAX(p.{runner}), MAX(p.{seen_at}),"
                f" MAX(CASE WHEN p.{{load_id}} IN ({self._complete}) THEN 1 ELSE 0 END), COUNT(*) FROM {{pending}} p"
                " GROUP BY p.{load_id}"
            )
            announced = [
                Announcement(
                    load_id, Window(_in_utc(start), _in_utc(end)), runner, _in_utc(seen), bool(complete), beats
                )
                for load_id, start, end, runner, seen, complete, beats in found
            ]
            if self._client is None:
                return announced
            self._read_announcements = announced
        return self._read_announcements

    def newest_load(self, interval: Window) -> float:
        """See `Ledger`. The pattern leaves out what is no load id."""
        highest = f"SELECT MAX(c.{{load_id}}) FROM ({self._complete}) c WHERE c.{{load_id}} LIKE %s"
        ((newest,),) = self._query(highest, _LOAD_ID) or [(None,)]
        return max(map(load_ids.number, (newest, *(row.load_id for row in self._announced()))))

    def _span(self, load_id: str) -> Window | None:
        """Return the stretch that a load was to fill, as it was announced or as its sync rows say."""
        announced = [row.span for row in self._announced() if row.load_id == load_id]
        if announced:
            return announced[0]
        ((start, end),) = self._query(
            f"SELECT MIN({{BundleStartTime}}), MAX({{BundleEndTime}}) FROM {{sync}} WHERE {{{LOAD_ID}}} = %s", load_id
        ) or [(None, None)]
        return Window(_in_utc(start), _in_utc(end)) if start and end else None

    def _among_events_of(self, span: Window | None) -> tuple[str, list[datetime]]:
        """Return what keeps a statement from going through the whole export table, where a stretch tells the days."""
        return self._within(span) if span and self._read.keeps_to_windows else ("", [])

    def _within(self, span: Window) -> tuple[str, list[datetime]]:
        """Return the condition that an event lies in a stretch, or has no time."""
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
        """See `Ledger`. Rows are only added: of updates, warehouses let one at a time touch a table."""
        if self._made != (version := self._pipeline.default_schema.stored_version_hash):
            _together(self._make_tables)
            self._rows_are_marked = self._events_are_marked = self._has_pending = True
            self._made = version
        with self.connected():
            self._execute(
                "INSERT INTO {pending} ({load_id}, {runner}, {window_start}, {window_end}, {seen_at})"
                " VALUES (%s, %s, %s, %s, %s)",
                load_id,
                process_id.this(),
                span.start,
                span.end,
                datetime.now(UTC),
            )
            ((noted,),) = self._execute("SELECT COUNT(*) FROM {pending} WHERE {load_id} = %s", load_id)
        if not noted:  # nothing has been loaded yet
            raise _differing(pending_name(self._read.sync_table), load_id, 1, 0)

    def _make_tables(self) -> None:
        """Make what is missing; dlt by itself does not look for tables once it has noted that it made them."""
        lacked_loads, complete = self._lacks_loads, self._complete
        with self._pipeline.destination_client() as client:
            client.initialize_storage()
            client.update_stored_schema(force=bool(self._tables.missing))
        if lacked_loads:
            self._execute(
                "INSERT INTO {loads} ({load_id}, {schema_name}, {status}, {inserted_at}, {schema_version_hash})"
                f" SELECT c.{{load_id}}, %s, 0, %s, %s FROM ({complete}) c",
                SCHEMA_NAME,
                datetime.now(UTC),
                self._pipeline.default_schema.stored_version_hash,
            )
            self._lacks_loads = False

    def settle(self, load_id: str | None = None) -> None:
        """See `Ledger`. The announcement goes last, so that a kill in between is made good next time."""
        self._read_announcements = None
        announced = {row.load_id: row for row in self._announced()}
        if load_id and load_id not in announced:
            self.remove([load_id])
            raise TransientError(f"another run has taken load {load_id} for dead; run again")
        if load_id and not announced[load_id].complete:
            raise _differing("_dlt_loads", load_id, 1, 0)
        for done in [announced[load_id]] if load_id else [row for row in announced.values() if row.complete]:
            self._supersede(done.span)
            self._query("DELETE FROM {pending} WHERE {load_id} = %s", done.load_id)
            self._read_announcements = None

    def _supersede(self, span: Window) -> None:
        """Remove what has been loaded again within a stretch. The sync rows go last."""
        gone: dict[str | None, list[Window]] = {}
        for row in superseded(row for row in self.rows(span) if row.complete):
            gone.setdefault(row.load_id, []).append(row.window)
        if gone:
            self._delete_unowned(span)
        if hausers := gone.pop(None, None):
            until = max(window.end for window in hausers)
            self.disinherit(span.start, until)
            self._forget(f"{{{LOAD_ID}}} IS NULL", Window(span.start, until))
        for load_id, windows in ((load_id, windows) for load_id, windows in gone.items() if load_id):
            for stretch in united(windows):
                self._delete_events(stretch, load_id)
                self._forget(f"{{{LOAD_ID}}} = %s", stretch, load_id)

    def _delete_events(self, windows: Window, load_id: str, days: Window | None = None) -> None:
        """Delete the events of adjoining windows that a load has brought.

        Args:
            days: where they lie; without it, within the windows.
        """
        inside, bounds = self._among_events_of(days or windows)
        self._query(
            f"DELETE FROM {{export}} WHERE {{{ROW_WINDOW}}} >= %s AND {{{ROW_WINDOW}}} < %s"
            f" AND {{{LOAD_ID}}} = %s{inside}",
            windows.start,
            windows.end,
            load_id,
            *bounds,
        )

    def _delete_unowned(self, span: Window) -> None:
        """Delete the events of adjoining windows that complete loads have brought whose sync rows somebody altered."""
        inside, bounds = self._among_events_of(span)
        there = self._query(
            f"SELECT DISTINCT {{{LOAD_ID}}}, {{{ROW_WINDOW}}} FROM {{export}} WHERE {{{ROW_WINDOW}}} >= %s"
            f" AND {{{ROW_WINDOW}}} < %s AND {{{LOAD_ID}}} IN ({self._complete}){inside}",
            span.start,
            span.end,
            *bounds,
        )
        rows = [row for row in self.rows(span) if row.start]  # read after that: what is complete has its rows
        for load_id, moment in there:
            begin = _in_utc(moment)
            if not any(row.load_id == load_id and begin in row.window for row in rows):
                self._delete_events(Window(begin, begin + MOMENT), load_id, span)

    def _forget(self, which: str, windows: Window, *arguments: str) -> None:
        """Delete the sync rows of adjoining windows."""
        self._query(
            f"DELETE FROM {{sync}} WHERE {which} AND {{BundleEndTime}} > %s AND {{BundleEndTime}} <= %s",
            *arguments,
            self._end_time(windows.start),
            self._end_time(windows.end),
        )

    def make_sure_of(self, sent: Sent, load_id: str, at: Any) -> None:
        """Compare what has arrived of a load with what was sent: a trigger, a rule or a policy may have altered it.

        Args:
            at: dlt's client of the destination, connected.

        Raises:
            LoadError: it differs.
        """
        count, arguments = self._counted(sent, load_id)
        if hasattr(at, "alters_rows"):
            count = f"CASE WHEN {at.alters_rows(self._read.export_table).replace('%', '%%')} THEN ({count}) END"
        found = at.sql_client.execute_sql(
            f"SELECT s.{{BundleStartTime}}, s.{{BundleEndTime}}, s.{{EventCount}}, ({count}) FROM {{sync}} s"
            f" WHERE s.{{{LOAD_ID}}} = %s".format_map(_Names(at.sql_client, self._read, self._tables)),
            *arguments,
            load_id,
        )
        windows = sorted((_in_utc(start), _in_utc(end), events) for start, end, events, _ in found if start and end)
        expected = sorted((window.start, window.end, events) for window, events in sent.windows.items())
        different = {events for *_, events in found} - {None, sent.events}
        if windows == expected and not different:
            return
        with suppress(DatabaseException):  # the next run knows where events should be, and not where they are
            self._query(f"DELETE FROM {{export}} WHERE {{{LOAD_ID}}} = %s", load_id)
        if windows != expected:
            raise _differing(self._read.sync_table, load_id, len(expected), len(found))
        raise _differing(self._read.export_table, load_id, sent.events, different.pop())

    def _counted(self, sent: Sent, load_id: str) -> tuple[str, list[Any]]:
        """Return what counts the events of a load, and its arguments."""
        reach = sent.reach
        inside, bounds = self._within(reach)
        among = f"{{{LOAD_ID}}} = %s AND {{{ROW_WINDOW}}} >= %s AND {{{ROW_WINDOW}}} < %s{inside}"
        return f"SELECT COUNT(*) FROM {{export}} WHERE {among}", [load_id, reach.start, reach.end, *bounds]

    @contextmanager
    def connected(self) -> Iterator[None]:
        """See `Ledger`."""
        if self._client:
            yield
            return
        with self._connection as client:
            self._client = client
            try:
                yield
            finally:
                self._client = self._read_announcements = None

    @cached_property
    def _connection(self) -> Any:
        """What opens a connection whenever it is entered; to find its settings takes dlt longer than to open it."""
        return self._pipeline.sql_client()

    def _sync_rows(self, where: str, *arguments: Any, tail: str = "", only_complete: bool = True) -> list[SyncRow]:
        """Return the well-formed rows, none twice."""
        if not self._rows_are_marked:
            return []
        # rows without a load id are the Go hauser's: it wrote them when a bundle was loaded
        complete = "(s.{_dlt_load_id} IS NULL OR l.{load_id} IS NOT NULL)"
        conditions = ["s.{BundleEndTime} >= %s AND s.{BundleEndTime} < %s", where, complete if only_complete else ""]
        found = self._query(
            f"SELECT {_readable('BundleStartTime')}, s.{{BundleEndTime}}, s.{{_dlt_load_id}}, s.{{EventCount}},"
            f" {_readable('Processed')}, CASE WHEN {complete} THEN 1 ELSE 0 END FROM {{sync}} s LEFT JOIN"
            f" ({self._complete}) l ON l.{{load_id}} = s.{{_dlt_load_id}}"
            f" WHERE {' AND '.join(filter(None, conditions))} {tail}",
            *(_as_there(self._tables.sync, name, year) for name in _READABLE for year in (FIRST_YEAR, LAST_YEAR)),
            *arguments,
        )
        rows = (
            SyncRow(_utc(start), _in_utc(end), load_id, bool(whole), events, _utc(processed))
            for start, end, load_id, events, processed, whole in found
        )
        sound = (replace(row, ahead=is_ahead(row, self._now)) for row in rows if is_well_formed(row))
        return list({(row.window, row.load_id): row for row in sound}.values())

    def _query(self, sql: str, *arguments: Any) -> list[Any]:
        """Return the rows of one statement; none where there are no tables yet."""
        try:
            return self._execute(sql, *arguments)
        except DatabaseUndefinedRelation:
            return []

    def _execute(self, sql: str, *arguments: Any) -> list[Any]:
        """Run one statement; in it, {name} stands for a table or column."""
        with self.connected():
            client: Any = self._client
            names = _Names(client, self._read, self._tables)
            return list(client.execute_sql(sql.format_map(names), *arguments) or ())


_SOME = 20  # rows, of which some may be spoiled
_READABLE = ("BundleStartTime", "Processed", "BundleEndTime")


def _readable(column: str) -> str:
    """Return a column of times, as NULL where a driver could not read it."""
    return f"CASE WHEN s.{{{column}}} >= %s AND s.{{{column}}} < %s THEN s.{{{column}}} END"


class _Names(dict[str, str]):
    """{export}, {sync}, {pending} and {loads} are tables; whatever else is asked for is a column."""

    def __init__(self, client: Any, read: SourceSettings, there: Tables) -> None:
        sync = read.sync_table
        tables = {"export": read.export_table, "sync": sync, "pending": pending_name(sync), "loads": LOADS}
        super().__init__({name: client.make_qualified_table_name(table) for name, table in tables.items()})
        self._client = client
        self._there = there

    def __missing__(self, column: str) -> str:
        return str(self._client.escape_column_name(self._there.export.spelled(self._there.sync.spelled(column))))


def _differing(table: str, load_id: str, sent: int, arrived: int) -> LoadError:
    numbers = f"{sent:,} rows were sent, and {arrived:,} arrived" if sent != arrived else "its rows are not those sent"
    return LoadError(
        f"table {table}: {numbers} (load {load_id}); a trigger, rule, policy or loading option of yours alters what is"
        " loaded: remove it, and run again, which loads these windows anew"
    )


def _as_there(table: Table, name: str, moment: datetime) -> datetime:
    """Return a moment as it compares with a column: without a zone, the column's digits are those of UTC."""
    column = table.column(name) or {}
    return moment.replace(tzinfo=None) if column.get("timezone") is False else moment


def _in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC, as which columns without a time zone are meant, the Go hauser's and ours."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _utc(moment: datetime | None) -> datetime | None:
    return moment and _in_utc(moment)
