"""Windows that are loaded again: the new rows come first, then the old ones go, wherever a run dies in between."""

import re
from datetime import timedelta

import pytest

from hauser_dlt.errors import CorruptBundleError, TransientError
from hauser_dlt.ledger import SyncRow, superseded
from hauser_dlt.simulator import Fault
from support.destinations import HOUR, MIDNIGHT, everywhere

DAY = timedelta(days=1)
NOW = MIDNIGHT + 2 * DAY + 12 * HOUR  # with the delay of a day, a day and a half has settled: two packages
SETTLED = NOW - DAY
LATE = {"EventStart": (MIDNIGHT + 7 * HOUR).isoformat(), "EventType": "late", "UserId": 7}

in_each_way = pytest.mark.parametrize("target", ["duckdb", "parquet", "delta"], indirect=True)
in_redshift = pytest.mark.parametrize("target", ["redshift"], indirect=True)
in_duckdb = pytest.mark.parametrize("target", ["duckdb"], indirect=True)


@everywhere
def test_an_interval_that_is_loaded_again_has_what_came_late_and_nothing_twice(runs):
    runs.load(NOW)
    ends = [row["BundleEndTime"] for row in runs.target.sync()]
    runs.sim.extra_events.append(LATE)

    told = runs.reload(NOW, MIDNIGHT + 6 * HOUR, MIDNIGHT + 12 * HOUR)

    assert MIDNIGHT + 6 * HOUR in [window.start for window in told.tallies]
    runs.expect(MIDNIGHT, SETTLED)
    assert [row["BundleEndTime"] for row in runs.target.sync()] == ends
    runs.load(NOW + 6 * HOUR)  # and the sync point has stayed where it was
    runs.expect(MIDNIGHT, SETTLED + 6 * HOUR)


@in_redshift
def test_the_new_rows_are_there_before_the_old_ones_go(runs):
    runs.load(NOW)
    begin = len(runs.target.server.statements)

    runs.reload(NOW, MIDNIGHT, MIDNIGHT + DAY)

    statements = runs.target.server.statements[begin:]
    of_events = [sql.split()[0] for sql in statements if re.match(r'(COPY|DELETE FROM) \S*"fs_export"', sql)]
    assert of_events == ["COPY", "DELETE"]
    runs.expect(MIDNIGHT, SETTLED)


@in_redshift
def test_windows_of_the_go_hauser_can_be_loaded_again(runs):
    runs.target.make_hausers_tables()
    runs.load(NOW)
    extra = {"EventStart": (MIDNIGHT - HOUR).isoformat(), "EventType": "came late"}
    runs.sim.events = lambda start, end: [extra] if start == MIDNIGHT - 6 * HOUR else ()

    runs.reload(NOW, MIDNIGHT - 6 * HOUR, MIDNIGHT)

    assert [row["EventType"] for row in runs.target.rows() if row["EventStart"].timestamp() < MIDNIGHT.timestamp()] == [
        "came late"
    ]


@in_each_way
def test_windows_of_another_length_take_the_place_of_those_they_cover(runs):
    runs.load(NOW, export_duration="2h")
    runs.reload(NOW, MIDNIGHT + 3 * HOUR, MIDNIGHT + 4 * HOUR, export_duration="4h")
    runs.expect(MIDNIGHT, SETTLED)

    runs.reload(NOW, MIDNIGHT + 2 * HOUR, MIDNIGHT + 3 * HOUR, export_duration="1h")
    runs.expect(MIDNIGHT, SETTLED)


@in_each_way
def test_a_window_that_cannot_be_had_again_keeps_its_old_rows(runs):
    runs.load(NOW)
    broken = (MIDNIGHT + 12 * HOUR).isoformat().replace("+00:00", "Z")
    runs.sim.faults.add(Fault("corrupt", "download", match=broken, times=None))

    with pytest.raises(CorruptBundleError, match="12:00"):
        runs.reload(NOW, MIDNIGHT, SETTLED)

    runs.expect(MIDNIGHT, SETTLED)


@in_each_way
def test_young_windows_are_loaded_once_more_when_they_have_come_of_age(runs):
    young = {"export_delay": "1h", "refresh_for": "24h"}
    runs.load(MIDNIGHT + 7 * HOUR, **young)
    runs.load(MIDNIGHT + 13 * HOUR, **young)
    runs.target.load_earlier(timedelta(hours=1))
    runs.sim.extra_events.append(LATE | {"EventStart": (MIDNIGHT + HOUR).isoformat()})

    runs.load(MIDNIGHT + 13 * HOUR, **young)
    assert len(runs.sim.created()) == 2  # they are still young

    told = runs.load(MIDNIGHT + 31 * HOUR, **young)
    windows = [window.start for window in told.tallies]
    assert MIDNIGHT in windows
    assert MIDNIGHT + 6 * HOUR not in windows
    runs.expect(MIDNIGHT, MIDNIGHT + 30 * HOUR)

    runs.load(MIDNIGHT + 31 * HOUR, **young)
    assert [span[0] for span in runs.sim.created()].count(MIDNIGHT) == 2  # and no more


@in_each_way
def test_of_two_runs_on_the_same_windows_the_newer_one_owns_them(runs):
    """Both begin before either has loaded anything; the second is not told of the first."""
    with runs.sync() as sync:
        plan = sync.plan(NOW)
        runs.load(NOW)
        sync.run(plan, _Quiet())

    runs.expect(MIDNIGHT, SETTLED)


@in_duckdb
def test_a_load_whose_lease_another_run_found_expired_is_not_counted_as_loaded(runs):
    with runs.sync() as sync:
        plan = sync.plan(NOW)

        class Interrupting(type(sync.ledger.leases)):
            def acquire(self, load_id, interval):
                super().acquire(load_id, interval)
                sync.ledger.cleanup.remove([load_id])  # as another run does

        sync.ledger.leases.__class__ = Interrupting
        with pytest.raises(TransientError, match="another run"):
            sync.run(plan, _Quiet())

    assert runs.target.rows() == []
    runs.load(NOW)
    runs.expect(MIDNIGHT, SETTLED)


class _Quiet:
    def __getattr__(self, name):
        return lambda *_: None


def row(load, *hours):
    start, end = (MIDNIGHT + hour * HOUR for hour in hours)
    return SyncRow(start, end, load, complete=True)


def test_the_newest_load_owns_a_window():
    old, new, other = row("1.5", 0, 6), row("10.5", 0, 6), row("2.0", 6, 12)
    assert superseded([old, new, other]) == [old]


def test_what_is_only_covered_in_part_stays():
    old, new = row("1.5", 0, 6), row("2.5", 0, 3)
    assert superseded([old, new]) == []
    assert superseded([old, new, row("2.5", 3, 6)]) == [old]


def test_the_go_hausers_row_goes_when_its_last_moment_is_loaded_again():
    hausers = SyncRow(None, MIDNIGHT + 6 * HOUR, None, complete=True)
    assert superseded([hausers, row("1.5", 6, 12)]) == []
    assert superseded([hausers, row("1.5", 0, 6)]) == [hausers]
