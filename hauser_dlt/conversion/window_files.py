"""A bundle as files: each holds the events of a window, or of all windows of a load package."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from hauser_dlt.conversion.file_writers import BackgroundWriter, open_stream, open_writer
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.exports.readers import OpenReader, Reader
from hauser_dlt.fields import EVENT_START
from hauser_dlt.records import json_stream
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.columns import Columns, empty_batch
from hauser_dlt.records.proof import Proof
from hauser_dlt.windows import Window


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that is finished.

    Attributes:
        span: the interval that it covers.
        schema: its columns.
    """

    path: Path
    span: Window
    rows: int
    schema: pa.Schema

    def ranges(self, column: str) -> Iterator[tuple[Any, Any]]:
        """Yield the least and the greatest value of a column of numbers or times, of each part of a Parquet file."""
        metadata, index = pyarrow.parquet.read_metadata(self.path), self.schema.names.index(column)
        for number in range(metadata.num_row_groups):
            found = metadata.row_group(number).column(index).statistics
            if found and found.has_min_max:
                yield found.min, found.max


@dataclass
class _Part:
    """A file being written."""

    path: Path
    span: Window
    schema: pa.Schema
    writer: Any
    rows: int = 0


@dataclass
class WindowFiles:
    """Writes the events of one load package into files.

    Attributes:
        span: the interval of the package.
        by_day: one file holds all of it, instead of one window.
        escape_formulas: CSV holds nothing that a spreadsheet would run.
        needed: the field that FullStory's own rows have.
        in_array: FullStory promises an array.
        most_bytes: a file that has become larger is followed by another; None is any size.
        stem: how the names of the files begin.
        made: each file -> the interval that it covers.
    """

    folder: Path
    file_format: str
    compress: bool
    span: Window
    by_day: bool = False
    escape_formulas: bool = False
    needed: str = EVENT_START
    in_array: bool = False
    most_bytes: int | None = None
    stem: str = "file"
    made: dict[Path, Window] = field(default_factory=dict)
    _part: _Part | None = None

    def opening(self, open_batches: OpenReader) -> OpenReader:
        """Return what takes the place of a reader of Arrow batches: a reader whose items are finished files."""
        if self.file_format == "json":
            return lambda delivery, columns, load_id: _RawReader(self, delivery, columns)
        return lambda delivery, columns, load_id: _FileReader(self, open_batches(delivery, columns, load_id))

    def write(self, batches: Iterable[pa.RecordBatch], window: Window) -> Iterator[WrittenFile]:
        """Write a window's batches, and yield the files that are finished.

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
                if self.most_bytes and self._part.path.stat().st_size > self.most_bytes:
                    yield self._finish(self._part)
        if self._part and window.end == span.end:
            yield self._finish(self._part)

    def _begin(self, schema: pa.Schema, span: Window) -> _Part:
        path = self.new_path(span)
        writer = open_writer(
            self.file_format, path, schema, compress=self.compress, escape_formulas=self.escape_formulas
        )
        return _Part(path, span, schema, writer)

    def _finish(self, part: _Part) -> WrittenFile:
        self._part = None
        part.writer.close()
        return WrittenFile(part.path, part.span, part.rows, part.schema)

    def new_path(self, span: Window) -> Path:
        """Return where to write one more file, which covers an interval."""
        path = self.folder / f"{self.stem}{len(self.made)}"
        self.made[path] = span
        return path

    def abandon(self) -> WrittenFile | None:
        """Close the file that is being written, if any, and return it: what comes after it will not be."""
        return self._finish(self._part) if self._part else None


class _FileReader(Reader):
    """The files that are made of one bundle's Arrow batches."""

    def __init__(self, files: WindowFiles, batches: Reader) -> None:
        super().__init__(batches.delivery, batches.tally)
        self._files = files
        self._batches = batches

    def __iter__(self) -> Iterator[WrittenFile]:
        """Yield the files; see `Reader`."""
        return self._files.write(self._batches, self.delivery.bundle.window)


class _RawReader(Reader):
    """A file of FullStory's own bytes, unpacked; reading the records along the way shows that it is whole."""

    def __init__(self, files: WindowFiles, delivery: Delivery, columns: Columns) -> None:
        super().__init__(delivery, Tally())
        self._files = files
        self._columns = columns

    def __iter__(self) -> Iterator[WrittenFile]:
        """Yield the file, unless it has no rows; see `Reader`."""
        window = self.delivery.bundle.window
        path = self._files.new_path(window)
        file = BackgroundWriter(open_stream(path, self._files.compress))
        with closing(self.delivery.pieces()) as pieces, closing(file):

            def written() -> Iterator[bytes]:
                for piece in pieces:
                    file.write(piece)
                    yield piece

            self.tally.rows = self._proven(written())
        if self.tally.rows:
            yield WrittenFile(path, window, self.tally.rows, empty_batch(self._columns).schema)

    def _proven(self, pieces: Iterator[bytes]) -> int:
        """Read records; return how many there are."""
        proof = Proof(self._files.needed)
        for raw, row in json_stream.skimmed(pieces, in_array=self._files.in_array):
            if getattr(row, proof.needed, None) is None:
                proof.see(_in_any_case(raw, proof.needed))
            else:
                proof.passed(1)
        proof.end()
        return proof.rows


def _in_any_case(raw: bytes, name: str) -> dict[str, Any]:
    """Return a record with a field of whatever case under its own name."""
    ((_, row),) = json_stream.records([raw])
    found = [value for key, value in row.items() if key.lower() == name.lower() and value is not None]
    return row | ({name: found[0]} if found else {})
