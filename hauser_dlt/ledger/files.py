"""The ledger at destinations that hold files: what their names and the sync files say."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

import dlt
from dlt.destinations.impl.filesystem.filesystem import FILENAME_SEPARATOR

from hauser_dlt.ledger import load_ids
from hauser_dlt.ledger.file_cleanup import FileCleanup
from hauser_dlt.ledger.file_index import File, FileIndex, Folder, Listing
from hauser_dlt.ledger.file_leases import FileLeases
from hauser_dlt.ledger.file_rows import FileRows
from hauser_dlt.ledger.model import Findings, SyncRow
from hauser_dlt.windows import MOMENT, Window

_STATES = "_dlt_pipeline_state"


class FilesLedger:
    """See `Ledger`. What a listing tells is enough, but for the sync files of the interval that is asked about.

    Args:
        now: what lies after it counts for nothing.
    """

    def __init__(self, pipeline: dlt.Pipeline, export_table: str, sync_table: str, now: datetime | None = None) -> None:
        self._index = FileIndex(pipeline.destination_client(), export_table, sync_table)
        self._rows = FileRows(self._index, now or datetime.now(UTC))
        self.leases = FileLeases(self._index, sync_table)
        self.cleanup = FileCleanup(self._index, self._rows, self.expand_to_boundaries)

    def connected(self) -> AbstractContextManager[None]:
        """See `Ledger`."""
        return nullcontext()

    def findings(self) -> Findings:
        """See `Ledger`. Told of are the files that were read: those around the windows, or all."""
        malformed, ahead = self._rows.malformed, self._rows.ahead
        return Findings(sum(malformed.values()), len(ahead), max(ahead.values(), default=None), self._lost())

    def _lost(self) -> int:
        """Return how many events sync rows tell of, where no file of events is left."""
        told = sum(row.events or 0 for rows in self._index.listing.owned.values() for row in rows or ())
        return told if told and self._index.lacks_events() else 0

    def first(self) -> datetime | None:
        """See `Ledger`."""
        files = self._index.inspect().syncs
        return min((row.window.start for file in files for row in self._rows.owned(file)), default=None)

    def last(self, until: datetime) -> datetime | None:
        """See `Ledger`. Most often it is `until` itself, and nothing has to be sorted."""
        if any(
            row.end == until for file in self._syncs(Window(until - MOMENT, until)) for row in self._rows.owned(file)
        ):
            return until
        for file in sorted(self._index.inspect().syncs, key=lambda file: file.window.end, reverse=True):
            ends = [row.end for row in self._rows.owned(file) if row.end <= until]
            if ends:
                return max(ends)
        return None

    def legacy_sync_point(self) -> datetime | None:
        """See `Ledger`. The Go hauser kept its sync point in a file of its own."""
        return None

    def owned(self, interval: Window) -> list[Window]:
        """See `Ledger`."""
        return [row.window for file in self._syncs(interval) for row in self._rows.owned(file)]

    def rows(self, within: Window | None = None) -> list[SyncRow]:
        """See `Ledger`. The file of a load that is not complete may be cut short, so its name must do."""
        rows: list[SyncRow] = []
        if within is None:
            self._index.inspect()
            self._index.inspect_complete()
        for file in self._syncs(within) if within else self._index.listing.syncs:
            rows += self._rows.read(file) if self._index.is_complete(file.load_id) else [_incomplete(file)]
        touching = (row for row in rows if within is None or row.window.overlaps(within))
        return sorted(touching, key=lambda row: row.end)

    def is_complete(self, load_id: str) -> bool:
        """See `Ledger`. dlt restores the state of a load whose process died, too."""
        return self._index.is_complete(load_id)

    def expand_to_boundaries(self, interval: Window) -> Window:
        """See `Ledger`. What can go is a load, with all its files."""
        return self._with_all_of(interval, lambda listing: listing.syncs, lambda load_id: True)

    def expand_to_damaged_loads(self, interval: Window) -> Window:
        """See `Ledger`. A file cannot be split."""
        return self._with_all_of(interval, lambda listing: listing.events, self._is_damaged)

    def _with_all_of(
        self, interval: Window, chosen: Callable[[Listing], Folder], which: Callable[[str], bool]
    ) -> Window:
        """Return an interval with all files of those loads in it; each that is taken in may bring another one."""
        while True:
            folder = chosen(self._index.inspect(interval))
            touched = {file.load_id for file in folder.touching(interval) if which(file.load_id)}
            windows = [interval, *(file.window for load_id in touched for file in folder.of(load_id))]
            wider = Window(min(window.start for window in windows), max(window.end for window in windows))
            if wider == interval:
                return interval
            interval = wider

    def _is_damaged(self, load_id: str) -> bool:
        return self._index.is_complete(load_id) and not self._rows.owns(load_id)

    def orphaned_loads(self, interval: Window, begun_before: datetime | None) -> list[str]:
        """See `Ledger`. Counted in are complete loads that own nothing, since sync rows have been taken away."""
        old = self._incomplete(begun_before) if begun_before else set()
        return sorted((self.cleanup.unowned(interval) | old) - self._index.leases().names.keys())

    def _incomplete(self, begun_before: datetime) -> set[str]:
        listing = self._index.inspect()
        self._index.inspect_complete()
        there = listing.events.names.keys() | listing.syncs.names.keys()
        # dlt's load ids are the time of their beginning, in seconds since 1970
        return {o for o in there if not self._index.is_complete(o) and float(o) < begun_before.timestamp()}

    def newest_load(self, interval: Window) -> float:
        """See `Ledger`. dlt keeps a bounded number of its states, of which it restores that of the highest load id."""
        listing = self._index.inspect(interval)
        near = {file.load_id for folder in (listing.events, listing.syncs) for file in folder.touching(interval)}
        states = (name.split(FILENAME_SEPARATOR)[-2:-1] for name in self._index.names(_STATES, [""]))
        found = (*near, *self._index.leases().names, *(load_id for state in states for load_id in state))
        return max(map(load_ids.number, found), default=0.0)

    def _syncs(self, interval: Window) -> list[File]:
        """Return the sync files that touch an interval."""
        return self._index.inspect(interval).syncs.touching(interval)


def _incomplete(file: File) -> SyncRow:
    return SyncRow(file.window.start, file.window.end, file.load_id, complete=False)
