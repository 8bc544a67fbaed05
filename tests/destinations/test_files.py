"""Files that users or accidents have got at: edited, cut short or left over; and folders with names of all sorts."""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauser_dlt.ledger.file_index import stamp
from hauser_dlt.ledger.files import FilesLedger
from hauser_dlt.reports import status
from hauser_dlt.windows import Window
from support.crash import CrashScenario, Moment, crash_at
from support.destinations import HOUR, MIDNIGHT, Target, in_files

DAY = timedelta(days=1)
STEP = 6 * HOUR
END = MIDNIGHT + DAY + 12 * HOUR  # of what has settled: a day and a half, six windows, two packages
NOW = END + DAY

parquet = pytest.mark.parametrize("target", ["parquet"], indirect=True)


def stamps(paths):
    """Return the intervals in the names of files."""
    return [path.name.split(".")[0] for path in paths]


@in_files
def test_a_sync_file_that_lost_lines_makes_its_whole_load_go(runs):
    runs.load(NOW)
    (first, _) = runs.target.files("fs_sync")
    first.write_text("".join(first.read_text().splitlines(keepends=True)[1:]))
    told = runs.load(NOW, start=MIDNIGHT, end=MIDNIGHT + STEP)

    # the lost window alone was asked for, but a file cannot be cut
    assert list(told.tallies) == [Window(MIDNIGHT + n * STEP, MIDNIGHT + (n + 1) * STEP) for n in range(4)]
    runs.expect(MIDNIGHT, END)


@parquet
def test_a_file_has_its_name_once_it_is_whole(runs):
    one_window = (MIDNIGHT, MIDNIGHT + STEP)  # and so one file: threads copy several side by side
    assert crash_at(CrashScenario(runs.nested(), NOW, one_window), Moment("move fs_export")).killed
    (partial,) = runs.target.files()
    assert (partial.name[0], partial.suffix) == (".", ".part")

    runs.load(NOW)

    assert not partial.exists()
    runs.expect(MIDNIGHT, END)


@in_files
def test_deleted_event_files_of_a_load_without_sync_file_are_no_trouble(runs):
    runs.load(NOW)
    runs.target.files("fs_sync")[-1].unlink()
    runs.target.files()[-1].unlink()
    runs.load(NOW)

    runs.expect(MIDNIGHT, END)


@parquet
def test_windows_of_a_sync_file_that_cannot_be_read_are_loaded_again_and_that_is_told(runs):
    runs.load(NOW)
    newest = runs.target.files("fs_sync")[-1]
    newest.write_text('{"BundleEndTime": "soon"}\n')
    told = runs.load(NOW)
    assert [len(plan.warnings) for plan in told.plans] == [1]
    assert told.plans[0].warnings[0].startswith("fs_sync has 1 row that no load can have written (")

    runs.expect(MIDNIGHT, END)


@parquet
def test_files_cut_short_by_a_kill_are_taken_away(runs):
    runs.load(NOW - DAY)
    load_id = "1700000000.5"
    for table in ("fs_export", "fs_sync"):
        kind = {"fs_export": "parquet", "fs_sync": "jsonl"}[table]
        torn = runs.target.out / table / f"20240501T120000Z-20240502T000000Z.{load_id}.{kind}"
        torn.write_bytes(runs.target.files(table)[0].read_bytes()[:50])
    with runs.sync() as sync:
        found = status.status(sync, NOW, STEP)
    runs.load(NOW)

    assert found.incomplete == 1
    runs.expect(MIDNIGHT, END)


@parquet
def test_an_unregistered_load_elsewhere_goes_with_the_first_window_of_a_day_once_it_is_a_day_old(runs):
    runs.load(NOW)
    old, recent = (f"20240101T000000Z-20240102T000000Z.{at.timestamp()}.parquet" for at in _a_day_and_an_hour_ago())
    for name in (old, recent):
        (runs.target.out / "fs_export" / name).write_bytes(b"PAR1")

    def left():
        return [path.name for path in runs.target.files() if path.name in (old, recent)]

    runs.load(NOW + STEP)
    assert left() == [old, recent]
    runs.load(NOW + DAY)
    assert left() == [recent]


def _a_day_and_an_hour_ago():
    now = datetime.now(UTC)
    return now - timedelta(days=1, minutes=1), now - HOUR


@parquet
def test_a_load_that_ends_while_files_are_listed_is_not_orphaned(runs):
    runs.load(NOW)
    with runs.sync() as sync:
        sync.inspect()
        assert sync.ledger.owned(Window(MIDNIGHT, MIDNIGHT + DAY))
        months_later = MIDNIGHT + 90 * DAY
        runs.load(months_later + 3 * DAY, start=months_later, end=months_later + DAY)

        assert sync.ledger.orphaned_loads(Window(months_later, months_later + DAY), None) == []


@dataclass(frozen=True)
class Load:
    """A load of windows that begin on one day; a window may have lost its file or its sync row."""

    start: datetime
    step: int  # hours
    windows: tuple[tuple[bool, bool], ...]  # has a file, has a sync row
    complete: bool

    def write(self, folder, number):
        load_id, kept = f"{self.start.timestamp() + 10 * 86400:.0f}.{number}", []
        starts = (self.start + n * self.step * HOUR for n in count())
        today = takewhile(lambda start: start.date() == self.start.date(), starts)
        for start, (has_file, has_row) in zip(today, self.windows, strict=False):
            window = Window(start, start + self.step * HOUR)
            if has_file:
                (folder / "fs_export" / f"{stamp(window)}.{load_id}.parquet").touch()
            if has_row:
                times = {"BundleStartTime": window.start, "BundleEndTime": window.end, "Processed": window.end}
                kept.append({name: time.isoformat() for name, time in times.items()} | {"EventCount": 1})
        whole = Window(self.start, window.end)
        rows = "".join(json.dumps(row) + "\n" for row in kept)
        (folder / "fs_sync" / f"{stamp(whole)}.{load_id}.jsonl").write_text(rows)
        if self.complete:
            (folder / "_dlt_loads" / f"fullstory__{load_id}.jsonl").touch()


hours = st.integers(-70, 70).map(lambda hour: MIDNIGHT + hour * HOUR)  # around the end of a month
flags = st.tuples(st.booleans(), st.sampled_from([True, True, True, False]))
loads = st.builds(
    Load,
    hours,
    st.sampled_from([1, 6, 24, 100]),
    st.lists(flags, min_size=1, max_size=3).map(tuple),
    st.sampled_from([True, True, False]),
)

QUESTIONS = (
    lambda ledger, interval: ledger.last(interval.end),
    lambda ledger, interval: sorted(ledger.owned(interval)),
    lambda ledger, interval: ledger.rows(interval),
    lambda ledger, interval: ledger.expand_to_boundaries(interval),
    lambda ledger, interval: ledger.expand_to_damaged_loads(interval),
    lambda ledger, interval: ledger.orphaned_loads(interval, None),
)


@parquet
def test_the_months_around_a_stretch_show_all_that_a_full_listing_shows_of_it(runs):
    with runs.sync() as sync:

        @settings(max_examples=100, deadline=None)
        @given(st.lists(loads, max_size=6), hours, st.integers(0, 30), st.sampled_from(QUESTIONS))
        def check(loads, start, length, question):
            interval = Window(start, start + length * HOUR)
            for table in ("fs_export", "fs_sync", "_dlt_loads"):
                shutil.rmtree(runs.target.out / table, ignore_errors=True)
                (runs.target.out / table).mkdir(parents=True)
            for number, load in enumerate(loads):
                load.write(runs.target.out, number)
            looks, knows_all = (FilesLedger(sync.pipeline, "fs_export", "fs_sync") for _ in range(2))
            knows_all.rows()
            assert question(looks, interval) == question(knows_all, interval)

        check()


@pytest.mark.parametrize("target", ["json"], indirect=True)
def test_files_with_the_same_content_are_named_after_their_own_windows(runs):
    runs.sim.events = lambda start, end: [{"EventStart": "2024-05-01T00:00:00Z"}]
    runs.load(NOW)

    starts = [MIDNIGHT + n * STEP for n in range(6)]
    assert stamps(runs.target.files()) == [f"{s:%Y%m%dT%H%M%SZ}-{s + STEP:%Y%m%dT%H%M%SZ}" for s in starts]


@parquet
def test_other_peoples_files_stay(runs):
    stranger = runs.target.out / "fs_export" / "20240501-20240502.parquet"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"somebody else's")
    runs.load(NOW)
    runs.target.forget_newest(99)
    runs.load(NOW)

    assert stranger.read_bytes() == b"somebody else's"


@parquet
@pytest.mark.parametrize("name", ["two words", "100%25", "été #1", "a.b"])
def test_folders_may_be_called_anything(runs, tmp_path, name):
    runs.target = Target("parquet", tmp_path / name, "fs")
    runs.load(NOW)
    runs.load(NOW)

    assert [path.name for path in tmp_path.glob("*/out/fs_export")] == ["fs_export"]
    runs.expect(MIDNIGHT, END)


@parquet
def test_a_dry_run_makes_nothing(runs):
    with runs.sync() as sync:
        assert len(sync.plan(NOW).bundles) == 6

    assert list(runs.target.out.rglob("*")) == []
