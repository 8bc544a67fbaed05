"""Values through pipes: a pickle, and beside it, not copied into it, the buffers that it has."""

import pickle
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct("<Q")


def send(stream: BinaryIO, value: Any) -> None:
    """Write a value; what it has in a `pickle.PickleBuffer` arrives as bytes."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    lengths = [len(views), len(head), *(view.nbytes for view in views)]
    stream.write(b"".join(map(_LENGTH.pack, lengths)))
    stream.write(head)
    stream.writelines(views)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read a value.

    Raises:
        EOFError: the other end is closed.
    """
    number, head_length = (_length(stream) for _ in range(2))
    lengths = [_length(stream) for _ in range(number)]
    head = _exactly(stream, head_length)
    buffers = [_exactly(stream, length) for length in lengths]
    return pickle.loads(head, buffers=buffers)  # noqa: S301 - of a process that is a parent or child of this one


def _length(stream: BinaryIO) -> int:
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return int(length)


def _exactly(stream: BinaryIO, length: int) -> bytes:
    found = stream.read(length)
    if len(found) < length:
        raise EOFError
    return found
