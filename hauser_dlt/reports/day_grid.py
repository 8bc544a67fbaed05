"""The day grid: the state of each hour, and the number of events of each day. No clock, no I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from hauser_dlt.windows import DAY, Window, floor

_HOUR = timedelta(hours=1)


class State(IntEnum):
    """The state of a window. Of several windows in one hour, the greatest state is the hour's."""

    NONE = 0
    EMPTY = 1
    LOADED = 2
    SETTLING = 3
    WAITING = 4
    MISSING = 5
    DUPLICATE = 6


_HAS_BEEN_LOADED = (State.EMPTY, State.LOADED, State.DUPLICATE)


@dataclass(slots=True)
class Day:
    """A day in UTC, with a state for each of its 24 hours.

    Attributes:
        events: those of the windows that begin on this day.
    """

    start: datetime
    events: int = 0
    hours: list[State] = field(default_factory=lambda: [State.NONE] * 24)

    @property
    def is_loaded(self) -> bool:
        """Whether all of its hours are loaded, be they empty or loaded twice."""
        return all(hour in _HAS_BEEN_LOADED for hour in self.hours)


@dataclass(frozen=True, slots=True)
class IntervalState:
    """An interval, its state, and how many events it has."""

    interval: Window
    state: State
    events: int = 0


def day_grid(intervals: Iterable[IntervalState], now: datetime, count: int) -> list[Day]:
    """Return the last `count` days up to today, oldest first, beginning with the first that has a state."""
    today = floor(now, DAY)
    days = {start: Day(start) for start in (today - n * DAY for n in reversed(range(count)))}
    shown = Window(today - (count - 1) * DAY, today + DAY)
    for part in intervals:
        if part.interval.overlaps(shown):
            if day := days.get(floor(part.interval.start, DAY)):
                day.events += part.events
            for hour in _hours(part.interval, shown):
                states = days[floor(hour, DAY)].hours
                states[hour.hour] = max(states[hour.hour], part.state)
    with_states = (day.start for day in days.values() if any(day.hours))
    begin = next(with_states, today)
    return [day for day in days.values() if day.start >= begin]


def _hours(interval: Window, shown: Window) -> Iterator[datetime]:
    hour = floor(max(interval.start, shown.start), _HOUR)
    while hour < min(interval.end, shown.end):
        yield hour
        hour += _HOUR
