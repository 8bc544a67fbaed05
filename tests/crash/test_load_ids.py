"""Which load is newer does not hang on the clocks of the machines that made them."""

import shutil
import time
from datetime import timedelta

import pytest

from hauser_dlt.errors import LoadError
from hauser_dlt.fields import LOAD_ID
from hauser_dlt.ledger import load_ids
from hauser_dlt.reports.check import check
from support.destinations import HOUR, MIDNIGHT

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

    assert len(set(made)) > 990  # they are drawn from some four million, so that two in a thousand may well be equal
    assert min(map(load_ids.number, made)) > newest
    assert min(made) > str(newest)  # dlt compares them as text
    assert load_ids.number(load_ids._create_load_id()) < newest


@pytest.mark.parametrize("clock_says", [0.0, 12_345.6, 999_999_999.9, 9_999_999_999.9, 10_000_000_000.5])
def test_ids_have_ten_digits_whatever_the_clock_says(monkeypatch, clock_says):
    monkeypatch.setattr(load_ids, "_by_clock", lambda: str(clock_says))
    for newest in (0.0, 12_345.6, 1_700_000_000.25, 9_999_999_989.9):
        with load_ids.above(newest):
            made = load_ids._create_load_id()
        assert load_ids.number(made) > newest
        assert made.index(".") == 10
    assert load_ids._create_load_id() == str(clock_says)  # other pipelines of this process are none of ours


def rename_loads(runs, load_id):
    """Have the newest load be another."""
    (newest,) = runs.target.query('SELECT MAX("load_id") AS "load_id" FROM "_dlt_loads"')
    columns = {"fs_export": LOAD_ID, "fs_sync": LOAD_ID, "_dlt_pipeline_state": LOAD_ID, "_dlt_loads": "load_id"}
    for table, column in columns.items():
        runs.target.query(f"""UPDATE "{table}" SET "{column}" = '{load_id}' WHERE "{column}" = '{newest["load_id"]}'""")
    return columns


def test_a_load_after_which_none_can_come_is_refused_and_deleting_it_helps(runs):
    runs.load(NOW - 6 * HOUR)
    columns = rename_loads(runs, "9999999999.5")
    asked = len(runs.sim.created())
    ways = (
        lambda: runs.load(NOW),
        lambda: runs.load(NOW, MIDNIGHT, SETTLED),
        lambda: list(check(runs.configuration(), lambda _: None)),
    )
    for way in ways:
        with pytest.raises(LoadError, match=r"the destination holds load 9999999999\.5, .* delete what has that id"):
            way()
    assert len(runs.sim.created()) == asked

    for table, column in columns.items():
        runs.target.query(f"""DELETE FROM "{table}" WHERE "{column}" = '9999999999.5'""")
    runs.load(NOW)
    runs.expect(MIDNIGHT, SETTLED)


def test_a_load_of_1970_that_dlt_takes_for_the_newest_stands_in_no_ones_way(runs):
    runs.load(NOW - 6 * HOUR)
    rename_loads(runs, "5000.1")  # as text above all of this century
    lose_the_machine(runs)
    runs.load(NOW)
    runs.reload(NOW, MIDNIGHT, MIDNIGHT + DAY)
    lose_the_machine(runs)
    assert runs.load(NOW).packages == []
    runs.expect(MIDNIGHT, SETTLED)


@pytest.mark.parametrize("text", [None, "", "x", "1.", "12345678901.5", "1700000000", "nan", "1_00000000.5", "inf"])
def test_what_is_no_load_id_is_older_than_all(text):
    assert load_ids.number(text) == 0
