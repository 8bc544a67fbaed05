"""The leases of loads into tables of a lakehouse: small files beside these."""

from collections.abc import Callable
from contextlib import suppress

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.ledger.file_index import File, FileIndex
from hauser_dlt.ledger.file_leases import FileLeases
from hauser_dlt.ledger.model import Lease
from hauser_dlt.ledger.table_commits import LakehouseTable
from hauser_dlt.windows import Window


class LakehouseLeases(FileLeases):
    """See `Leases`.

    Args:
        note_owners: told of an interval once a load has its lease.
    """

    def __init__(
        self, index: FileIndex, settings: SourceSettings, export: LakehouseTable, note_owners: Callable[[Window], None]
    ) -> None:
        super().__init__(index, settings.sync_table)
        self._files = index
        self._export = export
        self._note_owners = note_owners

    def acquire(self, load_id: str, interval: Window) -> None:
        """See `Leases`. What was written is there."""
        self.renew(load_id, interval)
        self._note_owners(interval)

    def pending(self) -> list[Lease]:
        """See `Leases`. A load that has arrived is complete, though its process may have died before it noted that."""
        return [lease for lease in super().pending() if not self._export.has_arrived(lease.load_id)]

    def note_complete(self, load_id: str) -> None:
        """Write dlt's note that a load is complete, where its process died before."""
        if not self._files.is_complete(load_id):
            self.note_load(load_id)
            self._files.invalidate_complete()

    def files_now(self) -> list[File]:
        """Return the files of all leases as they are at this moment."""
        return list(self._files.leases_now())

    def release(self, load_id: str) -> None:
        """Remove the lease of a load."""
        for file in self._files.leases().of(load_id):
            with suppress(FileNotFoundError):  # another run was quicker
                self._files.client.fs_client.rm_file(file.path)
        self._files.release([load_id])
