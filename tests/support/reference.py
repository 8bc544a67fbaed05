"""JSON read and written slowly and exactly, with numbers as they are spelled: what the decoder is compared with."""

import json


class Number(str):
    """A JSON number as it is written."""

    __slots__ = ()


class Renamed(str):
    """A name that had a NUL: it is written anew, so without escapes, whatever the text around it has."""

    __slots__ = ()


def read(text):
    """JSON with its numbers as they are written."""
    return json.loads(text, parse_int=Number, parse_float=Number)


def write(value, indent=None, level=0, *, ascii_only=False, colon=": "):
    """Compact, or a line per item; objects may be tuples of pairs, so that keys can come twice."""
    line = "" if indent is None else "\n" + " " * indent * (level + 1)
    last = "" if indent is None else "\n" + " " * indent * level
    between = ":" if indent is None else colon

    def inner(item):
        return write(item, indent, level + 1, ascii_only=ascii_only, colon=colon)

    if isinstance(value, Number):
        return value
    if isinstance(value, list) and value:
        return f"[{','.join(line + inner(item) for item in value)}{last}]"
    if isinstance(value, dict | tuple):
        pairs = value.items() if isinstance(value, dict) else value
        return f"{{{','.join(line + inner(key) + between + inner(item) for key, item in pairs)}{last}}}"
    return json.dumps(value, ensure_ascii=ascii_only and not isinstance(value, Renamed))


def without_nul(value):
    """A value as JSON functions can read it; of two names that are equal then, one has U+FFFD."""
    if isinstance(value, str):
        return value if isinstance(value, Number) else value.replace("\0", "")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, item in value.items():
        clean, length = name.replace("\0", ""), 0
        while "\0" in name and (clean in kept or clean in value):
            length += 1
            clean = name.replace("\0", "\ufffd" * length)
        kept[Renamed(clean) if "\0" in name else clean] = without_nul(item)
    return kept
