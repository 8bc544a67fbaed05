"""Columns on request, made of custom variables and of session ids, and what is dropped before anything is written."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.reading import read
from hauser_dlt.config.run_settings import BigQuerySettings, RedshiftSettings, RunSettings, SnowflakeSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ConfigError, ExportError
from hauser_dlt.exports.segment_exports import export_fields
from hauser_dlt.exports.segments import segment
from hauser_dlt.fields import CUSTOM_VARS, KNOWN
from hauser_dlt.records import replay_urls
from hauser_dlt.records.batches import Batcher
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.deny_list import Denylist
from hauser_dlt.records.json_stream import records
from hauser_dlt.source import connections
from support.destinations import HOUR, MIDNIGHT
from support.shell import Shell

NOW = MIDNIGHT + 30 * HOUR  # one window has settled

in_each_way = pytest.mark.parametrize(
    "target", ["duckdb", "csv", "redshift", pytest.param("snowflake", marks=pytest.mark.slow)], indirect=True
)
BASE = "https://app.fullstory.com/ui/o-SIM-na1/session/"


def load(*events, custom=None, drop=(), drop_fields=(), start="", kinds=KNOWN):
    """Return the rows of events given as JSON, and the tally."""
    columns = Columns(kinds, custom=custom or {}, replays=bool(start), drops=Denylist(drop, drop_fields, kinds).drops)
    batcher = Batcher(columns, None, {}, replays=start)
    read = records(["\n".join(events).encode()])
    rows = [row for batch in batcher.batches(read, 1000) for row in batch.to_pylist()]
    return rows, batcher.tally


def settings_of(**given):
    return read(SourceSettings, {k: (v, "a file") for k, v in ({"api_token": "x"} | given).items()}.get)


@in_each_way
def test_the_columns_are_there_wherever_events_go_and_after_tables_were_made_without_them(runs):
    runs.sim.events = lambda start, end: [
        {
            "EventStart": start.isoformat(),
            "UserId": 2**60 + 1,
            "SessionId": 2**61 + 1,
            "UserEmail": "someone",
            "user_plan_str": "gold",
            "evt_order.total_real": 19.50,
            "evt_sizes_ints": [1, 2],
            "user_Token_str": "secret",
        },
        {"EventStart": start.isoformat(), "UserId": 5, "evt_order.total_real": "free"},
    ]
    runs.load(NOW)
    told = runs.load(
        NOW + 6 * HOUR,
        custom_columns={"user_plan_str": "text", "evt_order.total_real": "float", "evt_sizes_ints": "text"},
        session_replay_url=True,
        drop_custom_vars=["*token*"],
        drop_fields=["useremail"],
    )

    first, second = ([row for row in rows_of(runs) if row["_hauser_window"] == MIDNIGHT + n * 6 * HOUR] for n in (0, 1))
    assert {row.get("UserEmail") for row in first} == {"someone", None}
    known, other = sorted(second, key=lambda row: row["UserId"], reverse=True)
    assert (known["user_plan_str"], float(known["evt_order_total_real"])) == ("gold", 19.5)
    assert known["evt_sizes_ints"] == "[1,2]"
    assert known["SessionReplayUrl"] == f"{BASE}{2**60 + 1}%3A{2**61 + 1}"
    assert json.loads(known[CUSTOM_VARS]) == {
        "user_plan_str": "gold",
        "evt_order.total_real": 19.5,
        "evt_sizes_ints": [1, 2],
    }
    assert not {"SessionReplayUrl", "user_plan_str", "evt_order_total_real"} & other.keys()
    assert json.loads(other[CUSTOM_VARS]) == {"evt_order.total_real": "free"}
    assert [dict(tally.mismatches) for tally in told.tallies.values()] == [{"evt_order.total_real": 1}]
    assert not [row for row in second if "UserEmail" in row or "secret" in str(row)]


def rows_of(runs):
    names = {"sessionreplayurl": "SessionReplayUrl"}
    return [{names.get(name, name): value for name, value in row.items()} for row in runs.target.rows()]


def test_when_a_custom_column_is_given_up_its_variable_is_in_custom_vars_as_ever(runs):
    runs.sim.events = lambda start, end: [{"EventStart": start.isoformat(), "user_plan_str": "gold"}]
    runs.load(NOW, custom_columns={"user_plan_str": "text"}, session_replay_url=True)
    runs.load(NOW + 6 * HOUR)

    assert [(row.get("user_plan_str"), row[CUSTOM_VARS]) for row in sorted(runs.target.rows(), key=str)] == [
        ("gold", '{"user_plan_str":"gold"}'),
        (None, '{"user_plan_str":"gold"}'),
    ]


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("any", '"a\\u0000b"', "ab"),
        ("any", "19.90", "19.90"),
        ("any", "123456789012345678901234567890", "123456789012345678901234567890"),
        ("any", '["a", 1.0]', '["a",1.0]'),
        ("int", "9007199254740993", 9007199254740993),
        ("int", "1.0", None),
        ("int", '"9007199254740993"', 9007199254740993),
        ("int", '"007"', None),
        ("float", "19.90", 19.9),
        ("float", '"19.90"', None),
        ("bool", "true", True),
        ("bool", "1", None),
        ("int", "null", None),
    ],
)
def test_a_custom_variable_that_fits_its_column_stands_there_exactly(kind, written, value):
    rows, tally = load(f'{{"user_x":{written}}}', '{"user_X":1}', custom={"user_x": kind})

    assert [row["user_x"] for row in rows] == [value, None]
    assert tally.mismatches == ({"user_x": 1} if value is None and written != "null" else {})
    kept = written.replace(", ", ",").replace("\\u0000", "")
    assert rows[0][CUSTOM_VARS] == f'{{"user_x":{kept}}}'


def test_a_field_of_fullstorys_that_is_called_like_the_links_is_a_custom_variable():
    rows, _ = load('{"UserId":1,"SessionId":2,"SessionReplayUrl":"theirs"}', start=BASE)

    assert rows[0]["SessionReplayUrl"] == f"{BASE}1%3A2"
    assert rows[0][CUSTOM_VARS] == '{"SessionReplayUrl":"theirs"}'


@pytest.mark.parametrize(
    ("base_url", "org", "begin"),
    [
        ("https://api.fullstory.com", "o-1-na1", "https://app.fullstory.com/ui/o-1-na1/session/"),
        ("https://api.eu1.fullstory.com", "o-1-eu1", "https://app.eu1.fullstory.com/ui/o-1-eu1/session/"),
        ("https://api.fullstory.com", "o-1-eu1", "https://app.eu1.fullstory.com/ui/o-1-eu1/session/"),
        ("https://api.eu1.fullstory.com", "1", "https://app.eu1.fullstory.com/ui/1/session/"),
        ("https://export.fullstory.com/api/v1", "1", "https://app.fullstory.com/ui/1/session/"),
        ("http://127.0.0.1:8080", "o-1-eu1", "https://app.eu1.fullstory.com/ui/o-1-eu1/session/"),
        ("https://fullstory.com.example", "a/b", "https://app.fullstory.com/ui/a%2Fb/session/"),
    ],
)
def test_links_lead_to_the_accounts_own_region(base_url, org, begin):
    assert replay_urls.beginning({"orgId": org}, base_url) == begin


def test_without_an_account_there_are_no_links():
    with pytest.raises(ExportError, match="session_replay_url"):
        replay_urls.beginning({"orgId": None}, "https://api.fullstory.com")
    assert replay_urls.links("", pa.array([1]), pa.array([2])).to_pylist() == [None]


@pytest.mark.parametrize("api", ["segment_export", "data_export"])
def test_whichever_api_is_used_the_account_is_asked_for_once(runs, api):
    base_url = runs.sim.export_url if api == "data_export" else runs.sim.url
    runs.sim.now, runs.sim.downloads, runs.sim.bundle = NOW, None, 6 * HOUR
    runs.load(NOW + 18 * HOUR, api=api, base_url=base_url, session_replay_url=True)

    assert len([request for request in runs.sim.requests if request.path == "/me"]) == 1
    rows = runs.target.rows()
    assert {row["SessionReplayUrl"] for row in rows} == {f"{BASE}{row['UserId']}%3A{row['SessionId']}" for row in rows}


@pytest.mark.parametrize(
    ("key", "base_url", "host"),
    [
        ("na1.k", "", "api.fullstory.com"),
        ("eu1.k", "", "api.eu1.fullstory.com"),
        ("eu1.k", "https://export.fullstory.com/api/v1", "api.eu1.fullstory.com"),
        ("k", "https://export.eu1.fullstory.com/api/v1", "api.eu1.fullstory.com"),
        ("eu1.k", "https://proxy.example/api/v1", "proxy.example"),
    ],
)
def test_todays_api_is_found_beside_the_one_of_data_exports(key, base_url, host):
    read = settings_of(api="data_export", api_token=key, base_url=base_url)

    assert connections.api_client(read, lambda _: None).base_url == f"https://{host}"
    # FullStory documents one address of the legacy API, for all regions
    assert connections.client(read, lambda _: None).base_url == (base_url or "https://export.fullstory.com/api/v1")


@pytest.mark.parametrize(
    ("key", "base_url", "address"),
    [
        ("eu1.k", "", "https://api.eu1.fullstory.com"),
        ("na1.k", "", "https://api.fullstory.com"),
        ("eu1.k", "https://api.fullstory.com", "https://api.fullstory.com"),
        ("na1.k", "https://proxy.example/x", "https://proxy.example/x"),
    ],
)
def test_the_key_tells_the_region_and_base_url_overrides_it(key, base_url, address):
    read = settings_of(api_token=key, base_url=base_url)

    assert (
        connections.client(read, lambda _: None).base_url
        == connections.api_client(read, lambda _: None).base_url
        == address
    )


def test_what_is_dropped_is_nowhere_whatever_its_case_and_its_like():
    secret = "hunter2"
    rows, tally = load(
        f'{{"user_Pass.word_str":"{secret}","PageIp":"{secret}","pageip":"{secret}","a_b":1.50,"PageAgent":"{secret}"}}',
        f'{{"EventNewToken":"{secret}","user_\\u0050ass.word_str":"{secret}","PageIp":7,"UserEmail":"x"}}',
        drop=["*PASS*", "eventnew*"],
        drop_fields=["pageIP", "PageUserAgent"],
    )

    assert secret not in str(rows)
    assert "7" not in str(rows)
    assert [row[CUSTOM_VARS] for row in rows] == ['{"a_b":1.50}', "{}"]
    assert rows[1]["UserEmail"] == "x"
    assert "EventNewToken" not in rows[1]
    assert not tally.mismatches


def test_names_of_fields_are_not_dropped_by_patterns_of_variables_nor_the_other_way():
    rows, _ = load('{"PageUrl":"u","page_url_str":"v"}', drop=["PageUrl"], drop_fields=["page_url*"])

    assert rows[0]["PageUrl"] == "u"
    assert rows[0][CUSTOM_VARS] == '{"page_url_str":"v"}'


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["PageUrl", "pageurl", "a", "A", "b_str", "EventNew"]), st.integers(0, 3)),
        min_size=1,
        max_size=6,
    ),
    st.sets(st.sampled_from(["a", "b*", "eventnew", "pageurl"])),
)
def test_dropping_while_reading_is_as_good_as_dropping_before(events, patterns):
    drops = Denylist(patterns, ["event*"], KNOWN).drops
    before = [{key: value for key, value in event.items() if not drops(key)} for event in events]

    rows, tally = load(*map(json.dumps, events), drop=patterns, drop_fields=["event*"])
    expected, other = load(*map(json.dumps, before))
    assert (rows, tally) == (expected, other)


def test_what_is_dropped_is_not_even_asked_for():
    asked = export_fields(settings_of(drop_fields=["User*"], drop_custom_vars=["user_?"]))

    assert "PageUrl" in asked
    assert "user_*" in asked
    assert not [name for name in asked if name.startswith("User")]


def test_of_any_number_of_dropped_names_none_slips_through(monkeypatch):
    monkeypatch.setattr("hauser_dlt.records.batches._MEMO", 4)
    monkeypatch.setattr("hauser_dlt.records.batches._SLICE", 3)
    events = [
        {"PageUrl": 7 if number % 2 else "u"} | {f"secret{number + n}": 1 for n in range(6)} for number in range(20)
    ]
    rows, _ = load(*map(json.dumps, events), drop=["secret*"])

    assert [row[CUSTOM_VARS] for row in rows] == ["{}", '{"PageUrl":7}'] * 10


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"custom_columns": {"PageUrl": "text"}}, "extra_fields"),
        ({"custom_columns": {"user_a": "decimal"}}, "with types text, int"),
        ({"custom_columns": {"user_a.b": "int", "user_A_b": "int"}}, "differ"),
        ({"custom_columns": {"_dlt_load_id": "text"}}, "allowed is"),
        ({"custom_columns": {"1": "text"}}, "allowed is"),
        ({"custom_columns": ["user_a"]}, "allowed is"),
        ({"custom_columns": {"user_a": ["int"]}}, "allowed is"),
        ({"custom_columns": "user_a"}, "allowed is"),
        ({"custom_columns": {"user_a": "int"}, "extra_fields": {"USER_A": "int"}}, "extra_fields"),
        ({"custom_columns": {"user_a": "int"}, "drop_custom_vars": "user_*"}, "choose one"),
        ({"drop_fields": ["Event*"]}, "EventStart"),
        ({"drop_fields": ["Indv*"], "individuals": True}, "IndvId"),
        ({"drop_custom_vars": [1]}, "a list of names"),
        ({"session_replay_url": "maybe"}, "true or false"),
    ],
)
def test_settings_that_cannot_be_kept_are_refused_in_one_line(wrong, said):
    with pytest.raises(ConfigError) as refused:
        settings_of(**wrong)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_names_may_stand_in_a_list_in_json_or_with_commas():
    spelled = (["a", "b*"], '["a", "b*"]', "a, b*")
    assert {settings_of(drop_custom_vars=names).drop_custom_vars for names in spelled} == {("a", "b*")}
    assert settings_of(custom_columns='{"user_a.b": "int"}').custom_columns == {"user_a.b": "int"}


@pytest.mark.parametrize("name", ["custom_columns", "session_replay_url", "drop_custom_vars", "drop_fields"])
def test_fullstorys_own_bytes_are_not_offered_with_what_alters_them(name):
    given = {"custom_columns": {"a_b": "int"}, "session_replay_url": True}.get(name, ["a"])
    of_destinations = [read(kind, {}.get) for kind in (RedshiftSettings, BigQuerySettings, SnowflakeSettings)]
    to = {"file_format": ("json", ""), "destination": ("filesystem", "")}
    with pytest.raises(ConfigError, match=f"own bytes, where {name} can do nothing"):
        Configuration(settings_of(**{name: given}), read(RunSettings, to.get), *of_destinations)

    to = {"file_format": ("json", "")}
    Configuration(settings_of(**{name: given}), read(RunSettings, to.get), *of_destinations)


@pytest.fixture
def shell(runs, tmp_path):
    """The command, with two windows to load."""
    shell = Shell(tmp_path, runs.sim)
    start = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%d")
    shell.environ |= {"SOURCES__FULLSTORY__START_TIME": start, "SOURCES__FULLSTORY__EXPORT_DURATION": "24h"}
    return shell


def test_check_tells_of_segment_links_and_columns(shell):
    shell("run")
    on = {"SOURCES__FULLSTORY__SESSION_REPLAY_URL": "true", "SOURCES__FULLSTORY__SEGMENT_ID": "on-phones"}
    shown = shell("check", "--set", 'custom_columns={"user_plan_str": "text"}', **on)

    assert "segment      on-phones (On phones)" in shown
    assert f"replays      {BASE}" in shown
    assert "would get the columns user_plan_str, SessionReplayUrl" in shown


@pytest.mark.parametrize("wanted", ["nobody", "on:phones", "a+b"])
def test_a_segment_that_is_not_there_is_named_and_none_is_listed_for_it(sim, wanted):
    read = settings_of(base_url=sim.url, api_token=sim.token, segment_id=wanted)
    with pytest.raises(ConfigError, match=r"FullStory knows no such segment .*its id stands in the segment's address"):
        segment(connections.api_client(read, lambda _: None), read)

    assert [request.path for request in sim.requests] == [f"/segments/v1/{quote(wanted, safe='')}"]


def test_a_run_with_a_segment_that_is_not_there_ends_at_once(runs):
    with pytest.raises(ConfigError, match=r"^segment_id = 'nobody': FullStory knows no such segment"):
        runs.load(NOW + 40 * 24 * HOUR, segment_id="nobody")

    assert len(runs.sim.created()) <= 4  # side by side


def test_the_command_tells_of_individuals_in_a_line_and_fails_in_one(shell):
    with_people = ("run", "--set", "individuals=true", "--set", "segments=true")
    *_, people, segments = shell(*with_people).splitlines()
    assert people.startswith("loaded fs_individuals: 400 rows (load ")
    assert segments.startswith("loaded fs_segments: 3 rows (load ")

    shell.sim.role = "USER"
    (line,) = shell(*with_people, "--json", HAUSER__SNAPSHOTS_EVERY="0", code=2).splitlines()
    assert json.loads(line)["table"] == "fs_segments"
    assert shell.err.splitlines()[-1].startswith("Error: fs_individuals: FullStory refuses the API key")
