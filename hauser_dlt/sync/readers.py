"""How bundles are read for one destination: as Arrow batches or as files, here or by worker processes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pyarrow as pa

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.conversion.block_reader import BlockReader, Divider
from hauser_dlt.conversion.events import EventReader, Fit, comes_in_array
from hauser_dlt.conversion.window_files import WindowFiles
from hauser_dlt.conversion.work import Conversion, InOrder
from hauser_dlt.destinations import DestinationAdapter
from hauser_dlt.exports import Bundle
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.exports.readers import OpenReader
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.columns import Columns, empty_batch
from hauser_dlt.records.tables import Fitting, Table
from hauser_dlt.sync.model import Group, Seen
from hauser_dlt.windows import Window


class Readers:
    """What opens bundles for one destination.

    Args:
        seen: the destination as it was inspected.
        folder: for files of ours.
        most_bytes: where the destination holds tables, how large a file may be that it loads; None is any size.
        replays: what links to sessions begin with.
    """

    def __init__(
        self,
        config: Configuration,
        to: DestinationAdapter,
        seen: Seen,
        folder: Path,
        *,
        most_bytes: int | None = None,
        replays: str = "",
    ) -> None:
        self._run = config.run
        self._to = to
        self._limit = to.text_limit(config)
        self._settings = replace(seen.source, api_token="", http_headers={})  # no reader needs secrets
        self._table = seen.tables.export
        self._folder = folder
        self._most_bytes = most_bytes
        self._replays = replays
        self._numbers = count()
        self._names: tuple[str, ...] = ()

    def fitting(self, table: Table) -> Fitting:
        """Return what makes batches fit a table."""
        return Fitting(table, self._limit)

    def batches(self) -> OpenReader:
        """Return what opens the Arrow batches of a bundle."""
        return partial(EventReader, self._settings, self.fitting(self._table), replays=self._replays)

    def without_files(self, columns: Columns) -> Iterator[pa.RecordBatch]:
        """Yield what tells a destination of tables which columns there are, where no events do."""
        if not self._to.holds_files:
            yield self.fitting(self._table)(empty_batch(columns), Tally())

    def files(self, group: Group) -> WindowFiles:
        """Return what writes the files of a group, as a destination of files holds them."""
        return WindowFiles(
            self._folder,
            self._run.file_format,
            self._run.compress,
            group.span,
            by_day=group.by_day,
            escape_formulas=self._run.csv_escape_formulas,
            in_array=comes_in_array(self._settings),
        )

    def most_in_one_file(self, group: Group) -> int | None:
        """Return how many bundles of a group must be in one file; None if any number may."""
        if not self._to.holds_files:
            return None
        return len(group.bundles) if group.by_day and self._run.file_format != "json" else 1

    def begin_package(self, names: Iterable[str]) -> None:
        """Remember which columns the table has, in their order."""
        self._names = tuple(names) or self._names

    def note_names(self, names: Iterable[str]) -> None:
        """Remember which columns the table gets. dlt writes a file anew that has others, or in another order."""
        self._names = tuple(dict.fromkeys((*self._names, *names)))

    def conversion(
        self, group: Group, deliveries: tuple[Delivery, ...], columns: Columns, load_id: str | None
    ) -> Conversion:
        """Return the work of a worker process: bundles of a group, into files that no other work has."""
        if self._to.holds_files:
            files, open_batches = self.files(group), self.batches()
            files.stem = self._new_stem()
        else:
            files = self._table_files([delivery.bundle for delivery in deliveries])
            open_batches = partial(EventReader, self._settings, self._in_order(), replays=self._replays)
        return Conversion(deliveries, columns, load_id, open_batches, files)

    @property
    def can_divide(self) -> bool:
        """Whether workers can convert a bundle by blocks; neither what is only checked, nor an array."""
        raw = self._to.holds_files and self._run.file_format == "json"
        return not (raw or comes_in_array(self._settings))

    def by_blocks(
        self, divider: Divider, files: WindowFiles, bundles: Sequence[Bundle]
    ) -> tuple[OpenReader, WindowFiles]:
        """Return what opens bundles that workers convert by blocks, and what writes the files that they become.

        Args:
            files: what writes those of the load package, where the destination holds files.
            bundles: those that are opened, in their order.
        """
        fit: Fit = self.fitting(self._table)
        if not self._to.holds_files:
            files, fit = self._table_files(bundles), self._in_order()
        return files.opening(partial(BlockReader, divider, self._settings, fit, replays=self._replays)), files

    def _table_files(self, bundles: Sequence[Bundle]) -> WindowFiles:
        """Return what writes files for tables: one, or more where it would be larger than the destination likes."""
        span = Window(bundles[0].window.start, bundles[-1].window.end)
        files = WindowFiles(self._folder, "parquet", compress=False, span=span, by_day=True, stem=self._new_stem())
        files.most_bytes = self._most_bytes
        return files

    def _in_order(self) -> InOrder:
        return InOrder(self.fitting(self._table), self._names)

    def _new_stem(self) -> str:
        """Return what the names of files begin with that no other work has."""
        return f"worker{next(self._numbers)}-"
