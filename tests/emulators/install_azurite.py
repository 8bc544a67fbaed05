"""Installs Azurite, Microsoft's own emulator of Azure's storage, into a folder; it needs Node and npm."""

import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "3.35.0"  # the last one for Node 20
_AS_OF = "2026-11-01"  # what it needs comes in the versions of that day


def main(folder: Path) -> int:
    """Install into `folder`; without npm, or without its registry, nothing is installed, and the tests say so."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        sys.stderr.write("No Node and npm found: there will be no Azure to test with.\n")
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional", "--loglevel=error")
    where = ("--prefix", str(folder), "--before", _AS_OF)
    done = subprocess.run([npm, "install", *where, *flags, f"azurite@{VERSION}"], check=False)
    if done.returncode:
        sys.stderr.write("npm could not install Azurite: there will be no Azure to test with.\n")
        return 0
    (folder / ".installed").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
