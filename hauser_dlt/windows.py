"""Time windows: which intervals of events to export, and how they are grouped. No clock, no I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
Bound = datetime | None
"""Where an interval starts or ends; None leaves it open."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open interval of `EventStart`, in UTC: `start` belongs to it, `end` does not."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def overlaps(self, other: "Window") -> bool:
        """Tell whether some moment belongs to both."""
        return self.start < other.end and other.start < self.end


def floor(moment: datetime, step: timedelta) -> datetime:
    """Return the last point of the grid that is not after `moment`; the grid starts at midnight UTC."""
    return moment - (moment - _EPOCH) % step


def ceil(moment: datetime, step: timedelta) -> datetime:
    """Return the end of the step in which a moment lies; on the grid, that is the moment itself."""
    begin = floor(moment, step)
    return begin + step if begin < moment else begin


def split(interval: Window, step: timedelta) -> Iterator[Window]:
    """Yield, oldest first, the windows that an interval falls into: it is split at each point of the grid."""
    start = interval.start
    while start < interval.end:
        end = min(floor(start, step) + step, interval.end)
        yield Window(start, end)
        start = end


def begins_day(window: Window) -> bool:
    """Tell whether a window is the first of a UTC day, or reaches into the next."""
    return floor(window.end - MOMENT, DAY) >= window.start


def uncovered(interval: Window, covered: Iterable[Window]) -> Iterator[Window]:
    """Yield, oldest first, the parts of an interval that none of the `covered` windows holds."""
    start = interval.start
    for window in sorted(covered):
        if start >= interval.end:
            return
        if window.start > start:
            yield Window(start, min(window.start, interval.end))
        start = max(start, window.end)
    if start < interval.end:
        yield Window(start, interval.end)


def whole(start: datetime | None, end: datetime | None, step: timedelta) -> tuple[datetime | None, datetime | None]:
    """Return an interval, open where one end is None, expanded to the boundaries of windows."""
    return start and floor(start, step), end and ceil(end, step)


def united(intervals: Iterable[Window]) -> Iterator[Window]:
    """Yield, oldest first, the intervals that some make together; they may overlap or adjoin."""
    union: Window | None = None
    for interval in sorted(intervals):
        if union and interval.start <= union.end:
            union = Window(union.start, max(union.end, interval.end))
            continue
        if union:
            yield union
        union = interval
    if union:
        yield union


def duplicated(windows: Iterable[Window]) -> Iterator[Window]:
    """Yield, oldest first, the intervals that more than one window covers."""
    return united(_shared(windows))


def _shared(windows: Iterable[Window]) -> Iterator[Window]:
    covered: datetime | None = None
    for window in sorted(windows, key=lambda window: window.start):
        if covered and window.start < covered:
            yield Window(window.start, min(window.end, covered))
        covered = max(covered or window.end, window.end)


@dataclass(frozen=True, slots=True)
class Shard:
    """The share of one of several machines: each `of`-th UTC day, so that all of them get old and young days.

    Attributes:
        number: from 0.
        of: how many machines there are.
    """

    number: int
    of: int

    def takes(self, window: Window) -> bool:
        """Tell whether the day in which a window starts is of this share."""
        return (window.start - _EPOCH) // DAY % self.of == self.number

    def touches(self, interval: Window) -> bool:
        """Tell whether some day of an interval is of this share."""
        return any(map(self.takes, split(interval, DAY)))


@dataclass(frozen=True, slots=True)
class Schedule:
    """How much to export at once, and how old its events are then."""

    step: timedelta
    delay: timedelta

    def ready_until(self, now: datetime) -> datetime:
        """Return the end of the newest window whose events are old enough at `now`."""
        return floor(now - self.delay, self.step)

    def next_ready(self, now: datetime) -> datetime:
        """Return the moment at which one more window will be ready."""
        return self.ready_until(now) + self.step + self.delay

    def missing(self, interval: Window, loaded: Iterable[Window]) -> Iterator[Window]:
        """Yield, oldest first, the windows of an interval that are not loaded."""
        for gap in uncovered(interval, loaded):
            yield from split(gap, self.step)
