import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hauser_dlt.fields import CUSTOM_VARS, KNOWN
from hauser_dlt.records import batches
from hauser_dlt.records.batches import Batcher, Tally
from hauser_dlt.records.columns import ARROW_TYPES, Columns
from hauser_dlt.records.json_stream import records
from hauser_dlt.windows import Window
from support.exact_rows import LEGACY, as_found, expected, fit, write
from support.reference import Number, read

few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(few, max_examples=120)

KINDS = {
    "EventStart": "timestamp",
    "PageUserAgent": "text",
    "EventTargetSelector": "text",
    "UserId": "int",
    "PageNumEvents": "int32",
    "EventFirstInputDelay": "float",
    "ShopIsOpen": "bool",
    "ShopMystery": "any",
}
NEW = ("EventTotalBlockingTime", "EventInteractionToNextPaint", "A1b")


def bundle(events, layout="NDJSON", *, ascii_only=False):
    if layout == "NDJSON":
        return "\n".join(write(event, ascii_only=ascii_only) for event in events).encode()
    return write(list(events), None if layout == "compact" else layout, ascii_only=ascii_only).encode()


def load(data, kinds=KINDS, *, window=None, grow=True, size=1000, marks=None):
    """The rows of a bundle as dicts, and the batcher that made them."""
    batcher = Batcher(Columns(kinds, grow=grow), window, marks or {})
    data = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    found = [row for batch in batcher.batches(records([data]), size) for row in batch.to_pylist()]
    columns = dict.fromkeys(batcher.columns.kinds) | {CUSTOM_VARS: None}
    return [columns | row for row in found], batcher


def one(data, kinds=KINDS, **options):
    [row], _ = load(data, kinds, **options)
    return row, read(row[CUSTOM_VARS])


# An independent account of what becomes of each value


bits = st.sampled_from(
    ["},{", '"', "\\", '\\"', "\n", "\r", "\0", "\u2028", "é", "😀", "'", "\x7f", "\ufeff", "</script>"]
)
texts = st.lists(st.one_of(bits, st.text(max_size=5)), max_size=4).map("".join)
EDGES = """
    0 -0 0.0 -0.0 1.10 1E5 1e400 -1e400 1e-400 1.0 0.1 -2147483649 -2147483648 2147483647 2147483648
    9007199254740993 9007199254740992 1152921504606846976 -9223372036854775809 -9223372036854775808
    9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 100000000000000000000
    1234567890123456789012345 1267650600228229401496703205376 123456789.123456789123456789 1e22 5e-324
"""
numbers = st.one_of(
    st.sampled_from(EDGES.split()),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?\Z"),
    st.integers(-(2**66), 2**66).map(str),
).map(Number)
zones = st.one_of(
    st.just("Z"), st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59))
)
times = st.builds(
    lambda moment, between, fraction, zone: f"{moment.date()}{between}{moment:{fraction}}{zone}",
    st.datetimes(),
    st.sampled_from("TT t"),
    st.from_regex(r"\A(\.[0-9]{1,12})?\Z").map(lambda digits: f"%H:%M:%S{digits}") | st.sampled_from(["%H:%M", "%H"]),
    zones,
)
BAD_TIMES = [
    "", "yesterday", "2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T25:00:00Z", "2024-01-01T00:60:00Z",
    "2024-01-01T00:00:00", "2024-01-01T00:00:00.5", "2024-01-01", "2024-01-01 00:00:00", "1709251200",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z",
    "2024-01-01T00:00:00ZZ", "2024-01-01T00:00:00Z ", " 2024-01-01T00:00:00Z", "2024-01-01T00:00:00 UTC",
    "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00,5Z",
    "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00.123456٣Z", "-2024-01-01T00:00:00Z",
]  # fmt: skip
values = st.recursive(
    st.one_of(st.none(), st.booleans(), texts, numbers, times, st.sampled_from(BAD_TIMES)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
NATURAL = dict.fromkeys(("int", "int32", "float"), numbers) | {
    "text": texts,
    "any": values,
    "bool": st.booleans(),
    "timestamp": times,
}
FIELDS = [*KINDS, "PageAgent"]
VARIABLES = [
    "evt_order.order_id_str", "evt_order.order_id_int", "user_größe_real", "acct_adminDisabled_bool", "", "k", '"k',
    ",", "eventName", "SKU", "CustomVars", "Über", "Ab-c", "Ab_c",
]  # fmt: skip


def spelled(name):
    return st.sampled_from([name, name, name, name.lower(), name.upper(), name.swapcase()])


@st.composite
def pairs(draw):
    """One key of an event, and a value that may well fit it."""
    name = draw(st.sampled_from(FIELDS))
    kind = KINDS[LEGACY.get(name.lower(), name)]
    return draw(spelled(name)), draw(st.one_of(NATURAL[kind], NATURAL[kind], values))


custom = st.tuples(st.one_of(st.sampled_from(VARIABLES), texts.filter(lambda key: not key[:1].isascii())), values)
new = st.tuples(st.sampled_from(NEW), values)
events = st.lists(st.one_of(pairs(), custom), max_size=8).map(tuple)
growing = st.lists(st.one_of(pairs(), custom, new), max_size=8).map(tuple)
layouts = st.sampled_from(["NDJSON", "compact", 0, 2])


@many
@given(st.lists(events, min_size=1, max_size=4), layouts, st.booleans())
@example([(("k", Number("1.50")), ("UserId", {"k": Number("1.5")}))], "NDJSON", False)
@example([(("k", Number("1.5")), ("k", Number("1.50")))], "NDJSON", False)
@example([(('x"k', Number("1.5")), ("k", Number("1.50")))], "NDJSON", False)
@example([(("ShopMystery", {"": None, "\0": None, "\0\u2028": None}),)], "NDJSON", True)
def test_each_value_stands_in_its_column_or_as_written_among_the_custom_variables(sent, layout, ascii_only):
    rows, batcher = load(bundle(sent, layout, ascii_only=ascii_only))
    accounts = [expected(event, KINDS, ascii_only=ascii_only) for event in sent]
    assert [as_found(row) for row in rows] == [(columns, variables) for columns, variables, _ in accounts]
    assert batcher.tally == Tally(rows=len(sent), mismatches=Counter(name for *_, names in accounts for name in names))


@few
@given(st.lists(growing, min_size=1, max_size=6), st.integers(1, 7), st.sampled_from(["compact", 0, 3]))
def test_rows_do_not_depend_on_layout_or_on_the_size_of_batches(sent, size, layout):
    whole, batcher = load(bundle(sent))
    cut, other = load(bundle(sent, layout), size=size)
    assert cut == [dict.fromkeys(cut[0]) | row for row in whole]
    assert other.tally == batcher.tally
    assert other.columns.kinds == batcher.columns.kinds


@few
@given(st.lists(growing, min_size=1, max_size=4))
def test_unknown_fields_become_columns_after_the_others(sent):
    rows, batcher = load(bundle(sent))
    found = list(dict.fromkeys(key for event in sent for key, _ in event if key in NEW))
    assert list(batcher.columns.kinds.items()) == [*KINDS.items(), *((name, "any") for name in found)]
    accounts = [expected(event, KINDS | dict.fromkeys(found, "any")) for event in sent]
    assert [as_found(row) for row in rows] == [(columns, variables) for columns, variables, _ in accounts]


@few
@given(st.lists(growing, min_size=1, max_size=4))
def test_unknown_fields_stay_among_the_custom_variables_on_request(sent):
    rows, batcher = load(bundle(sent), grow=False)
    assert batcher.columns.kinds == KINDS
    accounts = [expected(event, KINDS) for event in sent]
    assert [as_found(row) for row in rows] == [(columns, variables) for columns, variables, _ in accounts]


def test_an_event_without_anything_is_a_row_of_nulls():
    assert one("{}") == (dict.fromkeys(KINDS) | {CUSTOM_VARS: "{}"}, {})


def test_absent_is_null_and_empty_text_is_empty_text():
    sent = '{"UserAppKey":"","UserEmail":null}'
    row, variables = one(sent, KNOWN)
    assert (row["UserAppKey"], row["UserEmail"], row["PageIp"], row["EventModDead"]) == ("", None, None, None)
    assert variables == {}


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, -(2**63), -(2**53) - 1, 4549603207847112065, 0])
def test_ids_never_pass_through_a_float(number):
    neighbours = f'\n{{"UserId":null}}\n{{}}\n{{"UserId":1}}\n{{"UserId":{2**63}}}\n{{"UserId":1.5}}'
    for rest in ("", neighbours):
        rows, _ = load(f'{{"UserId":{number}}}' + rest)
        assert rows[0]["UserId"] == number
        assert rows[0][CUSTOM_VARS] == "{}"


def test_columns_have_the_types_of_their_fields():
    batcher = Batcher(Columns(KNOWN), None, {"_dlt_load_id": pa.scalar("1.2")})
    [batch] = batcher.batches(records([b'{"EventNew":1}']), 10)
    types = {name: ARROW_TYPES[kind] for name, kind in KNOWN.items()}
    assert dict(zip(batch.schema.names, batch.schema.types, strict=True)) == (
        types | {CUSTOM_VARS: pa.string(), "_dlt_load_id": pa.string(), "EventNew": pa.string()}
    )
    assert batch.schema.names == [*KNOWN, CUSTOM_VARS, "_dlt_load_id", "EventNew"]
    assert all(field.nullable for field in batch.schema)


def test_a_mark_stands_in_every_row():
    marks = {"_dlt_load_id": pa.scalar("17.5"), "_hauser_window": pa.scalar(datetime(2024, 1, 1, tzinfo=UTC))}
    rows, _ = load(bundle([{}, {"_dlt_load_id": "mine"}]), marks=marks)
    assert [row["_dlt_load_id"] for row in rows] == ["17.5", "17.5"]
    assert read(rows[1][CUSTOM_VARS]) == {"_dlt_load_id": "mine"}


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2024-02-29T12:34:56Z", datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)),
        ("2024-02-29T12:34:56.789Z", datetime(2024, 2, 29, 12, 34, 56, 789000, tzinfo=UTC)),
        ("2024-02-29T12:34:56.123456Z", datetime(2024, 2, 29, 12, 34, 56, 123456, tzinfo=UTC)),
        ("2024-02-29T12:34:56.123456999Z", datetime(2024, 2, 29, 12, 34, 56, 123456, tzinfo=UTC)),
        ("2024-02-29T00:15:00+05:45", datetime(2024, 2, 28, 18, 30, tzinfo=UTC)),
        ("2024-02-29T23:00:00-08:00", datetime(2024, 3, 1, 7, tzinfo=UTC)),
        ("2024-02-29t12:34:56z", datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("1677-09-21T00:00:00.000001Z", datetime(1677, 9, 21, 0, 0, 0, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ],
)
def test_times_keep_their_microseconds_and_are_utc(written, moment):
    for rest in ("", '\n{"EventStart":"2024-01-01T00:00:00Z"}', '\n{"EventStart":"never"}'):
        rows, _ = load(f'{{"EventStart":"{written}"}}' + rest)
        assert rows[0]["EventStart"] == moment
        assert rows[0]["EventStart"].utcoffset() == timedelta(0)


@many
@given(times, st.sampled_from(["2024-01-01T00:00:00Z", *BAD_TIMES]))
def test_a_time_means_the_same_whatever_stands_in_the_other_rows(written, other):
    rows, _ = load(bundle([{"EventStart": written}, {"EventStart": other}]))
    assert [as_found(row) for row in rows] == [
        expected({"EventStart": moment}.items(), KINDS)[:2] for moment in (written, other)
    ]


WRONG = {
    "text": ["1", "1.50", "true", "[]", '{"a": 1}', "-0", '["x"]'],
    "int": [
        '""', '"01"',
        '"+1"', '"-0"', '"1.0"', '"1e3"', '" 1"', '"1 "', '"1\\n"', '"0x1"', '"\u0661"', '"-"', f'"{2**63}"',
        f'"{-(2**63) - 1}"', '"' + "9" * 25 + '"', "1.0", "1e3", "false", "[1]", "{}", str(2**63), str(-(2**63) - 1),
        "9" * 25, "1e400", "-0.0",
    ],
    "int32": [
        '"007"', f'"{2**31}"', f'"{-(2**31) - 1}"', "1.0", "true", "[1]", "{}", str(2**31), str(-(2**31) - 1),
        str(2**64), "9" * 25,
    ],
    "float": ['"1"', "true", "[1.5]", "{}", str(2**53 + 1), str(2**63 - 1), "9" * 25, "-" + "9" * 25, "1e400"],
    "bool": ["0", "1", '"true"', "[]", "{}", "1.5"],
    "timestamp": ["1709251200", "1.5", "true", "[]", "{}", *map(json.dumps, BAD_TIMES)],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "written"), [(kind, text) for kind, wrong in WRONG.items() for text in wrong])
def test_what_does_not_fit_is_kept_as_it_was_written_and_counted(kind, written):
    good = {"text": "x", "int": Number("7"), "int32": Number("7"), "float": Number("7.5"), "bool": True}
    fine = write(good.get(kind, "2024-01-01T00:00:00Z"))
    name = next(name for name, its in KINDS.items() if its == kind)
    rows, batcher = load(
        f'{{"{name}":{fine}}}\n{{"a_int":1,"{name.upper()}":{written}}}\n{{"{name}":{fine},"b_real":1.50}}'
    )
    assert [row[name] for row in rows] == [fit(kind, read(fine)), None, fit(kind, read(fine))]
    assert [row[CUSTOM_VARS] for row in rows][::2] == ["{}", '{"b_real":1.50}']
    assert read(rows[1][CUSTOM_VARS]) == {"a_int": "1", name: read(written)}
    assert batcher.tally.mismatches == {name: 1}


def test_mismatches_are_counted_field_by_field():
    _, batcher = load('{"UserId":"a","ShopIsOpen":1}\n{"UserId":2}\n{"UserId":"c"}')
    assert batcher.tally.mismatches == {"UserId": 2, "ShopIsOpen": 1}


def test_integers_that_a_double_holds_exactly_fit_a_column_of_floats():
    exact = ["0", "-0", "7", str(2**53), str(2**60), str(2**63), str(-(2**63)), str(2**64), str(2**100), "1" + "0" * 22]
    rows, batcher = load("\n".join(f'{{"EventFirstInputDelay":{text}}}' for text in [*exact, "1e300", "0.1"]))
    assert [row["EventFirstInputDelay"] for row in rows] == [*map(float, exact), 1e300, 0.1]
    assert batcher.tally.mismatches == {}


@pytest.mark.parametrize(
    "number",
    ["1.10", "1E5", "1e5", "-0", "-0.0", "0", "0.10", "9" * 25, "-" + "9" * 25, "1e400", "-1e400", "1.0", "19.90",
     "1e-7", "9" * 5000, "0.1000000000000000055511151231257827", "18446744073709551616", "9007199254740993", "5E-324"],
)  # fmt: skip
@pytest.mark.parametrize(
    "record",
    ['{"v_real":%s}', '{ "v_real" : %s }', '{"a":0,"v_real":%s,"b":"x"}', '{"a":"\\"","v_real":\t%s\r}',
     '{"a":[{"v_real":1}],"v_real":%s}'],
)  # fmt: skip
def test_numbers_among_the_custom_variables_stay_to_the_byte(number, record):
    row, variables = one(record % number)
    assert variables == read(record % number)
    assert f'"v_real":{number}' in row[CUSTOM_VARS]


def test_lists_and_objects_stay_json_and_null_stays_null():
    sent = '{"a":[1.10,-0,{"b": [ ]}],"c":{"d":null,"e":"x y"},"f":null,"g_strs":["x","é"],"h":[]}'
    row, _ = one(sent)
    assert row[CUSTOM_VARS] == sent.replace(" [ ]", "[]")


@few
@given(st.lists(events, min_size=1, max_size=3), st.booleans())
def test_custom_variables_are_one_line_of_compact_json(sent, ascii_only):
    for layout in (None, 0, 4):
        for row in load(bundle(sent, layout or "compact", ascii_only=ascii_only))[0]:
            text = row[CUSTOM_VARS]
            assert not re.search(r"\s", re.sub(r'"(\\.|[^"\\])*"', "", text))


def test_one_variable_may_have_two_types_and_names_keep_their_case():
    sent = {
        "evt_order.id_str": "7",
        "evt_order.id_int": Number("7"),
        "user_Straße_STR": "x",
        "user_straße_STR": "y",
        "日本": "z",
    }
    assert one(write(sent)) == (dict.fromkeys(KINDS) | {CUSTOM_VARS: write(sent)}, sent)


@pytest.mark.parametrize("key", ["EventTotalBlockingTime", "AbcDef9", "Zz", "A" * 127 + "b"])
def test_a_name_in_fullstorys_form_is_a_new_field(key):
    row, variables = one(write({key: "x"}))
    assert row[key] == "x"
    assert variables == {}


@pytest.mark.parametrize(
    "key",
    ["evt_x", "Evt_x", "Event.Name", "eventName", "event", "SKU", "URL2", "A", "", "9Lives", "Über", "EventÜber",
     "Event Name", "EventName\n", "A" * 200 + "b", "CustomVars", "Customvars", "CUSTOMVARS", "_dlt_load_id"],
)  # fmt: skip
def test_any_other_name_is_a_custom_variable(key):
    assert one(write({key: Number("1.10")})) == (
        dict.fromkeys(KINDS) | {CUSTOM_VARS: write({key: Number("1.10")})},
        {key: "1.10"},
    )


@pytest.mark.parametrize(
    ("written", "text"),
    [('"x\\u0000y"', "xy"), ('""', ""), ("1.10", "1.10"), ("-0", "-0"), ("0", "0"), ("1e400", "1e400"),
     ("true", "true"), ("null", None), ("[ 1,\t2.0 ]", "[1,2.0]"),
     ('{"a": "b c"}', '{"a":"b c"}'), ("1" * 25, "1" * 25)],
)  # fmt: skip
def test_a_new_field_is_text_and_what_is_not_text_stands_there_as_json(written, text):
    row, variables = one(f'{{"EventNew":{written},"a_int":1}}')
    assert (row["EventNew"], variables) == (text, {"a_int": "1"})


def test_a_new_field_is_null_in_the_rows_that_lack_it():
    rows, batcher = load('{}\n{"EventNew":1}\n{"EventNewer":"x"}', size=1)
    assert [(row["EventNew"], row["EventNewer"]) for row in rows] == [(None, None), ("1", None), (None, "x")]
    assert list(batcher.columns.kinds)[len(KINDS) :] == ["EventNew", "EventNewer"]


def test_new_fields_that_differ_in_case_alone_do_not_become_two_columns():
    rows, batcher = load('{"eventNew":0}\n{"EventNew":1,"EventNEW":2}\n{"EventNEW":3,"eventNew":4}')
    assert list(batcher.columns.kinds)[len(KINDS) :] == ["EventNew"]
    assert [row["EventNew"] for row in rows] == [None, "1", None]
    assert [read(row[CUSTOM_VARS]) for row in rows] == [
        {"eventNew": "0"},
        {"EventNEW": "2"},
        {"EventNEW": "3", "eventNew": "4"},
    ]


@pytest.mark.parametrize("key", ["PageAgent", "pageagent", "PAGEAGENT", "PageUserAgent", "pageUserAgent"])
def test_names_of_the_legacy_api_and_names_in_any_case_find_their_column(key):
    row, variables = one(write({key: "Mozilla", "a_int": Number("0")}))
    assert (row["PageUserAgent"], variables) == ("Mozilla", {"a_int": "0"})
    row, variables = one(write({key: Number("1.50")}))
    assert (row["PageUserAgent"], variables) == (None, {"PageUserAgent": "1.50"})


@pytest.mark.parametrize("spellings", [("PageAgent", "pageuseragent"), ("PAGEUSERAGENT", "pageuseragent", "PageAgent")])
def test_of_two_spellings_the_first_has_the_column_and_nothing_is_lost(spellings):
    first, *others = spellings
    row, variables = one(write({key: key for key in spellings}))
    assert (row["PageUserAgent"], variables) == (first, {key: key for key in others})
    row, variables = one(write({key: key for key in (*spellings, "PageUserAgent")}))
    assert (row["PageUserAgent"], variables) == ("PageUserAgent", {key: key for key in spellings})


def test_text_loses_nul_and_nothing_else():
    every = "".join(map(chr, range(1, 0x300))) + "\u2028\ufeff\ufffe😀\r\n\t\\u0000"
    for text in (every, "\0" + every + "\0"):
        for ascii_only in (True, False):
            row, variables = one(write({"PageAgent": text, "ShopMystery": text, "v_str": text}, ascii_only=ascii_only))
            assert row["PageUserAgent"] == row["ShopMystery"] == every
            assert variables == {"v_str": every}


def test_what_no_text_can_hold_becomes_a_replacement_character_and_the_rest_stays():
    raw = b'{"PageAgent":"a\\ud800b\xffc","v_str":"\\udfff","\xfe":1.10,"w_int":123456789012345678901,"UserId":"\xff"}'
    row, variables = one(raw)
    assert row["PageUserAgent"] == "a\ufffdb\ufffdc"
    assert variables == {"v_str": "\ufffd", "\ufffd": "1.10", "w_int": "123456789012345678901", "UserId": "\ufffd"}


def test_of_equal_keys_the_last_one_counts():
    row, variables = one('{"UserId":1,"a_real":1.5,"b_int":0,"UserId":2,"a_real":1.50,"b_int":-0}')
    assert (row["UserId"], variables) == (2, {"a_real": "1.50", "b_int": "-0"})
    row, variables = one('{"UserId":"x","UserId":2}')
    assert (row["UserId"], variables) == (2, {})
    row, variables = one('{"UserId":2,"UserId":"x","a":null,"a":1e400}')
    assert (row["UserId"], variables) == (None, {"UserId": "x", "a": "1e400"})


def test_a_thousand_levels_are_kept():
    deep = "[" * 999 + "-0" + "]" * 999
    rows, _ = load(f'{{"a":{deep},"UserId":{deep},"ShopMystery":{deep}}}')
    assert rows[0][CUSTOM_VARS] == f'{{"a":{deep},"UserId":{deep}}}'
    assert rows[0]["ShopMystery"] == deep


# The window

START, END = datetime(2024, 3, 5, 10, tzinfo=UTC), datetime(2024, 3, 5, 11, tzinfo=UTC)
HOUR = Window(START, END)
TICK = timedelta(microseconds=1)


def spell(moment, offset):
    return moment.astimezone(timezone(timedelta(minutes=offset))).isoformat()


def test_an_event_on_the_windows_start_belongs_to_it_and_one_on_its_end_does_not():
    moments = [START - TICK, START, START + TICK, END - TICK, END, END + TICK]
    for offset in (0, 345, -480):
        rows, batcher = load(bundle([{"EventStart": spell(moment, offset)} for moment in moments]), window=HOUR)
        assert [row["EventStart"] for row in rows] == [START, START + TICK, END - TICK]
        assert batcher.tally == Tally(rows=3, outside=3)


def test_an_event_without_a_time_is_kept():
    rows, batcher = load(
        bundle([{}, {"EventStart": None}, {"EventStart": "soon"}, {"EventStart": spell(END, 0)}]), window=HOUR
    )
    assert [row[CUSTOM_VARS] for row in rows] == ["{}", "{}", '{"EventStart":"soon"}']
    assert batcher.tally == Tally(rows=3, outside=1, mismatches=Counter(EventStart=1))


@few
@given(st.lists(st.one_of(st.none(), st.integers(-3, 3)), max_size=12), st.integers(1, 5))
def test_each_event_belongs_to_one_of_two_windows_that_adjoin(ticks, size):
    sent = bundle([{"EventStart": tick if tick is None else spell(END + tick * TICK, 0)} for tick in ticks], "compact")
    before, first = load(sent, window=HOUR, size=size)
    after, second = load(sent, window=Window(END, END + timedelta(hours=1)), size=size)
    every, whole = load(sent, size=size)
    timeless = [row for row in every if row["EventStart"] is None]
    assert len(before) + len(after) == len(every) + len(timeless)
    assert sorted(row["EventStart"] for row in before + after if row["EventStart"]) == sorted(
        row["EventStart"] for row in every if row["EventStart"]
    )
    assert (first.tally.rows, first.tally.outside) == (len(before), len(every) - len(before))
    assert (second.tally.rows, second.tally.outside) == (len(after), len(every) - len(after))
    assert (whole.tally.rows, whole.tally.outside) == (len(ticks), 0)


def test_a_batch_without_rows_is_not_made():
    batcher = Batcher(Columns(KINDS), HOUR, {})
    assert list(batcher.batches(records([bundle([{"EventStart": spell(END, 0)}] * 3)]), 2)) == []
    assert list(batcher.batches([], 2)) == []
    assert batcher.tally == Tally(rows=0, outside=3)


# Batches


def test_batches_have_the_size_that_was_asked_for():
    batcher = Batcher(Columns(KINDS), None, {})
    assert [batch.num_rows for batch in batcher.batches(records([b"{}\n" * 10]), 4)] == [4, 4, 2]


def test_batches_of_huge_records_are_smaller(monkeypatch):
    monkeypatch.setattr(batches, "BATCH_BYTES", 1000)
    batcher = Batcher(Columns(KINDS), None, {})
    sent = bundle([{"v_str": "x" * length} for length in (10, 2000, 600, 600, 10)])
    assert [batch.num_rows for batch in batcher.batches(records([sent]), 100)] == [2, 2, 1]


def test_batches_are_made_as_records_come_in():
    seen = []

    def noting():
        for record in records([b"{}\n" * 10]):
            seen.append(record)
            yield record

    next(Batcher(Columns(KINDS), None, {}).batches(noting(), 4))
    assert len(seen) == 4


def test_any_number_of_names_can_come_up(monkeypatch):
    monkeypatch.setattr(batches, "_MEMO", 5)
    sent = [
        {f"evt_{number}_int": Number("1.0"), "PAGEAGENT": Number("1"), "eventNew": Number("-0")} for number in range(50)
    ]
    rows, batcher = load(bundle([*sent, {"EventNew": "x"}]))
    assert len(batcher._classified) < 10
    assert [read(row[CUSTOM_VARS]) for row in rows[:-1]] == [
        {f"evt_{number}_int": "1.0", "PageUserAgent": "1", "eventNew": "-0"} for number in range(50)
    ]
    assert rows[-1]["EventNew"] == "x"


def test_each_record_is_looked_at_closely_once_at_most(monkeypatch):
    closely = []
    monkeypatch.setattr(batches, "members", lambda raw, members=batches.members: closely.append(raw) or members(raw))
    odd = {
        "UserId": "x",
        "PageNumEvents": [Number("1")],
        "ShopMystery": [Number("1")],
        "a": [Number("2")],
        "b": [Number("3")],
    }
    load(bundle([odd] * 20))
    assert len(closely) == 20


def test_records_as_fullstory_writes_them_need_no_close_look(monkeypatch):
    monkeypatch.setattr(batches, "members", None)
    exact = {"evt_a_real": Number("19.90"), "evt_n_int": Number("0"), "evt_b_bool": False, "evt_c_strs": ["x", "y"]}
    odd = {"PageNumEvents": "many"}
    sent = (
        {"UserId": Number("4549603207847112065"), "PageUserAgent": "Mozilla", "ShopMystery": Number("12")} | exact | odd
    )
    row, variables = one(write(sent))
    assert row["ShopMystery"] == "12"
    assert variables == exact | odd
