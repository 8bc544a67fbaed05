"""Readers of settings: a value as it is spelled -> what it means. Nothing is looked up here.

The environment and the command line know text only, so each reader takes text, too: lists and tables as JSON. A
`ValueError` says what is allowed.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from ipaddress import ip_address
from typing import Any, cast
from urllib.parse import urlsplit

from hauser_dlt.config.places import home, place
from hauser_dlt.fields import (
    CUSTOM_TOKENS,
    CUSTOM_VARS,
    DECLARABLE,
    EVENT_START,
    KNOWN,
    MOBILE,
    SESSION_REPLAY_URL,
    Kind,
    column_of,
    is_field_name,
    todays,
)

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
_LONGEST_TEXT = 100  # of a number or duration

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
"""What any SQL destination takes as a name."""

_RESERVED = ("_dlt", "_hauser")  # names of dlt's and of our own begin so


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
    """Make a reader of durations within bounds."""

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
"""Read how long events settle."""


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
    if not NAME.fullmatch(spelled) or renamed or spelled.lower().startswith(_RESERVED):
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


def by_day(value: Any) -> bool | None:
    """Read `auto` (None), true or false."""
    if value is None or (isinstance(value, str) and value.strip() == "auto"):
        return None
    try:
        return flag(value)
    except ValueError:
        raise ValueError("true, false or 'auto'") from None


def between(least: int, most: int) -> Callable[[Any], int]:
    """Make a reader of whole numbers within bounds."""

    def whole(value: Any) -> int:
        spelled = "" if isinstance(value, bool | float) else str(value).strip()
        if not re.fullmatch(r"[0-9]{1,9}", spelled) or not least <= int(spelled) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(spelled)

    return whole


def one_of(*choices: str) -> Callable[[Any], str]:
    """Make a reader of a choice."""

    def choice(value: Any) -> str:
        if not isinstance(value, str) or value.strip() not in choices:
            raise ValueError("one of " + ", ".join(repr(c) for c in choices))
        return value.strip()

    return choice


def field_list(value: Any) -> str | tuple[str, ...]:
    """Read `known`, `default`, or a list of FullStory's field names and tokens (`user_*`)."""
    value = parsed(value)
    if isinstance(value, str) and value.strip() in ("known", "default"):
        return value.strip()
    found = _listed(value)
    names = tuple(dict.fromkeys(item.strip() for item in found if isinstance(item, str)))
    wrong = [item for item in found if not isinstance(item, str) or not _is_export_field(item.strip())]
    if wrong or EVENT_START not in names or _spelled_twice(names):
        raise ValueError(
            f"'known', 'default', or a list of field names, each once and as FullStory spells it, {EVENT_START} among"
            " them (by it, windows are told apart)"
        )
    return names


_CANONICAL = {name.lower(): name for name in (*KNOWN, *MOBILE, CUSTOM_VARS)}


def _is_export_field(item: str) -> bool:
    """Tell whether FullStory can be asked for it: a field, a custom variable, or a token."""
    spelled_well = _CANONICAL.get(item.lower(), item) == item
    is_name = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}", item) is not None
    return item in CUSTOM_TOKENS or (is_name and spelled_well)


def _listed(value: Any) -> list[Any]:
    """Return the items of a list, or those between commas."""
    if isinstance(value, str):
        return value.split(",")
    return list(value) if isinstance(value, list | tuple) else [None]


def _spelled_twice(names: Iterable[str]) -> bool:
    """Tell whether some names differ in case only."""
    return any(count > 1 for count in Counter(name.lower() for name in names).values())


def typed_fields(value: Any) -> dict[str, Kind]:
    """Read a table of field = type, or a list of fields (then text, unless they are known)."""
    value = _table(value)
    if isinstance(value, list | tuple):
        value = {item: _KINDS.get(item, "text") for item in dict.fromkeys(map(str, value))}
    table = {"": ""} if not isinstance(value, Mapping) else {str(key): kind for key, kind in value.items()}
    if not all(_is_extra(key, kind) for key, kind in table.items()) or _spelled_twice(table):
        raise ValueError(
            f'a table such as {{ EventFoo = "int" }}, with types {", ".join(DECLARABLE)}, and names of letters, digits'
            " and _, 63 at most, no two of which differ in case only; known fields keep their type"
        )
    return cast(dict[str, Kind], table)


_KINDS: dict[str, Kind] = {**KNOWN, **MOBILE}


def _is_extra(key: str, kind: Any) -> bool:
    """Tell whether a field may be declared: it is unknown, or known with this very type."""
    if not NAME.fullmatch(key) or kind not in DECLARABLE or not _is_free(key):
        return False
    return _CANONICAL.get(key.lower(), key) == key and _KINDS.get(key, kind) == kind


def _is_free(key: str) -> bool:
    """Tell whether no other column than a field's bears the name."""
    taken = (CUSTOM_VARS.lower(), SESSION_REPLAY_URL.lower())
    return key.lower() not in taken and not key.lower().startswith(_RESERVED) and todays(key) == key


def custom_columns(value: Any) -> dict[str, Kind]:
    """Read a table of custom variable = type; each has a column of its own, in SQL that folds case, too."""
    table = _table(value)
    names = list(table) if isinstance(table, Mapping) else [""]
    columns = [column_of(name).lower() for name in names if isinstance(name, str)]
    fit = all(NAME.fullmatch(column) and _is_free(column) and column not in _CANONICAL for column in columns)
    distinct = len(set(columns)) == len(names) and not any(is_field_name(str(name)) for name in names)
    if not fit or not distinct or not all(kind in DECLARABLE for kind in table.values()):
        raise ValueError(
            f'a table such as {{ user_plan_str = "text" }}, with types {", ".join(DECLARABLE)}, and names of up to 63'
            " characters that differ in letters and digits (FullStory's own fields stand in extra_fields)"
        )
    return dict(table)


def _table(value: Any) -> Any:
    """Return a table as it is given, or as JSON tells of it; "" is an empty one."""
    return {} if isinstance(value, str) and not value.strip() else dotted(parsed(value))


def dotted(value: Any) -> Any:
    """Return a table whose names may hold dots: TOML reads `evt_order.id_str = "text"` as tables within each other."""
    if not isinstance(value, Mapping):
        return value
    flat: dict[Any, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            flat.update({f"{key}.{name}": item for name, item in dotted(inner).items()})
        else:
            flat[key] = inner
    return flat


def variable_patterns(value: Any) -> tuple[str, ...]:
    """Read a list of custom variables' names, or names with commas between them; `*` stands for anything."""
    found = _items(value)
    if not all(isinstance(item, str) and _is_pattern(item.strip()) for item in found):
        raise ValueError('a list of names, such as ["user_ssn_str", "*token*"]')
    return tuple(dict.fromkeys(item.strip() for item in found))


def field_patterns(value: Any) -> tuple[str, ...]:
    """Read a list of fields' names, or names with commas between them; `*` stands for anything."""
    found = _items(value)
    if not all(isinstance(item, str) and re.fullmatch(r"[A-Za-z0-9_*?\[\]!-]+", item.strip()) for item in found):
        raise ValueError('a list of FullStory\'s fields, such as ["PageIp", "User*"]')
    return tuple(dict.fromkeys(item.strip() for item in found))


def _items(value: Any) -> list[Any]:
    """Return the items of a list that may be empty."""
    value = parsed(value)
    if isinstance(value, str):
        return [item for item in value.split(",") if item.strip()] if value.strip() else []
    return _listed(value)


def _is_pattern(item: str) -> bool:
    """Tell whether an item is a name; quotes around it are what is left of a list that is no JSON."""
    return bool(item) and not has_controls(item) and not re.search(r"^\[?['\"]|['\"]\]?$", item)


def headers(value: Any) -> dict[str, str]:
    """Read a table of HTTP headers; those that the client sets itself are refused."""
    table = _table(value)
    if not isinstance(table, Mapping) or not all(_is_header(key, text) for key, text in table.items()):
        raise ValueError(_HEADERS)
    if _spelled_twice(table):
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


def parsed(value: Any) -> Any:
    """Read a table or list that stands in the environment or on the command line, as JSON; other text stays text."""
    if not isinstance(value, str) or value.strip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; a name that stands in it twice makes it no table at all."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name stands there twice")
    return dict(pairs)
