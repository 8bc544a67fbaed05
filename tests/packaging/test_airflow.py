"""The DAGs of pipelines/airflow_dag.py, run by Airflow itself, in an environment of its own (`make slow`)."""

import os
import re
import sqlite3
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.dataset
import pytest

from hauser_dlt.simulator import Fault

ROOT = Path(__file__).parents[2]
AIRFLOW = ROOT / ".venv-airflow" / "bin" / "airflow"
DAG = (ROOT / "pipelines" / "airflow_dag.py").read_text(encoding="utf-8")
DAY = timedelta(days=1)

pytestmark = pytest.mark.slow


class Airflow:
    """An Airflow of one's own, with our DAGs and settings for the simulator."""

    def __init__(self, folder, sim):
        self.folder = folder
        self.out = folder / "out"
        dags = folder / "dags"
        dags.mkdir(parents=True)
        (dags / "fullstory.py").write_text(DAG.replace("minutes=10", "seconds=1"), encoding="utf-8")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "FULLSTORY_API_TOKEN": sim.token,
            "SOURCES__FULLSTORY__BASE_URL": sim.url,
            "SOURCES__FULLSTORY__EXPORT_DURATION": "6h",
            "SOURCES__FULLSTORY__MAX_RETRIES": "0",
            "SOURCES__FULLSTORY__START_TIME": f"{datetime.now(UTC) - 3 * DAY:%Y-%m-%dT00:00:00Z}",
            "HAUSER__DESTINATION": "filesystem",
            "DESTINATION__FILESYSTEM__BUCKET_URL": str(self.out),
        }
        self.command("db", "migrate")

    def command(self, *arguments, **settings):
        return subprocess.run(
            [AIRFLOW, *arguments],
            cwd=self.folder,
            env=self.environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )

    def run(self, dag, *arguments, **settings):
        """Run a DAG; return what the log says, and the last state of each task's instances."""
        done = self.command("dags", "test", dag, *arguments, **settings)
        with sqlite3.connect(self.folder / "home" / "airflow.db") as database:
            (newest,) = database.execute("SELECT run_id FROM dag_run ORDER BY id DESC LIMIT 1").fetchone()
            states = database.execute(
                "SELECT task_id, rendered_map_index, state FROM task_instance WHERE run_id = ? ORDER BY 1, 2", (newest,)
            ).fetchall()
        database.close()
        return done.stdout, states

    def starts(self):
        """Return when each loaded event began, in order."""
        files = [str(path) for path in self.out.rglob("*.parquet") if path.parent.name == "fs_export"]
        return sorted(pyarrow.dataset.dataset(files).to_table(["EventStart"]).column(0).to_pylist())


@pytest.fixture
def airflow(tmp_path, sim):
    if not AIRFLOW.exists():
        pytest.fail("there is no Airflow in .venv-airflow; `make slow` installs it")
    return Airflow(tmp_path, sim)


def started(sim, start, end):
    return sorted(
        datetime.fromisoformat(event["EventStart"]).replace(tzinfo=UTC) for event in sim.account.events(start, end)
    )


def returned(log):
    return [int(events) for events in re.findall(r"Returned value was: \{'events': (\d+)", log)]


def test_each_hour_loads_what_is_ready_once(airflow, sim):
    log, states = airflow.run("fullstory_hourly")

    assert states == [("load_ready", None, "success")], log
    assert re.search(r"loaded 20\d\d-.* events in \d+ windows? \(load ", log)
    first = datetime.fromisoformat(airflow.environment["SOURCES__FULLSTORY__START_TIME"])
    loaded = airflow.starts()
    (reached,) = re.findall(r"'reached': '([^']+)'", log)
    assert loaded == started(sim, first, datetime.fromisoformat(reached))
    assert returned(log) == [len(loaded)]

    log, states = airflow.run("fullstory_hourly")
    assert returned(log) == [0]
    assert airflow.starts() == loaded


def test_a_backfill_has_a_task_for_each_day(airflow, sim):
    dates = '{"first_day": "2026-03-01", "end": "2026-03-03"}'
    log, states = airflow.run("fullstory_backfill", "--conf", dates)

    assert states == [
        ("days", None, "success"),
        ("load_day", "2026-03-01", "success"),
        ("load_day", "2026-03-02", "success"),
    ], log
    first = datetime(2026, 3, 1, tzinfo=UTC)
    assert airflow.starts() == started(sim, first, first + 2 * DAY)


def test_what_may_pass_by_itself_is_tried_again(airflow, sim):
    fault = sim.faults.add(Fault("status", "create", status=503))
    log, states = airflow.run("fullstory_hourly")

    assert fault.hits == 1
    assert "new_state=up_for_retry" in log
    assert states == [("load_ready", None, "success")], log


def test_what_needs_somebody_fails_at_once(airflow):
    log, states = airflow.run("fullstory_hourly", SOURCES__FULLSTORY__EXPORT_DURATION="7h")

    assert "up_for_retry" not in log
    assert "export_duration = '7h'" in log
    assert states == [("load_ready", None, "failed")]
