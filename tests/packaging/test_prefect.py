"""The flow of pipelines/prefect_flow.py, run by Prefect itself, in an environment of its own (`make slow`)."""

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.dataset
import pytest

from hauser_dlt.simulator import Fault

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-schedulers" / "bin" / "python"
FLOW = (ROOT / "pipelines" / "prefect_flow.py").read_text(encoding="utf-8")
FIRST = datetime(2026, 3, 1, tzinfo=UTC)

pytestmark = pytest.mark.slow


@pytest.fixture
def flow(tmp_path, sim):
    """Run the flow for two days, with a Prefect server of its own; return the exit code and the log."""
    (tmp_path / "flow.py").write_text(FLOW.replace("seconds=600", "seconds=1"), encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "FULLSTORY_API_TOKEN": sim.token,
        "SOURCES__FULLSTORY__BASE_URL": sim.url,
        "SOURCES__FULLSTORY__EXPORT_DURATION": "6h",
        "SOURCES__FULLSTORY__MAX_RETRIES": "0",
        "HAUSER__DESTINATION": "filesystem",
        "DESTINATION__FILESYSTEM__BUCKET_URL": str(tmp_path / "out"),
    }

    def run(**settings):
        done = subprocess.run(
            [PYTHON, "flow.py", "2026-03-01", "2026-03-03"],
            cwd=tmp_path,
            env=environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def test_an_interval_is_loaded_once_though_fullstory_was_away_at_first(flow, tmp_path, sim):
    fault = sim.faults.add(Fault("status", "create", status=503))
    code, log = flow()

    assert code == 0, log
    assert fault.hits == 1
    assert re.search(r"Retry 1/3 will start", log), log
    files = [str(path) for path in (tmp_path / "out").rglob("*.parquet") if path.parent.name == "fs_export"]
    assert pyarrow.dataset.dataset(files).count_rows() == len(
        list(sim.account.events(FIRST, FIRST + timedelta(days=2)))
    )


def test_what_needs_somebody_fails_at_once(flow):
    code, log = flow(SOURCES__FULLSTORY__EXPORT_DURATION="7h")

    assert code == 1
    assert "export_duration = '7h'" in log
    assert "Retry" not in log
