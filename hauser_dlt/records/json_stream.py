"""Bundles to records: bytes -> gunzip -> records. Pure generators in bounded memory; no I/O.

A bundle is an array of JSON objects in any layout, or one object a line; gzipped or not. A byte-order mark of UTF-8
is skipped. NUL, which JSON has as an escape, is left out: no warehouse takes it in text, nor do their JSON functions
(https://www.postgresql.org/docs/current/datatype-json.html). Whatever is cut short, not closed or not JSON raises
CorruptBundleError, so that a window is never taken for whole by mistake.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NoReturn

import msgspec
import orjson

from hauser_dlt.errors import CorruptBundleError
from hauser_dlt.records.byte_stream import MARK, ByteStream, refuse_endless
from hauser_dlt.records.gzip_stream import PIECE
from hauser_dlt.records.json_text import NUL, escapes_nul, members, record_end, repair, without_nul

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

_BETWEEN_RECORDS = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{")


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
    stream = ByteStream(chunks)
    stream.skip_mark()
    match stream.peek():
        case b"":
            if in_array:
                raise CorruptBundleError("the bundle holds nothing at all, where an array was promised")
        case b"[":
            stream.start += 1
            yield from _array(stream, parse)
        case b"{":
            yield from Lines(stream.rest(), parse=parse)
        case _:
            _refuse(0, stream.shown(), "neither an array nor an object stands at its beginning")


def _refuse(number: int, raw: bytes, reason: object) -> NoReturn:
    """Raise what is wrong with a record; of it, which users have filled, no more is told than how it begins."""
    begins = f" (it begins with {raw[:1]!r})" if raw else ""
    raise CorruptBundleError(f"the bundle is not JSON at record {number + 1}{begins}: {reason}")


class Lines(Iterable[Record]):
    """The records of a bundle with one object a line, or of a part of it; they can be taken once.

    Args:
        before: how many records the bundle has before these.

    Attributes:
        number: how many have been found so far, and stand before.
    """

    def __init__(self, chunks: Iterable[bytes], before: int = 0, parse: _Parser = _parse) -> None:
        self.number = before
        self._chunks = chunks
        self._parse = parse

    def __iter__(self) -> Iterator[Record]:
        """Yield the records.

        Raises:
            CorruptBundleError: as for `records`.
        """
        parse = self._parse
        for lines, plain in _whole_lines(self._chunks):
            raws = list(filter(None, (line.strip(b" \t\r") for line in lines)))
            lines.clear()
            self.number += len(raws)
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
                for index, raw in enumerate(raws, self.number - len(raws)):
                    if text := raw.removeprefix(MARK):  # bundles may have been put one behind the other
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
            refuse_endless(held)
        else:
            begun.append(chunk[:end])
            text = b"".join(begun)
            lines = text.split(b"\n")
            plain = b"\\" not in text or NUL not in text  # one byte is looked for in a fiftieth of the time
            begun = [chunk[end + 1 :]]
            held = 0
            del text  # which may be of 50 MB
            yield lines, plain


def _array(stream: ByteStream, parse: _Parser) -> Iterator[Record]:
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


def _next_record(stream: ByteStream, number: int, parse: _Parser) -> Record:
    cut = _BETWEEN_RECORDS.search(stream.buffer, stream.start)
    if cut:
        try:
            raw = bytes(stream.buffer[stream.start : cut.start() + 1])
            row = parse(raw)
        except _REFUSED:
            pass
        else:
            stream.start = cut.start() + 1
            return _record(raw, number, parse) if NUL in raw else (raw, row)
    while (end := record_end(stream.buffer, stream.start)) is None:
        # as much again: a record of any size is scanned a bounded number of times
        if not stream.more(max(len(stream.buffer) - stream.start, PIECE)):
            _refuse(number, stream.shown(), "the bundle ends inside a record")
    return _record(stream.take(end), number, parse)


def _record(raw: bytes, number: int, parse: _Parser) -> Record:
    """Return a record that has got an oddity, or stands beside one that has."""
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raw = repair(raw)
        row = _parse_oddity(raw, number, exc)
    if not isinstance(row, dict):
        _refuse(number, raw, "a record is an object")
    if escapes_nul(raw):
        return _record(without_nul(raw), number, parse)
    if parse is _parse and (floats := [key for key, value in row.items() if type(value) is float]):
        texts = members(raw)
        row |= {key: msgspec.Raw(texts[key]) for key in floats}
    return raw, row


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
