"""Bundles to records: bytes -> gunzip -> records. Pure generators in bounded memory; no I/O.

A bundle is an array of JSON objects in any layout, or one object a line; gzipped or not. A byte-order mark of UTF-8
is skipped. NUL, which JSON has as an escape, is left out: no warehouse takes it in text, nor do their JSON functions
(https://www.postgresql.org/docs/current/datatype-json.html). Whatever is cut short, not closed or not JSON raises
CorruptBundleError, so that a window is never taken for whole by mistake.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count
from operator import itemgetter
from typing import Any, NoReturn

import msgspec
import orjson
from isal import isal_zlib

from hauser_dlt.errors import CorruptBundleError

Record = tuple[bytes, dict[str, Any]]
_Parser = Callable[[bytes], Any]


class Skimmed(msgspec.Struct):
    """A JSON object of which no more is kept than what each row of FullStory's has."""

    EventStart: Any = None
    IndvId: Any = None


_parse = msgspec.json.Decoder(float_hook=msgspec.Raw).decode
_skim = msgspec.json.Decoder(Skimmed).decode
_OBJECTS = ({dict}, {Skimmed})
_REFUSED = (ValueError, RecursionError, msgspec.MsgspecError)

LONGEST_RECORD = 1 << 26
"""Bytes that a record may have at the least, before it is taken for one without end; no warehouse takes such a row."""

_PIECE = 1 << 18  # inflated bytes at a time: small enough for the cache, and a bomb cannot swell in memory
_SLICE = 1 << 16  # compressed bytes at a time: isal copies what it has not used at every call
_WHITE = re.compile(rb"[ \t\r\n]*")
_MARK = codecs.BOM_UTF8


_GZIP = b"\x1f\x8b"


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Inflate a gzip stream, one member after another; a stream that is not gzip passes through.

    Raises:
        CorruptBundleError: the stream is damaged, or ends inside a member.
    """
    stream = iter(chunks)
    head = b""
    while len(head) < 2 and (chunk := next(stream, None)) is not None:
        head += chunk
    if head[:2] != _GZIP:
        yield head
        yield from stream
        return
    yield from _inflate(head, stream)


def _inflate(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    inflate = isal_zlib.decompressobj(wbits=31)
    follows = b""  # the first byte, perhaps, of one more member
    try:
        for piece in _sliced(chain((head,), rest)):
            data = follows + piece
            while data:
                if inflate.eof:
                    data = data.lstrip(b"\0")  # gzip may be padded with zeros between and after its members
                    if data in (b"", follows := data[:1]):
                        break
                    _refuse_no_member(data)
                    follows = b""
                    inflate = isal_zlib.decompressobj(wbits=31)
                yield inflate.decompress(data, _PIECE)
                data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    except isal_zlib.error as exc:  # type: ignore[misc]  # a class, whatever its stub says
        raise CorruptBundleError(f"the bundle's gzip is damaged: {exc}") from exc
    if not inflate.eof:
        raise CorruptBundleError("the bundle's gzip stream ends early")
    if follows:
        _refuse_no_member(follows)


def _refuse_no_member(data: bytes) -> None:
    if not data.startswith(_GZIP):
        begins = f"they begin with {data[:1]!r}"  # no more: users may have filled what follows
        raise CorruptBundleError(f"bytes follow the end of the bundle's gzip that are no gzip ({begins})")


def _sliced(chunks: Iterable[bytes]) -> Iterator[bytes]:
    return (chunk[place : place + _SLICE] for chunk in chunks for place in range(0, len(chunk), _SLICE))


_BETWEEN_RECORDS = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{")
_STRING = rb'"(?>[^"\\]+|\\.)*+"'
_STRUCTURE = re.compile(_STRING + rb'|[{}\[\]]|"', re.DOTALL)


class _Stream:
    """The bytes of a bundle that are not yet used up, as a buffer that can be asked for more."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.buffer = bytearray()
        self.start = 0

    def more(self, at_least: int = 1) -> bool:
        """Append at least so many bytes, or all that are left; False if none are.

        Raises:
            CorruptBundleError: all that is held is of one record, and enough to fill the memory.
        """
        del self.buffer[: self.start]
        self.start = 0
        held = len(self.buffer)
        _refuse_endless(held)
        while len(self.buffer) < held + at_least and (chunk := next(self._chunks, None)) is not None:
            self.buffer += chunk
        return len(self.buffer) > held

    def skip_mark(self) -> None:
        """Skip a byte-order mark at the beginning.

        Raises:
            CorruptBundleError: it is that of another encoding.
        """
        while len(self.buffer) < len(_MARK) and self.more():
            pass
        if self.buffer.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise CorruptBundleError("the bundle is text in UTF-16 or UTF-32, by its byte-order mark, and not in UTF-8")
        if self.buffer.startswith(_MARK):
            self.start = len(_MARK)

    def peek(self) -> bytes:
        """Skip white space; return the next byte, or b"" at the end."""
        while (begin := _end(_WHITE, self.buffer, self.start)) == len(self.buffer):
            self.start = begin
            if not self.more():
                return b""
        self.start = begin
        return self.shown(1)

    def shown(self, size: int = 40) -> bytes:
        """Return the next bytes, for a look or a message."""
        return bytes(self.buffer[self.start : self.start + size])

    def take(self, end: int) -> bytes:
        """Use up the bytes before `end`, and return them; there may be 50 MB of them, so nothing else keeps them."""
        with memoryview(self.buffer) as view:
            taken = bytes(view[self.start : end])
        del self.buffer[:end]
        self.start = 0
        return taken

    def rest(self) -> Iterator[bytes]:
        """Yield all bytes that are left, as they come."""
        yield self.take(len(self.buffer))
        yield from self._chunks


def records(chunks: Iterable[bytes], *, in_array: bool = False) -> Iterator[Record]:
    """Yield each record of a bundle, as its text and as a dict (the last of equal keys wins).

    The text is to the byte that of the bundle, but that U+FFFD stands for what no UTF-8 text can hold, and that NUL
    is left out, in names, too: of two that are equal then, the one that had it gets U+FFFD in its place.

    Numbers with a point or an exponent are no floats but `msgspec.Raw`, text that is written as it was read. Only
    inside lists and objects of records with an oddity may floats be left.

    Args:
        in_array: an array is promised, so nothing at all is no bundle.

    Raises:
        CorruptBundleError: the bundle is not JSON, or ends before it is closed.
    """
    return _records(chunks, _parse, in_array)


def skimmed(chunks: Iterable[bytes], *, in_array: bool = False) -> Iterator[tuple[bytes, Skimmed | dict[str, Any]]]:
    """Yield each record's text and, unless it has an oddity, no more than what each row of FullStory's has.

    Raises:
        CorruptBundleError: as for `records`.
    """
    return _records(chunks, _skim, in_array)


def _records(chunks: Iterable[bytes], parse: _Parser, in_array: bool) -> Iterator[tuple[bytes, Any]]:
    stream = _Stream(chunks)
    stream.skip_mark()
    match stream.peek():
        case b"":
            if in_array:
                raise CorruptBundleError("the bundle holds nothing at all, where an array was promised")
        case b"[":
            stream.start += 1
            yield from _array(stream, parse)
        case b"{":
            yield from _lines(stream, parse)
        case _:
            _refuse(0, stream.shown(), "neither an array nor an object stands at its beginning")


def _refuse_endless(held: int) -> None:
    if held > LONGEST_RECORD:
        raise CorruptBundleError(f"the bundle has a record of more than {LONGEST_RECORD >> 20} MiB")


def _refuse(number: int, raw: bytes, reason: object) -> NoReturn:
    """Raise what is wrong with a record; of it, which users have filled, no more is told than how it begins."""
    begins = f" (it begins with {raw[:1]!r})" if raw else ""
    raise CorruptBundleError(f"the bundle is not JSON at record {number + 1}{begins}: {reason}")


def _lines(stream: _Stream, parse: _Parser) -> Iterator[Record]:
    """Yield the records of a bundle with one object a line."""
    number = 0
    for lines, plain in _whole_lines(stream.rest()):
        raws = list(filter(None, (line.strip(b" \t\r") for line in lines)))
        lines.clear()
        number += len(raws)
        try:
            rows = list(map(parse, raws)) if plain else []
        except _REFUSED:
            rows = []
        if {*map(type, rows)} in _OBJECTS:
            raws.reverse()
            rows.reverse()
            while raws:  # nothing is held on to that its reader is done with: there may be a record of 50 MB
                yield raws.pop(), rows.pop()
        else:
            for index, raw in enumerate(raws, number - len(raws)):
                if text := raw.removeprefix(_MARK):  # bundles may have been put one behind the other
                    yield _record(text, index, parse)


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[tuple[list[bytes], bool]]:
    """Yield the lines that each chunk completes, as many as a processor's caches can hold; and if no NUL is in them."""
    begun: list[bytes] = []
    held = 0
    for chunk in chain(chunks, (b"\n",)):  # the last line may have no end
        end = chunk.rfind(b"\n")
        if end < 0:
            begun.append(chunk)
            held += len(chunk)
            _refuse_endless(held)
        else:
            begun.append(chunk[:end])
            text = b"".join(begun)
            lines, plain = text.split(b"\n"), _NUL not in text
            begun = [chunk[end + 1 :]]
            held = 0
            del text  # which may be of 50 MB
            yield lines, plain


def _array(stream: _Stream, parse: _Parser) -> Iterator[Record]:
    """Yield the records of an array, however it is laid out.

    Records are cut where one object seems to end and the next to begin. Where that is inside a record (a list
    of objects, or text that looks like it), the piece is not JSON, and the true end is looked for.
    """
    number = 0
    if stream.peek() == b"]":
        stream.start += 1
    else:
        while True:
            if stream.peek() != b"{":
                _refuse(number, stream.shown(), "no object begins here")
            yield _next_record(stream, number, parse)
            number += 1
            follows = stream.peek()
            stream.start += 1
            if follows == b"]":
                break
            if follows != b",":
                _refuse(number, follows, "the array is not closed" if not follows else "no comma between records")
    if stream.peek():
        _refuse(number, stream.shown(), "something follows the array's end")


def _next_record(stream: _Stream, number: int, parse: _Parser) -> Record:
    cut = _BETWEEN_RECORDS.search(stream.buffer, stream.start)
    if cut:
        try:
            raw = bytes(stream.buffer[stream.start : cut.start() + 1])
            row = parse(raw)
        except _REFUSED:
            pass
        else:
            stream.start = cut.start() + 1
            return _record(raw, number, parse) if _NUL in raw else (raw, row)
    while (end := _record_end(stream.buffer, stream.start)) is None:
        # as much again: a record of any size is scanned a bounded number of times
        if not stream.more(max(len(stream.buffer) - stream.start, _PIECE)):
            _refuse(number, stream.shown(), "the bundle ends inside a record")
    return _record(stream.take(end), number, parse)


def _record_end(buffer: bytes | bytearray, start: int) -> int | None:
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


def _record(raw: bytes, number: int, parse: _Parser) -> Record:
    """Return a record that has got an oddity, or stands beside one that has."""
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raw = repair(raw)
        row = _parse_oddity(raw, number, exc)
    if not isinstance(row, dict):
        _refuse(number, raw, "a record is an object")
    if _NUL in raw and any(map(itemgetter(1), _BACKSLASHED.finditer(raw))):
        return _record(_without_nul(raw), number, parse)
    if parse is _parse and (floats := [key for key, value in row.items() if type(value) is float]):
        texts = members(raw)
        row |= {key: msgspec.Raw(texts[key]) for key in floats}
    return raw, row


_NUL = rb"\u0000"
_BACKSLASHED = re.compile(rb"\\(?:(u0000)|.)", re.DOTALL)


_NAME_OR_TEXT = re.compile(rb"(" + _STRING + rb")(\s*:)?|[{}]", re.DOTALL)


def _without_nul(text: bytes) -> bytes:
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


def _parse_oddity(raw: bytes, number: int, reason: Exception) -> Any:
    """Parse a record that is JSON, but had text that is not Unicode or has numbers beyond any double."""

    def no_number(name: str) -> NoReturn:
        _refuse(number, raw, f"{name} is not JSON")

    try:
        return json.loads(raw.decode(), parse_int=_integer, parse_constant=no_number)
    except (ValueError, RecursionError):
        _refuse(number, raw, reason)


def _integer(text: str) -> int | float:
    """Read an integer as orjson does: as a float where 64 bits do not hold it."""
    if len(text) <= len(str(1 << 64)) and -(1 << 63) <= (number := int(text)) < 1 << 64:
        return number
    return float(text)


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
            end = _record_end(raw, place) or len(raw)
            text = _SPACE.sub(rb"\1", raw[place:end])
            place = _end(_WHITE, raw, end)
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


def _end(pattern: re.Pattern[bytes], text: bytes | bytearray, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start
