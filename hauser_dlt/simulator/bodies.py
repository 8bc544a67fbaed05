"""Rows as the file of an export: laid out, packed, and sent without ever holding all of it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice
from tempfile import SpooledTemporaryFile
from typing import Any, Literal

from hauser_dlt.simulator.encoding import encode

Row = dict[str, Any] | bytes
Layout = Literal["lines", "compact", "pretty"]
Packing = Literal["gzip", "members", "plain", "encoded"]

_CHUNK = 1 << 16
_ROWS_A_PIECE = 50
_FRAMES = {
    "lines": (b"[\n", b",\n", b"\n]\n"),
    "compact": (b"[", b",", b"]"),
    "pretty": (b"[\n  ", b",\n  ", b"\n]\n"),
}


def laid_out(rows: Iterable[Row], layout: Layout | None) -> Iterator[bytes]:
    """Yield the text of an export in pieces of some rows: a JSON array, or NDJSON if `layout` is None."""
    lines = (_text(row, layout) for row in rows)
    opening, between, closing = _FRAMES[layout] if layout else (b"", b"\n", b"\n")
    first = True
    while some := list(islice(lines, _ROWS_A_PIECE)):
        yield (opening if first else between) + between.join(some)
        first = False
    if layout or not first:
        yield (opening if first else b"") + closing


def packed(pieces: Iterable[bytes], packing: Packing) -> Iterator[bytes]:
    """Yield the pieces as they lie in storage: in one gzip member, in one member each, or as they are."""
    if packing == "plain":
        yield from pieces
    elif packing == "members":
        for piece in chain(pieces, [b""]):  # an empty member at the end is good gzip, too
            yield from _compressed([piece])
    else:
        yield from _compressed(pieces)


class Stored:
    """A file in storage, much of which waits on the disk: its length and MD5, and its bytes, to be read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        """Take all the chunks."""
        digest = hashlib.md5(usedforsecurity=False)
        self._file = SpooledTemporaryFile(max_size=1 << 20)  # noqa: SIM115 - its reader closes it
        for chunk in chunks:  # writelines() would move to the disk only at the end
            self._file.write(chunk)
            digest.update(chunk)
        self.length = self._file.tell()
        self.md5 = digest.hexdigest()

    def read(self, begin: int, end: int) -> Iterator[bytes]:
        """Return the bytes from `begin` to before `end`, in chunks."""
        self._file.seek(begin)
        reader = _read(self._file, end - begin)
        next(reader)
        return reader


def keeper(fields: Sequence[str]) -> Callable[[Row], Row]:
    """Return what reduces a row to the fields that a request names.

    A name keeps the key of that very name. The tokens `user_*`, `evt_*` and `page_*` keep the custom variables with
    that prefix. So custom variables from before there were prefixes (`acct_...`) come only if they are named, or if
    the request names no fields at all. Rows that are bytes already stay as they are.
    """
    prefixes = tuple(name[:-1] for name in fields if name in ("user_*", "evt_*", "page_*"))
    names = frozenset(fields)

    @cache
    def kept(key: str) -> bool:
        return key in names or key.startswith(prefixes)

    return lambda row: row if isinstance(row, bytes) else {key: row[key] for key in row if kept(key)}


def _text(row: Row, layout: Layout | None) -> bytes:
    if isinstance(row, bytes):
        return row
    if layout == "pretty":
        return encode(row, indent=True).replace(b"\n", b"\n  ")
    return encode(row)


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield one gzip member in chunks of a decent size."""
    deflate, waiting = zlib.compressobj(1, zlib.DEFLATED, 31), bytearray()
    for piece in pieces:
        waiting += deflate.compress(piece)
        if len(waiting) >= _CHUNK:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting) + deflate.flush()


def _read(file: SpooledTemporaryFile[bytes], length: int) -> Iterator[bytes]:
    """Yield an empty chunk, then the file's; once begun, it closes the file even if it is dropped."""
    with file:
        yield b""
        while length and (chunk := file.read(min(_CHUNK, length))):
            length -= len(chunk)
            yield chunk
