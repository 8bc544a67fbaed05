"""MotherDuck by dlt's client of it, which here is led to a DuckDB on this machine: its engine, without its service."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from dlt.destinations.impl.motherduck.configuration import MotherDuckCredentials

from support.destinations import HOUR, MIDNIGHT, Target
from support.runs import Runs

DAY = timedelta(days=1)
NOW = MIDNIGHT + 2 * DAY


@dataclass(frozen=True, slots=True)
class MotherDuckTarget(Target):
    def settings(self):
        credentials = {"database": "events", "password": "s3cret-token"}
        return {
            "hauser": {"destination": "motherduck", "dataset_name": self.dataset},
            "destination": {"motherduck": {"credentials": credentials}},
        }


@pytest.fixture
def runs(sim, tmp_path, monkeypatch):
    target = MotherDuckTarget("duckdb", tmp_path, "fs")
    monkeypatch.setattr(MotherDuckCredentials, "_conn_str", lambda _: str(target.database))
    monkeypatch.chdir(tmp_path)
    return Runs(sim, target, tmp_path / "work")


def test_check_reads_the_catalog_and_runs_print_nothing_in_between(runs):
    with runs.sync() as sync:
        found = sync.target.access(sync.pipeline, ["fs_export"])
        assert (found.dataset, found.exists) == ("fs", False)
        with sync.pipeline.destination_client() as client:
            assert client.config.credentials.pragmas == ["disable_progress_bar"]


def test_every_event_is_there_once_and_windows_are_loaded_again(runs):
    runs.load(NOW)
    runs.expect(MIDNIGHT, NOW - DAY)

    asked = len(runs.sim.created())
    runs.target.forget_newest(2)
    runs.load(NOW)
    assert len(runs.sim.created()) > asked
    runs.expect(MIDNIGHT, NOW - DAY)

    runs.reload(NOW, MIDNIGHT, MIDNIGHT + 6 * HOUR)
    runs.expect(MIDNIGHT, NOW - DAY)
