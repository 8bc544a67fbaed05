"""Bundles of a load package that worker processes convert by blocks."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from hauser_dlt.conversion.block_reader import Divider
from hauser_dlt.conversion.pool import Pool
from hauser_dlt.conversion.window_files import WindowFiles
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.exports.readers import Reader
from hauser_dlt.records.columns import Columns
from hauser_dlt.sync.model import Group
from hauser_dlt.sync.readers import Readers
from hauser_dlt.sync.unit import Unit, result_of


class Divided:
    """The bundles of a unit, as one load reads them.

    Args:
        group: what is being loaded.
        columns: the table's, which the bundles of the load share.
        files: what writes the files of the group, where the destination holds files.
        pause: raises if the run was asked to stop.
    """

    def __init__(
        self,
        unit: Unit,
        group: Group,
        columns: Columns,
        files: WindowFiles,
        pool: Pool,
        readers: Readers,
        pause: Callable[[float], None],
    ) -> None:
        self._unit = unit
        self._columns = columns
        self._readers = readers
        self._bundles = [bundle for bundle in unit.bundles if bundle in group.bundles]
        self._divider = Divider(pool, partial(_result, pause), self._following)
        self._open, self._files = readers.by_blocks(self._divider, files, self._bundles)

    def is_for(self, unit: Unit, columns: Columns) -> bool:
        """Tell whether the bundles of a unit go on with it."""
        return self._unit is unit and self._columns is columns

    def reader(self, delivery: Delivery, load_id: str | None) -> Reader:
        """Return the reader of one of the bundles."""
        reader = self._open(delivery, self._columns, load_id)
        return _NotingReader(reader, self._columns, self._readers, self._files, delivery.bundle == self._bundles[-1])

    def close(self) -> None:
        """Begin no more, and remove a file that is not finished."""
        self._divider.close()
        if unfinished := self._files.abandon():
            unfinished.path.unlink(missing_ok=True)

    def _following(self, delivery: Delivery) -> Delivery | None:
        there: Sequence[Delivery] = self._unit.deliveries
        number = there.index(delivery) + 1
        return there[number] if number < len(there) and there[number].bundle in self._bundles else None


def _result(pause: Callable[[float], None], future: "Future[Any]") -> Any:
    return result_of(future, pause)


class _NotingReader(Reader):
    """The files of one bundle; which columns they have is noted."""

    def __init__(self, files_of: Reader, columns: Columns, readers: Readers, files: WindowFiles, is_last: bool) -> None:
        super().__init__(files_of.delivery, files_of.tally)
        self._files_of = files_of
        self._columns = columns
        self._readers = readers
        self._files = files
        self._is_last = is_last

    def __iter__(self) -> Iterator[Any]:
        """Yield the files; see `Reader`."""
        for file in self._files_of:
            self._readers.note_names(file.schema.names)
            yield file
        if self._is_last and not self._files.made:
            yield from self._readers.without_files(self._columns)
