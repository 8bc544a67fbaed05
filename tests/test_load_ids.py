"""Which load is newer does not hang on the clocks of the machines that made them."""

import shutil
import time
from datetime import timedelta

import pytest
from targets import HOUR, MIDNIGHT

from hauser_dlt import load_ids

DAY = timedelta(days=1)
YEAR = 365 * 86_400.0
NOW = MIDNIGHT + 2 * DAY + 12 * HOUR  # with the delay of a day, a day and a half has settled: two packages
SETTLED = NOW - DAY
LATE = {"EventStart": (MIDNIGHT + 7 * HOUR).isoformat(), "EventType": "late", "UserId": 7}

on_each_kind = pytest.mark.parametrize(
    "target",
    [
        "duckdb",
        "parquet",
        "redshift",
        "s3-csv",
        *(pytest.param(k, marks=pytest.mark.slow) for k in ("postgres", "bigquery")),
    ],
    indirect=True,
)


@pytest.fixture
def clock(monkeypatch):
    """Set by how many seconds the clock of the machine that loads is ahead."""

    def ahead(seconds: float) -> None:
        monkeypatch.setattr(load_ids, "_by_clock", lambda: str(time.time() + seconds))

    return ahead


def lose_the_machine(runs):
    shutil.rmtree(runs.working_dir, ignore_errors=True)


@on_each_kind
def test_what_is_loaded_again_replaces_what_a_clock_ahead_or_behind_has_loaded(runs, clock):
    clock(YEAR)
    runs.load(NOW - 6 * HOUR)
    runs.sim.extra_events.append(LATE)

    clock(-YEAR)
    lose_the_machine(runs)
    runs.reload(NOW, MIDNIGHT, MIDNIGHT + DAY)
    runs.expect(MIDNIGHT, SETTLED - 6 * HOUR)

    clock(0)
    lose_the_machine(runs)
    runs.sim.extra_events.append(LATE | {"EventType": "later"})
    runs.reload(NOW, MIDNIGHT + 6 * HOUR, MIDNIGHT + 12 * HOUR)
    runs.expect(MIDNIGHT, SETTLED - 6 * HOUR)

    told = runs.load(NOW)  # and the state that dlt restores is the newest
    assert [window.end for window in told.tallies] == [SETTLED]
    runs.expect(MIDNIGHT, SETTLED)


def test_machines_that_see_the_same_newest_load_make_different_ids_above_it(clock):
    clock(-YEAR)
    newest = time.time() + YEAR
    with load_ids.above(newest):
        made = [load_ids._create_load_id() for _ in range(1000)]

    assert len(set(made)) == 1000
    assert min(map(load_ids.number, made)) > newest
    assert min(made) > str(newest)  # dlt compares them as text
    assert load_ids.number(load_ids._create_load_id()) < newest


@pytest.mark.parametrize("text", [None, "", "x", "1.", "12345678901.5", "1700000000", "nan", "1_00000000.5", "inf"])
def test_what_is_no_load_id_is_older_than_all(text):
    assert load_ids.number(text) == 0
