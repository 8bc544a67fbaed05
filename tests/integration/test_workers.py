"""Worker processes: the same files, rows and errors as without; and none is left, whatever happens."""

import gc
import gzip
import pickle
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import pytest
from dlt.normalize.items_normalizers import ArrowItemsNormalizer

from hauser_dlt.conversion import events, pool
from hauser_dlt.conversion.block_reader import Divider
from hauser_dlt.conversion.blocks import Block
from hauser_dlt.errors import HauserError
from hauser_dlt.ledger import load_ids
from hauser_dlt.simulator import Fault
from hauser_dlt.sync import ahead, divided
from hauser_dlt.sync.unit import Unit
from support.bundles import DAY, NOW, WINDOWS, body, odd_bodies
from support.destinations import FILE_KINDS, MIDNIGHT, bare, in_order
from support.runs import Told

PAYS = ahead.PAYS

in_files_and_duckdb = pytest.mark.parametrize("target", [*FILE_KINDS, "duckdb"], indirect=True)


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Workers are started for whatever little there is."""
    monkeypatch.setattr(ahead, "PAYS", 1)


@pytest.fixture
def started(monkeypatch):
    """The worker processes that have been started."""
    processes = []
    begin = pool.subprocess.Popen

    def popen(*arguments, **named):
        processes.append(begin(*arguments, **named))
        return processes[-1]

    monkeypatch.setattr(pool.subprocess, "Popen", popen)
    return processes


@dataclass
class Done:
    """What a run has left, and what it has told."""

    content: object
    told: Told
    error: str


def load(runs, workers, monkeypatch, end=None, **settings):
    """Load with so many workers into a place of its own."""
    seconds = count(1_800_000_000)
    monkeypatch.setattr(load_ids, "_by_clock", lambda: f"{next(seconds)}.5")
    folder = runs.target.folder.parent / f"{workers} workers"
    folder.mkdir(exist_ok=True)
    mine = replace(runs, target=replace(runs.target, folder=folder), working_dir=folder / "work")
    told, error = Told(), ""
    try:
        with mine.sync(workers=workers, **settings) as sync:
            for plan in sync.plans(NOW, end=end):
                sync.run(plan, told)
    except HauserError as exc:
        error = f"{type(exc).__name__}: {exc}"
    return Done(content(mine.target), told, error)


def content(target):
    """Return all that lies at a destination, but when it was processed, and dlt's random ids."""
    if target.into_files:
        # dlt shuffles the files of one span, and so the numbers in their names
        events = sorted((re.sub("Z-[0-9]+[.]", "Z.", path.name), path.read_bytes()) for path in target.files())
    else:
        events = target.columns(), in_order(target.rows())
    return events, [row | dict.fromkeys(("Processed", "_dlt_id")) for row in target.sync()], sorted(target.complete())


def told(done):
    """Return what was told of a run, but how long it took."""
    return list(done.told.tallies.items()), [replace(package, seconds=0) for package in done.told.packages], done.error


@pytest.fixture
def conversions(monkeypatch):
    """What workers have been given to do."""
    given = []
    submit = pool.Pool.submit

    def noting(self, work):
        given.append(work)
        return submit(self, work)

    monkeypatch.setattr(pool.Pool, "submit", noting)
    return given


@pytest.mark.parametrize("target", ["parquet", "json", "duckdb"], indirect=True)
@pytest.mark.parametrize("alike", [True, False])
def test_bundles_are_converted_once_unless_new_fields_come_up(runs, conversions, alike):
    bodies = {start: body(start, {"New": "a"} if start == WINDOWS[3] and not alike else {}) for start in WINDOWS}
    runs.sim.bodies |= {start.isoformat(): packed for start, packed in bodies.items()}
    runs.load(NOW, workers=2)

    assert not any(runs.sim.token.encode() in pickle.dumps(work) for work in conversions)
    given = Counter(work.deliveries[0].bundle.window.start for work in conversions)
    assert len(given) == {"parquet": 8, "json": 14, "duckdb": 4}[runs.target.kind]
    assert (max(given.values()) > 1) == (not alike and runs.target.kind != "json")


@pytest.mark.parametrize("target", ["json"], indirect=True)
def test_what_has_been_loaded_is_not_kept_in_memory(runs):
    taken = []

    class Counting(Told):
        def loaded(self, package):
            super().loaded(package)
            gc.collect()
            taken.append(sum(isinstance(one, Unit) and one.is_taken for one in gc.get_objects()))

    with runs.sync(workers=2) as sync:
        sync.run(sync.plan(NOW), Counting())
    assert len(taken) == 4
    assert max(taken) == 4  # windows of the package that has just been loaded


@in_files_and_duckdb
def test_what_is_loaded_does_not_depend_on_the_number_of_workers(runs, monkeypatch, started):
    runs.sim.bodies |= {start.isoformat(): packed for start, packed in odd_bodies().items()}
    alone, by_three = (load(runs, number, monkeypatch) for number in (1, 3))

    assert told(by_three) == told(alone)
    assert by_three.content == alone.content
    assert alone.error == ""
    assert len(started) >= 2
    assert all(process.returncode is not None for process in started)


@pytest.mark.parametrize("target", ["duckdb"], indirect=True)
def test_a_single_package_is_shared_among_workers(runs, monkeypatch, conversions):
    runs.sim.bodies |= {start.isoformat(): packed for start, packed in odd_bodies().items()}
    alone, by_three = (load(runs, number, monkeypatch, end=MIDNIGHT + DAY) for number in (1, 3))

    assert [len(work.deliveries) for work in conversions[:2]] == [2, 2]
    assert told(by_three) == told(alone)
    assert by_three.content == alone.content


@pytest.mark.parametrize("target", ["duckdb"], indirect=True)
def test_what_workers_have_written_is_not_written_again_by_dlt(runs, monkeypatch):
    rewritten = []
    rewrite = ArrowItemsNormalizer._write_with_dlt_columns

    def noting(self, file, table, *rest):
        rewritten.append(table)
        return rewrite(self, file, table, *rest)

    monkeypatch.setattr(ArrowItemsNormalizer, "_write_with_dlt_columns", noting)
    runs.sim.bodies |= {start.isoformat(): packed for start, packed in odd_bodies().items()}
    runs.load(NOW, workers=2)
    assert len(rewritten) == 5  # files that lack a column which has come up later in their load package

    runs.load(NOW + 3 * DAY, workers=2)
    assert len(rewritten) == 5


@pytest.mark.slow
@pytest.mark.parametrize("target", ["postgres", "redshift", "bigquery", "bigquery-staged"], indirect=True)
def test_what_is_loaded_into_a_server_does_not_depend_on_the_number_of_workers(runs):
    runs.sim.bodies |= {start.isoformat(): packed for start, packed in odd_bodies().items()}
    found = []
    for workers in (1, 2):
        mine = replace(runs, target=replace(runs.target, dataset=f"{runs.target.dataset}_{workers}"))
        told = mine.load(NOW, workers=workers)
        found.append((list(told.tallies.items()), mine.target.columns(), bare(mine.target.rows())))
        mine.target.expect_order()

    assert found[0] == found[1]


@pytest.mark.parametrize("target", ["parquet", "duckdb"], indirect=True)
@pytest.mark.parametrize("bad", [1, 9], ids=["in a day", "in a window"])
@pytest.mark.parametrize("how", ["corrupt", "failed"])
def test_a_bad_window_among_good_ones_is_told_and_left_out_as_without_workers(runs, monkeypatch, bad, how):
    bodies = odd_bodies()
    if how == "corrupt":
        bodies[WINDOWS[bad]] = bodies[WINDOWS[bad]][:-10]
    else:
        runs.sim.faults.add(Fault("failed", "operation", match=f"{WINDOWS[bad]:%Y-%m-%dT%H:%M:%SZ}", times=None))
    runs.sim.bodies |= {start.isoformat(): packed for start, packed in bodies.items()}
    alone, by_two = (load(runs, number, monkeypatch) for number in (1, 2))

    assert f"{WINDOWS[bad]:%Y-%m-%d %H:%M} to" in alone.error
    assert without_ids(told(by_two)) == without_ids(told(alone))
    assert without_ids(by_two.content) == without_ids(alone.content)


def without_ids(found):
    """Return what was found without load ids: what follows a bad window has another."""
    return re.sub(r"1[0-9]{9}\.[0-9]+", "ID", repr(found))


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
def test_few_bytes_start_no_process(runs, monkeypatch, started):
    monkeypatch.setattr(ahead, "PAYS", PAYS)
    runs.load(NOW, workers=3)
    assert started == []


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
def test_one_worker_is_this_process(runs, started):
    runs.load(NOW, workers=1)
    assert started == []


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
def test_nothing_new_starts_no_process(runs, started):
    runs.load(MIDNIGHT + 2 * DAY, workers=1)
    runs.load(MIDNIGHT + 2 * DAY, workers=3)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)
    assert started == []


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
def test_a_single_file_that_cannot_be_divided_starts_no_process(runs, started):
    runs.load(MIDNIGHT + 2 * DAY, workers=3, group_by_day=True, export_format="json")
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)
    assert started == []


@pytest.fixture
def small_blocks(monkeypatch):
    """Batches, and so blocks, have few rows; and two processes do the work of all workers."""
    monkeypatch.setattr(ahead, "Pool", lambda workers: pool.Pool(2))
    monkeypatch.setattr(events, "BATCH_ROWS", 2)
    monkeypatch.setattr(divided, "Divider", partial(Divider, rows=2))


@pytest.mark.parametrize(
    ("target", "windows"), [("parquet", 4), ("csv", 1), ("jsonl", 4), ("duckdb", 1), ("duckdb", 4)], indirect=["target"]
)
def test_what_is_loaded_does_not_depend_on_whether_bundles_are_divided(
    runs, monkeypatch, conversions, small_blocks, windows
):
    odd = odd_bodies()
    bodies = [odd[WINDOWS[number]] for number in (1, 2, 3, 5, 9, 12)]
    for number in range(windows):  # each with all that is odd, in members of gzip
        turned = [*bodies[number:], *bodies[:number]]
        runs.sim.bodies[WINDOWS[number].isoformat()] = b"".join(body + gzip.compress(b"\n") for body in turned)
    alone, by_nine = (load(runs, number, monkeypatch, end=WINDOWS[windows]) for number in (1, 9))

    assert any(isinstance(work, Block) for work in conversions)
    assert told(by_nine) == told(alone)
    assert by_nine.content == alone.content
    assert alone.error == ""


@pytest.mark.parametrize("target", ["parquet", "duckdb"], indirect=True)
def test_a_bad_bundle_that_is_divided_is_told_and_left_out_as_without_workers(runs, monkeypatch, small_blocks):
    packed = [body(start, *[{}] * 9) for start in WINDOWS[:4]]
    bodies = [packed[0], packed[1] + gzip.compress(b"\n{}\nx"), packed[2], packed[3][:-9]]
    runs.sim.bodies |= {start.isoformat(): content for start, content in zip(WINDOWS, bodies, strict=False)}
    alone, by_nine = (load(runs, number, monkeypatch, end=MIDNIGHT + DAY) for number in (1, 9))

    assert "at record 11" in alone.error
    assert without_ids(told(by_nine)) == without_ids(told(alone))
    assert without_ids(by_nine.content) == without_ids(alone.content)


@pytest.mark.parametrize("target", ["duckdb"], indirect=True)
def test_a_bundle_without_events_of_its_window_that_is_divided_makes_the_table(runs, small_blocks, started):
    runs.sim.bodies[MIDNIGHT.isoformat()] = body(MIDNIGHT - DAY, {}, {}, {})
    with runs.sync(workers=2) as sync:
        sync.run(sync.plan(NOW, end=WINDOWS[1]), Told())
    assert started
    assert (runs.target.rows(), len(runs.target.sync())) == ([], 1)
