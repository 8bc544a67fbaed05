"""How much may be in the working folder: what is there, what is to come, and what becomes of it."""

import logging
import os

import pytest

from hauser_dlt.exports.disk import Disk, spelled

MB = 10**6


def arrive(disk, folder, name, size):
    path = begin(disk, folder, name)
    path.write_bytes(bytes(size))
    disk.ended(path)
    return path


def begin(disk, folder, *names):
    """Begin with some bundles; return where the last will be."""
    for name in names:
        disk.begun(folder / name)
    return folder / names[-1]


def test_of_a_bound_one_bundle_is_begun_until_it_shows_how_large_they_are(tmp_path):
    disk = Disk(tmp_path, 30 * MB)
    assert disk.has_room()
    begin(disk, tmp_path, "first")
    assert not disk.has_room()
    arrive(disk, tmp_path, "first", MB)
    begin(disk, tmp_path, "second", "third")
    assert disk.has_room(3)
    assert not disk.has_room(4)  # there would be seven of them, and their files


def test_without_a_bound_nothing_is_held_back_while_the_disk_has_room(tmp_path):
    disk = Disk(tmp_path)
    begin(disk, tmp_path, "first", "second")
    assert disk.has_room()
    arrive(disk, tmp_path, "first", MB)
    assert disk.has_room(15)
    assert not disk.has_room(10**9)


def test_what_becomes_of_bundles_counts_and_is_learned(tmp_path):
    disk = Disk(tmp_path, 20 * MB)
    bundle = arrive(disk, tmp_path, "first", MB)
    made = tmp_path / "below" / "made.csv"
    made.parent.mkdir()
    made.write_bytes(bytes(4 * MB))
    assert disk.measure() == disk.peak == 5 * MB
    assert disk.has_room(3)
    assert not disk.has_room(4)  # each is 5 MB with its file
    for path in (bundle, made):
        path.unlink()
    assert disk.measure() == 0
    assert disk.peak == 5 * MB
    assert disk.has_room(4)


def test_what_has_come_of_further_bundles_is_not_taken_for_what_becomes_of_others(tmp_path):
    disk = Disk(tmp_path, 100 * MB)
    arrive(disk, tmp_path, "first", MB)
    for name in "abcdef":
        begin(disk, tmp_path, name).write_bytes(bytes(MB - 1))
    assert disk.measure() == 7 * MB - 6
    assert disk.has_room(13)
    assert not disk.has_room(14)


def test_bundles_that_have_come_and_gone_show_how_much_they_grow(tmp_path):
    disk = Disk(tmp_path, 10 * MB)
    bundle = arrive(disk, tmp_path, "first", MB)
    disk.measure()
    assert disk.has_room(1)
    assert not disk.has_room(2)
    bundle.unlink()
    assert disk.has_room(5)
    assert not disk.has_room(6)


def test_a_bundle_that_fails_takes_no_room(tmp_path):
    disk = Disk(tmp_path, 10 * MB)
    arrive(disk, tmp_path, "first", MB)
    failed = begin(disk, tmp_path, "second")
    assert not disk.has_room()
    disk.ended(failed)
    assert disk.has_room()


def test_a_file_with_two_names_counts_once(tmp_path):
    (tmp_path / "one").write_bytes(bytes(1000))
    os.link(tmp_path / "one", tmp_path / "other")
    assert Disk(tmp_path).measure() == 1000


def test_more_than_the_bound_is_told_once(tmp_path, caplog):
    disk = Disk(tmp_path, MB)
    arrive(disk, tmp_path, "first", 2 * MB)
    for _ in range(2):
        disk.measure()
    [record] = caplog.records
    assert record.getMessage() == (
        "the working folder holds 2 MB, more than max_disk (1 MB): the windows of one load package take that much"
    )


def test_a_bound_that_the_disk_does_not_have_is_told_before(tmp_path, caplog):
    caplog.set_level(logging.INFO, "hauser_dlt")
    with Disk(tmp_path, 10**17).measured():
        (tmp_path / "one").write_bytes(bytes(1500))
    before, after = (record.getMessage() for record in caplog.records)
    assert before.startswith("max_disk is 1e+08 GB, but ")
    assert after == "the working folder held 1.5 KB at most"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 KB"), (999_000, "999 KB"), (1_500_000, "1.5 MB"), (20 * 10**9, "20 GB")]
)
def test_sizes_are_told_as_people_write_them(size, text):
    assert spelled(size) == text
