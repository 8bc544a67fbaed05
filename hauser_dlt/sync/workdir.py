"""The folder where downloads and load packages lie while they are worked on. Nothing in it is the truth."""

import os
import shutil
import time
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import filelock

from hauser_dlt.machine import working

_RESULTS_LIVE = 6 * 86400.0  # seconds; FullStory keeps the results of an export for about a week


@contextmanager
def private_folder(root: Path) -> Iterator[Path]:
    """Provide an empty folder below `root` that no other process uses; what killed ones left there is removed.

    Several runs may go on side by side on one machine: each takes the first folder that nobody has locked.

    Raises:
        HauserError: it cannot be made.
    """
    with ExitStack() as held:
        with working():
            root.mkdir(parents=True, exist_ok=True)
            folder = _first_free(root, held)
        yield folder


def _first_free(root: Path, held: ExitStack) -> Path:
    folder = next(root / str(number) for number in count() if held.enter_context(_locked(root / str(number))))
    _clear_up(root)
    folder.mkdir(mode=0o700)  # events are nobody else's business
    return folder


def _clear_up(root: Path) -> None:
    for lock in root.glob("*.lock"):
        if lock.stem.isdecimal():
            with _locked(lock.with_suffix("")):
                pass


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Lock a folder, and remove it before and after; False where another process has locked it."""
    try:
        lock = filelock.FileLock(folder.with_suffix(".lock")).acquire(timeout=0)
    except filelock.Timeout:
        yield False
        return
    with lock:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            yield True
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Operations(MutableMapping[str, str]):
    """Request -> FullStory's operation, kept on disk: what was paid for is found again after a crash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with working():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for file in folder.iterdir():
                with suppress(FileNotFoundError):  # another process is done with it
                    if time.time() - file.stat().st_mtime > _RESULTS_LIVE:
                        file.unlink()

    def __getitem__(self, name: str) -> str:
        try:
            operation = (self._folder / name).read_text(encoding="ascii")
        except (FileNotFoundError, UnicodeDecodeError):
            raise KeyError(name) from None
        if not operation.isprintable() or not operation:  # a crash of the machine left the file without its content
            raise KeyError(name)
        return operation

    def __setitem__(self, name: str, operation: str) -> None:
        fresh = self._folder / f".{name}.{os.getpid()}"
        with fresh.open("w", encoding="ascii") as file:
            file.write(operation)
            file.flush()
            os.fsync(file.fileno())  # it was paid for: a machine that loses its power must not forget it
        fresh.replace(self._folder / name)

    def __delitem__(self, name: str) -> None:
        try:
            (self._folder / name).unlink()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (file.name for file in self._folder.glob("[!.]*") if file.name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
