"""Standard streams that never fail: what a run does must not depend on whether anybody can read what it says."""

import errno
import io
import os
import select
import sys
from pathlib import Path
from typing import Any, TextIO

import click


class _Unfailing(io.FileIO):
    """Writes to a file descriptor, as far as that is possible; the first failure is remembered, none is raised."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write some of the data; what cannot be written is dropped."""
        try:
            while (written := super().write(data)) is None:  # the descriptor does not block, and is busy
                select.select((), (self,), ())
        except OSError as exc:
            self.failure = self.failure or exc
            return memoryview(data).nbytes
        return written


def guard() -> None:
    """Make stdin, stdout and stderr usable, whatever is wrong with them: closed, full, of a narrow encoding.

    Python would raise an error in the middle of a load, or change the exit code to 120 when it flushes them at exit.
    """
    _fill_gaps()
    sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - until the process ends
    sys.stdout = _unfailing(sys.stdout, sys.__stdout__)
    sys.stderr = _unfailing(sys.stderr, sys.__stderr__)


def _fill_gaps() -> None:
    """Open /dev/null where a standard descriptor is closed: a database file opened next would get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)  # child processes inherit it
            if null != number:
                os.close(null)


def _unfailing(stream: TextIO | None, original: TextIO | None) -> TextIO:
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8", errors="backslashreplace")
    if stream is not original or not isinstance(stream, io.TextIOWrapper):
        return stream  # of a notebook or a test
    stream.flush()
    raw = _Unfailing(stream.fileno(), "w", closefd=False)
    raises = stream.errors in ("strict", "surrogateescape")
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace" if raises else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def say(text: str, *, err: bool = False, nl: bool = True, color: bool | None = None) -> None:
    """Print a text at once. click by itself writes UTF-8 where the environment says ASCII."""
    click.echo(text, file=sys.stderr if err else sys.stdout, nl=nl, color=color)


def lost() -> str:
    """Return why something that was printed on stdout is not there; "" if it is, or if its reader has gone."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    failure = raw.failure if isinstance(raw, _Unfailing) else None
    return "" if failure is None or failure.errno == errno.EPIPE else failure.strerror or type(failure).__name__
