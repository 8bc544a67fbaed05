"""What went wrong is made good, and every event is there exactly once; see `test_matrix` for what died."""

import shutil
from datetime import timedelta

import pytest

from hauser_dlt.errors import CorruptBundleError, ExportFailedError, LoadError
from hauser_dlt.simulator import Fault
from support.crash import CrashScenario, Moment, crash_at
from support.destinations import HOUR, MIDNIGHT, SQL_KINDS, as_rows, bare, in_each_way, in_sql

DAY = timedelta(days=1)
NOW = MIDNIGHT + 2 * DAY + 12 * HOUR  # with the delay of a day, a day and a half has settled: two packages
SETTLED = NOW - DAY

recovering = pytest.mark.parametrize("target", ["duckdb", "json"], indirect=True)
# what the others show, these show again
_RARELY = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("json", "gcs-parquet")]
wherever_it_lies = pytest.mark.parametrize(
    "target", [*SQL_KINDS, "parquet", "delta", "s3-csv", *_RARELY], indirect=True
)


def lose_the_machine(runs):
    shutil.rmtree(runs.working_dir, ignore_errors=True)


@recovering
def test_a_backfill_that_died_is_made_good_by_the_same_backfill(runs):
    runs.load(NOW)
    earlier = (MIDNIGHT - 2 * DAY, MIDNIGHT - DAY)
    for at in (Moment("normalize", when="after"), Moment(runs.target.completing)):
        assert crash_at(CrashScenario(runs.nested(), NOW, earlier), at).killed
    lose_the_machine(runs)

    runs.load(NOW, *earlier)
    runs.load(NOW + 6 * HOUR)

    rows = runs.target.rows()
    expected = sum(1 for span in (earlier, (MIDNIGHT, SETTLED + 6 * HOUR)) for _ in runs.sim.account.events(*span))
    assert len(rows) == expected


@recovering
def test_what_a_backfill_left_goes_even_if_the_run_that_removes_it_dies(runs):
    runs.load(NOW)
    earlier = (MIDNIGHT - DAY, MIDNIGHT)
    assert crash_at(CrashScenario(runs.nested(), NOW, earlier), Moment(runs.target.completing)).killed
    delete = "delete" if runs.target.into_files else "DELETE"
    assert crash_at(CrashScenario(runs.nested(), NOW), Moment(f"{delete} fs_sync_pending", when="after")).killed

    runs.load(NOW)

    runs.expect(MIDNIGHT, SETTLED)


@wherever_it_lies
def test_the_newest_sync_rows_deleted_are_loaded_again_without_doubling(runs):
    runs.load(NOW)
    asked = len(runs.sim.created())
    runs.target.forget_newest(3)

    runs.load(NOW)

    assert len(runs.sim.created()) > asked
    runs.expect(MIDNIGHT, SETTLED)
    runs.load(NOW + 6 * HOUR)
    runs.expect(MIDNIGHT, SETTLED + 6 * HOUR)


@recovering
def test_deleted_sync_rows_are_loaded_again_by_a_backfill_without_doubling(runs):
    runs.load(NOW)
    runs.target.forget_newest(3)

    runs.load(NOW, SETTLED - 18 * HOUR, SETTLED)

    runs.expect(MIDNIGHT, SETTLED)


@wherever_it_lies
def test_all_sync_rows_deleted_are_loaded_again_without_doubling(runs):
    runs.load(NOW)
    runs.target.forget_newest(99)

    runs.load(NOW)

    runs.expect(MIDNIGHT, SETTLED)


@in_each_way
def test_nothing_is_asked_for_twice_even_with_the_machine_lost(runs):
    runs.load(NOW)
    asked = len(runs.sim.requests)
    lose_the_machine(runs)

    runs.load(NOW)

    assert len(runs.sim.requests) == asked
    runs.expect(MIDNIGHT, SETTLED)


@in_each_way
def test_an_empty_window_moves_the_sync_point(runs):
    runs.sim.events = lambda start, end: ()
    runs.load(NOW)

    assert [row["BundleEndTime"] for row in runs.target.sync()][-1] == SETTLED
    asked = len(runs.sim.created())
    runs.load(NOW)
    assert len(runs.sim.created()) == asked == 6


@in_each_way
def test_backfills_leave_the_sync_point_and_are_not_loaded_again(runs):
    runs.load(NOW - 12 * HOUR)
    ahead = (SETTLED - 6 * HOUR, SETTLED)
    runs.load(NOW, *ahead)
    runs.load(NOW, MIDNIGHT - DAY, MIDNIGHT)
    asked = len(runs.sim.created())

    runs.load(NOW + 6 * HOUR)

    later = runs.sim.created()[asked:]
    assert ahead not in later
    runs.expect(MIDNIGHT - DAY, SETTLED + 6 * HOUR)


@in_each_way
def test_a_backfill_before_the_first_run_does_not_stand_in_its_way(runs):
    runs.load(NOW, MIDNIGHT + 6 * HOUR, MIDNIGHT + 12 * HOUR)
    runs.load(NOW)

    runs.expect(MIDNIGHT, SETTLED)


@in_each_way
@pytest.mark.parametrize(
    ("kind", "on", "error"),
    [
        ("corrupt", "download", CorruptBundleError),
        ("truncate", "download", CorruptBundleError),
        ("failed", "operation", ExportFailedError),
    ],
)
def test_a_bad_window_fails_alone_and_is_tried_again(runs, kind, on, error):
    runs.sim.faults.add(Fault(kind, on=on, match="2024-05-01T12:00:00Z", times=None))

    with pytest.raises(error, match="2024-05-01 12:00 to 2024-05-01 18:00 UTC: "):
        runs.load(NOW)

    present = [*runs.sim.rows(MIDNIGHT, MIDNIGHT + 12 * HOUR), *runs.sim.rows(MIDNIGHT + 18 * HOUR, SETTLED)]
    assert bare(runs.target.rows()) == bare(as_rows(present))
    runs.target.expect_order()
    runs.sim.faults.clear()
    runs.load(NOW)
    runs.expect(MIDNIGHT, SETTLED)
    starts = [start for start, _ in runs.sim.created()]
    assert {start for start in starts if starts.count(start) > 1} == {MIDNIGHT + 12 * HOUR}


@in_sql
def test_a_load_that_the_destination_refuses_leaves_nothing_half_done(runs):
    runs.load(MIDNIGHT + DAY + 6 * HOUR)
    runs.target.query('ALTER TABLE "fs_export" DROP COLUMN "PageUrl"')
    runs.target.query('ALTER TABLE "fs_export" ADD COLUMN "PageUrl" INTEGER')

    with pytest.raises(LoadError):
        runs.load(NOW)
    with pytest.raises(LoadError):
        runs.load(NOW)

    runs.target.query('ALTER TABLE "fs_export" DROP COLUMN "PageUrl"')
    runs.target.query('ALTER TABLE "fs_export" ADD COLUMN "PageUrl" VARCHAR')
    runs.load(NOW)
    rows = runs.target.rows()
    assert len(rows) == sum(1 for _ in runs.sim.account.events(MIDNIGHT, SETTLED))
    assert runs.target.query('SELECT * FROM "fs_sync_pending"') == []


@in_each_way
def test_an_event_on_a_boundary_belongs_to_the_later_window(runs):
    boundary = MIDNIGHT + 6 * HOUR
    event = {"EventStart": boundary.isoformat(), "EventType": "click", "IndvId": 2**60 + 1}
    inside = {"EventStart": (boundary + HOUR).isoformat(), "EventType": "load"}
    # an export that takes its end in
    runs.sim.events = lambda start, end: [
        e for e, t in ((event, boundary), (inside, boundary + HOUR)) if start <= t <= end
    ]

    told = runs.load(NOW)

    if runs.target.kind == "json":
        return  # FullStory's own bytes are not touched
    assert sorted(row["EventType"] for row in runs.target.rows()) == ["click", "load"]
    assert [tally.outside for tally in told.tallies.values()] == [1, 0, 0, 0, 0, 0]
    (click,) = (row for row in runs.target.rows() if row["EventType"] == "click")
    assert click["_hauser_window"] == boundary
