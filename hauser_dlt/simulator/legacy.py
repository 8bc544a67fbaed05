"""The legacy Data Export API: a list of finished bundles, and one download for each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from hauser_dlt.simulator.bodies import Row, laid_out
from hauser_dlt.simulator.messages import Answer, RefusedError, Request, json_answer, plain_answer
from hauser_dlt.simulator.selectors import SELECTOR, with_tokens
from hauser_dlt.simulator.storage import file_answer
from hauser_dlt.simulator.world import World

_ID_BASE = (1 << 60) + 1  # a bundle's id is this plus its start: too big for a float
_FIRST = 20


def bundles(world: World, request: Request, *_: object) -> Answer:
    """Answer GET /export/list?start=...: the first 20 finished bundles that end after `start`, oldest first."""
    _has_data_export(world)
    start = _number(request, "start")
    length = int(world.bundle.total_seconds())
    since = world.since or world.present() - timedelta(days=30)
    first = max(start, int(since.timestamp())) // length * length
    stops = range(first + length, int(world.present().timestamp()) + 1, length)[:_FIRST]
    return json_answer({"exports": [_listed(world, stop - length, stop) for stop in stops]})


def bundle(world: World, request: Request, *_: object) -> Answer:
    """Answer GET /export/get?id=... with a JSON array of the bundle's events."""
    _has_data_export(world)
    start = bundle_start(request)
    if start is None or start + world.bundle > world.present():
        raise RefusedError(404, f"no bundle {request.query.get('id')!r}")
    if world.downloads:
        with world.lock:
            world.legacy_gets.take(world.downloads, world.clock())
    literal = world.literal_body(start)
    if literal is not None:
        return plain_answer(literal, "application/octet-stream")
    return file_answer(world, laid_out(_rows(world, start), world.json_layout))


def bundle_start(request: Request) -> datetime | None:
    """Return the start of the bundle that a request asks for, None if the id is none of ours."""
    key = request.query.get("id", "")
    seconds = int(key) - _ID_BASE if key.isdigit() else -1
    return datetime.fromtimestamp(seconds, UTC) if 0 <= seconds < 1 << 33 else None


def _has_data_export(world: World) -> None:
    if not world.legacy:
        raise RefusedError(404, "this account has no Data Export")


def _number(request: Request, name: str) -> int:
    try:
        return int(request.query[name])
    except (KeyError, ValueError):
        raise RefusedError(400, f"{name} must be a number of seconds since 1970") from None


def _listed(world: World, start: int, stop: int) -> dict[str, Any]:
    row: dict[str, Any] = {"Id": _ID_BASE + start, "Start": start, "Stop": stop}
    if world.string_numbers:
        row = {key: str(value) for key, value in row.items()}
    return {key.lower(): value for key, value in row.items()} if world.lowercase_list else row


def _rows(world: World, start: datetime) -> Iterator[Row]:
    """Yield a bundle's events; the account's have their selectors in tokens only, as FullStory's sample has them."""
    for row in world.rows(start, start + world.bundle):
        yield row if isinstance(row, bytes) or world.events else _as_bundled(row, old_names=world.old_names)


def _as_bundled(row: dict[str, Any], *, old_names: bool) -> dict[str, Any]:
    names = {"PageUserAgent": "PageAgent"} if old_names else {}
    return {names.get(key, key): value for key, value in with_tokens(row).items() if key != SELECTOR}
