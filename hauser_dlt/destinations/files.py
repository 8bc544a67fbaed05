"""The filesystem destination: window files in a folder for each table.

A file is called `<start>-<end>.<load id>.<format>`, in UTC: what it holds and which load it belongs to can be
told from a listing. Our own writers make the files, because dlt's cannot be told where a window ends; dlt imports
them into its load package and copies them to their place.
"""

import filecmp
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import dlt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from hauser_dlt import decode
from hauser_dlt.answers import Proof
from hauser_dlt.batches import Columns, Tally
from hauser_dlt.downloads import Delivery
from hauser_dlt.fields import CUSTOM_VARS, EVENT_START
from hauser_dlt.ledger.file_index import stamp
from hauser_dlt.readers import OpenReader, Reader
from hauser_dlt.source import empty_batch
from hauser_dlt.windows import Window

LAYOUT = "{table_name}/{file_id}.{load_id}.{ext}"
# What dlt takes for the format of our files while they are in its hands: it passes CSV on as it is.
_OPAQUE: Final = "csv"


def extension_of(file_format: str) -> Callable[..., str]:
    """Return dlt's placeholder for extensions: the true one, for files that dlt takes for CSV."""

    def extension(schema_name: str, table_name: str, load_id: str, file_id: str, ext: str) -> str:
        return ext.replace(_OPAQUE, file_format)

    return extension


class _ParquetWriter(pyarrow.parquet.ParquetWriter):  # type: ignore[misc]
    def __init__(self, path: Path, schema: pa.Schema, compress: bool) -> None:
        # Rows are in the order of time, so the least and the greatest text of a row group let no reader skip it;
        # CustomVars differ from row to row. Both would cost time, and several copies of a text of 50 MB.
        repeating = [name for name in schema.names if name != CUSTOM_VARS]
        ordered = [column.name for column in schema if not pa.types.is_string(column.type)]
        super().__init__(str(path), schema, compression="snappy", use_dictionary=repeating, write_statistics=ordered)


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
        span: the interval of the package.
        by_day: one file holds all of it, instead of one window.
        tame: CSV holds nothing that a spreadsheet would run.
        needed: the field that FullStory's own rows have.
        in_array: FullStory promises an array.
        made: each file -> the stretch that it covers.
    """

    folder: Path
    file_format: str
    compress: bool
    span: Window
    by_day: bool = False
    tame: bool = False
    needed: str = EVENT_START
    in_array: bool = False
    made: dict[Path, Window] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _part: _Part | None = None

    def opening(self, open_batches: OpenReader) -> OpenReader:
        """Return what takes the place of a reader of Arrow batches: a reader whose items are files to import."""
        if self.file_format == "json":
            return lambda delivery, columns, load_id: _RawReader(self, delivery, columns)
        return lambda delivery, columns, load_id: _FileReader(self, open_batches(delivery, columns, load_id))

    def write(self, batches: Iterable[pa.RecordBatch], window: Window) -> Iterator[Any]:
        """Write a window's batches, and yield the files that are finished, for dlt to import.

        Where a new column has come up, another file begins, with another header.
        """
        span = self.span if self.by_day else window
        for batch in batches:
            if self._part and not self._part.schema.equals(batch.schema):
                yield self._finish(self._part)
            if batch.num_rows:
                self._part = self._part or self._begin(batch.schema, span)
                self._part.writer.write_batch(batch)
                self._part.rows += batch.num_rows
        if self._part and window.end == span.end:
            yield self._finish(self._part)

    def _begin(self, schema: pa.Schema, span: Window) -> _Part:
        path = self.new_path(span)
        writer = _TameCsvWriter if self.tame and self.file_format == "csv" else _WRITERS[self.file_format]
        return _Part(path, schema, writer(path, schema, self.compress))

    def _finish(self, part: _Part) -> Any:
        self._part = None
        part.writer.close()
        return dlt.mark.with_file_import(str(part.path), _OPAQUE, part.rows, hints=part.schema.empty_table())

    def new_path(self, span: Window) -> Path:
        """Return where to write one more file, which covers a stretch."""
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
            span = self.span if info.table_name == sync_table else _take(unnamed, path)
            if span is None:
                continue
            number = next(parts.setdefault(info.table_name + stamp(span), count(1)))
            file_id = stamp(span) if number == 1 else f"{stamp(span)}-{number}"
            path.rename(path.with_name(f"{info.table_name}.{file_id}.{info.retry_count}.{info.full_extension()}"))


class _FileReader(Reader):
    """The files that are made of one bundle's Arrow batches."""

    def __init__(self, files: WindowFiles, batches: Reader) -> None:
        super().__init__(batches.delivery, batches.tally)
        self._files = files
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        """Yield the files; see `Reader`."""
        return self._files.write(self._batches, self.delivery.bundle.window)


class _RawReader(Reader):
    """A file of FullStory's own bytes, unpacked; reading the records along the way shows that it is whole."""

    def __init__(self, files: WindowFiles, delivery: Delivery, columns: Columns) -> None:
        super().__init__(delivery, Tally())
        self._files = files
        self._columns = columns

    def __iter__(self) -> Iterator[Any]:
        """Yield the file, unless it has no rows; see `Reader`."""
        path = self._files.new_path(self.delivery.bundle.window)
        file = _Behind(_open(path, self._files.compress))
        with closing(self.delivery.pieces()) as pieces, closing(file):

            def written() -> Iterator[bytes]:
                for piece in pieces:
                    file.write(piece)
                    yield piece

            self.tally.rows = self._proven(written())
        if self.tally.rows:
            hints = empty_batch(self._columns).schema.empty_table()
            yield dlt.mark.with_file_import(str(path), _OPAQUE, self.tally.rows, hints=hints)

    def _proven(self, pieces: Iterator[bytes]) -> int:
        """Read records; return how many there are."""
        proof = Proof(self._files.needed)
        for raw, row in decode.skimmed(pieces, in_array=self._files.in_array):
            if getattr(row, proof.needed, None) is None:
                proof.see(_in_any_case(raw, proof.needed))
            else:
                proof.passed(1)
        proof.end()
        return proof.rows


def _in_any_case(raw: bytes, name: str) -> dict[str, Any]:
    """Return a record with a field of whatever case under its own name."""
    ((_, row),) = decode.records([raw])
    found = [value for key, value in row.items() if key.lower() == name.lower() and value is not None]
    return row | ({name: found[0]} if found else {})


def _take(made: dict[Path, Window], theirs: Path) -> Window | None:
    """Take out the file of ours that dlt links, or copies where the file system has no links; return its stretch."""
    present = [ours for ours in made if ours.exists()]
    same = next((ours for ours in present if ours.samefile(theirs)), None)
    same = same or next((ours for ours in present if filecmp.cmp(ours, theirs, shallow=False)), None)
    return made.pop(same) if same else None
