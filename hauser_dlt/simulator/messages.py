"""What goes over the wire: the requests the simulator saw, and its answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived. Header names are in lower case."""

    listener: Literal["api", "storage"]
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body. Raises ValueError if it is not JSON."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to send: `length` is promised in Content-Length, and None sends the chunks as they come.

    Not `framed`, it says nothing of its length, and the end of the connection is its end.
    """

    status: int
    chunks: Iterable[bytes]
    length: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    framed: bool = True


class RefusedError(Exception):
    """A request that ends with an error answer."""

    def __init__(self, status: int, message: str, retry_after: float | str | None = None) -> None:
        """Refuse with a JSON body that says `message`."""
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after

    def answer(self) -> Answer:
        """Return the refusal as FullStory words it."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return json_answer({"code": f"http_{self.status}", "message": self.message}, self.status, headers)


def plain_answer(body: bytes, content_type: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer whose whole body is at hand."""
    return Answer(status, [body], len(body), {"Content-Type": content_type, **(headers or {})})


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer that carries JSON."""
    return plain_answer(orjson.dumps(value), JSON, status, headers)


def xml_refusal(code: str, message: str, status: int = 403) -> Answer:
    """Return an error as storage services word it."""
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return plain_answer(body.encode(), "application/xml; charset=UTF-8", status)


def parse_time(text: str) -> datetime:
    """Return the moment that RFC 3339 text names. Raises ValueError if it names none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def iso(moment: datetime) -> str:
    """Return a moment as FullStory writes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
