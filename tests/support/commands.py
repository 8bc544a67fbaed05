"""`hauser-dlt ...` as a process that starts at once: forked from one that has imported everything.

What a process begins with (interpreter, imports, broken streams) is not tested by these; `test_streams.py`,
`test_machine.py`, `test_install.py` and the pages of `docs/` start commands in the ordinary way.
"""

import multiprocessing
import os
import runpy
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import TimeoutExpired
from typing import IO, Self
from unittest.mock import patch

# A forked process is there at once, with everything imported; and it is forked from one without threads.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        *("pytest", "support.crash", "gcsfs", "s3fs", "dlt.common.libs.pyarrow", "dlt.sources.helpers.requests"),
        *("dlt.destinations.impl.duckdb.duck", "hauser_dlt.destinations.bucket", "hauser_dlt.api"),
        *(f"hauser_dlt.cli.{name}" for name in ("check", "dbt", "demo", "init", "reload", "run", "status")),
        *(f"hauser_dlt.destinations.{name}" for name in ("postgres", "redshift", "bigquery")),
    ]
)


def ensure_running() -> None:
    """Start the process that the others are forked from."""
    # Python 3.11 forgets to tell it the path; what gcsfs is told here spares a look-up of a minute
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT="false"):
        forkserver.ensure_running()


class Command:
    """A running command, with the attributes of `subprocess.Popen` that tests use; its streams are text.

    Args:
        arguments: those behind `hauser-dlt`.
        environ: its whole environment.
        folder: its current folder.
    """

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path | None = None) -> None:
        ensure_running()
        (out, to_out), (err, to_err) = (PROCESSES.Pipe(duplex=False) for _ in range(2))
        place = folder or Path.cwd()
        self._process = PROCESSES.Process(target=_main, args=(arguments, dict(environ), place, to_out, to_err))
        self._process.start()
        to_out.close()
        to_err.close()
        self.args = ["hauser-dlt", *arguments]
        self.stdout, self.stderr = _text(out), _text(err)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what is still to be read of both streams, once the command has ended."""
        with ThreadPoolExecutor(2) as readers:
            found = [readers.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except TimeoutExpired:
                self.kill()
                raise
            return found[0].result(), found[1].result()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        self.stdout.close()
        self.stderr.close()


def _text(readable: Connection) -> IO[str]:
    file = os.fdopen(os.dup(readable.fileno()), encoding="utf-8")
    readable.close()
    return file


def _main(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path, to_out: Connection, to_err: Connection
) -> None:
    """Become the command."""
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(folder)
    for stream, number in ((to_out, 1), (to_err, 2)):
        os.dup2(stream.fileno(), number)
        stream.close()
    warnings.simplefilter("error", UserWarning)
    sys.argv = ["hauser-dlt", *arguments]
    runpy.run_module("hauser_dlt", run_name="__main__", alter_sys=True)
