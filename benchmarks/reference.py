"""Events read slowly and exactly, by the standard library alone: what the files must hold."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from hauser_dlt.fields import CUSTOM_VARS, KNOWN


class _Number(str):
    """A JSON number as it is written."""

    __slots__ = ()


def _read(text: str) -> dict[str, Any]:
    return json.loads(text, parse_int=_Number, parse_float=_Number)  # type: ignore[no-any-return]


def rows(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the events as they must stand in the table, CustomVars read as JSON with its numbers as text."""
    for line in lines:
        event = _read(line.decode())
        columns = {name: _value(kind, event.pop(name, None)) for name, kind in KNOWN.items()}
        yield columns | {CUSTOM_VARS: event}


def as_found(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the table in the same form."""
    return {name: row[name] for name in KNOWN} | {CUSTOM_VARS: _read(row[CUSTOM_VARS])}


def _value(kind: str, value: Any) -> Any:
    if value is None or kind == "text":
        return value
    if kind == "timestamp":
        return datetime.fromisoformat(value)
    return float(value) if kind == "float" else int(value)
