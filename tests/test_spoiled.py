"""Sync rows that users wrote or spoiled, and rows of the future: counted, never doubled events, never lost ones."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest
from targets import HOUR, MIDNIGHT

from hauser_dlt.errors import LoadError
from hauser_dlt.status import status

DAY = timedelta(days=1)
STEP = 6 * HOUR
NOW = MIDNIGHT + 2 * DAY + 12 * HOUR  # with the delay of a day, a day and a half has settled: two packages
SETTLED = NOW - DAY
LAST = f"\"BundleEndTime\" = '{MIDNIGHT + 3 * STEP}'"  # of a window in the middle
COLUMNS = ("BundleStartTime", "BundleEndTime", "_dlt_load_id", "Processed", "EventCount", "ID")


def insert(start, end, load_id="NULL", count=0):
    values = ", ".join(f"'{moment}'" if moment else "NULL" for moment in (start, end, MIDNIGHT))
    return (
        'INSERT INTO "fs_sync" ("BundleStartTime", "BundleEndTime", "Processed", "_dlt_load_id", "EventCount")'
        f" VALUES ({values}, {load_id}, {count})"
    )


ANY_LOAD = '(SELECT MIN("_dlt_load_id") FROM "fs_sync")'
SPOILED = {
    **{f"no {name}": f'UPDATE "fs_sync" SET "{name}" = NULL WHERE {LAST}' for name in COLUMNS},
    "an unknown load": f'UPDATE "fs_sync" SET "_dlt_load_id" = \'mine\' WHERE {LAST}',
    "another load": f'UPDATE "fs_sync" SET "_dlt_load_id" = (SELECT MAX("_dlt_load_id") FROM "fs_sync") WHERE {LAST}',
    "reversed": f'UPDATE "fs_sync" SET "BundleStartTime" = \'{MIDNIGHT + 5 * STEP}\' WHERE {LAST}',
    "year 1": insert("0001-01-01", "0001-01-02"),
    "year 1 of a load": insert("0001-01-01", "0001-01-02", ANY_LOAD),
    "year 9999": insert("9998-12-31", "9999-12-31", ANY_LOAD),
    "without times": insert(None, None, ANY_LOAD),
    "negative": f'UPDATE "fs_sync" SET "EventCount" = -5 WHERE {LAST}',
    "shortened": f'UPDATE "fs_sync" SET "BundleEndTime" = \'{MIDNIGHT + 3 * STEP - HOUR}\' WHERE {LAST}',
    "overlapping": insert(MIDNIGHT + HOUR, MIDNIGHT + 9 * HOUR, ANY_LOAD),
    "twice": f'INSERT INTO "fs_sync" SELECT * FROM "fs_sync" WHERE {LAST}',
}


@pytest.mark.parametrize("how", [*SPOILED, "all"])
def test_whatever_a_row_says_no_event_is_doubled_or_lost(runs, how):
    runs.load(NOW)
    for sql in SPOILED.values() if how == "all" else [SPOILED[how]]:
        runs.target.query(sql)

    with runs.sync() as sync:
        found = status(sync, NOW, STEP)
    assert len(found.problems) <= 2
    runs.load(NOW + STEP)
    runs.load(NOW + STEP, MIDNIGHT, NOW)
    _expect_events(runs, SETTLED + STEP)
    runs.reload(NOW + STEP, MIDNIGHT, NOW)
    _expect_events(runs, SETTLED + STEP)


def _expect_events(runs, until):
    found = sorted((row["EventStart"], row["UserId"], row.get("PageUrl", "")) for row in runs.target.rows())
    rows = list(runs.sim.rows(MIDNIGHT, until))
    assert len(found) == len(rows)
    assert [moment for moment, *_ in found] == sorted(datetime.fromisoformat(row["EventStart"]) for row in rows)


def test_rows_that_no_load_can_have_written_are_counted_in_one_warning(runs):
    runs.load(NOW)
    for how in ("no BundleEndTime", "year 1", "without times", "twice"):
        runs.target.query(SPOILED[how])

    told = runs.load(NOW)

    assert [len(plan.warnings) for plan in told.plans] == [1]
    assert told.plans[0].warnings[0].startswith("fs_sync has 3 rows that no load can have written (")


@pytest.mark.parametrize("target", ["duckdb", "parquet"], indirect=True)
def test_windows_of_the_future_count_as_not_loaded_and_are_told_of(runs):
    later = NOW + 3 * DAY
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
    runs.target.query(
        f'UPDATE "fs_sync" SET "Processed" = \'{datetime.now(UTC) + DAY}\' WHERE {LAST.replace("=", "<=")}'
    )
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


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
def test_whatever_is_in_a_sync_file_no_event_is_doubled_or_lost(runs, which):
    runs.load(NOW)
    (runs.target.out / "fs_sync" / "notes.txt").write_text("mine")
    for how, spoil in FILES.items():
        file = [path for path in runs.target.files("fs_sync") if path.suffix != ".txt"][which]
        text = file.read_bytes()
        if spoil is None:
            file.unlink()
            file.with_name(f"{file.name}.gz").write_bytes(_cut(text))
        else:
            file.write_bytes(spoil(text))
        with runs.sync() as sync:
            assert len(status(sync, NOW, STEP).problems) == 1, how
        runs.load(NOW, MIDNIGHT, SETTLED)
        runs.load(NOW)
        _expect_events(runs, SETTLED)
