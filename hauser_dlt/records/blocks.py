"""Bundles with one object a line, in blocks of whole lines. Pure; memory is bounded by a block and the longest line."""

from collections.abc import Generator, Iterable, Iterator

from hauser_dlt.records.byte_stream import ByteStream, refuse_endless
from hauser_dlt.records.slices import BATCH_BYTES

Block = list[bytes]
"""The bytes of some lines, in pieces as they came."""


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a bundle from its first record on; nothing if it has none, or does not begin with an object.

    Raises:
        CorruptBundleError: it is text in another encoding.
    """
    stream = ByteStream(chunks)
    stream.skip_mark()
    if stream.peek() == b"{":
        yield from stream.rest()


def after(pieces: Iterable[bytes], place: int) -> Iterator[bytes]:
    """Yield what follows so many bytes."""
    for piece in pieces:
        if place < len(piece):
            yield piece[place:]
        place = max(place - len(piece), 0)


def blocks(pieces: Iterable[bytes], rows: int, size: int = BATCH_BYTES) -> Generator[Block, None, None]:
    """Yield lines as `Batcher` makes batches of them: as many as are a batch, blank ones counted.

    Raises:
        CorruptBundleError: a line has no end, and is enough to fill the memory.
    """
    block: Block = []
    lines = length = begun = 0  # length without the lines' ends; begun is that of the last line so far
    for piece in pieces:
        number = piece.count(b"\n")
        if lines + number < rows and length + len(piece) < size:
            block.append(piece)
            lines, length = lines + number, length + len(piece) - number
            begun = len(piece) - piece.rfind(b"\n") - 1 if number else begun + len(piece)
            continue
        start = end = 0
        while (found := piece.find(b"\n", end)) >= 0:
            lines, length, begun, end = lines + 1, length + found - end, 0, found + 1
            if lines == rows or length >= size:
                yield [*block, piece[start:end]]
                block, lines, length, start = [], 0, 0, end
        if end < len(piece):
            length, begun = length + len(piece) - end, begun + len(piece) - end
        if start < len(piece):
            block.append(piece[start:])
        refuse_endless(begun)
    if block:
        yield block
