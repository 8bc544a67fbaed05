"""The demo: events of the FullStory simulator into Parquet files and DuckDB, and a few queries. It needs no network."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from hauser_dlt.config.configuration import configure, read_configuration
from hauser_dlt.errors import ConfigError
from hauser_dlt.machine import unusable
from hauser_dlt.reports.progress import Progress
from hauser_dlt.shutdown import Stopping
from hauser_dlt.simulator import Account, Simulator
from hauser_dlt.sync import Sync
from hauser_dlt.windows import DAY, floor

_MARK = ".hauser-dlt-demo"

ANSWERS = {
    "Events per day": """
        SELECT CAST(make_timestamp(epoch_us("EventStart")) AS DATE) AS day,
               count(*) AS events, count(DISTINCT "IndvId") AS users
        FROM {events} GROUP BY day ORDER BY day""",
    "The most frustrating pages, by series of rage clicks, dead clicks and error clicks": """
        SELECT split_part("PageUrl", '?', 1) AS page,
               count(*) FILTER ("EventModFrustrated" = 1) AS rage,
               count(*) FILTER ("EventModDead" > 0) AS dead,
               count(*) FILTER ("EventModError" > 0) AS error
        FROM {events} WHERE "EventType" = 'click' GROUP BY page HAVING rage + dead + error > 0
        ORDER BY rage + dead + error DESC, page LIMIT 5""",
    "A custom variable: users by plan": """
        SELECT json_extract_string("CustomVars", '$.user_plan_str') AS plan, count(DISTINCT "IndvId") AS users
        FROM {events} WHERE plan IS NOT NULL GROUP BY plan ORDER BY users DESC, plan""",
}


def demo(folder: Path, events_per_hour: int, days: int) -> Iterator[str]:
    """Load some days twice, into files and into DuckDB, below `folder`; yield the lines to show.

    Raises:
        ConfigError: there is something else in the folder.
    """
    _prepare(folder)
    until = floor(datetime.now(UTC) - DAY, DAY)
    with Simulator(Account(events_per_hour=events_per_hour, zeros=True)) as fullstory:
        source = {"api_token": fullstory.token, "base_url": fullstory.url, "start_time": until - days * DAY}
        yield f"Started a FullStory simulator at {fullstory.url}."
        for destination in ("filesystem", "duckdb"):
            yield f"\nLoading {days} {'day' if days == 1 else 'days'} into {destination}:"
            _load(folder, source, destination, until)
    database, files = folder / "events.duckdb", folder / "files"
    with duckdb.connect(str(database), read_only=True) as connection:
        yield f"\nTables in {database}, and files in {files}:"
        yield from _tables(connection, files)
        parquet = f"read_parquet('{files / 'fs_export' / '*.parquet'}')"
        for title, sql in ANSWERS.items():
            answers = [connection.sql(sql.format(events=place)) for place in ("fullstory.fs_export", parquet)]
            if answers[0].fetchall() != answers[1].fetchall():
                raise AssertionError(f"files and DuckDB differ: {title}")
            yield f"\n{title} (same result from DuckDB and Parquet):"
            yield str(connection.sql(sql.format(events="fullstory.fs_export"))).rstrip()


def _prepare(folder: Path) -> None:
    """Empty the folder, if it is one of ours.

    Raises:
        HauserError: it is not, or cannot be written to.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            if not (folder / _MARK).exists():
                raise ConfigError(f"{folder} is not empty, and not from an earlier demo; choose another --folder")
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).touch()
    except OSError as exc:
        raise unusable(exc.filename or folder, exc, "choose another --folder") from None


def _load(folder: Path, source: dict[str, Any], destination: str, until: datetime) -> None:
    options = {
        "sources": {"fullstory": source},
        "hauser": {"destination": destination, "working_dir": str(folder / "work"), "dataset_name": "fullstory"},
        "destination": {
            "filesystem": {"bucket_url": str(folder / "files")},
            "duckdb": {"credentials": str(folder / "events.duckdb")},
        },
    }
    configure(options)
    config = read_configuration()
    with Stopping() as stopping, Sync.open(config, stopping.pause) as sync:
        sync.run(sync.plan(datetime.now(UTC), end=until), Progress(as_json=False))


def _tables(connection: duckdb.DuckDBPyConnection, files: Path) -> Iterator[str]:
    for table in ("fs_export", "fs_sync"):
        (rows,) = connection.sql(f"SELECT count(*) FROM fullstory.{table}").fetchone() or (0,)
        count = len(list((files / table).iterdir()))
        yield f"  {table:<10} {rows:>9,} rows   {count:>3} {'file ' if count == 1 else 'files'} in {files / table}"
