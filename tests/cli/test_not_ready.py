"""What a command says of what is not ready, and that "loaded up to" says only what is loaded."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from hauser_dlt.cli import main
from hauser_dlt.simulator import Fault
from hauser_dlt.windows import floor
from support.destinations import HOUR

DAY = timedelta(days=1)
STEP = 6 * HOUR
TODAY = floor(datetime.now(UTC), DAY)
LATER = TODAY + 10 * DAY
EARLIER = TODAY - 3 * DAY
UNTIL = EARLIER + DAY


def at(moment):
    return f"{moment:%Y-%m-%d %H:%M}"


@pytest.fixture
def do(runs, monkeypatch):
    """Run a command on an empty DuckDB; return its exit code, stdout and stderr."""
    usual = {**runs.nested()["sources"]["fullstory"], "start_time": EARLIER.isoformat()}
    for name, value in usual.items():
        monkeypatch.setenv(f"SOURCES__FULLSTORY__{name}".upper(), str(value))
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(runs.target.database))
    monkeypatch.setenv("HAUSER__WORKING_DIR", str(runs.working_dir))
    monkeypatch.setenv("HAUSER__DATASET_NAME", runs.target.dataset)

    def invoke(*arguments):
        result = CliRunner().invoke(main, arguments)
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.mark.parametrize("options", [(), ("--json",)], ids=" ".join)
def test_a_start_in_the_future_says_so_and_when_the_first_window_is_ready(do, runs, options):
    start = ("--set", f"start_time={LATER.isoformat()}")
    unready = f"{at(LATER)} to {at(LATER + STEP)} UTC is not ready yet; it will be at {at(LATER + STEP + DAY)} UTC\n"

    assert do("run", *start, *options) == (0, "", f"nothing new to load; nothing is loaded yet\n{unready}")
    assert do("run", "--dry-run", *start, *options) == (0, "", f"0 windows would be loaded\n{unready}")
    by_day = f"{at(LATER)} to {at(LATER + DAY)} UTC is not ready yet; it will be at {at(LATER + 2 * DAY)} UTC\n"
    assert do("run", "--set", "group_by_day=true", *start, *options)[2].endswith(by_day)
    assert runs.sim.created() == []


@pytest.mark.parametrize("options", [(), ("--json",)], ids=" ".join)
def test_an_interval_of_which_nothing_is_ready_is_an_error_to_try_again(do, runs, options):
    start, end = ("--start", LATER.isoformat()), ("--end", (LATER + DAY).isoformat())
    told = (
        f"{at(LATER)} to {at(LATER + DAY)} UTC is not ready yet;"
        f" it will be from {at(LATER + STEP + DAY)} UTC to {at(LATER + 2 * DAY)} UTC, part by part\n"
    )
    for command in ("run", "reload"):
        code, out, err = do(command, *start, *end, *options)
        assert (code, out, err.splitlines(keepends=True)[-1]) == (75, "", f"Error: {told}")
        assert "loaded up to" not in err
        code, out, err = do(command, *start, *end, "--dry-run", *options)
        assert (code, out, err) == (0, "", f"0 windows would be loaded\n{told}")
    code, _, err = do("run", *start, *options)
    first = f"{at(LATER)} to {at(LATER + STEP)} UTC is not ready yet; it will be at {at(LATER + STEP + DAY)} UTC\n"
    assert (code, err.splitlines(keepends=True)[-1]) == (75, f"Error: {first}")
    assert runs.sim.created() == []


def test_a_backfill_and_a_reload_that_end_early_say_what_is_loaded_and_what_is_not_ready(do, runs):
    for command in ("run", "reload"):
        code, out, err = do(command, "--start", UNTIL.isoformat(), "--end", LATER.isoformat(), "--json")
        assert code == 0
        ends = [datetime.fromisoformat(json.loads(line)["end"]) for line in out.splitlines()]
        assert ends[-1] == max(row["BundleEndTime"] for row in runs.target.sync())
        assert f"{at(ends[-1])} to {at(LATER)} UTC is not ready yet; it will be from " in err
        if command == "run":
            assert f"; loaded from {at(UNTIL)} up to {at(ends[-1])} UTC\n" in err
        assert "loaded up to" not in err  # the days before are not


def test_loaded_up_to_stops_before_a_bad_window_whatever_is_loaded_after_it(do, runs):
    bad = EARLIER + STEP
    runs.sim.faults.add(Fault("failed", on="operation", times=None, match=f"{bad:%Y-%m-%dT%H:%M:%SZ}"))
    code, out, err = do("run", "--end", UNTIL.isoformat())
    assert code == 1
    assert f"{at(bad)} to {at(bad + STEP)} UTC: " in err
    assert "loaded up to" not in err
    assert out.count("loaded ") == 2
    assert do("run", "--end", bad.isoformat())[2] == f"nothing new to load; loaded up to {at(bad)} UTC\n"
    assert json.loads(do("status", "--json")[1])["sync_point"] == bad.isoformat()

    runs.sim.faults.clear()
    code, _, err = do("run", "--end", UNTIL.isoformat())
    assert (code, err.rpartition("; ")[2]) == (0, f"loaded up to {at(UNTIL)} UTC\n")


def test_an_end_before_what_is_loaded_says_how_far_it_is_loaded(do):
    assert do("run", "--end", UNTIL.isoformat())[0] == 0
    code, out, err = do("run", "--end", (EARLIER + STEP).isoformat())
    assert (code, out, err) == (0, "", f"nothing new to load; loaded up to {at(UNTIL)} UTC\n")
    code, out, err = do("run", "--start", EARLIER.isoformat(), "--end", (EARLIER + STEP).isoformat())
    told = f"nothing new to load; loaded from {at(EARLIER)} up to {at(EARLIER + STEP)} UTC\n"
    assert (code, out, err) == (0, "", told)
