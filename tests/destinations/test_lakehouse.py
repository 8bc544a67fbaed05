"""Tables of a lakehouse: each event is there once, whatever is loaded again, and side by side.

Delta and Iceberg tables on disks and in buckets, and a DuckLake, whose catalog is a Postgres.
"""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from threading import Event

import pytest

from support.destinations import HOUR, MIDNIGHT

DAY = timedelta(days=1)
NOW = MIDNIGHT + 2 * DAY  # a day has settled: four windows of six hours

LATER = [
    pytest.param(kind, marks=pytest.mark.slow)
    for kind in ("delta-gcs", "delta-az", "iceberg-s3", "iceberg-gcs", "iceberg-glue", "iceberg-rest")
]

in_each_format = pytest.mark.parametrize("target", ["delta", "iceberg"], indirect=True)
everywhere = pytest.mark.parametrize(
    "target",
    ["delta", "delta-s3", "iceberg", "ducklake", *LATER, pytest.param("ducklake-s3", marks=pytest.mark.slow)],
    indirect=True,
)
also_side_by_side = pytest.mark.parametrize("target", ["delta", "delta-s3", "iceberg", *LATER], indirect=True)


@everywhere
def test_a_table_holds_each_event_once_whatever_is_loaded_again(runs):
    runs.load(NOW)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)
    runs.reload(NOW, MIDNIGHT + 6 * HOUR, MIDNIGHT + 18 * HOUR)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)
    runs.target.forget_newest(1)
    runs.load(NOW + 6 * HOUR)
    runs.expect(MIDNIGHT, MIDNIGHT + 30 * HOUR)
    status, told = runs.command("status", "--json").communicate(60)
    assert json.loads(status)["sync_point"] == "2024-05-02T06:00:00+00:00", told
    found, told = runs.command("check", end_time=f"{MIDNIGHT}").communicate(60)
    assert found.count("fits") == 2, told


@also_side_by_side
def test_runs_side_by_side_commit_without_losing_each_others(runs):
    """All of them make the tables, or find that another one has; each commits again where another was quicker."""
    starts = [MIDNIGHT + n * 6 * HOUR for n in range(6)]  # some of them on the same day
    started = [
        runs.command("run", "--start", f"{start}", "--end", f"{start + 6 * HOUR}", working_dir=f"work{n}")
        for n, start in enumerate(starts)
    ]
    for command in started:
        _, told = command.communicate(120)
        assert command.returncode == 0, told
    runs.expect(MIDNIGHT, MIDNIGHT + 36 * HOUR)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["delta-s3", *LATER], indirect=True)
def test_runs_killed_in_the_midst_of_a_request_are_made_good(runs):
    """What deltalake and pyiceberg do by themselves, the steps of the crash matrix do not show."""
    for after in (1.5, 2.0, 2.5, 3.0, 3.5):
        command = runs.command("run", "--start", "2024-05-01", "--end", "2024-05-04", working_dir=f"work{after}")
        time.sleep(after)
        command.kill()
    runs.load(MIDNIGHT + 4 * DAY)
    runs.expect(MIDNIGHT, MIDNIGHT + 3 * DAY)


@contextmanager
def expiring(runs):
    """Let versions of Iceberg's tables go all the time; a day would be too long for a test."""
    with runs.sync() as sync:
        sync.inspect()
        tables, done = (sync.ledger.export, sync.ledger.sync), Event()

    def expire():
        while not done.wait(0.5):
            for table in tables:
                table.expire(timedelta(seconds=15))

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(expire)
        try:
            yield
        finally:
            done.set()
        working.result()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["delta-s3", "iceberg-s3", "iceberg-glue", "iceberg-rest"], indirect=True)
def test_many_commits_at_once_are_each_made_once_while_days_are_compacted(runs):
    """Each day is, once it is complete, by the run that has completed it."""
    days = [MIDNIGHT + n * DAY for n in range(6)]
    for day in days:  # one of four windows
        runs.load(NOW, day, day + 6 * HOUR)
    interval = "--start", "2024-05-01", "--end", "2024-05-07"
    with expiring(runs) if runs.target.kind == "iceberg" else nullcontext():
        started = [
            runs.command("run", *interval, "--shard", f"{n}/3", working_dir=f"work{n}", expire_snapshots="24h")
            for n in range(3)
        ]
        for command in started:
            _, told = command.communicate(400)
            assert command.returncode == 0, told
    named = Counter(runs.target.named())
    assert set(named.values()) == {1}
    runs.expect(MIDNIGHT, MIDNIGHT + 6 * DAY)


@in_each_format
def test_new_fields_become_columns(runs):
    runs.load(NOW)
    at = f"{MIDNIGHT + 25 * HOUR:%Y-%m-%dT%H:%M:%SZ}"
    runs.sim.extra_events.append({"EventStart": at, "EventType": "custom", "EventBrandNew": "new"})
    runs.load(NOW + 6 * HOUR)
    assert [row["EventBrandNew"] for row in runs.target.rows() if "EventBrandNew" in row] == ["new"]
