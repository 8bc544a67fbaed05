"""Individuals and segments: fetched whole beside the events, each as a load package of its own."""

import json
from datetime import timedelta

import dlt
import duckdb
import pytest
from dlt.common import logger

from hauser_dlt import fullstory
from hauser_dlt.errors import CorruptBundleError, ExportFailedError, TransientError
from hauser_dlt.fields import INDIVIDUALS, LOAD_ID, SEGMENTS, USER_VARS
from hauser_dlt.simulator import Account, Fault
from hauser_dlt.simulator.encoding import encode
from support.crash import CrashScenario, Moment, crash_at
from support.destinations import HOUR, MIDNIGHT, as_rows, as_written, bare

DAY = timedelta(days=1)
NOW = MIDNIGHT + DAY + 6 * HOUR  # one window has settled
SETTLED = NOW - DAY

in_each_way = pytest.mark.parametrize(
    "target",
    [
        "postgres",
        "jsonl",
        "redshift",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("bigquery", "snowflake")),
    ],
    indirect=True,
)


@pytest.fixture(autouse=True)
def few(sim):
    """An account of a few people."""
    object.__setattr__(sim.account, "users", 8)


def table(target, name):
    """Return a table's rows, without NULLs, with the names of columns in lower case."""
    if target.into_files:
        found = [json.loads(line) for path in target.files(name) for line in path.read_text().splitlines()]
        return [{key.lower(): value for key, value in row.items() if value is not None} for row in found]
    return [{key.lower(): value for key, value in row.items()} for row in target.query(f'SELECT * FROM "{name}"')]


def people(sim, end):
    """Return what the individuals of an account must become: id -> custom variables, and who, how often, how long."""
    rows = [json.loads(encode(row), parse_float=str) for row in sim.account.individuals(end)]
    written = {row["IndvId"]: as_written(encode(row[USER_VARS])) for row in sim.account.individuals(end)}
    return {row["IndvId"]: (written[row["IndvId"]], row["Uid"], row["NumSessions"], row["TotalSec"]) for row in rows}


def loaded_people(target):
    rows = table(target, "fs_individuals")
    found = {row["indvid"]: (as_written(row["customvars"]), uid(row), *counts(row)) for row in rows}
    assert len(found) == len(rows)
    return found


def uid(row):
    return row.get("uid", "")


def counts(row):
    return row["numsessions"], row["totalsec"]


@in_each_way
def test_individuals_are_merged_and_segments_replaced_after_the_windows(runs):
    segments = runs.target.kind != "bigquery"  # whose emulator takes seconds for each load
    runs.settings |= {"individuals": True, "segments": segments}
    told = runs.load(NOW)

    assert [done.table for done in told.tables] == ["fs_individuals", "fs_segments"][: 1 + segments]
    runs.expect(MIDNIGHT, SETTLED)
    assert loaded_people(runs.target) == people(runs.sim, SETTLED)
    assert {row[LOAD_ID] for row in table(runs.target, "fs_individuals")} == {told.tables[0].load_id}
    assert len({package.load_id for package in (*told.packages, *told.tables)}) == 2 + segments

    runs.sim.segments.pop("signed-up")
    first = runs.sim.account.people[0]
    runs.sim.account.people[0] = Fixed({**first.row(SETTLED), "NumSessions": 9, "Uid": "changed"})
    runs.load(NOW, snapshots_every="0")
    assert loaded_people(runs.target) == people(runs.sim, SETTLED)
    if segments:
        assert sorted(row["id"] for row in table(runs.target, "fs_segments")) == ["everyone", "on-phones"]
    if not runs.target.into_files:
        assert runs.target.query('SELECT * FROM "fs_sync_pending"') == []


def test_their_columns_are_those_that_fullstory_documents_and_all_else_is_in_custom_vars(runs):
    extra = {"IndvId": 7, "NumPages": "many", "plan_str": "x", "UserVars": {"user_a_real": 1.50, "IndvId": 8}}
    runs.sim.events = lambda start, end: ()
    runs.sim.account.people[0] = Fixed(extra)
    runs.load(NOW, individuals=True, segments=True)

    assert runs.target.columns("fs_individuals") == [*INDIVIDUALS, "CustomVars", LOAD_ID]
    assert runs.target.columns("fs_segments") == [*SEGMENTS, "CustomVars", LOAD_ID]
    (row,) = (row for row in runs.target.query('SELECT * FROM "fs_individuals"') if row["IndvId"] == 7)
    assert "NumPages" not in row
    assert row["CustomVars"] == '{"plan_str":"x","user_a_real":1.5,"UserVars.IndvId":8,"NumPages":"many"}'


class Fixed:
    """An individual of whom FullStory always tells the same."""

    created = MIDNIGHT - DAY

    def __init__(self, row):
        self._row = row

    def row(self, end):
        return self._row


def test_who_is_not_in_the_newest_export_stays_and_who_has_no_id_is_left_out(runs):
    runs.load(NOW, individuals=True)
    before = loaded_people(runs.target)
    runs.sim.events = lambda start, end: ()
    runs.sim.account.people[:] = [Fixed({"Uid": "nobody"}), runs.sim.account.people[0]]
    told = runs.load(NOW + DAY, individuals=True)

    assert loaded_people(runs.target).keys() == before.keys()
    assert (told.tables[0].tally.rows, told.tables[0].tally.outside) == (1, 1)


def test_people_who_all_have_no_id_are_something_else_and_no_empty_table(runs):
    runs.load(NOW, individuals=True)
    before = loaded_people(runs.target)
    runs.sim.events = lambda start, end: ()
    for person, said in (({"Uid": "nobody"}, "1 rows has IndvId.*the first has Uid$"), ({"IndvId": "x"}, "something")):
        runs.sim.account.people[:] = [Fixed(person)]
        with pytest.raises(CorruptBundleError, match=f"fs_individuals: none of the bundle's .*{said}"):
            runs.load(NOW + DAY, individuals=True)

    assert loaded_people(runs.target) == before


def test_they_are_loaded_anew_once_a_day_and_not_by_backfills(runs):
    runs.sim.events = lambda start, end: ()
    runs.settings |= {"individuals": True}
    loads = [len(runs.load(NOW + hours * HOUR).tables) for hours in (0, 18, 24)]
    assert loads == [1, 0, 1]
    assert runs.load(NOW + 90 * HOUR, start=MIDNIGHT - 6 * HOUR, end=MIDNIGHT).tables == []


def test_another_machine_knows_when_they_were_loaded(runs, tmp_path):
    runs.load(NOW, individuals=True)

    assert runs.load(NOW, individuals=True, working_dir=str(tmp_path / "elsewhere")).tables == []


@pytest.mark.parametrize(("kind", "raised"), [("failed", ExportFailedError), ("status", TransientError)])
def test_windows_are_loaded_though_individuals_cannot_be_had_and_the_next_run_tries_again(runs, kind, raised):
    runs.load(NOW)
    more = {"match": MIDNIGHT.isoformat()} if kind == "failed" else {"status": 503}
    runs.sim.faults.add(Fault(kind, "operation" if kind == "failed" else "create", times=None, **more))
    runs.load(NOW)  # nothing of it is asked for
    with pytest.raises(raised, match=r"^fs_individuals: "):
        runs.load(NOW, individuals=True, segments=True)

    runs.expect(MIDNIGHT, SETTLED)
    assert len(table(runs.target, "fs_segments")) == 3
    runs.sim.faults.clear()
    assert [done.table for done in runs.load(NOW, individuals=True, segments=True).tables] == ["fs_individuals"]


@pytest.mark.parametrize("target", ["duckdb", "parquet"], indirect=True)
def test_what_is_left_of_a_load_that_died_is_made_good_on_another_machine(runs, tmp_path):
    runs.load(NOW)
    with_people = runs.nested({"individuals": True})
    assert crash_at(CrashScenario(with_people, NOW), Moment(runs.target.completing)).killed

    told = runs.load(NOW, individuals=True, working_dir=str(tmp_path / "elsewhere"))
    assert [done.table for done in told.tables] == ["fs_individuals"]
    runs.expect(MIDNIGHT, SETTLED)
    if runs.target.into_files:
        assert len(runs.target.files("fs_individuals")) == 1
    else:
        assert loaded_people(runs.target) == people(runs.sim, SETTLED)


def test_an_export_that_was_paid_for_is_used_by_the_next_run(runs):
    runs.load(NOW)
    runs.sim.faults.add(Fault("status", "results", status=500, times=None))
    with pytest.raises(TransientError):
        runs.load(NOW, individuals=True)
    runs.sim.faults.clear()
    runs.load(NOW, individuals=True)

    assert [request.json()["type"] for request in runs.sim.requests if request.path == "/segments/v1/exports"] == [
        "TYPE_EVENT",
        "TYPE_INDIVIDUAL",
    ]


@pytest.mark.parametrize("target", ["json"], indirect=True)
def test_raw_files_hold_individuals_as_fullstory_sent_them(runs):
    runs.load(NOW, individuals=True)
    runs.load(NOW + DAY, individuals=True)

    (path,) = runs.target.files("fs_individuals")
    assert path.read_bytes() == b"".join(encode(row) + b"\n" for row in runs.sim.account.individuals(SETTLED + DAY))


def test_segments_are_had_by_page_and_what_is_listed_otherwise_is_kept(runs):
    runs.sim.segments |= {f"s{number}": f"Segment {number}" for number in range(150)}
    runs.load(NOW, segments=True)

    rows = table(runs.target, "fs_segments")
    assert {row["id"]: row["name"] for row in rows} == runs.sim.segments
    assert {row["customvars"] for row in rows} == {"{}"}


def test_another_segment_holds_its_own_events_and_people_alone(runs):
    runs.sim.account = Account(events_per_hour=40, users=40)
    runs.load(NOW, segment_id="signed-up", individuals=True)

    everybody = list(runs.sim.rows(MIDNIGHT, SETTLED))
    known = [row for row in everybody if row["UserAppKey"]]
    assert bare(runs.target.rows()) == bare(as_rows(known))
    assert 0 < len(known) < len(everybody)
    assert all(row["uid"] for row in table(runs.target, "fs_individuals"))


def test_in_a_project_of_ones_own_they_are_resources_of_the_source(runs, tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(logger, "warning", lambda text, *_, **__: warnings.append(text), raising=False)
    runs.configuration(individuals=True, segments=True, start_time=MIDNIGHT.isoformat())
    pipeline = dlt.pipeline("mine", destination="duckdb", dataset_name="fs", pipelines_dir=str(tmp_path / "pipelines"))
    source = fullstory(end_time=SETTLED)
    assert list(source.resources) == ["fs_export", "fs_sync", "fs_individuals", "fs_segments"]

    for _ in range(2):
        pipeline.run(fullstory(end_time=SETTLED).with_resources("fs_individuals", "fs_segments"))
        counts = pipeline.dataset().row_counts().arrow().to_pydict()
        assert dict(zip(counts["table_name"], counts["row_count"], strict=True)) == {
            "fs_individuals": 8,
            "fs_segments": 3,
        }
    assert warnings == []


def test_in_files_of_dlts_own_individuals_are_replaced(runs, tmp_path):
    runs.configuration(individuals=True)
    files = dlt.destinations.filesystem(str(tmp_path / "files"))
    pipeline = dlt.pipeline("mine", destination=files, dataset_name="fs", pipelines_dir=str(tmp_path / "pipelines"))
    for _ in range(2):
        pipeline.run(fullstory().with_resources("fs_individuals"), loader_file_format="parquet")

    found = duckdb.sql(f"SELECT * FROM '{tmp_path}/files/fs/fs_individuals/*.parquet'")
    assert len(found.fetchall()) == 8
