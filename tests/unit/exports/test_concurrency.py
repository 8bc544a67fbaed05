"""How many exports run at once: laws of the numbers, against a FullStory that is nothing but a loop."""

import heapq
import random
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauser_dlt.exports.concurrency import MOST, START, AdaptiveLimit, FixedLimit

REQUESTS = 3  # that an export takes at least: to begin it, to learn that it is done, and for its link

EVENTS = st.one_of(
    st.tuples(st.just("refused"), st.integers(1, MOST)),
    st.tuples(st.just("went_well"), st.integers(1, MOST), st.integers(1, MOST), st.none() | st.floats(0, 1e6)),
)


class FullStory:
    """Prepares exports, each in so many seconds; refuses more than `most` at once, and does `workers` at a time.

    Attributes:
        refusals: how many exports were done when each refusal came.
        numbers: what was allowed after each export.
    """

    def __init__(self, limit, most=1000, workers=1000, seconds=lambda now: 60.0):
        self.limit, self.most, self.workers, self.seconds = limit, most, workers, seconds
        self.now = 0.0
        self.refusals, self.numbers = [], []
        self._running, self._refused = [], 0

    def prepare(self, count):
        """Have some exports prepared: as many at once as the limit allows at the time."""
        waiting = count
        for done in range(count):
            allowed = self.limit.allowed
            while waiting and len(self._running) + self._refused < allowed:
                waiting -= 1
                if len(self._running) < self.most:
                    self._begin()
                else:
                    self._refused += 1  # it holds its place, and is tried again
                    self.refusals.append(done)
                    self.limit.refused(allowed)
            self._finish()
            if self._refused and len(self._running) < self.limit.allowed:
                waiting, self._refused = waiting + 1, self._refused - 1

    def _begin(self):
        busy = sorted(ready for ready, *_ in self._running)
        turn = busy[-self.workers] if len(busy) >= self.workers else self.now
        rank = len(self._running) + self._refused + 1
        heapq.heappush(self._running, (turn + self.seconds(self.now), self.now, rank))

    def _finish(self):
        running = len(self._running) + self._refused
        self.now, begun, rank = heapq.heappop(self._running)
        self.limit.went_well(running, rank, self.now - begun)
        self.numbers.append(self.limit.allowed)


def after(count, **there):
    full_story = FullStory(AdaptiveLimit(), **there)
    full_story.prepare(count)
    return full_story


@given(events=st.lists(EVENTS, max_size=300))
def test_it_is_never_less_than_one_nor_more_than_16_and_grows_by_one_at_most(events):
    limit = AdaptiveLimit()
    assert limit.allowed == START == 4
    for kind, *arguments in events:
        before = limit.allowed
        getattr(limit, kind)(*arguments)
        assert 1 <= limit.allowed <= MOST == 16
        assert limit.allowed <= before + (kind == "went_well")


def test_each_export_that_goes_well_adds_one_up_to_16():
    assert after(30).numbers == [*range(5, 16), *[16] * 19]


@given(most=st.integers(1, 20), count=st.integers(40, 400))
def test_no_more_than_5_percent_of_all_requests_are_refused_whatever_fullstory_allows(most, count):
    there = after(count, most=most)
    assert len(there.refusals) <= 0.05 * REQUESTS * count


@pytest.mark.parametrize("most", [1, 3, 8])
def test_what_was_refused_is_tried_again_ever_more_rarely(most):
    there = after(1000, most=most)
    tried = [done for done in there.refusals if done > 10]  # after the first, by which the ceiling was found
    distances = [later - earlier for earlier, later in pairwise(tried)]
    assert len(distances) >= 4
    assert distances == sorted(distances)
    assert distances[0] > 20
    assert distances[-1] > 200
    assert sum(number > most for number in there.numbers) < 100  # a place above the ceiling is a try


def test_refused_once_by_three_at_a_time_it_works_at_three():
    there = after(40, most=3)
    assert there.refusals[0] == 0
    assert len(there.refusals) == 2
    assert there.numbers[4:] == [3] * 12 + [4] + [3] * (len(there.numbers) - 17)


def test_refusals_of_what_was_asked_for_at_once_count_once():
    limit = AdaptiveLimit()
    for _ in range(12):
        limit.went_well(MOST, MOST, 60.0)
    for _ in range(16):
        limit.refused(16)
    assert limit.allowed == 8
    limit.refused(8)
    assert limit.allowed == 4


def test_when_fullstory_allows_more_again_it_is_found_out():
    there = after(100, most=2)
    there.most = 1000
    there.prepare(400)
    assert there.numbers[-1] == MOST


@pytest.mark.parametrize("workers", range(1, 8))
@pytest.mark.parametrize("noise", [0, 0.2])
def test_it_halves_where_exports_wait_for_one_another_and_fullstory_stays_as_busy(workers, noise):
    dice = random.Random(workers)
    there = after(400, workers=workers, seconds=lambda now: 60 * dice.lognormvariate(0, noise))
    assert max(there.numbers) == MOST
    assert sum(number <= MOST / 2 for number in there.numbers[50:]) > 200
    if not noise:
        assert there.now <= 60 * 400 / workers * 1.02


@pytest.mark.parametrize(("workers", "settled"), [(1, 3), (2, 3), (3, 5), (4, 5), (6, 7)])
def test_where_exports_wait_it_settles_just_above_what_fullstory_prepares_at_once(workers, settled):
    there = after(720, workers=workers)
    assert median(there.numbers[360:]) == settled
    assert there.now <= 60 * 720 / workers * 1.015


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6, 8, 12])
@pytest.mark.parametrize("seed", range(5))
def test_wherever_it_settles_fullstory_stays_busy_although_exports_differ(workers, seed):
    dice = random.Random(seed)
    times = [60 * dice.lognormvariate(0, 0.3) for _ in range(720)]
    left = iter(times)
    there = after(720, workers=workers, seconds=lambda now: next(left))
    assert there.now <= sum(times) / workers * 1.06


def test_where_fullstory_comes_to_prepare_more_at_once_there_are_more():
    there = after(400, workers=2)
    assert there.limit.allowed == 3
    there.workers = 8
    there.prepare(600)
    assert min(there.numbers[-100:]) >= 8


@pytest.mark.parametrize("workers", [16, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_it_does_not_halve_where_exports_take_longer_or_shorter_by_chance(workers, seed):
    dice = random.Random(seed)
    there = after(400, workers=workers, seconds=lambda now: 60 * dice.lognormvariate(0, 0.5))
    assert there.numbers[20:] == [MOST] * 380


@pytest.mark.parametrize("growth", [5, 10])
def test_it_comes_back_where_there_was_only_more_in_each_export_for_a_while(growth):
    there = after(400, seconds=lambda now: 60 * (1 + growth * min(1, now / 600)))
    assert min(there.numbers[20:]) == MOST / 2
    assert there.numbers[100:] == [MOST] * 300


def test_exports_that_are_quick_may_wait_for_one_another():
    there = after(400, workers=4, seconds=lambda now: 0.05)
    assert there.numbers[12:] == [MOST] * 388


@given(rounds=st.integers(1, 200), taken=st.integers(1, 8))
def test_places_that_nobody_takes_show_nothing(rounds, taken):
    limit = AdaptiveLimit()
    for _ in range(rounds):
        limit.went_well(taken, taken, 60.0)
    assert limit.allowed <= max(START, 2 * taken)


def test_an_export_begun_before_the_run_shows_nothing():
    limit = AdaptiveLimit()
    for _ in range(20):
        limit.went_well(4, 4, None)
    assert limit.allowed == START


def test_a_number_of_the_settings_is_the_most_and_where_it_begins():
    limit = FixedLimit(20)
    assert limit.allowed == 20
    limit.refused(20)
    seen = []
    for _ in range(60):
        limit.went_well(10, 10, 60.0)
        seen.append(limit.allowed)
    assert seen[:4] == [10, 10, 10, 11]
    assert seen[-1] == 20
