"""Folders and files on this machine: whether they can be used, and by nobody else."""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hauser_dlt.errors import ConfigError, HauserError, TransientError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_ELSEWHERE = "set working_dir under [hauser], or HAUSER__WORKING_DIR, to a folder of your own"


def unusable(place: object, exc: OSError, advice: str) -> HauserError:
    """Return what to tell of an error of the file system; a full disk passes, all else is to be set."""
    kind = TransientError if exc.errno in _FULL else ConfigError
    advice = "make room there" if kind is TransientError else advice
    return kind(f"{place} cannot be used ({exc.strerror or type(exc).__name__}): {advice}")


@contextmanager
def working() -> Iterator[None]:
    """Name the working folder as what cannot be used, if anything inside fails that concerns files."""
    try:
        yield
    except OSError as exc:
        raise unusable(f"the working folder {exc.filename or ''}".rstrip(), exc, _ELSEWHERE) from None


@contextmanager
def root_folder(working_dir: str, pipeline_name: str, *, reading: bool) -> Iterator[Path]:
    """Provide the folder for the work of a pipeline; for what only reads one that vanishes.

    Raises:
        HauserError: it cannot be made or written to, or is not of this user alone.
    """
    if reading:
        with _temporary() as folder:
            yield folder
        return
    root = Path(working_dir or _below_dlts()).absolute() / pipeline_name
    refuse_misspelled(root)
    with working():
        _make_private(root)
    yield root


@contextmanager
def _temporary() -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix="hauser-dlt-"))
    except OSError as exc:
        raise unusable("the folder for temporary files", exc, "set TMPDIR to a folder of your own") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _below_dlts() -> Path:
    """Return our folder below dlt's; where users have no home, dlt's lies in a folder that all users share."""
    from dlt.common.pipeline import get_dlt_pipelines_dir  # noqa: PLC0415 - a second that `init` does without

    place = Path(get_dlt_pipelines_dir())
    if "DLT_DATA_DIR" not in os.environ and is_shared(place.parent):
        home = os.path.expanduser("~")  # noqa: PTH111 - pathlib raises an error where no home is known
        raise ConfigError(f"there is no home folder that can be written to ({home}): {_ELSEWHERE}")
    return place / "hauser-dlt"


def is_shared(folder: Path) -> bool:
    """Tell whether a folder of dlt's is that for users without a home: any user may have made it."""
    return folder == Path(tempfile.gettempdir()) / "dlt"


def _make_private(root: Path) -> None:
    """Make a folder for this user's eyes only.

    Raises:
        ConfigError: another user has made it, or a folder or link on the way to it.
    """
    for folder in reversed((root, *root.parents)):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
        _refuse_anothers(folder)
    if os.name == "posix" and root.stat().st_uid == os.geteuid():
        root.chmod(0o700)
    if not os.access(root, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(root))


def _refuse_anothers(folder: Path) -> None:
    """Make sure that a folder was not put in our way by a user of a folder that all can write to."""
    if os.name != "posix" or not folder.parent.stat().st_mode & stat.S_IWOTH:
        return
    if folder.lstat().st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"the working folder {folder} is another user's, in a folder that all can write to: {_ELSEWHERE}"
        )


def refuse_misspelled(path: Path) -> None:
    """Make sure that a path means the same to Python and to those who take paths as UTF-8: DuckDB, Arrow.

    Raises:
        ConfigError: it does not, in the encoding of this locale.
    """
    try:
        same = os.fsencode(path) == str(path).encode()
    except UnicodeEncodeError:
        same = False
    if not same:
        shown = str(path).encode("ascii", "backslashreplace").decode()
        raise ConfigError(
            f"{shown} is not UTF-8, or LANG is of another encoding: set PYTHONUTF8=1, or choose another path"
        )


def refuse_unwritable(folder: Path, advice: str) -> None:
    """Make sure that a folder can be written to, or made.

    Raises:
        ConfigError: it cannot.
    """
    refuse_misspelled(folder)
    present = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not present.is_dir():
        raise ConfigError(f"{present} is not a folder: {advice}")
    if not os.access(present, os.W_OK | os.X_OK):
        raise ConfigError(f"{present} cannot be written to: {advice}")
