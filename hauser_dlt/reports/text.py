"""A status as text: the day grid, and the facts below it. 80 columns are enough."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import groupby

import click

from hauser_dlt.reports.day_grid import Day, State
from hauser_dlt.reports.status import Status
from hauser_dlt.windows import Window, united

_WIDTH = 80
_BEFORE_BARS = 46  # columns of a day, its hours and the space around the number of its events
_NEWEST = 3

# The symbols differ without their colours, too.
SYMBOLS = {
    State.NONE: " ",
    State.EMPTY: "□",
    State.LOADED: "■",
    State.SETTLING: "·",
    State.WAITING: ">",
    State.MISSING: "!",
    State.DUPLICATE: "2",
}
LABELS = {
    State.LOADED: "loaded",
    State.EMPTY: "empty",
    State.SETTLING: "not ready yet",
    State.WAITING: "waiting",
    State.MISSING: "missing",
    State.DUPLICATE: "loaded twice",
}
_COLOURS = {
    State.EMPTY: "green",
    State.LOADED: "green",
    State.SETTLING: "bright_black",
    State.WAITING: "cyan",
    State.MISSING: "red",
    State.DUPLICATE: "magenta",
}
_IN_ASCII = str.maketrans("□■·█", "o#.=")


def as_lines(found: Status, encoding: str = "utf-8") -> Iterator[str]:
    """Yield a status as lines, with colours.

    Args:
        encoding: symbols that it does not have are replaced by ASCII ones.
    """
    for line in (*_grid(found.days), "", *_fact_lines(found)):
        try:
            line.encode(encoding)
        except UnicodeEncodeError:
            yield line.translate(_IN_ASCII)
        else:
            yield line


def _grid(days: list[Day]) -> Iterator[str]:
    numbers = [f"{day.events:,}" for day in days]
    wide = max(len("events"), *map(len, numbers))
    yield f"{'':16}00     06     12     18     {'events':>{wide}}"
    most = max(day.events for day in days)
    for day, number in zip(days, numbers, strict=True):
        hours = " ".join(_coloured(day.hours[begin : begin + 6]) for begin in range(0, 24, 6))
        bar = "█" * bar_length(day.events, most, _WIDTH - _BEFORE_BARS - wide)
        yield f"{day.start:%a %Y-%m-%d}  {hours}{number:>{wide + 1}}  {bar}".rstrip()
    yield "  ".join(f"{_coloured([state])} {label}" for state, label in LABELS.items())


def bar_length(events: int, most: int, width: int) -> int:
    """Return the length of a day's bar; it is at least 1 where there are events."""
    return max(width * events // most, 1) if events else 0


def _coloured(states: Iterable[State]) -> str:
    runs = ((state, sum(1 for _ in run)) for state, run in groupby(states))
    return "".join(
        click.style(SYMBOLS[state] * count, fg=_COLOURS[state]) if state else " " * count for state, count in runs
    )


def _fact_lines(found: Status) -> Iterator[str]:
    for name, text in facts(found):
        yield f"{name:<13}{text}"


def facts(found: Status) -> Iterator[tuple[str, str]]:
    """Yield the facts below the grid, each as its name and its text."""
    yield "destination", found.place
    if found.sync_point is None or found.lag is None:
        yield "sync point", "none yet, only backfills are loaded" if found.windows else "nothing is loaded yet"
    else:
        yield "sync point", f"{found.sync_point:%Y-%m-%d %H:%M} UTC, {hours_and_minutes(found.lag)} ago"
    yield "loaded", f"{found.events:,} events in {found.windows:,} windows, {found.empty:,} of them empty"
    yield "waiting", _windows(found.waiting) or "none"
    yield "next ready", f"{found.next_ready:%Y-%m-%d %H:%M} UTC" if found.next_ready else "once FullStory lists it"
    advice = "; hauser-dlt run --start ... --end ... loads them" if found.missing else ""
    yield "missing", (_windows(found.missing) or "none") + advice
    if found.duplicates:
        yield "twice", f"{_intervals(found.duplicates)}; hauser-dlt reload --start ... --end ... puts it right"
    if found.incomplete:
        yield "incomplete", f"{found.incomplete} rows of loads that did not finish; the next run removes them"
    for problem in found.problems:
        yield "problem", problem
    for load in found.loads:
        text = f"{load['load_id']}: {load['start'][:16]} to {load['end'][:16]}, {load['events']:,} events"
        yield "load", text.replace("T", " ")


def _windows(windows: list[Window]) -> str:
    count = "1 window" if len(windows) == 1 else f"{len(windows):,} windows"
    return f"{count}: {_intervals(windows)}" if windows else ""


def _intervals(windows: list[Window]) -> str:
    """Return the newest intervals that some windows cover; they are the likeliest to be news."""
    intervals = list(united(windows))
    shown = ", ".join(f"{part.start:%Y-%m-%d %H:%M} to {part.end:%Y-%m-%d %H:%M}" for part in intervals[-_NEWEST:])
    return f"{shown} and {len(intervals) - _NEWEST} more" if len(intervals) > _NEWEST else shown


def hours_and_minutes(lag: timedelta) -> str:
    """Return a duration in hours and minutes."""
    hours, minutes = divmod(round(lag.total_seconds() / 60), 60)
    return f"{hours} h {minutes} min"


def violations(found: Status, max_lag: timedelta | None, *, exact: bool) -> Iterator[str]:
    """Yield each condition of a monitor, `--max-lag` or `--exact`, that does not hold."""
    if max_lag is not None and found.lag is None:
        yield "nothing is loaded yet"
    if max_lag is not None and found.lag is not None and found.lag > max_lag:
        yield f"the sync point is {hours_and_minutes(found.lag)} ago, and {hours_and_minutes(max_lag)} are allowed"
    if exact and found.missing:
        yield f"missing: {_windows(found.missing)}"
    if exact:
        yield from found.problems
    if exact and found.duplicates:
        yield f"loaded twice: {_intervals(found.duplicates)}"
