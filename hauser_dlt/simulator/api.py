"""The Segment Export API: create an export, wait for it, ask for its link.

What FullStory leaves open is settled so: the window is half-open; a built-in segment without `segmentTimeRange` reaches
back 30 days from `now`; segments that a test adds hold everybody; `eventDetails` and `timezone` change nothing;
individuals are all who were known at the window's end; a cancelled operation is FAILED. docs/simulator.md has the
source of all the rest.
"""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from hauser_dlt.simulator.faults import Fault
from hauser_dlt.simulator.messages import Answer, RefusedError, Request, iso, json_answer, parse_time
from hauser_dlt.simulator.world import Link, Operation, World

_TYPES = ("TYPE_EVENT", "TYPE_INDIVIDUAL")
_FORMATS = ("FORMAT_JSON", "FORMAT_NDJSON")
_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_OWN_RANGE = timedelta(days=30)
_MOST_A_PAGE = 100
_USUAL_SEGMENTS = 20
_ORG = "o-SIM-na1"


def me(world: World, *_: object) -> Answer:
    """Answer GET /me."""
    return json_answer({"orgId": _ORG, "email": "simulator@example.com", "role": world.role})


def segments(world: World, request: Request, *_: object) -> Answer:
    """Answer GET /segments/v1, a page at a time."""
    rows = [_segment_row(key, name) for key, name in world.segments.items()]
    return _page(rows, "segments", request, usual=_USUAL_SEGMENTS)


def segment(world: World, _: Request, key: str, *__: object) -> Answer:
    """Answer GET /segments/v1/{id}."""
    key = unquote(key)
    if key not in world.segments:
        raise RefusedError(404, f"no segment {key!r}")
    return json_answer(_segment_row(key, world.segments[key]))


def _segment_row(key: str, name: str) -> dict[str, Any]:
    row = {"id": key, "name": name, "url": f"https://app.fullstory.com/ui/{_ORG}/segments/{key}"}
    if key == "everyone":  # built in, and so made by nobody at no time
        return row
    return row | {"creator": "simulator@example.com", "created": "2020-01-01T00:00:00Z"}


def create(world: World, request: Request, *_: object) -> Answer:
    """Answer POST /segments/v1/exports."""
    _architect(world)
    body, window = _checked(world, request), asked_window(world, request)
    with world.lock:
        _room_for_one_more(world)
        job = _operation(world, body, *window)
        world.operations[job.id] = world.exports[job.export_id] = job
    return json_answer({"operationId": job.id})


def operation(world: World, _: Request, key: str, fault: Fault | None) -> Answer:
    """Answer GET /operations/v1/{id}. A failed or stuck operation remains so."""
    job = _known(world, key)
    if fault and fault.kind == "failed":
        job.error = fault.error
    if fault and fault.kind == "never":
        job.stuck = True
    row = _operation_row(world, job)
    if fault and fault.kind == "unknown":
        row = {key: row[key] for key in ("id", "type", "createdAt")} | {"state": fault.state}
    return json_answer(row)


def operations(world: World, request: Request, *_: object) -> Answer:
    """Answer GET /operations/v1?type=...&state=..., a page at a time."""
    wanted = {key: request.query[key] for key in ("type", "state") if key in request.query}
    rows = [_operation_row(world, job) for job in list(world.operations.values())]
    return _page([row for row in rows if wanted.items() <= row.items()], "operations", request)


def cancel(world: World, _: Request, key: str, *__: object) -> Answer:
    """Answer POST /operations/v1/{id}/cancel."""
    job = _known(world, key)
    if job.state(world.clock()) == "PENDING":
        job.error = "cancelled"
    return json_answer({})


def results(world: World, _: Request, key: str, *__: object) -> Answer:
    """Answer GET /search/v1/exports/{id}/results with a fresh link."""
    _architect(world)
    job = world.exports.get(key)
    if job is None or job.state(world.clock()) != "COMPLETED":
        raise RefusedError(404, f"no export {key!r}")
    link = Link(job, world.clock() + world.link_ttl)
    signature = secrets.token_urlsafe(24)
    world.links[signature] = link
    location = f"{world.storage_url}/exports/{key}?X-Signature={signature}"
    return json_answer({"location": location, "expires": _moment(link.expires)})


def asked_window(world: World, request: Request) -> tuple[datetime, datetime]:
    """Return the `timeRange` of a create call; open ends reach 30 days back, and to the present.

    Raises:
        RefusedError: The range is missing or makes no sense.
    """
    now = world.present()
    start, end = _range(_body(request), "timeRange", (now - _OWN_RANGE, now))
    if start >= end:
        raise RefusedError(400, "timeRange: start must be before end")
    return start, end


def _range(body: dict[str, Any], name: str, open_ends: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    given = body.get(name)
    if not isinstance(given, dict):
        raise RefusedError(400, f"{name} is required")
    return _time(given, "start", open_ends[0]), _time(given, "end", open_ends[1])


def _time(given: dict[str, Any], name: str, default: datetime) -> datetime:
    try:
        return parse_time(given[name]) if given.get(name) else default
    except (TypeError, ValueError) as exc:
        raise RefusedError(400, f"{name}: {exc}") from exc


def _body(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError as exc:
        raise RefusedError(400, f"the body is not JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise RefusedError(400, "the body is not an object")
    return body


def _checked(world: World, request: Request) -> dict[str, Any]:
    """Return the body of a create call if it is one that FullStory accepts."""
    body = _body(request)
    if body.get("segmentId") not in world.segments:
        raise RefusedError(404, f"no segment {body.get('segmentId')!r}")
    _one_of(body, "type", _TYPES)
    _one_of(body, "format", _FORMATS)
    scope = body.get("eventDetails", {}).get("scope", "SCOPE_EVENTS")
    if scope not in world.scopes:
        raise RefusedError(400, f"eventDetails.scope must be one of {', '.join(world.scopes)}, not {scope!r}")
    if twice := [name for name, count in Counter(body.get("fields") or ()).items() if count > 1]:
        raise RefusedError(400, f"fields: {twice[0]} is listed twice")
    return body


def _one_of(body: dict[str, Any], name: str, allowed: tuple[str, ...]) -> None:
    if body.get(name) == "FORMAT_CSV":
        raise RefusedError(400, "FORMAT_CSV is not supported by the simulator")
    if body.get(name) not in allowed:
        raise RefusedError(400, f"{name} must be one of {', '.join(allowed)}, not {body.get(name)!r}")


def _architect(world: World) -> None:
    if world.role not in ("ARCHITECT", "ADMIN"):
        raise RefusedError(403, "this takes a key with the Architect role")


def _room_for_one_more(world: World) -> None:
    clock = world.clock()
    running = sum(job.state(clock) == "PENDING" for job in world.operations.values()) if world.max_running else 0
    if world.max_running and running >= world.max_running:
        raise RefusedError(429, f"{running} exports are running already", retry_after=1)
    if world.rate_limit:
        world.creates.take(world.rate_limit, clock)


def _operation(world: World, body: dict[str, Any], start: datetime, end: datetime) -> Operation:
    clock = world.clock()
    return Operation(
        id=secrets.token_hex(8),
        export_id=secrets.token_hex(8),
        type=body["type"],
        layout=world.json_layout if body["format"] == "FORMAT_JSON" else None,
        fields=list(body.get("fields") or ()),
        start=start,
        end=end,
        reach=_reach(world, body, start, end),
        created=clock,
        ready=_turn(world, clock) + world.prepare,
        request=body,
    )


def _turn(world: World, clock: float) -> float:
    """Return when the next export's turn comes."""
    busy = sorted(job.ready for job in list(world.operations.values()) if job.ready > clock)
    return busy[-world.workers] if world.workers and len(busy) >= world.workers else clock


def _reach(world: World, body: dict[str, Any], start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return what the segment's own range leaves of a window."""
    if body.get("segmentTimeRange"):
        since, until = _range(body, "segmentTimeRange", _EVER)
    else:
        since, until = _time(body, "now", world.present()) - _OWN_RANGE, _EVER[1]
    return max(start, since), min(end, until)


def _known(world: World, key: str) -> Operation:
    if key not in world.operations:
        raise RefusedError(404, f"no operation {key!r}")
    return world.operations[key]


def _operation_row(world: World, job: Operation) -> dict[str, Any]:
    clock = world.clock()
    state = job.state(clock)
    row: dict[str, Any] = {"id": job.id, "type": "SEARCH_EXPORT", "details": None, "results": None, "state": state}
    row |= {"errorDetails": "", "createdAt": _moment(job.created)}
    if world.echo:
        row["request"] = job.request
    if state == "PENDING":
        done = (clock - job.created) / max(world.prepare, 0.001)
        return row | {"step": "SEARCHING", "estimatePctComplete": min(99, int(100 * done))}
    row |= {"step": "DONE", "estimatePctComplete": 100, "finishedAt": _moment(job.ready)}
    if state == "FAILED":
        return row | {"errorDetails": job.error}
    return row | {"results": {"searchExportId": job.export_id, "expires": _moment(job.ready + 7 * 86_400)}}


def _page(rows: list[dict[str, Any]], name: str, request: Request, usual: int = _MOST_A_PAGE) -> Answer:
    """Return the page of rows that a request asks for; without a limit, `usual` rows."""
    token = request.query.get("paginationToken", "") or "p0"
    limit = request.query.get("limit", str(usual))
    if not (token[1:].isdigit() and limit.isdigit() and 0 < int(limit) <= _MOST_A_PAGE):
        raise RefusedError(400, f"limit (at most {_MOST_A_PAGE}) or paginationToken is not valid")
    start, end = int(token[1:]), int(token[1:]) + int(limit)
    more = {"nextPaginationToken": f"p{end}"} if end < len(rows) else {}
    return json_answer({name: rows[start:end], **more})


def _moment(clock: float) -> str:
    return iso(datetime.fromtimestamp(clock, UTC))
