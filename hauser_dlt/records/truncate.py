"""Text that is longer than its column: truncated at a character, and CustomVars stays one JSON object. No I/O."""

from collections.abc import Callable

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from hauser_dlt.records.json_text import members

TRUNCATED = "_truncated"
"""The name under which CustomVars lists the variables that were truncated or left out."""


def truncated(text: str, limit: int) -> str:
    """Return as many whole characters of a text as fit into so many bytes of UTF-8."""
    return text.encode()[:limit].decode(errors="ignore")


def truncate_object(text: str, limit: int) -> str:
    """Return a JSON object of at most `limit` bytes: its largest values are truncated (text) or left out (all else).

    What stays is as it was written; `_truncated` lists the names of what does not. Where not even the names fit,
    the list is truncated, too.
    """
    values = members(text.encode())
    touched: list[str] = []
    while (excess := len(_written(values, touched)) - limit) > 0 and values:
        largest = max(values, key=lambda name: len(values[name]))
        if largest not in touched:
            touched.append(largest)
            excess += len(orjson.dumps(largest)) + len(f',"{TRUNCATED}":[]')
        shorter = _shorter(values[largest], excess)
        if shorter:
            values[largest] = shorter
        else:
            del values[largest]
    while touched and len(_written(values, touched)) > limit:
        touched.pop()
    return _written(values, touched).decode()


def _written(values: dict[str, bytes], touched: list[str]) -> bytes:
    parts = {name: orjson.Fragment(value) for name, value in values.items() if name != TRUNCATED}
    return orjson.dumps(parts | ({TRUNCATED: touched} if touched else {}))


def _shorter(value: bytes, excess: int) -> bytes | None:
    """Return the JSON of a string, shorter by `excess` bytes at least; None if none is left, or it is no string."""
    if not value.startswith(b'"') or len(value) <= excess + len('""'):
        return None
    text: str = orjson.loads(value)
    limit = len(value) - excess
    keep = truncated(text, limit - len('""'))
    while len(orjson.dumps(keep)) > limit:  # escapes are longer than the characters they stand for
        keep = keep[: len(keep) * 9 // 10]
    return orjson.dumps(keep) if keep else None


def truncate_array(texts: pa.Array, limit: int, shorten: Callable[[str, int], str] = truncated) -> tuple[pa.Array, int]:
    """Return texts of at most `limit` bytes each, and how many were longer."""
    if texts.nbytes <= limit:  # all of them together
        return texts, 0
    too_long = pc.greater(pc.binary_length(texts), limit).fill_null(False)
    count: int = pc.sum(too_long).as_py() or 0
    if not count:
        return texts, 0
    shorter = pa.array([shorten(text, limit) for text in texts.filter(too_long).to_pylist()], texts.type)
    return pc.replace_with_mask(texts, too_long, shorter), count
