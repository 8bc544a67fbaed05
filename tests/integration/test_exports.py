"""FullStory's two export APIs, against the simulator: what is asked, where the key goes, and what failures lead to."""

import gzip
import json
import logging
import socket
import threading
import time
import traceback
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauser_dlt.config.reading import read
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import (
    AccessError,
    ConfigError,
    CorruptBundleError,
    ExportError,
    ExportFailedError,
    HauserError,
    LinkError,
    RateLimitError,
    StoppedError,
    TransientError,
    UnfinishedError,
)
from hauser_dlt.exports import Bundle, Client, DataExports, IndividualExports, SegmentExports, hosts, roles
from hauser_dlt.exports.concurrency import FixedLimit
from hauser_dlt.exports.http_errors import BusyError, MissingError, retry_after
from hauser_dlt.exports.polling import until_usual
from hauser_dlt.exports.rate_limiter import Limiter, Place
from hauser_dlt.exports.segments import segment, write_segments
from hauser_dlt.fields import KNOWN, MOBILE
from hauser_dlt.records.gzip_stream import gunzip
from hauser_dlt.records.json_stream import records
from hauser_dlt.simulator import Account, Fault, Simulator
from hauser_dlt.simulator.faults import ResetError
from hauser_dlt.sync.workdir import Operations
from hauser_dlt.windows import Window

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BUNDLE = Bundle(Window(NOON, NOON + HOUR))
TOKEN = "na1.s3cret-Key/with+signs=="
HEADER = {"X-Gateway-Pass": "let me in, 7"}


class Pauses(list):
    """Records how long it was asked to wait, and hardly waits."""

    def __call__(self, seconds):
        if seconds:
            self.append(seconds)
            time.sleep(0.001)


class Clock:
    """A time that passes by pauses alone."""

    def __init__(self):
        self.now = 1.7e9
        self.pauses = []
        self._lock = threading.Lock()

    def __call__(self, seconds):
        with self._lock:
            self.now += seconds
            self.pauses += [seconds] * bool(seconds)


@pytest.fixture
def sim():
    with Simulator(Account(events_per_hour=20), token=TOKEN, now=NOON + timedelta(days=3)) as simulator:
        yield simulator


@pytest.fixture
def pauses():
    return Pauses()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bundle"


def settings(**given):
    quick = {"api_token": TOKEN, "backoff": "10ms", "max_retries": 3, "request_timeout": "5s", "export_timeout": "30s"}
    spelled = quick | given
    return read(SourceSettings, lambda name: (spelled[name], "test") if name in spelled else None)


def client(sim, pause, **given):
    return Client(settings(**given), sim.url, pause)


def segments(sim, pause, operations=None, **given):
    return SegmentExports(client(sim, pause, **given), settings(**given), {} if operations is None else operations)


def legacy(sim, pause, **given):
    return DataExports(Client(settings(**given), sim.export_url, pause), settings(**given), client(sim, pause, **given))


def fault(sim, kind, on, **more):
    return sim.faults.add(Fault(kind, on, **more))


def asked(sim, start="/", listener="api"):
    """The requests that arrived at one of the simulator's ports."""
    return [r for r in list(sim.requests) if r.listener == listener and r.path.startswith(start)]


def creates(sim):
    return [r for r in asked(sim, "/segments/v1/exports") if r.method == "POST"]


def downloads(sim):
    return asked(sim, listener="storage")


def rows(path):
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def texts(error):
    """All that anybody could read of an error, and of those behind it."""
    shown = ["".join(traceback.format_exception(error))]
    while error:
        shown += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(shown)


class _Door(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(dict(self.headers.items()))
        self.server.leads_on(self)

    def log_message(self, *_):
        pass


@contextmanager
def door(leads_on):
    """A server of one function; `seen` has the headers of what came."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Door) as server:
        server.leads_on, server.seen = leads_on, []
        server.url = f"http://localhost:{server.server_port}"  # another host than the simulator's 127.0.0.1
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def to(url):
    def redirect(handler):
        handler.send_response(302)
        handler.send_header("Location", url)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return redirect


# --- what is asked


def test_a_window_is_asked_for_exactly_so(sim, pauses, path):
    segments(sim, pauses).fetch(BUNDLE, path)

    time_range = {"start": "2024-05-01T12:00:00Z", "end": "2024-05-01T13:00:00Z"}
    [create] = creates(sim)
    assert create.json() == {
        "segmentId": "everyone",
        "type": "TYPE_EVENT",
        "format": "FORMAT_NDJSON",
        "timeRange": time_range,
        "segmentTimeRange": time_range,
        "fields": [*KNOWN, "user_*", "evt_*", "page_*"],
    }
    assert create.headers["content-type"] == "application/json"
    assert {r.headers["authorization"] for r in asked(sim)} == {f"Basic {TOKEN}"}
    assert rows(path)
    assert all(NOON <= datetime.fromisoformat(row["EventStart"]) < NOON + HOUR for row in rows(path))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"fields": "default"}, None),
        ({"fields": "default", "extra_fields": {"EventNew": "int"}}, None),  # a list would leave out all others
        ({"fields": ["EventStart", "user_*", "EventStart"]}, ["EventStart", "user_*"]),
        ({"fields": ["EventStart"], "extra_fields": ["EventNew", "EventStart"]}, ["EventStart", "EventNew"]),
        ({"fields": ["EventStart"], "include_mobile_fields": True}, ["EventStart"]),
        ({"include_mobile_fields": True}, [*KNOWN, *MOBILE, "user_*", "evt_*", "page_*"]),
        ({"include_selector_tokens": True}, [*KNOWN, "EventTargetSelectorTok", "user_*", "evt_*", "page_*"]),
        ({"fields": ["EventStart"], "include_selector_tokens": True}, ["EventStart", "EventTargetSelectorTok"]),
        ({"include_selector_tokens": True, "drop_fields": ["*Tok"]}, [*KNOWN, "user_*", "evt_*", "page_*"]),
        ({"extra_fields": {"PageUrl": "text", "EventNew": "float"}}, [*KNOWN, "user_*", "evt_*", "page_*", "EventNew"]),
    ],
)
def test_the_fields_are_those_of_the_settings_and_none_twice(sim, pauses, path, given, expected):
    segments(sim, pauses, **given).fetch(BUNDLE, path)
    body = creates(sim)[0].json()
    assert body.get("fields") == expected
    assert ("fields" in body) == (expected is not None)


@pytest.mark.parametrize("scope", ["events", "pages", "sessions", "individuals"])
def test_scope_and_segment_are_those_of_the_settings(sim, pauses, path, scope):
    segments(sim, pauses, event_scope=scope, segment_id="signed-up").fetch(BUNDLE, path)
    body = creates(sim)[0].json()
    assert body["eventDetails"] == {"scope": f"SCOPE_{scope.upper()}"}
    assert body["segmentId"] == "signed-up"


def test_bundles_are_the_settled_windows_that_are_not_loaded(sim, pauses):
    exports = segments(sim, pauses, export_duration="1h", export_delay="3h")
    now = NOON + timedelta(minutes=20)
    loaded = [Window(NOON - 5 * HOUR, NOON - 4 * HOUR)]
    bundles = exports.bundles(Window(NOON - 6 * HOUR, NOON + HOUR), loaded, now)

    assert [bundle.window.start for bundle in bundles] == [NOON - 6 * HOUR, NOON - 4 * HOUR]
    assert exports.ready_until(now) == NOON - 3 * HOUR
    assert exports.next_ready(now) == NOON + HOUR


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("na1.abc", "api.fullstory.com"),
        ("eu1.abc", "api.eu1.fullstory.com"),
        ("eu1", "api.fullstory.com"),
        ("eu2.abc", "api.fullstory.com"),
        ("EU1.abc", "api.fullstory.com"),
        ("abc.eu1.def", "api.fullstory.com"),
        ("evil.example/.abc", "api.fullstory.com"),
        ("c2VjcmV0", "api.fullstory.com"),
        ("", "api.fullstory.com"),
    ],
)
def test_the_region_is_that_of_the_key(key, host):
    assert hosts.api(key) == f"https://{host}"


def test_the_account_is_told(sim, pauses):
    assert client(sim, pauses).me()["role"] == "ARCHITECT"


# --- where the key goes


def test_key_and_extra_headers_go_to_the_api_and_nowhere_else(sim, pauses, path):
    segments(sim, pauses, http_headers=HEADER).fetch(BUNDLE, path)

    assert {r.headers.get("x-gateway-pass") for r in asked(sim)} == set(HEADER.values())
    for request in downloads(sim):
        assert "authorization" not in request.headers
        assert "x-gateway-pass" not in request.headers
        assert TOKEN not in str(request)


@pytest.mark.parametrize(
    ("on", "status"), [("create", 307), ("create", 302), ("operation", 308), ("results", 301), ("create", 303)]
)
def test_a_redirect_of_the_api_is_refused_in_one_clear_line(sim, pauses, path, on, status):
    hit = fault(sim, "redirect", on, status=status, times=None)
    with pytest.raises(ConfigError, match=rf"base_url must be .* {status} ") as caught:
        segments(sim, pauses, http_headers=HEADER).fetch(BUNDLE, path)
    assert "\n" not in str(caught.value)
    assert not downloads(sim)
    assert hit.hits == 1


def test_a_redirect_of_a_legacy_download_is_refused_too(sim, pauses, path):
    fault(sim, "redirect", "get", times=None)
    exports = legacy(sim, pauses, http_headers=HEADER)
    [bundle, *_] = exports.bundles(BUNDLE.window, (), sim.now)
    with pytest.raises(ConfigError, match="base_url"):
        exports.fetch(bundle, path)
    assert not downloads(sim)


def test_storage_may_lead_elsewhere_and_nobody_on_the_way_sees_a_password(sim, pauses, path, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text(
        "".join(f"machine {h} login me password p4ss\n" for h in ("127.0.0.1", "localhost"))
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    segments(sim, pauses).fetch(BUNDLE, path)
    expected = rows(path)

    def good(handler):
        body = gzip.compress(b'{"EventType":"click"}\n')
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with door(good) as last, door(to(f"{last.url}/b?X-Signature=2")) as first:
        fault(sim, "status", "results", status=200, body={"location": f"{first.url}/a?X-Signature=1"})
        segments(sim, pauses, http_headers=HEADER).fetch(BUNDLE, path)

    assert expected
    assert rows(path) == [{"EventType": "click"}]
    assert {r.headers["authorization"] for r in asked(sim)} == {f"Basic {TOKEN}"}
    for headers in (*first.seen, *last.seen, *(r.headers for r in downloads(sim))):
        assert not {"authorization", "x-gateway-pass"} & {name.lower() for name in headers}
    assert len(first.seen) == len(last.seen) == 1


def test_a_bundle_is_written_as_it_lies_in_storage(sim, pauses, path):
    sim.packing = "encoded"  # with Content-Encoding: gzip, which requests would undo
    segments(sim, pauses).fetch(BUNDLE, path)
    assert rows(path)
    assert downloads(sim)[0].headers["accept-encoding"] == "identity"


def test_the_api_is_asked_for_nothing_but_gzip(sim, pauses, path):
    exports = legacy(sim, pauses)
    [bundle, *_] = exports.bundles(BUNDLE.window, (), sim.now)
    exports.fetch(bundle, path)
    assert {r.headers["accept-encoding"] for r in asked(sim)} == {"gzip"}
    assert isinstance(json.loads(gzip.decompress(path.read_bytes())), list)


# --- pauses


def test_retry_after_in_seconds_is_obeyed(sim, pauses):
    fault(sim, "status", "me", status=429, retry_after=7)
    fault(sim, "status", "me", status=503, retry_after="11.5")
    client(sim, pauses).me()
    assert pauses == [7, 11.5]


def test_retry_after_as_a_date_is_obeyed(sim, pauses):
    fault(sim, "status", "me", status=429, retry_after=format_datetime(datetime.now(UTC) + 0.5 * HOUR, usegmt=True))
    client(sim, pauses).me()
    [seconds] = pauses
    assert 1000 < seconds <= 1800


@pytest.mark.parametrize("said", ["soon", "-5", "0", "Wed, 21 Oct 2015 07:28:00 GMT", "²", ""])
def test_without_a_retry_after_that_helps_pauses_double(sim, pauses, said):
    fault(sim, "status", "me", status=429, retry_after=said, times=3)
    client(sim, pauses, backoff="2s").me()
    assert pauses == [2, 4, 8]


def test_who_is_refused_again_and_again_waits_longer_than_fullstory_says(sim, pauses):
    fault(sim, "status", "me", status=429, retry_after=3, times=5)
    client(sim, pauses, backoff="1s", max_retries=5).me()
    assert pauses == [3, 3, 4, 8, 16]


def test_pauses_and_tries_are_bounded(sim, pauses):
    hit = fault(sim, "status", "me", status=502, times=None)
    with pytest.raises(TransientError, match="GET /me: 502 simulated fault") as caught:
        client(sim, pauses, backoff="10s", max_retries=5).me()
    assert caught.value.exit_code == 75
    assert pauses == [10, 20, 40, 60, 60]
    assert hit.hits == 6


def test_no_retries_are_one_try(sim, pauses):
    hit = fault(sim, "status", "me", status=500, times=None)
    with pytest.raises(TransientError):
        client(sim, pauses, max_retries=0).me()
    assert (hit.hits, pauses) == (1, [])


@pytest.mark.parametrize("on", ["create", "operation", "results", "download"])
def test_a_pause_of_more_than_an_hour_is_left_to_the_scheduler(sim, pauses, path, on):
    hit = fault(sim, "status", on, status=429, retry_after=3601, times=None)
    with pytest.raises(RateLimitError, match="3601 s") as caught:
        segments(sim, pauses).fetch(BUNDLE, path)
    assert caught.value.exit_code == 75
    assert caught.value.retry_after == 3601
    assert hit.hits == 1
    assert max(pauses, default=0) < 60


def test_a_pause_of_an_hour_is_waited(sim, pauses):
    fault(sim, "status", "me", status=429, retry_after=3600)
    client(sim, pauses).me()
    assert pauses == [3600]


@given(
    st.text(st.characters(max_codepoint=255)) | st.from_regex(r"[0-9.+-]*|Wed, [0-9]+ Oct [0-9]+ 07:28:00 [+-][0-9]+")
)
def test_any_retry_after_is_seconds_or_nothing(value):
    seconds = retry_after({"Retry-After": value})
    assert seconds is None or seconds >= 0


# --- failures


BAD_DAYS = {
    "500 in series": {"kind": "status", "times": 3},
    "408": {"kind": "status", "status": 408},
    "429 and 503 of storage": {"kind": "status", "status": 503, "retry_after": 1, "times": 2},
    "reset at connect": {"kind": "reset", "times": 2},
    "silence": {"kind": "hang", "seconds": 0.6},
    "cut in mid-stream": {"kind": "cut", "times": 2},
    "reset in mid-stream": {"kind": "cut", "times": 2, "resets": True},
    "cut at the first byte": {"kind": "cut", "at": 0},
    "cut at the last byte": {"kind": "cut", "at": -1},
}


@pytest.mark.parametrize("day", BAD_DAYS.values(), ids=BAD_DAYS.keys())
@pytest.mark.parametrize("on", ["create", "operation", "results", "download"])
def test_a_bad_day_costs_tries_and_no_byte(sim, pauses, path, on, day):
    hit = fault(sim, on=on, **day)
    segments(sim, pauses, request_timeout="500ms").fetch(BUNDLE, path)
    assert rows(path)
    assert hit.hits == day.get("times", 1)
    assert len(pauses) >= hit.hits


@pytest.mark.parametrize("day", BAD_DAYS.values(), ids=BAD_DAYS.keys())
def test_each_download_has_a_link_of_its_own(sim, pauses, path, day):
    sim.once_links = True
    hit = fault(sim, on="download", **day)
    segments(sim, pauses, request_timeout="500ms").fetch(BUNDLE, path)

    links = [r.query["X-Signature"] for r in downloads(sim)]
    assert len(links) == len(set(links)) == hit.hits + 1
    assert len(asked(sim, "/search/v1/exports")) == len(links)
    assert len(creates(sim)) == 1


def test_a_link_that_expires_is_replaced(sim, pauses, path):
    fault(sim, "expired", "download", times=2)
    segments(sim, pauses).fetch(BUNDLE, path)
    assert rows(path)
    assert len({r.query["X-Signature"] for r in downloads(sim)}) == 3


def test_links_that_never_work_end_as_try_again_later(sim, pauses, path):
    sim.link_ttl = 0
    with pytest.raises(LinkError, match=r"the storage at 127\.0\.0\.1: 403: the link to the export is not") as caught:
        segments(sim, pauses).fetch(BUNDLE, path)
    assert caught.value.exit_code == 75
    assert len(downloads(sim)) == 4


@pytest.mark.parametrize("error", [ConnectionAbortedError, ResetError])
def test_an_export_without_a_length_that_breaks_off_is_fetched_again(sim, pauses, path, error):
    broken = []

    def events(start, _end):
        for number in range(20_000):
            if number == 15_000 and len(broken) < 2:
                broken.append(number)
                raise error
            yield {"EventStart": start.isoformat(), "EventPageOffset": number * 7919 % 10007}

    sim.events, sim.chunked = events, True
    segments(sim, pauses).fetch(BUNDLE, path)
    assert len(rows(path)) == 20_000
    assert len({r.query["X-Signature"] for r in downloads(sim)}) == 3


def member_ends(packed):
    """Where each member of a gzip file ends, but the last one."""
    ends, rest = [], packed
    while rest:
        inflate = zlib.decompressobj(wbits=31)
        inflate.decompress(rest)
        rest = inflate.unused_data
        ends.append(len(packed) - len(rest))
    return ends[:-1]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_download_that_breaks_off_between_two_gzip_members_is_noticed(sim, pauses, path, chunked):
    sim.account, sim.packing, sim.chunked = Account(events_per_hour=300), "members", chunked
    segments(sim, pauses).fetch(BUNDLE, path)
    whole = path.read_bytes()
    assert len(member_ends(whole)) > 3
    for end in member_ends(whole):
        hit = fault(sim, "cut", "download", at=end)
        segments(sim, pauses).fetch(BUNDLE, path)
        assert path.read_bytes() == whole
        assert hit.hits == 1


@pytest.mark.parametrize("api", ["segments", "legacy"])
def test_a_file_of_which_nobody_says_how_long_it_is_is_not_taken_for_whole(sim, pauses, path, api):
    hit = fault(sim, "unframed", "download" if api == "segments" else "get", at=1 << 30, times=None)
    with pytest.raises(ExportError, match=r"127\.0\.0\.1 does not say how long the export is") as caught:
        call(sim, pauses, path, "any" if api == "segments" else "get")
    assert "X-Signature" not in texts(caught.value)
    assert hit.hits == 1


@pytest.mark.parametrize(("export_format", "noticed"), [("json", True), ("ndjson", False)])
def test_an_array_shows_by_its_end_that_fullstory_stored_all_of_it(sim, pauses, path, export_format, noticed):
    """One object a line does not: a file that was stored without its last gzip members looks like any other."""
    sim.account, sim.packing = Account(events_per_hour=300), "members"
    segments(sim, pauses, export_format=export_format).fetch(BUNDLE, path)
    whole = list(records(gunzip([path.read_bytes()])))
    for end in member_ends(path.read_bytes())[:-2]:  # the last two hold no record
        fault(sim, "truncate", "download", at=end)
        segments(sim, pauses, export_format=export_format).fetch(BUNDLE, path)
        try:
            assert len(list(records(gunzip([path.read_bytes()])))) < len(whole)
        except CorruptBundleError:
            assert noticed
        else:
            assert not noticed


def test_an_answer_of_the_api_may_not_fill_the_memory(sim, pauses, path, monkeypatch):
    monkeypatch.setattr("hauser_dlt.exports.bodies._LONGEST_ANSWER", 1000)
    fault(sim, "status", "me", status=200, body=b'{"role":"' + b"x" * 2000 + b'"}')
    with pytest.raises(ExportError, match="/me: FullStory's answer is longer than any of use"):
        client(sim, pauses).me()


def test_a_slow_download_is_let_be_and_looked_after(sim, path):
    looks = []
    fault(sim, "drip", "download", seconds=0.001, piece=100)
    segments(sim, looks.append).fetch(BUNDLE, path)
    assert rows(path)
    assert looks.count(0) > 10  # a signal is heeded at every piece, not after a quarter of a megabyte


@pytest.mark.parametrize("on", ["download", "operation"])
def test_a_body_that_never_ends_is_broken_off(sim, pauses, path, on):
    hit = fault(sim, "drip", on, seconds=0.02, piece=1, times=None)
    timeouts = {"export_timeout": "100ms"} if on == "download" else {"request_timeout": "100ms"}
    with pytest.raises(TransientError, match=r"has not sent all within 0\.1 s"):
        segments(sim, pauses, max_retries=1, **timeouts).fetch(BUNDLE, path)
    assert hit.hits == 2


@pytest.mark.parametrize("on", ["any", "download"])
def test_nobody_listening_ends_as_try_again_later(sim, pauses, path, on):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening: refused
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        if on == "download":
            fault(sim, "status", "results", status=200, body={"location": f"{nowhere}/x?X-Signature=1"}, times=None)
            exports = segments(sim, pauses)
        else:
            exports = SegmentExports(Client(settings(), nowhere, pauses), settings(), {})
        with pytest.raises(BusyError, match=r"127\.0\.0\.1 cannot be reached.*NewConnectionError") as caught:
            exports.fetch(BUNDLE, path)
    assert pauses[-3:] == [0.01, 0.02, 0.04]
    assert "X-Signature" not in texts(caught.value)


@pytest.mark.parametrize(
    "url", ["http://[bad", "http://", "https://a..b", "http://exa mple:port", "ftp:x", "nonsense", "http://*.x/"]
)
def test_an_address_that_is_none_is_a_wrong_setting(pauses, url):
    with pytest.raises(HauserError) as caught:
        Client(settings(), url, pauses).me()
    assert isinstance(caught.value, ConfigError)
    assert "base_url" in str(caught.value)
    assert not pauses


@pytest.mark.parametrize("location", ["http://[bad", "file:///etc/passwd", "nonsense", "https://a..b/?X-Signature=77"])
def test_a_link_that_is_none_is_an_error_of_the_export(sim, pauses, path, location):
    fault(sim, "status", "results", status=200, body={"location": location}, times=None)
    with pytest.raises(ExportError, match="not a web address") as caught:
        segments(sim, pauses).fetch(BUNDLE, path)
    assert location not in texts(caught.value)


@pytest.mark.parametrize(
    ("status", "error"), [(400, ExportError), (401, AccessError), (403, AccessError), (404, MissingError)]
)
@pytest.mark.parametrize("on", ["create", "operation", "results"])
def test_what_no_second_try_can_mend_ends_at_once_with_the_reason(sim, pauses, path, status, error, on):
    hit = fault(sim, "status", on, status=status, body={"message": "so it\n  is not"}, times=None)
    with pytest.raises(error, match=rf"/v1/.*: {status} so it is not") as caught:
        segments(sim, pauses).fetch(BUNDLE, path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == (2 if status in (401, 403) else 1)
    assert hit.hits == 1
    assert len(creates(sim)) == 1
    assert not downloads(sim)


def test_a_key_that_is_wrong_or_too_weak_is_told_so(sim, pauses, path):
    with pytest.raises(AccessError, match="401 the API key is missing or wrong"):
        segments(sim, pauses, api_token="another").fetch(BUNDLE, path)
    sim.role = "USER"
    with pytest.raises(AccessError, match=r"403 this takes a key with the Architect role\); its role is USER$"):
        segments(sim, pauses).fetch(BUNDLE, path)
    assert len(creates(sim)) == 2
    assert pauses == []


def test_a_key_that_the_legacy_api_refuses_is_told_with_its_role(sim, pauses, path):
    sim.role = "VIEW_ONLY"
    for on in ("list", "get"):
        hit = fault(sim, "status", on, status=403)
        with pytest.raises(AccessError, match="its role is VIEW_ONLY") as caught:
            call(sim, pauses, path, on)
        assert (hit.hits, caught.value.exit_code) == (1, 2)


@pytest.mark.parametrize("role", ["USER", "VIEW_ONLY", "view_only"])
def test_roles_that_cannot_export_are_refused(role):
    with pytest.raises(
        AccessError, match=f"the key's role is {role}; exports need a key of the Architect role or above"
    ):
        roles.refuse_too_low({"role": role})


@pytest.mark.parametrize("role", ["UMBRELLA_MANAGER", "UNKNOWN", "SOMETHING_NEW", "", None, 5])
def test_other_roles_are_doubted(role):
    roles.refuse_too_low({"role": role})
    assert "can export is not known" in roles.doubt({"role": role})
    assert not any(roles.doubt({"role": good}) for good in ("ARCHITECT", "ADMIN", "architect"))


def test_a_role_that_cannot_be_learned_hides_no_refusal(sim, pauses, path):
    fault(sim, "status", "create", status=403, body={"message": "not for you"})
    hit = fault(sim, "status", "me", status=500)
    with pytest.raises(AccessError, match=r"403 not for you\)$"):
        segments(sim, pauses).fetch(BUNDLE, path)
    assert hit.hits == 1


ONE, MANY = "SCOPE_INDIVIDUAL", "SCOPE_INDIVIDUALS"


def scopes(sim):
    return [create.json()["eventDetails"]["scope"] for create in creates(sim)]


@pytest.mark.parametrize(("taken", "asked_for"), [(MANY, [MANY, MANY]), (ONE, [MANY, ONE, ONE])])
def test_the_scope_is_spelled_as_fullstory_takes_it(sim, pauses, path, taken, asked_for):
    sim.scopes = (taken,)
    operations = {}
    exports = segments(sim, pauses, operations, event_scope="individuals")
    for bundle in (BUNDLE, Bundle(Window(NOON + HOUR, NOON + 2 * HOUR))):
        exports.fetch(bundle, path)
        assert rows(path)
    assert scopes(sim) == asked_for

    segments(sim, pauses, operations, event_scope="individuals").fetch(BUNDLE, path)
    assert scopes(sim) == asked_for  # found again by the next run, however its scope was spelled


def test_the_scope_of_events_is_spelled_as_the_contracts_prose_has_it_where_its_value_is_refused(sim, pauses, path):
    sim.scopes = ("SCOPE_EVENT",)
    segments(sim, pauses, event_scope="events").fetch(BUNDLE, path)
    assert rows(path)
    assert scopes(sim) == ["SCOPE_EVENTS", "SCOPE_EVENT"]


def test_a_scope_of_one_spelling_is_tried_once(sim, pauses, path):
    sim.scopes = ()
    with pytest.raises(ExportError, match=r"400 eventDetails\.scope must be one of"):
        segments(sim, pauses, event_scope="pages").fetch(BUNDLE, path)
    assert scopes(sim) == ["SCOPE_PAGES"]


@pytest.mark.parametrize("reason", ["fields: EventNew is not known", "the scope of your plan has no exports"])
def test_what_else_is_wrong_with_a_request_is_told_as_it_is(sim, pauses, path, reason):
    sim.scopes = (ONE,)
    fault(sim, "status", "create", status=400, body={"message": reason}, times=None)
    with pytest.raises(ExportError, match=f"400 {reason}"):
        segments(sim, pauses, event_scope="individuals").fetch(BUNDLE, path)
    assert scopes(sim) == [MANY, ONE]


@pytest.mark.parametrize("told", [True, False])
def test_a_running_export_is_taken_over_however_its_scope_is_spelled(sim, pauses, path, told):
    sim.echo, sim.scopes = told, (ONE,)
    begin(sim, pauses, path, event_scope="individuals")
    segments(sim, finishing(sim), event_scope="individuals").fetch(BUNDLE, path)
    assert len(creates(sim)) == (0 if told else 2)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "no"}, "400 no"),
        ({"code": "bad_request"}, "400 bad_request"),
        ({"error": {"message": "deep"}}, "400 deep"),
        ({"message": "x" * 5000}, "400 " + "x" * 300),
        ({}, "400 Bad Request"),
        ([], "400 Bad Request"),
        (b"", "400 Bad Request"),
        (b"\xff\xfe\xfa", "400 Bad Request"),
        (b"[" * 100_000, "400 Bad Request"),
        (b"<html>", "400 Bad Request"),
    ],
)
def test_whatever_a_refusal_says_becomes_one_line(sim, pauses, body, said):
    fault(sim, "status", "me", status=400, body=body)
    with pytest.raises(ExportError) as caught:
        client(sim, pauses).me()
    assert str(caught.value) == f"FullStory refuses the request (GET /me: {said})"


@pytest.mark.parametrize("on", ["me", "create", "operation", "results", "list"])
def test_a_web_page_instead_of_json_is_said_to_be_one(sim, pauses, path, on):
    hit = fault(sim, "html", on, times=None)
    with pytest.raises(ExportError, match=r"(GET|POST) /.*: the answer is a web page instead of JSON; is a proxy in"):
        call(sim, pauses, path, on)
    assert hit.hits == 1


PAGES = [
    b"<!DOCTYPE html><html><body>Sign in</body></html>", b"\n<HTML>", b"<!-- gateway --><html lang=en>",
    b'\xef\xbb\xbf<?xml version="1.0"?><!doctype html PUBLIC "x">', gzip.compress(b"<html>", mtime=0),
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_any_web_page_is_one(sim, pauses, page):
    fault(sim, "status", "me", status=200, body=page)
    with pytest.raises(ExportError, match="a web page instead of JSON"):
        client(sim, pauses).me()


REFUSALS = [
    ({"error": "no such thing"}, ExportError, 1),
    ({"error": {"message": "deep"}}, ExportError, 1),
    ({"code": "bad_request", "message": "no such thing"}, ExportError, 1),
    ({"error": "no such thing", "operationId": "x", "state": "COMPLETED", "location": "x"}, ExportError, 1),
    ({"code": "unauthorized", "message": "Unauthorized"}, AccessError, 1),
    ({"error": "API key is not valid"}, AccessError, 1),
    ({"code": "forbidden", "message": "permission denied"}, AccessError, 1),
    ({"error": "rate limit exceeded"}, BusyError, 4),
    ({"code": "unavailable", "message": "try again later"}, BusyError, 4),
    ({"error": "internal error"}, BusyError, 4),
]  # fmt: skip


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(("body", "error", "tries"), REFUSALS, ids=str)
@pytest.mark.parametrize("on", ["me", "create", "operation", "results", "list"])
def test_an_error_with_status_200_is_one(sim, pauses, path, on, body, error, tries, pack):
    said = body.get("message") or body["error"]
    hit = fault(sim, "status", on, status=200, body=pack(json.dumps(body).encode()), times=None)
    with pytest.raises(HauserError) as caught:
        call(sim, pauses, path, on)
    assert isinstance(caught.value, error)
    assert (said if isinstance(said, str) else "deep") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hit.hits == tries


@pytest.mark.parametrize(
    "answer", [{"body": b""}, {"body": b" \n"}, {"body": gzip.compress(b"", mtime=0)}, {"code": 204}, {"code": 205}]
)
@pytest.mark.parametrize("on", ["me", "create", "operation", "results", "list"])
def test_an_empty_answer_is_asked_for_again_and_none_in_the_end(sim, pauses, path, on, answer):
    hit = fault(sim, "status", on, status=answer.get("code", 200), body=answer.get("body", b""), times=None)
    with pytest.raises(BusyError, match="FullStory's answer is empty"):
        call(sim, pauses, path, on)
    assert hit.hits == 4


@pytest.mark.parametrize("status", [201, 202, 203])
def test_other_statuses_of_success_are_one(sim, pauses, path, status):
    fault(sim, "status", "me", status=status, body={"orgId": "o-1", "role": "ADMIN"})
    assert client(sim, pauses).me()["orgId"] == "o-1"


# --- files that hold something else than events

STORAGE_ERROR = (
    b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>It is gone.</Message><Sig>s3cret</Sig></Error>"
)
ON_STORAGE = {
    "an error": (
        b'{"error": "no such export"}',
        CorruptBundleError,
        "not a list of events, but an answer .no such export.",
    ),
    "code and message": (b'{"code": "x", "message": "it is\\nnot"}', CorruptBundleError, "an answer .it is not."),
    "a key refused": (b'{"error": "Unauthorized"}', AccessError, "refuses the API key"),
    "come again": (b'{"error": "internal"}', BusyError, "FullStory answers with an error .internal."),
    "a web page": (b"<!DOCTYPE html><html>", CorruptBundleError, "a web page instead of events; is a proxy"),
    "an error of storage": (STORAGE_ERROR, LinkError, r"an error of the storage .* .NoSuchKey: It is gone"),
    "null": (b"null", CorruptBundleError, "something else"),
    "a number": (b"7", CorruptBundleError, "something else"),
    "text": (b'"done"', CorruptBundleError, "something else"),
    "csv": (b"EventStart,UserEmail\n2024-05-01T12:00:00Z,me@example.com\n", CorruptBundleError, "something else$"),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("what", ON_STORAGE)
@pytest.mark.parametrize("api", ["json", "ndjson", "legacy", "individuals"])
def test_what_is_no_list_of_events_is_none_in_any_api(sim, pauses, path, api, what, pack):
    body, error, said = ON_STORAGE[what]
    sim.bodies[NOON.isoformat()] = pack(body)
    sim.downloads = None
    with pytest.raises(error, match=f"^{'the bundle'}.*{said}") as caught:
        fetch(sim, pauses, path, api)
    assert "s3cret" not in texts(caught.value)
    assert "me@example.com" not in texts(caught.value)


def fetch(sim, pauses, path, api):
    """Fetch a window's bundle by any of the APIs."""
    if api == "legacy":
        call(sim, pauses, path, "get")
    elif api == "individuals":
        given = {"export_format": "ndjson"}
        IndividualExports(client(sim, pauses, **given), settings(**given), {}).fetch(BUNDLE, path)
    else:
        segments(sim, pauses, export_format=api).fetch(BUNDLE, path)


@pytest.mark.parametrize(
    "body", [b"", b" \n", gzip.compress(b"", mtime=0), gzip.compress(b" ", mtime=0) + gzip.compress(b"", mtime=0)]
)
@pytest.mark.parametrize("api", ["json", "legacy"])
def test_nothing_where_an_array_was_promised_is_no_empty_window(sim, pauses, path, api, body):
    sim.bodies[NOON.isoformat()] = body
    with pytest.raises(CorruptBundleError, match="the bundle is empty"):
        fetch(sim, pauses, path, api)


@pytest.mark.parametrize(("body", "good"), [(b"", False), (b"\n", False), (gzip.compress(b"", mtime=0), True)])
def test_an_object_a_line_can_be_none_but_not_without_a_file(sim, pauses, path, body, good):
    sim.bodies[NOON.isoformat()] = body
    if good:
        fetch(sim, pauses, path, "ndjson")
    else:
        with pytest.raises(CorruptBundleError, match="the bundle is empty"):
            fetch(sim, pauses, path, "ndjson")


ROWS = [
    b'{"EventStart":"2024-05-01T12:00:00Z","error":"mine","message":"mine"}',
    b'{"eventstart":"2024-05-01T12:00:00Z","code":"mine"}\n{"EventStart":"2024-05-01T12:00:00Z"}',
    b'{"IndvId":7,"error":"mine"}', b'{"evt_error_str":"mine"}', b'\xef\xbb\xbf{"EventStart":"2024-05-01T12:00:00Z"}',
    b'{"message":"' + b"x" * (1 << 17) + b'"}', b"\x1f\x8bnonsense", gzip.compress(b"{}", mtime=0)[:12],
]  # fmt: skip


@pytest.mark.parametrize("body", ROWS)
def test_rows_and_damage_are_for_the_decoder_to_judge(sim, pauses, path, body):
    sim.bodies[NOON.isoformat()] = body
    fetch(sim, pauses, path, "ndjson")
    assert path.read_bytes() == body


def test_an_export_of_no_use_is_asked_for_anew_by_the_next_run_and_a_page_in_between_is_not(sim, pauses, path):
    for body, asked_for in ((b"<html>", 1), (b"null", 2)):
        sim.requests.clear()
        operations = {}
        sim.bodies[NOON.isoformat()] = body
        with pytest.raises(CorruptBundleError):
            segments(sim, pauses, operations).fetch(BUNDLE, path)
        sim.bodies.clear()
        segments(sim, pauses, operations).fetch(BUNDLE, path)
        assert rows(path)
        assert len(creates(sim)) == asked_for


def call(sim, pause, path, on, **given):
    """Do what comes by an endpoint."""
    if on == "me":
        client(sim, pause, **given).me()
    elif on == "segment":
        segment(client(sim, pause, **given), settings(**given))
    elif on == "segments":
        write_segments(client(sim, pause, **given), path)
    elif on in ("list", "get"):
        exports = legacy(sim, pause, **given)
        [bundle, *_] = exports.bundles(BUNDLE.window, (), sim.now)
        exports.fetch(bundle, path)
    else:
        segments(sim, pause, **given).fetch(BUNDLE, path)


WRONG_SHAPES = [
    None, [], [None], "text", 7, 1.5, True, [[]], b"NaN", b"9" * 5000, b"[" * 100_000, b"\xef\xbb\xbf{", b'"\xff"',
    {"operationId": None}, {"operationId": 5}, {"operationId": ""}, {"operationId": ["x"]}, {"operationId": "\udc00"},
    {"state": "COMPLETED", "results": 5}, {"state": "COMPLETED", "results": ["x"]},
    {"state": "COMPLETED", "results": {}}, {"state": "COMPLETED", "results": {"searchExportId": 5}},
    {"state": "FAILED", "errorDetails": ["a", {"b": None}]},
    {"location": None}, {"location": 5}, {"location": ["x"]}, {"location": "http://\udc00/"}, {"location": "ü"},
    {"exports": 5}, {"exports": "abc"}, {"exports": {"a": 1}}, {"exports": [None]}, {"exports": [[]]},
    {"exports": [{"Id": 1, "Start": 1}]}, {"exports": [{"Id": None, "Start": 1, "Stop": 2}]},
    {"exports": [{"Id": 1, "Start": 1, "Stop": 1e300}]}, {"exports": [{"Id": 1, "Start": "x", "Stop": 2}]},
    {"exports": [{"Id": 1, "Start": 10**18, "Stop": 10**30}]}, {"exports": [{"Id": 1, "Start": -(10**15), "Stop": 2}]},
]  # fmt: skip


@pytest.mark.parametrize("on", ["me", "create", "operation", "results", "list", "segment", "segments"])
def test_json_of_a_wrong_shape_is_never_an_error_of_ours(sim, pauses, path, on):
    for shape in WRONG_SHAPES:
        sim.faults.clear()
        body = shape if isinstance(shape, bytes) else json.dumps(shape).encode()
        fault(sim, "status", on, status=200, body=body, times=None)
        with pytest.raises((ExportError, TransientError)) as caught:
            call(sim, pauses, path, on, export_timeout="10ms")
        assert "\n" not in str(caught.value)


# --- operations


@pytest.mark.parametrize("key", ["\u00fc", "\udc00", ""])
def test_an_operation_that_could_not_be_written_down_is_none(sim, pauses, path, tmp_path, key):
    fault(sim, "status", "create", status=200, body=json.dumps({"operationId": key}).encode())
    with pytest.raises(ExportError, match="names no operationId"):
        segments(sim, pauses, Operations(tmp_path / "operations")).fetch(BUNDLE, path)


def test_a_failed_operation_ends_with_its_reason_and_is_forgotten(sim, pauses, path):
    fault(sim, "failed", "operation", error="the search\nran out of resources")
    operations = {}
    with pytest.raises(ExportFailedError, match="gave up on the export: the search ran out of resources"):
        segments(sim, pauses, operations).fetch(BUNDLE, path)
    assert operations == {}
    assert len(creates(sim)) == 1


def test_an_operation_that_never_ends_is_left_for_the_next_run(sim, pauses, path):
    stuck = fault(sim, "never", "operation")
    operations = {}
    with pytest.raises(TransientError, match="has not finished the export within") as caught:
        segments(sim, pauses, operations, export_timeout="100ms").fetch(BUNDLE, path)
    assert caught.value.exit_code == 75
    assert list(operations.values()) == list(sim.operations)
    assert stuck.hits == 1

    next(iter(sim.operations.values())).stuck = False
    segments(sim, pauses, operations).fetch(BUNDLE, path)
    assert rows(path)
    assert len(creates(sim)) == 1


def test_polls_grow_slower_up_to_ten_seconds(sim, pauses, path):
    fault(sim, "unknown", "operation", times=25)
    segments(sim, pauses).fetch(BUNDLE, path)
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.1
    assert pauses[-1] == 10


@pytest.mark.parametrize("state", ["RUNNING", "PAUSED", "", None, 5])
def test_an_unknown_state_is_waited_for(sim, pauses, path, state):
    hit = fault(sim, "unknown", "operation", state=state, times=3)
    segments(sim, pauses).fetch(BUNDLE, path)
    assert rows(path)
    assert hit.hits == 3


def test_an_operation_is_found_again_by_the_same_request_of_the_same_account_only(sim, pauses, path):
    operations = {}
    for _ in range(2):
        segments(sim, pauses, operations).fetch(BUNDLE, path)
    assert len(creates(sim)) == 1

    segments(sim, pauses, operations).fetch(Bundle(Window(NOON + HOUR, NOON + 2 * HOUR)), path)
    segments(sim, pauses, operations, segment_id="signed-up").fetch(BUNDLE, path)
    segments(sim, pauses, operations, fields="default").fetch(BUNDLE, path)
    sim.token = "another"
    segments(sim, pauses, operations, api_token="another").fetch(BUNDLE, path)
    assert len(creates(sim)) == len(operations) == 5
    assert not any(TOKEN in f"{name}{operation}" for name, operation in operations.items())


# --- operations that nothing on this machine remembers


def begin(sim, pauses, path, **given):
    """Have an export asked for, and forgotten while it runs."""
    sim.prepare = 1000
    with pytest.raises(UnfinishedError):
        segments(sim, pauses, export_timeout="1ms", **given).fetch(BUNDLE, path)
    sim.requests.clear()


def finishing(sim):
    """A pause in which FullStory finishes what it does."""

    def pause(seconds):
        for job in sim.operations.values() if seconds else ():
            job.ready = 0

    return pause


@pytest.mark.parametrize("spelled", [lambda request: request, lambda request: request | {"now": "", "timezone": None}])
def test_a_running_operation_that_says_it_is_this_export_is_taken_over(sim, pauses, path, spelled):
    sim.echo = True
    begin(sim, pauses, path)
    [job] = sim.operations.values()
    job.request = spelled(json.loads(json.dumps(job.request).replace("12:00:00Z", "12:00:00.000+00:00")))
    exports = segments(sim, finishing(sim))
    exports.fetch(BUNDLE, path)
    assert rows(path)
    assert creates(sim) == []


DIFFERENT = [
    {"segmentId": "signed-up"}, {"format": "FORMAT_JSON"}, {"fields": ["EventStart"]}, {"type": "TYPE_INDIVIDUAL"},
    {"timeRange": {"start": "2024-05-01T12:00:00Z", "end": "2024-05-01T13:00:00.001Z"}}, {"timezone": "Asia/Tokyo"},
    {"segmentTimeRange": {"start": "2024-05-01T12:00:00Z", "end": ""}}, {"eventDetails": {"scope": "SCOPE_PAGES"}},
    {"filter": [1]}, {"fields": None},
]  # fmt: skip


@pytest.mark.parametrize("different", DIFFERENT, ids=str)
def test_an_operation_that_differs_in_anything_is_let_be(sim, pauses, path, different):
    sim.echo = True
    begin(sim, pauses, path)
    [job] = sim.operations.values()
    job.request = job.request | different
    segments(sim, finishing(sim)).fetch(BUNDLE, path)
    assert len(creates(sim)) == 1
    assert len(sim.operations) == 2


def test_an_operation_that_does_not_say_what_it_exports_is_let_be(sim, pauses, path):
    begin(sim, pauses, path)
    segments(sim, finishing(sim)).fetch(BUNDLE, path)
    assert len(creates(sim)) == 1


def test_the_list_of_operations_is_asked_for_once_a_run_and_read_to_its_end(sim, pauses, tmp_path):
    sim.echo = True
    begin(sim, pauses, tmp_path / "bundle")
    [(key, job)] = sim.operations.items()
    others = {f"other{n}": replace(job, id=f"other{n}", request={}) for n in range(250)}
    sim.operations = others | {key: job}
    run_all(segments(sim, finishing(sim), concurrent_exports=4), tmp_path / "run", count=6, threads=4)
    assert len(creates(sim)) == 5
    listed = [request.query.get("paginationToken") for request in asked(sim, "/operations/v1") if request.query]
    assert listed[0] is None
    assert list(filter(None, listed)) == ["p100", "p200"]  # polls ask for the first page only: nothing runs any more


@pytest.mark.parametrize(("echo", "paid"), [(True, 1), (False, 2)])
@pytest.mark.parametrize("how", ["lost", "cut"])
def test_an_export_whose_answer_was_lost_is_found_where_operations_say_what_they_are(
    sim, pauses, path, echo, paid, how
):
    sim.echo, sim.prepare = echo, 1000
    fault(sim, how, "create", at=0)
    segments(sim, finishing(sim)).fetch(BUNDLE, path)
    assert rows(path)
    assert len(creates(sim)) == paid


def test_a_list_of_operations_that_cannot_be_had_stands_in_nobodys_way(sim, pauses, path):
    for answer in ({"status": 403}, {"status": 404}, {"status": 500}, {"status": 200, "body": b"<html>"}):
        sim.faults.clear()
        fault(sim, "status", "operations", times=None, **answer)
        segments(sim, pauses).fetch(BUNDLE, path)
        assert rows(path)
    for shape in (shape for shape in WRONG_SHAPES if not isinstance(shape, bytes)):
        for answer in (shape, {"operations": shape}, {"operations": [shape, {"id": shape, "request": {}}]}):
            sim.faults.clear()
            fault(sim, "status", "operations", status=200, body=json.dumps(answer).encode())
            segments(sim, pauses).fetch(BUNDLE, path)


def test_forget_forgets_one_bundle(sim, pauses, path):
    operations = {}
    exports = segments(sim, pauses, operations)
    other = Bundle(Window(NOON + HOUR, NOON + 2 * HOUR))
    exports.fetch(BUNDLE, path)
    exports.fetch(other, path)
    exports.release(BUNDLE)
    exports.release(BUNDLE)
    assert len(operations) == 1
    exports.fetch(other, path)
    assert len(creates(sim)) == 2


def gone(sim):
    sim.operations.clear()


def failed(sim):
    next(iter(sim.operations.values())).error = "cancelled"


def expired(sim):
    sim.exports.clear()


def empty(sim):
    fault(sim, "status", "operation", status=200, body={"state": "COMPLETED"})


def without_results(sim):
    fault(sim, "status", "results", status=410)


@pytest.mark.parametrize("happened", [gone, failed, expired, empty, without_results])
def test_a_remembered_operation_that_is_no_more_leads_to_one_new_one(sim, pauses, path, happened):
    operations = {}
    segments(sim, pauses, operations).fetch(BUNDLE, path)
    [before] = operations.values()
    expected = rows(path)
    path.unlink()

    happened(sim)
    segments(sim, pauses, operations).fetch(BUNDLE, path)
    assert rows(path) == expected
    assert len(creates(sim)) == 2
    assert list(operations.values()) != [before]


@pytest.mark.parametrize("on", ["operation", "results"])
def test_a_new_operation_that_is_no_good_either_is_not_replaced_again(sim, pauses, path, on):
    operations = {}
    segments(sim, pauses, operations).fetch(BUNDLE, path)
    fault(sim, "status", on, status=404, times=None)
    with pytest.raises(MissingError):
        segments(sim, pauses, operations).fetch(BUNDLE, path)
    assert len(creates(sim)) == 2


@pytest.mark.parametrize("status", [401, 403, 400])
def test_a_remembered_operation_is_kept_when_the_key_is_refused(sim, pauses, path, status):
    operations = {}
    segments(sim, pauses, operations).fetch(BUNDLE, path)
    before = dict(operations)
    fault(sim, "status", "operation", status=status)
    with pytest.raises(HauserError):
        segments(sim, pauses, operations).fetch(BUNDLE, path)
    assert operations == before
    assert len(creates(sim)) == 1


@pytest.mark.parametrize("bad", [False, True])
def test_a_stop_is_heeded_anywhere_and_what_was_paid_for_is_remembered(sim, path, bad):
    sim.prepare = 0.01
    for last in range(1000):
        looks = []
        sim.faults.clear()
        if bad:
            fault(sim, "status", "create", status=429, retry_after=1)
            fault(sim, "cut", "download")

        def pause(seconds, looks=looks, last=last):
            looks.append(seconds)
            if len(looks) > last:
                raise StoppedError(15)

        operations, before = {}, len(sim.operations)
        try:
            segments(sim, pause, operations).fetch(BUNDLE, path)
        except StoppedError:
            assert len(operations) == len(sim.operations) - before
        else:
            break
    assert last >= 5
    assert rows(path)


# --- how many at once


def run_all(exports, tmp_path, count, threads):
    tmp_path.mkdir(exist_ok=True)
    bundles = [Bundle(Window(NOON + i * HOUR, NOON + (i + 1) * HOUR)) for i in range(count)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda b: exports.fetch(b, tmp_path / str(b.window.start.timestamp())), bundles))
    assert len(list(tmp_path.iterdir())) == count


def test_no_more_exports_run_at_once_than_the_settings_say(sim, pauses, tmp_path):
    sim.prepare, sim.max_running = 0.05, 3
    run_all(segments(sim, pauses, concurrent_exports=3), tmp_path, count=10, threads=10)
    assert len(sim.operations) == 10
    assert len(creates(sim)) == 10  # FullStory had nothing to refuse


def test_fullstorys_own_limit_is_found_and_kept(sim, pauses, tmp_path):
    sim.prepare, sim.max_running = 0.05, 1
    run_all(segments(sim, pauses, concurrent_exports=4, max_retries=2), tmp_path, count=10, threads=4)
    assert len(sim.operations) == 10
    assert len(creates(sim)) < 10 + 3 + 4  # three at first, then one now and again, to see whether more may run


def test_a_limit_on_the_rate_of_exports_is_kept(sim, tmp_path):
    clock = Clock()
    sim.clock = lambda: clock.now
    sim.rate_limit = (1, 60.0)
    run_all(segments(sim, clock, concurrent_exports=4, max_retries=4), tmp_path, count=6, threads=4)
    assert len(sim.operations) == 6
    assert max(clock.pauses) == 60


def test_places_halve_and_come_back(pauses):
    limiter = Limiter(FixedLimit(8), pauses)
    seen = []
    for _ in range(4):
        limiter.too_many()
        seen.append(limiter.allowed)
    assert seen == [4, 2, 1, 1]
    for _ in range(100):
        limiter.went_well(Place(1), None)
    assert limiter.allowed == 8


def test_refusals_of_what_was_asked_for_at_once_count_once(pauses):
    limiter = Limiter(FixedLimit(8), pauses)
    for _ in range(8):
        limiter.too_many(8)
    assert limiter.allowed == 4
    limiter.too_many(4)
    assert limiter.allowed == 2


@pytest.mark.parametrize(
    ("waited", "usual", "pause"), [(0, 0, 10), (0, 20, 18), (17, 20, 1), (19, 20, 2.5), (40, 20, 10)]
)
def test_an_export_is_looked_for_when_the_last_one_was_ready(waited, usual, pause):
    assert until_usual(waited, usual) == pytest.approx(pause)


def test_a_place_is_given_back_after_an_error_and_after_a_stop():
    stopped = threading.Event()

    def pause(_seconds):
        if stopped.is_set():
            raise StoppedError(15)

    limiter = Limiter(FixedLimit(1), pause)
    with pytest.raises(KeyError), limiter.place():
        raise KeyError
    with limiter.place(), ThreadPoolExecutor(1) as pool:
        waits = pool.submit(limiter.place().__enter__)
        stopped.set()
        with pytest.raises(StoppedError):
            waits.result()
    stopped.clear()
    with limiter.place():
        assert limiter._taken == 1


def test_who_waited_longest_goes_first(pauses):
    limiter, went = Limiter(FixedLimit(1), pauses), []

    def wait(name):
        with limiter.place():
            went.append(name)

    with ThreadPoolExecutor(5) as pool, limiter.place():
        for name in range(5):
            pool.submit(wait, name)
            while len(limiter._line) <= name:
                time.sleep(0.001)
    assert went == [0, 1, 2, 3, 4]


def test_many_connections_are_no_reason_for_a_warning(sim, pauses, tmp_path, caplog):
    run_all(segments(sim, pauses, concurrent_exports=20), tmp_path, count=40, threads=20)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# --- legacy data exports


def test_the_list_is_read_page_by_page(sim, pauses):
    sim.since, sim.now = NOON, NOON + 80 * HOUR
    found = list(legacy(sim, pauses).bundles(Window(NOON, NOON + 50 * HOUR), (), sim.now))

    assert [bundle.window.start for bundle in found] == [NOON + i * HOUR for i in range(50)]
    assert all(bundle.window.end - bundle.window.start == HOUR for bundle in found)
    starts = [int(r.query["start"]) for r in asked(sim, "/api/v1/export/list")]
    assert starts == [int((NOON + i * HOUR).timestamp()) for i in (0, 20, 40)]


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("strings", [False, True])
def test_the_list_may_spell_as_it_likes(sim, pauses, path, lower, strings):
    sim.lowercase_list, sim.string_numbers = lower, strings
    exports = legacy(sim, pauses)
    [bundle] = exports.bundles(BUNDLE.window, (), sim.now)
    assert bundle.window == BUNDLE.window
    assert bundle.id > 1 << 60
    exports.fetch(bundle, path)
    assert json.loads(gzip.decompress(path.read_bytes()))
    exports.release(bundle)


def listed(*intervals):
    return {"exports": [{"Id": i, "Start": int(s.timestamp()), "Stop": int(e.timestamp())} for i, s, e in intervals]}


def test_a_list_that_does_not_move_on_ends(sim, pauses):
    for end in (NOON + HOUR, NOON):
        sim.requests.clear()
        sim.faults.clear()
        fault(sim, "status", "list", status=200, body=listed((7, NOON - HOUR, end)), times=None)
        found = list(legacy(sim, pauses).bundles(Window(NOON, NOON + 5 * HOUR), (), sim.now))
        assert len(found) == (end > NOON)
        assert len(sim.requests) <= 2


def test_a_bundle_that_is_listed_twice_is_one(sim, pauses):
    body = listed((8, NOON + HOUR, NOON + 2 * HOUR), (7, NOON, NOON + HOUR), (8, NOON + HOUR, NOON + 2 * HOUR))
    fault(sim, "status", "list", status=200, body=body, times=None)
    found = legacy(sim, pauses).bundles(Window(NOON, NOON + 5 * HOUR), (), sim.now)
    assert [bundle.id for bundle in found] == [7, 8]


@pytest.mark.parametrize("body", [{"exports": []}, {"exports": None}, {"Exports": []}, {}])
def test_an_empty_list_is_no_error(sim, pauses, body):
    fault(sim, "status", "list", status=200, body=body, times=None)
    assert list(legacy(sim, pauses).bundles(BUNDLE.window, (), sim.now)) == []


@pytest.mark.parametrize("body", [{"ok": True}, {"export": []}, {"exports": [], "error": "not today"}])
def test_an_object_without_a_list_is_not_taken_for_an_empty_list(sim, pauses, body):
    fault(sim, "status", "list", status=200, body=body, times=None)
    with pytest.raises(ExportError, match="GET /export/list: FullStory"):
        list(legacy(sim, pauses).bundles(BUNDLE.window, (), sim.now))


def test_bundles_overlap_the_start_of_a_stretch_and_stay_within_its_end(sim, pauses):
    interval = Window(NOON + 0.5 * HOUR + timedelta(microseconds=7), NOON + 3.5 * HOUR)
    found = list(legacy(sim, pauses).bundles(interval, (), sim.now))
    assert [bundle.window.start for bundle in found] == [NOON, NOON + HOUR, NOON + 2 * HOUR]

    held = [Window(NOON - HOUR, NOON + 2 * HOUR)]
    found = list(legacy(sim, pauses).bundles(interval, held, sim.now))
    assert [bundle.window.start for bundle in found] == [NOON + 2 * HOUR]


def test_bundles_are_there_as_soon_as_they_are_listed_whatever_the_settings_say_of_delays(sim, pauses):
    sim.now = NOON + 4.5 * HOUR
    exports = legacy(sim, pauses, export_delay="48h", export_duration="24h")
    interval = Window(NOON, NOON + 100 * HOUR)
    found = list(exports.bundles(interval, (), sim.now))

    assert found[-1].window.end == NOON + 4 * HOUR
    assert timedelta(0) < exports.next_ready(sim.now) - sim.now <= timedelta(minutes=5)
    assert exports.covered(interval, [bundle.window for bundle in found]) == Window(NOON, NOON + 4 * HOUR)
    assert exports.covered(interval, []) == Window(NOON, NOON)


@pytest.mark.parametrize("threads", [1, 8])
def test_two_downloads_a_minute_are_what_fullstory_allows(sim, tmp_path, threads):
    clock = Clock()
    sim.clock = lambda: clock.now
    exports = legacy(sim, clock, max_retries=2, concurrent_exports=threads)
    found = list(exports.bundles(Window(NOON, NOON + 9 * HOUR), (), sim.now))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda b: exports.fetch(b, tmp_path / str(b.id)), found))
    assert len(list(tmp_path.iterdir())) == len(found) == 9
    assert clock.pauses
    assert max(clock.pauses) <= 60


@pytest.mark.parametrize("day", BAD_DAYS.values(), ids=BAD_DAYS.keys())
@pytest.mark.parametrize("on", ["list", "get"])
def test_a_bad_day_of_the_legacy_api_costs_tries_and_no_byte(sim, pauses, path, on, day):
    sim.downloads = None
    hit = fault(sim, on=on, **day)
    call(sim, pauses, path, on, request_timeout="500ms")
    assert json.loads(gzip.decompress(path.read_bytes()))
    assert hit.hits == day.get("times", 1)


def test_an_account_without_data_exports_is_told_what_to_use(sim, pauses):
    sim.legacy = False
    with pytest.raises(ExportError, match=r'404 this account has no Data Export.*api = "segment_export"'):
        list(legacy(sim, pauses).bundles(BUNDLE.window, (), sim.now))
    assert len(sim.requests) == 1


@pytest.mark.parametrize("body", [b"[]", b" [ ]", gzip.compress(b"[]", mtime=0), b"\x1f\x8bnonsense", b'[{"error":1}]'])
def test_other_bundles_are_for_the_decoder_to_judge(sim, pauses, path, body):
    sim.bodies[NOON.isoformat()] = body
    call(sim, pauses, path, "get")
    assert path.read_bytes() == body


def test_a_bundle_that_is_no_more_is_said_to_be_so(sim, pauses, path):
    with pytest.raises(MissingError, match="GET /api/v1/export/get: 404 no bundle '5'"):
        legacy(sim, pauses).fetch(Bundle(BUNDLE.window, 5), path)
    assert pauses == []


# --- secrets

# the second one lies across the place where a message is cut
ECHO = {"message": f"denied: Basic {TOKEN} and {HEADER['X-Gateway-Pass']} ".ljust(285, ".") + TOKEN}
LEAKS = [
    *(
        {"kind": "status", "on": on, "status": status, "body": ECHO}
        for on in ("create", "operation", "results")
        for status in (400, 401, 404, 500)
    ),
    *({"kind": kind, "on": "any"} for kind in ("reset", "redirect", "html")),
    *({"kind": kind, "on": "download"} for kind in ("reset", "cut", "expired", "status", "hang", "redirect")),
    {"kind": "status", "on": "download", "status": 400, "body": ECHO},
    {"kind": "failed", "on": "operation", "error": ECHO["message"]},
    {"kind": "status", "on": "operation", "status": 200, "body": {"state": "FAILED", "errorDetails": [ECHO]}},
    {"kind": "status", "on": "create", "status": 200, "body": ECHO},
    {"kind": "hang", "on": "results"},
    {"kind": "cut", "on": "results"},
]  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: f"{leak['kind']} {leak.get('status', '')} {leak['on']}")
def test_no_error_and_no_log_shows_a_secret(sim, path, leak, caplog, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    fault(sim, times=None, seconds=0.3, **leak)
    with caplog.at_level(logging.DEBUG), pytest.raises(HauserError) as caught:
        call(sim, Pauses(), path, "any", http_headers=HEADER, request_timeout="100ms", max_retries=1)

    ours = "\n".join(f"{r.getMessage()} {r.exc_text}" for r in caplog.records if r.name.startswith("hauser_dlt"))
    theirs = "\n".join(record.getMessage() for record in caplog.records)
    for secret in (TOKEN, TOKEN[:12], *HEADER.values()):
        assert secret not in texts(caught.value)
        assert secret not in theirs
    for signature in ("X-Signature", *sim.links):
        assert signature not in texts(caught.value)
        assert signature not in ours


def test_a_good_day_shows_no_secret_in_our_logs_either(sim, path, caplog):
    fault(sim, "cut", "download")
    with caplog.at_level(logging.DEBUG):
        call(sim, Pauses(), path, "any", http_headers=HEADER)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("hauser_dlt")]
    assert len(ours) > 1
    assert not [line for line in ours for secret in (TOKEN, *HEADER.values(), *sim.links) if secret in line]


def test_the_command_leaves_urllib3_quiet_which_would_log_links(sim, path, caplog):
    from hauser_dlt.cli.options import set_up_logging  # noqa: PLC0415

    ours = logging.getLogger("hauser_dlt")
    before = ours.level
    try:
        set_up_logging(2, {})
        call(sim, Pauses(), path, "any")
    finally:
        ours.setLevel(before)
    assert Counter(record.name.split(".")[0] for record in caplog.records).keys() == {"hauser_dlt"}
