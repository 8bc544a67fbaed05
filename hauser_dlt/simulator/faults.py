"""Bad days on demand: what goes wrong, where, when and how often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args

import orjson

from hauser_dlt.simulator.messages import JSON, Answer, parse_time, plain_answer, xml_refusal

Kind = Literal[
    "status", "html", "redirect", "reset", "hang",  # instead of the answer, or before it
    "lost", "drip", "cut", "truncate", "corrupt", "unframed",  # what happens to a good answer
    "failed", "never", "unknown",  # how an operation goes
    "expired",  # a link that storage refuses
]  # fmt: skip
Endpoint = Literal[
    "any",
    "me",
    "segments",
    "segment",
    "create",
    "operation",
    "operations",
    "cancel",
    "results",
    "download",
    "list",
    "get",
]

_ONLY_ON: dict[str, Endpoint] = {
    "failed": "operation",
    "never": "operation",
    "unknown": "operation",
    "expired": "download",
}
_LOGIN_PAGE = b"<!DOCTYPE html><html><body><h1>Sign in to the guest network</h1></body></html>"


@dataclass
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: What goes wrong.
        on: The endpoint it happens at.
        times: How many requests it hits; None hits all of them.
        after: How many requests (that it could hit) it lets pass first.
        match: Hits only requests about the window that starts at this RFC 3339 time.
        status: The status of `status` (500), `html` (200) and `redirect` (302).
        retry_after: The Retry-After header of `status`, sent as it is.
        body: The body of `status`: bytes go out as they are, anything else as JSON. With a `status` of 200 it is what
            FullStory answers instead: an error, nothing at all, something else.
        error: The errorDetails of `failed`.
        state: The operation state of `unknown`.
        seconds: How long `hang` waits before the answer, and `drip` between two pieces.
        piece: How many bytes `drip` sends at once.
        at: The byte where `cut`, `truncate` and `unframed` stop (default: half-way), and that `corrupt` flips (default:
            in the checksum of the last gzip member). Negative counts from the end.
        resets: Whether `cut` ends the connection with a reset, instead of closing it.
        hits: How many requests it has hit.
        seen: How many requests it could have hit, those that it let pass included.
    """

    kind: Kind
    on: Endpoint
    times: int | None = 1
    after: int = 0
    match: str | None = None
    status: int | None = None
    retry_after: float | str | None = None
    body: Any = None
    error: str = "the search ran out of resources"
    state: str = "PAUSED"
    seconds: float = 1.0
    piece: int = 16
    at: int | None = None
    resets: bool = False
    hits: int = field(default=0, init=False)
    seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Refuse a fault that could never happen."""
        if self.kind not in get_args(Kind) or self.on not in get_args(Endpoint):
            raise ValueError(f"no such fault: {self.kind!r} on {self.on!r}")
        if self.on != _ONLY_ON.get(self.kind, self.on):
            raise ValueError(f"{self.kind!r} happens on {_ONLY_ON[self.kind]!r} only")

    def concerns(self, endpoint: Endpoint, window: datetime | None) -> bool:
        """Tell whether a request is of the sort this fault hits."""
        return self.on in (endpoint, "any") and (self.match is None or parse_time(self.match) == window)


class Faults:
    """The faults that are set up. The first that concerns a request, and is due, hits it; one request, one fault."""

    def __init__(self) -> None:
        """Start with a good day."""
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Fault]:
        """Yield the faults in the order in which they were added."""
        return iter(list(self._faults))

    def add(self, fault: Fault) -> Fault:
        """Set up a fault and return it, so that its `hits` can be looked at later."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def take(self, endpoint: Endpoint, window: datetime | None) -> Fault | None:
        """Return the fault that hits this request, having counted it."""
        with self._lock:
            for fault in self._faults:
                if fault.concerns(endpoint, window):
                    fault.seen += 1
                    if fault.seen > fault.after and (fault.times is None or fault.hits < fault.times):
                        fault.hits += 1
                        return fault
        return None


class ResetError(ConnectionError):
    """Ends the connection with a reset, without an answer."""


def instead(fault: Fault, other_url: str) -> Answer | None:
    """Return the answer that replaces the real one, if the fault has one. Raises ResetError for `reset`."""
    match fault.kind:
        case "status":
            return _status(fault)
        case "html":
            return plain_answer(_LOGIN_PAGE, "text/html; charset=utf-8", fault.status or 200)
        case "redirect":
            return plain_answer(b"", "text/plain", fault.status or 302, {"Location": other_url})
        case "expired":
            return xml_refusal("ExpiredToken", "Invalid argument: the link has expired.")
        case "reset":
            raise ResetError
        case _:
            return None


def _status(fault: Fault) -> Answer:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    status = fault.status or 500
    body = {"code": f"http_{status}", "message": "simulated fault"} if fault.body is None else fault.body
    return plain_answer(body if isinstance(body, bytes) else orjson.dumps(body), JSON, status, headers)


def spoil(fault: Fault, answer: Answer, wait: Callable[[float], object]) -> Answer:
    """Return the answer as it goes out when `fault` meddles with its body; `wait` sleeps."""
    match fault.kind:
        case "lost":
            raise ConnectionAbortedError  # what was asked for has been done
        case "drip":
            return replace(answer, chunks=_drip(answer, fault, wait))
        case "cut":
            whole = b"".join(answer.chunks)
            return replace(answer, chunks=_cut(whole[: _place(fault, whole)], resets=fault.resets))
        case "unframed":
            whole = b"".join(answer.chunks)
            return replace(answer, chunks=[whole[: _place(fault, whole)]], length=None, framed=False)
        case "truncate":
            whole = b"".join(answer.chunks)
            short = whole[: _place(fault, whole)]
            return replace(answer, chunks=[short], length=len(short))
        case "corrupt":
            whole = _flip(b"".join(answer.chunks), -8 if fault.at is None else fault.at)
            return replace(answer, chunks=[whole], length=len(whole))
        case _:
            return answer


def _place(fault: Fault, whole: bytes) -> int:
    return len(whole) // 2 if fault.at is None else fault.at


def _flip(whole: bytes, at: int) -> bytes:
    flipped = bytearray(whole)
    flipped[at] ^= 0xFF
    return bytes(flipped)


def _cut(sent: bytes, *, resets: bool) -> Iterator[bytes]:
    yield sent
    raise ResetError if resets else ConnectionAbortedError


def _drip(answer: Answer, fault: Fault, wait: Callable[[float], object]) -> Iterator[bytes]:
    for chunk in answer.chunks:
        for start in range(0, len(chunk), fault.piece):
            yield chunk[start : start + fault.piece]
            wait(fault.seconds)
