"""Worker processes that are killed, runs that end while they work, and programs that must not be run again by them."""

import gzip
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from hauser_dlt.conversion import pool
from hauser_dlt.conversion.block_reader import Divider
from hauser_dlt.errors import TransientError
from hauser_dlt.sync import ahead, divided
from support.bundles import END, NOW, WINDOWS, body
from support.destinations import MIDNIGHT
from support.runs import PATIENCE, Told, flat


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Workers are started for whatever little there is."""
    monkeypatch.setattr(ahead, "PAYS", 1)


@pytest.mark.parametrize("target", ["parquet", "duckdb"], indirect=True)
def test_a_killed_worker_ends_the_run_for_now_and_the_next_run_goes_on(runs, monkeypatch):
    do = pool._Worker.do

    def killed(worker, work):
        if work.deliveries[0].bundle.window.start == WINDOWS[4]:
            worker._process.kill()
        return do(worker, work)

    with monkeypatch.context() as patch:
        patch.setattr(pool._Worker, "do", killed)
        with pytest.raises(TransientError) as error:
            runs.load(NOW, workers=2)
    assert str(error.value) == (
        "2024-05-02 00:00 to 2024-05-02 06:00 UTC: a worker process was killed, probably for want of memory;"
        " lower `workers`"
    )
    assert len(runs.target.sync()) == 4
    runs.load(NOW, workers=2)
    runs.expect(MIDNIGHT, END)


@pytest.mark.parametrize("target", ["parquet", "duckdb"], indirect=True)
def test_a_worker_that_is_killed_at_a_block_ends_the_run_for_now_and_the_next_run_goes_on(runs, monkeypatch):
    runs.sim.bodies[WINDOWS[0].isoformat()] = body(WINDOWS[0], *[{}] * 30)
    do = pool._Worker.do
    blocks = count()

    def killed(worker, work):
        if next(blocks) == 3:
            worker._process.kill()
        return do(worker, work)

    with monkeypatch.context() as patch:
        patch.setattr(divided, "Divider", partial(Divider, rows=2))
        patch.setattr(pool._Worker, "do", killed)
        with pytest.raises(TransientError, match="a worker process was killed, probably for want of memory"):
            load_first(runs)
    load_first(runs)
    assert [row["EventCount"] for row in runs.target.sync()] == [30]
    assert len(runs.target.rows()) == 30


def load_first(runs):
    """Load the first window with two workers."""
    with runs.sync(workers=2) as sync:
        sync.run(sync.plan(NOW, end=WINDOWS[1]), Told())


EAGER = "from hauser_dlt.sync import ahead; ahead.PAYS = 1\n"
COMMAND = EAGER + "from hauser_dlt.cli import main; main()"
SCRIPT = EAGER + (
    "import hauser_dlt; print('once', flush=True)\n"
    f"print(hauser_dlt.run(start={str(MIDNIGHT)!r}, end={str(END)!r}).windows)\n"
)


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
@pytest.mark.parametrize("by_file", [True, False], ids=["script without a guard", "python -c"])
def test_a_program_is_not_run_again_by_its_workers(runs, tmp_path, by_file):
    script = tmp_path / "no_guard.py"
    script.write_text(SCRIPT)
    process = program(runs, *((script,) if by_file else ("-c", SCRIPT)))
    out, err = process.communicate(timeout=PATIENCE)

    assert (out, err, process.returncode) == ("once\n14\n", "", 0)
    runs.expect(MIDNIGHT, END)


def program(runs, *arguments):
    """Start a program of Python's, two workers allowed."""
    environ = {**os.environ, **dict(flat(runs.nested({"workers": 2})))}
    return subprocess.Popen([sys.executable, *arguments], env=environ, stdout=-1, stderr=-1, text=True)


@pytest.mark.parametrize(
    ("target", "end", "number", "code"),
    [
        ("parquet", "2024-05-04", signal.SIGINT, 130),
        ("parquet", "2024-05-04", signal.SIGTERM, 143),
        ("parquet", "2024-05-04", signal.SIGKILL, -9),
        ("duckdb", "2024-05-04", signal.SIGINT, 130),
        ("parquet", "2024-05-02", signal.SIGTERM, 143),
        ("duckdb", "2024-05-01T06", signal.SIGINT, 130),
    ],
    indirect=["target"],
)
def test_a_signal_ends_the_run_and_its_workers(runs, end, number, code):
    for start in WINDOWS:
        event = gzip.decompress(body(start, {"evt_text_str": "x"})) + b"\n"
        runs.sim.bodies[start.isoformat()] = gzip.compress(event * 200_000, 1)
    process = program(runs, "-c", COMMAND, "run", "--start", "2024-05-01", "--end", end)
    workers = eventually(lambda: len(found := busy_children(process.pid)) == 2 and found)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, err.count("Traceback")) == (code, 0)
    eventually(lambda: not any(is_running(pid) for pid in workers))


def eventually(what):
    """Return what comes to be true."""
    until = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def busy_children(pid):
    """Return the processes of a process that are at work."""
    found = {path.name: stat(path.name) for path in Path("/proc").glob("[0-9]*")}
    return [child for child, fields in found.items() if fields and fields[1] == str(pid) and int(fields[11]) > 100]


def stat(pid):
    """Return what the kernel tells of a process, from its state on; nothing if it is not there."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def is_running(pid):
    """Tell whether a process is there, and is no zombie that nobody has asked for."""
    return stat(pid)[:1] not in ([], ["Z"])
