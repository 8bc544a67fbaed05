"""How many exports may run at the same time, by how they go. No clock, no I/O, no threads: events in, a number out.

FullStory does not publish how many it allows. Either it refuses more (429), or it lets them wait for one another.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Protocol

START = 4
MOST = 16

_DISTANCE = 16  # exports that go well at the first ceiling, until one more at once is tried
_LONGEST_DISTANCE = 256
_REMEMBERED = 64  # exports whose times are compared
_COMPARED = 4  # of few at once, and of many, no fewer than so many are
_MORE = 1.5  # times as many as before must be prepared, to be no chance
_PROPORTIONAL = 0.7  # times that grow like this power of the number, or more, are of exports that queue; 1 is exact
_FEWEST = 3  # at once, where exports queue: one that is prepared, and one that can be as soon as that is noticed
_QUEUE_DISTANCE = 64  # exports until more are tried, where they have queued: that costs nothing but their waiting
_NO_TIME = 0.001  # seconds
_WORTH_IT = 1.0  # seconds: whether shorter exports wait for one another is of no account


class Limit(Protocol):
    """A number of exports that may run at the same time."""

    @property
    def allowed(self) -> int:
        """The number at present."""

    def refused(self, allowed: int) -> None:
        """FullStory answered 429.

        Args:
            allowed: the number when FullStory was asked. Several that were asked at once are refused at once; where
                the number is lower by now, that refusal has been heeded.
        """

    def went_well(self, running: int, rank: int, seconds: float | None) -> None:
        """An export was prepared.

        Args:
            running: how many run now, itself included.
            rank: how many ran when it began, itself included.
            seconds: how long FullStory took; None if that is not known.
        """


class FixedLimit:
    """As many as the settings say; half of it after a 429, and a quarter of a place back for each that goes well.

    Growing by one each time would, at a steady limit of FullStory's, earn a 429 with every second request.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(most)

    @property
    def allowed(self) -> int:
        """See `Limit`."""
        return int(self._allowed)

    def refused(self, allowed: int) -> None:
        """See `Limit`."""
        if self.allowed >= allowed:
            self._allowed = max(1.0, self._allowed / 2)

    def went_well(self, running: int, rank: int, seconds: float | None) -> None:
        """See `Limit`."""
        self._allowed = min(float(self._most), self._allowed + 0.25)


@dataclass(frozen=True, slots=True)
class _Times:
    """How long exports took of which so many ran at once: means of both."""

    number: float
    seconds: float

    @classmethod
    def of(cls, times: Iterable[tuple[int, float]]) -> "_Times":
        """Return the means of some (number that ran, seconds)."""
        number, seconds = (geometric_mean(values) for values in zip(*times, strict=True))
        return cls(number, seconds)

    def wait_longer_than(self, fewer: "_Times") -> bool:
        """Tell whether they wait for one another: each takes longer than with fewer at once, by about as much."""
        return self.seconds >= fewer.seconds * math.pow(self.number / fewer.number, _PROPORTIONAL)

    def prepared(self, fewer: "_Times") -> int:
        """Return how many of them FullStory prepares at once, where the fewer do not wait for one another."""
        return round(self.number * fewer.seconds / self.seconds)


class AdaptiveLimit:
    """One more with each export that goes well, half after a 429, or when exports wait for one another.

    What FullStory did not take is remembered as a ceiling. Above that, one more at once is tried only after some
    exports, and after twice as many each time.

    Where exports seem to wait for one another, half as many at once show whether they do. If so, it is halved again,
    until that makes them no faster. From their times follows how many FullStory prepares at once, and one more than
    that is the ceiling. If they do not, the events in them were more, and the limit is what it was.
    """

    def __init__(self) -> None:
        self._allowed = START
        self._ceiling = MOST
        self._distance = _DISTANCE / 2
        self._at_ceiling = 0  # how many went well there
        self._trying = False  # one more than the ceiling was
        self._times: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)
        self._halved = 0  # what it was, while half as many are being tried
        self._more: list[tuple[int, float]] = []  # times with more at once, meanwhile
        self._first: list[tuple[int, float]] = []  # times of the few at once that it began with
        self._found = 0  # the ceiling that came of it

    @property
    def allowed(self) -> int:
        """See `Limit`."""
        return self._allowed

    def refused(self, allowed: int) -> None:
        """See `Limit`."""
        if self._allowed < allowed:
            return
        below = max(1, self._allowed - 1)
        self._lower(below if self._trying else max(1, self._allowed // 2), ceiling=below)

    def went_well(self, running: int, rank: int, seconds: float | None) -> None:
        """See `Limit`."""
        if seconds is None:
            return
        pair = rank, max(seconds, _NO_TIME)
        if self._halved and rank > self._allowed:  # begun when there were more
            self._more.append(pair)
            return
        self._times.append(pair)
        if rank <= START and len(self._first) < _COMPARED:
            self._first.append(pair)
        if self._halved:
            self._compare()
        elif queue := self._queue():
            self._leave(*queue)
        elif 2 * running > self._allowed:  # places that nobody takes do not show what FullStory allows
            self._raise()

    def _raise(self) -> None:
        if self._allowed < self._ceiling:
            self._allowed += 1
        elif self._ceiling < MOST or self._trying:
            self._at_ceiling += 1
            if self._trying and self._at_ceiling >= self._allowed:
                self._ceiling, self._trying, self._at_ceiling = MOST, False, 0
            elif not self._trying and self._at_ceiling >= self._distance:
                self._allowed += 1
                self._ceiling, self._trying, self._at_ceiling = self._allowed, True, 0

    def _lower(self, allowed: int, ceiling: int) -> None:
        self._allowed, self._ceiling = allowed, ceiling
        self._trying, self._at_ceiling = False, 0
        self._distance = min(2 * self._distance, _LONGEST_DISTANCE)
        self._times.clear()
        self._halved, self._more, self._first = 0, [], []

    def _queue(self) -> tuple[list[tuple[int, float]], int] | None:
        """Return the times of many at once, if they show that exports wait for one another.

        Beside them, how many are prepared at once, if few do not wait.
        """
        few = [pair for pair in self._times if 2 * pair[0] <= self._allowed]
        many = [pair for pair in self._times if 3 * self._allowed <= 4 * pair[0] <= 4 * self._allowed]
        if self._allowed <= _FEWEST or min(len(few), len(many)) < _COMPARED:
            return None
        slow, quick = _Times.of(many), _Times.of(few)
        found = slow.seconds >= _WORTH_IT and slow.wait_longer_than(quick)
        return (many, slow.prepared(quick)) if found else None

    def _leave(self, many: list[tuple[int, float]], prepared: int) -> None:
        """Go back to what was found when exports waited before, if there are not clearly more prepared by now."""
        if self._found:
            self._keep_to(prepared if prepared > _MORE * self._found else self._found)
        else:
            self._halve(many)

    def _halve(self, more: list[tuple[int, float]]) -> None:
        self._halved, self._more = self._allowed, more
        self._allowed //= 2
        self._times.clear()

    def _compare(self) -> None:
        """Once enough exports have been tried with half as many at once, decide how many it takes."""
        if len(self._times) < max(_COMPARED, self._allowed):
            return
        before, now = _Times.of(self._more), _Times.of(self._times)
        first = [pair for pair in self._first if 2 * pair[0] <= self._allowed]
        fewer = _Times.of(first) if len(first) >= _COMPARED else None
        if not before.wait_longer_than(now):
            self._keep_to(min(self._halved, before.prepared(now)) + 1)
        elif fewer and not now.wait_longer_than(fewer):
            self._keep_to(min(self._allowed, now.prepared(fewer)) + 1)
        elif self._allowed // 2 >= _FEWEST - 1:
            self._halve(list(self._times))
        else:
            self._keep_to(_FEWEST)

    def _keep_to(self, most: int) -> None:
        most = min(most, MOST)
        self._found = most if most < MOST else 0
        self._distance = max(self._distance, _QUEUE_DISTANCE / 2)
        self._lower(most, ceiling=most)
