"""Ranges of a stored file, as RFC 9110 has them (section 14, If-Range in 13.1.5), one range a request."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=(?:([0-9]+)-([0-9]*)|-([0-9]+))")


class UnsatisfiableError(Exception):
    """The range lies behind the end of the file (416)."""


def asked_range(headers: dict[str, str], length: int, etag: str) -> tuple[int, int] | None:
    """Return the first byte and the one after the last that a request wants; None is all.

    Args:
        headers: of the request, with names in lower case.
        etag: the file's; "" if it has none. A weak one proves nothing.

    Raises:
        UnsatisfiableError: the file is shorter.
    """
    found = _RANGE.fullmatch(headers.get("range", ""))
    if found is None or headers.get("if-range", etag) != etag or ("if-range" in headers and etag[:1] != '"'):
        return None
    first, last, final = found.groups()
    if final is not None:
        begin, end = max(0, length - int(final)), length
    else:
        begin, end = int(first), min(length, int(last) + 1 if last else length)
    if begin >= length:
        raise UnsatisfiableError
    return (begin, end) if begin < end else None
