"""How many exports may run at the same time, by how they go. No clock, no I/O, no threads: events in, a number out.

FullStory does not publish how many it allows. Either it refuses more (429), or it lets them wait for one another.
"""

from collections import deque
from statistics import geometric_mean
from typing import Protocol

START = 4
MOST = 16

_DISTANCE = 16  # exports that go well at the first ceiling, until one more at once is tried
_LONGEST_DISTANCE = 256
_REMEMBERED = 64  # exports whose times are compared
_COMPARED = 4  # of few at once, and of many, no fewer than so many are
_PROPORTIONAL = 0.7  # times that grow like this power of the number, or more, are of exports that queue; 1 is exact
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


class AdaptiveLimit:
    """One more with each export that goes well, half after a 429, or when exports wait for one another.

    What FullStory did not take is remembered as a ceiling. Above that, one more at once is tried only after some
    exports, and after twice as many each time.
    """

    def __init__(self) -> None:
        self._allowed = START
        self._ceiling = MOST
        self._distance = _DISTANCE / 2
        self._at_ceiling = 0  # how many went well there
        self._trying = False  # one more than the ceiling was
        self._times: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)

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
        self._times.append((rank, max(seconds, _NO_TIME)))
        if self._queue():
            half = max(1, self._allowed // 2)
            self._lower(half, ceiling=half)
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

    def _queue(self) -> bool:
        """Tell whether exports wait for one another: with many at once, each takes longer by about as much."""
        few = [pair for pair in self._times if 2 * pair[0] <= self._allowed]
        many = [pair for pair in self._times if 3 * self._allowed <= 4 * pair[0] <= 4 * self._allowed]
        if min(len(few), len(many)) < _COMPARED:
            return False
        fewer, quick = (geometric_mean(values) for values in zip(*few, strict=True))
        more, slow = (geometric_mean(values) for values in zip(*many, strict=True))
        return slow >= _WORTH_IT and slow / quick >= (more / fewer) ** _PROPORTIONAL
