"""Storage: the host behind the signed links, which knows signatures and no API keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hauser_dlt.simulator.bodies import Row, keeper, laid_out, packed, spooled
from hauser_dlt.simulator.messages import Answer, Request, plain_answer, xml_refusal
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
    return _file(world, link.operation)


def file_answer(world: World, pieces: Iterable[bytes]) -> Answer:
    """Return the answer that carries the text of an export, packed as the world packs."""
    headers = {"Content-Type": _BYTES} | ({"Content-Encoding": "gzip"} if world.packing == "encoded" else {})
    chunks = packed(pieces, world.packing)
    if world.chunked:
        return Answer(200, chunks, None, headers)
    return Answer(200, *spooled(chunks), headers)


def _spent(world: World, link: Link) -> bool:
    return world.clock() >= link.expires or (world.once_links and link.used)


def _file(world: World, operation: Operation) -> Answer:
    literal = world.literal_body(operation.start)
    if literal is not None:
        return plain_answer(literal, _BYTES)
    return file_answer(world, laid_out(_rows(world, operation), operation.layout))


def _rows(world: World, operation: Operation) -> Iterator[Row]:
    start, end = operation.reach
    rows: Iterable[Row] = (
        world.account.individuals(end) if operation.type == "TYPE_INDIVIDUAL" else world.rows(start, end)
    )
    rows = world.members(rows, operation.request["segmentId"])
    if SELECTOR_TOKENS in operation.fields and not world.events:
        rows = (row if isinstance(row, bytes) else with_tokens(row) for row in rows)
    return map(keeper(operation.fields), rows) if operation.fields else iter(rows)
