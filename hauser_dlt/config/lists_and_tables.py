"""Lists and tables as settings spell them: TOML has both; the environment and the command line write them as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def split_list(value: Any) -> list[Any]:
    """Return the items of a list, or those between commas."""
    if isinstance(value, str):
        return value.split(",")
    return list(value) if isinstance(value, list | tuple) else [None]


def differ_in_case_only(names: Iterable[str]) -> bool:
    """Tell whether some names differ in case only."""
    return any(count > 1 for count in Counter(name.lower() for name in names).values())


def as_table(value: Any) -> Any:
    """Return a table as it is given, or as JSON tells of it; "" is an empty one."""
    return {} if isinstance(value, str) and not value.strip() else dotted(parsed(value))


def dotted(value: Any) -> Any:
    """Return a table whose names may hold dots: TOML reads `evt_order.id_str = "text"` as tables within each other."""
    if not isinstance(value, Mapping):
        return value
    flat: dict[Any, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            flat.update({f"{key}.{name}": item for name, item in dotted(inner).items()})
        else:
            flat[key] = inner
    return flat


def as_list(value: Any) -> list[Any]:
    """Return the items of a list that may be empty."""
    value = parsed(value)
    if isinstance(value, str):
        return [item for item in value.split(",") if item.strip()] if value.strip() else []
    return split_list(value)


def parsed(value: Any) -> Any:
    """Read a table or list that stands in the environment or on the command line, as JSON; other text stays text."""
    if not isinstance(value, str) or value.strip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; a name that stands in it twice makes it no table at all."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name stands there twice")
    return dict(pairs)
