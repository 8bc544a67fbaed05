"""Downloads that break off go on where they stopped, and no byte is lost, doubled or of another file."""

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauser_dlt.errors import HauserError
from hauser_dlt.exports.partial_files import PartialFile
from hauser_dlt.simulator import Account, Fault, Simulator
from support.exports import NOON, asked, bundle, segment_exports

API = "http://127.0.0.1:9"


class Pauses(list):
    """Remembers the pauses, and what is done in each."""

    def __init__(self, *steps):
        super().__init__()
        self._steps = list(steps)

    def __call__(self, seconds):
        if seconds:
            self.append(seconds)
            if self._steps:
                self._steps.pop(0)()


@pytest.fixture
def sim():
    with Simulator(Account(events_per_hour=20)) as simulator:
        yield simulator


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bundle"


def downloads(sim):
    """What storage was asked for: the ranges, None for all."""
    return [request.headers.get("range") for request in asked(sim, listener="storage")]


def whole(sim, path):
    """Fetch the bundle on a good day, and return its bytes."""
    segment_exports(sim, Pauses()).fetch(bundle(), path)
    sent = path.read_bytes()
    path.unlink()
    sim.requests.clear()
    return sent


@pytest.mark.parametrize(
    ("packing", "resets"), [("gzip", False), ("members", False), ("plain", False), ("members", True)]
)
def test_a_download_that_breaks_off_anywhere_goes_on_there(sim, path, packing, resets):
    sim.packing = packing
    expected = whole(sim, path)
    for at in [*range(0, len(expected), len(expected) // 25), 1, 10, len(expected) - 8, len(expected) - 1]:
        sim.requests.clear()
        sim.faults.clear()
        sim.faults.add(Fault("cut", "download", at=at, resets=resets))
        path.write_bytes(b"of another bundle")  # what lies there by chance is none of it
        segment_exports(sim, Pauses()).fetch(bundle(), path)
        assert path.read_bytes() == expected
        first, second = downloads(sim)
        assert first is None
        if not resets:  # a reset may take with it what has been sent
            assert second == (f"bytes={at}-" if at else None)


def test_it_breaks_off_again_and_again_and_each_try_brings_more(sim, path):
    expected = whole(sim, path)
    for _ in range(3):
        sim.faults.add(Fault("cut", "download", at=100))
    pauses = Pauses()
    segment_exports(sim, pauses).fetch(bundle(), path)
    assert path.read_bytes() == expected
    assert downloads(sim) == [None, "bytes=100-", "bytes=200-", "bytes=300-"]
    assert len(pauses) == 3


def test_it_is_tried_as_often_as_ever(sim, path):
    sim.faults.add(Fault("cut", "download", at=10, times=None))
    with pytest.raises(HauserError, match="breaks off"):
        segment_exports(sim, Pauses(), max_retries=5).fetch(bundle(), path)
    assert len(downloads(sim)) == 6


def test_no_key_goes_with_a_range_and_each_try_has_its_own_link(sim, path):
    sim.once_links = True
    for _ in range(2):
        sim.faults.add(Fault("cut", "download", at=50))
    segment_exports(sim, Pauses(), http_headers={"X-Gateway": "pass"}).fetch(bundle(), path)
    seen = asked(sim, listener="storage")
    assert len(seen) == 3
    assert len({request.query["X-Signature"] for request in seen}) == 3
    assert not [request for request in seen if {"authorization", "x-gateway"} & request.headers.keys()]
    assert not any(sim.token in str(request) for request in seen)


def test_a_link_that_expires_in_between_costs_a_try_and_no_byte(sim, path):
    expected = whole(sim, path)
    sim.faults.add(Fault("cut", "download", at=100))
    sim.faults.add(Fault("expired", "download"))
    sim.faults.add(Fault("status", "download", status=503))
    segment_exports(sim, Pauses()).fetch(bundle(), path)
    assert path.read_bytes() == expected
    assert downloads(sim) == [None, *["bytes=100-"] * 3]


@pytest.mark.parametrize("length", [40, 1000, 5000])
def test_a_file_that_changes_between_the_tries_is_fetched_anew(sim, path, length):
    first, second = gzip.compress(b'{"EventStart":"2024-05-01T12:00:00Z"}\n' * 40), bytes(range(256)) * 20
    sim.bodies[NOON.isoformat()] = first

    def change():
        sim.bodies[NOON.isoformat()] = b'{"EventStart":' + second[:length]

    sim.faults.add(Fault("cut", "download", at=30))
    segment_exports(sim, Pauses(change)).fetch(bundle(), path)
    assert path.read_bytes() == b'{"EventStart":' + second[:length]
    assert downloads(sim) == [None, "bytes=30-"]  # the second was answered with all


@pytest.mark.parametrize(
    ("option", "value", "asked_for"),
    [
        ("etags", "weak", [None, None]),
        ("etags", "none", [None, None]),
        ("chunked", True, [None, None]),
        ("ranges", False, [None, "bytes=100-"]),
        ("packing", "encoded", [None, "bytes=100-"]),
    ],
)
def test_where_nothing_shows_that_it_is_the_same_file_all_is_fetched_anew(sim, path, option, value, asked_for):
    setattr(sim, option, value)
    expected = whole(sim, path)
    sim.faults.add(Fault("cut", "download", at=100))
    segment_exports(sim, Pauses()).fetch(bundle(), path)
    assert path.read_bytes() == expected
    assert downloads(sim) == asked_for


# --- storage that answers a range in other ways


FILE = bytes(range(256)) * 4
TAG = '"of-the-file"'
ALL = (200, FILE, {"ETag": TAG})


class _Storage(BaseHTTPRequestHandler):
    """Breaks off a file at byte 100, answers the next request as a test says, and all others with the file."""

    def do_GET(self):
        asked_for = self.server.asked
        asked_for.append((self.headers["Range"], self.headers["If-Range"]))
        status, body, headers = self.server.second if len(asked_for) == 2 else ALL
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:100] if len(asked_for) == 1 else body)

    def log_message(self, *_):
        pass


@contextmanager
def storage(second):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Storage) as server:
        server.second, server.asked = second, []
        server.url = f"http://127.0.0.1:{server.server_port}/file?X-Signature=1"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def rest(status=206, body=FILE[100:], **changed):
    headers = {"ETag": TAG, "Content-Range": f"bytes 100-1023/{len(FILE)}"}
    return status, body, headers | {name.replace("_", "-"): value for name, value in changed.items()}


NOT_THE_REST = {
    "another file": rest(ETag='"of-another-file"'),
    "a weak tag": rest(ETag=f"W/{TAG}"),
    "no tag": rest(ETag=None),
    "no range": rest(Content_Range=None),
    "a range of something": rest(Content_Range="pages 100-1023/1024"),
    "an earlier range": rest(body=FILE[90:], Content_Range="bytes 90-1023/1024"),
    "a later range": rest(body=FILE[110:], Content_Range="bytes 110-1023/1024"),
    "a part of the rest": rest(body=FILE[100:500], Content_Range="bytes 100-499/1024"),
    "another length": rest(Content_Range="bytes 100-1023/2048"),
    "no length": rest(Content_Range="bytes 100-1023/*"),
    "nothing of its own length": rest(Content_Length=None, Connection="close"),
    "less than it says": rest(body=FILE[100:500]),
    "more than it says": rest(body=FILE[90:]),
    "several ranges": rest(Content_Type="multipart/byteranges; boundary=x", Content_Range=None),
    "a condition that failed": (412, b"<Error/>", {}),
    "no such range": (416, b"<Error/>", {"Content-Range": "bytes */1024"}),
    "no such range any more": (416, b"<Error/>", {"Content-Range": "bytes */50", "ETag": TAG}),
}


def download(url, path, tries):
    """Try to download a file; return it."""
    client = segment_exports(SimpleNamespace(token="key", url=API), Pauses())._client
    partial_file = PartialFile(path)
    for left in reversed(range(tries)):
        try:
            client.download(url, path, partial_file=partial_file)
        except HauserError:
            assert left
    return path.read_bytes()


def test_a_file_goes_on_where_storage_sends_the_rest_of_it(path):
    with storage(rest()) as server:
        assert download(server.url, path, tries=2) == FILE
    assert server.asked == [(None, None), ("bytes=100-", TAG)]


@pytest.mark.parametrize("second", NOT_THE_REST.values(), ids=NOT_THE_REST.keys())
def test_what_is_not_the_rest_of_the_file_is_no_part_of_it_and_the_same_try_begins_anew(path, second):
    with storage(second) as server:
        assert download(server.url, path, tries=2) == FILE
    assert server.asked == [(None, None), ("bytes=100-", TAG), (None, None)]


def test_all_of_another_file_takes_the_place_of_what_was_there(path):
    with storage((200, FILE[:50], {"ETag": '"of-another-file"'})) as server:
        assert download(server.url, path, tries=2) == FILE[:50]


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusal_leaves_what_is_there_for_the_next_try(path, status):
    with storage((status, b"<Error/>", {})) as server:
        client_file = PartialFile(path)
        client = segment_exports(SimpleNamespace(token="key", url=API), Pauses())._client
        for _ in range(2):
            with pytest.raises(HauserError):
                client.download(server.url, path, partial_file=client_file)
        assert client_file.headers() == {"Range": "bytes=100-", "If-Range": TAG}
        assert path.read_bytes() == FILE[:100]


@given(
    etag=st.sampled_from(['"a"', 'W/"a"', "a", "", '""', '"a', '"a\x7f"', '"\n"']),
    length=st.sampled_from(["9", "", "-1", "x"]),
)
def test_only_a_strong_tag_and_a_length_are_worth_going_on_for(tmp_path_factory, etag, length):
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    path.write_bytes(b"1234")
    so_far = PartialFile(path)
    so_far.begin({"ETag": etag, "Content-Length": length})
    assert bool(so_far.headers()) == (etag in ('"a"', '""') and length == "9")


@pytest.mark.parametrize("written", [0, 9, 10])
def test_neither_nothing_nor_all_is_gone_on_with(path, written):
    so_far = PartialFile(path)
    so_far.begin({"ETag": TAG, "Content-Length": "9"})
    assert so_far.headers() == {}  # there is no file
    path.write_bytes(b"1" * written)
    assert so_far.headers() == {}
