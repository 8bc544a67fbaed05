"""`hauser-dlt ...` as a process that starts at once: forked from one that has imported everything.

What a process begins with (interpreter, imports, broken streams) is not tested by these; `test_streams.py`,
`test_machine.py`, `test_install.py` and the pages of `docs/` start commands in the ordinary way.
"""

import json
import multiprocessing
import os
import runpy
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import TimeoutExpired
from typing import IO, Self
from unittest.mock import patch

# A forked process is there at once, with everything imported; and it is forked from one without threads.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        *("pytest", "support.crash", "gcsfs", "s3fs", "dlt.common.libs.pyarrow", "dlt.sources.helpers.requests"),
        *("dlt.destinations.impl.duckdb.duck", "hauser_dlt.destinations.bucket", "hauser_dlt.api", "adlfs"),
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
        (out, to_out), (err, to_err) = (PROCESSES.Pipe(duplex=False) for _ in range(2))
        self._process = _start(arguments, environ, folder or Path.cwd(), to_out, to_err)
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


@contextmanager
def quick_program(folder: Path) -> Iterator[Path]:
    """Provide a program `hauser-dlt` for shells, which forks commands as above; return the folder to put into PATH."""
    program = folder / "hauser-dlt"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address := str(folder / "socket"))
        listening.listen()
        program.write_text(f"#!{sys.executable} -IS\n{_CLIENT.format(address=address)}")
        program.chmod(0o755)
        threading.Thread(target=_serve, args=(listening,), daemon=True).start()
        yield folder
        listening.shutdown(socket.SHUT_RDWR)


_CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [1, 2])
    server.sendall(asked)
    code = int.from_bytes(server.recv(4), "big", signed=True)
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
"""


def _serve(listening: socket.socket) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_serve_one, args=(client,), daemon=True).start()


def _serve_one(client: socket.socket) -> None:
    """Run a command for a client, which ends with it; one that goes before ends it."""
    with client:
        length, streams, *_ = socket.recv_fds(client, 8, 2)
        asked = client.makefile("rb").read(int.from_bytes(length, "big"))
        arguments, environ, folder = json.loads(asked)
        process = _start(arguments, environ, Path(folder), *map(Connection, streams))
        if client in wait([process.sentinel, client]):
            process.terminate()
        process.join()
        with suppress(OSError):
            client.sendall(process.exitcode.to_bytes(4, "big", signed=True))


def _start(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path, to_out: Connection, to_err: Connection
) -> BaseProcess:
    ensure_running()
    process = PROCESSES.Process(target=_main, args=(arguments, dict(environ), folder, to_out, to_err))
    process.start()
    to_out.close()
    to_err.close()
    return process


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
