"""How a backfill gets faster with the number of hosts: `run --shard`, by as many processes on this machine.

Each export takes its time, as FullStory's do, and each host has few under way at once; so it is waiting that is
shared out, and the processors of this machine hardly matter. Then FullStory allows no more than some of them.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from benchmarks.events import START
from benchmarks.fullstory import fullstory
from benchmarks.measuring import DAY, Line, line

_DAYS = int(os.environ.get("DAYS", "24"))
_AT_ONCE = 2  # exports of a host
_WINDOW = timedelta(hours=12)
_TAKES = 8.0  # seconds


def hosts(folder: Path) -> Iterator[Line]:
    """Backfill the same days by one host and by several, with and without a limit for all of them."""
    exports = _DAYS * DAY // _WINDOW
    alone = 0.0
    for number, most in ((1, None), (2, None), (4, None), (8, None), (4, 4), (8, 4)):
        counts: dict[str, int] = {}
        with fullstory(prepare=_TAKES, most=most, counts=counts) as url:
            took, restarts = _backfill(folder / f"{number}-{most}", url, number)
        alone = alone or took
        limit = f", FullStory allows {most} exports at once" if most else ""
        yield line(f"{_DAYS} days by {number} hosts{limit}", f"{took:.0f} s", [alone / took])
        best = exports * _TAKES / min(_AT_ONCE * number, most or exports)
        said = f"{counts['refused']} refused, {restarts} runs started again"
        yield line("... / the exports alone", said, [took / best])


def _backfill(folder: Path, url: str, number: int) -> tuple[float, int]:
    """Return the seconds, and how many runs had to be started again, as schedulers do with those that end with 75."""
    settings = {
        "FULLSTORY_API_TOKEN": "simulator-key",
        "SOURCES__FULLSTORY__BASE_URL": url,
        "SOURCES__FULLSTORY__EXPORT_DURATION": "12h",
        "SOURCES__FULLSTORY__CONCURRENT_EXPORTS": str(_AT_ONCE),
        "HAUSER__DESTINATION": "filesystem",
        "HAUSER__WORKERS": "1",
        "DESTINATION__FILESYSTEM__BUCKET_URL": str(folder / "out"),
    }
    interval = ["--start", f"{START:%Y-%m-%d}", "--end", f"{START + _DAYS * DAY:%Y-%m-%d}"]
    began = time.perf_counter()
    waiting, restarts = list(range(number)), 0
    while waiting:
        running = {}
        for shard in waiting:
            (place := folder / str(shard)).mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "hauser_dlt", "run", *interval, "--shard", f"{shard}/{number}"]
            environ = os.environ | settings | {"HAUSER__WORKING_DIR": str(place)}
            running[shard] = subprocess.Popen(command, env=environ, cwd=place, stdout=subprocess.DEVNULL)
        codes = {shard: process.wait() for shard, process in running.items()}
        if others := set(codes.values()) - {0, 75}:
            raise RuntimeError(f"runs ended with {others}")
        waiting = [shard for shard, code in codes.items() if code]
        restarts += len(waiting)
    return time.perf_counter() - began, restarts
