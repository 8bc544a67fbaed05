"""Measures all that we claim, and prints it as a table: `make bench`, or `python -m benchmarks [PART ...]`.

Each measurement is a process of its own. What is compared is measured in turns, and the table shows the median of the
runs' ratios, with the lowest and the highest: on a machine that others use, too, ratios say more than seconds.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import pyarrow.parquet

from benchmarks import history, reference
from benchmarks.events import HOUR, START, array, events, ndjson
from benchmarks.fullstory import fullstory
from benchmarks.year import year
from hauser_dlt.windows import floor

RUNS = int(os.environ.get("RUNS", "5"))
EVENTS = int(os.environ.get("EVENTS", "200000"))
DAY = timedelta(days=1)
SETTLED = timedelta(days=1)
HUGE = 50_000_000
_COMPARED = 20_000  # events that are compared with the slow, exact reference

Line = tuple[str, str, str, str]


def line(what: str, measured: str, ratios: Iterable[float] = (), limit: str = "") -> Line:
    """Return a line of the table; of ratios, their median, the lowest and the highest."""
    found = sorted(ratios)
    ratio = f"{median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})" if found else ""
    return what, measured, ratio, limit


def settings(folder: Path, url: str, kind: str, **source: Any) -> dict[str, Any]:
    """Return the settings of a run into a folder, by a format of files or into DuckDB."""
    into_files = kind != "duckdb"
    destination: dict[str, Any] = {"duckdb": {"credentials": str(folder / "events.duckdb")}}
    run: dict[str, Any] = {"destination": "duckdb"}
    if into_files:
        destination = {"filesystem": {"bucket_url": str(folder / "out")}}
        run = {"destination": "filesystem", "file_format": kind}
    return {
        "hauser": run | {"working_dir": str(folder / "work")},
        "destination": destination,
        "sources": {
            "fullstory": {"api_token": "simulator-key", "base_url": url, "start_time": START.isoformat()} | source
        },
    }


def load(document: dict[str, Any], now: datetime, *what: str) -> dict[str, Any]:
    """Run once, and return what it took."""
    return _child("benchmarks.load", json.dumps(document), now.isoformat(), *what)


def _child(module: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def throughput(folder: Path) -> Iterator[Line]:
    """One bundle to files, one object a line and as one array, against the floor."""
    bundle, in_array = folder / "bundle", folder / "array"
    bundle.write_bytes(ndjson(events(EVENTS)))
    in_array.write_bytes(array(events(EVENTS)))
    after = START + HOUR + SETTLED
    with fullstory({START: bundle}) as url, fullstory({START: in_array}) as other_url:
        load(settings(folder / "first", url, "parquet"), after)
        table = next((folder / "first/out/fs_export").glob("*.parquet"))
        yield from _exactness(table)
        kinds = ("parquet", "csv", "json")
        floors: list[dict[str, float]] = []
        runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in (*kinds, "array")}
        for number in range(RUNS):
            floors.append(_child("benchmarks.floor", str(bundle), str(table)))
            for kind in kinds:
                runs[kind].append(load(settings(folder / f"{kind}{number}", url, kind), after))
            runs["array"].append(load(settings(folder / f"array{number}", other_url, "parquet"), after))
        whole = [floor["gunzip"] + floor["parse"] + floor["parquet"] for floor in floors]
        raw = [floor["gunzip"] + floor["write"] for floor in floors]
        took = {kind: [run["seconds"] for run in those] for kind, those in runs.items()}
        yield line("floor: gunzip + parse + Parquet", _rate(whole))
        yield line("Parquet / floor", _rate(took["parquet"]), _over(took["parquet"], whole), "2.0")
        yield line("Parquet from an array / floor", _rate(took["array"]), _over(took["array"], whole), "2.0")
        yield line("CSV / Parquet", _rate(took["csv"]), _over(took["csv"], took["parquet"]), "1.5")
        yield line("raw JSON / (gunzip + writing)", _rate(took["json"]), _over(took["json"], raw), "1.3")
        cpu = [run["cpu"] for run in runs["parquet"]], [floor["cpu"] for floor in floors]
        yield line("Parquet / floor, processor time of all threads", f"{median(cpu[0]):.2f} s", _over(*cpu))


def workers(folder: Path) -> Iterator[Line]:
    """Bundles that two processes convert, against one; and how much two busy processors do here, against one."""
    number = 8
    bundles = {START + day * DAY: folder / f"bundle{day}" for day in range(number)}
    for start, path in bundles.items():
        path.write_bytes(ndjson(events(EVENTS // 4, start=start, span=DAY)))
    after = START + number * DAY + SETTLED
    busy: list[float] = []
    with fullstory(bundles) as url:
        for kind in ("parquet", "csv", "duckdb"):
            runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
            for turn in range(RUNS):
                for count, those in runs.items():
                    document = settings(folder / f"{kind}{count}{turn}", url, kind, export_duration="24h")
                    document["hauser"] |= {"workers": count}
                    those.append(load(document, after))
                busy.append(_busy(1) * 2 / _busy(2))
            took = [[run["seconds"] for run in those] for those in runs.values()]
            rate = f"{median(took[1]):.2f} s, {number * (EVENTS // 4) / median(took[1]):,.0f} events/s"
            yield line(f"one process / two, {number} bundles, {kind}", rate, _over(*took), "2 at best")
            peak = max(run["children_mib"] for run in runs[2])
            yield line("... peak memory of a worker process", f"{peak:.0f} MiB", (), "350 MB")
    yield line("work of two busy processes here / of one", "", busy, "2 at best")


def _busy(number: int) -> float:
    """Return the seconds that so many processes take for the same work each."""
    began = time.perf_counter()
    running = [subprocess.Popen([sys.executable, "-c", "for _ in range(50_000_000): pass"]) for _ in range(number)]
    for process in running:
        process.wait()
    return time.perf_counter() - began


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


def _exactness(table: Path) -> Iterator[Line]:
    expected = reference.rows(islice(events(EVENTS), _COMPARED))
    found = (
        reference.as_found(row)
        for batch in pyarrow.parquet.ParquetFile(table).iter_batches(1000)
        for row in batch.to_pylist()
    )
    different = sum(one != other for one, other in zip(expected, found, strict=False))
    yield line(f"rows of {_COMPARED:,} that differ from the reference", str(different), (), "0")


def _over(times: list[float], others: list[float]) -> list[float]:
    return [one / other for one, other in zip(times, others, strict=True)]


def _rate(times: list[float]) -> str:
    return f"{median(times):.2f} s, {EVENTS / median(times):,.0f} events/s"


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
    return _child("benchmarks.exports", url, str(number), at_once)


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
                _over(took[many], took[few]),
                "1",
            )
            yield line(f"status, {kind}, at {many:,} windows", f"{median(stati[many]):.2f} s", (), "2 s")


PARTS = {part.__name__: part for part in (throughput, workers, memory, backfill, small, growth)}


LONG = {"year": year}
"""Parts that are measured only if they are named."""


def main() -> None:
    """Measure the parts that are named, or all that do not take long."""
    named = sys.argv[1:] or list(PARTS)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors, Python {sys.version.split()[0]}, {RUNS} runs\n")
    print("| what | measured | ratio (lowest to highest) | limit |\n| --- | --- | --- | --- |", flush=True)
    for name in named:
        with tempfile.TemporaryDirectory(prefix="hauser-bench-") as folder:
            for cells in (PARTS | LONG)[name](Path(folder)):
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
