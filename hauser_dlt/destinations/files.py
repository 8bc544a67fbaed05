"""The filesystem destination: window files in a folder for each table.

A file is called `<start>-<end>.<load id>.<format>`, in UTC: what it holds and which load it belongs to can be
told from a listing. Our own writers make the files, because dlt's cannot be told where a window ends; dlt imports
them into its load package and copies them to their place.
"""

import filecmp
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import dlt

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.places import local_path
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.conversion.window_files import WindowFiles, WrittenFile
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.folder import UNWRITABLE, Folder, bucket_url
from hauser_dlt.exports.readers import Reader
from hauser_dlt.ledger import Ledger
from hauser_dlt.ledger.file_index import stamp
from hauser_dlt.ledger.files import FilesLedger
from hauser_dlt.machine import refuse_unwritable
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


class ImportingReader(Reader):
    """A reader whose finished files are handed to dlt, which moves them into its load package as they are.

    Args:
        files: where they are remembered, until they are named and removed.
        file_format: what dlt is to take them for.
    """

    def __init__(self, reader: Reader, files: WindowFiles, file_format: Literal["csv", "parquet"] = _OPAQUE) -> None:
        super().__init__(reader.delivery, reader.tally)
        self._reader = reader
        self._files = files
        self._format = file_format

    def __iter__(self) -> Iterator[Any]:
        """Yield the files, and whatever else there is as it is; see `Reader`."""
        for item in self._reader:
            if not isinstance(item, WrittenFile):
                yield item
                continue
            self._files.made[item.path] = item.span
            hints = item.schema.empty_table()
            yield dlt.mark.with_file_import(str(item.path), self._format, item.rows, hints=hints)


def name_jobs(files: WindowFiles, pipeline: dlt.Pipeline, load_id: str, sync_table: str) -> None:
    """Name dlt's copies of the files after their windows, so that the layout puts it into their final names."""
    parts: dict[str, Iterator[int]] = {}
    unnamed = dict(files.made)
    for job in pipeline.get_load_package_info(load_id).jobs["new_jobs"]:
        path = Path(job.file_path)
        info = job.job_file_info
        span = files.span if info.table_name == sync_table else _take(unnamed, path)
        if span is None:
            continue
        number = next(parts.setdefault(info.table_name + stamp(span), count(1)))
        file_id = stamp(span) if number == 1 else f"{stamp(span)}-{number}"
        path.rename(path.with_name(f"{info.table_name}.{file_id}.{info.retry_count}.{info.full_extension()}"))


def _take(made: dict[Path, Window], theirs: Path) -> Window | None:
    """Take out the file of ours that dlt links, or copies where the file system has no links; return its interval."""
    present = [ours for ours in made if ours.exists()]
    same = next((ours for ours in present if ours.samefile(theirs)), None)
    same = same or next((ours for ours in present if filecmp.cmp(ours, theirs, shallow=False)), None)
    return made.pop(same) if same else None


class FilesAdapter(DestinationAdapter):
    """Files in a folder or bucket."""

    holds_files = True
    reload_unit: ClassVar[Literal["window", "load"]] = "load"
    kind: ClassVar[type[Folder]] = Folder

    @classmethod
    def of(cls, run: RunSettings, settings: SourceSettings, *, reading: bool) -> Self:
        """Return the folder or bucket that the settings name; see `DestinationAdapter`."""
        url = bucket_url()
        folder = local_path(url)
        if folder and not reading:
            refuse_unwritable(folder, UNWRITABLE)
        destination = cls.kind(
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
