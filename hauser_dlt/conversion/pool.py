"""Worker processes that convert bundles or blocks: each is started when there is work for it, and goes with this one.

They are no children of `multiprocessing`: those import the program's main module, which runs a script again that has no
`if __name__ == "__main__"`, and there can be none in the daemons of some schedulers.
"""

import contextlib
import importlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, Self, TypeVar

from hauser_dlt.conversion import frames
from hauser_dlt.errors import TransientError

# the folders of modules come first, so that a worker imports what this process has imported
_PROGRAM = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from hauser_dlt.conversion.worker import main;"
    " main()"
)
_PIPE = 1 << 20  # bytes that a pipe may hold: a process sleeps and wakes up as much less often
_SOON = 5.0  # seconds that a process may take to end, once it has stopped to answer


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Work(Protocol[T_co]):
    """What a worker process can do; what there is to it can be pickled."""

    def do(self) -> T_co:
        """Return what becomes of it."""


class _Worker:
    """A process that does one piece of work at a time."""

    def __init__(self) -> None:
        apart: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}  # Ctrl-C is not for it
        pipe = subprocess.PIPE
        command = [sys.executable, "-P", "-X", f"utf8={sys.flags.utf8_mode}", "-c", _PROGRAM]
        process: Any = subprocess.Popen(command, stdin=pipe, stdout=pipe, **apart)  # noqa: S603 - Python itself
        self._process, self._work, self._answers = process, process.stdin, process.stdout
        _widen(self._work, self._answers)
        pickle.dump(sys.path, self._work)

    def do(self, work: Work[T]) -> T:
        """Return what has become of the work.

        Raises:
            TransientError: the process has ended in the midst of it.
        """
        try:
            frames.send(self._work, work)
            done: T = frames.receive(self._answers)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise TransientError(_why(self._exit_code())) from None
        return done

    def _exit_code(self) -> int:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SOON)
        self.end()
        return int(self._process.returncode)

    def end(self) -> None:
        """End the process, whatever it does: files that are not finished are of no use."""
        self._process.kill()
        self._process.wait()
        for stream in (self._work, self._answers):
            with contextlib.suppress(OSError):
                stream.close()


def _widen(*pipes: Any) -> None:
    """Have pipes hold more, where the system can do so and allows it."""
    for pipe in pipes:
        with contextlib.suppress(ImportError, AttributeError, OSError):
            fcntl = importlib.import_module("fcntl")
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)


def _why(code: int) -> str:
    if os.name == "posix" and code == -signal.SIGKILL:
        return "a worker process was killed, probably for want of memory; lower `workers`"
    return f"a worker process has ended by itself (exit code {code}); with `workers` = 1 there is none"


class Pool:
    """Some worker processes. Use it as a context manager: they are ended with it.

    Args:
        size: how many there are at the most.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._threads = ThreadPoolExecutor(size, "worker")  # each waits for the answer of a process
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        with self._lock:
            self._closed = True
            workers = list(self._workers)
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.end()
        self._threads.shutdown()

    def submit(self, work: Work[T]) -> "Future[T]":
        """Have something done as soon as a worker is free."""
        return self._threads.submit(self._do, work)

    def _do(self, work: Work[T]) -> T:
        worker = self._free()
        try:
            done = worker.do(work)
        except BaseException:
            with self._lock:
                self._workers.discard(worker)
            worker.end()
            raise
        self._idle.put(worker)
        return done

    def _free(self) -> _Worker:
        with contextlib.suppress(queue.Empty):
            return self._idle.get_nowait()
        try:
            worker = _Worker()
        except OSError as exc:
            raise TransientError(f"a worker process cannot be started ({exc.strerror}); lower `workers`") from None
        with self._lock:
            self._workers.add(worker)
            closed = self._closed
        if closed:
            worker.end()
            raise TransientError("the run has ended")
        return worker
