import gzip
import json
import random
import tracemalloc
import zlib
from types import SimpleNamespace

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hauser_dlt.errors import CorruptBundleError
from hauser_dlt.records import byte_stream, json_stream
from hauser_dlt.records.gzip_stream import gunzip
from hauser_dlt.records.json_stream import records, skimmed
from hauser_dlt.records.json_text import is_flat, member, members
from support.json_values import numbers, texts, values
from support.reference import Number, without_nul, write
from support.slow_json import WHITE, plain, read_slowly, reference

few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(few, max_examples=100)


def count(chunks):
    return sum(1 for _ in skimmed(chunks))


def rows(data):
    chunks = [data] if isinstance(data, bytes) else data
    return [plain(row) for _, row in records(gunzip(chunks))]


def pieces(data, sizes):
    """The data in pieces of these sizes, over and over."""
    place = 0
    while place < len(data):
        for size in sizes:
            yield data[place : place + size]
            place += size


def in_members(data, sizes):
    """The data as gzip members of these sizes."""
    return b"".join(gzip.compress(piece, mtime=0) for piece in pieces(data, sizes)) or gzip.compress(b"")


def array(texts, layout):
    """Records as an array: compact, one a line, as programs write it, or with room everywhere."""
    before, between, after = {
        "compact": ("[", ",", "]"),
        "lines": ("[\n", ",\n", "\n]\n"),
        "commas first": ("[ ", "\n, ", " ]"),
        "room": ("\n\t [\r\n", " \r\n\t,\n  ", "\r\n ]\r\n \t"),
    }[layout]
    return before + between.join(texts) + after


def bundle(values, layout, *, ascii_only=False):
    """A bundle in any of the layouts; an integer is the indentation of a pretty-printed array."""
    if isinstance(layout, int):
        return write(values, layout, ascii_only=ascii_only).encode()
    texts = [write(value, ascii_only=ascii_only) for value in values]
    if layout == "NDJSON":
        return "".join(text + "\n" for text in texts).encode()
    if layout == "NDJSON, loose":
        return "\r\n \n".join(" " + text + "\t" for text in texts).encode()
    return array(texts, layout).encode()


LAYOUTS = ["NDJSON", "NDJSON, loose", "compact", "lines", "commas first", "room", 0, 1, 2, 4, 7]

bundles = st.lists(st.dictionaries(texts, values, max_size=5), max_size=5)
layouts = st.sampled_from(LAYOUTS)
cuts = st.lists(st.integers(1, 64), min_size=1, max_size=5)

EVENTS = [
    {"EventType": "click", "UserId": Number("4549603207847112065"), "evt_cart_str": "a},{b"},
    {"EventType": "load", "evt_items": [{"price": Number("19.90")}, {"price": Number("-0")}], "": None},
    {"EventTargetText": 'He said: "}]"\n', "user_name_str": "Zoë 😀", "evt_ids_ints": [Number("1"), Number("2")]},
]


@few
@given(bundles, layouts, st.booleans(), cuts)
def test_numbers_stay_as_they_are_written_and_no_value_is_a_float(values, layout, ascii_only, sizes):
    text = bundle(values, layout, ascii_only=ascii_only)
    found = list(records(pieces(text, sizes)))
    assert [plain(row) for _, row in found] == reference(write(values))
    for raw, row in found:
        kept = {key: bytes(value) for key, value in row.items() if isinstance(value, msgspec.Raw)}
        assert kept.items() <= members(raw).items()
        assert not any(isinstance(value, float) for value in row.values())


@few
@given(bundles, layouts, cuts)
def test_records_can_be_counted(values, layout, sizes):
    assert count(pieces(bundle(values, layout), sizes)) == len(values)


@settings(few, max_examples=250)
@given(
    st.sampled_from(["[", "[{", '[{"a":', "{", '{"a":']),
    st.lists(st.deferred(lambda: st.sampled_from(TOKENS)), max_size=12),
    cuts,
)
def test_what_cannot_be_read_is_not_counted_either(start, tokens, sizes):
    data = (start + "".join(tokens)).encode()
    try:
        expected = len(rows(pieces(data, sizes)))
    except CorruptBundleError:
        with pytest.raises(CorruptBundleError):
            count(pieces(data, sizes))
    else:
        assert count(pieces(data, sizes)) == expected


@few
@given(bundles, layouts, st.booleans(), cuts)
def test_rows_do_not_depend_on_layout_or_on_how_the_stream_is_cut(values, layout, ascii_only, sizes):
    plain = bundle(values, layout, ascii_only=ascii_only)
    expected = reference(write(values))
    assert rows(plain) == expected
    assert rows(pieces(plain, sizes)) == expected
    assert rows(plain[place : place + 1] for place in range(len(plain))) == expected


@few
@given(bundles, layouts, cuts, cuts, st.integers(0, 40))
def test_rows_do_not_depend_on_gzip_its_members_or_its_padding(values, layout, sizes, borders, padding):
    plain = bundle(values, layout)
    packed = in_members(plain, borders) + bytes(padding)
    assert rows(pieces(packed, sizes)) == rows(plain) == reference(write(values))


@few
@given(bundles, cuts)
def test_gzip_may_be_padded_between_its_members(values, sizes):
    plain = bundle(values, "lines")
    packed = b"".join(gzip.compress(piece) + bytes(3) for piece in pieces(plain, [40]))
    assert rows(pieces(packed, sizes)) == rows(plain)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_records_longer_than_the_pieces_they_come_in_stay_whole(layout):
    events = [{"a": [{"b": "},{" * size}] * 3, "n": Number(str(size))} for size in (0, 1, 50_000, 7, 300_000, 0)]
    plain = bundle(events, layout)
    assert rows(pieces(plain, [1000, 70_000])) == reference(write(events))


@few
@given(bundles, layouts)
def test_a_record_comes_with_its_own_text(values, layout):
    found = [raw for raw, _ in records([bundle(values, layout)])]
    assert [reference(raw) for raw in found] == reference(write(values))
    assert all(raw[:1] == b"{" and raw[-1:] == b"}" for raw in found)
    if layout in ("NDJSON", "compact"):
        assert found == [write(without_nul(value)).encode() for value in values]


@pytest.mark.parametrize(
    "data", [b"", b"\n", b" \r\n\t ", b"[]", b" [ \n ] \n", gzip.compress(b"", mtime=0), gzip.compress(b"[]", mtime=0)]
)
def test_a_quiet_hour_has_no_records(data):
    assert rows(data) == []
    assert rows(pieces(data, [1])) == []
    assert rows([b"", *pieces(data, [1]), b""]) == []


@few
@given(bundles, layouts, cuts, st.booleans())
def test_a_byte_order_mark_at_the_beginning_is_skipped(values, layout, sizes, packed):
    plain = b"\xef\xbb\xbf" + bundle(values, layout)
    assert rows(pieces(gzip.compress(plain) if packed else plain, sizes)) == reference(write(values))
    assert count(pieces(plain, sizes)) == len(values)


def test_bundles_put_one_behind_the_other_may_have_a_mark_each():
    part = b"\xef\xbb\xbf" + bundle(EVENTS, "NDJSON")
    assert rows(part * 3 + b"\xef\xbb\xbf\n") == rows(part) * 3
    assert rows(gzip.compress(part) * 3) == rows(part) * 3
    assert rows(b"\xef\xbb\xbf") == rows(gzip.compress(b"\xef\xbb\xbf")) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-16-le", "utf-32-le"])
@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_other_encodings_are_refused(encoding, mark):
    data = (mark + '[{"a":1}]').encode(encoding)
    with pytest.raises(CorruptBundleError, match="UTF-16" if data[:1] in (b"\xff", b"\xfe") else None):
        rows(pieces(data, [1]))


@pytest.mark.parametrize("text", ["\ufeff\ufeff[]", "[\ufeff]", "[]\ufeff", '{"a":1}\ufeff', " \ufeff[]"])
def test_a_mark_anywhere_else_is_no_json(text):
    with pytest.raises(CorruptBundleError):
        rows(text.encode())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (r'{"a\u0000b":"x\u0000y"}', {"ab": "xy"}),
        (r'{"a":"\\u0000","b":"\\\u0000"}', {"a": "\\u0000", "b": "\\"}),
        (r'{"a":["\u0000",{"b\u0000":"\u0000"}],"c":{"\u0000":null}}', {"a": ["", {"b": ""}], "c": {"": None}}),
        (r'{"a\u0000":1,"a":2,"\u0000a":3}', {"a\ufffd": 1, "a": 2, "\ufffda": 3}),
        (r'{"o":{"a":1,"a\u0000":2}}', {"o": {"a": 1, "a\ufffd": 2}}),
        (r'{"o":[{"p":{"\u0000" : 1,"":2},"p\u0000":3}]}', {"o": [{"p": {"\ufffd": 1, "": 2}, "p\ufffd": 3}]}),
        (r'{"a\ufffd":0,"a\u0000":1,"a":2}', {"a\ufffd": 0, "a\ufffd\ufffd": 1, "a": 2}),
        (r'{"a":"\u0000\ud800","b":1e400}', {"a": "\ufffd", "b": float("inf")}),
    ],
)
def test_nul_is_left_out_and_no_name_takes_the_place_of_another(raw, expected):
    for text in (raw, f"[{raw}]", f"{{}}\n{raw}\n{{}}", f"[{{}},{raw},{{}}]"):
        (found,) = [row for row in rows(text.encode()) if row]
        assert found == expected


@pytest.mark.parametrize("data", [b"", b" \n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_nothing_is_no_bundle_where_an_array_is_promised(data):
    with pytest.raises(CorruptBundleError, match="nothing at all, where an array"):
        list(records(gunzip([data]), in_array=True))
    assert list(records([b"[]"], in_array=True)) == []


@pytest.mark.parametrize("layout", ["NDJSON", "compact", 2])
def test_gzip_that_is_cut_short_anywhere_fails(layout):
    packed = gzip.compress(bundle(EVENTS, layout))
    for end in range(1, len(packed)):
        with pytest.raises(CorruptBundleError):
            rows(packed[:end])


def test_an_array_in_gzip_members_that_is_cut_short_anywhere_fails():
    packed = in_members(bundle(EVENTS, "lines"), [50])
    for end in range(1, len(packed)):
        with pytest.raises(CorruptBundleError):
            rows(packed[:end])


@pytest.mark.parametrize("layout", ["compact", "lines", 2])
def test_an_array_that_is_cut_short_anywhere_fails(layout):
    plain = bundle(EVENTS, layout).rstrip()
    for end in range(1, len(plain)):
        with pytest.raises(CorruptBundleError):
            rows(plain[:end])
        with pytest.raises(CorruptBundleError):
            rows(gzip.compress(plain[:end], 1))


def test_one_object_a_line_that_is_cut_short_inside_the_last_one_fails():
    plain = bundle(EVENTS, "NDJSON").rstrip()
    for end in range(plain.rindex(b"\n") + 2, len(plain)):
        with pytest.raises(CorruptBundleError):
            rows(plain[:end])


@few
@given(bundles.filter(bool), st.data(), st.sampled_from(["compact", "lines", 0, 3]))
def test_no_array_is_whole_without_its_end(values, data, layout):
    plain = bundle(values, layout).rstrip()
    end = data.draw(st.integers(1, len(plain) - 1))
    with pytest.raises(CorruptBundleError):
        rows(plain[:end])


@pytest.mark.parametrize("layout", ["NDJSON", "compact"])
def test_damaged_gzip_fails_or_changes_nothing(layout):
    packed = gzip.compress(bundle(EVENTS, layout))
    whole = rows(packed)
    unharmed = 0
    for place in range(len(packed)):
        for flip in (*(1 << bit for bit in range(8)), 0xFF):
            damaged = bytearray(packed)
            damaged[place] ^= flip
            try:
                assert rows(bytes(damaged)) == whole
                unharmed += 1
            except CorruptBundleError:
                pass
    assert unharmed < 9 * 8  # gzip's header has a time and the name of a system, which say nothing about the content


@pytest.mark.parametrize(
    "rest", [b"\1", b"garbage", b"\x1f", b"\x1f\x8b", b"\0\0\0\1", b'{"a":1}', gzip.compress(b"x", mtime=0)]
)
@pytest.mark.parametrize("layout", ["NDJSON", "compact"])
def test_what_follows_gzip_is_gzip_or_zeros(rest, layout):
    packed = gzip.compress(bundle(EVENTS, layout))
    said = "bytes follow the end of the bundle's gzip" if rest.strip(b"\0")[:2] != b"\x1f\x8b" else None
    for sizes in ([len(packed)], [1], [1000]):
        with pytest.raises(CorruptBundleError, match=said) as refused:
            rows(pieces(packed + rest, sizes))
        assert "garbage" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "<html><body>502 Bad Gateway</body></html>",
        "<?xml version='1.0'?><Error><Code>ExpiredToken</Code></Error>",
        "null", "true", "0", '"text"', "NaN", "-", "garbage", "]", "}", ",", "\0", "\x0b", "\x1f",
        "[", "[[]]", "[1]", "[null]", '["a"]', "[{]", "[}", "[,]", "[{},]", "[,{}]", "[{},,{}]", "[{}{}]", "[{} {}]",
        "[{},[]]", "[{},1]", "[{}]]", "[{}],", "[{}][]", "[{}]\n{}", "[{}] x", "[{}}", "[{};{}]", "[{}{{}]", "[{}\x0b]",
        "{", "{}{}", "{} {}", "{},{}", "{}\n[]", "{}\n1", "{}\nnull", "{}\n,{}", "{}]", "{}\x0c", "{}\n{", "{\n}",
        '{"a":1}\n<html>', '{"a":1}\n\n"', '{"a":1', '{"a":1,}', '{"a"}', '{"a":}', '{"a":"\\"}', "{'a':1}",
        '{"a":1 "b":2}', '{"a":NaN}',
        '[{"a":NaN}]', '{"a":Infinity}', '[{"a":[-Infinity]}]', '{"a":1e400,"b":NaN}', '{"a":nan}',
        '{"a":01}', '{"a":+1}', '{"a":1.}', '{"a":.5}', '{"a":0x1}', '{"a":1e}', '{"a":-}', '{"a":--1}', '{"a":True}',
        '{"a":"\t"}', '{"a":"\0"}', '{"a":"\\x"}', '{"a":"\\u12"}', '{"a":"\\ud8"x"}', '{"a":"\\ud83d\\udc"x"}',
        '{"a":[}]}', '[{"a":[}]}]', '[{"a":{]}}]', '[{"a":[1,]}]', '{"a":1}//', '{"a":1}/**/', '{"a":1}\ud800',
        "[" * 100_000, '{"a":' * 100_000, '{"a":' + "[" * 5000 + "]" * 5000 + "}",
    ],
)  # fmt: skip
def test_what_is_not_json_fails_and_in_no_other_way(text):
    data = text.encode("utf-8", "surrogatepass")
    for chunks in ([data], pieces(data, [1]), [gzip.compress(data)]):
        with pytest.raises(CorruptBundleError):
            rows(chunks)


def test_the_error_names_the_record_and_tells_of_it_no_more_than_its_first_character():
    with pytest.raises(CorruptBundleError, match=r"record 2 \(it begins with b'\{'\):"):
        rows(b'{"EventType":"click"}\n{"EventType":"clock\n{}')


TOKENS = [
    *'{}[],:"', "{}", "},{", '{"a":', '"a":1', '"b":"', '"', '\\"', "\\\\", "\\u", "\\ud800", "\\udc00", "\\u0000",
    "d8", "0", "-0", "1.50", "1e400", "12345678901234567890", "null", "true", "NaN", "Infinity", "x", " ", "\n", "\r\n",
    "\t", "\f", "\ufeff", "é", "\0",
]  # fmt: skip


def assert_read_as_json_or_refused(data, sizes):
    try:
        found = rows(pieces(data, sizes))
    except CorruptBundleError:
        found = None
    assert found == read_slowly(data)


@settings(few, max_examples=250)
@given(st.sampled_from(["[", "[{", '[{"a":', "{", '{"a":']), st.lists(st.sampled_from(TOKENS), max_size=12), cuts)
@example("[", ['{"a":"\\', "ud8", '"', 'x"}]'], [9])
@example('{"a":', ["1}\n\n", "\f"], [9])
def test_any_text_is_read_as_json_or_refused(start, tokens, sizes):
    assert_read_as_json_or_refused((start + "".join(tokens)).encode(), sizes)


@few
@given(
    bundles.filter(bool),
    layouts,
    st.data(),
    st.sampled_from([b"", b'"', b"\\", b",", b"}", b"{", b"[", b"\n", b"\xff", b"\xed\xa0\x80"]),
)
def test_a_bundle_with_damaged_text_is_read_as_json_or_refused(values, layout, data, patch):
    plain = bundle(values, layout)
    start = data.draw(st.integers(0, len(plain)))
    end = data.draw(st.integers(start, min(start + 3, len(plain))))
    damaged = plain[:start] + patch + plain[end:]
    if damaged[:1] not in (b"\x1f", b"\xff"):
        assert_read_as_json_or_refused(damaged, [7])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb'{"a":"x\ud800y"}', {"a": "x\ufffdy"}),
        (rb'{"a":"\uDC00\uD800"}', {"a": "\ufffd\ufffd"}),
        (rb'{"a":"\ud800\ud83d\ude00"}', {"a": "\ufffd😀"}),
        (rb'{"a":"\\ud800"}', {"a": "\\ud800"}),
        (rb'{"a":"\\ud800\udfff"}', {"a": "\\ud800\ufffd"}),
        (rb'{"a":"\\\ud800\n"}', {"a": "\\\ufffd\n"}),
        (rb'{"\udfff":"\u00e9","b":9007199254740993123}', {"\ufffd": "é", "b": 9007199254740993123}),
        (b'{"a":"x\xffy"}', {"a": "x\ufffdy"}),
        (b'{"a":"\xc3"}', {"a": "\ufffd"}),
        (b'{"a":"\xf0\x9f\x98","b":"\xf0\x9f\x98\x80"}', {"a": "\ufffd", "b": "😀"}),
        (b'{"a":["\xff",18446744073709551616,18446744073709551615]}', {"a": ["\ufffd", 2.0**64, 2**64 - 1]}),
    ],
)  # fmt: skip
def test_what_no_text_can_hold_becomes_a_replacement_character_and_the_rest_stays(raw, expected):
    for data in (raw, b"[" + raw + b"]", b"[" + raw + b"," + raw + b",{}]"):
        assert rows(data)[0] == expected
    [(text, _)] = records([raw])
    assert {key: reference(value) for key, value in members(text).items()} == expected


@pytest.mark.parametrize("digits", ["9" * 25, "-" + "9" * 25, "9" * 5000, "1e400", "-1e400", "1" + "0" * 5000 + ".0"])
@pytest.mark.parametrize("oddity", ['""', '"\ud800"'])
def test_a_number_of_any_size_can_be_read(digits, oddity):
    raw = f'{{"a":{digits},"b":{oddity}}}'.encode("utf-8", "surrogatepass")
    [(text, row)] = records([raw])
    assert plain(row)["a"] == float(digits)
    assert members(text)["a"] == digits.encode()


def test_of_equal_keys_the_last_one_counts():
    [(raw, row)] = records([b'{"a":1,"b":2,"a":3.50,"\\u0061":"x\\u0022"}'])
    assert row == {"a": 'x"', "b": 2}
    assert members(raw) == {"a": rb'"x\u0022"', "b": b"2"}


@pytest.mark.parametrize("layout", ["NDJSON", "compact", 1])
def test_a_thousand_levels_are_not_too_deep(layout):
    deep = "[" * 500 + '{"a":' * 500 + "[]" + "}" * 500 + "]" * 500
    text = array([f'{{"a":{deep}}}', '{"b":2}'], "room" if layout == 1 else "compact")
    data = text if layout != "NDJSON" else text[1:-1].replace("},{", "}\n{")
    (raw, row), (_, last) = records(pieces(data.encode(), [100]))
    assert members(raw) == {"a": deep.encode()}
    assert last == {"b": 2}
    level, depth = row["a"], 1
    while level:
        level, depth = (level[0] if isinstance(level, list) else level["a"]), depth + 1
    assert depth == 1001


class Meter:
    """Counts the bytes that decode looks at: those it parses, and those it searches for a record's end."""

    def __init__(self, monkeypatch):
        self.parsed = self.scanned = self.closely = 0
        ends, between = json_stream.record_end, json_stream._BETWEEN_RECORDS

        def counting(parse):
            def counted(data):
                self.parsed += len(data)
                return parse(data)

            return counted

        def record_end(buffer, start):
            end = ends(buffer, start)
            self.scanned += (end or len(buffer)) - start
            self.closely += (end or len(buffer)) - start
            return end

        def search(buffer, start):
            found = between.search(buffer, start)
            self.scanned += (found.end() if found else len(buffer)) - start
            return found

        fake = SimpleNamespace(loads=counting(orjson.loads), dumps=orjson.dumps, JSONDecodeError=orjson.JSONDecodeError)
        monkeypatch.setattr(json_stream, "orjson", fake)
        monkeypatch.setattr(json_stream, "_parse", counting(json_stream._parse))
        monkeypatch.setattr(json_stream, "record_end", record_end)
        monkeypatch.setattr(json_stream, "_BETWEEN_RECORDS", SimpleNamespace(search=search))


@pytest.mark.parametrize("size", [100, 5000, 1 << 18])
@pytest.mark.parametrize(
    "record",
    [
        b'{"items":[' + b",".join(b'{"n":%d}' % n for n in range(200_000)) + b"]}",
        b'{"text":"' + rb"},{\"" * 400_000 + b'"}',
        b'{"text":"' + b"a" * 20_000_000 + b'"}',
    ],
    ids=["200,000 objects", "text that looks like objects", "20 MB"],
)
def test_the_work_on_a_huge_record_grows_with_its_size_and_no_faster(record, size, monkeypatch):
    if size == 100 and len(record) > 5_000_000:
        record = record[:2_000_000] + record[-2:]
    plain = b"[{}," + record + b"," + record + b",{}]"
    meter = Meter(monkeypatch)
    assert [len(raw) for raw, _ in records(pieces(plain, [size]))] == [2, len(record), len(record), 2]
    assert meter.parsed < 1.5 * len(plain)
    assert meter.scanned < 6 * len(plain)


def test_the_work_on_small_records_with_lists_of_objects_is_bounded_too(monkeypatch):
    record = {"EventType": "click", "evt_items": [{"a": Number("1")}, {"b": "}"}]}
    plain = bundle([record] * 20_000, 2)
    meter = Meter(monkeypatch)
    assert sum(1 for _ in records(pieces(plain, [1 << 16]))) == 20_000
    assert meter.parsed < 2 * len(plain)
    assert meter.scanned < 4 * len(plain)


def test_plain_events_are_not_read_bracket_by_bracket(monkeypatch):
    plain = bundle([{"EventType": "click", "UserId": Number("7")}] * 50_000, "compact")
    meter = Meter(monkeypatch)
    assert sum(1 for _ in records(pieces(plain, [1 << 16]))) == 50_000
    assert meter.closely < len(plain) / 100


def test_the_work_on_a_line_without_end_is_bounded(monkeypatch):
    searched = []

    class Buffer(bytearray):
        def find(self, wanted, start):
            searched.append(len(self) - start)
            return super().find(wanted, start)

    monkeypatch.setattr(json_stream, "bytearray", Buffer, raising=False)
    line = b'{"a":"' + b"x" * 1_000_000 + b'"}'
    assert len(rows(pieces(line + b"\n{}", [1000]))) == 2
    assert sum(searched) < 1.1 * len(line)


@pytest.mark.parametrize("layout", ["NDJSON", "compact"])
def test_a_record_of_fifty_megabytes_is_one_like_any_other(layout):
    record = b'{"evt_log_str":"' + b"x" * 50_000_000 + b'"}'
    between = b"\n" if layout == "NDJSON" else b","
    plain = between.join([b"{}", record, b"{}"])
    packed = gzip.compress(plain if layout == "NDJSON" else b"[" + plain + b"]", 1)
    assert [len(raw) for raw, _ in records(gunzip(pieces(packed, [1 << 16])))] == [2, len(record), 2]


@pytest.mark.parametrize("start", [b'{"a":"', b'[{"a":"', b'{}\n{"a":"', b'[{},{"a":['])
def test_a_record_without_end_is_given_up_before_it_fills_the_memory(start, monkeypatch):
    monkeypatch.setattr(byte_stream, "LONGEST_RECORD", 1 << 20)
    taken = []

    def endless():
        yield start
        while True:
            taken.append(1 << 16)
            yield b"," * (1 << 16)

    with pytest.raises(CorruptBundleError, match="a record of more than"):
        rows(endless())
    assert sum(taken) < 3 << 20


def bomb(piece, times):
    packer = zlib.compressobj(9, wbits=31)
    yield from (packer.compress(piece) for _ in range(times))
    yield packer.flush()


def test_gzip_inflates_in_small_pieces_however_much_comes_out():
    packed = b"".join(bomb(b" " * (1 << 20), 64))
    for chunks in ([packed], pieces(packed, [1000])):
        sizes = [len(piece) for piece in gunzip(chunks)]
        assert sum(sizes) == 64 << 20
        assert max(sizes) <= 1 << 18


@pytest.mark.parametrize(
    ("piece", "count"),
    [(b" " * (1 << 20), 0), (b"\n" * (1 << 20), 0), (b'{"a":"' + b"x" * 1000 + b'"}\n', 30_000)],
    ids=["blanks", "lines", "records"],
)
def test_memory_does_not_grow_with_the_bundle(piece, count):
    packed = b"".join(bomb(piece, count or 40))
    tracemalloc.start()
    try:
        assert sum(1 for _ in records(gunzip([packed]))) == count
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text", [b'{"a":1}\n%b\n{"a":2}\n', b'{"a":1}\n%b', b'[{"a":1},%b,{"a":2}]'], ids=["lines", "last line", "array"]
)
def test_a_large_record_is_not_held_once_its_reader_is_done_with_it(text):
    size = 8 << 20
    chunks = pieces(text % (b'{"a":"' + b"x" * size + b'"}'), [1 << 16])
    tracemalloc.start()
    try:
        held = []
        for record in records(chunks):
            large = len(record[0]) > size
            del record
            held += [tracemalloc.get_traced_memory()[0]] if large else []
        assert len(held) == 1
        assert held[0] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("sizes", [[1], [7, 1], [1 << 20]])
def test_nothing_is_held_back_where_an_inflated_piece_is_just_full(more, sizes):
    for times in (1, 2, 5):
        plain = b" " * (times * (1 << 18) + more - 2) + b"{}"
        for level in (0, 1, 9):
            packed = gzip.compress(plain, level)
            assert b"".join(gunzip(pieces(packed, sizes if level else [1 << 15]))) == plain
            with pytest.raises(CorruptBundleError):
                list(gunzip(pieces(packed[:-1], [1 << 15])))


def test_many_tiny_gzip_members_in_one_piece_are_read():
    random_cuts = random.Random(7).choices(range(1, 9), k=50)
    plain = bundle(EVENTS * 200, "compact")
    assert rows(in_members(plain, random_cuts)) == rows(plain)


# members, is_flat and member: the text of values

spaces = st.text(WHITE, max_size=2)
tricky = st.one_of(st.sampled_from(["k", "", ",", ":", ",k", '"', 'x"k', "k:", ' "k', "\\", "é", "EventType"]), texts)


@st.composite
def loose(draw, value):
    """A JSON text with white space anywhere, and keys that may come twice."""
    if isinstance(value, Number):
        return value
    if not isinstance(value, list | tuple):
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    if isinstance(value, list):
        items = [draw(spaces) + draw(loose(item)) + draw(spaces) for item in value]
        return f"[{','.join(items) or draw(spaces)}]"
    items = [
        draw(spaces) + draw(loose(key)) + draw(spaces) + ":" + draw(spaces) + draw(loose(item)) + draw(spaces)
        for key, item in value
    ]
    return f"{{{','.join(items) or draw(spaces)}}}"


def pairs(items):
    return st.lists(st.tuples(tricky, items), max_size=5).map(tuple)


nested = st.recursive(
    st.one_of(st.none(), st.booleans(), tricky, numbers),
    lambda inner: st.one_of(st.lists(inner, max_size=3), pairs(inner)),
    max_leaves=8,
)
loose_records = pairs(nested).flatmap(loose)
dense_records = st.lists(st.tuples(tricky, st.one_of(tricky, numbers)), max_size=5).map(
    lambda items: "{" + ",".join(f"{json.dumps(key)}:{write(item)}" for key, item in items) + "}"
)


def numbers_as_text(text):
    return json.loads(text, parse_int=Number, parse_float=Number)


@many
@given(st.one_of(loose_records, dense_records))
def test_the_text_of_a_value_is_what_was_written(raw):
    expected = numbers_as_text(raw)
    found = members(raw.encode())
    assert {key: numbers_as_text(text) for key, text in found.items()} == expected
    assert list(found) == list(expected)
    assert all(found[key].decode() == value for key, value in expected.items() if isinstance(value, Number))


def squeeze(text):
    """A JSON text without the white space that is not part of its strings."""
    kept, inside, escaped = "", False, False
    for char in text:
        if inside or char not in WHITE:
            kept += char
        inside = inside != (char == '"' and not escaped)
        escaped = char == "\\" and not escaped
    return kept


@few
@given(loose_records)
def test_white_space_between_the_parts_of_a_value_is_left_out_and_nothing_else(raw):
    for text in members(raw.encode()).values():
        assert text.decode() == squeeze(text.decode())
        assert text.decode() in squeeze(raw)


@many
@given(st.one_of(loose_records, dense_records))
@example('{"a":{"k":1.5},"k":1.50}')
@example('{"k":1.5,"k":1.50}')
@example(r'{"x\"k":1.5,"k":1.50}')
@example('{"a":"a,",":1.5,x":0,",":1.50}')
@example('{"k" :1.50,"a":{"k":1.5}}')
@example('{"k"\t:1.50,"a":{"k":1.5}}')
@example('{"":1.50,"k":2}')
def test_a_glance_at_a_flat_record_sees_the_same_as_a_closer_look(raw):
    text = raw.encode()
    closer = members(text)
    if is_flat(text, len(closer)):
        assert all(member(text, key) in (None, value) for key, value in closer.items())


def test_a_glance_is_enough_for_records_as_fullstory_writes_them():
    raw = b'{"EventType":"click","UserId":12,"evt_price_real":19.90,"evt_note_str":"a: {b}, c","page_x_strs":["a","b"]}'
    assert is_flat(raw, 5)
    assert [member(raw, key) for key in ("UserId", "evt_price_real", "page_x_strs", "gone")] == [
        b"12",
        b"19.90",
        None,
        None,
    ]
