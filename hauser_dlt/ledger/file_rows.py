"""What the sync files say: their rows, and by those, which loads own their windows."""

import gzip
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from hauser_dlt.ledger.file_index import File, FileIndex
from hauser_dlt.ledger.model import SyncRow, is_ahead, is_well_formed
from hauser_dlt.windows import uncovered


class FileRows:
    """Reads sync files, those of the loads that are asked for.

    Attributes:
        malformed: file -> how many lines of it no load can have written.
        ahead: file -> the end of its last row that tells of the future.
    """

    def __init__(self, index: FileIndex, now: datetime) -> None:
        self._index = index
        self._now = now
        self.malformed: dict[str, int] = {}
        self.ahead: dict[str, datetime] = {}

    def owns(self, load_id: str) -> bool:
        """Tell whether a load owns its windows.

        It does if dlt has noted it as complete, and its sync rows cover all its event files: users may have deleted
        sync files, or lines of them.
        """
        return self._rows_of(load_id) is not None

    def owned(self, file: File) -> list[SyncRow]:
        """Return the rows of a file's load, if that owns its windows."""
        return [row for row in self._rows_of(file.load_id) or [] if row.owns]

    def _rows_of(self, load_id: str) -> list[SyncRow] | None:
        owned = self._index.listing.owned
        if load_id not in owned:
            owned[load_id] = self._rows_if_owner(load_id) if self._index.is_complete(load_id) else None
        return owned[load_id]

    def _rows_if_owner(self, load_id: str) -> list[SyncRow] | None:
        listing = self._index.listing
        rows = [row for file in listing.syncs.of(load_id) for row in self.read(file)]
        windows = [file.window for file in listing.events.of(load_id)]
        lost = any(gap for window in windows for gap in uncovered(window, (row.window for row in rows if row.owns)))
        return None if lost else rows

    def read(self, file: File) -> list[SyncRow]:
        """Return what a sync file says; lines that no load can have written are counted, and say nothing."""
        try:
            lines = [line for line in self._content(file.path).splitlines() if line.strip()]
        except FileNotFoundError:  # its user has taken it away since it was listed
            return []
        except (EOFError, gzip.BadGzipFile, zlib.error):
            lines = []
        written = [row for line in lines if (row := self._row(line, file.load_id))]
        rows = list({row.window: row for row in written}.values())
        if malformed := max(len(lines), 1) - len(rows):
            self.malformed[file.path] = malformed
        if ahead := [row.end for row in rows if row.ahead]:
            self.ahead[file.path] = max(ahead)
        return rows

    def _content(self, path: str) -> bytes:
        client = self._index.client
        if client.is_local_filesystem and not path.endswith(".gz"):
            with open(path, "rb") as file:  # noqa: PTH123 - one for each hour of years, and Path takes twice as long
                return file.read()
        content: bytes = client.fs_client.cat_file(path)
        return gzip.decompress(content) if path.endswith(".gz") else content

    def _row(self, line: bytes, load_id: str) -> SyncRow | None:
        """Return what a line says; None if it is not of ours."""
        try:
            said = orjson.loads(line)
            start, end, processed = (_moment(said[name]) for name in ("BundleStartTime", "BundleEndTime", "Processed"))
            row = SyncRow(
                start, end, load_id, complete=True, events=_whole_number(said["EventCount"]), processed=processed
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        return replace(row, ahead=is_ahead(row, self._now)) if is_well_formed(row) else None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _whole_number(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value
