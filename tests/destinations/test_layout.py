"""Files: their names, formats and compression; columns that come up while files are written."""

import gzip
import io
from datetime import timedelta

import pyarrow.parquet
import pytest

from hauser_dlt.fields import KNOWN
from support.destinations import HOUR, MIDNIGHT, also_in_buckets, in_files, in_sql

DAY = timedelta(days=1)
NOW = MIDNIGHT + 4 * DAY  # with the delay of a day, three days have settled: the first two far behind
SETTLED = NOW - DAY


def names(target):
    return [path.name.split(".")[0] for path in target.files()]


def span(start, end):
    return f"{start:%Y%m%dT%H%M%SZ}-{end:%Y%m%dT%H%M%SZ}"


@in_files
def test_far_behind_a_day_is_a_file_and_near_the_present_a_window(runs):
    runs.load(NOW)

    days = [span(MIDNIGHT + n * DAY, MIDNIGHT + (n + 1) * DAY) for n in range(2)]
    near = [span(SETTLED - DAY + n * 6 * HOUR, SETTLED - DAY + (n + 1) * 6 * HOUR) for n in range(4)]
    if runs.target.kind == "json":
        days = [span(MIDNIGHT + n * 6 * HOUR, MIDNIGHT + (n + 1) * 6 * HOUR) for n in range(8)]
    assert names(runs.target) == days + near
    assert len(runs.target.complete()) == 3  # a load package a day, however many files


@in_files
def test_grouped_by_day_only_whole_days_are_loaded(runs):
    runs.load(NOW + 12 * HOUR, group_by_day="true")

    runs.expect(MIDNIGHT, SETTLED)
    if runs.target.kind != "json":
        assert names(runs.target) == [span(MIDNIGHT + n * DAY, MIDNIGHT + (n + 1) * DAY) for n in range(3)]


@in_files
def test_not_grouped_each_window_is_a_file_but_not_a_package(runs):
    runs.load(NOW, group_by_day="false")

    assert len(runs.target.files()) == 12
    assert len(runs.target.complete()) == 3
    runs.expect(MIDNIGHT, SETTLED)


@in_files
def test_names_carry_the_load_id_of_their_rows(runs):
    runs.load(NOW)

    complete = set(runs.target.complete())
    assert {".".join(path.name.split(".")[1:3]) for path in runs.target.files()} == complete
    for row in runs.target.rows():
        assert row.get("_dlt_load_id", min(complete)) in complete


@pytest.mark.parametrize("target", ["csv", "jsonl", "json"], indirect=True)
def test_files_are_gzipped_on_request_only(runs):
    runs.load(NOW, compress="true")

    for path in runs.target.files():
        assert path.suffix == ".gz"
        assert gzip.decompress(path.read_bytes())
    runs.expect(MIDNIGHT, SETTLED)


@in_files
def test_a_window_without_events_has_no_file(runs):
    runs.sim.events = lambda start, end: ()
    runs.load(NOW)

    assert runs.target.files() == []
    assert len(runs.target.sync()) == 12


@pytest.mark.parametrize("target", ["json"], indirect=True)
def test_raw_files_are_fullstorys_own_bytes(runs):
    odd = b'{"EventStart" :"2024-05-01T00:00:00Z", "k":1.10 , "CustomVars":[ ]}\n\n{"a_str":\t"\\u0041"}'
    runs.sim.bodies["2024-05-01T00:00:00Z"] = gzip.compress(odd)
    runs.load(MIDNIGHT + DAY + 6 * HOUR)

    (path,) = runs.target.files()
    assert path.read_bytes() == odd


@pytest.mark.parametrize("target", ["csv"], indirect=True)
def test_csv_has_a_header_and_keeps_null_empty_text_quotes_and_newlines_apart(runs):
    event = {"EventStart": "2024-05-01T00:00:00Z", "EventTargetText": 'a "b",\nc', "UserEmail": "", "IndvId": 2**60 + 1}
    runs.sim.events = lambda start, end: [event] if start == MIDNIGHT else ()
    runs.load(MIDNIGHT + DAY + 6 * HOUR)

    (path,) = runs.target.files()
    header, _, body = path.read_bytes().partition(b"\n")
    assert b'"EventStart"' in header
    assert b'"a ""b"",\nc"' in body
    (row,) = runs.target.rows()
    assert row["UserEmail"] == ""
    assert "UserDisplayName" not in row
    assert row["IndvId"] == 2**60 + 1


@also_in_buckets
def test_a_new_field_becomes_a_column_wherever_it_comes_up(runs):
    def events(start, end):
        yield {"EventStart": start.isoformat(), "EventType": "click", "PageNumErrors": 1}
        if start >= MIDNIGHT + 6 * HOUR:
            yield {
                "EventStart": start.isoformat(),
                "EventType": "load",
                "EventTimeToFirstByte": 12.50,
                "evt_a_str": "x",
            }

    runs.sim.events = events
    runs.load(NOW)
    runs.load(NOW + 6 * HOUR)

    if runs.target.kind == "json":
        return
    rows = runs.target.rows()
    assert len(rows) == 13 + 12
    assert {row.get("EventTimeToFirstByte") for row in rows if row["EventType"] == "load"} == {"12.5"}
    assert not [row for row in rows if row["EventType"] == "click" and "EventTimeToFirstByte" in row]
    if runs.target.kind == "parquet":
        first, second = (pyarrow.parquet.read_schema(io.BytesIO(path.read_bytes())) for path in runs.target.files()[:2])
        assert first.names != second.names or "EventTimeToFirstByte" in first.names


@in_sql
def test_new_fields_have_the_type_that_is_declared_and_may_be_left_in_custom_vars(runs):
    event = {"EventStart": "2024-05-01T00:00:00Z", "EventFoo": 7, "EventBar": 8}
    runs.sim.events = lambda start, end: [event] if start == MIDNIGHT else ()
    runs.load(MIDNIGHT + DAY + 6 * HOUR, extra_fields={"EventFoo": "int"}, new_fields="custom_vars")

    (row,) = runs.target.rows()
    assert row["EventFoo"] == 7
    assert "EventBar" not in runs.target.columns()
    assert row["CustomVars"] == '{"EventBar":8}'


@in_sql
def test_columns_of_the_users_own_stay_and_get_null(runs):
    runs.load(MIDNIGHT + DAY + 6 * HOUR)
    runs.target.query('ALTER TABLE "fs_export" ADD COLUMN "mine" INTEGER')
    runs.target.query('UPDATE "fs_export" SET "mine" = 1')
    runs.target.query('ALTER TABLE "fs_sync" ADD COLUMN "note" VARCHAR')

    runs.load(NOW)

    rows = runs.target.rows()
    first = [row for row in rows if row["_hauser_window"] == MIDNIGHT]
    assert {row.get("mine") for row in first} == {1}
    assert {row.get("mine") for row in rows if row not in first} == {None}
    assert "mine" in runs.target.columns()


@in_sql
def test_the_first_run_makes_all_columns_even_without_an_event(runs):
    runs.sim.events = lambda start, end: ()
    runs.load(NOW)

    assert {*KNOWN, "CustomVars"} <= set(runs.target.columns())
    assert runs.target.rows() == []
