"""A bound on the disk: fewer bundles are there at once, all events arrive, and nothing waits for ever."""

import json
import random
import zlib
from collections import Counter
from datetime import timedelta

import pytest

from hauser_dlt.sync import ahead
from support.destinations import MIDNIGHT
from support.runs import Told

STEP = timedelta(hours=6)
DAYS = 8
EVENTS = 50
PACKAGE = 3_100_000  # bytes of a day's bundles, and of what becomes of them, at the most
BOUND = 4_000_000

in_files = pytest.mark.parametrize("target", ["parquet"], indirect=True)
with_and_without_workers = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Workers are started for whatever little there is."""
    monkeypatch.setattr(ahead, "PAYS", 1)


@pytest.fixture
def large(sim):
    """A FullStory whose bundles cannot be packed."""
    dice = random.Random(1)
    for number in range(4 * DAYS):
        start = MIDNIGHT + number * STEP
        rows = [
            {"EventStart": (start + n * STEP / EVENTS).isoformat(), "evt_text_str": dice.randbytes(4000).hex()}
            for n in range(EVENTS)
        ]
        text = "\n".join(map(json.dumps, rows)).encode()
        sim.bodies[start.isoformat()] = zlib.compress(text, 9, wbits=31)
    return sim


def load(runs, **settings):
    """Load some days of windows, and make sure that all events arrive; return the most that the working folder held."""
    told, end = Told(), MIDNIGHT + 4 * DAYS * STEP
    with runs.sync(**settings) as sync:
        sync.run(sync.plan(end + 4 * STEP, end=end), told)
    assert len(told.packages) == DAYS
    starts = Counter(row["EventStart"] for row in runs.target.rows())
    assert len(starts) == starts.total() == 4 * DAYS * EVENTS
    return sync.disk.peak


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if "max_disk" in record.getMessage()]


@in_files
@with_and_without_workers
def test_no_more_lies_on_the_disk_than_is_said(runs, large, workers, caplog):
    assert load(runs, workers=workers, max_disk="4 MB") <= BOUND
    assert warnings(caplog) == []


@in_files
@with_and_without_workers
def test_a_package_that_does_not_fit_is_loaded_all_the_same_with_a_warning(runs, large, workers, caplog):
    assert load(runs, workers=workers, max_disk="1 MB") <= PACKAGE
    [warning] = warnings(caplog)
    assert "more than max_disk (1 MB)" in warning


@in_files
def test_without_a_bound_more_is_there_ahead(runs, large):
    assert load(runs, workers=2) > BOUND
