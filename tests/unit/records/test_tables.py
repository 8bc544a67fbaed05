"""Tables of other hands: what fits them, what is missing in them, what stands in the way."""

from datetime import UTC, datetime

import dlt
import pyarrow as pa
import pytest
from dlt.common.libs.pyarrow import columns_to_arrow

from hauser_dlt.records.batches import Batcher, Tally
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.json_stream import records
from hauser_dlt.records.tables import Fitting, Table


def table(**types):
    return Table.of({name: {"nullable": True, **column} for name, column in types.items()})


TEXT, BIGINT, TIME = {"data_type": "text"}, {"data_type": "bigint"}, {"data_type": "timestamp"}


def test_columns_are_found_in_any_case_and_page_agent_under_its_former_name():
    hausers = table(pageagent=TEXT, eventtargetselectortok=TEXT, EVENTSTART=TIME)

    assert hausers.spelled("PageUserAgent") == "pageagent"
    assert hausers.column("EventTargetSelector") is None
    assert hausers.spelled("EventTargetSelectorTok") == "eventtargetselectortok"
    assert hausers.spelled("EventStart") == "EVENTSTART"
    assert hausers.spelled("PageUrl") == "PageUrl"
    assert hausers.lacks({"EventStart": "timestamp", "PageUserAgent": "text", "PageUrl": "text"}) == ["PageUrl"]


def test_where_a_table_has_both_names_todays_is_used():
    assert table(PageAgent=TEXT, PageUserAgent=TEXT).spelled("PageUserAgent") == "PageUserAgent"


NUMBERS = {
    "bigint": pa.int64(), "bigint 8": pa.int8(), "bigint 16": pa.int16(), "bigint 32": pa.int32(),
    "bigint 64": pa.int64(), "bigint 128": pa.int64(), "double": pa.float64(), "double 53": pa.float64(),
    "double 24": pa.float32(), "decimal": pa.decimal128(38, 9), "decimal 10 2": pa.decimal128(10, 2),
    "decimal 50 2": pa.decimal256(50, 2), "wei": pa.decimal256(76, 38),
}  # fmt: skip


@pytest.mark.parametrize(("written", "expected"), NUMBERS.items())
def test_a_column_of_any_numbers_takes_numbers(written, expected):
    kind, *sizes = written.split()
    column = {"data_type": kind} | dict(zip(("precision", "scale"), map(int, sizes), strict=False))
    there = table(ReqStatus=column, PageUrl=column)

    for ours in ("int", "int32", "float"):
        assert there.numbers("ReqStatus", ours) == expected
        assert list(there.conflicts({"ReqStatus": ours})) == []
    assert there.numbers("PageUrl", "text") is None
    assert len(list(there.conflicts({"PageUrl": "text"}))) == 1


@pytest.mark.parametrize(
    ("kind", "into", "fits", "not_there"),
    [
        ("float", pa.int64(), ["12", "12.0", "-0.0", "null", '"12"'], ["12.5", "1e300", '"012"', "1e-9"]),
        ("float", pa.int16(), ["12", "32767"], ["32768", "40000.0", "0.1"]),
        ("int", pa.int16(), ["-32768", '"32767"'], ["40000", '"40000"', "1.0", "true"]),
        ("int", pa.float64(), ["9007199254740992", "-5"], ["9007199254740993"]),
        ("int", pa.decimal128(10, 2), ["12345678"], ["123456789"]),
        ("float", pa.decimal128(10, 2), ["0.25", "1.5", "7"], ["0.125", "1e20"]),
        ("float", pa.float32(), ["0.1", "12", "1.5"], ["0.123456789012", "1e300"]),
    ],
)
def test_numbers_that_the_tables_column_cannot_hold_are_mismatches(kind, into, fits, not_there):
    columns = Columns({"ReqStatus": kind}, numbers=lambda name, kind: into)
    batcher = Batcher(columns, None, {})
    sent = "\n".join(f'{{"ReqStatus":{text}}}' for text in [*fits, *not_there])
    (batch,) = batcher.batches(records([sent.encode()]), 100)

    assert batch.schema.field("ReqStatus").type == into
    expected = [None if text == "null" else float(text.strip('"')) for text in fits]
    found = batch.column("ReqStatus").to_pylist()
    assert [value if value is None else pytest.approx(float(value)) for value in found[: len(fits)]] == expected
    assert found[len(fits) :] == [None] * len(not_there)
    custom = ["{}"] * len(fits) + [f'{{"ReqStatus":{text}}}' for text in not_there]
    assert batch.column("CustomVars").to_pylist() == custom
    assert batcher.tally.mismatches == {"ReqStatus": len(not_there)}


def test_conflicts_name_column_type_and_what_is_needed():
    wrong = table(PageUrl=BIGINT, eventstart=TEXT, mine=BIGINT)

    assert list(wrong.conflicts({"PageUrl": "text", "EventStart": "timestamp"})) == [
        "PageUrl is of type bigint, and text is needed",
        "eventstart is of type text, and timestamp is needed",
    ]


def test_a_field_that_nobody_knows_takes_the_type_of_the_users_column():
    assert table(EventFoo=BIGINT).kind_of_new("EventFoo") == "int"
    assert table(EventFoo=BIGINT).kind_of_new("EventBar") == "any"


def test_only_columns_that_are_not_ours_need_a_default():
    strict = table(mine={**TEXT, "nullable": False}, pageurl={**TEXT, "nullable": False}, yours=TEXT)

    assert strict.others_that_need_a_value({"PageUrl": "text"}) == ["mine"]


def test_batches_get_the_tables_names_its_times_and_its_bounds():
    there = table(
        pageagent={**TEXT, "precision": 5}, eventstart={**TIME, "timezone": False}, customvars={**TEXT, "precision": 40}
    )
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    batch = pa.RecordBatch.from_pydict(
        {
            "PageUserAgent": pa.array(["Mözilla", "short"]),
            "EventStart": pa.array([moment, None], pa.timestamp("us", tz="UTC")),
            "CustomVars": pa.array(['{"a":"%s"}' % ("x" * 90), "{}"]),
            "PageUrl": pa.array(["/", None]),
        }
    )
    tally = Tally()

    fitted = Fitting(there, 65535)(batch, tally)

    assert fitted.schema.names == ["pageagent", "eventstart", "customvars", "PageUrl"]
    assert fitted.schema.field("eventstart").type == pa.timestamp("us")
    assert fitted.column("eventstart").to_pylist() == [moment.replace(tzinfo=None), None]
    assert fitted.column("pageagent").to_pylist() == ["Mözi", "short"]
    assert len(fitted.column("customvars")[0].as_py()) <= 40
    assert tally.truncated == {"PageUserAgent": 1, "CustomVars": 1}


def test_columns_of_the_sync_table_that_take_no_null_are_written_so():
    """BigQuery refuses Parquet that could hold a NULL for a REQUIRED column, and so are hauser's."""
    columns = {"ID": {"data_type": "bigint", "nullable": False}, "Processed": {"data_type": "timestamp"}}
    hints = {name: Table.of(columns).narrower(name) for name in ("ID", "Processed", "EventCount")}
    assert hints == {"ID": {"data_type": "bigint", "nullable": False}, "Processed": {}, "EventCount": {}}
    limits = dlt.destinations.bigquery().capabilities()
    assert not columns_to_arrow({"ID": {"name": "ID", **hints["ID"]}}, limits, "UTC").field("ID").nullable
