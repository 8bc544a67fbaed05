"""Installs the BigQuery emulator into the folder that is named; it needs Python 3.13 and versions of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("bigquery.txt")
_ANSWER = "import ensurepip, sys, venv; print(*sys.version_info[:2])"
_EXTENSIONS = "import duckdb; print(duckdb.__version__, *duckdb.execute('PRAGMA platform').fetchone())"


def main(folder: Path) -> int:
    """Install into `folder`; without a Python 3.13 nothing is installed, and the tests say so."""
    python = next((path for path in _pythons() if _told(path, _ANSWER) == ["3", "13"]), None)
    if python is None:
        sys.stderr.write("No Python 3.13 found: there will be no BigQuery to test with.\n")
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    installed = folder / "bin" / "python"
    subprocess.run([installed, "-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS], check=True)
    version, platform = _told(installed, _EXTENSIONS)
    # where DuckDB looks for them, for whom HOME is this; else it would download them
    extensions = folder / "home" / ".duckdb" / "extensions" / f"v{version}" / platform
    extensions.mkdir(parents=True)
    for file in folder.glob(f"lib/*/site-packages/duckdb_extension_*/extensions/v{version}/*.duckdb_extension"):
        (extensions / file.name).symlink_to(file.resolve())
    (folder / ".installed").touch()
    return 0


def _pythons() -> Iterator[Path]:
    """Yield what may be a Python 3.13. On the PATH may stand a version manager's shim, beside its `versions`."""
    yield Path(sys.executable)
    for folder in map(Path, os.get_exec_path()):
        yield folder / "python3.13"
        yield from sorted(folder.parent.glob("versions/3.13*/bin/python3.13"))


def _told(python: Path, code: str) -> list[str]:
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return []
    return done.stdout.split() if done.returncode == 0 else []


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
