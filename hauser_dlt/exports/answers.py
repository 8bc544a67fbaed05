"""What comes instead of what was asked for: nothing, a web page, an error with status 200. No network.

FullStory words an error as `{"code", "message"}` (its SDK, `client.ts`), and has been seen to send `{"error": ...}`
with status 200 (`segment-export.ts` declares it for the call that creates an export). Its storage words errors as XML.
"""

import json
import re
import zlib
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Any

from hauser_dlt.errors import CorruptBundleError
from hauser_dlt.records.gzip_stream import gunzip

_HEAD = 1 << 16  # bytes of a file's text: an error is shorter
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_WORDING = ("message", "error", "errorDetails", "error_description", "detail", "code")
_KEYS_OF_ROWS = {"eventstart", "indvid"}
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_IN_XML = re.compile(rb"<(?:Code|Message)>([^<]*)<")
_ACCESS = re.compile(
    r"unauthori[sz]ed|unauthenticated|authenticat|forbidden|permission|access denied|(?:api|invalid) key|\b40[13]\b",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"rate.?limit|too many|quota|unavailable|overload|try again|timed? ?out|internal|\b(?:408|429|50\d)\b",
    re.IGNORECASE,
)


class Kind(Enum):
    """What came instead."""

    NOTHING = auto()
    PAGE = auto()
    XML = auto()
    REFUSED = auto()  # an error that does not say to come again, nor that the key is the matter
    NO_ACCESS = auto()
    LATER = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Instead:
    """What came instead, and what it says, as it says it: that may be long, and may show a secret."""

    kind: Kind
    said: object = ""


def parsed(body: bytes, promised: str, *, or_none: bool = False) -> dict[str, Any] | Instead:
    """Return the object that the body of an answer is.

    Args:
        promised: keys, of which it must have one, in whatever case and with whatever value; "" takes any object.
        or_none: whether an object without any key is good, too: JSON made of protocol buffers leaves out empty lists.
    """
    text = _text(body)
    if not text:
        return Instead(Kind.NOTHING)
    if text.startswith(b"<"):
        return _markup(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Instead(Kind.OTHER)
    if not isinstance(value, dict):
        return Instead(Kind.OTHER)
    wanted = set(promised.lower().split())
    kept = not wanted or wanted.intersection(map(str.lower, value)) or (or_none and not value)
    if value.get("error") or not kept:
        said = _wording(value)
        return _refusal(said) if said else Instead(Kind.OTHER)
    return value


def instead_of_rows(path: Path, *, array: bool) -> Instead | None:
    """Return what a file holds instead of rows; None if it holds rows, or is damaged, which its decoder will tell.

    Args:
        array: whether one JSON array was promised, not an object a line. Of the latter, none are a good file.
    """
    try:
        text = _head(path)
    except CorruptBundleError:
        return None
    if not text:
        return Instead(Kind.NOTHING) if array or not _is_packed(path) else None
    if text.startswith(b"<"):
        return _markup(text)
    if text.startswith(b"{"):
        return _error(text, only_row=not array) or (Instead(Kind.OTHER) if array else None)
    return None if text.startswith(b"[") else Instead(Kind.OTHER)


def wording(body: bytes) -> object:
    """Return what an answer says of an error; "" if that cannot be told."""
    try:
        value = json.loads(_text(body))
    except (ValueError, RecursionError):
        return ""
    return _wording(value) if isinstance(value, dict) else ""


def _wording(value: dict[str, Any]) -> object:
    """Return what an object says of an error, which may have an object of its own."""
    said = _first(value)
    return (isinstance(said, dict) and _first(said)) or said


def _first(value: dict[str, Any]) -> object:
    return next((value[key] for key in _WORDING if value.get(key)), "")


def _refusal(said: object) -> Instead:
    text = str(said)
    if _ACCESS.search(text):
        return Instead(Kind.NO_ACCESS, said)
    return Instead(Kind.LATER if _LATER.search(text) else Kind.REFUSED, said)


def _markup(text: bytes) -> Instead:
    """Return a web page, or an error of the storage: its code and message, for the rest may repeat what was sent."""
    if _PAGE.search(text):
        return Instead(Kind.PAGE)
    return Instead(Kind.XML, b": ".join(_IN_XML.findall(text)).decode(errors="replace"))


def _error(text: bytes, *, only_row: bool) -> Instead | None:
    """Return the error that an object is; rows of events and individuals have keys of their own."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None  # several rows, or longer than an error
    if only_row and _KEYS_OF_ROWS.intersection(map(str.lower, value)):
        return None
    said = _wording(value)
    return _refusal(said) if said else None


def _text(body: bytes) -> bytes:
    """Return a body without what stands around its text, unpacked if it is packed without saying so."""
    if body.startswith(_GZIP):
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, _HEAD << 4)
        except zlib.error:
            return body
    return body.removeprefix(_BOM).strip()


def _head(path: Path) -> bytes:
    head = bytearray()
    with path.open("rb") as file:
        for piece in gunzip(iter(partial(file.read, _HEAD), b"")):
            head += piece
            if len(head) > _HEAD:
                break
    return bytes(head).removeprefix(_BOM).strip()


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP
