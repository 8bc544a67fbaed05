"""Removes rows that no load owns. All that is deleted is bounded by the days of the windows."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from hauser_dlt.errors import TransientError
from hauser_dlt.ledger.model import LOADS, SyncRow, superseded
from hauser_dlt.ledger.sql_arrival import differing
from hauser_dlt.ledger.sql_inspection import Inspection
from hauser_dlt.ledger.sql_leases import SqlLeases
from hauser_dlt.ledger.sql_tables import SqlTables, in_utc
from hauser_dlt.windows import DAY, MOMENT, Window, floor, united


class SqlCleanup:
    """See `Cleanup`.

    Args:
        rows: returns the sync rows that touch an interval.
    """

    def __init__(
        self,
        tables: SqlTables,
        inspection: Inspection,
        leases: SqlLeases,
        rows: Callable[[Window], list[SyncRow]],
    ) -> None:
        self._tables = tables
        self._inspection = inspection
        self._leases = leases
        self._rows = rows

    def remove(self, load_ids: Collection[str]) -> None:
        """See `Cleanup`. The lease goes last, so that a kill in between is made good next time."""
        for load_id in load_ids:
            n = self._tables.names
            inside, bounds = self._among_events_of(self._interval_of(load_id))
            self._tables.query(f"DELETE FROM {n.export} WHERE {n.event_load} = %s{inside}", load_id, *bounds)
            self._tables.query(f"DELETE FROM {n.sync} WHERE {n.sync_load} = %s", load_id)
            self._leases.release(load_id)

    def _interval_of(self, load_id: str) -> Window | None:
        """Return what a load was to fill, as its lease or its sync rows say."""
        leased = [lease.interval for lease in self._leases.all() if lease.load_id == load_id]
        if leased:
            return leased[0]
        n = self._tables.names
        ((start, end),) = self._tables.query(
            f"SELECT MIN({n.start}), MAX({n.end}) FROM {n.sync} WHERE {n.sync_load} = %s", load_id
        ) or [(None, None)]
        return Window(in_utc(start), in_utc(end)) if start and end else None

    def clear(self, gaps: Iterable[Window]) -> None:
        """See `Cleanup`."""
        for gap in gaps if self._tables.export_is_marked else ():
            n = self._tables.names
            inside, bounds = self._among_events_of(gap)
            which, moments = f"{n.event_window} >= %s AND {n.event_window} < %s", [gap.start, gap.end]
            if self._tables.settings.keeps_to_windows:  # by a sync row that was altered, other windows hold the events
                which += f" OR {n.event_load} IS NOT NULL AND {n.event_start} >= %s AND {n.event_start} < %s"
                moments += map(self._tables.event_time, (gap.start, gap.end))
            self._tables.query(f"DELETE FROM {n.export} WHERE ({which}){inside}", *moments, *bounds)

    def delete_future_rows(self) -> None:
        """See `Cleanup`."""
        if self._inspection.findings.future:
            n = self._tables.names
            ahead, moments = self._inspection.ahead(row="")
            self._tables.query(f"DELETE FROM {n.sync} WHERE {n.sync_load} IS NOT NULL AND {ahead}", *moments)

    def delete_legacy_rows(self, since: datetime, until: datetime | None = None) -> None:
        """See `Cleanup`. The rows that the Go hauser wrote are those without a load id."""
        n = self._tables.names
        conditions, arguments = [f"{n.event_start} >= %s"], [self._tables.event_time(since)]
        if self._tables.found.export.by_ingestion:
            conditions.append("_PARTITIONTIME >= %s")
            arguments.append(floor(since, DAY))
        if until:
            conditions.append(f"{n.event_start} < %s")
            arguments.append(self._tables.event_time(until))
        if self._tables.export_is_marked:
            conditions.append(f"{n.event_load} IS NULL")
        self._tables.query(f"DELETE FROM {n.export} WHERE {' AND '.join(conditions)}", *arguments)

    def finalize(self, load_id: str | None = None) -> None:
        """See `Cleanup`. The lease goes last, so that a kill in between is made good next time."""
        self._tables.known_leases = None
        leases = {lease.load_id: lease for lease in self._leases.all()}
        if load_id and load_id not in leases:
            self.remove([load_id])
            raise TransientError(f"the lease of load {load_id} has expired, and another run removed it; run again")
        if load_id and not leases[load_id].complete:
            raise differing(LOADS, load_id, 1, 0)
        for lease in [leases[load_id]] if load_id else [lease for lease in leases.values() if lease.complete]:
            self._supersede(lease.interval)
            self._leases.release(lease.load_id)

    def _supersede(self, interval: Window) -> None:
        """Remove what has been loaded again within an interval. The sync rows go last."""
        older: dict[str | None, list[Window]] = {}
        for row in superseded(row for row in self._rows(interval) if row.complete):
            older.setdefault(row.load_id, []).append(row.window)
        if older:
            self._delete_unowned(interval)
        n = self._tables.names
        if legacy := older.pop(None, None):
            until = max(window.end for window in legacy)
            self.delete_legacy_rows(interval.start, until)
            self._delete_sync_rows(f"{n.sync_load} IS NULL", Window(interval.start, until))
        for load_id, windows in ((load_id, windows) for load_id, windows in older.items() if load_id):
            for adjoining in united(windows):
                self._delete_events(adjoining, load_id)
                self._delete_sync_rows(f"{n.sync_load} = %s", adjoining, load_id)

    def _delete_events(self, windows: Window, load_id: str, days: Window | None = None) -> None:
        """Delete the events of adjoining windows that a load has brought.

        Args:
            days: where they lie; without it, within the windows.
        """
        n = self._tables.names
        inside, bounds = self._among_events_of(days or windows)
        self._tables.query(
            f"DELETE FROM {n.export} WHERE {n.event_window} >= %s AND {n.event_window} < %s"
            f" AND {n.event_load} = %s{inside}",
            windows.start,
            windows.end,
            load_id,
            *bounds,
        )

    def _delete_unowned(self, interval: Window) -> None:
        """Delete the events of adjoining windows that complete loads have brought whose sync rows somebody altered."""
        n = self._tables.names
        inside, bounds = self._among_events_of(interval)
        there = self._tables.query(
            f"SELECT DISTINCT {n.event_load}, {n.event_window} FROM {n.export} WHERE {n.event_window} >= %s"
            f" AND {n.event_window} < %s AND {n.event_load} IN ({self._inspection.complete}){inside}",
            interval.start,
            interval.end,
            *bounds,
        )
        rows = [row for row in self._rows(interval) if row.start]  # read after that: what is complete has its rows
        for load_id, moment in there:
            begin = in_utc(moment)
            if not any(row.load_id == load_id and begin in row.window for row in rows):
                self._delete_events(Window(begin, begin + MOMENT), load_id, interval)

    def _delete_sync_rows(self, which: str, windows: Window, *arguments: str) -> None:
        """Delete the sync rows of adjoining windows."""
        n = self._tables.names
        self._tables.query(
            f"DELETE FROM {n.sync} WHERE {which} AND {n.end} > %s AND {n.end} <= %s",
            *arguments,
            self._tables.end_time(windows.start),
            self._tables.end_time(windows.end),
        )

    def _among_events_of(self, interval: Window | None) -> tuple[str, list[datetime]]:
        """Return what keeps a statement from going through the whole export table, where an interval tells the days."""
        keeps_to_windows = self._tables.settings.keeps_to_windows
        return self._tables.within(interval) if interval and keeps_to_windows else ("", [])
