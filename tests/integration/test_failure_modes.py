"""Exports that are odd or damaged, all the way to the destination: what is right arrives, what is wrong is named."""

import gzip
from datetime import timedelta

import pytest

from hauser_dlt.errors import CorruptBundleError
from hauser_dlt.simulator import Fault
from support.destinations import MIDNIGHT, as_rows, bare, in_each_way
from support.runs import PATIENCE

STEP = timedelta(hours=6)
NOW = MIDNIGHT + timedelta(days=1, hours=12)  # two windows have settled
MANY = 50_000


def line(number, duration):
    moment = (MIDNIGHT + timedelta(milliseconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return b'{"EventStart":"%b","EventType":"click","EventDuration":%b}' % (moment.encode(), duration)


def test_one_value_of_a_wrong_type_among_fifty_thousand_costs_that_value_only(runs):
    runs.sim.chunked = True
    runs.sim.events = lambda start, end: (
        line(number, b'"1.5 s"' if number == MANY - 7 else b"%d" % number)
        for number in range(MANY if start == MIDNIGHT else 0)
    )
    done = runs.command("run", "--end", str(MIDNIGHT + STEP))
    _, said = done.communicate(timeout=PATIENCE)

    assert done.returncode == 0
    assert "values that do not fit their column are in CustomVars instead: EventDuration (1)" in said
    [sums] = runs.target.query('SELECT COUNT(*) AS n, COUNT("EventDuration") AS durations FROM "fs_export"')
    assert sums == {"n": MANY, "durations": MANY - 1}
    [odd] = runs.target.query('SELECT "CustomVars" FROM "fs_export" WHERE "EventDuration" IS NULL')
    assert odd == {"CustomVars": '{"EventDuration":"1.5 s"}'}


@pytest.mark.parametrize("target", ["duckdb", "parquet"], indirect=True)
def test_a_record_of_fifty_megabytes_is_loaded(runs):
    huge = {"EventStart": MIDNIGHT.isoformat(), "EventType": "custom", "evt_log_str": "x" * 50_000_000}
    runs.sim.events = lambda start, end: [huge] * (start == MIDNIGHT)
    runs.load(NOW, end=MIDNIGHT + STEP)

    [row] = runs.target.rows()
    assert len(row["CustomVars"]) == 50_000_000 + len('{"evt_log_str":""}')


ODD = (
    b'{"EventStart":"2024-05-01T01:00:00Z","EventType":"a","EventType":"b","evt_k":1,"evt_k":2.50}\n'
    b'{"EventStart":"2024-05-01T01:00:01Z","UserEmail":"\xff\xc3","evt_s_str":"\\ud800"}\n'
    b'{"EventStart":"2024-05-01T01:00:02Z","evt_deep":'
    + b"[" * 500
    + b'{"a":' * 499
    + b"{}"
    + b"}" * 499
    + b"]" * 500
    + b"}\n"
)
AS_ROWS = [
    {"EventStart": "2024-05-01T01:00:00Z", "EventType": "b", "evt_k": 2.5},
    {"EventStart": "2024-05-01T01:00:01Z", "UserEmail": "\ufffd\ufffd", "evt_s_str": "\ufffd"},
]


@in_each_way
def test_what_is_odd_and_legal_is_loaded(runs):
    runs.sim.bodies[MIDNIGHT.isoformat()] = gzip.compress(ODD)
    runs.load(NOW, end=MIDNIGHT + STEP)

    rows = sorted(runs.target.rows(), key=lambda row: row["EventStart"])
    assert len(rows) == 3
    assert bare(rows[1:2]) == bare(as_rows(AS_ROWS[1:]))
    assert (rows[0]["EventType"], rows[0]["CustomVars"]) == ("b", '{"evt_k":2.50}')
    assert rows[2]["CustomVars"].count("[") == 500


def damaged(at):
    packed = bytearray(gzip.compress(b'[{"EventType":"x"}]', mtime=0))
    packed[at] ^= 0xFF
    return bytes(packed)


BAD = {
    "bad checksum": damaged(-8),
    "bad length": damaged(-1),
    "bad deflate": damaged(14),
    "cut in the header": gzip.compress(b"{}")[:5],
    "cut in the trailer": gzip.compress(b"{}")[:-4],
    "cut in a second member": gzip.compress(b"[{}") + gzip.compress(b"]")[:12],
    "array not closed": b'[{"EventType":"x"}',
    "array not closed, between two members": gzip.compress(b'[{"EventType":"x"}'),
    "NaN": b'{"EventFirstInputDelay":NaN}',
    "100,000 deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a web page": b"<!DOCTYPE html>",
    "cut in a record": b'{"EventType":"x"}\n{"Even',
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_a_damaged_export_fails_its_window_alone_and_says_which_and_why(runs, body):
    runs.sim.bodies[MIDNIGHT.isoformat()] = body
    with pytest.raises(CorruptBundleError, match=r"^2024-05-01 00:00 to 2024-05-01 06:00 UTC: the bundle"):
        runs.load(NOW)

    assert bare(runs.target.rows()) == bare(as_rows(runs.sim.rows(MIDNIGHT + STEP, MIDNIGHT + 2 * STEP)))


EVENT = '{"EventStart": "2024-05-01T00:00:01Z", "EventType": "click", "UserEmail": "me@example.com"}'
ANSWERS = {
    "an error behind events": (EVENT + '\n{"error": "ran out of time"}', "row 2 .*answer of .*ran out of time"),
    "an error before events": (
        '[{"code": 500, "message": "no"}, ' + EVENT + "]",
        "row 1 .*'code': 500, 'message': 'no'",
    ),
    "something else": (EVENT + '\n{"email": "me@example.com"}', r"row 2 .*\['email'\]"),
    "empty objects": ("[{}, {}]", "none of the bundle's 2 rows has EventStart.*the first has nothing"),
    "nothing that was asked for": ('{"UserEmail": "me@example.com"}', "none of the bundle's 1 rows has .* UserEmail"),
}


@pytest.mark.parametrize("target", ["duckdb", "json"], indirect=True)
@pytest.mark.parametrize(("body", "said"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_among_rows_fails_its_window_and_quotes_no_user(runs, body, said):
    runs.sim.bodies[MIDNIGHT.isoformat()] = body.encode()
    with pytest.raises(CorruptBundleError, match=said) as refused:
        runs.load(NOW)

    assert "example.com" not in str(refused.value)
    assert [row["BundleStartTime"] for row in runs.target.sync()] == [MIDNIGHT + STEP]


def test_what_a_second_try_can_mend_fails_nothing(runs):
    for kind, on, more in (
        ("status", "create", {"status": 429, "retry_after": 1}),
        ("status", "create", {"status": 429}),
        ("lost", "create", {}),
        ("reset", "operation", {}),
        ("status", "results", {"status": 502, "times": 2}),
        ("expired", "download", {}),
        ("cut", "download", {"at": 40, "resets": True}),
        ("hang", "download", {"seconds": 0.5}),
    ):
        runs.sim.faults.add(Fault(kind, on, **more))
    runs.sim.once_links = True
    runs.load(NOW, request_timeout="200ms", max_retries=8)

    runs.expect(MIDNIGHT, MIDNIGHT + 2 * STEP)
    assert all(fault.hits for fault in runs.sim.faults)
