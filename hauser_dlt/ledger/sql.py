"""The ledger at destinations that speak SQL."""

from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

import dlt

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.ledger import load_ids
from hauser_dlt.ledger.model import (
    CLOCKS_DIFFER,
    FIRST_YEAR,
    LAST_YEAR,
    Findings,
    Sent,
    SyncRow,
    is_ahead,
    is_well_formed,
)
from hauser_dlt.ledger.sql_arrival import verify_arrival
from hauser_dlt.ledger.sql_cleanup import SqlCleanup
from hauser_dlt.ledger.sql_inspection import Inspection
from hauser_dlt.ledger.sql_leases import SqlLeases
from hauser_dlt.ledger.sql_tables import SqlTables, in_utc, utc
from hauser_dlt.records.tables import Tables
from hauser_dlt.windows import Window

_LOAD_ID = "__________.%"
_SOME = 20  # rows, of which some may be malformed


class SqlLedger:
    """See `Ledger`.

    Args:
        now: what lies after it counts for nothing.
    """

    def __init__(self, pipeline: dlt.Pipeline, settings: SourceSettings, tables: Tables, now: datetime) -> None:
        self._tables = SqlTables(pipeline, settings, tables)
        self._inspection = Inspection(self._tables, now)
        self._now = now
        self.leases = SqlLeases(self._tables, self._inspection)
        self.cleanup = SqlCleanup(self._tables, self._inspection, self.leases, self.rows)

    def connected(self) -> AbstractContextManager[None]:
        """See `Ledger`."""
        return self._tables.connected()

    def findings(self) -> Findings:
        """See `Ledger`."""
        return self._inspection.findings

    def first(self) -> datetime | None:
        """See `Ledger`."""
        n = self._tables.names
        found = self._sync_rows(f"s.{n.start} IS NOT NULL", tail=f"ORDER BY s.{n.start} LIMIT 1")
        return found[0].start if found else None

    def last(self, until: datetime) -> datetime | None:
        """See `Ledger`."""
        n = self._tables.names
        ahead, moments = self._inspection.ahead()
        where = f"s.{n.end} <= %s AND NOT COALESCE({ahead}, FALSE)"
        newest = f"ORDER BY s.{n.end} DESC LIMIT {_SOME}"
        found = self._sync_rows(where, self._tables.end_time(until), *moments, tail=newest)
        return found[0].end if found else None

    def legacy_sync_point(self) -> datetime | None:
        """See `Ledger`."""
        n = self._tables.names
        where = f" AND {n.sync_load} IS NULL" if self._tables.sync_is_marked else ""
        until = self._tables.end_time(self._now + CLOCKS_DIFFER)
        found = self._tables.query(f"SELECT MAX({n.end}) FROM {n.sync} WHERE {n.end} <= %s{where}", until)
        return utc(found[0][0]) if found else None

    def owned(self, interval: Window) -> list[Window]:
        """See `Ledger`."""
        found = self._sync_rows(f"s.{self._tables.names.end} > %s", self._tables.end_time(interval.start))
        return [row.window for row in found if row.owns]

    def rows(self, within: Window | None = None) -> list[SyncRow]:
        """See `Ledger`."""
        n = self._tables.names
        if within is None:
            return self._sync_rows("", tail=f"ORDER BY s.{n.end}", only_complete=False)
        touching = f"s.{n.end} > %s AND (s.{n.start} < %s OR s.{n.start} IS NULL)"
        found = self._sync_rows(touching, self._tables.end_time(within.start), within.end, only_complete=False)
        return sorted((row for row in found if row.start or row.end <= within.end), key=lambda row: row.end)

    def is_complete(self, load_id: str) -> bool:
        """See `Ledger`. dlt restores the state of no other load."""
        return True

    def expand_to_boundaries(self, interval: Window) -> Window:
        """See `Ledger`. What can go is a window."""
        windows = [interval, *(row.window for row in self.rows(interval) if row.complete and row.start)]
        return Window(min(window.start for window in windows), max(window.end for window in windows))

    def expand_to_damaged_loads(self, interval: Window) -> Window:
        """See `Ledger`. Rows can be taken out of a load, window by window."""
        return interval

    def orphaned_loads(self, interval: Window, begun_before: datetime | None) -> list[str]:
        """See `Ledger`."""
        if not self._tables.sync_is_marked:
            return []
        n = self._tables.names
        found = self._tables.query(
            f"SELECT DISTINCT s.{n.sync_load} FROM {n.sync} s WHERE s.{n.end} > %s AND s.{n.start} < %s"
            f" AND s.{n.sync_load} NOT IN ({self._inspection.complete}){self._inspection.without_lease}",
            self._tables.end_time(interval.start),
            interval.end,
        )
        return sorted(load_id for (load_id,) in found)

    def newest_load(self, interval: Window) -> float:
        """See `Ledger`. The pattern leaves out what is no load id."""
        n = self._tables.names
        highest = f"SELECT MAX(c.{n.load_id}) FROM ({self._inspection.complete}) c WHERE c.{n.load_id} LIKE %s"
        with self._tables.connected():
            ((newest,),) = self._tables.query(highest, _LOAD_ID) or [(None,)]
            return max(map(load_ids.number, (newest, *(lease.load_id for lease in self.leases.all()))))

    def verify_arrival(self, sent: Sent, load_id: str, at: Any) -> None:
        """Compare what has arrived of a load with what was sent; see `sql_arrival.verify_arrival`."""
        verify_arrival(self._tables, sent, load_id, at)

    def _sync_rows(self, where: str, *arguments: Any, tail: str = "", only_complete: bool = True) -> list[SyncRow]:
        """Return the well-formed rows, none twice."""
        t = self._tables
        if not t.sync_is_marked:
            return []
        n = t.names
        # rows without a load id are the Go hauser's: it wrote them when a bundle was loaded
        complete = f"(s.{n.sync_load} IS NULL OR l.{n.load_id} IS NOT NULL)"
        conditions = [f"s.{n.end} >= %s AND s.{n.end} < %s", where, complete if only_complete else ""]
        found = t.query(
            f"SELECT {_readable(n.start)}, s.{n.end}, s.{n.sync_load}, s.{n.events}, {_readable(n.processed)},"
            f" CASE WHEN {complete} THEN 1 ELSE 0 END FROM {n.sync} s LEFT JOIN"
            f" ({self._inspection.complete}) l ON l.{n.load_id} = s.{n.sync_load}"
            f" WHERE {' AND '.join(filter(None, conditions))} {tail}",
            *(t.as_sync_has(name, year) for name in _READABLE for year in (FIRST_YEAR, LAST_YEAR)),
            *arguments,
        )
        rows = (
            SyncRow(utc(start), in_utc(end), load_id, bool(arrived), events, utc(processed))
            for start, end, load_id, events, processed, arrived in found
        )
        well_formed = (replace(row, ahead=is_ahead(row, self._now)) for row in rows if is_well_formed(row))
        return list({(row.window, row.load_id): row for row in well_formed}.values())


_READABLE = ("BundleStartTime", "Processed", "BundleEndTime")


def _readable(column: str) -> str:
    """Return a column of times, as NULL where a driver could not read it."""
    return f"CASE WHEN s.{column} >= %s AND s.{column} < %s THEN s.{column} END"
