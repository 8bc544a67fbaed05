"""Events as JSON text, with numbers spelled exactly as they are meant to arrive."""

from __future__ import annotations

from typing import Any

import orjson


class RawNumber(str):
    """A number whose text goes out as it is: `19.90`, or an integer of 25 digits."""

    __slots__ = ()


def encode(event: dict[str, Any], *, indent: bool = False) -> bytes:
    """Return the JSON of one event, compact unless `indent` asks for a line per field."""
    option = orjson.OPT_PASSTHROUGH_SUBCLASS | (orjson.OPT_INDENT_2 if indent else 0)
    return orjson.dumps(event, default=_raw, option=option)


def _raw(value: object) -> orjson.Fragment:
    if isinstance(value, RawNumber):
        return orjson.Fragment(str(value))
    raise TypeError(f"no JSON for {type(value).__name__}")
