"""The built package, installed as a stranger would: alone, with just what it declares."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def built(folder: Path) -> Path:
    """Build source archive and wheel into a folder, the wheel out of the archive, and return it."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds pip and what hauser-dlt declares to need, and nothing else of this machine.

    The packages are those of the environment that runs the tests, by links: nothing is downloaded. hauser-dlt itself is
    not there yet; pip finds it in `wheels`.
    """

    folder: Path
    wheels: Path

    @classmethod
    def made(cls, folder: Path, wheels: Path, extras: Iterable[str] = ()) -> "Environment":
        """Make the environment in a folder."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        shelf = folder / "declared"
        shelf.mkdir()
        for package in (*_declared(Requirement(f"hauser-dlt[{','.join(extras)}]")), distribution("pip")):
            _link(package, shelf)
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "declared.pth").write_text(f"{shelf}\n")
        return cls(folder, wheels)

    def environ(self, settings: Mapping[str, str] = {}) -> dict[str, str]:
        """Return the environment of a process in which this one is activated; pip downloads nothing."""
        return {
            "DLT_DATA_DIR": str(self.folder / "home" / ".dlt"),  # where dlt puts it for all but root
            "HOME": str(self.folder / "home"),
            "PATH": f"{self.folder / 'bin'}:{os.defpath}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_NO_INDEX": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            **settings,
        }

    def run(self, *command: str, cwd: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in it."""
        environ = self.environ(settings)
        program = next((path for path in (self.folder / "bin").glob(command[0])), command[0])
        return subprocess.run(
            [program, *command[1:]], cwd=cwd, env=environ, capture_output=True, text=True, check=False
        )


@cache  # threads that make environments side by side must not parse: ast.parse of Python 3.11 fails in threads
def _declared(root: Requirement) -> tuple[Distribution, ...]:
    """Return what a requirement needs, and what that needs, and so on, without itself."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [root]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        found.setdefault(name, distribution(name))
        needs = [Requirement(text) for text in found[name].requires or ()]
        for extra in {"", *wanted.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    del found[canonicalize_name(root.name)]
    return tuple(found.values())


def _link(package: Distribution, shelf: Path) -> None:
    for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__", "bin"}:
        target = Path(str(package.locate_file(top)))
        if target.exists() and not (shelf / top).exists():
            (shelf / top).symlink_to(target)
