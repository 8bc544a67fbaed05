"""Hundreds of windows, loaded by runs of all kinds that are killed at random. `make soak` has it go on for long.

SEED=... repeats what was seen, as far as threads let it; WINDOWS=... and DESTINATIONS="duckdb parquet" say how much.
"""

import os
import random
import shutil
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from hauser_dlt.simulator import Account, Simulator
from support.crash import NEVER, CrashScenario, Moment, crash_at, fast_polling, start
from support.destinations import HOUR, MIDNIGHT
from support.matrix_steps import STEPS

DAY = timedelta(days=1)
STEP = 6 * HOUR
EARLIEST = MIDNIGHT - 5 * DAY  # backfills go so far back
PATIENCE = 120  # seconds
WINDOWS = int(os.environ.get("WINDOWS") or 300)
DESTINATIONS = (os.environ.get("DESTINATIONS") or "duckdb parquet").split()
SEED = int(os.environ.get("SEED") or random.randrange(10**6))


@pytest.fixture
def sim():
    with Simulator(Account(events_per_hour=1)) as simulator:
        yield simulator


@dataclass
class Soak:
    """One destination, and what has been done to it.

    Attributes:
        story: what happened, in order, to be read when it ended badly.
    """

    runs: object
    dice: random.Random
    steps: tuple[str, ...]
    now: object = MIDNIGHT + DAY
    story: list[str] = field(default_factory=list)

    def go(self, windows: int) -> None:
        """Load so many windows, whatever happens."""
        end = MIDNIGHT + windows * STEP + DAY
        moves = (self.run, self.run, self.run, self.backfill, self.reload, self.release, self.two_at_once, self.mend)
        while self.now < end:
            self.now = min(end, self.now + self.dice.randint(0, 6) * STEP)
            self.dice.choice(moves)()
        self.mend()
        self.runs.load(self.now, EARLIEST, MIDNIGHT)
        self.runs.expect(EARLIEST, self.now - DAY)

    def run(self) -> None:
        self.crash_at()

    def backfill(self) -> None:
        begin = EARLIEST + self.dice.randrange(20) * STEP
        self.crash_at(span=(begin, min(MIDNIGHT, begin + self.dice.randint(1, 8) * STEP)))

    def reload(self) -> None:
        windows = (self.now - DAY - MIDNIGHT) // STEP
        begin = MIDNIGHT + self.dice.randrange(windows + 1) * STEP
        self.crash_at(reload=(begin, begin + self.dice.randint(1, 8) * STEP))

    def release(self) -> None:
        """Delete the newest rows of the sync table, as users do."""
        target = self.runs.target
        if target.database.exists() or target.into_files or any((target.out / "fs_sync").glob("*/*")):
            count = self.dice.randint(1, 3)
            self.story.append(f"newest {count} sync rows deleted")
            target.forget_newest(count)

    def two_at_once(self) -> None:
        """Have two runs begin at the same time; what they say of each other is theirs."""
        both = [(self.scenario(), self.moment()) for _ in range(2)]
        self.story.append(f"two at once, killed {' and '.join(str(at) for _, at in both)}")
        for process in [start(scenario, at) for scenario, at in both]:
            process.join(PATIENCE)
            assert process.exitcode is not None

    def mend(self) -> None:
        self.story.append(f"run, and look, at {self.now}")
        self.runs.load(self.now)
        loaded = [row for row in self.runs.target.sync() if row["BundleStartTime"] >= MIDNIGHT]
        covered = sum((row["BundleEndTime"] - row["BundleStartTime"] for row in loaded), timedelta())
        assert covered == self.now - DAY - MIDNIGHT
        self.runs.target.expect_order()

    def crash_at(self, **what: object) -> None:
        lost, at = self.dice.random() < 0.4, self.moment()
        killed = crash_at(self.scenario(elsewhere=lost, **what), at).killed
        told = {name: [f"{moment:%d. %Hh}" for moment in span] for name, span in what.items()}
        self.story.append(
            f"{told or 'run'}, {'killed' if killed else 'not killed'} {at}{', disk lost' if lost else ''}"
        )
        if lost:
            shutil.rmtree(self.runs.working_dir, ignore_errors=True)

    def scenario(self, **what: object) -> CrashScenario:
        return CrashScenario(self.runs.nested(), self.now, **what)

    def moment(self) -> Moment:
        if self.dice.random() < 0.1:
            return NEVER
        if self.dice.random() < 0.3:
            return Moment(time=round(self.dice.uniform(0.05, 1.5), 2))
        when = self.dice.choice(("before", "after"))
        return Moment(self.dice.choice(self.steps), self.dice.choice((1, 1, 1, 2, 3)), when)


def soak(runs, kind, seed, windows):
    fast_polling()
    print(f"SEED={seed} WINDOWS={windows} DESTINATIONS={kind}")  # noqa: T201 - pytest shows it when a test fails
    soaked = Soak(runs, random.Random(seed), STEPS[kind])
    try:
        soaked.go(windows)
    finally:
        print("\n".join(soaked.story))  # noqa: T201 - likewise


@pytest.mark.parametrize(
    ("target", "seed"),
    [
        ("duckdb", 1),
        ("parquet", 2),
        pytest.param("delta", 3, marks=pytest.mark.slow),
        pytest.param("iceberg", 4, marks=pytest.mark.slow),
    ],
    indirect=["target"],
)
def test_a_handful_of_windows_survives_whatever_happens(runs, request, seed):
    soak(runs, request.node.callspec.params["target"], seed, windows=12)


@pytest.mark.soak
@pytest.mark.parametrize("target", DESTINATIONS, indirect=True)
def test_hundreds_of_windows_survive_whatever_happens(runs, request):
    soak(runs, request.node.callspec.params["target"], SEED, WINDOWS)
