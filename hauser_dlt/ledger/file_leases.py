"""The leases of loads, as small files beside the tables that say who is loading."""

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
from dlt.destinations.impl.filesystem.filesystem import FILENAME_SEPARATOR

from hauser_dlt.fields import SCHEMA_NAME
from hauser_dlt.ledger import process_id
from hauser_dlt.ledger.file_index import File, FileIndex, stamp
from hauser_dlt.ledger.model import LOADS, Lease, pending_name
from hauser_dlt.windows import Window


class FileLeases:
    """See `Leases`."""

    def __init__(self, index: FileIndex, sync_table: str) -> None:
        self._index = index
        self._client = index.client
        self._table = pending_name(sync_table)

    def acquire(self, load_id: str, interval: Window) -> None:
        """See `Leases`. What was written is there."""
        self._restore_loads()
        self.renew(load_id, interval)

    def renew(self, load_id: str, interval: Window) -> None:
        """See `Leases`."""
        note = {"runner": process_id.this(), "seen": datetime.now(UTC).isoformat()}
        self._write(self._made(self._table), f"{stamp(interval)}.{load_id}.json", note)

    def _restore_loads(self) -> None:
        """Write dlt's notes of complete loads anew, if somebody has removed them all."""
        index = self._index
        if not index.listing.syncs.names or not index.lacks_loads():
            return
        for load_id in [load_id for load_id in index.inspect().syncs.names if index.is_complete(load_id)]:
            self.note_load(load_id)
        index.invalidate_complete()

    def note_load(self, load_id: str) -> None:
        """Write dlt's note that a load is complete."""
        note = {"load_id": load_id, "schema_name": SCHEMA_NAME, "status": 0, "inserted_at": datetime.now(UTC)}
        self._write(self._made(LOADS), f"{SCHEMA_NAME}{FILENAME_SEPARATOR}{load_id}.jsonl", note)

    def _made(self, table: str) -> str:
        """Return the folder of a table, which is made if it is not there."""
        folder: str = self._client.get_table_dir(table)
        self._client.fs_client.makedirs(folder, exist_ok=True)
        return folder

    def _write(self, folder: str, name: str, note: Mapping[str, object]) -> None:
        self._client.fs_client.pipe_file(self._client.pathlib.join(folder, name), orjson.dumps(note))

    def pending(self) -> list[Lease]:
        """See `Leases`."""
        if self._index.leases_now().names:
            self._index.invalidate_complete()
        begun = [file for file in self._index.leases() if not self._index.is_complete(file.load_id)]
        return [lease for lease in map(self._read, begun) if lease]

    def _read(self, file: File) -> Lease | None:
        try:
            note = orjson.loads(self._client.fs_client.cat_file(file.path))
            process, seen_at = note["runner"], datetime.fromisoformat(note["seen"])
        except FileNotFoundError:  # finalized since it was listed
            return None
        except (KeyError, TypeError, ValueError):  # the process died while it wrote
            process, seen_at = None, datetime.min.replace(tzinfo=UTC)
        return Lease(file.load_id, file.window, process, seen_at, complete=False)
