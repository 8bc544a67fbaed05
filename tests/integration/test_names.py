"""Names that a destination cannot hold are found before anything is loaded, in the first run as in all later ones."""

import json

import dlt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauser_dlt import fullstory
from hauser_dlt.config import reading
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations import adapter_for
from hauser_dlt.destinations.names import Names, names_of
from hauser_dlt.destinations.traits import REDSHIFT
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import KNOWN, MOBILE, column_of
from hauser_dlt.records.columns import Columns
from support.destinations import HOUR, MIDNIGHT

LONG = "EventX" + "x" * 60
KINDS = ("bigquery", "duckdb", "filesystem", "postgres", "redshift")


def names(kind):
    return names_of(getattr(dlt.destinations, kind)())


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_columns_can_stand_everywhere(kind):
    assert all(
        names(kind).takes(column) for column in (*KNOWN, *MOBILE, "CustomVars", "_dlt_load_id", "_hauser_window")
    )


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        ("postgres", ["E" * 63, "Oid", "RowId", "Partition"], ["E" * 64, "Xmin", "ctid", "tableoid"]),
        ("redshift", ["E" * 127, "RowId"], ["E" * 128, "Xmin", "Oid", "InsertXid", "deletexid", "padb_internal_x"]),
        ("bigquery", ["E" * 300, "Xmin", "Oid"], ["E" * 301, "_PARTITIONTIME", "_table_x", "_File_", "__root__x"]),
        ("duckdb", ["E" * 1000, "Xmin", "RowId", "_table_x"], []),
        ("filesystem", ["E" * 1000, "Xmin"], []),
    ],
)
def test_each_destination_has_names_of_its_own(kind, taken, refused):
    assert [column for column in (*taken, *refused) if not names(kind).takes(column)] == refused


@given(keys=st.lists(st.from_regex("[A-Z][a-z]{0,3}[A-Z]?[a-z]{0,2}", fullmatch=True), max_size=12))
def test_what_becomes_a_column_can_stand_there_and_differs_from_all_others(keys):
    columns = Columns(KNOWN, takes=Names(REDSHIFT, longest_column=5).takes)
    first = {key: columns.name_of(key) for key in keys}
    assert first == {key: columns.name_of(key) for key in reversed(keys)}
    made = set(columns.kinds) - set(KNOWN)
    assert all(len(name) <= 5 and name.lower() not in ("xmin", "oid") for name in made)
    assert len({name.lower() for name in columns.kinds}) == len(columns.kinds)


@pytest.mark.parametrize("target", ["postgres"], indirect=True)
def test_a_field_that_cannot_be_a_column_stays_in_custom_vars_in_all_runs(runs):
    for hour in (6, 12, 18):
        event = {"EventStart": (MIDNIGHT + (hour - 1) * HOUR).isoformat(), LONG: hour, "Xmin": "a", "EventNew": "b"}
        runs.sim.extra_events.append(event)
        runs.load(MIDNIGHT + (24 + hour) * HOUR)

    columns = runs.target.columns()
    assert [column for column in columns if column.startswith("Event") and column not in KNOWN] == ["EventNew"]
    assert not {"Xmin", "xmin"} & set(columns)
    found = [json.loads(row["CustomVars"]) for row in runs.target.rows() if row.get("EventNew")]
    assert sorted((variables[LONG], variables["Xmin"]) for variables in found) == [(6, "a"), (12, "a"), (18, "a")]


def of(**given):
    values = {"api_token": ("na1.key", ""), **{name: (value, "a test") for name, value in given.items()}}
    return reading.read(SourceSettings, values.get)


@pytest.mark.parametrize(
    ("destination", "given", "line"),
    [
        (
            "postgres",
            {"extra_fields": {"xmin": "int"}},
            "extra_fields names xmin, of which postgres can have no column",
        ),
        ("redshift", {"custom_columns": {"Oid.": "int"}}, "custom_columns names Oid., of which redshift can have no"),
        ("bigquery", {"custom_columns": {"_partition_x": "text"}}, "custom_columns names _partition_x, of which bigq"),
        ("postgres", {"sync_table": "s" * 60}, f"sync_table = {'s' * 60!r}: there will be a table {'s' * 60}_pending"),
        (
            "postgres",
            {"dataset": "pg_fullstory"},
            "dataset_name = 'pg_fullstory': postgres keeps such names",
        ),
        ("duckdb", {"dataset": "Information_Schema"}, "dataset_name = 'Information_Schema': duckdb keeps such names"),
    ],
)
def test_what_the_settings_name_is_refused_by_name(destination, given, line):
    run = {"destination": (destination, ""), "dataset_name": (given.pop("dataset", "fullstory"), "")}
    with pytest.raises(ConfigError) as caught:
        adapter_for(reading.read(RunSettings, run.get), of(**given))
    assert str(caught.value).startswith(line)


def test_in_a_project_of_ones_own_they_are_refused_before_anything_is_loaded(sim, tmp_path, server):
    pipeline = dlt.pipeline(
        "mine",
        pipelines_dir=str(tmp_path),
        destination=dlt.destinations.postgres(server.dsn()),
        dataset_name="fs_names",
    )
    source = fullstory(sim.token, base_url=sim.url, extra_fields={"xmin": "int"}, start_time=MIDNIGHT)
    with pytest.raises(Exception, match="extra_fields names xmin, of which postgres can have no column"):
        pipeline.run(source)
    assert not list(sim.requests)


@pytest.mark.parametrize("variable", ["pageurl", "page.url", "customvars", "session_replayurl", "_dlt_x", "PAGEAGENT"])
def test_a_column_of_a_custom_variable_differs_from_those_of_fields(variable):
    taken = column_of(variable).lower() in {*map(str.lower, KNOWN), "customvars", "_dlt_x", "pageagent"}
    if not taken:
        of(custom_columns={variable: "text"})
        return
    with pytest.raises(ConfigError, match=r"^custom_columns = "):
        of(custom_columns={variable: "text"})


@pytest.mark.parametrize(
    "tables",
    [
        {"export_table": "events", "sync_table": "EVENTS"},
        {"export_table": "fs_sync_pending"},
        {"individuals": True, "individuals_table": "fs_export"},
        {"segments": True, "segments_table": "Fs_Sync"},
        {"individuals": True, "segments": True, "individuals_table": "people", "segments_table": "people"},
    ],
)
def test_no_table_has_two_purposes(tables):
    with pytest.raises(ConfigError, match=r"^two tables would be called "):
        of(**tables)
