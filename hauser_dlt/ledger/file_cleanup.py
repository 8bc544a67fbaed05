"""Removes files that no load owns. A load goes with all its files."""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import datetime

from hauser_dlt.errors import TransientError
from hauser_dlt.ledger.file_index import END, START, FileIndex, Folder, stamp
from hauser_dlt.ledger.file_rows import FileRows
from hauser_dlt.ledger.model import superseded
from hauser_dlt.windows import Window


class FileCleanup:
    """See `Cleanup`.

    Args:
        expand: returns an interval with all of each load that it touches.
    """

    def __init__(self, index: FileIndex, rows: FileRows, expand: Callable[[Window], Window]) -> None:
        self._index = index
        self._rows = rows
        self._expand = expand

    def remove(self, load_ids: Collection[str]) -> None:
        """See `Cleanup`. The sync file goes first: without it, a load owns nothing, should a kill come in between."""
        for load_id in load_ids:
            listing = self._index.inspect_load(load_id)
            for folder in (listing.syncs, listing.events, listing.leases):
                self._delete_files(folder, load_id)
        self._index.without(load_ids)

    def _delete_files(self, folder: Folder, load_id: str) -> None:
        for file in folder.of(load_id):
            with suppress(FileNotFoundError):  # its user was quicker, or another run
                self._index.client.fs_client.rm_file(file.path)

    def clear(self, gaps: Iterable[Window]) -> None:
        """See `Cleanup`. Files that nobody owns are gone already, with their loads."""

    def delete_future_rows(self) -> None:
        """See `Cleanup`. A load with such a row owns nothing, and goes with all its files."""

    def delete_legacy_rows(self, since: datetime, until: datetime | None = None) -> None:
        """See `Cleanup`. The Go hauser's files have other names, and each was complete or not there."""

    def finalize(self, load_id: str | None = None) -> None:
        """See `Cleanup`. Names tell whether loads share an interval, so that more is listed anew only for those."""
        index = self._index
        leases = index.leases_now()
        if load_id and list(leases.names) == [load_id] and not self._is_shared(load_id, leases):
            self._release([load_id])
            return
        if load_id or leases.names:
            index.invalidate()
            leases = index.leases()
        if load_id and load_id not in leases.names:
            self.remove([load_id])
            raise TransientError(f"the lease of load {load_id} has expired, and another run removed it; run again")
        under_way = {other for other in leases.names if not index.is_complete(other)}
        done = [load_id] if load_id else list(leases.names.keys() - under_way)
        intervals = [file.window for other in done for file in leases.of(other)]
        # a kill may have come between the removal of a load's sync file and that of its events
        unowned = {load for interval in intervals for load in self._superseded(interval) | self.unowned(interval)}
        self.remove(unowned - under_way)
        self._release(done)

    def _release(self, load_ids: Collection[str]) -> None:
        for load_id in load_ids:
            self._delete_files(self._index.leases(), load_id)
        self._index.release(load_ids)

    def _is_shared(self, load_id: str, leases: Folder) -> bool:
        """Tell whether other loads have by now brought windows of the interval of a load."""
        interval = leases.of(load_id)[0].window
        start, end = stamp(interval).split("-")
        names = self._index.names_around(interval)  # anew: another run may have come and gone meanwhile
        return any(name[START] < end and name[END] > start and f".{load_id}." not in name for name in names)

    def unowned(self, interval: Window) -> set[str]:
        """Return the loads that have files in an interval, and do not own their windows."""
        listing = self._index.inspect(interval)
        files = (*listing.events.touching(interval), *listing.syncs.touching(interval))
        return {file.load_id for file in files if not self._rows.owns(file.load_id)}

    def _superseded(self, interval: Window) -> set[str]:
        """Return the loads all of whose windows have been loaded again since, among those that touch an interval."""
        wider = self._expand(interval)
        syncs = self._index.inspect(wider).syncs
        loads = {file.load_id for file in syncs.touching(wider) if self._index.is_complete(file.load_id)}
        rows = [row for load in loads for file in syncs.of(load) for row in self._rows.read(file)]
        kept = {row.load_id for row in set(rows) - set(superseded(rows))}
        return {row.load_id for row in rows if row.load_id} - kept
