"""How much a run may have on the disk at once: what is there, what is to come, and whether there is room for more.

What bundles become on their way, files of the destination's format and dlt's load packages, lies beside them. By how
much that is more than the bundles is seen as they are loaded. Until the first are, it is taken for four times as much,
as text is that can be packed well.
"""

import logging
import os
import shutil
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_SHARE = 0.9  # of what the disk has free, where nothing is said
_REMEMBERED = 48  # bundles, the largest of which shows how large the next may be
_OFTEN = 0.25  # seconds between two measurements
_AT_FIRST = 4.0  # bytes beside each of a bundle
_AT_LEAST = 1.0


class Disk:
    """The working folder of a run.

    Attributes:
        peak: the most bytes that were measured in it.

    Args:
        most: how many bytes may be in it; None is most of what the disk has free at the time.
    """

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self._folder = folder
        self._most = most
        self.peak = 0
        self._there = 0  # when it was measured last; that takes long where there are many files
        self._coming: set[Path] = set()
        self._bundles: dict[Path, int] = {}
        self._sizes: deque[int] = deque(maxlen=_REMEMBERED)
        self._grows = _AT_LEAST
        self._is_known = False  # by how much they grow: some have come and gone
        self._told = False
        self._lock = threading.Lock()

    def begun(self, path: Path) -> None:
        """A bundle's file will be there."""
        with self._lock:
            self._coming.add(path)

    def ended(self, path: Path) -> None:
        """A bundle's file is there, or will not be."""
        size = _size(path)
        with self._lock:
            self._coming.discard(path)
            if size:
                self._bundles[path] = size
                self._sizes.append(size)

    def has_room(self, further: int = 1) -> bool:
        """Tell whether further bundles fit beside what is there and what is begun.

        Until one has arrived, nobody knows how large they are: of a bound that was set, one at a time is begun.
        """
        return self._fits(further, self._there, spare=2) or self._fits(further, self.measure())

    def _fits(self, further: int, there: int, *, spare: int = 1) -> bool:
        """Tell whether there is so many times the room that further bundles need, beside the bytes that are there."""
        with self._lock:
            if not self._sizes:
                return self._most is None or not self._coming
            arrived = sum(map(_size, self._coming))  # of bundles that are to come
            each = 1 + (self._grows if self._is_known else max(self._grows, _AT_FIRST))
            to_come = max(self._sizes) * (len(self._coming) + further) * each
            needed = spare * (to_come + max(there - arrived, sum(self._bundles.values()) * each))
        free = shutil.disk_usage(self._folder).free * _SHARE
        return needed - there <= free and (self._most is None or needed <= self._most)

    def measure(self) -> int:
        """Return how many bytes are there."""
        there = sum(_sizes(self._folder))
        with self._lock:
            before, self._bundles = (
                self._bundles,
                {path: self._bundles[path] for path in self._bundles if path.exists()},
            )
            self._is_known |= len(self._bundles) < len(before)
            bundles = sum(self._bundles.values())
            if bundles >= max(self._sizes, default=1):
                self._grows = max(self._grows, (there - sum(map(_size, self._coming))) / bundles - 1)
            self._there = there
            self.peak = max(self.peak, there)
            too_much = self._most is not None and there > self._most and not self._told
            self._told |= too_much
        if too_much:
            logger.warning(
                "the working folder holds %s, more than max_disk (%s): the windows of one load package take that much",
                spelled(there),
                spelled(self._most or 0),
            )
        return there

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure it often, inside."""
        free = shutil.disk_usage(self._folder).free
        if self._most is not None and free < self._most:
            logger.warning("max_disk is %s, but %s has %s free", spelled(self._most), self._folder, spelled(free))
        done = threading.Event()

        def often() -> None:
            while not done.wait(_OFTEN):
                self.measure()

        thread = threading.Thread(target=often, name="disk", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self.measure()
            logger.info("the working folder held %s at most", spelled(self.peak))


def spelled(size: int) -> str:
    """Return a number of bytes as people write it."""
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6)):
        if size >= bytes_:
            return f"{size / bytes_:.3g} {unit}"
    return f"{size / 1000:.3g} KB"


def _size(path: Path) -> int:
    """Return the size of a file; 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sizes(folder: Path) -> Iterator[int]:
    """Yield the sizes of the files below a folder, of one with several names once."""
    seen: set[int] = set()
    folders = [str(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:  # gone by now
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif (size := _new(entry, seen)) is not None:
                    yield size


def _new(entry: os.DirEntry[str], seen: set[int]) -> int | None:
    """Return the size of a file; None if it is gone, or was seen under another name."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    if found.st_ino and found.st_ino in seen:
        return None
    seen.add(found.st_ino)
    return found.st_size
