"""Which loads are alive, as their leases and processes tell."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauser_dlt.ledger import Lease
from hauser_dlt.ledger.lease import EXPIRES_AFTER, classify
from hauser_dlt.windows import Window
from support.destinations import HOUR, MIDNIGHT

NOW = MIDNIGHT + HOUR
INTERVAL = Window(MIDNIGHT, NOW)


def lease(load_id="1.5", age=timedelta(0), heartbeats=1):
    return Lease(load_id, INTERVAL, "a machine#7", NOW - age, complete=False, heartbeats=heartbeats)


@pytest.mark.parametrize(
    ("working", "age", "verdict"),
    [
        (True, EXPIRES_AFTER / 2, "alive"),
        (True, -EXPIRES_AFTER / 2, "alive"),  # by a clock that is a little ahead
        (True, EXPIRES_AFTER, "unclear"),  # its process id may be that of another process by now
        (False, timedelta(0), "expired"),
        (None, timedelta(0), "unclear"),
    ],
)
def test_the_process_tells_where_it_can_be_seen(working, age, verdict):
    found = classify([lease(age=age)], None, {"1.5": working}, NOW)

    assert {
        "alive": [each.load_id for each in found.alive],
        "expired": [*found.expired],
        "unclear": [*found.unclear],
    } == {"alive": [], "expired": [], "unclear": []} | {verdict: ["1.5"]}


def test_a_heartbeat_tells_where_nothing_else_can():
    leases = [lease("1.5"), lease("2.5"), lease("3.5")]
    later = [lease("1.5"), lease("2.5", heartbeats=2), lease("4.5")]
    found = classify(leases, later, dict.fromkeys(("1.5", "2.5", "3.5")), NOW)

    # 3.5 has been finalized, and 4.5 has begun meanwhile
    assert found.expired == {"1.5"}
    assert [each.load_id for each in found.alive] == ["2.5", "4.5"]
    assert not found.unclear


def test_a_clock_that_is_put_back_hides_no_heartbeat():
    first, later = lease(heartbeats=3), lease(heartbeats=4)

    assert classify([first], [later], {"1.5": None}, NOW).alive == (later,)


ids = st.sampled_from(["1.5", "2.5", "3.5"])
leases = st.lists(
    st.builds(lease, ids, st.integers(-60, 60).map(lambda s: timedelta(seconds=s)), st.integers(1, 3)),
    unique_by=lambda each: each.load_id,
)


@given(
    leases,
    st.none() | leases,
    st.fixed_dictionaries(dict.fromkeys(("1.5", "2.5", "3.5"), st.sampled_from([True, False, None]))),
)
def test_each_lease_has_one_verdict_and_none_is_unclear_once_somebody_has_waited(first, later, working):
    found = classify(first, later, working, NOW)

    alive = {each.load_id for each in found.alive}
    assert not alive & found.expired
    assert not alive & found.unclear
    assert not found.expired & found.unclear
    there = first if later is None else later
    assert {each.load_id for each in there} <= alive | found.expired | found.unclear
    assert later is None or not found.unclear
    assert {load_id for load_id in alive if working[load_id] is False} <= {each.load_id for each in there} - {
        each.load_id for each in first
    }
