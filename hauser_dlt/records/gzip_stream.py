"""Gzip, inflated as it comes, a piece at a time."""

from collections.abc import Iterable, Iterator
from itertools import chain

from isal import isal_zlib

from hauser_dlt.errors import CorruptBundleError

PIECE = 1 << 18  # inflated bytes at a time: small enough for the cache, and a bomb cannot swell in memory
_SLICE = 1 << 16  # compressed bytes at a time: isal copies what it has not used at every call
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
                yield inflate.decompress(data, PIECE)
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
