"""A status as text for people: a calendar of the days, and what there is to say beside it. 80 columns are enough."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import groupby

import click

from hauser_dlt.reports.day_grid import Day, State
from hauser_dlt.reports.status import Status
from hauser_dlt.windows import Window, united

_WIDTH = 80
_BEFORE_BARS = 46  # columns of a day, its hours and the space around the number of its events
_SHOWN = 3

# The signs differ without their colours, too.
SIGNS = {
    State.NONE: " ",
    State.EMPTY: "□",
    State.LOADED: "■",
    State.SETTLING: "·",
    State.WAITING: ">",
    State.MISSING: "!",
    State.TWICE: "2",
}
MEANINGS = {
    State.LOADED: "loaded",
    State.EMPTY: "empty",
    State.SETTLING: "not ready yet",
    State.WAITING: "waiting",
    State.MISSING: "missing",
    State.TWICE: "loaded twice",
}
_COLOURS = {
    State.EMPTY: "green",
    State.LOADED: "green",
    State.SETTLING: "bright_black",
    State.WAITING: "cyan",
    State.MISSING: "red",
    State.TWICE: "magenta",
}
_IN_ASCII = str.maketrans("□■·█", "o#.=")


def as_lines(found: Status, encoding: str = "utf-8") -> Iterator[str]:
    """Yield a status as lines, with colours.

    Args:
        encoding: where that cannot write the signs, they are of ASCII.
    """
    for line in (*_drawn(found.days), "", *_told(found)):
        try:
            line.encode(encoding)
        except UnicodeEncodeError:
            yield line.translate(_IN_ASCII)
        else:
            yield line


def _drawn(days: list[Day]) -> Iterator[str]:
    numbers = [f"{day.events:,}" for day in days]
    wide = max(len("events"), *map(len, numbers))
    yield f"{'':16}00     06     12     18     {'events':>{wide}}"
    most = max(day.events for day in days)
    for day, number in zip(days, numbers, strict=True):
        hours = " ".join(_coloured(day.hours[begin : begin + 6]) for begin in range(0, 24, 6))
        bar = "█" * share(day.events, most, _WIDTH - _BEFORE_BARS - wide)
        yield f"{day.start:%a %Y-%m-%d}  {hours}{number:>{wide + 1}}  {bar}".rstrip()
    yield "  ".join(f"{_coloured([state])} {meaning}" for state, meaning in MEANINGS.items())


def share(events: int, most: int, width: int) -> int:
    """Return how long the bar of a day is; that of a day with events is never nothing."""
    return max(width * events // most, 1) if events else 0


def _coloured(states: Iterable[State]) -> str:
    runs = ((state, sum(1 for _ in run)) for state, run in groupby(states))
    return "".join(
        click.style(SIGNS[state] * count, fg=_COLOURS[state]) if state else " " * count for state, count in runs
    )


def _told(found: Status) -> Iterator[str]:
    for name, text in told(found):
        yield f"{name:<13}{text}"


def told(found: Status) -> Iterator[tuple[str, str]]:
    """Yield what there is to say, each with its name."""
    yield "destination", found.place
    if found.sync_point is None or found.lag is None:
        yield "sync point", "none yet, only backfills are loaded" if found.windows else "nothing is loaded yet"
    else:
        yield "sync point", f"{found.sync_point:%Y-%m-%d %H:%M} UTC, {hours(found.lag)} ago"
    yield "loaded", f"{found.events:,} events in {found.windows:,} windows, {found.empty:,} of them empty"
    yield "waiting", _windows(found.waiting) or "none"
    yield "next ready", f"{found.next_ready:%Y-%m-%d %H:%M} UTC" if found.next_ready else "once FullStory lists it"
    filled = "; hauser-dlt run --start ... --end ... loads them" if found.missing else ""
    yield "missing", (_windows(found.missing) or "none") + filled
    if found.twice:
        yield "twice", f"{_stretches(found.twice)}; hauser-dlt reload --start ... --end ... puts it right"
    if found.half:
        yield "incomplete", f"{found.half} rows of loads that did not finish; the next run removes them"
    for problem in found.problems:
        yield "problem", problem
    for load in found.loads:
        text = f"{load['load_id']}: {load['start'][:16]} to {load['end'][:16]}, {load['events']:,} events"
        yield "load", text.replace("T", " ")


def _windows(windows: list[Window]) -> str:
    count = "1 window" if len(windows) == 1 else f"{len(windows):,} windows"
    return f"{count}: {_stretches(windows)}" if windows else ""


def _stretches(windows: list[Window]) -> str:
    """Name some stretches, the newest, which are the likeliest to be news."""
    whole = list(united(windows))
    shown = ", ".join(f"{part.start:%Y-%m-%d %H:%M} to {part.end:%Y-%m-%d %H:%M}" for part in whole[-_SHOWN:])
    return f"{shown} and {len(whole) - _SHOWN} more" if len(whole) > _SHOWN else shown


def hours(lag: timedelta) -> str:
    """Return a length of time in hours and minutes."""
    whole, minutes = divmod(round(lag.total_seconds() / 60), 60)
    return f"{whole} h {minutes} min"


def wrong(found: Status, max_lag: timedelta | None, *, exact: bool) -> Iterator[str]:
    """Yield what a monitor was asked to watch for, and is so."""
    if max_lag is not None and found.lag is None:
        yield "nothing is loaded yet"
    if max_lag is not None and found.lag is not None and found.lag > max_lag:
        yield f"the sync point is {hours(found.lag)} ago, and {hours(max_lag)} are allowed"
    if exact and found.missing:
        yield f"missing: {_windows(found.missing)}"
    if exact:
        yield from found.problems
    if exact and found.twice:
        yield f"loaded twice: {_stretches(found.twice)}"
