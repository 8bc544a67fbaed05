"""How many worker processes there are, what they answer, and what a load package begins with, foreseen."""

import os
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauser_dlt import machine
from hauser_dlt.config import parsers
from hauser_dlt.conversion import processors, work
from hauser_dlt.conversion.pool import Pool
from hauser_dlt.conversion.window_files import WindowFiles
from hauser_dlt.conversion.work import Conversion, Converted
from hauser_dlt.errors import CorruptBundleError, TransientError
from hauser_dlt.records.columns import Columns
from hauser_dlt.windows import Window

HOUR = Window(datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 1, 1, tzinfo=UTC))
GIB = 1 << 30


@pytest.mark.parametrize(
    ("limits", "number"),
    [
        ({}, 7),
        ({"cpu.max": "max 100000", "memory.max": "max"}, 7),
        ({"cpu.max": "400000 100000"}, 4),
        ({"cpu.max": "150000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"memory.max": f"{2 * GIB}"}, 4),
        ({"memory.max": f"{GIB // 2}"}, 1),
        ({"memory.max": f"{64 * GIB}"}, 7),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 7),
        ({"memory/memory.limit_in_bytes": f"{GIB}"}, 1),
    ],
)
def test_there_are_as_many_workers_as_the_container_has_processors_and_memory_for(
    tmp_path, monkeypatch, limits, number
):
    monkeypatch.setattr(processors, "_CGROUP", tmp_path)
    monkeypatch.setattr(processors, "_physical_memory", lambda: 3 * GIB)
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    for name, value in limits.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    assert processors.usable_processors() == number


def test_there_are_no_more_workers_than_eight_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(processors, "_CGROUP", tmp_path)
    monkeypatch.setattr(processors, "_physical_memory", lambda: 999 * GIB)
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda _pid: set(range(96)), raising=False)
    assert processors.usable_processors() == 8


@pytest.mark.parametrize(("spelled", "number"), [("auto", None), (None, None), ("1", 1), (64, 64)])
def test_the_number_of_workers_is_chosen_or_given(spelled, number):
    assert parsers.at_once(spelled) == number


@pytest.mark.parametrize("spelled", ["0", 65, "many", True])
def test_another_number_of_workers_is_refused(spelled):
    with pytest.raises(ValueError, match=r"'auto', or .* 1 .*64"):
        parsers.at_once(spelled)


def columns(kinds):
    return Columns(kinds, new=str, takes=bool, fits=str.islower, drops=str.isspace, numbers=dict)


KEYS = st.lists(st.sampled_from(["One", "ONE", "one", "Two", "Three", "AppName", "appname", "CustomVars", "x_str"]))


@given(KEYS, KEYS)
def test_the_next_package_begins_with_what_has_come_up(keys, later):
    before = Columns({"One": "int"}, custom={"x_str": "text"})
    for key in keys:
        before.name_of(key)
    foreseen = Columns({"One": "int"}, custom={"x_str": "text"})
    foreseen.restore(before.state())
    foreseen.begin_package()
    # `table_columns` finds the same in dlt's schema
    kinds = {name: "text" if name == "AppName" else kind for name, kind in before.kinds.items()}
    anew = Columns(kinds, custom={"x_str": "text"})

    assert foreseen.state() == anew.state()
    assert [foreseen.name_of(key) for key in later] == [anew.name_of(key) for key in later]


def nothing(folder, format="parquet"):
    """Return a piece of work without a bundle."""
    files = WindowFiles(folder, format, compress=False, span=HOUR)
    return Conversion((), columns({}), None, print, files)


def test_workers_answer_one_piece_of_work_after_the_other(tmp_path):
    with Pool(1) as pool:
        answers = [pool.submit(nothing(tmp_path)) for _ in range(3)]
        assert [answer.result() for answer in answers] == [Converted()] * 3


def test_a_worker_that_ends_by_itself_is_told(tmp_path):
    with Pool(1) as pool, pytest.raises(TransientError) as error:
        pool.submit(_Ending(*[None] * 5)).result()
    assert str(error.value) == "a worker process has ended by itself (exit code 3); with `workers` = 1 there is none"


class _Ending(Conversion):
    def __reduce__(self):
        return os._exit, (3,)


class TwoArgumentsError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CorruptBundleError("cut short"), CorruptBundleError("cut short")),
        (TwoArgumentsError(1, 2), RuntimeError("TwoArgumentsError: 1 and 2")),
        (OSError(28, "No space left on device"), OSError(28, "No space left on device")),
    ],
)
def test_errors_come_as_they_are_if_they_can(error, told):
    found = pickle.loads(pickle.dumps(work._portable(error)))
    assert (type(found), str(found)) == (type(told), str(told))


def test_a_worker_imports_no_dlt():
    code = "import sys, hauser_dlt.conversion.worker; print(*sys.modules)"
    folder = Path(machine.__file__).parents[1]
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder).stdout
    assert "dlt" not in out.split()
