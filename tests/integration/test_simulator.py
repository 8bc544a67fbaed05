"""The simulator is the ground of all other tests, so it has tests of its own: with a real client, on real sockets."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from hauser_dlt.simulator import Account, Fault, Simulator
from hauser_dlt.simulator.events import RawNumber, encode
from hauser_dlt.simulator.selectors import tokens
from hauser_dlt.simulator.server import ROUTES
from hauser_dlt.simulator.world import Quota

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SMALL = Account(events_per_hour=20)

# FullStory's own lists: fullstorydev/fullstory-anywhere-activation, projects/sdk/src/segment-export.ts, which says the
# same as https://developer.fullstory.com/server/v1/segments/export-event-types/, .../export-event-sub-types, and
# .../export-fields/.
EVENT_TYPES = {
    "abandon", "backgrounded", "change", "click", "click_error", "console_message", "copy", "crashed",
    "cumulative_layout_shift", "custom", "custom_error", "exception", "first_input_delay", "highlight",
    "keyboard_close", "keyboard_open", "load", "low_memory", "navigate", "pageview", "paste", "pinch_gesture",
    "request", "seen", "seen_error", "thrash",
}  # fmt: skip
SUBTYPES = {
    "navigate": "navigate", "reload": "navigate", "back_forward": "navigate",
    "pinch_scale_in": "pinch_gesture", "pinch_scale_out": "pinch_gesture",
    "error": "console_message", "rendered": "seen", "visible": "seen", "uncaught": "exception",
}  # fmt: skip
FIELDS_OF = {
    "LoadDomContentTime": ["load"],
    "LoadEventTime": ["load"],
    "LoadFirstPaintTime": ["load"],
    "LoadLargestPaintTime": ["load"],
    "ReqUrl": ["request"],
    "ReqMethod": ["request"],
    "ReqStatus": ["request"],
    "PageMaxScrollDepthPercent": ["navigate"],
    "EventCumulativeLayoutShift": ["cumulative_layout_shift"],
    "EventFirstInputDelay": ["first_input_delay"],
    "EventWebSourceFileUrl": ["exception"],
    "EventMobileSourceFile": ["exception"],
    "EventDuration": ["seen"],
    "EventSecondaryDuration": ["seen"],
    "EventVarErrorKind": ["click_error", "custom_error", "seen_error"],
    "EventCustomName": ["custom", "custom_error"],
    "EventModFrustrated": ["click"],
    "EventModDead": ["click"],
    "EventModError": ["click"],
    "EventModSuspicious": ["change", "navigate"],
}
MARKS = {name: set(types) for name, types in FIELDS_OF.items() if name.startswith("EventMod")}


class Client:
    """What a client of FullStory does, and no more: no retries, no redirects."""

    def __init__(self, sim: Simulator, token: str | None = None) -> None:
        self.sim = sim
        self.http = requests.Session()
        self.headers = {"Authorization": f"Basic {token or sim.token}"}

    def get(self, path: str, **query: Any) -> requests.Response:
        """Ask the API."""
        return self.http.get(self.sim.url + path, params=query, headers=self.headers, timeout=5, allow_redirects=False)

    def post(self, path: str, body: Any = None) -> requests.Response:
        """Tell the API."""
        return self.http.post(self.sim.url + path, json=body, headers=self.headers, timeout=5, allow_redirects=False)

    def create(self, start: datetime = NOON, end: datetime | None = None, **more: Any) -> requests.Response:
        """Ask for an export of a window."""
        interval = {"start": start.isoformat(), "end": (end or start + HOUR).isoformat()}
        body = {"segmentId": "everyone", "type": "TYPE_EVENT", "format": "FORMAT_NDJSON"}
        return self.post("/segments/v1/exports", body | {"timeRange": interval, "segmentTimeRange": interval} | more)

    def location(self, **create: Any) -> str:
        """Return the signed link of a new export."""
        operation = self.get(f"/operations/v1/{self.create(**create).json()['operationId']}").json()
        export = operation["results"]["searchExportId"]
        return str(self.get(f"/search/v1/exports/{export}/results").json()["location"])

    def file(self, **create: Any) -> bytes:
        """Return the file of a new export as it lies in storage."""
        response = self.http.get(self.location(**create), timeout=5, stream=True)
        assert response.status_code == 200
        return bytes(response.raw.read(decode_content=False))

    def rows(self, **create: Any) -> list[dict[str, Any]]:
        """Return the rows of a new NDJSON export."""
        return [json.loads(line) for line in gzip.decompress(self.file(**create)).splitlines()]

    def legacy(self, call: str, **query: Any) -> requests.Response:
        """Ask the legacy API."""
        return self.get(f"/api/v1/export/{call}", **query)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(SMALL) as simulator:
        yield simulator


@pytest.fixture
def client(sim: Simulator) -> Client:
    return Client(sim)


def as_sent(account: Account, start: datetime = NOON, end: datetime = NOON + HOUR) -> list[dict[str, Any]]:
    return [json.loads(encode(event)) for event in account.events(start, end)]


# Events


@given(
    cuts=st.lists(st.integers(0, 3 * 3_600_000), max_size=4),
    seed=st.integers(0, 3),
    busy=st.sampled_from([1, 30, 300]),
)
@settings(max_examples=25, deadline=None)
def test_events_do_not_depend_on_how_the_stretch_is_cut(cuts: list[int], seed: int, busy: int) -> None:
    account = Account(seed=seed, events_per_hour=busy)
    edges = [NOON + timedelta(milliseconds=cut) for cut in sorted([0, *cuts, 3 * 3_600_000])]
    pieces = [event for start, end in pairwise(edges) for event in account.events(start, end)]

    assert pieces == list(Account(seed=seed, events_per_hour=busy).events(edges[0], edges[-1]))


def test_an_event_on_the_edge_belongs_to_the_window_that_starts_there() -> None:
    event = next(SMALL.events(NOON, NOON + HOUR))
    edge = datetime.fromisoformat(event["EventStart"])

    assert event not in SMALL.events(edge - HOUR, edge)
    assert next(SMALL.events(edge, edge + HOUR)) == event
    assert event not in SMALL.events(edge + timedelta(microseconds=1), edge + HOUR)


@pytest.fixture(scope="module")
def busy_hour() -> list[dict[str, Any]]:
    return list(Account(events_per_hour=3000).events(NOON, NOON + HOUR))


def test_events_come_in_time_order_with_times_as_fullstory_writes_them(busy_hour: list[dict[str, Any]]) -> None:
    times = [event["EventStart"] for event in busy_hour]

    assert [datetime.fromisoformat(at) for at in times] == sorted(map(datetime.fromisoformat, times))
    assert all(re.fullmatch(r"2024-05-01T12:\d\d:\d\d(\.\d{3})?Z", at) for at in times)
    assert not any(at.endswith(".000Z") for at in times)
    assert any("." not in at for at in times)


def test_events_look_like_fullstorys(busy_hour: list[dict[str, Any]]) -> None:
    events, keys = busy_hour, set().union(*busy_hour)
    text = "".join(value for event in events for value in event.values() if isinstance(value, str))

    assert all(event["UserId"] > 2**53 and event["UserId"] % 2 for event in events)
    assert set('\n",🦊カО') <= set(text)
    assert "" in {event["UserEmail"] for event in events}
    assert {"acct_adminDisabled_bool", "user_plan_str", "evt_order.total_real", "page_section_str"} <= keys
    assert {sum("_" in key for key in event) for event in events} >= {0, 1, 12}
    assert max(sum("_" in key for key in event) for event in events) == 12
    assert None not in [value for event in events for value in event.values()]
    assert 1000 < sum(len(encode(event)) for event in events) / len(events) < 1400


@pytest.fixture(scope="module")
def everything() -> list[dict[str, Any]]:
    """An hour with every type of event, on the web and in apps."""
    return list(Account(events_per_hour=12_000, mobile_apps=True).events(NOON, NOON + HOUR))


def of_type(events: list[dict[str, Any]], *types: str) -> list[dict[str, Any]]:
    return [event for event in events if event["EventType"] in types]


def pages(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the events of each page, in time order."""
    found: dict[tuple[int, ...], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        found[event["UserId"], event["SessionId"], event["PageId"]].append(event)
    return list(found.values())


def test_every_documented_type_and_subtype_is_sent_and_no_other(everything: list[dict[str, Any]]) -> None:
    assert {event["EventType"] for event in everything} == EVENT_TYPES
    assert {event["EventSubType"]: event["EventType"] for event in everything if "EventSubType" in event} == SUBTYPES


def test_fields_come_with_the_events_that_they_are_documented_for(everything: list[dict[str, Any]]) -> None:
    found = defaultdict(set)
    for event in everything:
        for key in event:
            found[key].add(event["EventType"])

    assert {field: found[field] for field in FIELDS_OF} == {field: set(types) for field, types in FIELDS_OF.items()}


def test_a_page_begins_with_a_navigate_and_ends_with_its_pageview(everything: list[dict[str, Any]]) -> None:
    for page in pages(everything):
        types = [event["EventType"] for event in page]
        assert types.count("pageview") == 1
        assert types[-1] == "pageview" or page[-1]["EventStart"] == of_type(page, "pageview")[0]["EventStart"]
        assert len(page) == 1 or types[0] == "navigate"


def test_totals_of_messages_run_and_other_totals_of_a_page_do_not(everything: list[dict[str, Any]]) -> None:
    seen = set()
    for page in pages(everything):
        for name in ("PageNumInfos", "PageNumWarnings", "PageNumErrors"):
            counts = [event[name] for event in page]
            assert counts == sorted(counts)
            seen |= {name} if counts[0] < counts[-1] else set()
        assert page[-1]["PageNumErrors"] == len(of_type(page, "console_message", "exception"))
        for name in ("PageDuration", "PageActiveDuration", "PageNumEvents", "PageNumDerivedEvents", "PageStart"):
            assert len({event[name] for event in page}) == 1
        assert page[0]["PageNumEvents"] == len(page)
        assert page[0]["PageActiveDuration"] <= page[0]["PageDuration"]
    assert len(seen) == 3


def test_rage_clicks_count_on_within_their_series(everything: list[dict[str, Any]]) -> None:
    lengths = []
    for page in pages(everything):
        clicks = [event for event in page if event.get("EventModFrustrated")]
        numbers = [event["EventModFrustrated"] for event in clicks]
        assert not numbers or numbers[0] == 1
        assert all(later in (1, number + 1) for number, later in pairwise(numbers))
        for click, later in pairwise(clicks):
            if later["EventModFrustrated"] > 1:
                assert later["EventTargetSelector"] == click["EventTargetSelector"]
                assert 0 <= later["EventPageOffset"] - click["EventPageOffset"] <= 200
        lengths += numbers

    assert max(lengths) > 4
    assert all(event.get("EventModFrustrated") is None for event in everything if event["EventType"] != "click")


def test_marks_have_the_documented_values_and_are_absent_elsewhere(everything: list[dict[str, Any]]) -> None:
    values = {name: {event[name] for event in everything if name in event} for name in MARKS}

    assert {name: found for name, found in values.items() if name != "EventModFrustrated"} == {
        "EventModDead": {1}, "EventModError": {1, 2, 3}, "EventModSuspicious": {1, 2},
    }  # fmt: skip


def test_zeros_can_stand_where_a_mark_says_nothing(everything: list[dict[str, Any]]) -> None:
    account = Account(events_per_hour=12_000, mobile_apps=True, zeros=True)
    events = list(account.events(NOON, NOON + HOUR))

    assert [{key: event[key] for key in event if event[key] != 0 or key not in MARKS} for event in events] == everything
    for name, types in MARKS.items():
        assert {event["EventType"] for event in events if name in event} == types
        assert all(name in event for event in of_type(events, *types))


def test_what_was_watched_says_how_long_it_was_rendered_and_visible(everything: list[dict[str, Any]]) -> None:
    for event in of_type(everything, "seen"):
        if event["EventSubType"] == "visible":
            assert 0 < event["EventSecondaryDuration"] <= event["EventDuration"]
        else:
            assert event["EventDuration"] > 0
            assert "EventSecondaryDuration" not in event


def test_reloads_and_steps_back_lead_to_pages_that_were_seen_before(everything: list[dict[str, Any]]) -> None:
    sessions = defaultdict(list)
    for page in pages(everything):
        sessions[page[0]["UserId"], page[0]["SessionId"]].append(page[0])
    for first in sessions.values():
        urls = [event.get("PageUrl") for event in first]
        for number, event in enumerate(first):
            if event.get("EventSubType") == "reload":
                assert urls[number] == urls[number - 1]
            if event.get("EventSubType") == "back_forward":
                assert urls[number] in urls[:number]


def test_ids_can_be_text_and_are_numbers_else() -> None:
    numbers, texts = (list(Account(text_ids=value).events(NOON, NOON + HOUR)) for value in (False, True))

    ids = ("UserId", "SessionId", "PageId")
    assert [{**event, **{key: int(event[key]) for key in ids}} for event in texts] == numbers
    assert {type(event[key]) for event in texts for key in ids} == {str}
    assert {type(event["IndvId"]) for event in texts} == {int}


def test_different_users_can_have_the_same_session_and_page_ids() -> None:
    events = list(Account(shared_ids=True).events(NOON, NOON + HOUR))
    users = {(event["UserId"], event["SessionId"]) for event in events}
    starts = {(event["UserId"], event["SessionId"], event["SessionStart"]) for event in events}

    assert len({session for _, session in users}) < len(users) / 2
    assert len({event["PageId"] for event in events}) < len(pages(events)) / 2
    assert len(starts) == len(users)


def test_some_individuals_are_several_users(busy_hour: list[dict[str, Any]]) -> None:
    users = defaultdict(set)
    for event in busy_hour:
        users[event["IndvId"], event["UserAppKey"]].add(event["UserId"])

    assert max(map(len, users.values())) == 2
    assert all(users[key] == {key[0]} for key in users if not key[1])


def claims(heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading of the page that has the source of each claim."""
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    lines = page.split(f"\n## {heading}\n")[1].strip().split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines[2:]]


def test_each_call_type_and_field_has_a_source_beside_its_claim(everything: list[dict[str, Any]]) -> None:
    calls, types, fields = (claims(heading) for heading in ("Calls", "Types and subtypes of events", "Fields"))
    sent: dict[str, set[str]] = {event["EventType"]: set() for event in everything}
    for event in everything:
        sent[event["EventType"]] |= {event["EventSubType"]} if "EventSubType" in event else set()

    assert {row[0].strip("`") for row in calls} == {route.endpoint for route in ROUTES}
    assert {row[0].strip("`"): set(re.findall(r"\w+", row[1])) for row in types} == sent
    described = {row[0].strip("`") for row in fields}
    assert not [name for name in FIELDS_OF if name not in described and not name.startswith(("Load", "Req"))]
    assert all(len(row) >= 3 and row[-1] for row in [*calls, *types, *fields])


def test_nights_are_quieter_than_days() -> None:
    account = Account(events_per_hour=500)
    night, day = (sum(1 for _ in account.events(NOON + at, NOON + at + HOUR)) for at in (-9 * HOUR, 0 * HOUR))

    assert night * 3 < day


def test_numbers_go_out_as_they_are_spelled() -> None:
    event = {"evt_a_real": RawNumber("19.90"), "evt_b_ints": [RawNumber("1234567890123456789012345")], "c": "19.90"}

    assert encode(event) == b'{"evt_a_real":19.90,"evt_b_ints":[1234567890123456789012345],"c":"19.90"}'


# The Segment Export API


def test_an_export_has_the_events_of_its_window(sim: Simulator, client: Client) -> None:
    assert client.rows() == as_sent(SMALL)
    assert sim.created() == [(NOON, NOON + HOUR)]


@pytest.mark.parametrize("layout", ["lines", "compact", "pretty"])
def test_a_json_array_has_the_same_rows_in_every_layout(sim: Simulator, client: Client, layout: Any) -> None:
    sim.json_layout = layout
    text = gzip.decompress(client.file(format="FORMAT_JSON"))

    assert json.loads(text) == as_sent(SMALL)
    assert text.startswith({"lines": b'[\n{"', "compact": b'[{"', "pretty": b'[\n  {\n    "'}[layout])


@pytest.mark.parametrize("format_", ["FORMAT_JSON", "FORMAT_NDJSON"])
@pytest.mark.parametrize("packing", ["gzip", "members", "plain", "encoded"])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_packing_does_not_change_the_text(
    sim: Simulator, client: Client, *, format_: str, packing: Any, chunked: bool
) -> None:
    usual = gzip.decompress(client.file(format=format_))
    sim.packing, sim.chunked = packing, chunked
    packed = client.file(format=format_)

    assert (packed if packing == "plain" else gzip.decompress(packed)) == usual
    assert (packed.count(b"\x1f\x8b\x08") > 1) == (packing == "members")


def test_an_empty_window_is_an_empty_file(sim: Simulator, client: Client) -> None:
    sim.events = lambda *_: []

    assert client.rows() == []
    assert json.loads(gzip.decompress(client.file(format="FORMAT_JSON"))) == []


def test_a_test_can_bring_its_own_rows(sim: Simulator, client: Client) -> None:
    sim.events = lambda start, _: [{"at": start.isoformat()}, b'{"twice":1,"twice":2}']
    sim.extra_events += [{"EventStart": at.isoformat()} for at in (NOON, NOON + HOUR)]

    assert gzip.decompress(client.file()).splitlines() == [
        b'{"at":"2024-05-01T12:00:00+00:00"}',
        b'{"twice":1,"twice":2}',
        b'{"EventStart":"2024-05-01T12:00:00+00:00"}',
    ]


def test_a_test_can_bring_its_own_file_for_one_window(sim: Simulator, client: Client) -> None:
    sim.bodies["2024-05-01T12:00:00Z"] = b"no gzip at all"

    assert client.file() == b"no gzip at all"
    assert gzip.decompress(client.file(start=NOON + HOUR))


def test_a_mistake_in_a_tests_own_events_is_not_swallowed() -> None:
    def broken(*_: datetime) -> list[dict[str, Any]]:
        raise KeyError("typo")

    def download() -> None:
        with Simulator(events=broken) as sim:
            assert requests.get(Client(sim).location(), timeout=5).status_code == 500

    with pytest.raises(KeyError, match="typo"):
        download()


def test_an_operation_takes_its_time() -> None:
    now = [1_700_000_000.0]
    with Simulator(SMALL, prepare=100, clock=lambda: now[0]) as sim:
        client = Client(sim)
        key = client.create().json()["operationId"]
        assert client.get(f"/operations/v1/{key}").json()["estimatePctComplete"] == 0
        now[0] += 60
        running = client.get(f"/operations/v1/{key}").json()
        now[0] += 40
        done = client.get(f"/operations/v1/{key}").json()

    assert (running["state"], running["estimatePctComplete"]) == ("PENDING", 60)
    assert running["results"] is None
    assert (done["state"], done["estimatePctComplete"]) == ("COMPLETED", 100)
    assert done["finishedAt"] == "2023-11-14T22:15:00Z"


def test_running_operations_can_be_listed_page_by_page_and_cancelled(sim: Simulator, client: Client) -> None:
    sim.prepare = 60
    keys = [client.create().json()["operationId"] for _ in range(3)]
    wanted = {"type": "SEARCH_EXPORT", "state": "PENDING", "limit": 2}
    first = client.get("/operations/v1", **wanted).json()
    rest = client.get("/operations/v1", paginationToken=first["nextPaginationToken"], **wanted).json()

    assert [row["id"] for row in first["operations"] + rest["operations"]] == keys
    assert "nextPaginationToken" not in rest
    assert client.post(f"/operations/v1/{keys[0]}/cancel").status_code == 200
    assert client.get(f"/operations/v1/{keys[0]}").json()["state"] == "FAILED"
    assert len(client.get("/operations/v1", **wanted).json()["operations"]) == 2


def test_segments_come_page_by_page(sim: Simulator, client: Client) -> None:
    sim.segments |= {f"s{number}": f"Segment {number}" for number in range(150)}
    first = client.get("/segments/v1", limit=100).json()
    rest = client.get("/segments/v1", limit=100, paginationToken=first["nextPaginationToken"]).json()

    assert [row["id"] for row in first["segments"] + rest["segments"]] == list(sim.segments)
    assert len(client.get("/segments/v1").json()["segments"]) == 20
    assert client.get("/segments/v1", limit=101).status_code == 400


def test_one_segment_is_told_by_its_id(client: Client) -> None:
    assert client.get("/segments/v1/signed-up").json()["name"] == "Signed up"
    assert "created" not in client.get("/segments/v1/everyone").json()
    assert client.get("/segments/v1/nobody").status_code == 404


def test_the_scope_is_one_of_those_that_are_set(sim: Simulator, client: Client) -> None:
    def status(scope: str) -> int:
        return client.create(eventDetails={"scope": scope}).status_code

    assert [status(f"SCOPE_{name}") for name in ("EVENTS", "INDIVIDUALS", "INDIVIDUAL")] == [200, 200, 400]
    sim.scopes = ("SCOPE_INDIVIDUAL",)
    assert [status(f"SCOPE_{name}") for name in ("EVENTS", "INDIVIDUALS", "INDIVIDUAL")] == [400, 400, 200]


def test_the_fields_asked_for_are_the_fields_sent(client: Client) -> None:
    def kept(*fields: str) -> set[str]:
        return set().union(*client.rows(fields=list(fields), end=NOON + 24 * HOUR))

    custom = {key for key in kept() if "_" in key}

    assert {"acct_adminDisabled_bool", "user_plan_str", "page_section_str"} < custom
    assert kept("EventStart", "PageUrl", "NoSuchField") == {"EventStart", "PageUrl"}
    assert kept("EventStart", "user_*") == {"EventStart"} | {key for key in custom if key.startswith("user_")}
    assert kept("evt_*", "page_*") == {key for key in custom if key.startswith(("evt_", "page_"))}
    assert "EventTargetSelectorTok" not in kept()
    assert kept("EventTargetSelectorTok") == {"EventTargetSelectorTok"}
    assert kept("acct_adminDisabled_bool") == {"acct_adminDisabled_bool"}


def test_individuals_have_rows_of_their_own(client: Client) -> None:
    rows = client.rows(type="TYPE_INDIVIDUAL")
    later = client.rows(type="TYPE_INDIVIDUAL", start=NOON + 240 * HOUR)

    assert len({row["IndvId"] for row in rows}) == SMALL.users
    assert {row["IndvId"] for row in as_sent(SMALL)} <= {row["IndvId"] for row in rows}
    assert sum(row["NumSessions"] for row in rows) < sum(row["NumSessions"] for row in later)
    assert any(row["UserVars"] for row in rows)


def test_without_a_segment_range_only_the_last_thirty_days_are_exported(sim: Simulator, client: Client) -> None:
    assert client.rows(segmentTimeRange=None) == []
    assert client.rows(segmentTimeRange=None, now="2024-05-02T00:00:00Z") == as_sent(SMALL)
    sim.now = NOON + HOUR
    assert client.rows(segmentTimeRange=None) == as_sent(SMALL)


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"fields": ["PageUrl", "user_*", "PageUrl"]}, 400, "fields: PageUrl is listed twice"),
        ({"segmentId": "nobody"}, 404, "no segment 'nobody'"),
        ({"type": "TYPE_CAT"}, 400, "type must be one of TYPE_EVENT, TYPE_INDIVIDUAL, not 'TYPE_CAT'"),
        ({"format": "FORMAT_CSV"}, 400, "FORMAT_CSV is not supported by the simulator"),
        ({"timeRange": None}, 400, "timeRange is required"),
        ({"timeRange": {"start": "yesterday"}}, 400, "start: Invalid isoformat string: 'yesterday'"),
        ({"timeRange": {"start": "2024-05-01T00:00:00"}}, 400, "start: '2024-05-01T00:00:00' has no time zone"),
        ({"start": NOON, "end": NOON}, 400, "timeRange: start must be before end"),
    ],
)
def test_a_bad_create_call_is_refused_with_the_reason(
    client: Client, change: dict[str, Any], status: int, message: str
) -> None:
    answer = client.create(**change)

    assert (answer.status_code, answer.json()["message"]) == (status, message)


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_a_create_call_without_an_object_is_refused(sim: Simulator, body: bytes) -> None:
    headers = {"Authorization": f"Basic {sim.token}"}
    answer = requests.post(f"{sim.url}/segments/v1/exports", data=body, headers=headers, timeout=5)

    assert answer.status_code == 400
    assert sim.created() == []


def test_what_is_not_there_is_404(sim: Simulator, client: Client) -> None:
    paths = ["/operations/v1/nothing", "/search/v1/exports/nothing/results", "/api/v1/export/get?id=7", "/favicon.ico"]

    assert [client.get(path).status_code for path in paths] == [404] * 4
    assert requests.get(f"{sim.storage_url}/operations/v1", timeout=5).status_code == 404


# Keys and links


def test_the_api_takes_the_raw_key_only(sim: Simulator) -> None:
    paths = ["/me", "/segments/v1", "/operations/v1", "/api/v1/export/list?start=0"]

    assert {Client(sim, token="wrong").get(path).status_code for path in paths} == {401}
    assert requests.get(f"{sim.url}/me", auth=(sim.token, ""), timeout=5).status_code == 401
    assert Client(sim).get("/me").json() == {
        "orgId": "o-SIM-na1", "email": "simulator@example.com", "role": "ARCHITECT",
    }  # fmt: skip


@pytest.mark.parametrize("role", ["USER", "VIEW_ONLY", "UNKNOWN", "ARCHITECT", "ADMIN"])
def test_exports_take_an_architects_key(sim: Simulator, client: Client, role: str) -> None:
    sim.role = role

    assert client.get("/me").json()["role"] == role
    assert client.create().status_code == (200 if role in ("ARCHITECT", "ADMIN") else 403)


def test_storage_is_elsewhere_and_wants_no_key(sim: Simulator, client: Client) -> None:
    link = client.location()

    assert not link.startswith(sim.url)
    assert requests.get(link, timeout=5).status_code == 200
    assert requests.get(link, headers=client.headers, timeout=5).status_code == 400
    seen = [request.headers.get("authorization") for request in sim.requests if request.listener == "storage"]
    assert seen == [None, f"Basic {sim.token}"]


def test_a_link_lives_only_so_long() -> None:
    now = [0.0]
    with Simulator(SMALL, link_ttl=300, clock=lambda: now[0]) as sim:
        link = Client(sim).location()
        now[0] = 299
        assert requests.get(link, timeout=5).status_code == 200
        now[0] = 300
        answer = requests.get(link, timeout=5)

    assert answer.status_code == 403
    assert "<Code>ExpiredToken</Code>" in answer.text


def test_a_link_with_another_signature_is_refused(client: Client) -> None:
    answer = requests.get(client.location() + "x", timeout=5)

    assert (answer.status_code, "SignatureDoesNotMatch" in answer.text) == (403, True)


def test_a_link_can_be_good_for_one_download_only(sim: Simulator, client: Client) -> None:
    sim.once_links = True
    link = client.location()

    assert [requests.get(link, timeout=5).status_code for _ in range(2)] == [200, 403]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=10-", 10, 99), ("bytes=90-500", 90, 99),
        ("bytes=-7", 93, 99), ("bytes=-500", 0, 99), ("bytes=0-99", 0, 99),
    ],
)  # fmt: skip
def test_storage_sends_a_range(sim: Simulator, client: Client, asked: str, first: int, last: int) -> None:
    sim.bodies[NOON.isoformat()] = bytes(range(100))
    answer = requests.get(client.location(), headers={"Range": asked}, timeout=5)

    assert answer.status_code == 206
    assert answer.content == bytes(range(first, last + 1))
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/100"
    assert answer.headers["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize("asked", ["bytes=5-4", "bytes=0-1,5-6", "bytes=x-", "pages=1-2", "bytes=-", "bytes"])
def test_what_is_no_range_gets_all(sim: Simulator, client: Client, asked: str) -> None:
    sim.bodies[NOON.isoformat()] = bytes(range(100))
    answer = requests.get(client.location(), headers={"Range": asked}, timeout=5)

    assert (answer.status_code, answer.content) == (200, bytes(range(100)))
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=500-600"])
def test_a_range_behind_the_end_is_refused(sim: Simulator, client: Client, asked: str) -> None:
    sim.bodies[NOON.isoformat()] = bytes(range(100))
    answer = requests.get(client.location(), headers={"Range": asked}, timeout=5)

    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */100")
    assert "<Code>InvalidRange</Code>" in answer.text


def test_a_range_goes_with_the_file_that_its_tag_names(sim: Simulator, client: Client) -> None:
    sim.bodies[NOON.isoformat()] = bytes(range(100))
    link = client.location()
    tag = requests.get(link, timeout=5).headers["ETag"]
    assert tag == f'"{hashlib.md5(bytes(range(100)), usedforsecurity=False).hexdigest()}"'

    def asked(if_range: str) -> requests.Response:
        return requests.get(link, headers={"Range": "bytes=40-", "If-Range": if_range}, timeout=5)

    assert (asked(tag).status_code, asked(tag).headers["ETag"]) == (206, tag)
    assert (asked('"other"').status_code, asked('"other"').content) == (200, bytes(range(100)))
    sim.bodies[NOON.isoformat()] = bytes(50)
    assert (asked(tag).status_code, asked(tag).content) == (200, bytes(50))
    sim.etags = "weak"
    weak = requests.get(link, timeout=5).headers["ETag"]
    assert weak.startswith('W/"')
    assert asked(weak).status_code == 200  # a weak one does not promise the same bytes
    sim.etags = "none"
    assert "ETag" not in requests.get(link, timeout=5).headers
    assert asked("").status_code == 200


@pytest.mark.parametrize(("option", "value"), [("ranges", False), ("packing", "encoded"), ("chunked", True)])
def test_storage_can_have_no_ranges(sim: Simulator, client: Client, option: str, value: Any) -> None:
    setattr(sim, option, value)
    answer = requests.get(client.location(), headers={"Range": "bytes=10-"}, timeout=5)

    assert (answer.status_code, "Accept-Ranges" in answer.headers) == (200, False)


# The legacy API


def test_bundles_are_listed_oldest_first_until_now(sim: Simulator, client: Client) -> None:
    sim.now = NOON + timedelta(minutes=59)
    start = int((NOON - 22 * HOUR).timestamp())
    listed = client.legacy("list", start=start).json()["exports"]
    rest = client.legacy("list", start=listed[-1]["Stop"]).json()["exports"]

    assert [bundle["Start"] for bundle in listed + rest] == list(range(start, start + 22 * 3600, 3600))
    assert (len(listed), rest[-1]["Stop"]) == (20, NOON.timestamp())
    assert client.legacy("list", start=rest[-1]["Stop"]).json() == {"exports": []}
    assert client.legacy("list", start=rest[-1]["Stop"] - 1).json()["exports"] == rest[-1:]


def test_the_first_bundle_starts_where_the_account_does(sim: Simulator, client: Client) -> None:
    sim.since, sim.now, sim.bundle = NOON, NOON + HOUR, timedelta(minutes=30)

    assert [bundle["Start"] for bundle in client.legacy("list", start=0).json()["exports"]] == [
        NOON.timestamp(), NOON.timestamp() + 1800,
    ]  # fmt: skip
    assert client.legacy("list", start="yesterday").status_code == 400


def test_the_list_can_be_spelled_differently(sim: Simulator, client: Client) -> None:
    sim.since, sim.now = NOON, lambda: NOON + HOUR
    sim.lowercase_list = sim.string_numbers = True
    (bundle,) = client.legacy("list", start=0).json()["exports"]

    assert bundle["start"] == str(int(NOON.timestamp()))
    assert client.legacy("get", id=bundle["id"]).status_code == 200


def test_a_bundle_has_the_windows_events_with_their_selectors_in_tokens(sim: Simulator, client: Client) -> None:
    sim.since, sim.now = NOON, NOON + HOUR
    (bundle,) = client.legacy("list", start=0).json()["exports"]

    def rows() -> list[dict[str, Any]]:
        sim.legacy_gets = Quota()
        return list(json.loads(gzip.decompress(client.legacy("get", id=bundle["Id"]).content)))

    assert [row["EventStart"] for row in rows()] == [row["EventStart"] for row in as_sent(SMALL)]
    assert {"PageUserAgent", "EventTargetSelectorTok"} <= set().union(*rows())
    assert "EventTargetSelector" not in set().union(*rows())
    sim.old_names = True
    assert {"PageUserAgent", "PageAgent"} & set().union(*rows()) == {"PageAgent"}
    sim.bodies[NOON.isoformat()] = b"[]"
    assert client.legacy("get", id=bundle["Id"]).content == b"[]"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("html body.no-js div.col-md-6", "html body .no%2Djs div .col%2Dmd%2D6"),
        ("input.form-control[type=text]", "input .form%2Dcontrol =type=text"),
        ('li#été[data-size="M L"]', "li #%C3%A9t%C3%A9 =data%2Dsize=M%20L"),
    ],
)
def test_tokens_are_spelled_as_in_fullstorys_sample(selector: str, expected: str) -> None:
    assert tokens(selector) == expected


def test_two_bundles_a_minute_and_no_more() -> None:
    clock = [NOON.timestamp() + 3600]
    with Simulator(SMALL, since=NOON, clock=lambda: clock[0]) as sim:
        client = Client(sim)
        (bundle,) = client.legacy("list", start=0).json()["exports"]
        answers = [client.legacy("get", id=bundle["Id"]) for _ in range(3)]
        clock[0] += 60
        again = client.legacy("get", id=bundle["Id"])

    assert [answer.status_code for answer in [*answers, again]] == [200, 200, 429, 200]
    assert answers[2].headers["Retry-After"] == "60"


def test_an_account_can_be_without_data_export(sim: Simulator, client: Client) -> None:
    sim.legacy = False

    assert [client.legacy(call, start=0).status_code for call in ("list", "get")] == [404, 404]


# Bad days


def test_creates_can_be_limited_by_rate(sim: Simulator, client: Client) -> None:
    now = [0.0]
    sim.clock, sim.rate_limit = lambda: now[0], (2, 10.0)
    first = [client.create().status_code for _ in range(2)]
    now[0] = 3.5
    refused = client.create()
    now[0] = 10

    assert first == [200, 200]
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert client.create().status_code == 200
    assert (len(sim.created()), len(sim.operations)) == (4, 3)


def test_exports_at_once_can_be_limited(sim: Simulator, client: Client) -> None:
    now = [0.0]
    sim.clock, sim.prepare, sim.max_running = lambda: now[0], 5, 1

    assert [client.create().status_code for _ in range(2)] == [200, 429]
    now[0] = 5
    assert client.create().status_code == 200


def test_exports_can_wait_for_one_another(sim: Simulator, client: Client) -> None:
    now = [0.0]
    sim.clock, sim.prepare, sim.workers = lambda: now[0], 5, 2
    jobs = [client.create().json()["operationId"] for _ in range(5)]
    seen = []
    for now[0] in (4, 5, 10, 14, 15):
        seen.append([client.get(f"/operations/v1/{job}").json()["state"] for job in jobs].count("COMPLETED"))
    rows = client.get("/operations/v1").json()["operations"]

    assert seen == [0, 2, 4, 4, 5]
    assert [row["finishedAt"] for row in rows] == [f"1970-01-01T00:00:{second:02}Z" for second in (5, 5, 10, 10, 15)]
    assert {row["createdAt"] for row in rows} == {"1970-01-01T00:00:00Z"}


def test_a_status_comes_with_its_header_and_body_as_often_as_told(sim: Simulator, client: Client) -> None:
    fault = sim.faults.add(Fault("status", "me", times=2, after=1, status=503, retry_after=7, body={"why": "rain"}))
    answers = [client.get("/me") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 503, 503, 200, 200]
    assert (answers[1].headers["Retry-After"], answers[1].json()) == ("7", {"why": "rain"})
    assert (fault.hits, fault.seen) == (2, 5)


def test_a_fault_can_hit_one_window_only(sim: Simulator, client: Client) -> None:
    for endpoint in ("create", "operation", "results", "download"):
        sim.faults.add(Fault("status", endpoint, match="2024-05-01T13:00:00Z", status=418))

    assert client.rows(start=NOON)
    assert client.create(start=NOON + HOUR).status_code == 418
    assert client.create(start=NOON + HOUR).status_code == 200
    assert [fault.hits for fault in sim.faults] == [1, 0, 0, 0]
    key = next(operation.id for operation in sim.operations.values() if operation.start == NOON + HOUR)
    assert client.get(f"/operations/v1/{key}").status_code == 418
    export = client.get(f"/operations/v1/{key}").json()["results"]["searchExportId"]
    assert client.get(f"/search/v1/exports/{export}/results").status_code == 418
    link = client.get(f"/search/v1/exports/{export}/results").json()["location"]
    assert [requests.get(link, timeout=5).status_code for _ in range(2)] == [418, 200]


def test_any_and_always_is_an_outage_until_it_is_cleared(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("status", "any", times=None, status=502, body=b"Bad Gateway"))

    assert {client.get(path).text for path in ("/me", "/segments/v1", "/operations/v1")} == {"Bad Gateway"}
    sim.faults.clear()
    assert client.get("/me").status_code == 200


def test_a_legacy_bundle_can_have_a_bad_day_too(sim: Simulator, client: Client) -> None:
    sim.since, sim.now = NOON, NOON + 2 * HOUR
    sim.faults.add(Fault("status", "list", status=500))
    sim.faults.add(Fault("truncate", "get", match="2024-05-01T13:00:00Z"))

    assert client.legacy("list", start=0).status_code == 500
    first, second = client.legacy("list", start=0).json()["exports"]
    assert gzip.decompress(client.legacy("get", id=first["Id"]).content)
    with pytest.raises(EOFError):
        gzip.decompress(client.legacy("get", id=second["Id"]).content)


def test_a_reset_ends_the_connection_without_an_answer(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("reset", "create"))

    with pytest.raises(requests.ConnectionError, match="reset"):
        client.create()
    assert client.create().status_code == 200
    assert len(sim.created()) == 2


def test_a_hang_keeps_the_client_waiting(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("hang", "me", seconds=30))

    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{sim.url}/me", headers=client.headers, timeout=0.05)
    sim.faults.add(Fault("hang", "me", seconds=0.01))
    assert client.get("/me").status_code == 200


def test_a_drip_sends_everything_slowly(sim: Simulator, client: Client) -> None:
    whole = client.file()
    sim.faults.add(Fault("drip", "download", seconds=0.001, piece=len(whole) // 5))
    sim.faults.add(Fault("drip", "download", seconds=30))

    assert client.file() == whole
    with pytest.raises(requests.ConnectionError):
        requests.get(client.location(), timeout=0.05)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_drops_the_connection_in_mid_body(sim: Simulator, client: Client, *, chunked: bool) -> None:
    whole = client.file()
    sim.chunked = chunked
    sim.faults.add(Fault("cut", "download", at=100))
    response = requests.get(client.location(), timeout=5, stream=True)

    promised = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(whole))}
    assert promised.items() <= response.headers.items()
    received: list[bytes] = []
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        received.extend(response.iter_content(10))
    assert b"".join(received) == whole[:100]


def test_a_cut_can_be_a_reset(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("cut", "download", at=100, resets=True))

    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="reset"):
        requests.get(client.location(), timeout=5)


def test_an_unframed_file_ends_with_its_connection(sim: Simulator, client: Client) -> None:
    whole = client.file()
    sim.faults.add(Fault("unframed", "download", at=100))
    response = requests.get(client.location(), timeout=5)

    assert response.content == whole[:100]
    assert not {"Content-Length", "Transfer-Encoding"} & set(response.headers)


def test_a_lost_answer_is_one_to_a_request_that_was_carried_out(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("lost", "create"))

    with pytest.raises(requests.ConnectionError):
        client.create()
    assert len(sim.operations) == 1


def test_a_truncated_file_has_a_length_that_fits(sim: Simulator, client: Client) -> None:
    whole = client.file()
    sim.faults.add(Fault("truncate", "download"))

    short = client.file()
    assert short == whole[: len(whole) // 2]
    with pytest.raises(EOFError):
        gzip.decompress(short)


@pytest.mark.parametrize(("at", "error"), [(None, gzip.BadGzipFile), (0, gzip.BadGzipFile), (200, zlib.error)])
def test_a_corrupt_file_is_found_out_by_gunzip(
    sim: Simulator, client: Client, at: int | None, error: type[Exception]
) -> None:
    sim.faults.add(Fault("corrupt", "download", at=at))

    with pytest.raises((error, EOFError)):
        gzip.decompress(client.file())


def test_a_fresh_link_helps_where_one_has_expired(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("expired", "download"))

    assert [requests.get(client.location(), timeout=5).status_code for _ in range(2)] == [403, 200]


def test_a_failed_operation_says_why_and_stays_failed(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("failed", "operation", error="too big"))
    failed, fine = (f"/operations/v1/{client.create().json()['operationId']}" for _ in range(2))
    states = [client.get(path).json() for path in (failed, failed, fine)]

    assert [row["state"] for row in states] == ["FAILED", "FAILED", "COMPLETED"]
    assert states[0]["errorDetails"] == "too big"


def test_an_operation_can_be_pending_for_ever(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("never", "operation"))
    path = f"/operations/v1/{client.create().json()['operationId']}"

    assert {client.get(path).json()["state"] for _ in range(3)} == {"PENDING"}


def test_a_state_nobody_knows_passes(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("unknown", "operation", times=2, state="RESTING"))
    path = f"/operations/v1/{client.create().json()['operationId']}"

    assert [client.get(path).json()["state"] for _ in range(3)] == ["RESTING", "RESTING", "COMPLETED"]


def test_a_redirect_leads_to_the_other_listener(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("redirect", "me"))
    answer = client.get("/me")

    assert (answer.status_code, answer.headers["Location"]) == (302, f"{sim.storage_url}/me")


def test_a_login_page_is_html_with_status_200(sim: Simulator, client: Client) -> None:
    sim.faults.add(Fault("html", "create"))
    answer = client.create()

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert sim.operations == {}


@pytest.mark.parametrize(("kind", "on"), [("typo", "me"), ("cut", "typo"), ("failed", "create"), ("expired", "get")])
def test_a_fault_that_cannot_happen_is_refused(kind: Any, on: Any) -> None:
    with pytest.raises(ValueError, match=f"'{kind}'"):
        Fault(kind, on)


# As a server


def test_every_request_is_recorded(sim: Simulator, client: Client) -> None:
    client.get("/segments/v1", limit=5, paginationToken="")
    (request,) = sim.requests

    assert (request.listener, request.method, request.path) == ("api", "GET", "/segments/v1")
    assert request.query == {"limit": "5", "paginationToken": ""}
    assert request.headers["authorization"] == f"Basic {sim.token}"


def test_many_clients_are_served_at_once(sim: Simulator) -> None:
    lines: list[int] = []
    threads = [threading.Thread(target=lambda: lines.append(len(Client(sim).rows()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert lines == [len(as_sent(SMALL))] * 8


def test_it_is_gone_when_it_is_closed_and_can_be_opened_again(capfd: pytest.CaptureFixture[str]) -> None:
    sim = Simulator(SMALL)

    def wait_in_vain(client: Client) -> None:
        with pytest.raises(requests.ConnectionError):
            client.get("/me")

    with sim:
        client = Client(sim)
        sim.faults.add(Fault("hang", "me", seconds=30))
        hung = threading.Thread(target=wait_in_vain, args=[client])
        hung.start()
        while not sim.requests:
            time.sleep(0.001)
    hung.join(timeout=2)

    assert not hung.is_alive()
    with pytest.raises(requests.ConnectionError):
        client.get("/me")
    with sim:
        assert client.get("/me").status_code == 200
    assert capfd.readouterr() == ("", "")


def test_it_can_be_started_from_the_command_line() -> None:
    command = [sys.executable, "-m", "hauser_dlt.simulator", "--seed", "3", "--events-per-hour", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = dict(process.stdout.readline().split() for _ in range(3))
        headers = {"Authorization": f"Basic {said['token']}"}
        answer = requests.get(f"{said['url']}/me", headers=headers, timeout=5)
        process.terminate()

    assert answer.status_code == 200
    assert said["export_url"] == f"{said['url']}/api/v1"
