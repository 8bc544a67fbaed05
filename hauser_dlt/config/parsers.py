"""Parsers of plain values: durations, times, text, names, addresses, flags, numbers. Nothing is looked up here.

A parser turns a value as it is spelled into what it means, or raises a `ValueError` that says what is allowed. The
environment and the command line know text only, so each parser takes text, too: lists and tables as JSON.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from hauser_dlt.config.lists_and_tables import as_table, differ_in_case_only, parsed
from hauser_dlt.config.places import home, place
from hauser_dlt.windows import Shard

_MICROSECONDS = {
    "ns": Fraction(1, 1000),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs"), Fraction(1)),  # as in Go, both signs that look like micro
    "ms": Fraction(10**3),
    "s": Fraction(10**6),
    "m": Fraction(60 * 10**6),
    "h": Fraction(3600 * 10**6),
    "d": Fraction(86400 * 10**6),
}
_DURATION_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|[u\u00b5\u03bc]s|ms|[smhd])")
_DURATION = re.compile(rf"\+?(?:{_DURATION_PART.pattern})+")
_LONGEST = timedelta(days=36525)
_ANY_LENGTH = "a duration such as 15m, 1h30m or 24h"
_BYTES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([KMGT]i?B)", re.IGNORECASE | re.ASCII)
_LONGEST_TEXT = 100  # of a number or duration

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
"""What any SQL destination takes as a name."""

RESERVED = ("_dlt", "_hauser")  # names of dlt's and of our own begin so


def duration(value: Any) -> timedelta:
    """Read `90s`, `1h30m`, `500ms`, `1.5h`, as Go's durations are written, or `1d`; a bare 0 is no time at all."""
    length = value if isinstance(value, timedelta) else _spelled_duration(value)
    if length < timedelta(0):
        raise ValueError(_ANY_LENGTH)
    if length > _LONGEST:
        raise ValueError("a duration of at most 100 years")
    return length


def _spelled_duration(value: Any) -> timedelta:
    text = "" if isinstance(value, bool) else str(value).strip()
    if text == "0":
        return timedelta(0)
    if len(text) > _LONGEST_TEXT or not _DURATION.fullmatch(text):
        raise ValueError(_ANY_LENGTH)
    parts = _DURATION_PART.findall(text)
    total = sum((Fraction(number) * _MICROSECONDS[unit] for number, unit in parts), Fraction(0))
    return timedelta(microseconds=round(min(total, Fraction(2 * 36525 * 86400 * 10**6))))


def bounded(least: timedelta, most: timedelta, allowed: str) -> Callable[[Any], timedelta]:
    """Make a parser of durations within bounds."""

    def read(value: Any) -> timedelta:
        length = duration(value)
        if not least <= length <= most:
            raise ValueError(allowed)
        return length

    return read


def export_duration(value: Any) -> timedelta:
    """Read a window's length: 15 minutes to 24 hours, an even fraction of 24 hours."""
    step = duration(value)
    if not timedelta(minutes=15) <= step <= timedelta(days=1) or timedelta(days=1) % step:
        raise ValueError("15m to 24h, an even fraction of 24h (15m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h, 24h)")
    return step


export_delay = bounded(timedelta(hours=1), _LONGEST, "at least 1h: events are not complete before that")
"""Read how long to wait after the end of a window before it is exported."""


def moment(value: Any) -> datetime | None:
    """Read a date or an RFC 3339 time (UTC where it names no zone); "" is None."""
    if isinstance(value, str) and not value.strip():
        return None
    time = value if isinstance(value, datetime) else _spelled_moment(value)
    if not 2000 <= time.year < 9999:
        raise ValueError("a date or time after the year 2000")
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _spelled_moment(value: Any) -> datetime:
    allowed = "a date or time such as 2026-01-31 or 2026-01-31T06:00:00Z"
    if not isinstance(value, str | date) or not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", str(value).strip()):
        raise ValueError(allowed)
    try:
        return datetime.fromisoformat(str(value).strip().upper())
    except ValueError:
        raise ValueError(allowed) from None


def shard(value: Any) -> Shard:
    """Read `0/3`, the first of three shards."""
    match = re.fullmatch(r"\s*([0-9]{1,6})\s*/\s*([0-9]{1,6})\s*", str(value))
    if not match or not (found := Shard(*map(int, match.groups()))).number < found.of:
        raise ValueError("a shard and how many there are, from 0/3 to 2/3 for three")
    return found


def text(value: Any) -> str:
    """Read any text of one line."""
    if not isinstance(value, str) or has_controls(value.strip()):
        raise ValueError("text")
    return value.strip()


def has_controls(value: str) -> bool:
    """Tell whether a text holds control characters, or halves of characters that no encoding knows."""
    return re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", value) is not None


def segment_id(value: Any) -> str:
    """Read a segment's id, which stands in addresses of FullStory's API."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.~:=+-]{0,199}", value.strip()):
        raise ValueError("a segment's id (not its name) such as everyone: letters, digits and any of _ . ~ : = + -")
    return value.strip()


def secret(value: Any) -> str:
    """Read a key that can stand in an HTTP header; a placeholder in angle brackets is none."""
    key = str(value).strip("\ufeff \t\r\n") if isinstance(value, str) else ""
    if not re.fullmatch(r"[!-;=?-~]+", key):
        raise ValueError("an API key of FullStory, without blanks")
    return key


def name(value: Any) -> str:
    """Read a name that any SQL destination takes as it is, and that is none of dlt's own tables."""
    spelled = str(value).strip() if isinstance(value, str) else ""
    renamed = "__" in spelled or spelled.endswith("_")  # dlt would leave out an underscore, and make another table
    if not NAME.fullmatch(spelled) or renamed or spelled.lower().startswith(RESERVED):
        raise ValueError(
            "letters, digits and _, beginning with a letter or _, and not with _dlt or _hauser; 63 at most, and no __"
            " or _ at the end"
        )
    return spelled


def url(value: Any) -> str:
    """Read an https address without user and query; "" stands for the default.

    Without encryption, the key would be there for all to read on its way; only on this machine that is no matter.
    """
    address = value.strip() if isinstance(value, str) else "?"
    if address == "":
        return ""
    try:
        parts = urlsplit(address)
        good = bool(parts.hostname) and parts.port != 0 and _is_encrypted(parts.scheme, parts.hostname or "")
    except ValueError:
        good = False
    if not good or parts.username is not None or re.search(r"[\s?#\\]", address) or has_controls(address):
        raise ValueError("an address such as https://api.fullstory.com")
    return address.rstrip("/")


def _is_encrypted(scheme: str, host: str) -> bool:
    return scheme == "https" or (scheme == "http" and _is_here(host))


def _is_here(host: str) -> bool:
    """Tell whether a host is this very machine."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def places(value: Any) -> tuple[str, ...]:
    """Read a file's path or URL, or a list of them; "" is none."""
    value = parsed(value)
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(p, str) for p in found):
        raise ValueError("a path or URL, or a list of them")
    for spelled in found:
        if spelled.strip():
            place(spelled)  # refuses what is none
    return tuple(spelled.strip() for spelled in found if spelled.strip())


def folder(value: Any) -> str:
    """Read a folder on this machine, where ~ is a home directory; "" is none."""
    return home(text(value))


def flag(value: Any) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.strip().lower() not in ("true", "false"):
        raise ValueError("true or false")
    return value.strip().lower() == "true"


def _is_auto(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip() == "auto")


def by_day(value: Any) -> bool | None:
    """Read `auto` (None), true or false."""
    if _is_auto(value):
        return None
    try:
        return flag(value)
    except ValueError:
        raise ValueError("true, false or 'auto'") from None


def between(least: int, most: int) -> Callable[[Any], int]:
    """Make a parser of whole numbers within bounds."""

    def whole(value: Any) -> int:
        spelled = "" if isinstance(value, bool | float) else str(value).strip()
        if not re.fullmatch(r"[0-9]{1,9}", spelled) or not least <= int(spelled) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(spelled)

    return whole


def at_once(value: Any) -> int | None:
    """Read `auto` (None), or a number from 1 to 64."""
    if _is_auto(value):
        return None
    try:
        return between(1, 64)(value)
    except ValueError as exc:
        raise ValueError(f"'auto', or {exc}") from None


def size(value: Any) -> int | None:
    """Read `auto` (None), or a number of bytes such as `20 GB`, at least 1 MB."""
    if _is_auto(value):
        return None
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    bytes_ = round(Fraction(found[1]) * _BYTES[found[2].upper()]) if found else 0
    if not 10**6 <= bytes_ <= 10**18:
        raise ValueError("'auto', or a size such as '500 MB' or '20 GB', at least 1 MB")
    return bytes_


def one_of(*choices: str) -> Callable[[Any], str]:
    """Make a parser of a choice."""

    def choice(value: Any) -> str:
        if not isinstance(value, str) or value.strip() not in choices:
            raise ValueError("one of " + ", ".join(repr(c) for c in choices))
        return value.strip()

    return choice


def headers(value: Any) -> dict[str, str]:
    """Read a table of HTTP headers; those that the client sets itself are refused."""
    table = as_table(value)
    if not isinstance(table, Mapping) or not all(_is_header(key, text) for key, text in table.items()):
        raise ValueError(_HEADERS)
    if differ_in_case_only(table):
        raise ValueError(_HEADERS)
    return {key: text.strip() for key, text in table.items()}


_OWN_HEADERS = (
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
)
NO_OWN_HEADERS = f"without {', '.join(_OWN_HEADERS)}"
_HEADERS = f"a table of header = text, {NO_OWN_HEADERS}"


def _is_header(key: Any, value: Any) -> bool:
    return (
        isinstance(key, str)
        and isinstance(value, str)
        and re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", key) is not None
        and key.lower() not in _OWN_HEADERS
        and value.isascii()
        and not has_controls(value.replace("\t", " "))
    )
