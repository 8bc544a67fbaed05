"""The ledger at destinations that hold files: what their names and the sync files say.

Beside the tables stands a folder with the suffix `_pending`, with a small file for each load that is under way, or
has died. dlt writes a file into `_dlt_loads` once all of a load has arrived.
"""

import gzip
import os
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, NamedTuple

import dlt
import orjson
from dlt.destinations.impl.filesystem.filesystem import FILENAME_SEPARATOR

from hauser_dlt.errors import TransientError
from hauser_dlt.fields import SCHEMA_NAME
from hauser_dlt.ledger import load_ids, process_id
from hauser_dlt.ledger.file_index import stamp
from hauser_dlt.ledger.model import Announcement, Findings, SyncRow, is_ahead, is_well_formed, superseded
from hauser_dlt.windows import DAY, MOMENT, Window, uncovered

_TIME = r"[0-9]{8}T[0-9]{6}Z"
_FILE_NAME = re.compile(
    rf"(?P<dot>\.)?{_TIME}-{_TIME}(?:-[0-9]+)?\.(?P<load>[0-9]+\.[0-9]+)\.[a-z0-9]+(?:\.gz)?(?(dot)\.part)"
)
# the times in a name, which sort as they stand; not so in the one of a file that was being written when its run died
_START, _END = slice(0, 16), slice(17, 33)


class _File(NamedTuple):
    """A file of a load."""

    path: str
    load_id: str
    window: Window


LOADS = "_dlt_loads"
_ANY = ""  # what every name begins with
_LONGEST = 8 * DAY  # windows have a day at the most, but FullStory chooses those of legacy bundles


def _months(stretch: Window) -> set[str]:
    """Return what the names begin with of all files of the loads that touch a stretch.

    A load's windows begin on one day, and so in one month.
    """
    if stretch.end - stretch.start > 366 * DAY:
        return {_ANY}
    first, last = stretch.start - _LONGEST, stretch.end
    numbers = range(12 * first.year + first.month - 1, 12 * last.year + last.month)
    return {f"{number // 12}{number % 12 + 1:02}" for number in numbers}


class _Folder:
    """The files of a table. There may be one for each hour of years, so only the months that matter are listed.

    Attributes:
        names: load -> its files, half-written ones too. Files that are not ours are left out.
    """

    def __init__(self, path: str, listed: Callable[[Collection[str]], Iterable[str]]) -> None:
        self._path = path
        self._listed = listed
        self._months: set[str] = set()
        self.names: dict[str, tuple[str, ...]] = {}  # Python's garbage collector would go through lists, time and again

    def look(self, stretch: Window | None = None) -> bool:
        """Have all files listed of the loads that touch a stretch, or of all; return whether there was need to."""
        months = (_months(stretch) if stretch else {_ANY}) - self._months
        if not months or _ANY in self._months:
            return False
        if _ANY in months:
            self.names.clear()
        for name in self._listed(months):
            if ours := _FILE_NAME.fullmatch(name):
                load_id = ours["load"]
                self.names[load_id] = (*self.names.get(load_id, ()), name)
        self._months |= months
        return True

    def __iter__(self) -> Iterator[_File]:
        """Go through all that is listed."""
        return (self._file(load_id, name) for load_id, names in self.names.items() for name in names)

    def of(self, load_id: str) -> list[_File]:
        """Return the files of a load."""
        return [self._file(load_id, name) for name in self.names.get(load_id, ())]

    def touching(self, stretch: Window) -> list[_File]:
        """Return the files whose windows overlap a stretch; half-written ones are found by their load alone."""
        start, end = stamp(stretch).split("-")
        near = [(o, n) for o, names in self.names.items() for n in names if n[_START] <= end and n[_END] >= start]
        files = [self._file(load_id, name) for load_id, name in near]
        return [file for file in files if file.window.overlaps(stretch)]

    def _file(self, load_id: str, name: str) -> _File:
        times = name.removeprefix(".")
        window = Window(datetime.fromisoformat(times[_START]), datetime.fromisoformat(times[_END]))
        return _File(self._path + name, load_id, window)


class _CompleteLoads:
    """The loads that dlt has noted as complete; those that began within the same 11 days are listed together.

    Should somebody have removed dlt's notes, those are complete of which no note of ours is left, since it goes last.
    """

    def __init__(self, listed: Callable[[str], Iterable[str]], without_note: Callable[[], Collection[str]]) -> None:
        self._listed = listed
        self._without_note = without_note
        self._heads: set[str] = set()
        self._ids: set[str] = set()

    def look(self, head: str = _ANY) -> None:
        """Have the loads listed whose ids begin so."""
        if not {head, _ANY} & self._heads:
            self._ids.update(self._listed(head))
            self._heads.add(head)

    def is_gone(self) -> bool:
        """Tell whether there is none at all."""
        if not self._ids:
            self.look()
        return not self._ids

    def __contains__(self, load_id: str) -> bool:
        self.look(load_id[:4])  # of the ten digits of the seconds since 1970
        return load_id in self._ids or (self.is_gone() and load_id in self._without_note())


_LISTED = ("_event_files", "_sync_files", "_notes", "_complete", "_judged")


class FilesLedger:
    """See `Ledger`. What a listing tells is enough, but for the sync files of the stretch that is looked at.

    A load owns its windows if dlt has noted it as complete, and its sync rows cover all its event files: users may
    have deleted sync files, or lines of them.
    """

    def __init__(self, pipeline: dlt.Pipeline, export_table: str, sync_table: str, now: datetime | None = None) -> None:
        self._client: Any = pipeline.destination_client()
        self._export_table = export_table
        self._sync_table = sync_table
        self._pending = f"{sync_table}_pending"
        self._now = now or datetime.now(UTC)
        self._spoiled: dict[str, int] = {}  # file -> lines of it that no load can have written
        self._ahead: dict[str, datetime] = {}  # file -> the end of its last row that tells of the future
        self._forget(*_LISTED)

    def findings(self) -> Findings:
        """See `Ledger`. Told of are the files that were looked into: those around the windows, or all."""
        return Findings(
            sum(self._spoiled.values()), len(self._ahead), max(self._ahead.values(), default=None), self._lost()
        )

    def forget_future(self) -> None:
        """See `Ledger`. A load with such a row owns nothing, and goes as a whole."""

    def _lost(self) -> int:
        """Return how many events sync rows tell of, where no file of events is left."""
        told = sum(row.events or 0 for rows in self._judged.values() for row in rows or ())
        if not told or self._event_files.names:
            return 0
        self._event_files.look()
        return 0 if self._event_files.names else told

    def first(self) -> datetime | None:
        """See `Ledger`."""
        self._look()
        return min((row.window.start for file in self._sync_files for row in self._owned_rows(file)), default=None)

    def last(self, until: datetime) -> datetime | None:
        """See `Ledger`. Most often it is `until` itself, and nothing has to be sorted."""
        there = self._touching(self._sync_files, Window(until - MOMENT, until))
        if any(row.end == until for file in there for row in self._owned_rows(file)):
            return until
        self._look()
        for file in sorted(self._sync_files, key=lambda file: file.window.end, reverse=True):
            ends = [row.end for row in self._owned_rows(file) if row.end <= until]
            if ends:
                return max(ends)
        return None

    def inherited(self) -> datetime | None:
        """See `Ledger`. The Go hauser kept its sync point in a file of its own."""
        return None

    def owned(self, stretch: Window) -> list[Window]:
        """See `Ledger`."""
        files = self._touching(self._sync_files, stretch)
        return [row.window for file in files for row in self._owned_rows(file)]

    def rows(self, within: Window | None = None) -> list[SyncRow]:
        """See `Ledger`. The file of a load that is not complete may be cut short, so its name must do."""
        rows: list[SyncRow] = []
        if within is None:
            self._look()
            self._complete.look()
        for file in self._touching(self._sync_files, within) if within else self._sync_files:
            rows += self._rows(file) if file.load_id in self._complete else [_half(file)]
        touching = (row for row in rows if within is None or row.window.overlaps(within))
        return sorted(touching, key=lambda row: row.end)

    def is_complete(self, load_id: str) -> bool:
        """See `Ledger`. dlt restores the state of a load that died, too."""
        return load_id in self._complete

    def whole(self, stretch: Window) -> Window:
        """See `Ledger`. What can go is a load, with all its files."""
        return self._with_all_of(stretch, self._sync_files, lambda load_id: True)

    def widened(self, stretch: Window) -> Window:
        """See `Ledger`. A file cannot be cut."""
        return self._with_all_of(stretch, self._event_files, self._has_lost)

    def _with_all_of(self, stretch: Window, folder: _Folder, which: Callable[[str], bool]) -> Window:
        """Return a stretch with all files of those loads in it; each that is taken in may bring another one."""
        while True:
            touched = {file.load_id for file in self._touching(folder, stretch) if which(file.load_id)}
            spans = [stretch, *(file.window for load_id in touched for file in folder.of(load_id))]
            wider = Window(min(span.start for span in spans), max(span.end for span in spans))
            if wider == stretch:
                return stretch
            stretch = wider

    def _has_lost(self, load_id: str) -> bool:
        return load_id in self._complete and not self._owns(load_id)

    def orphans(self, scope: Window, old_before: datetime | None) -> list[str]:
        """See `Ledger`. Counted in are complete loads that own nothing, since sync rows have been taken away."""
        old = self._incomplete(old_before) if old_before else set()
        return sorted((self._unowned(scope) | old) - self._notes.names.keys())

    def _incomplete(self, begun_before: datetime) -> set[str]:
        self._look()
        self._complete.look()
        there = self._event_files.names.keys() | self._sync_files.names.keys()
        # dlt's load ids are the time of their beginning, in seconds since 1970
        return {o for o in there if o not in self._complete and float(o) < begun_before.timestamp()}

    def _unowned(self, scope: Window) -> set[str]:
        """Return the loads that have files in a stretch, and do not own their windows."""
        files = (*self._touching(self._event_files, scope), *self._touching(self._sync_files, scope))
        return {file.load_id for file in files if not self._owns(file.load_id)}

    def remove(self, load_ids: Collection[str]) -> None:
        """See `Ledger`. The sync file goes first: without it, a load owns nothing, should a kill come in between."""
        for load_id in load_ids:
            self._look_for(load_id)
            for folder in (self._sync_files, self._event_files, self._notes):
                self._remove_from(folder, load_id)
            self._judged.pop(load_id, None)

    def _remove_from(self, folder: _Folder, load_id: str) -> None:
        for file in folder.of(load_id):
            with suppress(FileNotFoundError):  # its user was quicker, or another run
                self._client.fs_client.rm_file(file.path)
        folder.names.pop(load_id, None)

    def clear(self, gaps: Iterable[Window]) -> None:
        """See `Ledger`. Files that nobody owns are gone already, with their loads."""

    def disinherit(self, since: datetime, until: datetime | None = None) -> None:
        """See `Ledger`. The Go hauser's files have other names, and each was whole or not there."""

    def connected(self) -> AbstractContextManager[None]:
        """See `Ledger`."""
        return nullcontext()

    def announce(self, load_id: str, span: Window) -> None:
        """See `Ledger`. A small file beside the tables says who is loading."""
        self._restore_loads()
        folder = self._client.get_table_dir(self._pending)
        self._client.fs_client.makedirs(folder, exist_ok=True)
        note = {"runner": process_id.this(), "seen": datetime.now(UTC).isoformat()}
        path = self._client.pathlib.join(folder, f"{stamp(span)}.{load_id}.json")
        self._client.fs_client.pipe_file(path, orjson.dumps(note))

    def _restore_loads(self) -> None:
        """Write dlt's notes of complete loads anew, if somebody has removed them all."""
        if not self._sync_files.names or not self._complete.is_gone():
            return
        self._look()
        folder = self._client.get_table_dir(LOADS)
        self._client.fs_client.makedirs(folder, exist_ok=True)
        for load_id in [load_id for load_id in self._sync_files.names if load_id in self._complete]:
            note = {"load_id": load_id, "schema_name": SCHEMA_NAME, "status": 0, "inserted_at": datetime.now(UTC)}
            path = self._client.pathlib.join(folder, f"{SCHEMA_NAME}{FILENAME_SEPARATOR}{load_id}.jsonl")
            self._client.fs_client.pipe_file(path, orjson.dumps(note))
        self._forget("_complete", "_judged")

    def announced(self) -> list[Announcement]:
        """See `Ledger`."""
        self._forget("_notes")
        if self._notes.names:
            self._forget("_complete", "_judged")
        begun = [file for file in self._notes if file.load_id not in self._complete]
        return [note for note in map(self._announcement, begun) if note]

    def newest_load(self, interval: Window) -> float:
        """See `Ledger`. dlt keeps a bounded number of its states, of which it restores that of the highest load id."""
        near = {
            file.load_id
            for folder in (self._event_files, self._sync_files)
            for file in self._touching(folder, interval)
        }
        states = (name.split(FILENAME_SEPARATOR)[-2:-1] for name in self._list("_dlt_pipeline_state", [_ANY]))
        found = (*near, *self._notes.names, *(load_id for state in states for load_id in state))
        return max(map(load_ids.number, found), default=0.0)

    def _announcement(self, file: _File) -> Announcement | None:
        try:
            note = orjson.loads(self._client.fs_client.cat_file(file.path))
            runner, seen = note["runner"], datetime.fromisoformat(note["seen"])
        except FileNotFoundError:  # done since we looked
            return None
        except (KeyError, TypeError, ValueError):  # the process died while it wrote
            runner, seen = None, datetime.min.replace(tzinfo=UTC)
        return Announcement(file.load_id, file.window, runner, seen, complete=False)

    def settle(self, load_id: str | None = None) -> None:
        """See `Ledger`. Names tell whether loads share a stretch, so that more is listed anew only for those."""
        self._forget("_notes")
        if load_id and list(self._notes.names) == [load_id] and not self._is_shared(load_id):
            self._remove_from(self._notes, load_id)
            return
        if load_id or self._notes.names:
            self._forget(*_LISTED)
        if load_id and load_id not in self._notes.names:
            self.remove([load_id])
            raise TransientError(f"another run has taken load {load_id} for dead; run again")
        under_way = {other for other in self._notes.names if other not in self._complete}
        done = [load_id] if load_id else list(self._notes.names.keys() - under_way)
        spans = [file.window for other in done for file in self._notes.of(other)]
        # a kill may have come between the removal of a load's sync file and that of its events
        gone = {load for span in spans for load in self._superseded(span) | self._unowned(span)}
        self.remove(gone - under_way)
        for other in done:
            self._remove_from(self._notes, other)

    def _is_shared(self, load_id: str) -> bool:
        """Tell whether other loads have by now brought windows of the stretch that a load has announced."""
        span = self._notes.of(load_id)[0].window
        start, end = stamp(span).split("-")
        names = self._list(self._sync_table, _months(span))  # anew: another run may have come and gone meanwhile
        return any(name[_START] < end and name[_END] > start and f".{load_id}." not in name for name in names)

    def _superseded(self, span: Window) -> set[str]:
        """Return the loads all of whose windows have been loaded again since, among those that touch a stretch."""
        files = self._touching(self._sync_files, self.whole(span))
        loads = {file.load_id for file in files if file.load_id in self._complete}
        rows = [row for load in loads for file in self._sync_files.of(load) for row in self._rows(file)]
        kept = {row.load_id for row in set(rows) - set(superseded(rows))}
        return {row.load_id for row in rows if row.load_id} - kept

    def _forget(self, *names: str) -> None:
        self._client.fs_client.invalidate_cache()
        for name in names:
            self.__dict__.pop(name, None)

    def _touching(self, folder: _Folder, stretch: Window) -> list[_File]:
        self._look(stretch)
        return folder.touching(stretch)

    def _look(self, stretch: Window | None = None) -> None:
        """Have all files listed of the loads that touch a stretch, or of all.

        Which loads are complete is listed after that: one that has ended in between would seem dead.
        """
        if self._event_files.look(stretch) | self._sync_files.look(stretch):
            self._forget("_complete", "_judged")

    def _look_for(self, load_id: str) -> None:
        """Have all files of a load listed: they are near any that is known, or can be anywhere."""
        folders = (self._notes, self._sync_files, self._event_files)
        known: list[Window | None] = [file.window for folder in folders for file in folder.of(load_id)]
        for window in known or [None]:
            self._look(window)

    @cached_property
    def _event_files(self) -> _Folder:
        return self._folder(self._export_table)

    @cached_property
    def _sync_files(self) -> _Folder:
        return self._folder(self._sync_table)

    @cached_property
    def _notes(self) -> _Folder:
        """The announcements of loads."""
        notes = self._folder(self._pending)
        notes.look()
        return notes

    @cached_property
    def _complete(self) -> _CompleteLoads:
        before = f"{SCHEMA_NAME}{FILENAME_SEPARATOR}"

        def listed(head: str) -> Iterator[str]:
            names = self._list(LOADS, [before + head])
            return (name.removeprefix(before).removesuffix(".jsonl") for name in names)

        return _CompleteLoads(listed, lambda: self._sync_files.names.keys() - self._notes.names.keys())

    @cached_property
    def _judged(self) -> dict[str, list[SyncRow] | None]:
        """Load -> the sync rows of its windows; None where it owns nothing."""
        return {}

    def _owns(self, load_id: str) -> bool:
        return self._judge(load_id) is not None

    def _owned_rows(self, file: _File) -> list[SyncRow]:
        return [row for row in self._judge(file.load_id) or [] if row.owns]

    def _judge(self, load_id: str) -> list[SyncRow] | None:
        if load_id not in self._judged:
            self._judged[load_id] = self._rows_if_owner(load_id) if load_id in self._complete else None
        return self._judged[load_id]

    def _rows_if_owner(self, load_id: str) -> list[SyncRow] | None:
        rows = [row for file in self._sync_files.of(load_id) for row in self._rows(file)]
        spans = [file.window for file in self._event_files.of(load_id)]
        lost = any(gap for span in spans for gap in uncovered(span, (row.window for row in rows if row.owns)))
        return None if lost else rows

    def _rows(self, file: _File) -> list[SyncRow]:
        """Return what a sync file says; lines that no load can have written are counted, and say nothing."""
        try:
            lines = [line for line in self._content(file.path).splitlines() if line.strip()]
        except FileNotFoundError:  # its user has taken it away since we looked
            return []
        except (EOFError, gzip.BadGzipFile, zlib.error):
            lines = []
        written = [row for line in lines if (row := self._row(line, file.load_id))]
        rows = list({row.window: row for row in written}.values())
        if spoiled := max(len(lines), 1) - len(rows):
            self._spoiled[file.path] = spoiled
        if ahead := [row.end for row in rows if row.ahead]:
            self._ahead[file.path] = max(ahead)
        return rows

    def _content(self, path: str) -> bytes:
        if self._client.is_local_filesystem and not path.endswith(".gz"):
            with open(path, "rb") as file:  # noqa: PTH123 - one for each hour of years, and Path takes twice as long
                return file.read()
        content: bytes = self._client.fs_client.cat_file(path)
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

    def _folder(self, table: str) -> _Folder:
        # one slash at the end: in a bucket, a second one would make it another folder
        path = self._client.pathlib.join(self._client.get_table_dir(table), "")
        return _Folder(path, partial(self._list, table))

    def _list(self, table: str, beginnings: Collection[str]) -> list[str]:
        """Return the names in a folder that begin so; before those of half-written files stands a dot."""
        folder = self._client.get_table_dir(table)
        if not self._client.is_local_filesystem:
            return [name for start in beginnings for name in self._client.fs_client.starting(folder, start)]
        try:
            names = os.listdir(folder)  # noqa: PTH208 - fsspec looks at each
        except FileNotFoundError:
            return []
        starts = (*beginnings, *(f".{start}" for start in beginnings))
        return [name for name in names if name.startswith(starts)]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _whole_number(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _half(file: _File) -> SyncRow:
    return SyncRow(file.window.start, file.window.end, file.load_id, complete=False)
