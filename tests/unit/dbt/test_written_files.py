"""Files that we write and users change."""

import pytest

from hauser_dlt.dbt.generated_files import refresh
from hauser_dlt.errors import ConfigError


def write(folder, force=False, **files):
    done = refresh(folder, files, force=force)
    return [sorted(path.name for path in paths) for paths in (done.written, done.removed, done.kept)]


def held(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


def test_files_are_written_and_refreshed(tmp_path):
    assert write(tmp_path / "new" / "folder", a="1", b="2") == [["a", "b"], [], []]
    assert write(tmp_path / "new" / "folder", a="1", b="3", c="4") == [["b", "c"], [], []]
    assert held(tmp_path / "new" / "folder") == {"a": "1", "b": "3", "c": "4"}


def test_what_is_not_needed_any_more_goes_unless_it_was_changed(tmp_path):
    write(tmp_path, a="1", b="2", c="3")
    (tmp_path / "b").write_text("mine")

    assert write(tmp_path, a="1") == [[], ["c"], ["b"]]
    assert write(tmp_path, a="1") == [[], [], []]  # b is the user's now
    assert held(tmp_path) == {"a": "1", "b": "mine"}


def test_what_users_changed_removed_or_added_is_left_until_they_say_so(tmp_path):
    write(tmp_path, a="1", b="2")
    (tmp_path / "a").write_text("mine")
    (tmp_path / "b").unlink()
    (tmp_path / "c").write_text("mine, too")

    for _ in range(2):
        assert write(tmp_path, a="4", b="5", c="6") == [[], [], ["a", "b", "c"]]
        assert held(tmp_path) == {"a": "mine", "c": "mine, too"}
    assert write(tmp_path, force=True, a="4", b="5", c="6") == [["a", "b", "c"], [], []]
    assert held(tmp_path) == {"a": "4", "b": "5", "c": "6"}
    assert write(tmp_path, a="7", b="5", c="6") == [["a"], [], []]


def test_a_change_that_comes_to_the_same_is_none(tmp_path):
    write(tmp_path, a="1")
    (tmp_path / "a").write_text("2")

    assert write(tmp_path, a="2") == [[], [], []]
    assert write(tmp_path, a="3") == [["a"], [], []]


def test_a_folder_of_somebody_elses_and_one_that_cannot_be_written_to_are_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="is not empty, and nothing of ours"):
        write(tmp_path, a="1")
    with pytest.raises(ConfigError, match=r"notes\.txt cannot be used"):
        write(tmp_path / "notes.txt", a="1")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / ".hauser-dlt.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be written to"):
        write(tmp_path / "ours", a="1")
