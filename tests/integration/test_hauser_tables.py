"""Tables that the Go hauser has made, of either generation, and the fields that only some of them have."""

import json
from collections import Counter
from contextlib import closing

import duckdb
import psycopg2
import pytest
from google.cloud import bigquery as google
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hauser_dlt.errors import CorruptBundleError, HauserError
from hauser_dlt.records.batches import Batcher
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.json_stream import records
from support.destinations import HOUR, MIDNIGHT
from support.hauser_tables import HAUSERS, make_tables
from support.json_values import texts, values
from support.reference import without_nul, write

NOW = MIDNIGHT + 30 * HOUR  # one window has settled
TOKENS = ".no%2Djs div .home%2Dfeatures"


def click(start, **more):
    return {
        "EventStart": start.isoformat(),
        "EventType": "click",
        "EventTargetSelector": "div.home-features",
        "EventTargetSelectorTok": TOKENS,
        **more,
    }


def selectors(runs):
    return [(row.get("EventTargetSelector"), row.get("EventTargetSelectorTok")) for row in runs.target.rows()]


@pytest.mark.parametrize(
    ("columns", "settings", "found"),
    [
        ('"EventTargetSelectorTok" VARCHAR', {}, ("div.home-features", TOKENS)),
        ('"EventTargetSelectorTok" VARCHAR', {"drop_fields": ["*Tok"]}, ("div.home-features", None)),
        ('"EventType" VARCHAR', {}, ("div.home-features", None)),
        ('"EventType" VARCHAR', {"include_selector_tokens": True}, ("div.home-features", TOKENS)),
    ],
)
def test_selectors_in_tokens_are_asked_for_where_the_table_or_a_setting_has_them(runs, columns, settings, found):
    runs.sim.events = lambda start, end: [click(start)]
    make_tables(runs.target, f'CREATE TABLE "fs_export" ({columns})')

    runs.load(NOW, fields="known", **settings)

    assert selectors(runs) == [found]

    bodies = [request.json() for request in runs.sim.requests if request.path == "/segments/v1/exports"]
    assert ["EventTargetSelectorTok" in body["fields"] for body in bodies] == [found[1] is not None]


@pytest.mark.parametrize("new_fields", ["columns", "custom_vars"])
def test_selectors_in_tokens_of_legacy_bundles_are_a_field_like_any_that_comes_unasked(runs, new_fields):
    runs.sim.events = lambda start, end: [
        click(start),
        {"EventStart": start.isoformat(), "EventTargetSelectorTok": "a"},
    ]
    runs.sim.now, runs.sim.since, runs.sim.bundle, runs.sim.downloads = NOW, MIDNIGHT, 6 * HOUR, None

    runs.load(
        NOW,
        api="data_export",
        base_url=runs.sim.export_url,
        new_fields=new_fields,
        end=MIDNIGHT + 6 * HOUR,
        start=MIDNIGHT,
    )

    kept = [row["CustomVars"] for row in runs.target.rows()]
    if new_fields == "columns":
        assert sorted(selectors(runs), key=str) == [("div.home-features", TOKENS), (None, "a")]
        assert kept == ["{}", "{}"]
    else:
        assert sorted(selectors(runs), key=str) == [("div.home-features", None), (None, None)]
        assert kept == [f'{{"EventTargetSelectorTok":"{TOKENS}"}}', '{"EventTargetSelectorTok":"a"}']


_SPELLED = {
    "duckdb": {"TEXT": "VARCHAR", "DOUBLE PRECISION": "DOUBLE"},
    # `redshiftSchemaMap` in hauser's warehouse/redshift.go, `bigQueryTypeMap` in its warehouse/bigquery.go
    "redshift": {"TEXT": "VARCHAR(MAX)", "DOUBLE PRECISION": "FLOAT"},
    "bigquery": {"BIGINT": "INTEGER", "TEXT": "STRING", "DOUBLE PRECISION": "FLOAT"},
}


def make_hausers(target, columns, sync):
    """Make hauser's tables: column -> type of `HAUSERS`, as hauser calls that type at the destination."""
    spelled = _SPELLED.get(target.kind, {})
    tables = {
        table: {name: spelled.get(kind, kind) for name, kind in of_table.items()}
        for table, of_table in (("fs_export", columns), ("fs_sync", sync))
    }
    if target.kind != "bigquery":
        listed = {table: ", ".join(f"{name} {kind}" for name, kind in made.items()) for table, made in tables.items()}
        make_tables(target, *(f"CREATE TABLE {table} ({columns})" for table, columns in listed.items()))
        return
    client, place = target.server.client(), f"{target.server.project}.{target.dataset}"
    client.create_dataset(place)
    for table, made in tables.items():
        mode = "NULLABLE" if table == "fs_export" else "REQUIRED"  # as Go's `bigquery.InferSchema` has it
        fields = [google.SchemaField(name, kind, mode) for name, kind in made.items()]
        described = google.Table(f"{place}.{table}", fields)
        if table == "fs_export":
            described.time_partitioning = google.TimePartitioning()  # by ingestion time
        client.create_table(described)


SYNC = {"ID": "BIGINT", "Processed": "TIMESTAMP", "BundleEndTime": "TIMESTAMP"}


@pytest.mark.parametrize("target", ["duckdb", "postgres", "redshift", "bigquery"], indirect=True)
def test_a_table_with_hausers_own_types_is_continued_and_keeps_its_types(runs):
    target = runs.target
    make_hausers(target, HAUSERS | {"mine": "INTEGER"}, SYNC)
    before = types_of(target)
    delays = [12, 12.0, 12.5, "7", 0, 2**63, 2**53 + 1]
    runs.sim.events = lambda start, end: [
        click(start, EventFirstInputDelay=delay, EventCumulativeLayoutShift=0.1, PageNumEvents=2**31 - 1 + (delay == 0))
        for delay in delays
    ]

    told = runs.load(NOW, fields="known")

    rows = [{name.lower(): value for name, value in row.items()} for row in target.query("SELECT * FROM fs_export")]
    assert Counter(row.get("eventfirstinputdelay") for row in rows) == Counter([12, 12, None, 7, 0, None, 2**53 + 1])
    too_wide = {"PageNumEvents": 1} if target.kind != "bigquery" else {}  # all of whose integers have 64 bits
    kept = ['{"PageNumEvents":2147483648}' if too_wide else "{}", '{"EventFirstInputDelay":12.5}']
    kept += [f'{{"EventFirstInputDelay":{2**63}}}', *["{}"] * 4]
    assert Counter(row["customvars"] for row in rows) == Counter(kept)
    assert {row["eventcumulativelayoutshift"] for row in rows} == {0.1}
    assert [tally.mismatches for tally in told.tallies.values()] == [{"EventFirstInputDelay": 2, **too_wide}]
    assert before.items() <= types_of(target).items()
    assert len(target.query("SELECT * FROM fs_sync")) == 1


def types_of(target):
    if target.kind == "bigquery":
        return {field.name: field.field_type for field in target.table().schema}
    rows = target.query(
        "SELECT column_name, data_type FROM information_schema.columns"
        f" WHERE table_name = 'fs_export' AND table_schema = '{target.dataset}'"
    )
    return {row["column_name"]: row["data_type"] for row in rows}


@pytest.mark.parametrize("kind", ["DECIMAL(20,0)", "DOUBLE PRECISION", "INTEGER"])
def test_a_sync_table_whose_ids_are_other_numbers_is_continued(runs, kind):
    make_hausers(runs.target, {"EventStart": "TIMESTAMP"}, SYNC | {"ID": kind})
    runs.target.query("INSERT INTO fs_sync VALUES (7, '2024-05-01 01:00:00', '2024-05-01 00:00:00')")
    runs.load(NOW)

    assert [int(row["ID"]) for row in runs.target.sync()] == [7, -1]
    assert {window for window, _ in runs.sim.created()} == {MIDNIGHT}


@pytest.mark.parametrize(
    "answer",
    [
        b'{"error":"gone"}',
        b'{"status":500,"title":"x"}',
        b'{"code":5,"message":"gone"}',
        b"{}",
        b'{"UserId":1}',
        b'{"EventStart":null}',
        b'{"UserEmail":"jane@example.com","code":"x"}',
    ],
)
@pytest.mark.parametrize("target", ["duckdb", "json"], indirect=True)
def test_what_fullstory_says_instead_of_events_becomes_no_rows_and_no_window(runs, answer):
    for body in (answer + b"\n", b"[" + answer + b"]"):
        runs.sim.bodies[MIDNIGHT.isoformat()] = body
        with pytest.raises(CorruptBundleError, match=r"which was asked for|an answer") as refused:
            runs.load(NOW)
        assert "jane" not in str(refused.value)


@pytest.mark.parametrize("target", ["duckdb", "json"], indirect=True)
def test_an_answer_behind_rows_or_in_their_place_becomes_no_window(runs):
    for last in (b'{"error":"half way"}', b'{"detail":"half way","status":500}'):
        runs.sim.bodies[MIDNIGHT.isoformat()] = b'{"EventStart":"2024-05-01T00:00:00Z"}\n' + last
        with pytest.raises(CorruptBundleError, match="row 2 of the bundle is no event"):
            runs.load(NOW)
    runs.sim.bodies[MIDNIGHT.isoformat()] = b""
    with pytest.raises(CorruptBundleError, match="the bundle is empty"):
        runs.load(NOW, export_format="json")


@pytest.mark.parametrize("body", [b"", b"[]]", b'[{"UserId":1},{"UserId":2}]', b'{"error":"no such export"}', b"[{}]"])
def test_legacy_bundles_that_are_none_become_no_rows_and_no_window(runs, body):
    runs.sim.now, runs.sim.since, runs.sim.bundle, runs.sim.downloads = NOW, MIDNIGHT, 6 * HOUR, None
    runs.sim.bodies[MIDNIGHT.isoformat()] = body
    with pytest.raises(HauserError):
        runs.load(NOW, MIDNIGHT, MIDNIGHT + 6 * HOUR, api="data_export", base_url=runs.sim.export_url)

    with duckdb.connect(str(runs.target.database)) as connection:
        assert not connection.sql("SELECT 1 FROM information_schema.tables WHERE table_name = 'fs_export'").fetchall()


def test_legacy_bundles_lose_nul_and_hold_integers_in_quotes(runs):
    runs.sim.now, runs.sim.since, runs.sim.bundle, runs.sim.downloads = NOW, MIDNIGHT, 6 * HOUR, None
    runs.sim.bodies[MIDNIGHT.isoformat()] = (
        b'\xef\xbb\xbf[{"EventStart":"2024-05-01T00:00:00Z","PageAgent":"a\\u0000b","UserId":"9007199254740993",'
        b'"evt_\\u0000a_str":["\\u0000"],"PageNumEvents":"007"}]'
    )
    runs.load(NOW, MIDNIGHT, MIDNIGHT + 6 * HOUR, api="data_export", base_url=runs.sim.export_url)

    (row,) = runs.target.rows()
    assert (row["PageUserAgent"], row["UserId"]) == ("ab", 2**53 + 1)
    assert json.loads(row["CustomVars"]) == {"evt_a_str": [""], "PageNumEvents": "007"}


@pytest.mark.parametrize("target", ["duckdb", "postgres"], indirect=True)
def test_an_unknown_field_goes_into_a_column_of_the_users_own_if_that_can_take_it(runs):
    target = runs.target
    kinds = {"Date": "DATE", "Json": "JSON", "Time": "TIME", "Id": "UUID", "Span": "INTERVAL", "List": "INTEGER[]"}
    kinds |= {"Int": "SMALLINT", "Number": "DECIMAL(6,2)", "Bool": "BOOLEAN", "At": "TIMESTAMP", "Text": "VARCHAR(99)"}
    columns = ", ".join(f"eventnew{name.lower()} {kind}" for name, kind in kinds.items())
    make_tables(target, f"CREATE TABLE fs_export ({columns})")
    fitting = {"Int": 7, "Number": 1.5, "Bool": True, "At": "2024-05-01T00:00:00Z", "Text": "text"}
    sent = [dict.fromkeys(kinds, value) for value in ("2024-05-01", None, 99999)] + [fitting, {}]
    runs.sim.events = lambda start, end: [
        {"EventStart": start.isoformat(), **{f"EventNew{name}": value for name, value in values.items()}}
        for values in sent
    ]
    for now in (NOW, NOW + 6 * HOUR):  # in the second run, dlt knows of the table
        told = runs.load(now)
        mismatches = {f"eventnew{name.lower()}": 2 for name in kinds if name != "Text"}
        (tally,) = told.tallies.values()
        assert {name.lower(): count for name, count in tally.mismatches.items()} == mismatches

    rows = target.query("SELECT * FROM fs_export")
    assert len(rows) == 10
    assert {row["eventnewint"] for row in rows if "eventnewint" in row} == {7}
    assert {float(row["eventnewnumber"]) for row in rows if "eventnewnumber" in row} == {1.5}
    assert {row["eventnewbool"] for row in rows if "eventnewbool" in row} == {True}
    assert Counter(row.get("eventnewtext") for row in rows) == Counter(2 * ["text", "2024-05-01", "99999", None, None])
    for name in ("Date", "Json", "Time", "Id", "Span", "List"):
        assert not [row for row in rows if f"eventnew{name.lower()}" in row]
        kept = [json.loads(row["CustomVars"]).get(f"EventNew{name}") for row in rows]
        assert Counter(kept) == Counter(2 * ["2024-05-01", 99999, None, None, None])


@pytest.mark.parametrize("target", ["postgres"], indirect=True)
def test_postgres_reads_its_numbers_and_all_json_back(runs):
    target = runs.target
    make_tables(
        target,
        'CREATE TABLE "fs_export" ("EventFirstInputDelay" BIGINT, "EventCumulativeLayoutShift" REAL,'
        ' "ReqStatus" SMALLINT, "PageDuration" NUMERIC(10,2), "UserId" NUMERIC(20,0), "PageNumEvents" FLOAT8)',
    )
    numbers = {"EventFirstInputDelay": 12.5, "EventCumulativeLayoutShift": 0.1, "ReqStatus": 40000, "PageDuration": 5}
    texts = {"evt_\0a_str": ["x\0", {"b\0": "\0"}], "evt_b_str": "\\u0000", "EventNew": ["\0"], "PageUrl": "a\0b"}
    more = {"UserId": str(2**53 + 1), "PageNumEvents": 3}
    runs.sim.events = lambda start, end: [{"EventStart": start.isoformat(), **numbers, **texts, **more}]

    runs.load(NOW)

    (row,) = target.query('SELECT *, "CustomVars"::jsonb AS read, "EventNew"::jsonb AS new FROM "fs_export"')
    mismatches = {"EventFirstInputDelay": 12.5, "ReqStatus": 40000}
    assert row["read"] == {"evt_a_str": ["x", {"b": ""}], "evt_b_str": "\\u0000", **mismatches}
    assert (row["new"], row["PageUrl"], row["UserId"], row["PageNumEvents"]) == ([""], "ab", 2**53 + 1, 3)
    assert (row["EventCumulativeLayoutShift"], row["PageDuration"]) == (0.1, 5)
    assert not mismatches.keys() & row.keys()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(texts.map("evt_{}".format), values, max_size=4), min_size=1, max_size=6))
def test_postgres_and_duckdb_read_all_custom_variables_back(server, sent):
    batcher = Batcher(Columns({}), None, {})
    (batch,) = batcher.batches(records(["\n".join(map(write, sent)).encode()]), 100)
    found, expected = batch.column("CustomVars").to_pylist(), [write(without_nul(row)) for row in sent]

    with closing(psycopg2.connect(server.dsn())) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT BOOL_AND(a::jsonb = b::jsonb) FROM UNNEST(%s, %s) pairs (a, b)", (found, expected))
        assert cursor.fetchall() == [(True,)]
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT BOOL_AND(JSON_VALID(a) AND a::JSON IS NOT NULL) FROM UNNEST($1) t (a)", [found]
        )
        assert rows.fetchall() == [(True,)]
