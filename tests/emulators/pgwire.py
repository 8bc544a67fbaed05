"""PostgreSQL's wire protocol, version 3: frames and the few messages that a server between the two ends must read."""

import asyncio
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PROTOCOL_3 = 196608
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
_AUTHENTICATION_DONE = (0, 12)
"""The server's steps that the client does not answer."""


@dataclass(frozen=True, slots=True)
class Message:
    """One frame after the start-up."""

    kind: bytes
    body: bytes = b""

    def encoded(self) -> bytes:
        """Return it as it travels."""
        return self.kind + struct.pack("!I", len(self.body) + 4) + self.body

    @property
    def wants_answer(self) -> bool:
        """Whether it is a step of the authentication that the client goes on with."""
        return self.kind == b"R" and struct.unpack("!I", self.body[:4])[0] not in _AUTHENTICATION_DONE


class Stream:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def startup(self) -> tuple[int, bytes]:
        """Return the code and the body of a frame from before the start-up, which has no kind."""
        length, code = struct.unpack("!II", await self.reader.readexactly(8))
        return code, await self.reader.readexactly(length - 8)

    async def read(self) -> Message:
        """Return the next message.

        Raises:
            asyncio.IncompleteReadError: the other end has left.
        """
        kind, length = struct.unpack("!cI", await self.reader.readexactly(5))
        return Message(kind, await self.reader.readexactly(length - 4))

    async def write(self, *messages: Message) -> None:
        """Send messages."""
        self.writer.write(b"".join(message.encoded() for message in messages))
        await self.writer.drain()

    def abort(self) -> None:
        """Hang up at once, whatever is still unsent."""
        self.writer.transport.abort()


def startup(parameters: Mapping[str, str]) -> bytes:
    """Return the frame that opens a session."""
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return struct.pack("!II", len(body) + 8, PROTOCOL_3) + body


def strings(body: bytes) -> list[str]:
    """Return what stands in a body of strings that end in NUL."""
    return [part.decode() for part in body.split(b"\0")[:-1]]


def query(sql: str) -> Message:
    """Return a question of the simple protocol."""
    return Message(b"Q", sql.encode() + b"\0")


def copied(data: bytes) -> list[Message]:
    """Return what COPY FROM STDIN waits for."""
    size = 1 << 20
    return [Message(b"d", data[at : at + size]) for at in range(0, len(data), size)] + [Message(b"c")]


def parameter(name: str, value: str) -> Message:
    """Return what tells a client a parameter of the server."""
    return Message(b"S", f"{name}\0{value}\0".encode())


def ready(status: str) -> Message:
    """Return the end of an answer.

    Args:
        status: `I` outside of a transaction, `T` in one, `E` in one that failed.
    """
    return Message(b"Z", status.encode())


def notice(message: str) -> Message:
    """Return something for information."""
    return Message(b"N", _fields({"S": "INFO", "C": "00000", "M": message}))


def error(sqlstate: str, message: str, detail: str = "") -> Message:
    """Return the end of a statement that failed."""
    fields = {"S": "ERROR", "C": sqlstate, "M": message} | ({"D": detail} if detail else {})
    return Message(b"E", _fields(fields))


def fields(body: bytes) -> dict[str, str]:
    """Return the fields of an error by their letter."""
    return {part[0]: part[1:] for part in strings(body[:-1])}


def values(body: bytes) -> Iterator[str | None]:
    """Yield the values of a row, in text."""
    (count,), at = struct.unpack("!H", body[:2]), 2
    for _ in range(count):
        (length,) = struct.unpack("!i", body[at : at + 4])
        at += 4
        yield None if length < 0 else body[at : at + length].decode()
        at += max(length, 0)


def _fields(fields: Mapping[str, str]) -> bytes:
    return b"".join(f"{letter}{value}\0".encode() for letter, value in fields.items()) + b"\0"
