"""Bundles are converted by worker processes, if that pays: some ahead of what is being loaded, the last ones in blocks.

What a worker makes depends on two things that are certain only when it is the bundles' turn: the load id, and the
columns that have come up before. Both are foreseen, and compared when it is their turn; where they differ, because an
earlier bundle has brought a new field, the bundles are converted once more. So the files are the same to the byte as if
they were written one after the other.
"""

import copy
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from hauser_dlt.conversion.pool import Pool
from hauser_dlt.conversion.window_files import WindowFiles
from hauser_dlt.exports.disk import Disk
from hauser_dlt.exports.prefetch import Deliveries, Delivery
from hauser_dlt.exports.readers import Reader
from hauser_dlt.ledger import load_ids
from hauser_dlt.records.columns import Columns
from hauser_dlt.sync.divided import Divided
from hauser_dlt.sync.model import Group
from hauser_dlt.sync.readers import Readers
from hauser_dlt.sync.unit import ASK_EVERY, Unit, divide_last, units_of

PAYS = 32 << 20
"""Compressed bytes for which processes are started, as far as can be told: some four seconds of one processor."""

_BUNDLES_AHEAD = 24  # at the least


class Ahead(Iterator[Delivery]):
    """The bundles' files, in the order of the bundles, as `Deliveries` has them; those ahead are converted already.

    It begins to work ahead once what is left seems to be worth the start of processes. Use it in one thread.

    Args:
        groups: of all bundles, in their order.
        workers: how many processes there are at the most; with 1 there is none, and nothing is done ahead.
        pause: raises if the run was asked to stop.
        disk: has room for more units, or has not; the one that is waited for is begun all the same.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        groups: Sequence[Group],
        readers: Readers,
        workers: int,
        pause: Callable[[float], None],
        disk: Disk | None = None,
    ) -> None:
        self._disk = disk
        self._deliveries = deliveries
        self._readers = readers
        self._workers = workers
        self._pause = pause
        self._units = deque(units_of(groups, readers, workers))  # not taken as a whole
        self._number = sum(len(unit.bundles) for unit in self._units)
        self._of_path: dict[Path, Unit] = {}
        self._bytes = self._taken = 0
        self._held = ExitStack()
        self._pool: Pool | None = None
        self._begun: deque[Unit] = deque()  # likewise, once the collector has begun with them
        self._queue: deque[Delivery | BaseException] = deque()
        self._closed = self._waiting = False
        self._changed = threading.Condition()
        self._columns: Columns | None = None  # of the group that is being loaded
        self._group: Group | None = None
        self._ids: dict[Group, str | None] = {}
        self._newest = 0.0  # load that the destination has
        self._divided: Divided | None = None

    def __next__(self) -> Delivery:
        """Return the next bundle's file.

        Raises:
            HauserError: see `Deliveries`.
        """
        if self._pool:
            return self._next_collected()
        unit = self._units[0] if self._units and not self._units[0].taken else None
        try:
            delivery = next(self._deliveries)
        finally:
            _count_taken(self._units)
        self._taken += 1
        self._bytes += delivery.path.stat().st_size
        if unit and self._pays(unit):
            if unit not in self._units:
                self._units.appendleft(unit)
            self._begin(delivery)
            return self._next_collected()
        return delivery

    def is_next_ready(self) -> bool:
        """Tell whether the next bundle's file is there, so that nobody would wait for it."""
        if not self._pool:
            return self._deliveries.is_next_ready()
        with self._changed:
            return bool(self._queue) and (self._begun[0].is_divided or self._begun[0].is_there)

    def close(self) -> None:
        """End the processes, and remove the files that nobody will take."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._held.close()
        if self._divided:
            self._divided.close()
        for entry in self._queue:
            _remove(entry)
        for unit in self._of_path.values():
            unit.discard()

    def _pays(self, unit: Unit) -> bool:
        """Tell whether to start processes for a unit and what follows, if those are as large as what came before."""
        left = self._number - self._taken + 1
        shared = left > len(unit.bundles) or self._readers.can_divide
        return self._workers > 1 and shared and self._bytes / self._taken * left >= PAYS

    def _begin(self, first: Delivery) -> None:
        self._units[0].taken = 0
        if self._readers.can_divide:
            divide_last(self._units, self._workers)
        self._pool = self._held.enter_context(Pool(self._workers))
        # it may wait for an export for hours, and must not keep the process from ending
        threading.Thread(target=self._collect, args=(first,), name="collector", daemon=True).start()

    def _next_collected(self) -> Delivery:
        with self._changed:
            self._waiting = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._queue)
            self._waiting = False
            entry = self._queue.popleft()
            _count_taken(self._begun)
            self._changed.notify_all()
        if not isinstance(entry, Delivery):
            raise entry
        return entry

    def _collect(self, first: Delivery) -> None:
        try:
            self._collect_in_turn(first)
        except BaseException as exc:  # noqa: BLE001 - raised again, and nobody waits for what will not come
            with self._changed:
                for unit in self._begun:
                    unit.failed = True
                self._queue.append(exc)
                self._changed.notify_all()

    def _collect_in_turn(self, first: Delivery) -> None:
        """Take the bundles' files as they come, and have workers convert them; not too many, which lie on the disk."""
        held: Delivery | None = first
        while self._units:  # none is kept: it holds what has become of its bundles
            unit = self._units.popleft()
            with self._changed:
                self._changed.wait_for(partial(self._may_begin, unit))
                self._begun.append(unit)
            for _ in unit.bundles:
                entry, held = held or self._fetched(), None
                with self._changed:
                    if self._closed:
                        _remove(entry)
                        return
                    self._note(unit, entry)

    def _fetched(self) -> Delivery | BaseException:
        """Return the next bundle's file, or why it could not be had, which is raised when it is its turn."""
        try:
            return next(self._deliveries)
        except BaseException as exc:  # noqa: BLE001 - raised again
            return exc

    def _may_begin(self, unit: Unit) -> bool:
        if self._closed or self._waiting:
            return True
        bundles = sum(len(begun.bundles) for begun in (*self._begun, unit))
        few = len(self._begun) <= self._workers or bundles <= _BUNDLES_AHEAD
        return few and (self._disk is None or self._disk.has_room(len(unit.bundles) - self._deliveries.held))

    def _note(self, unit: Unit, entry: Delivery | BaseException) -> None:
        self._queue.append(entry)
        if isinstance(entry, Delivery):
            unit.deliveries.append(entry)
            self._of_path[entry.path] = unit
        else:
            unit.failed = True
        self._submit()
        self._changed.notify_all()
        if not isinstance(entry, Delivery):  # until that is told, what failed it may fail others, too
            self._changed.wait_for(lambda: self._closed or entry not in self._queue)

    def load_id(self, group: Group, newest: float) -> str | None:
        """Begin with the load package of a group; return the id that it must have, above `newest`, or None.

        Args:
            group: one of the plan, or what is left of it after a failure.
        """
        if not self._pool:
            return None
        bundles = set(group.bundles)
        with self._changed:
            self._newest = newest
            for path, unit in list(self._of_path.items()):
                if unit.is_taken and unit.bundles[0] not in bundles:
                    del self._of_path[path]
            self._ids = {other: id_ for other, id_ in self._ids.items() if load_ids.number(id_) > newest}
            return self._reserved(group)

    def _reserved(self, group: Group) -> str | None:
        if load_ids.number(self._ids.get(group)) <= self._newest:
            last = max(map(load_ids.number, self._ids.values()), default=0.0)
            self._ids[group] = load_ids.reserve(max(self._newest, last))
        return self._ids[group]

    def reader(
        self, group: Group, delivery: Delivery, columns: Columns, load_id: str | None, files: WindowFiles
    ) -> Reader | None:
        """Return the reader of what workers make of a bundle; None if none is given it.

        Args:
            group: what is being loaded.
            columns: as they are after what came before.
            files: what writes the files of the group, where the destination holds files.
        """
        if not self._pool:
            return None
        with self._changed:
            self._group, self._columns, self._ids[group] = group, columns, load_id
            self._newest = max(self._newest, load_ids.number(load_id))
            self._submit()
            unit = self._of_path.get(delivery.path)
            if unit and unit.is_divided:
                return self._dividing(unit, group, columns, files, self._pool).reader(delivery, load_id)
            if unit is None or (unit.alone and unit.group != group):
                return None
            while not unit.is_there:
                self._changed.wait(ASK_EVERY)
                self._pause(0)
            if unit.failed:
                return None
            if delivery == unit.deliveries[0]:
                unit.start(self._pool, self._readers, columns, load_id)
        return unit.reader(delivery, columns, self._readers, self._pause)

    def _dividing(self, unit: Unit, group: Group, columns: Columns, files: WindowFiles, pool: Pool) -> Divided:
        if self._divided and self._divided.is_for(unit, columns):
            return self._divided
        if self._divided:
            self._divided.close()
        self._divided = Divided(unit, group, columns, files, pool, self._readers, self._pause)
        return self._divided

    def _submit(self) -> None:
        """Have workers convert what is there, for the load ids and columns that can be foreseen."""
        if self._columns is None or self._pool is None or self._closed:
            return
        later = copy.copy(self._columns)
        later.restore(self._columns.state())
        later.begin_package()
        for unit in self._begun:
            if unit.is_there and not (unit.is_divided or unit.failed or unit.taken):
                if unit.group == self._group:
                    unit.start(self._pool, self._readers, self._columns, self._ids[unit.group])
                else:
                    unit.start(self._pool, self._readers, later, self._reserved(unit.group))


def _count_taken(units: deque[Unit]) -> None:
    if units:
        units[0].taken += 1
        if units[0].is_taken:
            units.popleft()


def _remove(entry: Delivery | BaseException) -> None:
    if isinstance(entry, Delivery):
        entry.path.unlink(missing_ok=True)
