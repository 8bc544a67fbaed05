"""The figures of each version, a row each in docs/benchmarks.md: `python -m benchmarks --record` writes this version's.

They are few and always the same, whatever else is measured, so that versions can be compared.
"""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.events import HOUR, START, events, ndjson
from benchmarks.fullstory import fullstory
from benchmarks.measuring import SETTLED, child, load, over, settings
from benchmarks.workers import PROCESSORS, WINDOWS

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_RUNS, _EVENTS = 3, 200_000
_LIBRARIES = ("dlt", "pyarrow", "duckdb", "msgspec")
COLUMNS = (
    "version",
    "of",
    "machine",
    "Python and libraries",
    "Parquet, one process",
    "times the floor",
    "Parquet, all processors",
    "DuckDB, one process",
    "peak memory",
    "nothing new",
)


def rows(page: str) -> list[dict[str, str]]:
    """Return the rows of the page's table."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [dict(zip(_cells(lines[0]), _cells(line), strict=True)) for line in lines[2:]]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def with_row(page: str, row: dict[str, str]) -> str:
    """Return the page with a row, in place of that of the same version, if there is one; the newest is the last."""
    kept = [other for other in rows(page) if other["version"] != row["version"]]
    before = page[: page.index("\n|") + 1]
    table = (COLUMNS, ["---"] * len(COLUMNS), *([other[name] for name in COLUMNS] for other in (*kept, row)))
    return before + "".join(f"| {' | '.join(cells)} |\n" for cells in table)


def record(folder: Path) -> None:
    """Measure, which takes some minutes, and write the row of this version."""
    row = _about() | _measured(folder)
    PAGE.write_text(with_row(PAGE.read_text(), row))
    print("\n".join(f"{name}: {row[name]}" for name in COLUMNS))


def _about() -> dict[str, str]:
    git = ["git", "-C", str(PAGE.parent), "log", "-1", "--format=%cs"]
    done = subprocess.run(git, stdout=subprocess.PIPE, text=True, check=False)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    libraries = (f"{name} {version(name)}" for name in _LIBRARIES)
    return {
        "version": version("hauser-dlt"),
        "of": done.stdout.strip() or f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{PROCESSORS} x {_model()}, {memory:.0f} GiB",
        "Python and libraries": ", ".join((platform.python_version(), *libraries)),
    }


def _model() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return " ".join(next(names, platform.machine()).split())


def _measured(folder: Path) -> dict[str, str]:
    number = _EVENTS // WINDOWS
    texts = {START + hour * HOUR: list(events(number, start=START + hour * HOUR)) for hour in range(WINDOWS)}
    bundles = {start: folder / f"bundle{start:%H}" for start in texts}
    for start, path in bundles.items():
        path.write_bytes(ndjson(texts[start]))
    whole = folder / "whole"
    whole.write_bytes(ndjson(text for some in texts.values() for text in some))
    after = START + WINDOWS * HOUR + SETTLED
    runs: dict[str, list[dict[str, Any]]] = {"one": [], "all": [], "duckdb": [], "nothing": []}
    floors: list[float] = []
    with fullstory(bundles) as url:
        for turn in range(_RUNS):
            for name, kind, workers in (("one", "parquet", 1), ("all", "parquet", PROCESSORS), ("duckdb", "duckdb", 1)):
                document = settings(folder / f"{name}{turn}", url, kind)
                document["hauser"] |= {"workers": workers}
                runs[name].append(load(document, after))
            runs["nothing"].append(load(document, after))
            floor = child("benchmarks.floor", str(whole), str(folder / "one0/out/fs_export"))
            floors.append(floor["gunzip"] + floor["parse"] + floor["parquet"])
    took = {name: [run["seconds"] for run in those] for name, those in runs.items()}
    rates = {name: f"{number * WINDOWS / median(times):,.0f} events/s" for name, times in took.items()}
    return {
        "Parquet, one process": rates["one"],
        "times the floor": f"{median(over(took['one'], floors)):.2f}",
        "Parquet, all processors": rates["all"],
        "DuckDB, one process": rates["duckdb"],
        "peak memory": f"{max(run['peak_mib'] for run in runs['one']):.0f} MiB",
        "nothing new": f"{median(took['nothing']):.2f} s",
    }
