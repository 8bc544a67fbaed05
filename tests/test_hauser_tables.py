"""Tables that the Go hauser has made, of either generation, and the fields that only some of them have."""

import duckdb
import pytest
from targets import HOUR, MIDNIGHT

from hauser_dlt.errors import CorruptBundleError

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


def make_tables(target, *statements):
    """Make a schema and tables on DuckDB or Postgres."""
    schema = f'CREATE SCHEMA "{target.dataset}"'
    if target.kind == "duckdb":
        with duckdb.connect(str(target.database)) as connection:
            for statement in (schema, f'USE "{target.dataset}"', *statements):
                connection.execute(statement)
        return
    for statement in (schema, *statements):
        target.query(statement)


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


# The Go hauser's columns with its types, as its warehouse/schema.go has them: int64 but for those that are named.
_TEXT = """
    UserAppKey UserDisplayName UserEmail EventType EventSubType EventCustomName EventTargetText EventTargetSelector
    EventVarErrorKind EventVarFields EventWebSourceFileUrl PageName PageUrl PageRefererUrl PageIp PageLatLong
    PageUserAgent PageBrowser PageBrowserVersion PageDevice PagePlatform PageOperatingSystem ReqUrl ReqMethod CustomVars
"""
_INT64 = """
    IndvId UserId SessionId PageId EventPageOffset EventSessionOffset EventModFrustrated EventModDead EventModError
    EventModSuspicious EventFirstInputDelay PageDuration PageActiveDuration PageScreenWidth PageScreenHeight
    PageViewportWidth PageViewportHeight PageNumInfos PageNumWarnings PageNumErrors PageClusterId
    PageMaxScrollDepthPercent LoadDomContentTime LoadEventTime LoadFirstPaintTime LoadLargestPaintTime ReqStatus
"""
HAUSERS = {
    **dict.fromkeys(_INT64.split(), "BIGINT"),
    **dict.fromkeys(_TEXT.split(), "TEXT"),
    **dict.fromkeys(["UserCreated", "EventStart", "SessionStart", "PageStart"], "TIMESTAMP"),
    "EventCumulativeLayoutShift": "DOUBLE PRECISION",
    **dict.fromkeys(["PageNumEvents", "PageNumDerivedEvents"], "INTEGER"),
}


def test_a_table_with_hausers_own_types_is_continued_and_keeps_its_types(runs):
    target = runs.target
    columns = ", ".join(f"{name.lower()} {kind}" for name, kind in HAUSERS.items())
    sync = "id BIGINT, processed TIMESTAMP, bundleendtime TIMESTAMP"
    make_tables(target, f"CREATE TABLE fs_export ({columns}, mine SMALLINT)", f"CREATE TABLE fs_sync ({sync})")
    delays = [12, 12.0, 12.5, "7", 0]
    runs.sim.events = lambda start, end: [
        click(start, EventFirstInputDelay=delay, EventCumulativeLayoutShift=0.1, PageNumEvents=3) for delay in delays
    ]

    told = runs.load(NOW, fields="known")

    rows = sorted(target.query("SELECT * FROM fs_export"), key=str)
    assert sorted(row.get("eventfirstinputdelay", -1) for row in rows) == [-1, -1, 0, 12, 12]
    kept = sorted(row["customvars"] for row in rows)
    assert kept == ['{"EventFirstInputDelay":"7"}', '{"EventFirstInputDelay":12.5}', "{}", "{}", "{}"]
    assert {row["eventcumulativelayoutshift"] for row in rows} == {0.1}
    assert [tally.misfits for tally in told.tallies.values()] == [{"EventFirstInputDelay": 2}]
    types = target.query("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'fs_export'")
    found = {row["column_name"]: row["data_type"] for row in types}
    spelled = {"TEXT": "VARCHAR", "DOUBLE PRECISION": "DOUBLE"}
    assert {name: found[name.lower()] for name in HAUSERS} == {n: spelled.get(k, k) for n, k in HAUSERS.items()}


@pytest.mark.parametrize(
    "answer",
    [
        b'{"error":"gone"}',
        b'{"status":500,"title":"x"}',
        b'{"code":5,"message":"gone"}',
        b"{}",
        b'{"UserId":1}',
        b'{"EventStart":null}',
    ],
)
@pytest.mark.parametrize("target", ["duckdb", "json"], indirect=True)
def test_what_fullstory_says_instead_of_events_becomes_no_rows_and_no_window(runs, answer):
    for body in (answer + b"\n", b"[" + answer + b"]"):
        runs.sim.bodies[MIDNIGHT.isoformat()] = body
        with pytest.raises(CorruptBundleError, match=r"which was asked for|an answer"):
            runs.load(NOW)
    for last in (b'{"error":"half way"}', b'{"detail":"half way","status":500}'):
        runs.sim.bodies[MIDNIGHT.isoformat()] = b'{"EventStart":"2024-05-01T00:00:00Z"}\n' + last
        with pytest.raises(CorruptBundleError, match="row 2 of the bundle is no event"):
            runs.load(NOW)
    runs.sim.bodies[MIDNIGHT.isoformat()] = b""
    with pytest.raises(CorruptBundleError, match="the bundle is empty"):
        runs.load(NOW, export_format="json")


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
    misfits = {"EventFirstInputDelay": 12.5, "ReqStatus": 40000}
    assert row["read"] == {"evt_a_str": ["x", {"b": ""}], "evt_b_str": "\\u0000", **misfits}
    assert (row["new"], row["PageUrl"], row["UserId"], row["PageNumEvents"]) == ([""], "ab", 2**53 + 1, 3)
    assert (row["EventCumulativeLayoutShift"], row["PageDuration"]) == (0.1, 5)
    assert not misfits.keys() & row.keys()
