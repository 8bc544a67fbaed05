"""The ledger of tables of a lakehouse: sync rows, then the commit of the events, which owns the windows.

1. The lease, a small file, as at destinations of files.
2. A commit to the sync table: its rows, which count for nothing yet.
3. A commit to the export table, which names the load, and replaces whatever its windows had. With it the load is
   complete: dlt's note in `_dlt_loads`, which follows, only spares to look for it.
4. Sync rows that it has superseded go, and last of all the lease.
"""

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dlt
from dlt.destinations.impl.filesystem.filesystem import FILENAME_SEPARATOR

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import TransientError
from hauser_dlt.fields import EVENT_START, LOAD_ID, ROW_WINDOW
from hauser_dlt.ledger import load_ids
from hauser_dlt.ledger.file_index import FileIndex
from hauser_dlt.ledger.lakehouse_leases import LakehouseLeases
from hauser_dlt.ledger.model import (
    CLOCKS_DIFFER,
    Findings,
    Sent,
    SyncRow,
    is_ahead,
    is_well_formed,
    superseded,
)
from hauser_dlt.ledger.sql_tables import in_utc, utc
from hauser_dlt.ledger.table_commits import Events, LakehouseTable, as_sql
from hauser_dlt.records.tables import Tables
from hauser_dlt.windows import DAY, Window, floor, uncovered

_STATES = "_dlt_pipeline_state"


class LakehouseLedger:
    """See `Ledger`.

    Args:
        tables: as they were inspected.
        now: what lies after it counts for nothing.
        table: returns the table of a name, of dlt's client of files.
        expires_after: how long files are kept that no version of a table has any more; 0 is for ever.
    """

    def __init__(
        self,
        table: Callable[[Any, str], LakehouseTable],
        pipeline: dlt.Pipeline,
        settings: SourceSettings,
        tables: Tables,
        now: datetime,
        expires_after: timedelta = timedelta(0),
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._tables = tables
        self._now = now
        self._expires_after = expires_after
        client: Any = pipeline.destination_client()
        self.export = table(client, settings.export_table)
        self.sync = table(client, settings.sync_table)
        self._index = FileIndex(client, settings.export_table, settings.sync_table)
        self._read: list[SyncRow] | None = None
        self._malformed = 0
        self._complete: set[str] = set()  # loads stay so
        self._owners: frozenset[str | None] = frozenset()  # of the windows of a load, when it began
        self.leases = LakehouseLeases(self._index, settings, self.export, self._note_owners)
        self.cleanup = LakehouseCleanup(self)

    def connected(self) -> AbstractContextManager[None]:
        """See `Ledger`."""
        return nullcontext()

    def rows(self, within: Window | None = None) -> list[SyncRow]:
        """See `Ledger`."""
        if self._read is None:
            self._read = self._read_rows()
        found = (row for row in self._read if within is None or row.window.overlaps(within) or row.end == within.end)
        return sorted(found, key=lambda row: row.end)

    def _read_rows(self) -> list[SyncRow]:
        spelled = self._tables.sync.spelled
        names = ("BundleStartTime", "BundleEndTime", LOAD_ID, "EventCount", "Processed")
        start, end, load, events, processed = map(spelled, names)
        found = self.sync.rows(map(spelled, names))
        if not self._complete:
            self._index.inspect_complete()
        rows = [
            SyncRow(
                utc(row.get(start)),
                in_utc(row[end]),
                row.get(load),
                row.get(load) is None or self.is_complete(row[load]),
                row.get(events),
                utc(row.get(processed)),
            )
            for row in found
            if row.get(end)
        ]
        good = [replace(row, ahead=is_ahead(row, self._now)) for row in rows if self._is_well_formed(row)]
        once = list({(row.window, row.load_id): row for row in good}.values())
        self._malformed = len(found) - len(once)
        return once

    @staticmethod
    def _is_well_formed(row: SyncRow) -> bool:
        return is_well_formed(row) and not (row.load_id and row.start is None)

    def invalidate(self) -> None:
        """Have everything be read anew."""
        self._read = None
        self._index.invalidate_complete()

    def findings(self) -> Findings:
        """See `Ledger`."""
        rows = self.rows()
        ahead = [row.end for row in rows if row.ahead]
        told = sum(row.events or 0 for row in rows if row.owns and row.load_id)
        lost = told if told and not self.export.count() else 0
        return Findings(self._malformed, len(ahead), max(ahead, default=None), lost)

    def first(self) -> datetime | None:
        """See `Ledger`."""
        return min((row.start for row in self.rows() if row.owns and row.start), default=None)

    def last(self, until: datetime) -> datetime | None:
        """See `Ledger`."""
        return max((row.end for row in self.rows() if row.owns and row.end <= until), default=None)

    def legacy_sync_point(self) -> datetime | None:
        """See `Ledger`. Of whatever wrote rows without a load id."""
        until = self._now + CLOCKS_DIFFER
        return max((row.end for row in self.rows() if row.load_id is None and row.end <= until), default=None)

    def owned(self, interval: Window) -> list[Window]:
        """See `Ledger`."""
        return [row.window for row in self.rows() if row.owns and row.end > interval.start]

    def is_complete(self, load_id: str) -> bool:
        """See `Ledger`."""
        if load_id not in self._complete and (self._index.is_complete(load_id) or self.export.has_arrived(load_id)):
            self._complete.add(load_id)
        return load_id in self._complete

    def expand_to_boundaries(self, interval: Window) -> Window:
        """See `Ledger`. What can go is a window."""
        touching = (row.window for row in self.rows() if row.window.overlaps(interval))
        windows = [interval, *touching]
        return Window(min(window.start for window in windows), max(window.end for window in windows))

    def expand_to_damaged_loads(self, interval: Window) -> Window:
        """See `Ledger`. Rows can be taken out of a load, window by window."""
        return interval

    def orphaned_loads(self, interval: Window, begun_before: datetime | None) -> list[str]:
        """See `Ledger`."""
        leased = self._index.leases().names
        return sorted({row.load_id for row in self.rows() if row.load_id and not row.complete} - leased.keys())

    def newest_load(self, interval: Window) -> float:
        """See `Ledger`. dlt restores the state of the highest load id."""
        near = {row.load_id for row in self.rows() if row.load_id and row.window.overlaps(interval)}
        states = (name.split(FILENAME_SEPARATOR)[-2:-1] for name in self._index.names(_STATES, [""]))
        found = (*near, *self._index.leases().names, *(load_id for state in states for load_id in state))
        return max(map(load_ids.number, found), default=0.0)

    def commit(self, sent: Sent, load_id: str, _at: Any) -> None:
        """Commit what a load package has brought: the sync rows, then the events, with which the load is complete.

        Raises:
            TransientError: another run has taken this load for dead, or has loaded its windows meanwhile.
        """
        settings, export = self._settings, self._tables.export
        windows = Window(min(w.start for w in sent.windows), max(w.end for w in sent.windows))
        replaced = Events(windows, export.spelled(ROW_WINDOW), export.spelled(EVENT_START), settings.keeps_to_windows)
        self.sync.commit(load_id, self._files(load_id, settings.sync_table))
        self.export.commit(
            load_id,
            self._files(load_id, settings.export_table),
            replaced,
            partial(self._refuse_late, load_id, windows),
        )
        self.invalidate()

    def compact(self, interval: Window) -> None:
        """Make one file of the many of a day, if all of its windows are loaded by now."""
        day = floor(interval.start, DAY)
        whole = Window(day, day + DAY)
        if not any(uncovered(whole, (row.window for row in self.rows(whole) if row.owns))):
            self.export.compact(day)
            self.sync.compact()
            for table in (self.export, self.sync) if self._expires_after else ():
                table.expire(self._expires_after)

    def _note_owners(self, interval: Window) -> None:
        self.invalidate()
        self._owners = self._owners_of(interval)

    def _owners_of(self, interval: Window) -> frozenset[str | None]:
        return frozenset(row.load_id for row in self.rows(interval) if row.owns and row.window.overlaps(interval))

    def _refuse_late(self, load_id: str, windows: Window) -> None:
        """Make sure, once the export table has been read, that nobody took the load for dead, and none was quicker.

        Whatever happens after that makes the commit fail, and it is tried anew. A load that was suspended may have
        written its lease once more, but not its sync rows.
        """
        self.invalidate()
        lost_rows = not any(row.load_id == load_id for row in self.rows(windows))
        if lost_rows or load_id not in self._index.leases_now().names:
            raise TransientError(f"the lease of load {load_id} has expired, and another run removed it; run again")
        if self._owners_of(windows) - self._owners:
            raise TransientError(f"another run has loaded windows of {windows} meanwhile; run again")

    def _files(self, load_id: str, table: str) -> list[Path]:
        """Return the files of a table in a load package that dlt is about to complete."""
        jobs = self._pipeline.get_load_package_info(load_id).jobs
        files = [job for jobs_of_state in jobs.values() for job in jobs_of_state]
        return sorted(Path(job.file_path) for job in files if job.job_file_info.table_name == table)


class LakehouseCleanup:
    """See `Cleanup`."""

    def __init__(self, ledger: LakehouseLedger) -> None:
        self._ledger = ledger

    def remove(self, load_ids: Collection[str]) -> None:
        """See `Cleanup`. No events are there: a load whose events are there is complete."""
        for load_id in load_ids:
            self._ledger.sync.delete(f"{LOAD_ID} = '{load_id}'")
            self._ledger.leases.release(load_id)
        self._ledger.invalidate()

    def clear(self, gaps: Iterable[Window]) -> None:
        """See `Cleanup`. The commit that loads a window replaces what it had."""

    def delete_future_rows(self) -> None:
        """See `Cleanup`."""
        if ahead := [row for row in self._ledger.rows() if row.ahead and row.load_id]:
            self._delete(ahead)
            self._ledger.invalidate()

    def delete_legacy_rows(self, since: datetime, until: datetime | None = None) -> None:
        """See `Cleanup`. The Go hauser made no Delta tables."""

    def finalize(self, load_id: str | None = None) -> None:
        """See `Cleanup`. The lease goes last, so that a kill in between is made good next time."""
        ledger = self._ledger
        ledger.invalidate()
        leases = {file.load_id: file.window for file in ledger.leases.files_now()}
        if load_id and load_id not in leases:
            raise TransientError(f"the lease of load {load_id} has expired, and another run removed it; run again")
        for done in [load_id] if load_id else [each for each in leases if ledger.is_complete(each)]:
            ledger.leases.note_complete(done)
            self._delete(superseded(row for row in ledger.rows(leases[done]) if row.complete))
            ledger.leases.release(done)
        ledger.invalidate()
        if load_id:
            ledger.compact(leases[load_id])

    def _delete(self, rows: Iterable[SyncRow]) -> None:
        """Delete sync rows, in one commit."""
        found = {
            (f"{LOAD_ID} = '{row.load_id}'" if row.load_id else f"{LOAD_ID} IS NULL", as_sql(row.end)) for row in rows
        }
        if found:
            self._ledger.sync.delete(
                " OR ".join(f'({load} AND "BundleEndTime" = {end})' for load, end in sorted(found))
            )
