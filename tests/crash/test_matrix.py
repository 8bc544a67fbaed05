"""The crash matrix: destination x step x disk. A run dies before or after each step, and the next makes it good.

`make matrix` goes through all cells; the tests without the mark `matrix` through a sample, in which one destination
dies again and again. What a step is, `steps` finds out; which steps there are, is written down here, so that a new
one does not come in unnoticed.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import cycle

import pytest

from hauser_dlt.simulator import Account, Simulator
from support import steps
from support.crash import NEVER, CrashScenario, Moment, crash_at, fast_polling, moments
from support.destinations import HOUR, MIDNIGHT
from support.matrix_steps import (
    STEPS,
)

DAY = timedelta(days=1)
STEP = 6 * HOUR
SETTLED = MIDNIGHT + DAY  # with the delay of a day, as much has settled before the first cell


everywhere = pytest.mark.parametrize("target", STEPS, indirect=True)
_SLOW = ("az-parquet", "bigquery", "bigquery-staged", "ducklake", "gcs-parquet", "iceberg")
sampled = pytest.mark.parametrize(
    "target",
    [pytest.param(kind, marks=pytest.mark.slow) if kind in _SLOW else kind for kind in STEPS],
    indirect=True,
)


@dataclass
class Matrix:
    """One destination, whose runs die."""

    runs: object
    lost: bool = False
    now: datetime = SETTLED + DAY
    names: set[str] = field(default_factory=set)

    def crash_at(self, at: Moment = NEVER, **scenario: object) -> bool:
        """Return whether a run died, on this machine or, if its disk is lost, on one that nobody knows."""
        death = crash_at(CrashScenario(self.runs.nested(), self.now, elsewhere=self.lost, **scenario), at)
        self.taken = death.steps
        self.names |= {name for name, _ in death.steps}
        if self.lost:
            shutil.rmtree(self.runs.working_dir, ignore_errors=True)
        return death.killed

    def mend(self) -> None:
        """Have a plain run make everything good."""
        self.runs.load(self.now)
        self.runs.expect(MIDNIGHT, self.now - DAY)
        if hasattr(self.runs.target, "staged"):
            assert self.runs.target.staged() == []

    def renew(self) -> None:
        """Go on with an empty destination."""
        target = self.runs.target
        folder = target.folder / "next"
        folder.mkdir()
        self.runs.target = replace(target, folder=folder, dataset=f"{target.dataset}n")
        self.now = SETTLED + DAY


@dataclass(frozen=True)
class Scenario:
    """What a run is killed at.

    Attributes:
        begin: makes the destination what it is to be before the first cell, and after a cell has failed.
        run: prepares the next run, carries it out until it dies, and returns whether it did.
    """

    begin: Callable[[Matrix], None]
    run: Callable[[Matrix, Moment], bool]


def _first(matrix, at):
    matrix.renew()
    return matrix.crash_at(at)


def _later(matrix, at):
    matrix.now += STEP
    return matrix.crash_at(at)


def _reconciling(matrix, at):
    matrix.now += DAY  # whole days, so that there are as many load packages each time
    assert matrix.crash_at(Moment(matrix.runs.target.completing))
    matrix.runs.target.forget_newest(5)  # the four of the dead load, one of a good one
    return matrix.crash_at(at)


def _reload(matrix, at):
    return matrix.crash_at(at, reload=(MIDNIGHT, MIDNIGHT + STEP))


SCENARIOS = {
    "first run": Scenario(lambda matrix: None, _first),
    "later run": Scenario(Matrix.mend, _later),
    "reconciling": Scenario(Matrix.mend, _reconciling),
    "reload": Scenario(Matrix.mend, _reload),
}


@pytest.fixture
def sim():
    with Simulator(Account(events_per_hour=1)) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def hurried():
    fast_polling()


@pytest.mark.matrix
@pytest.mark.parametrize("disk", ["kept", "lost"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@everywhere
def test_a_run_killed_at_any_step_is_made_good(runs, request, scenario, disk, record_property):
    kind = request.node.callspec.params["target"]
    does, matrix = SCENARIOS[scenario], Matrix(runs, disk == "lost")
    does.begin(matrix)
    assert not does.run(matrix, NEVER)
    assert {name for name, _ in matrix.taken} <= set(STEPS[kind])
    matrix.mend()
    failures = []
    for at in list(moments(matrix.taken)):
        try:
            assert does.run(matrix, at), "came through"
            matrix.mend()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other cells go on
            failures.append(f"{at}: {exc!r:.300}")
            matrix.renew()
            does.begin(matrix)
        record_property("cell", (kind, scenario, str(at), disk, not failures or not failures[-1].startswith(f"{at}: ")))
    assert failures == []


def _seen_by_servers(target):
    """Return how many changes have arrived at the emulators, which do not ask `steps` who sent them."""
    servers = [getattr(target, name, None) for name in ("server", "s3", "gcs")]
    requests = [request for server in servers if hasattr(server, "proxy") for request in server.requests]
    statements = getattr(servers[0], "statements", [])
    return sum(steps.changes(request.method, request.path, request.body) for request in requests) + sum(
        sql.startswith("COMMIT") or steps.name_of_sql(sql) is not None for sql in statements
    )


@sampled
def test_where_run_after_run_dies_every_event_is_there_once(runs, request):
    """A sample of the matrix: each run makes good what the one before it left, as far as it comes."""
    kind = request.node.callspec.params["target"]
    matrix, disks, sides = Matrix(runs), cycle([False, True]), cycle(["after", "before", "after"])
    # dlt makes the folders in no order, and those that are there not again
    repeated = [step for step in STEPS[kind] if not step.startswith("make folder")]
    chosen = repeated[list(STEPS).index(kind) % _SAMPLE :: _SAMPLE]
    clearing = [step for step in chosen if step.lower().startswith("delete")]
    for step in [step for step in chosen if step not in clearing]:
        matrix.lost = next(disks)
        assert matrix.crash_at(Moment(step, when=next(sides))), step
        if any(name == runs.target.completing for name, _ in matrix.taken):
            matrix.now += STEP
    matrix.lost = False
    seen_before = _seen_by_servers(runs.target)
    assert not matrix.crash_at()
    of_servers = [name for name, _ in matrix.taken if name != "normalize"]
    assert _seen_by_servers(runs.target) - seen_before == (len(of_servers) if hasattr(runs.target, "server") else 0)
    matrix.mend()
    for step in [runs.target.completing, *clearing]:
        matrix.lost = next(disks)
        assert matrix.crash_at(Moment(step, when=next(sides)), reload=(MIDNIGHT, MIDNIGHT + STEP)), step
    matrix.mend()
    assert not matrix.crash_at(reload=(MIDNIGHT, MIDNIGHT + STEP))
    runs.expect(MIDNIGHT, matrix.now - DAY)
    # of a load that died between its commit and dlt's note, the next run writes the note
    noted = {"put _dlt_loads"} if kind in ("delta", "iceberg") else set()
    assert sorted(matrix.names - noted) == sorted(STEPS[kind])


_SAMPLE = 5  # one in so many steps, other ones at each destination
