"""The assets of pipelines/dagster_assets.py, materialized side by side, as threads of one process."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from hauser_dlt.simulator import Fault

ASSETS = Path(__file__).parents[2] / "pipelines" / "dagster_assets.py"
DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]


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


def events_of(sim, day):
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return len(list(sim.account.events(start, start + timedelta(days=1))))


def loaded(result):
    (materialization,) = result.asset_materializations_for_node("fs_export")
    return materialization.metadata["loaded"].value


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


def test_only_days_that_have_settled_are_partitions_and_a_schedule_loads_them(assets):
    keys = assets.DAYS.get_partition_keys(datetime(2026, 3, 10, 1, tzinfo=UTC))
    assert (keys[0], keys[-1]) == ("2026-01-01", "2026-03-08")

    (schedule,) = assets.defs.get_repository_def().schedule_defs
    assert schedule.cron_schedule == "0 0 * * *"
