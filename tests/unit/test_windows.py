from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauser_dlt.exports import Bundle
from hauser_dlt.sync.model import Group, groups
from hauser_dlt.windows import DAY, Schedule, Shard, Window, begins_day, duplicated, floor, split, uncovered

MIDNIGHT = datetime(2024, 2, 28, tzinfo=UTC)  # a leap day lies ahead
MINUTE = timedelta(minutes=1)
STEPS = [DAY / parts for parts in (1, 2, 3, 4, 6, 8, 12, 24, 48, 96)]

laws = settings(max_examples=60, deadline=None)
steps = st.sampled_from(STEPS)
minutes = st.integers(0, 4 * 24 * 60).map(lambda count: MIDNIGHT + count * MINUTE)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


def intervals(ends):
    """Any intervals, empty ones too."""
    return st.lists(ends, min_size=2, max_size=2).map(lambda pair: Window(*sorted(pair)))


def ticks(*windows):
    """The minutes of windows, one by one: the slow way to compare intervals."""
    return [
        window.start + count * MINUTE for window in windows for count in range((window.end - window.start) // MINUTE)
    ]


def at(hour, minute=0):
    return MIDNIGHT + timedelta(hours=hour, minutes=minute)


def test_a_window_holds_its_start_and_not_its_end():
    window = Window(at(1), at(2))
    assert at(1) in window
    assert at(2) - timedelta(microseconds=1) in window
    assert at(2) not in window
    assert at(1) - timedelta(microseconds=1) not in window


@laws
@given(intervals(minutes), intervals(minutes))
def test_windows_overlap_if_they_share_a_moment(one, other):
    if one.start < one.end and other.start < other.end:
        assert one.overlaps(other) == bool(set(ticks(one)) & set(ticks(other)))
        assert one.overlaps(other) == other.overlaps(one)


@pytest.mark.parametrize(
    ("start", "hours", "begins"),
    [(0, 1, True), (1, 23, False), (22, 2, False), (22, 3, True), (0, 24, True), (7, 24, True)],
)
def test_a_day_begins_with_its_first_window_or_in_one(start, hours, begins):
    assert begins_day(Window(at(start), at(start + hours))) is begins


def test_a_window_names_its_ends_and_their_zone():
    assert str(Window(at(1), at(2, 30))) == "2024-02-28 01:00 to 2024-02-28 02:30 UTC"


@laws
@given(intervals(minutes), st.integers(1, 9), steps)
def test_shards_share_out_the_days_and_get_equally_many(interval, number, step):
    shards = [Shard(index, number) for index in range(number)]
    windows = list(split(interval, step))
    for window in windows:
        assert [shard.takes(window) for shard in shards].count(True) == 1
        assert [shard.touches(window) for shard in shards] == [shard.takes(window) for shard in shards]
    days = [sum(map(shard.takes, split(interval, DAY))) for shard in shards]
    assert max(days) - min(days) <= 1
    assert [shard.touches(interval) for shard in shards] == [count > 0 for count in days]


@laws
@given(moments, steps)
def test_the_grid_starts_at_midnight_of_every_day(moment, step):
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    grid = [midnight + count * step for count in range(DAY // step)]
    assert floor(moment, step) == max(point for point in grid if point <= moment)


@laws
@given(intervals(minutes), steps)
def test_truncate_leaves_no_gap_and_no_overlap(interval, step):
    assert ticks(*split(interval, step)) == ticks(interval)


@laws
@given(intervals(moments), st.sampled_from([DAY, DAY / 2]))
def test_windows_adjoin_to_the_microsecond(interval, step):
    end = min(interval.end, interval.start + 50 * DAY)
    ends = list(split(Window(interval.start, end), step))
    assert all(one.end == other.start for one, other in pairwise(ends))
    assert [ends[0].start, ends[-1].end] == [interval.start, end] if ends else interval.start == end


@laws
@given(intervals(minutes), steps)
def test_each_window_lies_within_one_cell_of_the_grid_and_one_day(interval, step):
    for window in split(interval, step):
        last = window.end - timedelta(microseconds=1)
        assert window.start <= last
        assert floor(window.start, step) == floor(last, step)
        assert window.start.date() == last.date()


@laws
@given(intervals(minutes), st.lists(intervals(minutes), max_size=6))
def test_what_is_uncovered_is_the_stretch_without_what_is_covered(interval, covered):
    gaps = list(uncovered(interval, covered))
    loaded = set(ticks(*covered))
    assert ticks(*gaps) == [tick for tick in ticks(interval) if tick not in loaded]
    assert all(gap.start < gap.end for gap in gaps)


@laws
@given(intervals(minutes), st.lists(intervals(minutes), max_size=6), st.randoms())
def test_the_order_in_which_windows_were_loaded_does_not_matter(interval, covered, random):
    shuffled = random.sample(covered, len(covered))
    assert list(uncovered(interval, iter(shuffled))) == list(uncovered(interval, covered))


@pytest.mark.parametrize("covered", [[], [Window(at(0), at(1))], [Window(at(5), at(6))]])
def test_of_an_empty_stretch_nothing_is_uncovered(covered):
    assert list(uncovered(Window(at(2), at(2)), covered)) == []


@laws
@given(steps, intervals(minutes), st.lists(intervals(minutes), max_size=4))
def test_what_is_missing_fills_the_stretch_window_by_window(step, interval, loaded):
    schedule = Schedule(step, DAY)
    missing = list(schedule.missing(interval, loaded))
    held = set(ticks(*loaded))
    assert ticks(*missing) == [tick for tick in ticks(interval) if tick not in held]
    assert all(window.end <= floor(window.start, step) + step for window in missing)
    assert list(schedule.missing(interval, [*loaded, *missing])) == []


def test_a_deleted_row_of_the_sync_table_is_the_window_that_is_missing():
    day = Window(at(0), at(24))
    loaded = list(split(day, timedelta(hours=1)))
    gone = loaded.pop(7)
    assert list(Schedule(timedelta(hours=1), DAY).missing(day, loaded)) == [gone]


@laws
@given(moments, steps, st.timedeltas(timedelta(hours=1), 3 * DAY))
def test_the_newest_settled_window_ended_before_the_delay_and_the_next_one_had_not(now, step, delay):
    ready_until = Schedule(step, delay).ready_until(now)
    assert ready_until <= now - delay < ready_until + step


@laws
@given(st.lists(intervals(minutes), max_size=6))
def test_doubled_is_what_more_than_one_window_covers(windows):
    counts = Counter(ticks(*windows))
    assert ticks(*duplicated(windows)) == sorted(tick for tick, count in counts.items() if count > 1)


@laws
@given(moments, steps, st.timedeltas(timedelta(hours=1), 3 * DAY))
def test_one_more_window_is_ready_at_the_next_moment_and_none_before(now, step, delay):
    schedule = Schedule(step, delay)
    following = schedule.next_ready(now)
    assert now < following
    assert schedule.ready_until(following) == schedule.ready_until(now) + step
    assert schedule.ready_until(following - timedelta(microseconds=1)) == schedule.ready_until(now)


@laws
@given(intervals(minutes), st.lists(intervals(minutes), max_size=4), steps, st.sampled_from([True, False, None]))
def test_groups_keep_the_order_and_lose_nothing(interval, loaded, step, by_day):
    missing = list(Schedule(step, DAY).missing(interval, loaded))
    found = groups(map(Bundle, missing), interval.end, by_day)
    assert [bundle.window for group in found for bundle in group.bundles] == missing


@laws
@given(intervals(minutes), st.lists(intervals(minutes), max_size=4), steps)
def test_a_group_is_one_stretch_of_one_day_and_as_long_as_can_be(interval, loaded, step):
    missing = Schedule(step, DAY).missing(interval, loaded)
    found = list(groups(map(Bundle, missing), interval.end, by_day=None))
    for group in found:
        assert ticks(group.span) == ticks(*(bundle.window for bundle in group.bundles))
        assert floor(group.span.end - timedelta(microseconds=1), DAY) == floor(group.span.start, DAY)
    for one, other in pairwise(found):
        assert one.span.end < other.span.start or other.span.start == floor(other.span.start, DAY)


def test_a_day_is_one_file_while_it_lies_more_than_a_day_behind():
    bundles = [Bundle(window) for window in split(Window(at(0), at(3 * 24)), DAY / 2)]
    ready_until = at(3 * 24)
    assert [group.by_day for group in groups(bundles, ready_until, by_day=None)] == [True, True, False]
    assert [group.by_day for group in groups(bundles, ready_until - MINUTE, by_day=None)] == [True, False, False]
    assert {group.by_day for group in groups(bundles, ready_until, by_day=True)} == {True}
    assert {group.by_day for group in groups(bundles, ready_until, by_day=False)} == {False}


def test_a_group_spans_its_windows():
    first, second = Bundle(Window(at(1), at(2))), Bundle(Window(at(2), at(3)))
    assert Group((first, second), by_day=False).span == Window(at(1), at(3))
