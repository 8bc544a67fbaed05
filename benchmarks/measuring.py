"""What the parts of the benchmarks share: runs in processes of their own, and lines of a table."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.events import START

RUNS = int(os.environ.get("RUNS", "5"))
EVENTS = int(os.environ.get("EVENTS", "200000"))
DAY = timedelta(days=1)
SETTLED = timedelta(days=1)

Line = tuple[str, str, str, str]


def line(what: str, measured: str, ratios: Iterable[float] = (), limit: str = "") -> Line:
    """Return a line of the table; of ratios, their median, the lowest and the highest."""
    found = sorted(ratios)
    ratio = f"{median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})" if found else ""
    return what, measured, ratio, limit


def settings(folder: Path, url: str, kind: str, database: str = "", **source: Any) -> dict[str, Any]:
    """Return the settings of a run into a folder, by a format of files, or into DuckDB or Postgres.

    Args:
        database: the address of the Postgres; each folder has a schema of its own there.
    """
    destination: dict[str, Any] = {"filesystem": {"bucket_url": str(folder / "out")}}
    run: dict[str, Any] = {"destination": "filesystem", "file_format": kind}
    if kind == "duckdb":
        destination = {"duckdb": {"credentials": str(folder / "events.duckdb")}}
        run = {"destination": kind}
    elif kind == "postgres":
        destination = {"postgres": {"credentials": database}}
        run = {"destination": kind, "dataset_name": folder.name}
    return {
        "hauser": run | {"working_dir": str(folder / "work")},
        "destination": destination,
        "sources": {
            "fullstory": {"api_token": "simulator-key", "base_url": url, "start_time": START.isoformat()} | source
        },
    }


def load(document: dict[str, Any], now: datetime, *what: str) -> dict[str, Any]:
    """Run once, and return what it took."""
    return child("benchmarks.load", json.dumps(document), now.isoformat(), *what)


def child(module: str, *arguments: str) -> dict[str, Any]:
    """Run a module in a process of its own, and return the JSON that it prints last."""
    return children([(module, *arguments)])[0]


def children(commands: Iterable[tuple[str, ...]]) -> list[dict[str, Any]]:
    """Run modules in processes side by side, and return the JSON that each prints last."""
    running = [
        subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True) for command in commands
    ]
    said = [process.communicate()[0] for process in running]
    for process in running:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
    return [json.loads(text.splitlines()[-1]) for text in said]


def over(times: list[float], others: list[float]) -> list[float]:
    """Return the ratio of each turn."""
    return [one / other for one, other in zip(times, others, strict=True)]


def rate(times: list[float], events: int = EVENTS) -> str:
    """Return the median of some times, and how many events a second that is."""
    return f"{median(times):.2f} s, {events / median(times):,.0f} events/s"
