"""The assets of pipelines/dagster_assets.py, materialized side by side, as threads of one process."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from hauser_dlt.simulator import Fault

ASSETS = Path(__file__).parents[2] / "pipelines" / "dagster_assets.py"
DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]

pytestmark = pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`")  # Dagster calls it beta


@pytest.fixture(scope="module")
def assets():
    """The module, as `dagster -f` loads it; Dagster is imported here, since other tests need not wait for it."""
    spec = importlib.util.spec_from_file_location("dagster_assets", ASSETS)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")
        spec.loader.exec_module(module)
        patch.setattr(module, "PAUSE", 0)
        yield module


@pytest.fixture
def warehouse(sim, server, tmp_path, monkeypatch):
    settings = {
        "FULLSTORY_API_TOKEN": sim.token,
        "SOURCES__FULLSTORY__BASE_URL": sim.url,
        "SOURCES__FULLSTORY__EXPORT_DURATION": "6h",
        "SOURCES__FULLSTORY__BACKOFF": "10ms",
        "SOURCES__FULLSTORY__MAX_RETRIES": "1",
        "HAUSER__DESTINATION": "postgres",
        "HAUSER__DATASET_NAME": "dagster",
        "DESTINATION__POSTGRES__CREDENTIALS": server.dsn(),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    connection = psycopg2.connect(server.dsn())
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS dagster CASCADE")

        def ask(sql):
            cursor.execute(sql)
            return cursor.fetchall()

        yield ask
    connection.close()


@pytest.fixture
def materialize(assets):
    def run(day, **config):
        configured = {"ops": {"fs_export": {"config": config}}} if config else None
        return assets.dg.materialize([assets.fs_export], run_config=configured, partition_key=day, raise_on_error=False)

    return run


@pytest.fixture
def materialize_range(assets):
    """Load days by one run of a backfill, and have its checks look; return the result and the run's log."""

    def run(first, last):
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        with assets.dg.DagsterInstance.ephemeral() as instance:
            result = assets.dg.materialize([assets.fs_export, assets.health], tags=tags, instance=instance)
            return result, [entry.message for entry in instance.all_logs(result.run_id)]

    return run


def events_of(sim, day):
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return len(list(sim.account.events(start, start + timedelta(days=1))))


def loaded(result):
    (materialization,) = result.asset_materializations_for_node("fs_export")
    return metadata_of(materialization)["loaded"]


def metadata_of(materialization):
    return {name: value.value for name, value in materialization.metadata.items()}


def test_partitions_side_by_side_load_each_event_once_however_often(materialize, warehouse, sim):
    with ThreadPoolExecutor(len(DAYS)) as side_by_side:
        results = list(side_by_side.map(materialize, DAYS))

    assert [result.get_step_failure_events() for result in results] == [[], [], []]
    events = [events_of(sim, day) for day in DAYS]
    assert [loaded(result) for result in results] == events
    assert warehouse("SELECT count(*) FROM dagster.fs_export") == [(sum(events),)]
    assert warehouse('SELECT count(*), count(DISTINCT "BundleStartTime") FROM dagster.fs_sync') == [(12, 12)]

    assert loaded(materialize(DAYS[1])) == 0
    assert loaded(materialize(DAYS[1], again=True)) == events[1]
    assert warehouse("SELECT count(*) FROM dagster.fs_export") == [(sum(events),)]


def test_a_range_is_one_run_which_tells_of_each_day_and_is_checked(materialize_range, warehouse, sim):
    result, log = materialize_range(DAYS[0], DAYS[1])
    days = [events_of(sim, day) for day in DAYS[:2]]

    told = {event.partition: metadata_of(event) for event in result.asset_materializations_for_node("fs_export")}
    assert {day: found["dagster/partition_row_count"] for day, found in told.items()} == dict(
        zip(DAYS[:2], days, strict=True)
    )
    assert {found["dagster/row_count"] for found in told.values()} == {sum(days)}
    assert len([line for line in log if line.startswith("loaded 2026-03-0")]) == 2

    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert {name: check.passed for name, check in checks.items()} == {
        "freshness": False,  # it is long after March
        "completeness": False,
        "duplicates": True,
    }
    missing = checks["completeness"].metadata["missing"].value
    assert (missing[0], missing[-1]) == ("2026-01-01", "2026-02-28")


def test_the_checks_pass_on_what_is_there_once_and_find_what_is_there_twice(assets, materialize, warehouse):
    now = datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch:
        newest = f"{now - timedelta(days=2):%Y-%m-%d}"
        patch.setattr(assets, "DAYS", assets.dg.DailyPartitionsDefinition(start_date=newest, end_offset=-1))
        assert loaded(materialize(newest)) > 0
        assert [check.passed for check in assets.health()] == [True, True, True]

        materialize(DAYS[0])
        columns = '"Processed", "BundleStartTime", "BundleEndTime", "EventCount", _dlt_load_id'
        other = f"(SELECT max(_dlt_load_id) FROM dagster.fs_sync WHERE \"BundleStartTime\" < '{newest}Z')"
        warehouse(f"""INSERT INTO dagster.fs_sync ({columns}) SELECT {columns.replace("_dlt_load_id", other)}
            FROM dagster.fs_sync WHERE "BundleStartTime" >= '{newest}Z' RETURNING 1""")
        assert [check.passed for check in assets.health()] == [True, True, False]


@pytest.mark.slow  # three processes of Dagster's
def test_a_run_that_is_stopped_ends_at_once_and_what_it_has_asked_for_is_used(
    materialize, warehouse, sim, tmp_path, monkeypatch
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    sim.prepare = 10
    command = ["-m", "dagster", "asset", "materialize", "-f", ASSETS, "--select", "fs_export", "--partition", DAYS[0]]
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)
    while len(sim.created()) < 4:
        time.sleep(0.05)
        assert run.poll() is None
    os.kill(run.pid, signal.SIGINT)
    run.wait(120)

    log = (tmp_path / "log").read_text()
    assert "StoppedError" in log
    assert "interrupted all active child processes" in log
    assert "STEP_SUCCESS" not in log
    assert loaded(materialize(DAYS[0])) == events_of(sim, DAYS[0])
    assert len(sim.created()) == 4


def test_what_does_not_pass_by_itself_fails_the_partition_and_says_why(materialize, warehouse, monkeypatch):
    monkeypatch.setenv("SOURCES__FULLSTORY__EXPORT_DURATION", "7h")
    failed = materialize(DAYS[0])

    assert not failed.success
    (event,) = failed.get_step_failure_events()
    assert "export_duration = '7h'" in event.step_failure_data.user_failure_data.description


def test_what_may_pass_by_itself_is_tried_again(materialize, warehouse, sim, monkeypatch):
    monkeypatch.setenv("SOURCES__FULLSTORY__MAX_RETRIES", "0")
    fault = sim.faults.add(Fault("status", "create", status=503))
    result = materialize(DAYS[0])

    assert fault.hits == 1
    assert result.retry_attempts_for_node("fs_export") == 1
    assert warehouse("SELECT count(*) FROM dagster.fs_export") == [(events_of(sim, DAYS[0]),)]


def test_only_days_that_have_settled_are_partitions_and_schedules_load_and_check_them(assets):
    keys = assets.DAYS.get_partition_keys(datetime(2026, 3, 10, 1, tzinfo=UTC))
    assert (keys[0], keys[-1]) == ("2026-01-01", "2026-03-08")

    schedules = {
        schedule.job_name: schedule.cron_schedule for schedule in assets.defs.get_repository_def().schedule_defs
    }
    assert schedules == {"fullstory_daily": "0 0 * * *", "fullstory_health": "17 * * * *"}
