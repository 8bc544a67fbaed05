"""How much may be in the working folder: what is there, what is to come, and what becomes of it."""

import logging
import os

import pytest

from hauser_dlt.exports.disk import Disk, spelled

MB = 10**6


def arrive(disk, folder, name, size):
    path = folder / name
    path.write_bytes(bytes(size))
    disk.arrived(path)
    return path


def test_of_a_bound_one_bundle_is_begun_until_it_shows_how_large_they_are(tmp_path):
    disk = Disk(tmp_path, 10 * MB)
    assert disk.has_room(0)
    assert not disk.has_room(1)
    arrive(disk, tmp_path, "first", MB)
    assert disk.has_room(3)
    assert not disk.has_room(4)  # with the first there would be six of them, and their files


def test_without_a_bound_nothing_is_held_back_while_the_disk_has_room(tmp_path):
    disk = Disk(tmp_path)
    assert disk.has_room(100)
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
    assert disk.has_room(2)
    assert not disk.has_room(3)  # each is 5 MB with its file
    for path in (bundle, made):
        path.unlink()
    assert disk.measure() == 0
    assert disk.peak == 5 * MB
    assert disk.has_room(3)


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
