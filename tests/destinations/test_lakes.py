"""DuckLake: a lake whose catalog is a Postgres, or a file. See `test_lakehouse` for what it shares with others."""

import json
import time
from datetime import timedelta

import pytest

from hauser_dlt.errors import ConfigError
from support.destinations import HOUR, MIDNIGHT

DAY = timedelta(days=1)
NOW = MIDNIGHT + 2 * DAY  # a day has settled: four windows of six hours
LAKE = "destination.ducklake.credentials"

in_a_lake = pytest.mark.parametrize("target", ["ducklake"], indirect=True)


@in_a_lake
def test_new_fields_become_columns_of_a_lake(runs):
    runs.load(NOW)
    at = f"{MIDNIGHT + 25 * HOUR:%Y-%m-%dT%H:%M:%SZ}"
    runs.sim.extra_events.append({"EventStart": at, "EventType": "custom", "EventBrandNew": "new"})
    runs.load(NOW + 6 * HOUR)
    assert runs.target.columns()[-1] == "EventBrandNew"
    assert runs.target.query("SELECT COUNT(*) AS n FROM fs_export WHERE \"EventBrandNew\" = 'new'") == [{"n": 1}]


@in_a_lake
def test_runs_side_by_side_load_into_one_lake(runs):
    """All of them make the tables, or find that another one has."""
    days = [MIDNIGHT + n * DAY for n in range(3)]
    started = [
        runs.command("run", "--start", f"{day:%Y-%m-%d}", "--end", f"{day + DAY:%Y-%m-%d}", working_dir=f"work{n}")
        for n, day in enumerate(days)
    ]
    for command in started:
        _, told = command.communicate(120)
        assert command.returncode == 0, told
    runs.expect(MIDNIGHT, MIDNIGHT + 3 * DAY)


@in_a_lake
def test_runs_killed_in_the_midst_of_a_statement_are_made_good(runs):
    """What DuckDB writes by itself, files and rows of the catalog, the steps of the crash matrix do not show."""
    for after in (1.0, 1.5, 2.0, 2.5):
        command = runs.command("run", "--start", "2024-05-01", "--end", "2024-05-04", working_dir=f"work{after}")
        time.sleep(after)
        command.kill()
    runs.load(MIDNIGHT + 4 * DAY)
    runs.expect(MIDNIGHT, MIDNIGHT + 3 * DAY)


@in_a_lake
def test_a_lake_can_have_a_file_for_its_catalog(runs, tmp_path):
    catalog = f"sqlite:///{tmp_path / 'lake.sqlite'}"
    for now in (NOW, NOW + 6 * HOUR):
        told = runs.load(now, **{f"{LAKE}.catalog": catalog})
    assert [package.windows for package in told.packages] == [1]
    status, told = runs.command("status", "--json", **{f"{LAKE}.catalog": catalog}).communicate(60)
    assert json.loads(status)["sync_point"] == "2024-05-02T06:00:00+00:00", told


@in_a_lake
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({f"{LAKE}.catalog": "oracle://a:secret@localhost/c"}, "the lake's catalog is of 'oracle'"),
        ({"dataset_name": "ducklake"}, "dataset_name = 'ducklake': so the lake is called"),
        ({f"{LAKE}.catalog": "postgres://a:secret@127.0.0.1:1/c"}, "cannot be used at present: .*127.0.0.1:1/c"),
    ],
)
def test_a_wrong_setting_of_a_lake_is_one_line(runs, settings, said):
    with pytest.raises(Exception, match=said) as raised:
        runs.load(NOW, **settings)
    assert "secret" not in str(raised.value)


@in_a_lake
def test_a_lake_that_lies_elsewhere_is_named(runs, tmp_path):
    runs.load(NOW)
    with pytest.raises(ConfigError, match=r"does not match existing data path.*set bucket_url under"):
        runs.load(NOW, **{f"{LAKE}.storage.bucket_url": str(tmp_path / "elsewhere")})
