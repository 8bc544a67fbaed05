"""Tables that were dropped or emptied: the next run makes them, and every event is there once, or it refuses."""

import shutil
from datetime import timedelta
from itertools import combinations

import pytest
from targets import HOUR, MIDNIGHT

from hauser_dlt.errors import LoadError

DAY = timedelta(days=1)
NOW = MIDNIGHT + 2 * DAY + 12 * HOUR  # with the delay of a day, a day and a half has settled: two packages
SETTLED = NOW - DAY
EXPORT, SYNC = "fs_export", "fs_sync"
TABLES = (EXPORT, SYNC, "fs_sync_pending", "_dlt_loads", "_dlt_version", "_dlt_pipeline_state")
ONE_OR_ALL = [*combinations(TABLES, 1), TABLES]
TWO = list(combinations(TABLES, 2))


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
            runs.load(NOW + 6 * HOUR)
        assert len(runs.sim.created()) == asked
        runs.target.query('DELETE FROM "fs_sync"')
    runs.load(NOW + 6 * HOUR)
    runs.expect(MIDNIGHT, SETTLED + 6 * HOUR)
    assert runs.load(NOW + 6 * HOUR).packages == []
    runs.reload(NOW + 6 * HOUR, MIDNIGHT, MIDNIGHT + DAY)
    runs.expect(MIDNIGHT, SETTLED + 6 * HOUR)


@pytest.mark.parametrize("disk", ["kept", "lost"])
@pytest.mark.parametrize("choices", [ONE_OR_ALL, pytest.param(TWO, marks=pytest.mark.slow)], ids=["one or all", "two"])
def test_whatever_tables_were_dropped_every_event_is_there_once(runs, choices, disk):
    runs.load(NOW)
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
            expect_all_or_a_refusal(runs, lost=EXPORT in gone and SYNC not in gone)
        except BaseException as exc:
            exc.add_note(f"without {', '.join(gone)}")
            raise
