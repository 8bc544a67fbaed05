"""What is loaded, what is missing: the sync table, read and summed up."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import nlargest
from itertools import chain
from typing import Any

from hauser_dlt.ledger import SyncRow
from hauser_dlt.reports.day_grid import Day, IntervalState, State, day_grid
from hauser_dlt.sync import Plan, Sync
from hauser_dlt.windows import DAY, MOMENT, Window, duplicated, split, uncovered

_LAST_LOADS = 5
_STATE_NAMES = {state: state.name.lower() for state in State} | {State.DUPLICATE: "twice"}  # as monitors read them


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one destination.

    Attributes:
        sync_point: where the next run goes on, `missing` tells of gaps before it; None if no run has loaded anything.
        lag: how long ago that is.
        next_ready: when the next window will be ready; None where FullStory alone knows.
        windows: loaded windows, of which `empty` had no events.
        missing: windows before the sync point that are not loaded.
        waiting: windows that are ready, but not loaded.
        duplicates: intervals that more than one complete load has loaded, so that their events are there twice.
        incomplete: rows of loads that did not finish; the next run removes them.
        loads: the newest loads, newest first.
        days: the day grid, oldest first.
        problems: what is wrong with the sync table, and what to do about it.
    """

    now: datetime
    place: str
    sync_point: datetime | None
    lag: timedelta | None
    next_ready: datetime | None
    windows: int
    empty: int
    events: int
    missing: list[Window]
    waiting: list[Window]
    duplicates: list[Window]
    incomplete: int
    loads: list[dict[str, Any]]
    days: list[Day]
    problems: list[str] = field(default_factory=list)


def status(sync: Sync, now: datetime, step: timedelta, days: int = 30) -> Status:
    """Return what the destination says about itself, without changing or asking FullStory anything.

    Args:
        step: the length of the windows in which missing intervals are listed.
        days: how many days the grid has, up to today.
    """
    plan = sync.plan(now)
    rows = sync.ledger.rows()
    owners = [row for row in rows if row.owns]
    windows = list(_windows(owners))
    loaded = [window for row, window in zip(owners, windows, strict=True) if row.start is not None]
    missing = _missing(plan, loaded, step)
    duplicates = list(duplicated(windows))
    sync_point = _sync_point(plan, loaded)
    since = now - days * DAY  # older windows are many, and not drawn
    states = chain(
        (_loaded(row, window) for row, window in zip(owners, windows, strict=True) if window.end > since),
        (IntervalState(window, State.DUPLICATE) for window in duplicates),
        (IntervalState(window, State.MISSING) for window in missing if window.end > since),
        _to_come(plan, loaded, now),
    )
    return Status(
        now=now,
        place=sync.target.place,
        sync_point=sync_point,
        lag=now - sync_point if sync_point else None,
        next_ready=None if sync.waits_for_list else sync.next_ready(now),
        windows=len(owners),
        empty=sum(1 for row in owners if row.events == 0),
        events=sum(row.events or 0 for row in owners),
        missing=missing,
        waiting=[bundle.window for bundle in plan.bundles],
        duplicates=duplicates,
        incomplete=sum(1 for row in rows if not row.complete),
        loads=list(_last_loads(owners)),
        days=day_grid(states, now, days),
        problems=[*sync.warnings(), *([plan.lost] if plan.lost else [])],
    )


def _sync_point(plan: Plan, loaded: list[Window]) -> datetime | None:
    """Return where the next run goes on. Without dlt's tables it starts anew, and skips windows that are loaded."""
    if plan.begun:
        return plan.interval.start
    first_gap = next((gap.start for gap in uncovered(plan.interval, loaded)), plan.interval.end)
    return first_gap if first_gap > plan.interval.start else None


def _missing(plan: Plan, loaded: list[Window], step: timedelta) -> list[Window]:
    begin = min((window.start for window in loaded), default=plan.interval.start)
    gaps = uncovered(Window(begin, max(begin, plan.interval.start)), loaded)
    return [window for gap in gaps for window in split(gap, step)]


def _windows(rows: list[SyncRow]) -> Iterator[Window]:
    """Yield the window of each row; `rows` are in the order of their ends.

    The Go hauser's rows have no start: it is the end of the row before, if that is no more than a day earlier.
    """
    before: datetime | None = None
    for row in rows:
        if row.start is not None:
            yield Window(row.start, row.end)
            continue
        near = before is not None and row.end - DAY <= before < row.end
        yield Window(before if before and near else row.end - MOMENT, row.end)
        before = row.end


def _loaded(row: SyncRow, window: Window) -> IntervalState:
    return IntervalState(window, State.EMPTY if row.events == 0 else State.LOADED, row.events or 0)


def _to_come(plan: Plan, loaded: list[Window], now: datetime) -> Iterator[IntervalState]:
    for bundle in plan.bundles:
        yield IntervalState(bundle.window, State.WAITING)
    for interval in uncovered(Window(max(plan.ready_until, plan.interval.start), now), loaded):
        yield IntervalState(interval, State.SETTLING)


def _last_loads(rows: list[SyncRow]) -> Iterator[dict[str, Any]]:
    newest = nlargest(_LAST_LOADS, {row.load_id or "hauser" for row in rows})
    by_load: dict[str, list[SyncRow]] = {load_id: [] for load_id in newest}
    for row in rows:
        by_load.get(row.load_id or "hauser", []).append(row)
    for load_id, members in by_load.items():
        interval = Window(min(row.window.start for row in members), max(row.end for row in members))
        processed = max((row.processed for row in members if row.processed), default=None)
        yield {
            "load_id": load_id,
            "start": interval.start.isoformat(),
            "end": interval.end.isoformat(),
            "windows": len(members),
            "events": sum(row.events or 0 for row in members),
            "processed": processed and processed.isoformat(),
        }


def as_document(found: Status) -> dict[str, Any]:
    """Return a status as JSON."""
    return {
        "as_of": found.now.isoformat(timespec="seconds"),
        "destination": found.place,
        "sync_point": found.sync_point and found.sync_point.isoformat(),
        "lag_seconds": found.lag and round(found.lag.total_seconds()),
        "next_ready": found.next_ready and found.next_ready.isoformat(),
        "windows": found.windows,
        "empty_windows": found.empty,
        "events": found.events,
        "missing": _intervals(found.missing),
        "waiting": _intervals(found.waiting),
        "twice": _intervals(found.duplicates),
        "incomplete_rows": found.incomplete,
        "problems": found.problems,
        "last_loads": found.loads,
        "days": [
            {
                "day": f"{day.start:%Y-%m-%d}",
                "events": day.events,
                "hours": [_STATE_NAMES[state] for state in day.hours],
            }
            for day in found.days
        ],
    }


def _intervals(windows: list[Window]) -> list[dict[str, str]]:
    return [{"start": window.start.isoformat(), "end": window.end.isoformat()} for window in windows]
