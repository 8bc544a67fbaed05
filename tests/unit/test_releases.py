"""The table of figures, a row for each version."""

from importlib.metadata import version

from benchmarks.releases import COLUMNS, PAGE, rows, with_row


def test_this_version_has_its_figures():
    found = {row["version"]: row for row in rows(PAGE.read_text())}
    assert all(found[version("hauser-dlt")].values())


def test_each_version_has_one_row_with_all_columns():
    found = rows(PAGE.read_text())
    assert all(tuple(row) == COLUMNS for row in found)
    assert len({row["version"] for row in found}) == len(found)


def test_a_version_that_is_measured_again_gets_new_figures():
    page, row = PAGE.read_text(), dict.fromkeys(COLUMNS, "1")
    assert with_row(with_row(page, row | {"times the floor": "2"}), row) == with_row(page, row)
    assert rows(with_row(page, row)) == [*rows(page), row]


def test_a_row_changes_nothing_else():
    page = PAGE.read_text()
    assert with_row(page, rows(page)[-1]) == page
