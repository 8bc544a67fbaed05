"""The folder where downloads and load packages lie while they are worked on. Nothing in it is the truth."""

import shutil
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import filelock

_RESULTS_LIVE = 6 * 86400.0  # seconds; FullStory keeps the results of an export for about a week


@contextmanager
def private_folder(root: Path) -> Iterator[Path]:
    """Provide an empty folder below `root` that no other process uses; what a killed one left there is removed.

    Several runs may go on side by side on one machine: each takes the first folder that nobody has locked.
    """
    root.mkdir(parents=True, exist_ok=True)
    for number in count():
        lock = filelock.FileLock(root / f"{number}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            continue
        with lock:
            folder = root / str(number)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return


class Operations(MutableMapping[str, str]):
    """Request -> FullStory's operation, kept on disk: what was paid for is found again after a crash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if time.time() - file.stat().st_mtime > _RESULTS_LIVE:
                file.unlink(missing_ok=True)

    def __getitem__(self, name: str) -> str:
        try:
            return (self._folder / name).read_text()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, operation: str) -> None:
        (self._folder / name).write_text(operation)

    def __delitem__(self, name: str) -> None:
        try:
            (self._folder / name).unlink()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (file.name for file in self._folder.iterdir())

    def __len__(self) -> int:
        return sum(1 for _ in self)
