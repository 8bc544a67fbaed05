"""The text of JSON, to the byte: where an object ends, what its members are, and what no warehouse takes of it."""

import re
from itertools import count

import orjson

WHITE = re.compile(rb"[ \t\r\n]*")
_STRING = rb'"(?>[^"\\]+|\\.)*+"'
_STRUCTURE = re.compile(_STRING + rb'|[{}\[\]]|"', re.DOTALL)


def end_of(pattern: re.Pattern[bytes], text: bytes | bytearray, start: int) -> int:
    """Return where a pattern ends that stands at `start`; `start` itself if it does not stand there."""
    match = pattern.match(text, start)
    return match.end() if match else start


def record_end(buffer: bytes | bytearray, start: int) -> int | None:
    """Return where the object that begins at `start` ends, or None if the buffer ends before it."""
    depth = 0
    for token in _STRUCTURE.finditer(buffer, start):
        mark = buffer[token.start()]
        if mark in b"{[":
            depth += 1
        elif mark in b"}]":
            depth -= 1
            if depth == 0:
                return token.end()
        elif token.end() - token.start() == 1:  # a quote that no other one answers yet
            return None
    return None


NUL = rb"\u0000"
_BACKSLASHED = re.compile(rb"\\(?:(u0000)|.)", re.DOTALL)
_NAME_OR_TEXT = re.compile(rb"(" + _STRING + rb")(\s*:)?|[{}]", re.DOTALL)


def escapes_nul(text: bytes) -> bool:
    """Tell whether a record has NUL in a text or name; the letters u0000 may stand there without being one."""
    return NUL in text and any(match[1] for match in _BACKSLASHED.finditer(text))


def without_nul(text: bytes) -> bytes:
    """Return a record's text without NUL; the names of one object stay different, however deep it is."""
    parts: list[bytes] = []
    objects: list[_Names] = []
    end = 0
    for token in _NAME_OR_TEXT.finditer(text):
        string, colon = token.groups()
        parts.append(text[end : token.start()])
        end = token.end()
        if colon:
            objects[-1].add(orjson.loads(string), len(parts))
            parts += string, colon
        elif string:
            parts.append(_BACKSLASHED.sub(lambda match: b"" if match[1] else match[0], string))
        else:
            parts.append(token[0])
            if token[0] == b"{":
                objects.append(_Names())
            else:
                objects.pop().put(parts)
    return b"".join(parts)


class _Names:
    """The names of one object: those without NUL, and where those with it stand."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._places: dict[str, list[int]] = {}

    def add(self, name: str, place: int) -> None:
        """Note a name."""
        if "\0" in name:
            self._places.setdefault(name, []).append(place)
        else:
            self._taken.add(name)

    def put(self, parts: list[bytes]) -> None:
        """Write the names that had NUL without it."""
        for name, places in self._places.items():
            self._taken.add(other := _unlike(self._taken, name))
            for place in places:
                parts[place] = orjson.dumps(other)


def _unlike(taken: set[str], name: str) -> str:
    others = (name.replace("\0", "\ufffd" * length) for length in count())
    return next(other for other in others if other not in taken)


_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL)


def repair(raw: bytes) -> bytes:
    """Replace what no UTF-8 text can hold, invalid bytes and lone surrogates, by U+FFFD."""
    text = raw.decode("utf-8", "replace")
    return _ESCAPE.sub(lambda match: "\\ufffd" if match[1] else match[0], text).encode()


_VALUE = rb"\s*(" + _STRING + rb"|[^\[{,}\s]*)\s*"  # nothing, where a list or an object begins
_SCALAR = re.compile(_VALUE, re.DOTALL)
_MEMBER = re.compile(rb"[{,]\s*(" + _STRING + rb")\s*:" + _VALUE, re.DOTALL)
_SPACE = re.compile(rb"(" + _STRING + rb")|\s+", re.DOTALL)
_SPACE_AFTER_KEY = re.compile(rb'"\s+:')


def members(raw: bytes) -> dict[str, bytes]:
    """Return the text of each value of one JSON object: to the byte, but without white space in lists and objects.

    Args:
        raw: a record as `records` yields it, so its syntax is known to be right.
    """
    values: dict[str, bytes] = {}
    place = 0
    while member := _MEMBER.match(raw, place):
        key, text = member.groups()
        place = member.end()
        if not text:
            end = record_end(raw, place) or len(raw)
            text = _SPACE.sub(rb"\1", raw[place:end])
            place = end_of(WHITE, raw, end)
        values[orjson.loads(key)] = text
    return values


def is_flat(raw: bytes, keys: int) -> bool:
    """Tell whether each `":` in a record ends one of its keys: none is inside another value, none comes twice.

    Args:
        raw: a record as `records` yields it.
        keys: how many different keys it has.
    """
    return raw.count(b'":') == keys and b'\\"' not in raw and not _SPACE_AFTER_KEY.search(raw)


def member(raw: bytes, key: str) -> bytes | None:
    """Return the text of one number or string of a flat record, or None where a closer look is needed."""
    written = orjson.dumps(key) + b":"
    place = raw.find(written)
    scalar = _SCALAR.match(raw, place + len(written)) if place >= 0 else None
    return (scalar and scalar[1]) or None
