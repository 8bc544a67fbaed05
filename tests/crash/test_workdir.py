"""The working folder: nobody else's, emptied of what the dead left; and operations that outlive a process."""

import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from hauser_dlt.sync.workdir import Operations, private_folder

OWNER = """
import sys
from pathlib import Path
from hauser_dlt.sync.workdir import private_folder
with private_folder(Path(sys.argv[1])) as folder:
    folder.joinpath("package").mkdir()
    folder.joinpath("package", "half").write_text("x" * 1000)
    sys.stdout.write(f"{folder}\\n")
    sys.stdout.flush()
    sys.stdin.readline()
"""


class Owner:
    """A process that holds a private folder, with something in it, until it is told to leave, or killed."""

    def __init__(self, root):
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.folder = root / self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def leave(self):
        self.process.communicate("\n", timeout=10)
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.communicate()


def test_two_live_processes_have_different_folders(tmp_path):
    root = tmp_path / "not" / "yet" / "there"
    with Owner(root) as one, Owner(root) as other, private_folder(root) as ours:
        assert len({one.folder, other.folder, ours}) == 3
        assert all(folder.parent == root for folder in (one.folder, other.folder, ours))
        assert (one.folder / "package" / "half").exists()
        assert (other.folder / "package" / "half").exists()
        assert list(ours.iterdir()) == []
        assert one.leave() == other.leave() == 0
        assert not one.folder.exists()
        assert not other.folder.exists()


def test_what_a_killed_process_left_is_removed(tmp_path):
    with Owner(tmp_path) as owner:
        owner.kill()
        assert (owner.folder / "package" / "half").exists()
        with private_folder(tmp_path) as ours:
            assert ours == owner.folder
            assert list(ours.iterdir()) == []


def test_what_killed_processes_left_in_other_folders_is_removed_too(tmp_path):
    with Owner(tmp_path) as first, Owner(tmp_path) as second, Owner(tmp_path) as third:
        second.kill()
        first.kill()
        with private_folder(tmp_path) as ours:
            assert ours == first.folder
            assert not second.folder.exists()
            assert (third.folder / "package" / "half").exists()


def test_what_is_not_ours_is_let_be(tmp_path):
    for name in ("operations", "mine", "12a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("kept")
    (tmp_path / "mine.lock").touch()
    (tmp_path / "12a.lock").touch()
    with private_folder(tmp_path):
        pass
    for name in ("operations", "mine", "12a"):
        assert (tmp_path / name / "file").read_text() == "kept"


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_the_folder_is_gone_and_free_however_the_work_ended(tmp_path, error):
    with suppress(ZeroDivisionError, KeyboardInterrupt), private_folder(tmp_path) as first:
        (first / "file").write_text("x")
        if error:
            raise error
    assert not first.exists()
    with private_folder(tmp_path) as second, private_folder(tmp_path) as third:
        assert second == first
        assert third != second


def test_many_at_once_have_a_folder_each(tmp_path):
    together, seen = threading.Barrier(8), []

    def work():
        with ExitStack() as stack:
            folder = stack.enter_context(private_folder(tmp_path))
            (folder / "mine").write_text(threading.current_thread().name)
            together.wait(10)
            seen.append((folder, (folder / "mine").read_text() == threading.current_thread().name))
            together.wait(10)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({folder for folder, _ in seen}) == 8
    assert all(whole for _, whole in seen)


# --- operations


def test_operations_outlive_the_process(tmp_path):
    script = "import sys; from pathlib import Path; from hauser_dlt.sync.workdir import Operations; import os, signal\n"
    script += "Operations(Path(sys.argv[1]))['name'] = 'op-1'; os.kill(os.getpid(), signal.SIGKILL)"
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / "operations")], check=False)
    assert ended.returncode < 0

    operations = Operations(tmp_path / "operations")
    assert operations == {"name": "op-1"}
    operations["name"] = "op-2"
    assert Operations(tmp_path / "operations") == {"name": "op-2"}
    assert len(list((tmp_path / "operations").iterdir())) == 1


def test_what_was_paid_for_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced = []

    def fsync(number):
        synced.append(os.read(os.open(f"/proc/self/fd/{number}", os.O_RDONLY), 100))
        assert not (tmp_path / "request").exists()

    monkeypatch.setattr("os.fsync", fsync)
    Operations(tmp_path)["request"] = "operation"
    assert synced == [b"operation"]


def test_operations_are_a_mapping(tmp_path):
    operations = Operations(tmp_path)
    assert operations.get("name") is None
    assert operations.pop("name", None) is None
    with pytest.raises(KeyError):
        operations["name"]
    with pytest.raises(KeyError):
        del operations["name"]
    operations.update(a="1", b="2")
    assert (dict(operations), len(operations), "a" in operations) == ({"a": "1", "b": "2"}, 2, True)
    assert operations.pop("a") == "1"
    assert "a" not in operations


def test_results_that_fullstory_has_dropped_are_not_looked_for(tmp_path):
    operations = Operations(tmp_path)
    for name, days in (("young", 5.9), ("old", 6.1)):
        operations[name] = "op"
        past = time.time() - days * 86400
        os.utime(tmp_path / name, (past, past))
    assert Operations(tmp_path) == {"young": "op"}
    assert [file.name for file in tmp_path.iterdir()] == ["young"]


@pytest.mark.parametrize("left", [b"", b"\0" * 16, b"\xff\xfe", b"op-1\n\0", b"  \n"])
def test_what_a_crash_left_of_a_file_is_no_operation(tmp_path, left):
    (tmp_path / "name").write_bytes(left)
    operations = Operations(tmp_path)
    assert operations == {}
    assert "name" not in operations
    assert operations.get("name") is None
    operations["name"] = "op-2"
    assert operations == {"name": "op-2"}


def test_a_write_that_was_cut_off_is_not_there(tmp_path):
    Operations(tmp_path)["name"] = "op-1"
    (tmp_path / ".name.4711").write_text("op")
    assert Operations(tmp_path) == {"name": "op-1"}


def test_two_processes_may_clear_up_at_the_same_time(tmp_path):
    past = time.time() - 7 * 86400
    failures = []

    def clear():
        together.wait(10)
        try:
            Operations(tmp_path)
        except OSError as exc:
            failures.append(exc)

    for _ in range(5):
        for number in range(100):
            (tmp_path / f"{number}").write_text("op")
            os.utime(tmp_path / f"{number}", (past, past))
        together = threading.Barrier(3)
        threads = [threading.Thread(target=clear) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert list(tmp_path.iterdir()) == []
