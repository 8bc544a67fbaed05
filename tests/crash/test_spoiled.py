"""Sync rows that users wrote or spoiled, and rows of the future: counted, never doubled events, never lost ones."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest

from hauser_dlt.errors import LoadError
from hauser_dlt.reports.status import status
from support.destinations import HOUR, MIDNIGHT

DAY = timedelta(days=1)
STEP = 2 * HOUR
SETTLED = MIDNIGHT + 18 * STEP  # two packages
NOW = SETTLED + DAY
COLUMNS = ("BundleStartTime", "BundleEndTime", "_dlt_load_id", "Processed", "EventCount", "ID")


def insert(start, end, load_id="NULL", count=0):
    values = ", ".join(f"'{moment}'" if moment else "NULL" for moment in (start, end, MIDNIGHT))
    return (
        'INSERT INTO "fs_sync" ("BundleStartTime", "BundleEndTime", "Processed", "_dlt_load_id", "EventCount")'
        f" VALUES ({values}, {load_id}, {count})"
    )


NEWEST = '(SELECT MAX("_dlt_load_id") FROM "fs_sync")'
ANY_LOAD = '(SELECT MIN("_dlt_load_id") FROM "fs_sync")'
ALTERED = {
    **{f"no {name}": f'UPDATE "fs_sync" SET "{name}" = NULL' for name in COLUMNS},
    "an unknown load": 'UPDATE "fs_sync" SET "_dlt_load_id" = \'mine\'',
    "another load": f'UPDATE "fs_sync" SET "_dlt_load_id" = {NEWEST}',
    "reversed": f'UPDATE "fs_sync" SET "BundleStartTime" = \'{SETTLED}\'',
    "negative": 'UPDATE "fs_sync" SET "EventCount" = -5',
    "shortened": 'UPDATE "fs_sync" SET "BundleEndTime" = "BundleEndTime" - INTERVAL \'1 hour\'',
    "twice": 'INSERT INTO "fs_sync" SELECT * FROM "fs_sync"',
}
ADDED = {
    "year 1": insert("0001-01-01", "0001-01-02"),
    "year 1 of a load": insert("0001-01-01", "0001-01-02", ANY_LOAD),
    "year 9999": insert("9998-12-31", "9999-12-31", ANY_LOAD),
    "without times": insert(None, None, ANY_LOAD),
    "overlapping": insert(MIDNIGHT + HOUR, MIDNIGHT + 9 * HOUR, ANY_LOAD),
}


def spoil(runs, kinds):
    """Alter a row of its own for each kind, from the second window on; add rows."""
    for number, how in enumerate(kinds, 2):
        row = f" WHERE \"BundleEndTime\" = '{MIDNIGHT + number * STEP}'"
        runs.target.query(ALTERED[how] + row if how in ALTERED else ADDED[how])


@pytest.fixture(autouse=True)
def _short_windows(runs):
    runs.settings["export_duration"] = "2h"


one_by_one = [pytest.param("duckdb", [how], id=how, marks=pytest.mark.slow) for how in (*ALTERED, *ADDED)]
together = [
    pytest.param("duckdb", [*ALTERED], id="all altered"),
    pytest.param("duckdb", [*ADDED], id="all added"),
    pytest.param("postgres", [*ALTERED, *ADDED], id="all in postgres"),
]


@pytest.mark.parametrize(("target", "kinds"), [*together, *one_by_one], indirect=["target"])
def test_whatever_a_row_says_no_event_is_doubled_or_lost(runs, kinds):
    runs.load(NOW)
    spoil(runs, kinds)

    with runs.sync() as sync:
        found = status(sync, NOW, STEP)
    assert len(found.problems) <= 2
    runs.load(NOW + STEP)
    runs.load(NOW + STEP, MIDNIGHT, NOW)
    _expect_events(runs, SETTLED + STEP)
    runs.reload(NOW + STEP, MIDNIGHT, MIDNIGHT + DAY)
    _expect_events(runs, SETTLED + STEP)


def _expect_events(runs, until):
    found = sorted((row["EventStart"], row["UserId"], row.get("PageUrl", "")) for row in runs.target.rows())
    rows = list(runs.sim.rows(MIDNIGHT, until))
    assert len(found) == len(rows)
    assert [moment for moment, *_ in found] == sorted(datetime.fromisoformat(row["EventStart"]) for row in rows)


def test_rows_that_no_load_can_have_written_are_counted_in_one_warning(runs):
    runs.load(NOW)
    spoil(runs, ["no BundleEndTime", "year 1", "without times", "twice"])

    told = runs.load(NOW)

    assert [len(plan.warnings) for plan in told.plans] == [1]
    assert told.plans[0].warnings[0].startswith("fs_sync has 4 rows that no load can have written (")


@pytest.mark.parametrize("target", ["duckdb", "parquet"], indirect=True)
def test_windows_of_the_future_count_as_not_loaded_and_are_told_of(runs):
    later = NOW + DAY + 6 * STEP
    runs.load(later)  # on a machine whose clock is ahead

    with runs.sync() as sync:
        found = status(sync, NOW, STEP)
    (problem,) = found.problems
    assert f"of the future, the last of them at {later - DAY:%Y-%m-%d %H:%M} UTC" in problem
    assert found.sync_point <= NOW
    (plan,) = runs.load(NOW).plans
    assert list(plan.warnings) == [problem]
    runs.load(later)
    runs.expect(MIDNIGHT, later - DAY)
    with runs.sync() as sync:
        assert status(sync, later, STEP).problems == []


def test_windows_that_a_clock_ahead_has_written_are_loaded_again(runs):
    runs.load(NOW)
    late = {"EventStart": (MIDNIGHT + 7 * HOUR).isoformat(), "EventType": "late", "UserId": 7}
    ahead = datetime.now(UTC) + DAY
    runs.target.query(f"""UPDATE "fs_sync" SET "Processed" = '{ahead}' WHERE "BundleEndTime" <= '{MIDNIGHT + DAY}'""")
    runs.sim.extra_events.append(late)

    runs.load(NOW, MIDNIGHT, SETTLED)

    runs.expect(MIDNIGHT, SETTLED)


def test_an_export_table_that_was_emptied_is_noticed(runs):
    runs.load(NOW)
    runs.target.query('DELETE FROM "fs_export"')

    with pytest.raises(LoadError, match="fs_export has no rows, while fs_sync tells of"):
        runs.load(NOW + STEP)
    with runs.sync() as sync:
        assert "fs_export has no rows" in status(sync, NOW, STEP).problems[0]
    runs.target.query('UPDATE "fs_sync" SET "EventCount" = 0')
    told = runs.load(NOW + STEP)
    assert [window.end for window in told.tallies] == [SETTLED + STEP]


# Sync files

LINE = json.dumps({"ID": -1, "Processed": "x", "BundleStartTime": None, "BundleEndTime": 5, "EventCount": "many"})


def _cut(text):
    return gzip.compress(text)[:-9]


FILES = {
    "broken": lambda text: text[:-20],
    "empty": lambda text: b"",
    "of other types": lambda text: LINE.encode(),
    "a list": lambda text: b"[1]\n",
    "binary": lambda text: b"\xff\xfe\x00",
    "no times": lambda text: text.replace(b"BundleEndTime", b"Ende"),
    "reversed": lambda text: text.replace(b'"BundleEndTime"', b'"x"').replace(b"BundleStartTime", b"BundleEndTime"),
    "in text": lambda text: text.replace(b'"EventCount":', b'"EventCount":"5", "x":'),
    "twice": lambda text: text + text,
    "cut": None,
}


def spoil_file(file, how):
    text = file.read_bytes()
    if FILES[how] is None:
        file.unlink()
        file.with_name(f"{file.name}.gz").write_bytes(_cut(text))
    else:
        file.write_bytes(FILES[how](text))


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
def test_whatever_is_in_a_sync_file_no_event_is_doubled_or_lost(runs):
    runs.settings["export_duration"] = "1d"
    ready_until = MIDNIGHT + len(FILES) * DAY + DAY  # a package each, and one more, lest the first and last be alike
    runs.load(ready_until + DAY)
    files = runs.target.files("fs_sync")
    (runs.target.out / "fs_sync" / "notes.txt").write_text("mine")
    for number, (file, how) in enumerate(zip(files[1:], FILES, strict=True), 1):
        spoil_file(file, how)
        with runs.sync() as sync:
            (problem,) = status(sync, ready_until + DAY, DAY).problems
        assert f"fs_sync has {number} row" in problem, how
    runs.load(ready_until + DAY, MIDNIGHT, ready_until)
    runs.load(ready_until + DAY)
    _expect_events(runs, ready_until)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["parquet"], indirect=True)
@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
@pytest.mark.parametrize("how", FILES)
def test_the_first_or_last_sync_file_may_be_spoiled(runs, which, how):
    runs.load(NOW)
    spoil_file(runs.target.files("fs_sync")[which], how)
    runs.load(NOW + STEP)
    runs.load(NOW + STEP, MIDNIGHT, SETTLED)
    _expect_events(runs, SETTLED + STEP)
