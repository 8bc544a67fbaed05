"""Tables that were dropped or emptied: the next run makes them, and every event is there once, or it refuses."""

import shutil
from datetime import timedelta
from itertools import combinations

import pytest

from hauser_dlt.errors import LoadError
from hauser_dlt.reports.status import status
from support.destinations import HOUR, MIDNIGHT

STEP = 12 * HOUR
SETTINGS = {"export_duration": STEP}
SETTLED = MIDNIGHT + 3 * STEP  # two packages
NOW = SETTLED + timedelta(days=1)
EXPORT, SYNC = "fs_export", "fs_sync"
TABLES = (EXPORT, SYNC, "fs_sync_pending", "_dlt_loads", "_dlt_version", "_dlt_pipeline_state")
TWO = list(combinations(TABLES, 2))
TELLING = [(EXPORT, SYNC), ("fs_sync_pending", "_dlt_loads")]
OFTEN = [(EXPORT,), *TELLING]
RARELY = pytest.param(
    [gone for gone in (*combinations(TABLES, 1), *TWO, TABLES) if gone not in OFTEN], "lost", marks=pytest.mark.slow
)


def drop(runs, tables):
    for table in tables:
        runs.target.query(f'DROP TABLE "{table}"')


def expect_all_or_a_refusal(runs, *, lost):
    """Run again; where events are gone that the sync table tells of, do what the refusal says."""
    if lost:
        asked = len(runs.sim.created())
        with pytest.raises(
            LoadError, match=r"fs_sync tells of [\d,]+ events that are loaded; delete the rows of fs_sync"
        ):
            runs.load(NOW + STEP, **SETTINGS)
        assert len(runs.sim.created()) == asked
        runs.target.query('DELETE FROM "fs_sync"')
    runs.load(NOW + STEP, **SETTINGS)
    runs.expect(MIDNIGHT, SETTLED + STEP)
    assert runs.load(NOW + STEP, **SETTINGS).packages == []
    runs.reload(NOW + STEP, MIDNIGHT, MIDNIGHT + STEP, **SETTINGS)
    runs.expect(MIDNIGHT, SETTLED + STEP)


@pytest.mark.parametrize(
    ("choices", "disk"),
    [(OFTEN, "lost"), ([TABLES], "kept"), RARELY],
    ids=["one or two", "all, the disk kept", "all others"],
)
def test_whatever_tables_were_dropped_every_event_is_there_once(runs, choices, disk):
    runs.load(NOW, **SETTINGS)
    for folder in (runs.target.folder, runs.working_dir):
        shutil.copytree(folder, folder.with_name(f"{folder.name} before"))
    for gone in choices:
        for folder in (runs.target.folder, runs.working_dir):
            shutil.rmtree(folder)
            shutil.copytree(folder.with_name(f"{folder.name} before"), folder)
        if disk == "lost":
            shutil.rmtree(runs.working_dir)
        drop(runs, gone)
        try:
            with runs.sync(**SETTINGS) as sync:
                assert status(sync, NOW, STEP).sync_point == (None if SYNC in gone else SETTLED)
            expect_all_or_a_refusal(runs, lost=EXPORT in gone and SYNC not in gone)
        except BaseException as exc:
            exc.add_note(f"without {', '.join(gone)}")
            raise


@pytest.mark.parametrize("target", ["duckdb", pytest.param("postgres", marks=pytest.mark.slow)], indirect=True)
def test_a_whole_dataset_that_was_dropped_is_loaded_anew_with_its_snapshots(runs):
    runs.settings |= {"individuals": True, "segments": True, "export_duration": STEP}
    snapshots = ["fs_individuals", "fs_segments"]
    assert [done.table for done in runs.load(NOW).tables] == snapshots
    drop(runs, snapshots)
    told = runs.load(NOW)
    assert (told.packages, [done.table for done in told.tables]) == ([], snapshots)

    runs.target.query(f'DROP SCHEMA "{runs.target.dataset}" CASCADE')
    told = runs.load(NOW)
    assert [done.table for done in told.tables] == snapshots
    runs.expect(MIDNIGHT, SETTLED)
    assert all(runs.target.query(f'SELECT * FROM "{table}"') for table in snapshots)


# Files

FOLDERS = ("fs_export", "fs_sync", "fs_sync_pending", "_dlt_loads", "_dlt_version", "_dlt_pipeline_state")


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
def test_whatever_folders_were_removed_every_event_is_there_once(runs):
    runs.load(NOW, **SETTINGS)
    before = runs.target.out.with_name("before")
    shutil.copytree(runs.target.out, before)
    for gone in [*combinations(FOLDERS, 1), ("fs_sync", "_dlt_loads"), FOLDERS]:
        shutil.rmtree(runs.working_dir, ignore_errors=True)
        shutil.rmtree(runs.target.out)
        shutil.copytree(before, runs.target.out)
        for folder in gone:
            shutil.rmtree(runs.target.out / folder)
        try:
            if gone == (EXPORT,):
                with pytest.raises(LoadError, match=r"fs_export has no rows, while fs_sync tells of [\d,]+ events"):
                    runs.load(NOW + STEP, **SETTINGS)
                shutil.rmtree(runs.target.out / SYNC)
            runs.load(NOW + STEP, **SETTINGS)
            runs.expect(MIDNIGHT, SETTLED + STEP)
            assert runs.load(NOW + STEP, **SETTINGS).packages == []
        except BaseException as exc:
            exc.add_note(f"without {', '.join(gone)}")
            raise
