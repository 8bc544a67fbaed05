"""Bundles that are converted together, and what a worker process makes of them."""

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from hauser_dlt.conversion.pool import Pool
from hauser_dlt.conversion.work import Conversion, Converted
from hauser_dlt.exports import Bundle
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.exports.readers import Reader
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.columns import Columns
from hauser_dlt.sync.model import Group
from hauser_dlt.sync.readers import Readers

T = TypeVar("T")
ASK_EVERY = 0.1  # seconds between two questions whether the run was asked to stop


@dataclass(eq=False, slots=True)
class Unit:
    """Bundles that are converted together.

    Attributes:
        group: the load package of the plan that they are of.
        alone: what they become depends on the group.
        deliveries: those that are there so far.
        taken: how many have been taken, or have failed.
        failed: one of them could not be had, so the others are read without workers.
        is_divided: they are converted by blocks, when it is their turn.
    """

    group: Group
    bundles: tuple[Bundle, ...]
    alone: bool
    deliveries: list[Delivery] = field(default_factory=list)
    taken: int = 0
    failed: bool = False
    is_divided: bool = False
    _work: Conversion | None = None
    _converted: "Future[Converted] | None" = None

    @property
    def is_there(self) -> bool:
        """Whether all that can be had of it are there."""
        return self.failed or len(self.deliveries) == len(self.bundles)

    @property
    def is_taken(self) -> bool:
        """Whether all of it have been taken."""
        return self.taken == len(self.bundles)

    def start(self, pool: Pool, readers: Readers, columns: Columns, load_id: str | None) -> None:
        """Have a worker convert it for a load package, after these columns have come up; unless one does so already."""
        if self._work and self._work.is_for(columns, load_id):
            return
        self.discard()
        now = copy.copy(columns)
        now.restore(columns.state())
        self._work = readers.conversion(self.group, tuple(self.deliveries), now, load_id)
        self._converted = pool.submit(self._work)

    def discard(self) -> None:
        """Remove what a worker has made, or is making, of it."""
        if self._work and self._converted:
            self._converted.cancel()
            self._converted.add_done_callback(partial(_remove, self._work))

    def reader(self, delivery: Delivery, columns: Columns, readers: Readers, pause: Callable[[float], None]) -> Reader:
        """Return the reader of what a worker makes of one of its bundles."""
        return _ConvertedReader(self, delivery, columns, readers, pause)

    def converted(self, pause: Callable[[float], None]) -> Converted:
        """Wait for what a worker makes of it.

        Raises:
            TransientError: the worker has been killed.
            StoppedError: the run was asked to stop.
        """
        if self._converted is None:
            raise RuntimeError("no worker has been given this")
        return result_of(self._converted, pause)


def _remove(work: Conversion, _converted: "Future[Converted]") -> None:
    for path in work.files.folder.glob(f"{work.files.stem}*"):
        path.unlink(missing_ok=True)


class _ConvertedReader(Reader):
    """What a worker has made of one bundle."""

    def __init__(
        self, unit: Unit, delivery: Delivery, columns: Columns, readers: Readers, pause: Callable[[float], None]
    ) -> None:
        super().__init__(delivery, Tally())
        self._unit = unit
        self._number = unit.deliveries.index(delivery)
        self._columns = columns
        self._readers = readers
        self._pause = pause

    def __iter__(self) -> Iterator[Any]:
        """Yield the files; see `Reader`."""
        done = self._unit.converted(self._pause)
        if done.error and self._number == len(done.parts):
            raise done.error
        part = done.parts[self._number]
        self.tally.add(part.tally)
        self._columns.restore(part.columns)
        for file in part.files:
            self._readers.note_names(file.schema.names)
            yield file
        if part is done.parts[-1] and not any(part.files for part in done.parts):
            yield from self._readers.without_files(self._columns)


def result_of(future: "Future[T]", pause: Callable[[float], None]) -> T:
    """Wait for what a worker makes of something.

    Raises:
        TransientError: the worker has been killed.
        StoppedError: the run was asked to stop.
    """
    while not wait((future,), ASK_EVERY).done:
        pause(0)
    pause(0)
    return future.result()


def divide_last(units: Collection[Unit], workers: int) -> None:
    """Have the last units converted by blocks, if each is given to a worker and half of the workers have none.

    Blocks take a little more of a processor, and pass through this process, which is enough for some four workers.
    """
    rest = len(units) % workers
    if 2 * rest <= workers:
        for unit in islice(units, len(units) - rest, None):
            unit.is_divided = True


def units_of(groups: Sequence[Group], readers: Readers, workers: int) -> Iterator[Unit]:
    """Yield the bundles of load packages as they are converted: as the files are to be, where that matters.

    Tables do not care in how many files their rows come. Where there are fewer packages than workers, each becomes
    several; otherwise one is enough: BigQuery counts the load jobs of a day.
    """
    parts = -(-workers // max(len(groups), 1))
    for group in groups:
        number = readers.most_in_one_file(group)
        size = number or -(-len(group.bundles) // parts)
        for first in range(0, len(group.bundles), size):
            yield Unit(group, group.bundles[first : first + size], alone=number != 1)
