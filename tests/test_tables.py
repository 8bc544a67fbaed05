"""Tables of other hands: what fits them, what is missing in them, what stands in the way."""

from datetime import UTC, datetime

import pyarrow as pa

from hauser_dlt.batches import Tally
from hauser_dlt.tables import Fitting, Table


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


def test_a_narrower_integer_is_taken_into_account_and_a_too_narrow_one_is_a_conflict():
    narrow = table(ReqStatus={**BIGINT, "precision": 32}, PageDuration={**BIGINT, "precision": 16})

    assert narrow.kind("ReqStatus", "int") == "int32"
    assert list(narrow.conflicts({"ReqStatus": "int", "PageDuration": "int"})) == [
        "PageDuration is of type bigint (16), and bigint is needed"
    ]


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
    assert tally.cut == {"PageUserAgent": 1, "CustomVars": 1}
