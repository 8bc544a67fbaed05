"""One backfill on several machines: `run --shard I/N` loads the machine's days, and no others."""

import time
from datetime import UTC, datetime, timedelta

import pytest

import hauser_dlt
from hauser_dlt.errors import ConfigError, TransientError
from hauser_dlt.windows import Shard
from support.destinations import MIDNIGHT, Target
from support.runs import Runs, Told

DAY = timedelta(days=1)
STEP = timedelta(hours=6)
END = MIDNIGHT + 7 * DAY
NOW = END + 2 * DAY
SHARDS = [Shard(number, 3) for number in range(3)]

side_by_side = pytest.mark.parametrize("target", ["postgres", "parquet"], indirect=True)


@pytest.fixture
def runs(sim, target: Target, tmp_path):
    sim.now = NOW
    return Runs(sim, target, tmp_path / "work", {"max_retries": 3})


def start_all(runs):
    interval = ["--start", MIDNIGHT.isoformat(), "--end", END.isoformat()]
    return [
        runs.command("run", *interval, "--shard", f"{number}/3", working_dir=str(runs.working_dir / f"{number}"))
        for number in range(3)
    ]


@side_by_side
def test_three_machines_side_by_side_equal_one(runs):
    runs.sim.max_running = 3  # fewer than three machines would ask for, of their own
    machines = start_all(runs)
    ended = [machine.communicate(60) for machine in machines]

    assert [machine.returncode for machine in machines] == [0, 0, 0], ended
    assert sorted(out.count("loaded ") for out, _ in ended) == [2, 2, 3]  # packages, one for each day
    runs.expect(MIDNIGHT, END)


@side_by_side
def test_what_a_killed_machine_left_is_loaded_by_its_shard_and_nothing_else_is(runs):
    runs.sim.prepare = 0.2
    machines = start_all(runs)
    while "loaded " not in machines[1].stdout.readline():
        time.sleep(0.01)
    machines[1].kill()
    for machine in machines:
        machine.wait(60)
    assert [machine.returncode for machine in machines] == [0, -9, 0]

    again = start_all(runs)
    ended = [machine.communicate(60) for machine in again]
    assert [machine.returncode for machine in again] == [0, 0, 0], ended
    assert [out.count("loaded ") > 0 for out, _ in ended] == [False, True, False]
    runs.expect(MIDNIGHT, END)


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
def test_only_a_load_into_its_own_days_keeps_a_machine_waiting(runs):
    met = []

    def load(shard):
        with runs.sync() as sync:
            sync.run(sync.plan(NOW, MIDNIGHT, END, shard), Told())

    with runs.sync() as sync:
        plan = sync.plan(NOW, MIDNIGHT, END, SHARDS[0])

        class Meeting(type(sync.ledger.leases)):
            def acquire(self, load_id, interval):
                super().acquire(load_id, interval)
                if not met:
                    met.append(interval)
                    with pytest.raises(TransientError, match="another run is loading"):
                        load(SHARDS[0])
                    load(SHARDS[1])

        sync.ledger.leases.__class__ = Meeting
        sync.run(plan, Told())
    load(SHARDS[2])
    assert met
    runs.expect(MIDNIGHT, END)


@pytest.mark.parametrize("target", ["duckdb"], indirect=True)
def test_from_python_a_shard_is_named_as_on_the_command_line(runs, tmp_path):
    settings = {
        "api_token": runs.sim.token,
        "base_url": runs.sim.url,
        "export_duration": STEP,
        "destination": "duckdb",
        "destination.duckdb.credentials": str(runs.target.database),
        "dataset_name": runs.target.dataset,
        "working_dir": str(tmp_path / "work"),
    }
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = today - 8 * DAY, today - 2 * DAY
    done = [hauser_dlt.run(settings, start=start, end=end, shard=f"{number}/4") for number in range(4)]
    assert sorted(len(summary.packages) for summary in done) == [1, 1, 2, 2]
    assert {summary.reached for summary in done} == {None}
    assert sum(summary.events for summary in done) == len(runs.target.rows()) == len(list(runs.sim.rows(start, end)))

    with pytest.raises(ConfigError, match="shard = '4/4': allowed is a shard and how many there are, from 0/3"):
        hauser_dlt.run(settings, start=start, end=end, shard="4/4")
    with pytest.raises(ConfigError, match="it needs a start"):
        hauser_dlt.run(settings, shard="0/4")


def test_a_shard_that_is_none_is_refused_and_so_is_one_of_no_backfill(runs):
    for asked, said in [
        (["--start", "2024-05-01", "--shard", "3/3"], "'3/3': allowed is a shard and how many there are"),
        (["--start", "2024-05-01", "--shard", ""], "'': allowed is a shard and how many there are"),
        (["--shard", "0/3"], "--shard shares out a backfill: it needs a --start"),
    ]:
        command = runs.command("run", *asked)
        _, err = command.communicate(60)
        assert command.returncode == 2
        assert said in err
