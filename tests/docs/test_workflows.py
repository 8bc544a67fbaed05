"""The workflows to copy: their steps run as they stand in the file, on runners that keep nothing."""

import re
from datetime import UTC, datetime, timedelta
from itertools import count

import psycopg2
import pytest
import yaml

from support.clean_venv import ROOT, Environment, built
from support.github_actions import Runner, steps_of

HOURLY = ROOT / "docs" / "workflows" / "fullstory-hourly.yml"
BACKFILL = ROOT / "docs" / "workflows" / "fullstory-backfill.yml"
OURS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ALL = [HOURLY, BACKFILL, *OURS]

NOW = datetime.now(UTC)
SETTLED = NOW.replace(hour=NOW.hour // 6 * 6, minute=0, second=0, microsecond=0) - timedelta(days=1)
START = SETTLED - timedelta(hours=12)
DELAY = f"{(NOW - SETTLED) // timedelta(seconds=1)}s"  # as much has settled all the while, whatever hour may strike


_numbers = count(1)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    return built(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def runner(wheels, sim, server):
    """A runner on whose machines all is there but hauser-dlt, with an empty database."""
    database = f"runner{next(_numbers)}"
    connection = psycopg2.connect(server.dsn())
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {database}")
    connection.close()
    settings = {
        "SOURCES__FULLSTORY__BASE_URL": sim.url,
        "SOURCES__FULLSTORY__BACKOFF": "10ms",
        "SOURCES__FULLSTORY__EXPORT_DELAY": DELAY,
        "SOURCES__FULLSTORY__EXPORT_DURATION": "6h",
        "SOURCES__FULLSTORY__MAX_RETRIES": "1",
        "SOURCES__FULLSTORY__START_TIME": START.isoformat(),
    }
    warehouse = server.dsn().rpartition("/")[0] + f"/{database}"
    secrets = {"FULLSTORY_API_TOKEN": sim.token, "WAREHOUSE": warehouse}
    return Runner(lambda folder: Environment.made(folder / "venv", wheels, ["postgres"]).environ(), secrets, settings)


def ask(runner, sql):
    connection = psycopg2.connect(runner.secrets["WAREHOUSE"])
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()
    finally:
        connection.close()


def output_of(runner, name):
    return next(step.output for step in reversed(runner.steps) if step.name == name)


def events(sim, start, end):
    return len(list(sim.account.events(start, end)))


def test_the_hourly_workflow_loads_each_event_once_and_goes_on_from_nothing_but_the_warehouse(runner, sim):
    assert runner.run(HOURLY) == {"load": True}
    assert ask(runner, "SELECT count(*) FROM fullstory.fs_export") == [(events(sim, START, SETTLED),)]
    windows = len(sim.created())

    assert runner.run(HOURLY) == {"load": True}
    assert ask(runner, "SELECT count(*) FROM fullstory.fs_export") == [(events(sim, START, SETTLED),)]
    assert len(sim.created()) == windows
    assert "nothing new to load" in output_of(runner, "Load what is ready")
    assert runner.summaries[-1].startswith("```text\n")
    assert f"loaded       {events(sim, START, SETTLED):,} events" in runner.summaries[-1]


def test_what_may_pass_by_itself_is_a_notice_and_what_does_not_fails_the_job(runner):
    runner.settings = {**runner.settings, "SOURCES__FULLSTORY__BASE_URL": "http://127.0.0.1:1"}
    assert runner.run(HOURLY) == {"load": True}
    assert "::warning title=FullStory::" in output_of(runner, "Load what is ready")
    assert "nothing is loaded yet" in runner.summaries[-1]

    runner.settings = {**runner.settings, "SOURCES__FULLSTORY__EXPORT_DURATION": "7h"}
    assert runner.run(HOURLY) == {"load": False}
    assert "export_duration = '7h'" in output_of(runner, "Load what is ready")


def test_the_backfill_spreads_the_days_over_runners_and_loads_each_event_once(runner, sim):
    days = [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 3)]
    assert runner.run(BACKFILL, start="2026-03-01", end="2026-03-03", shards="3") == {"plan": True, "load": True}
    assert [step.name for step in runner.steps].count("Load the days of the shard") == 3
    assert ask(runner, "SELECT count(*) FROM fullstory.fs_export") == [(events(sim, *days),)]
    assert ask(runner, 'SELECT count(*), count(DISTINCT "BundleStartTime") FROM fullstory.fs_sync') == [(8, 8)]

    assert runner.run(BACKFILL, start="2026-03-02", end="2026-03-03", shards="1") == {"plan": True, "load": True}
    assert "nothing new to load" in output_of(runner, "Load the days of the shard")
    assert ask(runner, "SELECT count(*) FROM fullstory.fs_export") == [(events(sim, *days),)]


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [("2026-03-02", "2026-03-02", "--start must lie before --end"), ("soon", "later", "'soon': allowed is a date")],
)
def test_a_backfill_of_no_days_is_refused(runner, start, end, said):
    assert runner.run(BACKFILL, start=start, end=end, shards="1") == {"plan": True, "load": False}
    assert said in runner.steps[-1].output


@pytest.mark.parametrize("shards", ["0", "257", "many"])
def test_more_jobs_than_github_allows_are_refused_and_so_are_none(runner, shards):
    days = {"start": "2024-01-01", "end": "2026-01-01"}
    assert runner.run(BACKFILL, **days, shards=shards) == {"plan": False, "load": False}


@pytest.mark.parametrize("file", [HOURLY, BACKFILL], ids=lambda file: file.stem)
def test_no_two_runs_overlap_and_none_is_broken_off(file):
    concurrency = yaml.safe_load(file.read_text())["concurrency"]
    assert concurrency == {"group": file.stem, "cancel-in-progress": False}


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.stem)
def test_a_workflow_may_do_no_more_than_it_must(file):
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    for _, step in steps_of(file):
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/none@v1"))
        assert "secrets." not in step.get("run", "")


def test_our_own_runs_what_a_change_must_pass():
    (ci,) = (file for file in OURS if file.stem == "ci")
    assert ".ci/run" in [step.get("run") for _, step in steps_of(ci)]
    oldest, *_, newest = yaml.safe_load(ci.read_text())["jobs"]["test"]["strategy"]["matrix"]["python"]
    project = (ROOT / "pyproject.toml").read_text()
    assert f'requires-python = ">={oldest}"' in project
    assert project.rindex("Programming Language :: Python :: 3.") == project.index(
        f"Programming Language :: Python :: {newest}"
    )
