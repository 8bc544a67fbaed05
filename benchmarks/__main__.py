"""Measures all that we claim, and prints it as a table: `make bench`, or `python -m benchmarks [PART ...]`.

Each measurement is a process of its own. What is compared is measured in turns, and the table shows the median of the
runs' ratios, with the lowest and the highest: on a machine that others use, too, ratios say more than seconds.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from benchmarks import history
from benchmarks.events import HOUR, START, events, ndjson
from benchmarks.fullstory import fullstory
from benchmarks.hosts import hosts
from benchmarks.measuring import DAY, EVENTS, RUNS, SETTLED, Line, child, line, load, over, settings
from benchmarks.one_core import one_core
from benchmarks.releases import record
from benchmarks.throughput import throughput
from benchmarks.workers import workers
from benchmarks.year import year
from hauser_dlt.windows import floor

HUGE = 50_000_000


def memory(folder: Path) -> Iterator[Line]:
    """The peak of a bundle, of one ten times as large, and what one record of 50 MB adds."""
    some = list(events(EVENTS))
    huge = orjson.dumps(orjson.loads(some[0]) | {"evt_huge_str": "x" * HUGE})
    bundle = ndjson(some)
    bundles = {"plain": bundle, "tenfold": bundle * 10, "huge": ndjson([*some, huge, *some])}  # gzip has members
    for kind in ("parquet", "csv"):
        peaks: dict[str, float] = {}
        for name, content in bundles.items():
            (folder / name).write_bytes(content)
            with fullstory({START: folder / name}) as url:
                run = load(settings(folder / f"{name}-{kind}", url, kind), START + HOUR + SETTLED)
            peaks[name] = run["peak_mib"]
        yield line(f"peak memory, {kind}, {EVENTS:,} events", f"{peaks['plain']:.0f} MiB", (), "350 MB")
        over = [peaks["tenfold"] / peaks["plain"]]
        yield line(f"peak memory, {kind}, {10 * EVENTS:,} events", f"{peaks['tenfold']:.0f} MiB", over, "1.1")
        more = peaks["huge"] - peaks["plain"]
        copies = [more / (HUGE >> 20)]
        yield line(f"a record of 50 MB among them, {kind}, beyond that", f"{more:.0f} MiB", copies, "a few copies")


def backfill(folder: Path) -> Iterator[Line]:
    """Exports that take their time, as many at once as is found out or as is said; requests for them, and refusals."""
    many = int(os.environ.get("WINDOWS", "720"))
    for number, seconds, at_once, limit in (
        (many, 2.0, "auto", "at least 10"),
        (many // 3, 0.5, "auto", "at least 6"),
        (many, 2.0, 8, "at least 6"),
    ):
        counts: dict[str, int] = {}
        with fullstory(prepare=seconds, counts=counts) as url:
            document = settings(folder / f"{number}-{at_once}", url, "parquet", concurrent_exports=at_once)
            took = load(document, START + number * HOUR + SETTLED)["seconds"]
        what = f"{number} windows, {seconds:g} s each, {at_once} at once"
        yield line(f"{what}: times faster than one by one", f"{took:.1f} s", [number * seconds / took], limit)
        yield line("... requests for each window", f"{counts['requests'] / number:.1f}")
        if isinstance(at_once, int):
            yield line("... / the best that so many at once allow", "", [took / (number * seconds / at_once)], "1.3")
    for what, there, best in (("allows 3", {"most": 3}, 3), ("prepares 2", {"at_a_time": 2}, 2)):
        yield from _limited(f"a FullStory that {what} at once", there, best, many // 6)


def _limited(what: str, there: dict[str, Any], best: int, number: int) -> Iterator[Line]:
    """Exports alone of a second each, where no more than some at once are of use."""
    counts: dict[str, int] = {}
    with fullstory(prepare=1.0, counts=counts, **there) as url:
        run = _exports_alone(url, number, "auto")
    ratio = [run["seconds"] / (number / best)]
    yield line(f"{number} windows of {what} / ideal", f"{run['settled']:g} at once in the end", ratio)
    refused = f"{counts['refused']} of {counts['asked']}"
    yield line("... requests for exports that it refuses", refused, [counts["refused"] / counts["asked"]], "0.05")
    yield line("... requests for each window", f"{counts['requests'] / number:.1f}")


def small(folder: Path) -> Iterator[Line]:
    """What is paid when there is little or nothing to load."""
    help_ = [_wall([sys.executable, "-m", "hauser_dlt", "--help"]) for _ in range(RUNS)]
    yield line("--help", f"{median(help_):.2f} s", (), "0.3 s")
    number = 960
    with fullstory() as url:
        exports = _exports_alone(url, number, "8")["seconds"]
        for kind in ("parquet", "duckdb"):
            document = settings(folder / kind, url, kind, concurrent_exports=8)
            run = load(document, START + number * HOUR + SETTLED)
            each = (run["seconds"] - exports) / number * 1000
            yield line(f"a window of 10 events, {kind}, beyond its export", f"{each:.1f} ms", (), "20 ms")
            nothing = [load(document, START + number * HOUR + SETTLED) for _ in range(RUNS)]
            seconds = median(run["seconds"] for run in nothing)
            said = f", {nothing[0]['statements']} statements" if kind == "duckdb" else ""
            yield line(f"nothing new, {kind}", f"{seconds:.2f} s{said}", (), "2 s; 8 statements")


def _exports_alone(url: str, number: int, at_once: str) -> dict[str, float]:
    """Fetch the exports of so many windows; return the seconds, and how many ran at once in the end."""
    return child("benchmarks.exports", url, str(number), at_once)


def _wall(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def growth(folder: Path) -> Iterator[Line]:
    """Whether many windows that are loaded make the next one slower."""
    few, many = 100, 50_000
    start = floor(datetime.now(UTC), DAY) - 3 * DAY  # a run looks at what lies between the window and the present
    add: dict[str, Callable[[Path, int], None]] = {
        "parquet": lambda place, number: history.add_to_files(place / "out", start, number),
        "duckdb": lambda place, number: history.add_to_duckdb(place / "events.duckdb", start, number),
    }
    with fullstory() as url:
        for kind, make in add.items():
            took: dict[int, list[float]] = {}
            stati: dict[int, list[float]] = {}
            for number in (few, many):
                place = folder / f"{kind}{number}"
                document = settings(place, url, kind, start_time=start.isoformat())
                load(document, start + HOUR + SETTLED)
                make(place, number)
                nows = (start + hours * HOUR + SETTLED for hours in range(2, 2 + RUNS))
                took[number] = [load(document, now)["seconds"] for now in nows]
                stati[number] = [load(document, now, "status")["seconds"] for now in [start + DAY] * RUNS]
            yield line(
                f"one more window, {kind}, after {many:,} / {few}",
                f"{median(took[many]):.2f} s",
                over(took[many], took[few]),
                "1",
            )
            yield line(f"status, {kind}, at {many:,} windows", f"{median(stati[many]):.2f} s", (), "2 s")


PARTS = {part.__name__: part for part in (throughput, one_core, workers, memory, backfill, small, growth)}


LONG = {"year": year, "hosts": hosts}
"""Parts that are measured only if they are named."""


def main() -> None:
    """Measure the parts that are named, or all that do not take long; `--record` writes the figures of this version."""
    if sys.argv[1:] == ["--record"]:
        with tempfile.TemporaryDirectory(prefix="hauser-bench-") as folder:
            record(Path(folder))
        return
    named = sys.argv[1:] or list(PARTS)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors, Python {sys.version.split()[0]}, {RUNS} runs\n")
    print("| what | measured | ratio (lowest to highest) | limit |\n| --- | --- | --- | --- |", flush=True)
    for name in named:
        with tempfile.TemporaryDirectory(prefix="hauser-bench-") as folder:
            for cells in (PARTS | LONG)[name](Path(folder)):
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
