"""What is loaded, what is missing: the sync table, read and summed up."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import nlargest
from typing import Any

from hauser_dlt.ledger import SyncRow
from hauser_dlt.reports.day_grid import Day, Found, State, calendar
from hauser_dlt.sync import Plan, Sync
from hauser_dlt.windows import DAY, MOMENT, Window, cut, doubled, uncovered

_LAST_LOADS = 5


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one destination.

    Attributes:
        sync_point: where the next run goes on, `missing` tells of gaps before it; None if no run has loaded anything.
        lag: how long ago that is.
        next_ready: when the next window will have settled; None where FullStory alone knows.
        windows: loaded windows, of which `empty` had no events.
        missing: windows before the sync point that are not loaded.
        waiting: windows that are ready, but not loaded.
        twice: stretches that more than one complete load has brought, so that their events are there twice.
        half: rows of loads that did not become complete; the next run sees to them.
        loads: the newest loads, newest first.
        days: the last days, oldest first.
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
    twice: list[Window]
    half: int
    loads: list[dict[str, Any]]
    days: list[Day]
    problems: list[str] = field(default_factory=list)


def status(sync: Sync, now: datetime, step: timedelta, days: int = 30) -> Status:
    """Return what the destination says about itself, without changing or asking FullStory anything.

    Args:
        step: the length in which missing stretches are told.
        days: how many are drawn, up to today.
    """
    plan = sync.plan(now)
    rows = sync.ledger.rows()
    whole = [row for row in rows if row.owns]
    windows = list(_windows(whole))
    loaded = [window for row, window in zip(whole, windows, strict=True) if row.start is not None]
    sync_point = _sync_point(plan, loaded)
    begin = min((window.start for window in loaded), default=plan.interval.start)
    gaps = uncovered(Window(begin, max(begin, plan.interval.start)), loaded)
    missing = [window for gap in gaps for window in cut(gap, step)]
    twice = list(doubled(windows))
    since = now - days * DAY
    found = [_found(row, window) for row, window in zip(whole, windows, strict=True) if window.end > since]
    found += [Found(window, State.TWICE) for window in twice]
    found += [Found(window, State.MISSING) for window in missing if window.end > since]
    found += _to_come(plan, loaded, now)
    return Status(
        now=now,
        place=sync.target.place,
        sync_point=sync_point,
        lag=now - sync_point if sync_point else None,
        next_ready=None if sync.waits_for_list else sync.next_ready(now),
        windows=len(whole),
        empty=sum(1 for row in whole if row.events == 0),
        events=sum(row.events or 0 for row in whole),
        missing=missing,
        waiting=[bundle.window for bundle in plan.bundles],
        twice=twice,
        half=sum(1 for row in rows if not row.complete),
        loads=list(_last_loads(whole)),
        days=calendar(found, now, days),
        problems=[*sync.warnings(), *([plan.lost] if plan.lost else [])],
    )


def _sync_point(plan: Plan, loaded: list[Window]) -> datetime | None:
    """Return where the next run goes on. Without dlt's tables it begins anew, and finds windows that are loaded."""
    if plan.begun:
        return plan.interval.start
    found = next((gap.start for gap in uncovered(plan.interval, loaded)), plan.interval.end)
    return found if found > plan.interval.start else None


def _windows(rows: list[SyncRow]) -> Iterator[Window]:
    """Yield the stretch of each row; `rows` are in the order of their ends.

    The Go hauser's rows do not tell where a window began: where its row before ended, if that is no more than a day.
    """
    before: datetime | None = None
    for row in rows:
        if row.start is not None:
            yield Window(row.start, row.end)
            continue
        near = before is not None and row.end - DAY <= before < row.end
        yield Window(before if before and near else row.end - MOMENT, row.end)
        before = row.end


def _found(row: SyncRow, window: Window) -> Found:
    return Found(window, State.EMPTY if row.events == 0 else State.LOADED, row.events or 0)


def _to_come(plan: Plan, loaded: list[Window], now: datetime) -> Iterator[Found]:
    for bundle in plan.bundles:
        yield Found(bundle.window, State.WAITING)
    for stretch in uncovered(Window(max(plan.settled, plan.interval.start), now), loaded):
        yield Found(stretch, State.SETTLING)


def _last_loads(rows: list[SyncRow]) -> Iterator[dict[str, Any]]:
    newest = nlargest(_LAST_LOADS, {row.load_id or "hauser" for row in rows})
    by_load: dict[str, list[SyncRow]] = {load_id: [] for load_id in newest}
    for row in rows:
        by_load.get(row.load_id or "hauser", []).append(row)
    for load_id, members in by_load.items():
        span = Window(min(row.window.start for row in members), max(row.end for row in members))
        processed = max((row.processed for row in members if row.processed), default=None)
        yield {
            "load_id": load_id,
            "start": span.start.isoformat(),
            "end": span.end.isoformat(),
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
        "missing": _stretches(found.missing),
        "waiting": _stretches(found.waiting),
        "twice": _stretches(found.twice),
        "incomplete_rows": found.half,
        "problems": found.problems,
        "last_loads": found.loads,
        "days": [
            {
                "day": f"{day.start:%Y-%m-%d}",
                "events": day.events,
                "hours": [state.name.lower() for state in day.hours],
            }
            for day in found.days
        ],
    }


def _stretches(windows: list[Window]) -> list[dict[str, str]]:
    return [{"start": window.start.isoformat(), "end": window.end.isoformat()} for window in windows]
