"""The filesystem destination: window files in a folder for each table, and the ledger that reads their names.

A file is called `<start>-<end>.<load id>.<format>`, in UTC: what it holds and which load it belongs to can be
told from a listing. Our own writers make the files, because dlt's cannot be told where a window ends; dlt imports
them into its load package and copies them to their place.
"""

import filecmp
import gzip
import os
import re
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import chain, count
from pathlib import Path
from typing import Any, Final, NamedTuple

import dlt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from hauser_dlt import decode, runners
from hauser_dlt.batches import Columns, Tally
from hauser_dlt.downloads import Delivery
from hauser_dlt.errors import LoadError, TransientError
from hauser_dlt.ledger import Announcement, SyncRow, superseded
from hauser_dlt.source import Reader, empty_batch
from hauser_dlt.windows import Group, Window, uncovered

LAYOUT = "{table_name}/{file_id}.{load_id}.{ext}"
_STAMP = "%Y%m%dT%H%M%SZ"
_FILE_NAME = re.compile(r"(\d{8}T\d{6}Z)-(\d{8}T\d{6}Z)(?:-\d+)?\.(\d+\.\d+)\.\w+(?:\.gz)?")
# What dlt takes for the format of our files while they are in its hands: it passes CSV on as it is.
_OPAQUE: Final = "csv"


def extension_of(file_format: str) -> Callable[..., str]:
    """Return dlt's placeholder for extensions: the true one, for files that dlt takes for CSV."""

    def extension(schema_name: str, table_name: str, load_id: str, file_id: str, ext: str) -> str:
        return ext.replace(_OPAQUE, file_format)

    return extension


def stamp(window: Window) -> str:
    """Return a window as it stands in file names."""
    return f"{window.start:{_STAMP}}-{window.end:{_STAMP}}"


class _ParquetWriter(pyarrow.parquet.ParquetWriter):  # type: ignore[misc]
    def __init__(self, path: Path, schema: pa.Schema, compress: bool) -> None:
        super().__init__(str(path), schema, compression="snappy")


class _CsvWriter:
    """CSV by RFC 4180 with a header; NULL is nothing at all, "" is a pair of quotes."""

    def __init__(self, path: Path, schema: pa.Schema, compress: bool) -> None:
        self._stream = _open(path, compress)
        self._writer = pyarrow.csv.CSVWriter(self._stream, schema)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()
        self._stream.close()


# What spreadsheets take for a formula; the wide forms, too, which some of them narrow
# (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA = r"\A([=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}])"


class _TameCsvWriter(_CsvWriter):
    """CSV in which no text is a formula to a spreadsheet."""

    def write_batch(self, batch: pa.RecordBatch) -> None:
        arrays = [
            pc.replace_substring_regex(array, _FORMULA, r"'\1") if pa.types.is_string(array.type) else array
            for array in batch.columns
        ]
        super().write_batch(pa.RecordBatch.from_arrays(arrays, schema=batch.schema))


class _JsonlWriter:
    """One object a line with all columns; times as RFC 3339."""

    def __init__(self, path: Path, schema: pa.Schema, compress: bool) -> None:
        self._stream = _open(path, compress)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            self._stream.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))

    def close(self) -> None:
        self._stream.close()


class _Behind:
    """Has Arrow write in a thread: it needs no lock of Python's, so what comes next is decoded in the meantime."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, "writer")
        self._writing: Future[None] | None = None

    def write_batch(self, batch: pa.RecordBatch) -> None:
        self._begin(self._writer.write_batch, batch)

    def write(self, piece: bytes) -> None:
        self._begin(self._writer.write, piece)

    def close(self) -> None:
        try:
            self._wait()
        finally:
            self._thread.shutdown()
            self._writer.close()

    def _begin(self, write: Callable[[Any], None], what: Any) -> None:
        """Write once what came before is written: no more than two are held."""
        self._wait()
        self._writing = self._thread.submit(write, what)

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()


def _arrow_writer(kind: Any) -> Callable[..., Any]:
    return lambda path, schema, compress: _Behind(kind(path, schema, compress))


_WRITERS: dict[str, Any] = {
    "parquet": _arrow_writer(_ParquetWriter),
    "csv": _arrow_writer(_CsvWriter),
    "jsonl": _JsonlWriter,
}


def _open(path: Path, compress: bool) -> Any:
    return pa.output_stream(str(path), compression="gzip" if compress else None)


@dataclass
class _Part:
    """A file being written."""

    path: Path
    schema: pa.Schema
    writer: Any
    rows: int = 0


@dataclass
class WindowFiles:
    """Writes the events of one load package into files, and has dlt import them.

    Attributes:
        tame: CSV holds nothing that a spreadsheet would run.
        made: each file -> the stretch that it covers.
    """

    folder: Path
    file_format: str
    compress: bool
    group: Group
    tame: bool = False
    made: dict[Path, Window] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _part: _Part | None = None

    def reader(self, batches: Reader) -> Reader:
        """Return what takes the place of a reader of Arrow batches: it yields files to import."""
        return self._read_raw if self.file_format == "json" else partial(self._read, batches)

    def _read(
        self, batches: Reader, delivery: Delivery, columns: Columns, load_id: str | None
    ) -> Generator[Any, None, Tally]:
        span = self.group.span if self.group.whole else delivery.bundle.window
        tally = yield from self._parts(batches(delivery, columns, load_id), span)
        if self._part and delivery.bundle.window.end == span.end:
            yield self._finish(self._part)
        return tally

    def _parts(self, reading: Generator[Any, None, Tally], span: Window) -> Generator[Any, None, Tally]:
        """Write batches; where a new column has come up, another file begins, with another header."""
        while True:
            try:
                batch = next(reading)
            except StopIteration as stop:
                tally: Tally = stop.value
                return tally
            if self._part and not self._part.schema.equals(batch.schema):
                yield self._finish(self._part)
            if batch.num_rows:
                self._part = self._part or self._begin(batch.schema, span)
                self._part.writer.write_batch(batch)
                self._part.rows += batch.num_rows

    def _begin(self, schema: pa.Schema, span: Window) -> _Part:
        path = self._new_path(span)
        writer = _TameCsvWriter if self.tame and self.file_format == "csv" else _WRITERS[self.file_format]
        return _Part(path, schema, writer(path, schema, self.compress))

    def _finish(self, part: _Part) -> Any:
        self._part = None
        part.writer.close()
        return dlt.mark.with_file_import(str(part.path), _OPAQUE, part.rows, hints=part.schema.empty_table())

    def _read_raw(self, delivery: Delivery, columns: Columns, load_id: str | None) -> Generator[Any, None, Tally]:
        """Unpack FullStory's own bytes into a file; reading the records along the way shows that it is whole."""
        path = self._new_path(delivery.bundle.window)
        file = _Behind(_open(path, self.compress))
        with delivery.path.open("rb") as packed, closing(file):

            def pieces() -> Iterator[bytes]:
                for piece in decode.gunzip(iter(partial(packed.read, 1 << 18), b"")):
                    file.write(piece)
                    yield piece

            tally = Tally(rows=decode.count(pieces()))
        if tally.rows:
            schema = empty_batch(columns).schema
            yield dlt.mark.with_file_import(str(path), _OPAQUE, tally.rows, hints=schema.empty_table())
        return tally

    def _new_path(self, span: Window) -> Path:
        path = self.folder / f"file{next(self._numbers)}"
        self.made[path] = span
        return path

    def name_jobs(self, pipeline: dlt.Pipeline, load_id: str, sync_table: str) -> None:
        """Name dlt's copies of the files after their windows, so that the layout puts it into their final names."""
        parts: dict[str, Iterator[int]] = {}
        unnamed = dict(self.made)
        for job in pipeline.get_load_package_info(load_id).jobs["new_jobs"]:
            path = Path(job.file_path)
            info = job.job_file_info
            span = self.group.span if info.table_name == sync_table else _take(unnamed, path)
            if span is None:
                continue
            number = next(parts.setdefault(info.table_name + stamp(span), count(1)))
            file_id = stamp(span) if number == 1 else f"{stamp(span)}-{number}"
            path.rename(path.with_name(f"{info.table_name}.{file_id}.{info.retry_count}.{info.full_extension()}"))


def _take(made: dict[Path, Window], theirs: Path) -> Window | None:
    """Take out the file of ours that dlt links, or copies where the file system has no links; return its stretch."""
    present = [ours for ours in made if ours.exists()]
    same = next((ours for ours in present if ours.samefile(theirs)), None)
    same = same or next((ours for ours in present if filecmp.cmp(ours, theirs, shallow=False)), None)
    return made.pop(same) if same else None


class _File(NamedTuple):
    path: str
    window: Window
    load_id: str


_LISTED = ("_event_files", "_sync_files", "_notes", "_complete", "_judged")


class FilesLedger:
    """See `Ledger`. What a listing tells is enough, but for the sync files of the stretch that is looked at.

    A load owns its windows if dlt has noted it as complete, and its sync rows cover all its event files: users may
    have deleted sync files, or lines of them.
    """

    def __init__(self, pipeline: dlt.Pipeline, export_table: str, sync_table: str) -> None:
        self._client: Any = pipeline.destination_client()
        self._export_table = export_table
        self._sync_table = sync_table
        self._pending = f"{sync_table}_pending"
        self._forget(*_LISTED)

    def last(self, until: datetime) -> datetime | None:
        """See `Ledger`."""
        for file in sorted(self._all(self._sync_files), key=lambda file: file.window.end, reverse=True):
            ends = [row.end for row in self._owned_rows(file) if row.end <= until]
            if ends:
                return max(ends)
        return None

    def inherited(self) -> datetime | None:
        """See `Ledger`. The Go hauser kept its sync point in a file of its own."""
        return None

    def owned(self, since: datetime) -> list[Window]:
        """See `Ledger`."""
        recent = [file for file in self._all(self._sync_files) if file.window.end > since]
        return [row.window for file in recent for row in self._owned_rows(file) if row.end > since]

    def rows(self, within: Window | None = None) -> list[SyncRow]:
        """See `Ledger`. The file of a load that is not complete may be cut short, so its name must do."""
        rows: list[SyncRow] = []
        for file in self._all(self._sync_files):
            if within is None or file.window.overlaps(within):
                half = [SyncRow(file.window.start, file.window.end, file.load_id, complete=False)]
                rows += self._rows(file) if file.load_id in self._complete else half
        touching = (row for row in rows if within is None or row.window.overlaps(within))
        return sorted(touching, key=lambda row: row.end)

    def whole(self, stretch: Window) -> Window:
        """See `Ledger`. What can go is a load, with all its files."""
        while True:
            touched = [file.load_id for file in self._all(self._sync_files) if file.window.overlaps(stretch)]
            spans = [stretch, *(f.window for load_id in touched for f in self._sync_files[load_id])]
            wider = Window(min(span.start for span in spans), max(span.end for span in spans))
            if wider == stretch:
                return stretch
            stretch = wider

    def widened(self, stretch: Window) -> Window:
        """See `Ledger`. A file cannot be cut."""
        for file in sorted(self._all(self._event_files), key=lambda file: file.window.start):
            if file.window.overlaps(stretch) and file.load_id in self._complete and not self._owns(file.load_id):
                spans = [other.window for other in self._event_files[file.load_id]]
                stretch = Window(
                    min(stretch.start, *(w.start for w in spans)), max(stretch.end, *(w.end for w in spans))
                )
        return stretch

    def orphans(self, scope: Window) -> list[str]:
        """See `Ledger`. Counted in are complete loads that own nothing, since sync rows have been taken away."""
        return sorted(self._unowned(scope) - self._notes.keys())

    def _unowned(self, scope: Window) -> set[str]:
        """Return the loads that have files in a stretch, and do not own their windows."""
        files = (*self._all(self._event_files), *self._all(self._sync_files))
        return {file.load_id for file in files if file.window.overlaps(scope) and not self._owns(file.load_id)}

    def remove(self, load_ids: Collection[str]) -> None:
        """See `Ledger`. The sync file goes first: without it, a load owns nothing, should a kill come in between."""
        for load_id in load_ids:
            for files in (self._sync_files, self._event_files, self._notes):
                for file in files.pop(load_id, ()):
                    self._remove(file)
            self._judged.pop(load_id, None)

    def _remove(self, file: _File) -> None:
        with suppress(FileNotFoundError):  # its user was quicker, or another run
            self._client.fs_client.rm_file(file.path)

    def clear(self, gaps: Iterable[Window]) -> None:
        """See `Ledger`. Files that nobody owns are gone already, with their loads."""

    def disinherit(self, since: datetime, until: datetime | None = None) -> None:
        """See `Ledger`. The Go hauser's files have other names, and each was whole or not there."""

    def connected(self) -> AbstractContextManager[None]:
        """See `Ledger`."""
        return nullcontext()

    def announce(self, load_id: str, span: Window) -> None:
        """See `Ledger`. A small file beside the tables says who is loading."""
        folder = self._client.get_table_dir(self._pending)
        self._client.fs_client.makedirs(folder, exist_ok=True)
        note = {"runner": runners.this(), "seen": datetime.now(UTC).isoformat()}
        path = self._client.pathlib.join(folder, f"{stamp(span)}.{load_id}.json")
        self._client.fs_client.pipe_file(path, orjson.dumps(note))

    def announced(self) -> list[Announcement]:
        """See `Ledger`."""
        self._forget("_notes")
        if self._notes:
            self._forget("_complete", "_judged")
        begun = [file for file in self._all(self._notes) if file.load_id not in self._complete]
        return [note for note in map(self._announcement, begun) if note]

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
        """See `Ledger`. Names tell which loads share a stretch, so that the folders are listed anew only for those."""
        self._forget("_notes")
        if load_id and load_id not in self._notes:
            self._forget(*_LISTED)
            self.remove([load_id])
            raise TransientError(f"another run has taken load {load_id} for dead; run again")
        if load_id and not self._shares(self._notes[load_id][0].window) and len(self._notes) == 1:
            self._done([load_id])
            return
        if load_id or self._notes:
            self._forget(*_LISTED)
        done = [load_id] if load_id else list(self._notes.keys() & self._complete)
        # a kill may have come between the removal of a load's sync file and that of its events
        half_removed = {load for other in done for note in self._notes[other] for load in self._unowned(note.window)}
        under_way = self._notes.keys() - self._complete
        notes = {other: self._notes[other] for other in done}
        self.remove((self._superseded() | half_removed) - under_way)
        self._notes.update(notes)
        self._done(done)

    def _done(self, load_ids: Iterable[str]) -> None:
        for file in [file for load_id in load_ids for file in self._notes.pop(load_id)]:
            self._remove(file)

    def _shares(self, span: Window) -> bool:
        return any(file.window.overlaps(span) for file in self._all(self._sync_files))

    def _superseded(self) -> set[str]:
        """Return the loads all of whose windows have been loaded again since."""
        doubled: set[str] = set()
        before: list[_File] = []
        for file in sorted(self._all(self._sync_files), key=lambda file: file.window):
            before = [other for other in before if other.window.overlaps(file.window)]
            doubled |= {other.load_id for other in before} | ({file.load_id} if before else set())
            before.append(file)
        rows = [row for load in doubled & self._complete for file in self._sync_files[load] for row in self._rows(file)]
        kept = {row.load_id for row in set(rows) - set(superseded(rows))}
        return {row.load_id for row in rows if row.load_id} - kept

    def _forget(self, *names: str) -> None:
        self._client.fs_client.invalidate_cache()
        for name in names:
            self.__dict__.pop(name, None)

    @cached_property
    def _event_files(self) -> dict[str, list[_File]]:
        return self._by_load(self._export_table)

    @cached_property
    def _sync_files(self) -> dict[str, list[_File]]:
        return self._by_load(self._sync_table)

    @cached_property
    def _notes(self) -> dict[str, list[_File]]:
        """The announcements of loads."""
        return self._by_load(self._pending)

    @cached_property
    def _complete(self) -> set[str]:
        """The loads that dlt has noted as complete."""
        names = (path.rpartition("/")[2] for path in self._list("_dlt_loads"))
        return {name.removesuffix(".jsonl").rpartition("__")[2] for name in names}

    @cached_property
    def _judged(self) -> dict[str, list[SyncRow] | None]:
        """Load -> the sync rows of its windows; None where it owns nothing."""
        return {}

    def _owns(self, load_id: str) -> bool:
        return self._judge(load_id) is not None

    def _owned_rows(self, file: _File) -> list[SyncRow]:
        return self._judge(file.load_id) or []

    def _judge(self, load_id: str) -> list[SyncRow] | None:
        if load_id not in self._judged:
            self._judged[load_id] = self._rows_if_owner(load_id) if load_id in self._complete else None
        return self._judged[load_id]

    def _rows_if_owner(self, load_id: str) -> list[SyncRow] | None:
        rows = [row for file in self._sync_files.get(load_id, ()) for row in self._rows(file)]
        spans = [file.window for file in self._event_files.get(load_id, ())]
        lost = any(gap for span in spans for gap in uncovered(span, (row.window for row in rows)))
        return None if lost else rows

    def _rows(self, file: _File) -> list[SyncRow]:
        try:
            lines = self._content(file.path).splitlines()
        except FileNotFoundError:  # its user has taken it away since we looked
            return []
        try:
            return [self._row(orjson.loads(line), file.load_id) for line in lines if line.strip()]
        except (KeyError, TypeError, ValueError) as exc:
            raise LoadError(
                f"{file.path} is not as we wrote it ({exc!r}); delete it to load its windows again"
            ) from None

    def _content(self, path: str) -> bytes:
        if self._client.is_local_filesystem and not path.endswith(".gz"):
            with open(path, "rb") as file:  # noqa: PTH123 - one for each hour of years, and Path takes twice as long
                return file.read()
        content: bytes = self._client.fs_client.cat_file(path)
        return gzip.decompress(content) if path.endswith(".gz") else content

    def _row(self, row: dict[str, Any], load_id: str) -> SyncRow:
        start, end, processed = (
            datetime.fromisoformat(row[name]).astimezone(UTC)
            for name in ("BundleStartTime", "BundleEndTime", "Processed")
        )
        return SyncRow(start, end, load_id, complete=True, events=row["EventCount"], processed=processed)

    def _all(self, files: dict[str, list[_File]]) -> Iterator[_File]:
        return chain.from_iterable(files.values())

    def _by_load(self, table: str) -> dict[str, list[_File]]:
        files: dict[str, list[_File]] = {}
        for path in self._list(table):
            if match := _FILE_NAME.fullmatch(path.rpartition("/")[2]):
                start, end = datetime.fromisoformat(match[1]), datetime.fromisoformat(match[2])
                files.setdefault(match[3], []).append(_File(path, Window(start, end), match[3]))
        return files

    def _list(self, table: str) -> list[str]:
        folder = self._client.get_table_dir(table)
        try:
            if self._client.is_local_filesystem:
                return [f"{folder}/{name}" for name in os.listdir(folder)]  # noqa: PTH208 - fsspec looks at each
            return [str(p) for p in self._client.fs_client.ls(folder, detail=False)]
        except FileNotFoundError:
            return []
