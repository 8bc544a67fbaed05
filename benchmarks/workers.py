"""All processors against one: many bundles, and one large one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.events import HOUR, START, events, ndjson
from benchmarks.fullstory import fullstory
from benchmarks.measuring import EVENTS, RUNS, SETTLED, Line, child, children, line, load, over, rate, settings

WINDOWS = 24
PROCESSORS = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


def workers(folder: Path) -> Iterator[Line]:
    """A day of hourly bundles, converted by as many processes as there are processors, against one."""
    if PROCESSORS == 1:
        yield line("workers", "left out: this machine has one processor")
        return
    bundles = {START + hour * HOUR: folder / f"bundle{hour}" for hour in range(WINDOWS)}
    texts = {start: list(events(EVENTS // WINDOWS, start=start)) for start in bundles}
    for start, path in bundles.items():
        path.write_bytes(ndjson(texts[start]))
    whole = folder / "whole"
    whole.write_bytes(ndjson(chain.from_iterable(texts.values())))
    number = sum(map(len, texts.values()))
    with fullstory(bundles) as url:
        for kind in ("parquet", "csv", "duckdb"):
            yield from _many(folder, url, kind, whole, number)
    yield line(f"work of {PROCESSORS} busy processes here / of one", "", [_busy() for _ in range(RUNS)], _ideal())
    yield from _large(folder, whole)


def _ideal() -> str:
    return f"{PROCESSORS} at best"


def _many(folder: Path, url: str, kind: str, whole: Path, number: int) -> Iterator[Line]:
    """Compare all processes with one; Parquet also with the floor, and with runs side by side."""
    one: list[dict[str, Any]] = []
    most: list[dict[str, Any]] = []
    floors: list[float] = []
    apart: list[float] = []
    for turn in range(RUNS):
        one.append(load(*_run(folder / f"{kind}-one{turn}", url, kind, 1)))
        most.append(load(*_run(folder / f"{kind}-all{turn}", url, kind, PROCESSORS)))
        if kind == "parquet":
            floor = child("benchmarks.floor", str(whole), str(folder / f"{kind}-one0/out/fs_export"))
            floors.append(floor["gunzip"] + floor["parse"] + floor["parquet"])
            apart.append(_side_by_side(folder / f"apart{turn}", url, kind))
    took = [run["seconds"] for run in most]
    limit = "1.8 of 2" if kind == "parquet" else _ideal()
    named = f"{WINDOWS} windows, {kind}"
    yield line(
        f"{named}: one process / {PROCESSORS}", rate(took, number), over([r["seconds"] for r in one], took), limit
    )
    if floors:
        yield line(
            f"... {PROCESSORS} processes / the floor, on one core", rate(floors, number), over(took, floors), "1.05"
        )
        ideal = f"{median(apart):.2f} s is ideal"
        yield line(f"... share of {PROCESSORS} runs side by side", ideal, over(apart, took), "0.85")
        if hauser := float(os.environ.get("GO_HAUSER", "0")):
            times = [number / seconds / hauser for seconds in took]
            yield line(
                "... events a second / those of the Go hauser", f"{hauser:,.0f} events/s is the latter", times, "6"
            )
    peak = max(run["children_mib"] for run in most)
    yield line("... peak memory of a worker process", f"{peak:.0f} MiB", (), "350 MB")


def _run(
    folder: Path, url: str, kind: str, count: int, first: int = 0, end: int = WINDOWS
) -> tuple[dict[str, Any], datetime]:
    """Return the settings of a run over some of the windows, and when it takes place."""
    document = settings(folder, url, kind, start_time=(START + first * HOUR).isoformat())
    document["hauser"] |= {"workers": count}
    return document, START + end * HOUR + SETTLED


def _side_by_side(folder: Path, url: str, kind: str) -> float:
    """Return the seconds of independent runs, one for each processor, that share the windows among them."""
    shares = [WINDOWS * share // PROCESSORS for share in range(PROCESSORS + 1)]
    runs = [_run(folder / str(first), url, kind, 1, first, end) for first, end in pairwise(shares)]
    found = children(("benchmarks.load", json.dumps(document), now.isoformat()) for document, now in runs)
    return float(max(run["seconds"] for run in found))


def _large(folder: Path, whole: Path) -> Iterator[Line]:
    """Compare all processes with one at one bundle, ten times as large as the others are together."""
    large = folder / "large"
    large.write_bytes(whole.read_bytes() * 10)  # gzip has members
    took: dict[int, list[float]] = {1: [], PROCESSORS: []}
    peaks: list[float] = []
    with fullstory({START: large}) as url:
        for turn in range(min(RUNS, 3)):
            for count, those in took.items():
                document = settings(folder / f"large{count}-{turn}", url, "parquet", export_duration="24h")
                document["hauser"] |= {"workers": count}
                run = load(document, START + WINDOWS * HOUR + SETTLED)
                those.append(run["seconds"])
                peaks.append(max(run["peak_mib"], run["children_mib"]))
    number = EVENTS // WINDOWS * WINDOWS * 10
    ratios = over(took[1], took[PROCESSORS])
    yield line(
        f"one bundle of {number:,} events: one process / {PROCESSORS}", rate(took[PROCESSORS], number), ratios, "1.5"
    )
    yield line("... peak memory of a process", f"{max(peaks):.0f} MiB", (), "350 MB")


def _busy() -> float:
    """Return how much work so many busy processes do, against one."""
    seconds = []
    for number in (1, PROCESSORS):
        began = time.perf_counter()
        running = [subprocess.Popen([sys.executable, "-c", "for _ in range(50_000_000): pass"]) for _ in range(number)]
        for process in running:
            process.wait()
        seconds.append(time.perf_counter() - began)
    return seconds[0] * PROCESSORS / seconds[1]
