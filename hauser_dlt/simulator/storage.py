"""Storage: the host behind the signed links, which knows signatures and no API keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hauser_dlt.simulator.bodies import Row, Stored, keeper, laid_out, packed
from hauser_dlt.simulator.messages import Answer, Request, xml_refusal
from hauser_dlt.simulator.ranges import UnsatisfiableError, asked_range
from hauser_dlt.simulator.selectors import SELECTOR_TOKENS, with_tokens
from hauser_dlt.simulator.world import Link, Operation, World

_BYTES = "application/octet-stream"


def download(world: World, request: Request, key: str, *_: object) -> Answer:
    """Answer GET /exports/{id} with the file of an export, if the link is good."""
    if "authorization" in request.headers:
        return xml_refusal("InvalidArgument", "Only one auth mechanism allowed.", 400)
    with world.lock:
        link = world.links.get(request.query.get("X-Signature", ""))
        if link is None or link.operation.export_id != key:
            return xml_refusal("SignatureDoesNotMatch", "Access denied: the signature does not match.")
        if _spent(world, link):
            return xml_refusal("ExpiredToken", "Invalid argument: the link has expired.")
        link.used = True
    return _file(world, link.operation, request)


def file_answer(world: World, pieces: Iterable[bytes]) -> Answer:
    """Return the answer that carries the text of an export, packed as the world packs."""
    chunks, headers = packed(pieces, world.packing), _headers(world)
    if world.chunked:
        return Answer(200, chunks, None, headers)
    stored = Stored(chunks)
    return Answer(200, stored.read(0, stored.length), stored.length, headers)


def _headers(world: World) -> dict[str, str]:
    return {"Content-Type": _BYTES} | ({"Content-Encoding": "gzip"} if world.packing == "encoded" else {})


def _spent(world: World, link: Link) -> bool:
    return world.clock() >= link.expires or (world.once_links and link.used)


def _file(world: World, operation: Operation, request: Request) -> Answer:
    literal = world.literal_body(operation.start)
    if literal is not None:
        return _stored(world, Stored([literal]), request, {"Content-Type": _BYTES})
    pieces, headers = laid_out(_rows(world, operation), operation.layout), _headers(world)
    if world.chunked:
        return Answer(200, packed(pieces, world.packing), None, headers)
    return _stored(world, Stored(packed(pieces, world.packing)), request, headers)


def _stored(world: World, stored: Stored, request: Request, headers: dict[str, str]) -> Answer:
    """Return what a request wants of a file: all, or a range of it."""
    etag = {"strong": f'"{stored.md5}"', "weak": f'W/"{stored.md5}"', "none": ""}[world.etags]
    headers |= {"ETag": etag} if etag else {}
    begin, end, status = 0, stored.length, 200
    # what is stored with a Content-Encoding may be unpacked on the way, and then has no ranges
    if world.ranges and "Content-Encoding" not in headers:
        headers["Accept-Ranges"] = "bytes"
        try:
            if wanted := asked_range(request.headers, stored.length, etag):
                (begin, end), status = wanted, 206
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{stored.length}"
        except UnsatisfiableError:
            refused = xml_refusal("InvalidRange", "The requested range cannot be satisfied.", 416)
            return replace(refused, headers={**refused.headers, "Content-Range": f"bytes */{stored.length}"})
    return Answer(status, stored.read(begin, end), end - begin, headers)


def _rows(world: World, operation: Operation) -> Iterator[Row]:
    start, end = operation.reach
    rows: Iterable[Row] = (
        world.account.individuals(end) if operation.type == "TYPE_INDIVIDUAL" else world.rows(start, end)
    )
    rows = world.members(rows, operation.request["segmentId"])
    if SELECTOR_TOKENS in operation.fields and not world.events:
        rows = (row if isinstance(row, bytes) else with_tokens(row) for row in rows)
    return map(keeper(operation.fields), rows) if operation.fields else iter(rows)
