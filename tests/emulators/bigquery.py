"""A BigQuery out of the pip package local-bigquery, in a Python of its own; on loopback, gone at the end."""

import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery as google

from emulators.faulty import Proxied, listening
from emulators.gcs import PROJECT, error, logged_in, write_login
from emulators.partitions import Partitions
from emulators.postgres import free_port

HOME = Path(__file__).parents[2] / ".venv-bigquery"  # see install_bigquery.py
_PATIENCE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class BigQuery(Proxied):
    """A running server."""

    login: Path
    project: str = PROJECT

    def environ(self) -> dict[str, str]:
        """Return the environment in which Google's libraries find their way here by themselves."""
        return {"BIGQUERY_EMULATOR_HOST": self.endpoint, **logged_in(self.login)}

    def client(self) -> google.Client:
        """Return a client."""
        options = ClientOptions(api_endpoint=self.endpoint)
        return google.Client(project=self.project, credentials=AnonymousCredentials(), client_options=options)


class Unavailable(Exception):  # noqa: N818 - of the machine, not of a test
    """There is no BigQuery on this machine, and why."""


@contextmanager
def bigquery(buckets: Path) -> Iterator[BigQuery]:
    """Start a server that finds each gs:// bucket as a folder of `buckets`.

    Raises:
        Unavailable: it is not installed.
    """
    if not (HOME / ".installed").exists():
        raise Unavailable("there is no BigQuery to test with: `make test` installs it where it finds a Python 3.13")
    folder = Path(tempfile.mkdtemp(prefix="hauser-bigquery-"))
    try:
        with _server(folder, buckets) as port, listening(proxy := Partitions(free_port(), port, error)):
            yield BigQuery(proxy, write_login(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server(folder: Path, buckets: Path) -> Iterator[int]:
    port = free_port()
    environ = {**os.environ, "HOME": str(HOME / "home"), "GCS_LOCAL_ROOT": str(buckets), "TMPDIR": str(folder)}
    environ.pop("STORAGE_EMULATOR_HOST", None)
    flags = {
        "host": "127.0.0.1",
        "port": port,
        "grpc-port": free_port(),
        "project": PROJECT,
        "data-dir": folder / "data",
    }
    command: list[Any] = [HOME / "bin" / "local-bigquery", *(f"--{key}={value}" for key, value in flags.items())]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        _wait(server, port, folder / "log")
        yield port
    finally:
        server.kill()
        server.wait(_PATIENCE)


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/bigquery/v2/projects", timeout=_PATIENCE):
                return
        except urllib.error.URLError:
            time.sleep(0.05)
    raise AssertionError(log.read_text(errors="replace"))
