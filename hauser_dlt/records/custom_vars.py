"""The custom variables of rows, each row's as one JSON object: what would be altered stands there as it was written."""

import re
from collections.abc import Sequence
from types import NoneType
from typing import Any

import msgspec
import pyarrow as pa

_MINUS_ZERO = re.compile(rb"[:,\[]\s*-0\s*[,}\]]")
_KEPT = {str, bool, NoneType, msgspec.Raw}
_write = msgspec.json.Encoder().encode


def altered(variables: Sequence[dict[str, Any]], raws: Sequence[bytes]) -> list[tuple[int, str]]:
    """Return the row and the name of each value that would not be written as it stands in its row's record."""
    return [
        (index, name)
        for index, row in enumerate(variables)
        for name, value in row.items()
        if (kind := type(value)) not in _KEPT and (kind is not int or not value) and not _is_kept(value, raws[index])
    ]


def _is_kept(value: Any, raw: bytes) -> bool:
    kind = type(value)
    if kind is int:
        return value != 0 or not _MINUS_ZERO.search(raw)
    return kind in _KEPT or (kind is list and all(type(item) is not list and _is_kept(item, raw) for item in value))


def as_json(variables: Sequence[dict[str, Any]]) -> pa.Array:
    """Return a JSON object for each row."""
    return pa.array(list(map(_write, variables)), pa.string())
