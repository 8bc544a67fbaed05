"""A headless Chromium of this machine: what a page becomes in it, and what it looks like."""

import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --enable-logging=stderr"
)


class Unavailable(Exception):  # noqa: N818 - of the machine, not of a test
    """There is no Chromium on this machine."""


def program() -> str:
    """Return where Chromium is.

    Raises:
        Unavailable: it is nowhere.
    """
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return found
    raise Unavailable(f"there is none of {', '.join(NAMES)}; `make test` as root installs it on Debian")


def render(page: Path, *, dark: bool = False) -> tuple[str, str, tuple[int, ...]]:
    """Return a page's document as Chromium has read it, what it complains of, and the colour of its first pixel."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        picture = Path(folder) / "page.png"
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        # one start for both would be quicker, but it then writes the picture only
        for wanted in ("--dump-dom", f"--screenshot={picture}"):
            command = [program(), *_QUIET.split(), scheme, f"--user-data-dir={folder}/user", wanted, page.as_uri()]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
            if wanted == "--dump-dom":
                document, complaints = ran.stdout, _of_pages(ran.stderr)
        return document, complaints, _first_pixel(picture.read_bytes())


def _of_pages(log: str) -> str:
    return "\n".join(line for line in log.splitlines() if "CONSOLE" in line)


def _first_pixel(png: bytes) -> tuple[int, ...]:
    """Return red, green and blue: whatever filter a PNG's first row has, its first pixel stands there as it is."""
    begin = png.index(b"IDAT")
    length = int.from_bytes(png[begin - 4 : begin])
    return tuple(zlib.decompressobj().decompress(png[begin + 4 : begin + 4 + length], 4)[1:])


if __name__ == "__main__":
    try:
        program()
    except Unavailable:
        sys.exit(1)
