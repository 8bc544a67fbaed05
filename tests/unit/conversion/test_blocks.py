"""Blocks of lines: what comes of them is what comes of the bundle that is read in one go, errors included."""

import gzip
import json
import operator
import tracemalloc
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from itertools import pairwise
from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hauser_dlt.conversion import events, frames
from hauser_dlt.conversion.block_reader import BlockReader, Divider
from hauser_dlt.conversion.events import EventReader
from hauser_dlt.conversion.work import InOrder
from hauser_dlt.errors import CorruptBundleError
from hauser_dlt.exports import Bundle
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.fields import KNOWN
from hauser_dlt.records import byte_stream
from hauser_dlt.records.blocks import after, blocks, lines_of
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.tables import Fitting, Table
from hauser_dlt.windows import Window

HOUR = Window(datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 1, 1, tzinfo=UTC))
NEXT = Window(HOUR.end, datetime(2024, 5, 1, 2, tzinfo=UTC))
SETTINGS = SimpleNamespace(api="segment_export", keeps_to_windows=True, export_format="ndjson")
TABLE = Table.of({"EventStart": {"name": "EventStart", "data_type": "timestamp", "timezone": False}})
ROWS = 4
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Here:
    """A pool whose work is done in this process once it is waited for: the later it is, the more has come up before."""

    size = 2

    def submit(self, work):
        pipe = BytesIO()
        frames.send(pipe, work)
        future = Future()
        future.result = lambda: self.done(pipe.getvalue())
        return future

    def done(self, sent):
        pipe = BytesIO()
        frames.send(pipe, frames.receive(BytesIO(sent)).do())
        pipe.seek(0)
        return frames.receive(pipe)


def table_columns():
    return Columns(
        {name: kind for name, kind in KNOWN.items() if name.startswith(("Event", "Indv", "Page"))},
        new=partial(max, "any"),
        custom={"x_int": "int"},
        fits=partial(operator.ne, "Unfit"),
        drops=str.isspace,
        takes=bool,
        numbers=operator.is_,
    )


@contextmanager
def files(folder, bundles):
    """The bundles' files."""
    for number, content in enumerate(bundles):
        (folder / str(number)).write_bytes(content)
    yield [Delivery(Bundle(window), folder / str(number)) for number, window in enumerate((HOUR, NEXT)[: len(bundles)])]


def read(deliveries, open_reader):
    """Return all that is read of the bundles that a load has, up to the first that cannot be read."""
    columns, found, error = table_columns(), [], ""
    try:
        for delivery in deliveries:
            reader = open_reader(delivery, columns, "1.5")
            batches = list(reader)
            found.append((batches, reader.tally))
    except CorruptBundleError as exc:
        error = str(exc)
    return found, None if error else columns.state(), error


def compared(tmp_path, *bundles, limit=None):
    """Return what is read of bundles in one go, and by blocks."""
    fit = partial(InOrder, Fitting(TABLE, limit), ("EventType", "NewOne"))

    def following(delivery):
        return dict(pairwise(deliveries)).get(delivery)

    with files(tmp_path, bundles) as deliveries, pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "BATCH_ROWS", ROWS)
        one = read(deliveries, partial(EventReader, SETTINGS, fit(), replays="https://"))
        divider = Divider(Here(), lambda future: future.result(), following, ROWS)
        return one, read(deliveries, partial(BlockReader, divider, SETTINGS, fit(), replays="https://"))


def in_one(found):
    """Return what was read, however the rows are spread over batches.

    On those it hangs whether a column that only rows outside of the window have a value for is there.
    """
    bundles, state, error = found
    joined = [(pa.concat_tables(map(tabled, batches), promote_options="default"), tally) for batches, tally in bundles]
    return (
        [({name: table[name].to_pylist() for name in with_values(table)}, tally) for table, tally in joined],
        state,
        error,
    )


def tabled(batch):
    return pa.Table.from_batches([batch])


def with_values(table):
    return [name for name in table.schema.names if table[name].null_count < len(table)]


VALUES = st.sampled_from(
    [
        '"a"',
        '"1"',
        "1",
        "1.50",
        "-0",
        "null",
        "true",
        '{"a": [1.0, {}]}',
        '"x\\u0000y"',
        '"\\ud800"',
        str(2**70),
        '"é❄"',
    ]
)
NAMES = st.sampled_from(
    [
        "EventType",
        "IndvId",
        "indvid",
        "PageDuration",
        "NewOne",
        "Newone",
        "Zebra",
        "Unfit",
        "UNFIT",
        "x_int",
        "y_str",
        " ",
    ]
)
TIMES = st.sampled_from(['"2024-05-01T00:30:00Z"', '"2024-05-01T01:30:00Z"', '"2020-01-01T00:00:00Z"', "null", "7"])
EVENTS = st.builds(
    lambda time, row: "{" + ", ".join(f"{json.dumps(k)}: {v}" for k, v in {"EventStart": time, **row}.items()) + "}",
    TIMES,
    st.dictionaries(NAMES, VALUES, max_size=4),
)
HAPPENED = '{"EventStart": "2024-05-01T00:30:00Z", %s}'
ODD = st.sampled_from(
    ["", " \t", "\r", "\ufeff", '\ufeff{"Zebra": 1}', "[]", "{", "x", '{"message": "no"}', "{}", '{"a": "\udcff"}']
)
LINES = st.lists(st.one_of(EVENTS, EVENTS, EVENTS, EVENTS, EVENTS, ODD), max_size=24)
TIDY = st.lists(EVENTS, max_size=24)


def body(lines, end="\n"):
    return "\n".join(lines).encode(errors="surrogateescape") + end.encode()


def packed(content, cuts):
    """Return gzip of some members."""
    places = sorted({0, *(cut for cut in cuts if cut < len(content)), len(content)})
    return b"".join(gzip.compress(content[a:b], 1, mtime=0) for a, b in pairwise(places))


@few
@given(TIDY, TIDY, st.sampled_from([None, 3]))
def test_batches_are_those_of_the_bundle_read_in_one_go(tmp_path_factory, lines, others, limit):
    bundles = [gzip.compress(body(some), 1) for some in (lines, others)]
    one, by_blocks = compared(tmp_path_factory.mktemp("bundles"), *bundles, limit=limit)
    assert by_blocks == one


@few
@given(LINES, LINES, st.sampled_from(["", "\n", "\n\n", "\r\n"]), st.lists(st.integers(1, 2000), max_size=3))
@example([HAPPENED % '"NewOne": 1'] * 5 + [HAPPENED % '"Newone": 1'] * 5, [], "\n", [])
@example(['{"EventStart": null}'] * 9, [], "\n", [])
def test_rows_and_errors_are_those_of_the_bundle_read_in_one_go(tmp_path_factory, lines, others, end, cuts):
    bundles = [packed(body(some, end), cuts) for some in (lines, others)]
    one, by_blocks = map(in_one, compared(tmp_path_factory.mktemp("bundles"), *bundles))
    if not all(line.strip("\ufeff \t\r") for line in (*lines, *others)):
        # which of two errors is told hangs on what is a batch, and blank lines count as lines of a block
        one, by_blocks = ((found, state, bool(error)) for found, state, error in (one, by_blocks))
    assert by_blocks == one


def test_records_are_counted_as_in_the_bundle_read_in_one_go(tmp_path):
    lines = ['{"EventStart": null}', "", "\ufeff", " ", *['{"EventType": "a"}'] * 9, "x"]
    one, by_blocks = compared(tmp_path, gzip.compress(body(lines)))
    assert by_blocks[2] == one[2]
    assert "at record 12" in one[2]


@few
@given(TIDY, st.lists(st.integers(1, 2000), max_size=3), st.floats(0, 1), st.sampled_from([None, b"\0", b"\xff"]))
@example([HAPPENED % '"NewOne": 1'] * 20, [700], 0.99, None)
@example([HAPPENED % '"NewOne": 1'] * 20, [700], 0.99, b"\xff")
def test_damage_is_told_as_without_blocks(tmp_path_factory, lines, cuts, share, wrong):
    whole = packed(body(lines), cuts)
    cut = int(share * len(whole))
    bundle = whole[:cut] if wrong is None else whole[:cut] + wrong + whole[cut + 1 :]
    one, by_blocks = map(in_one, compared(tmp_path_factory.mktemp("bundles"), bundle))
    assert by_blocks == one


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"[]", b'[{"EventStart": "2024-05-01T00:30:00Z"}]', b"\xff\xfe{", b"x"]
)
def test_what_is_not_one_object_a_line_is_read_as_ever(tmp_path, content):
    one, by_blocks = compared(tmp_path, gzip.compress(content))
    assert by_blocks == one


@given(st.lists(st.sampled_from(["", "{}", "x" * 9, "y" * 50])), st.integers(1, 30), st.integers(1, 5))
def test_blocks_are_whole_lines_and_so_many_or_so_long(lines, size, rows):
    content = b"\n".join(line.encode() for line in lines)
    found = [
        b"".join(block) for block in blocks((content[a : a + size] for a in range(0, len(content), size)), rows, 60)
    ]
    assert b"".join(found) == content
    for block in found[:-1]:
        assert block.endswith(b"\n")
        assert block.count(b"\n") == rows or len(block.replace(b"\n", b"")) >= 60
    for block in found:
        before = block[: block.rstrip(b"\n").rfind(b"\n") + 1] if block.endswith(b"\n") else block
        assert block.count(b"\n") <= rows
        assert len(before.replace(b"\n", b"")) < 60 + 50


def test_a_line_without_end_fills_no_memory(monkeypatch):
    monkeypatch.setattr(byte_stream, "LONGEST_RECORD", 1 << 20)
    taken = []

    def endless():
        yield b"{}\n{"
        while True:
            taken.append(1 << 16)
            yield b"," * (1 << 16)

    with pytest.raises(CorruptBundleError, match="a record of more than"):
        list(blocks(lines_of(endless()), 10))
    assert sum(taken) < (16 << 20) + (3 << 20)


@given(st.lists(st.binary(min_size=1)), st.integers(0, 30))
def test_what_follows_a_place_can_be_read_on(pieces, place):
    assert b"".join(after(pieces, place)) == b"".join(pieces)[place:]


def test_no_more_is_begun_than_workers_can_do(tmp_path):
    lines = ['{"EventStart": "2024-05-01T00:30:00Z"}'] * 10 * ROWS
    with files(tmp_path, [body(lines)] * 2) as deliveries:
        most = []

        def wait(future):
            most.append(sum(len(division.begun) for division in divider._divisions))
            return future.result()

        divider = Divider(Here(), wait, {deliveries[0]: deliveries[1]}.get, ROWS)
        read(deliveries, partial(BlockReader, divider, SETTINGS, Fitting(TABLE, None)))
    assert most == [Here.size + 1] * 18 + [2, 1]


def test_memory_does_not_grow_with_the_bundle(tmp_path):
    lines = ['{"EventStart": "2024-05-01T00:30:00Z", "evt_x_str": "%s"}' % ("x" * 100_000)] * ROWS
    with files(tmp_path, [gzip.compress(body(lines), 1) * 50]) as (delivery,):
        divider = Divider(Here(), lambda future: future.result(), lambda delivery: None, ROWS)
        reader = BlockReader(divider, SETTINGS, Fitting(TABLE, None), delivery, table_columns(), "1.5")
        tracemalloc.start()
        try:
            assert sum(batch.num_rows for batch in reader) == 50 * ROWS
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 12 * ROWS * 100_000


def test_a_block_that_nobody_will_take_is_given_up(tmp_path):
    with files(tmp_path, [body(["{}"] * 9 * ROWS)]) as (delivery,):
        futures = []
        pool = SimpleNamespace(size=2, submit=lambda work: futures.append(Future()) or futures[-1])
        divider = Divider(pool, lambda future: future.result(0), lambda delivery: None, ROWS)
        with pytest.raises(TimeoutError):
            list(BlockReader(divider, SETTINGS, Fitting(TABLE, None), delivery, table_columns(), "1.5"))
    assert [future.cancelled() for future in futures] == [True] * 3
