"""Destinations as the tests see them: what a run is told, and what lies there afterwards, read without hauser-dlt."""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pyarrow.parquet
import pytest

from hauser_dlt.fields import CUSTOM_VARS, KNOWN, LOAD_ID, ROW_WINDOW
from hauser_dlt.simulator.encoding import encode

SQL_KINDS = ("duckdb", "postgres")
FILE_KINDS = ("parquet", "csv", "jsonl", "json")
KINDS = (*SQL_KINDS, *FILE_KINDS)
MARKS = (LOAD_ID, ROW_WINDOW)

MIDNIGHT = datetime(2024, 5, 1, tzinfo=UTC)  # a Wednesday
HOUR = timedelta(hours=1)

BUCKET_KINDS = ("s3-csv", "gcs-parquet")

everywhere = pytest.mark.parametrize("target", KINDS, indirect=True)
in_sql = pytest.mark.parametrize("target", SQL_KINDS, indirect=True)
in_each_way = pytest.mark.parametrize(
    "target", ["duckdb", "parquet", pytest.param("postgres", marks=pytest.mark.slow)], indirect=True
)
also_in_buckets = pytest.mark.parametrize("target", [*KINDS, *BUCKET_KINDS], indirect=True)
in_files = pytest.mark.parametrize("target", FILE_KINDS, indirect=True)

Row = dict[str, Any]
"""Column -> value, without the columns that are NULL."""


@dataclass(frozen=True, slots=True)
class Target:
    """One destination, empty at first.

    Attributes:
        kind: `duckdb`, `postgres`, or the format of files.
        folder: where the database or the files lie.
        dataset: in SQL, the schema.
    """

    kind: str
    folder: Path
    dataset: str
    dsn: str = ""

    @property
    def into_files(self) -> bool:
        """Whether the destination is a folder of files."""
        return self.kind in FILE_KINDS

    @property
    def database(self) -> Path:
        """DuckDB's file."""
        return self.folder / "events.duckdb"

    @property
    def out(self) -> Path:
        """The folder that holds a folder for each table."""
        return self.folder / "out"

    @property
    def completing(self) -> str:
        """The step (see `steps`) with which a load comes to own its windows."""
        return "move _dlt_loads" if self.into_files else "INSERT _dlt_loads"

    def settings(self) -> dict[str, Any]:
        """Return what a run needs to be told, nested in dlt's way."""
        if self.into_files:
            return {
                "hauser": {"destination": "filesystem", "file_format": self.kind},
                "destination": {"filesystem": {"bucket_url": str(self.out)}},
            }
        credentials = self.dsn or str(self.database)
        return {
            "hauser": {"destination": self.kind, "dataset_name": self.dataset},
            "destination": {self.kind: {"credentials": credentials}},
        }

    def rows(self) -> list[Row]:
        """Return all event rows, with values of Python's types, in no order."""
        if not self.into_files:
            return self.query('SELECT * FROM "fs_export"')
        return [row for file in self.files() for row in _READERS[self.kind](file)]

    def sync(self) -> list[Row]:
        """Return the rows of the sync table, oldest window first."""
        if self.into_files:
            rows = [
                _typed(json.loads(line)) for file in self.files("fs_sync") for line in file.read_text().splitlines()
            ]
        else:
            rows = self.query('SELECT * FROM "fs_sync"')
        return sorted(rows, key=lambda row: row["BundleEndTime"])

    def complete(self) -> list[str]:
        """Return the ids of the loads that dlt noted as complete."""
        if self.into_files:
            return [path.stem.rpartition("__")[2] for path in self.out.glob("_dlt_loads/*__*.jsonl")]
        return [row["load_id"] for row in self.query('SELECT * FROM "_dlt_loads" WHERE "status" = 0')]

    def files(self, table: str = "fs_export") -> list[Path]:
        """Return the files of a table, by name; dlt's own `init` file is none."""
        return sorted(path for path in (self.out / table).glob("*") if path.name != "init")

    def expect_order(self) -> None:
        """Make sure that each row and each file belongs to a complete load that owns its window, and none to two."""
        complete, sync = set(self.complete()), self.sync()
        assert {row[LOAD_ID] for row in sync} <= complete
        assert all(one["BundleEndTime"] <= other["BundleStartTime"] for one, other in pairwise(sync))
        assert sum(row["EventCount"] for row in sync) == len(rows := self.rows())
        if self.kind != "json":
            owned = {(row[LOAD_ID], row["BundleStartTime"]) for row in sync}
            assert {(row[LOAD_ID], row[ROW_WINDOW]) for row in rows} <= owned
        if self.into_files:
            ids = {_load_id(path) for table in ("fs_export", "fs_sync") for path in self.files(table)}
            assert ids <= complete & {row[LOAD_ID] for row in sync}
        else:
            assert self.query('SELECT * FROM "fs_sync_pending"') == []

    def columns(self, table: str = "fs_export") -> list[str]:
        """Return the columns of a table in their order (SQL only)."""
        found = self.query(
            "SELECT column_name FROM information_schema.columns"
            f" WHERE table_schema = '{self.dataset}' AND table_name = '{table}' ORDER BY ordinal_position"
        )
        return [row["column_name"] for row in found]

    def query(self, sql: str) -> list[Row]:
        """Run one statement where the tables are, committed (SQL only)."""
        if self.kind == "duckdb":
            return self._ask_duckdb(sql)
        connection = psycopg2.connect(self.dsn, options=f"-csearch_path={self.dataset}")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                names = [column.name for column in cursor.description or ()]
                return [_row(names, values) for values in (cursor.fetchall() if names else ())]
        finally:
            connection.close()

    def load_earlier(self, after: timedelta) -> None:
        """Have the sync table say that each window was loaded so long after its end."""
        if not self.into_files:
            self.query(f"""UPDATE "fs_sync" SET "Processed" = "BundleEndTime" + INTERVAL '{after.seconds} seconds'""")
            return
        for file in self.files("fs_sync"):
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            for row in rows:
                row["Processed"] = (datetime.fromisoformat(row["BundleEndTime"]) + after).isoformat()
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def forget_newest(self, count: int) -> None:
        """Delete the newest rows of the sync table, as users do by hand."""
        if not self.into_files:
            newest = f'SELECT "BundleEndTime" FROM "fs_sync" ORDER BY 1 DESC LIMIT {count}'
            self.query(f'DELETE FROM "fs_sync" WHERE "BundleEndTime" IN ({newest})')
            return
        for file in reversed(self.files("fs_sync")):
            lines = file.read_text().splitlines(keepends=True)
            if count >= len(lines):
                file.unlink()
            elif count > 0:
                file.write_text("".join(sorted(lines, key=_bundle_end)[:-count]))
            count -= len(lines)

    def _ask_duckdb(self, sql: str) -> list[Row]:
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(f"SET TimeZone = 'UTC'; SET search_path = '{self.dataset}'")
            found = connection.execute(sql)
            names = [column[0] for column in found.description or ()]
            return [_row(names, values) for values in found.fetchall()]


def as_rows(events: Iterable[Mapping[str, Any]], kinds: Mapping[str, str] = KNOWN) -> list[Row]:
    """Return the rows that events must become: standard fields by type, everything else in CustomVars.

    Args:
        events: as the simulator makes them.
        kinds: the export table's columns.
    """
    return [_expected(encode(dict(event)), kinds) for event in events]


def bare(rows: Iterable[Row]) -> list[Row]:
    """Return rows without bookkeeping, in an order of their own, with CustomVars read number by number."""
    plain = [{name: value for name, value in row.items() if name not in MARKS} for row in rows]
    for row in plain:
        if isinstance(row[CUSTOM_VARS], str):
            row[CUSTOM_VARS] = as_written(row[CUSTOM_VARS])
    return in_order(plain)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Return rows in an order that only depends on what they hold."""
    return sorted(rows, key=lambda row: repr(sorted(row.items())))


def as_written(text: str | bytes) -> Any:
    """Read JSON; numbers stay as they are spelled."""
    return json.loads(text, parse_int=_number, parse_float=_number)


def unpacked(file: Path) -> bytes:
    """Return what a file holds, gzipped or not."""
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def _number(text: str) -> tuple[str, str]:
    return "number", text


def _expected(encoded: bytes, kinds: Mapping[str, str]) -> Row:
    plain, written = json.loads(encoded, parse_float=Decimal), as_written(encoded)
    row = {name: _value(kinds[name], value) for name, value in plain.items() if name in kinds and value is not None}
    return row | {CUSTOM_VARS: {name: value for name, value in written.items() if name not in kinds}}


def _value(kind: str, value: Any) -> Any:
    if kind == "timestamp":
        return datetime.fromisoformat(value).astimezone(UTC)
    return float(value) if kind == "float" else value


def _row(names: Iterable[str], values: Iterable[Any]) -> Row:
    present = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return {name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in present.items()}


def _load_id(file: Path) -> str:
    return ".".join(file.name.split(".")[1:3])


def _bundle_end(line: str) -> str:
    return str(json.loads(line)["BundleEndTime"])


_TIMES = {name for name, kind in KNOWN.items() if kind == "timestamp"} | {
    ROW_WINDOW,
    "Processed",
    "BundleStartTime",
    "BundleEndTime",
}


def _typed(row: Mapping[str, Any]) -> Row:
    values = [datetime.fromisoformat(v) if v is not None and k in _TIMES else v for k, v in row.items()]
    return _row(row, values)


def _parquet(file: Path) -> list[Row]:
    table = pyarrow.parquet.read_table(io.BytesIO(file.read_bytes()))
    return [_row(row, row.values()) for row in table.to_pylist()]


def _jsonl(file: Path) -> list[Row]:
    return [_typed(json.loads(line)) for line in unpacked(file).splitlines()]


_CELL = re.compile(r'("(?:[^"]|"")*"|[^,\r\n]*)(,|\r?\n)')


def csv_rows(file: Path) -> Iterator[Row]:
    """Read CSV so that NULL (nothing at all) and "" (a pair of quotes) stay apart; Python's reader must agree."""
    text = unpacked(file).decode()
    lines: list[list[str]] = [[]]
    for cell, follows in _CELL.findall(text):
        lines[-1].append(cell)
        if follows != ",":
            lines.append([])
    plain = [[cell[1:-1].replace('""', '"') if cell[:1] == '"' else cell for cell in line] for line in lines[:-1]]
    assert plain == list(csv.reader(text.splitlines(keepends=True)))
    for line, cells in zip(lines[1:-1], plain[1:], strict=True):
        yield {name: _cell(name, raw, cell) for name, raw, cell in zip(plain[0], line, cells, strict=True) if raw}


def _cell(name: str, raw: str, cell: str) -> Any:
    kind = KNOWN.get(name) or ("text" if raw[:1] == '"' else "float")
    if name in _TIMES:
        return datetime.fromisoformat(cell)
    if kind == "text":
        assert raw[:1] == '"'
        return cell
    return float(cell) if kind == "float" else int(cell)


def _json(file: Path) -> list[Row]:
    """Read FullStory's own lines: they have no columns and no bookkeeping, so only the events can be told."""
    return [_expected(line, KNOWN) for line in unpacked(file).splitlines()]


_READERS: dict[str, Any] = {"parquet": _parquet, "csv": csv_rows, "jsonl": _jsonl, "json": _json}
