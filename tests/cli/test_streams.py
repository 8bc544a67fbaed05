"""Standard streams that are closed, full, broken or of a narrow encoding: the work is done, and exit codes tell how."""

import fcntl
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from hauser_dlt.simulator import Account, Simulator

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
STREAMS = {
    "all": "",
    "none": "<&- >&- 2>&-",
    "no stdin": "<&- >out 2>err",
    "no stdout": ">&- 2>err",
    "no stderr": ">out 2>&-",
    "full": ">/dev/full 2>/dev/full",
    "full stdout": ">/dev/full 2>&-",
    "for reading": "1</dev/null 2</dev/null",
    "no reader": "> >(exec true) 2> >(exec true)",
    "ascii": ">out 2>err",
    "latin-1": ">out 2>err",
    "C": ">out 2>err",
}
ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1:strict"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.fixture(scope="module")
def sim():
    with Simulator(Account(events_per_hour=5)) as simulator:
        yield simulator


class Place:
    """A folder of its own, where commands run with one kind of standard streams."""

    def __init__(self, folder, sim, streams):
        folder.mkdir()
        self.folder, self.streams = folder, streams
        self.environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "FULLSTORY_API_TOKEN": sim.token,
            "SOURCES__FULLSTORY__BASE_URL": sim.url,
            "SOURCES__FULLSTORY__START_TIME": DAY.isoformat(),
            "SOURCES__FULLSTORY__EXPORT_DURATION": "24h",
            "SOURCES__FULLSTORY__FIELDS": "default",
            "HAUSER__WORKING_DIR": str(folder / "work"),
            **ENCODINGS.get(streams, {}),
        }

    def start(self, arguments, **environ):
        script = f'exec "{sys.executable}" -m hauser_dlt {arguments} {STREAMS[self.streams]}'
        quiet = {} if self.streams != "all" else {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(["bash", "-c", script], cwd=self.folder, env={**self.environ, **environ}, **quiet)

    def text(self, name):
        return (self.folder / name).read_bytes()


def together(sim, folder, arguments, streams, **environ):
    """Run a command with each kind of streams; return the places by kind, and the exit codes."""
    places = {kind: Place(folder / str(number), sim, kind) for number, kind in enumerate(streams)}
    codes = {}
    kinds = list(places)
    for pair in zip(kinds[::2], [*kinds[1::2], None], strict=False):
        begun = {kind: places[kind].start(arguments, **environ) for kind in pair if kind}
        codes |= {kind: process.wait(120) for kind, process in begun.items()}
    return places, codes


@pytest.mark.parametrize(
    "kinds",
    [("none", "full", "no reader", "C"), pytest.param(tuple(STREAMS), marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def test_a_run_loads_everything_and_ends_with_0_whatever_its_streams_are(sim, tmp_path, kinds):
    places, codes = together(sim, tmp_path, f"run --end {DAY:%Y-%m-%d}T23:00", kinds)

    assert set(codes.values()) == {0}, codes
    events = sum(1 for _ in sim.rows(DAY, DAY + timedelta(days=1)))
    for place in places.values():
        with duckdb.connect(str(place.folder / "hauser_dlt.duckdb"), read_only=True) as connection:
            assert connection.sql("select count(*) from fullstory.fs_export").fetchall() == [(events,)]
            assert connection.sql("select EventCount from fullstory.fs_sync").fetchall() == [(events,)]
        told = b"".join(place.text(name) for name in ("out", "err") if (place.folder / name).exists())
        assert b"Error" not in told
        assert (b"loaded " in told) == bool(told)


def test_a_run_that_fails_ends_with_its_own_code_whatever_its_streams_are(sim, tmp_path):
    kinds = ("none", "full", "no reader")
    _, codes = together(sim, tmp_path, "run", kinds, FULLSTORY_API_TOKEN="wröng".encode().decode("latin-1"))
    assert set(codes.values()) == {2}, codes


COMMANDS = [
    ("status --exact --max-lag 1h", 1, ""),
    ("init", 0, ".dlt/secrets.toml"),
    ("dbt analytics", 0, "analytics/dbt_project.yml"),
    ("check", 0, ""),
    ("run --dry-run", 0, ""),
    ("demo --days 1 --events-per-hour 5", 0, "demo/events.duckdb"),
    ("--version", 0, ""),
    ("reload --help", 0, ""),
    ("nonsense", 2, ""),
]


@pytest.mark.parametrize("streams", ["none", pytest.param("no reader", marks=pytest.mark.slow)])
def test_each_command_does_its_work_whatever_its_streams_are(sim, tmp_path, streams):
    place = Place(tmp_path / "here", sim, streams)
    for arguments, code, made in COMMANDS:
        assert place.start(arguments).wait(120) == code, arguments
        assert (place.folder / made).exists()


def test_a_result_that_cannot_be_written_is_an_error_of_commands_that_only_print(sim, tmp_path):
    place = Place(tmp_path / "here", sim, "all")
    for arguments in ("status", "run --dry-run"):
        with Path("/dev/full").open("w") as full:
            ended = subprocess.run(
                [sys.executable, "-m", "hauser_dlt", *arguments.split()],
                cwd=place.folder, env=place.environ, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert ended.returncode == 1
        assert ended.stderr.endswith("Error: the result could not be written to stdout: No space left on device\n")


def test_names_with_umlauts_are_printed_in_whatever_encoding_there_is(sim, tmp_path):
    name = "Gr\u00fc\u00dfe \U0001f600"
    places, codes = together(sim, tmp_path, f"dbt '{name}'", ("ascii", "latin-1"))
    assert set(codes.values()) == {0}
    assert "wrote Gr\\xfc\\xdfe \\U0001f600/dbt_project.yml" in places["ascii"].text("out").decode("ascii")
    assert "wrote Gr\u00fc\u00dfe \\U0001f600/dbt_project.yml" in places["latin-1"].text("out").decode("latin-1")


def test_a_pipe_that_does_not_block_takes_all_of_a_result(sim, tmp_path):
    place = Place(tmp_path / "here", sim, "all")
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    command = [sys.executable, "-m", "hauser_dlt", "status", "--json", "--set", "start_time=2025-01-01"]
    del place.environ["SOURCES__FULLSTORY__START_TIME"]
    process = subprocess.Popen(command, cwd=place.folder, env=place.environ, stdout=writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert len(json.load(pipe)["waiting"]) > 300
    assert process.wait(60) == 0
