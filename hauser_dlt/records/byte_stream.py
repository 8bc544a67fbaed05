"""The bytes of a bundle as a buffer that can be asked for more. Pure; memory is bounded by the longest record."""

import codecs
from collections.abc import Iterable, Iterator

from hauser_dlt.errors import CorruptBundleError
from hauser_dlt.records.json_text import WHITE, end_of

MARK = codecs.BOM_UTF8

LONGEST_RECORD = 1 << 26
"""Bytes that a record may have at the least, before it is taken for one without end; no warehouse takes such a row."""


class ByteStream:
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
        refuse_endless(held)
        while len(self.buffer) < held + at_least and (chunk := next(self._chunks, None)) is not None:
            self.buffer += chunk
        return len(self.buffer) > held

    def skip_mark(self) -> None:
        """Skip a byte-order mark at the beginning.

        Raises:
            CorruptBundleError: it is that of another encoding.
        """
        while len(self.buffer) < len(MARK) and self.more():
            pass
        if self.buffer.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise CorruptBundleError("the bundle is text in UTF-16 or UTF-32, by its byte-order mark, and not in UTF-8")
        if self.buffer.startswith(MARK):
            self.start = len(MARK)

    def peek(self) -> bytes:
        """Skip white space; return the next byte, or b"" at the end."""
        while (begin := end_of(WHITE, self.buffer, self.start)) == len(self.buffer):
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


def refuse_endless(held: int) -> None:
    """Refuse a record of which so many bytes have come without its end.

    Raises:
        CorruptBundleError: it would fill the memory.
    """
    if held > LONGEST_RECORD:
        raise CorruptBundleError(f"the bundle has a record of more than {LONGEST_RECORD >> 20} MiB")
