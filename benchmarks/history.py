"""A destination that has been loaded into for years: many windows, made up without loading them."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from hauser_dlt.windows import Window

_HOUR = timedelta(hours=1)
_STAMP = "%Y%m%dT%H%M%SZ"
_SYNC = ("ID", "Processed", "BundleEndTime", "BundleStartTime", "EventCount", "_dlt_load_id")


def add_to_files(folder: Path, before: datetime, number: int) -> None:
    """Add so many hourly windows before a moment, each a load of its own, as following the present makes them."""
    for window in _hours(before, number):
        load_id = f"{window.end.timestamp():.1f}"
        name = f"{window.start:{_STAMP}}-{window.end:{_STAMP}}.{load_id}"
        row = dict(zip(_SYNC, _row(window, load_id), strict=True))
        (folder / "fs_export" / f"{name}.parquet").touch()
        (folder / "fs_sync" / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
        (folder / "_dlt_loads" / f"fullstory__{load_id}.jsonl").touch()


def add_to_duckdb(database: Path, before: datetime, number: int) -> None:
    """Add so many rows to the sync table and to dlt's list of loads."""
    with duckdb.connect(str(database)) as connection:
        rows = [_row(window, f"{window.end.timestamp():.1f}") for window in _hours(before, number)]
        places = ", ".join(["?"] * len(_SYNC))
        names = ", ".join(f'"{name}"' for name in _SYNC)
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO fullstory.fs_sync ({names}) VALUES ({places})", rows)
        connection.executemany(
            "INSERT INTO fullstory._dlt_loads (load_id, schema_name, status, inserted_at)"
            " VALUES (?, 'fullstory', 0, ?)",
            [(row[-1], row[1]) for row in rows],
        )
        connection.execute("COMMIT")


def _hours(before: datetime, number: int) -> Iterator[Window]:
    return (Window(before - hour * _HOUR, before - (hour - 1) * _HOUR) for hour in range(number, 0, -1))


def _row(window: Window, load_id: str) -> tuple[int, str, str, str, int, str]:
    start, end = window.start.isoformat(), window.end.isoformat()
    return -1, end, end, start, 100, load_id
