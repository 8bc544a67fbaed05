"""The filesystem destination: window files in a folder for each table.

A file is called `<start>-<end>.<load id>.<format>`, in UTC: what it holds and which load it belongs to can be
told from a listing. Our own writers make the files, because dlt's cannot be told where a window ends; dlt imports
them into its load package and copies them to their place.
"""

import filecmp
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

import dlt
import pyarrow as pa

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.places import local_path
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.file_writers import BackgroundWriter, open_stream, open_writer
from hauser_dlt.destinations.folder import UNWRITABLE, Folder, bucket_url
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.exports.readers import OpenReader, Reader
from hauser_dlt.fields import EVENT_START
from hauser_dlt.ledger import Ledger
from hauser_dlt.ledger.file_index import stamp
from hauser_dlt.ledger.files import FilesLedger
from hauser_dlt.machine import refuse_unwritable
from hauser_dlt.records import json_stream
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.columns import Columns, empty_batch
from hauser_dlt.records.proof import Proof
from hauser_dlt.records.tables import Tables
from hauser_dlt.windows import Window

LAYOUT = "{table_name}/{file_id}.{load_id}.{ext}"
# What dlt takes for the format of our files while they are in its hands: it passes CSV on as it is.
_OPAQUE: Final = "csv"


def extension_of(file_format: str) -> Callable[..., str]:
    """Return dlt's placeholder for extensions: the true one, for files that dlt takes for CSV."""

    def extension(schema_name: str, table_name: str, load_id: str, file_id: str, ext: str) -> str:
        return ext.replace(_OPAQUE, file_format)

    return extension


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
        escape_formulas: CSV holds nothing that a spreadsheet would run.
        needed: the field that FullStory's own rows have.
        in_array: FullStory promises an array.
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
        writer = open_writer(
            self.file_format, path, schema, compress=self.compress, escape_formulas=self.escape_formulas
        )
        return _Part(path, schema, writer)

    def _finish(self, part: _Part) -> Any:
        self._part = None
        part.writer.close()
        return dlt.mark.with_file_import(str(part.path), _OPAQUE, part.rows, hints=part.schema.empty_table())

    def new_path(self, span: Window) -> Path:
        """Return where to write one more file, which covers an interval."""
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
        file = BackgroundWriter(open_stream(path, self._files.compress))
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


def _take(made: dict[Path, Window], theirs: Path) -> Window | None:
    """Take out the file of ours that dlt links, or copies where the file system has no links; return its interval."""
    present = [ours for ours in made if ours.exists()]
    same = next((ours for ours in present if ours.samefile(theirs)), None)
    same = same or next((ours for ours in present if filecmp.cmp(ours, theirs, shallow=False)), None)
    return made.pop(same) if same else None


class FilesAdapter(DestinationAdapter):
    """Files in a folder or bucket."""

    holds_files = True
    reload_unit = "load"

    @classmethod
    def of(cls, run: RunSettings, settings: SourceSettings, *, reading: bool) -> Self:
        """Return the folder or bucket that the settings name; see `DestinationAdapter`."""
        url = bucket_url()
        folder = local_path(url)
        if folder and not reading:
            refuse_unwritable(folder, UNWRITABLE)
        destination = Folder(
            bucket_url=url,
            destination_name="filesystem",
            layout=LAYOUT,
            extra_placeholders={"ext": extension_of(run.file_format)},
            enable_dataset_name_normalization=False,
            warn_unsafe_layout_separators=False,
        )
        return cls(destination, run.dataset_name, url)

    def inspect(self, pipeline: dlt.Pipeline, settings: SourceSettings) -> Tables:
        """Return no tables: each file has columns of its own."""
        return Tables()

    def access(self, pipeline: dlt.Pipeline, tables: Collection[str], *, staging: bool = False) -> None:
        """Return nothing: there is no catalog."""

    def ledger(self, pipeline: dlt.Pipeline, settings: SourceSettings, _tables: Tables, now: datetime) -> Ledger:
        """Return the ledger of files."""
        return FilesLedger(pipeline, settings.export_table, settings.sync_table, now)

    def refuse_unwritable(self, _client: Any) -> bool:
        """Make sure that a folder of this machine can be written to."""
        folder = local_path(self.place)
        if folder:
            refuse_unwritable(folder, UNWRITABLE)
        return bool(folder)

    def prepare(self, source: Any, _config: Configuration, _tables: Tables) -> None:
        """Have sync rows be files of JSON."""
        if "fs_sync" in source.resources:
            source.resources["fs_sync"].apply_hints(file_format="jsonl")
