"""What is loaded, what is missing: the sync table, read and summed up."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest
from typing import Any

from hauser_dlt.ledger import SyncRow
from hauser_dlt.sync import Sync
from hauser_dlt.windows import Window, cut, uncovered

_LAST_LOADS = 5
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one destination.

    Attributes:
        sync_point: up to where events are loaded without interruption; None if nothing is loaded.
        lag: how old the newest loaded event can be.
        next_ready: when the next window will have settled.
        windows: loaded windows, of which `empty` had no events.
        missing: windows before the sync point that are not loaded.
        waiting: windows that are ready, but not loaded.
        half: rows of loads that did not become complete; the next run sees to them.
        loads: the newest loads, newest first.
    """

    place: str
    sync_point: datetime | None
    lag: timedelta | None
    next_ready: datetime
    windows: int
    empty: int
    events: int
    missing: list[Window]
    waiting: list[Window]
    half: int
    loads: list[dict[str, Any]]


def status(sync: Sync, now: datetime, step: timedelta) -> Status:
    """Return what the destination says about itself, without changing or asking FullStory anything.

    Args:
        step: the length in which missing stretches are told.
    """
    plan = sync.plan(now)
    rows = sync.ledger.rows()
    whole = [row for row in rows if row.complete]
    sync_point = plan.stretch.start if whole else None
    loaded = [row.window for row in whole if row.start is not None]
    begin = min((window.start for window in loaded), default=plan.stretch.start)
    gaps = uncovered(Window(begin, max(begin, plan.stretch.start)), loaded)
    return Status(
        place=sync.target.place,
        sync_point=sync_point,
        lag=now - sync_point if sync_point else None,
        next_ready=sync.next_ready(now),
        windows=len(whole),
        empty=sum(1 for row in whole if row.events == 0),
        events=sum(row.events or 0 for row in whole),
        missing=[window for gap in gaps for window in cut(gap, step)],
        waiting=[bundle.window for bundle in plan.bundles],
        half=len(rows) - len(whole),
        loads=list(_last_loads(whole)),
    )


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
        "destination": found.place,
        "sync_point": found.sync_point and found.sync_point.isoformat(),
        "lag_seconds": found.lag and round(found.lag.total_seconds()),
        "next_ready": found.next_ready.isoformat(),
        "windows": found.windows,
        "empty_windows": found.empty,
        "events": found.events,
        "missing": [{"start": w.start.isoformat(), "end": w.end.isoformat()} for w in found.missing],
        "waiting": [{"start": w.start.isoformat(), "end": w.end.isoformat()} for w in found.waiting],
        "incomplete_rows": found.half,
        "last_loads": found.loads,
    }


def as_lines(found: Status) -> Iterator[str]:
    """Yield a status as lines for people."""
    yield f"destination  {found.place}"
    if found.sync_point is None or found.lag is None:
        yield "sync point   nothing is loaded yet"
    else:
        yield f"sync point   {found.sync_point:%Y-%m-%d %H:%M} UTC, {_hours(found.lag)} ago"
    yield f"loaded       {found.events:,} events in {found.windows:,} windows, {found.empty:,} of them empty"
    nothing_yet = f"none; the next is ready at {found.next_ready:%Y-%m-%d %H:%M} UTC"
    yield f"waiting      {_windows(found.waiting) or nothing_yet}"
    yield f"missing      {_windows(found.missing) or 'none'}"
    if found.half:
        yield f"incomplete   {found.half} rows of loads that did not finish; the next run removes them"
    for load in found.loads:
        yield f"load         {load['load_id']}: {load['start'][:16]} to {load['end'][:16]}, {load['events']:,} events"


def _windows(windows: list[Window]) -> str:
    if not windows:
        return ""
    shown = ", ".join(f"{window.start:%Y-%m-%d %H:%M}" for window in windows[:_SHOWN])
    rest = f" and {len(windows) - _SHOWN} more" if len(windows) > _SHOWN else ""
    return f"{len(windows)} windows: {shown}{rest}"


def _hours(lag: timedelta) -> str:
    hours, minutes = divmod(round(lag.total_seconds() / 60), 60)
    return f"{hours} h {minutes} min"
