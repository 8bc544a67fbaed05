"""Settings: how they are spelled -> values, with defaults, bounds and one line of explanation each.

Nothing is looked up here: `read` asks a function for each spelled value. The declarations below are what
`.dlt/config.toml`, `hauser-dlt init` and the source's arguments are made from or compared with.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from hauser_dlt.denylist import Denylist
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import (
    DECLARABLE,
    EVENT_START,
    INDIVIDUAL,
    INDIVIDUALS,
    KNOWN,
    MOBILE,
    Kind,
    column_of,
    is_field_name,
)

Lookup = Callable[[str], tuple[Any, str] | None]
"""Setting's name -> (its value as spelled, where that was found), or None where it is not set."""

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|[smhd])")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def duration(value: Any) -> timedelta:
    """Read `90s`, `1h30m`, `500ms`, `1d`; a bare 0 is no time at all.

    Raises:
        ValueError: says what is allowed, as all readers here do.
    """
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    if text == "0":
        return timedelta(0)
    if not _DURATION.fullmatch(text):
        raise ValueError("a duration such as 15m, 1h30m or 24h")
    try:
        return timedelta(seconds=sum(float(n) * _UNITS[unit] for n, unit in _DURATION_PART.findall(text)))
    except OverflowError:
        raise ValueError("a duration of less than a million years") from None


def export_duration(value: Any) -> timedelta:
    """Read a window's length: 15 minutes to 24 hours, an even fraction of 24 hours."""
    step = duration(value)
    if not timedelta(minutes=15) <= step <= timedelta(days=1) or timedelta(days=1) % step:
        raise ValueError("15m to 24h, an even fraction of 24h (15m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h, 24h)")
    return step


def export_delay(value: Any) -> timedelta:
    """Read how long events settle: at least an hour."""
    delay = duration(value)
    if delay < timedelta(hours=1):
        raise ValueError("at least 1h: events are not complete before that")
    return delay


def whole_days(value: Any) -> timedelta:
    """Read a duration of whole days; 0 is none."""
    length = duration(value)
    if length % timedelta(days=1):
        raise ValueError("whole days, such as 720h or 30d; 0 is never")
    return length


def pause(value: Any) -> timedelta:
    """Read a duration of more than nothing."""
    length = duration(value)
    if length <= timedelta(0):
        raise ValueError("a duration above 0, such as 30s")
    return length


def moment(value: Any) -> datetime | None:
    """Read a date or an RFC 3339 time (UTC where it names no zone); "" is None."""
    if isinstance(value, datetime):
        time = value
    elif not (text := str(value).strip()):
        return None
    else:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("a date or time such as 2026-01-31 or 2026-01-31T06:00:00Z") from None
    if not 2000 <= time.year < 9999:
        raise ValueError("a date or time after the year 2000")
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def text(value: Any) -> str:
    """Read any text."""
    if not isinstance(value, str):
        raise ValueError("text")
    return value.strip()


def secret(value: Any) -> str:
    """Read a key that can stand in an HTTP header."""
    if (
        not isinstance(value, str)
        or not value.strip()
        or not value.strip().isascii()
        or re.search(r"\s", value.strip())
    ):
        raise ValueError("an API key of FullStory, without blanks")
    return value.strip()


def name(value: Any) -> str:
    """Read a name that any SQL destination takes as it is, and that is none of dlt's own tables."""
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value.lower().startswith("_dlt"):
        raise ValueError("letters, digits and _, beginning with a letter or _, and not with _dlt")
    return value


def url(value: Any) -> str:
    """Read an https address without user and query; "" stands for the default.

    Without encryption, the key would be there for all to read on its way; only on this machine that is no matter.
    """
    if value == "":
        return ""
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        good = parts.hostname and parts.port != 0
        encrypted = parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname or ""))
    except ValueError:
        good = False
    if not good or not encrypted or parts.query or parts.username is not None or re.search(r"\s", value):
        raise ValueError("an address such as https://api.fullstory.com")
    return str(value).rstrip("/")


def _is_here(host: str) -> bool:
    """Tell whether a host is this very machine."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def places(value: Any) -> tuple[str, ...]:
    """Read a file's path or URL, or a list of them; "" is none."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(place, str) for place in found):
        raise ValueError("a path or URL, or a list of them")
    return tuple(place.strip() for place in found if place.strip())


def flag(value: Any) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false"):
        raise ValueError("true or false")
    return str(value).lower() == "true"


def between(least: int, most: int) -> Callable[[Any], int]:
    """Make a reader of whole numbers within bounds."""

    def whole(value: Any) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value)) or not least <= int(value) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(value)

    return whole


def one_of(*choices: str) -> Callable[[Any], str]:
    """Make a reader of a choice."""

    def choice(value: Any) -> str:
        if value not in choices:
            raise ValueError("one of " + ", ".join(repr(c) for c in choices))
        return str(value)

    return choice


def by_day(value: Any) -> bool | None:
    """Read `auto` (None), true or false."""
    return None if value == "auto" else flag_or(value, "true, false or 'auto'")


def flag_or(value: Any, allowed: str) -> bool:
    """Read true or false, where more than these is allowed."""
    try:
        return flag(value)
    except ValueError:
        raise ValueError(allowed) from None


def field_list(value: Any) -> str | tuple[str, ...]:
    """Read `known`, `default`, or a list of FullStory's field names and tokens (`user_*`)."""
    if value in ("known", "default"):
        return cast(str, value)
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",")]
    if not isinstance(value, list | tuple) or not value or not all(_is_export_field(item) for item in value):
        raise ValueError("'known', 'default', or a list of field names")
    return tuple(dict.fromkeys(value))


def _is_export_field(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\S{1,200}", value))


def typed_fields(value: Any) -> dict[str, Kind]:
    """Read a table of field = type, or a list of fields (then text)."""
    value = _parsed(value)
    is_list = isinstance(value, list | tuple)
    table = {name if isinstance(name, str) else "": "text" for name in value} if is_list else value
    if not isinstance(table, Mapping) or not all(
        isinstance(key, str) and _NAME.fullmatch(key) and kind in DECLARABLE for key, kind in table.items()
    ):
        raise ValueError(f'a table such as {{ EventFoo = "int" }}, with types {", ".join(DECLARABLE)}')
    return dict(table)


def custom_columns(value: Any) -> dict[str, Kind]:
    """Read a table of custom variable = type; each has a column of its own, in SQL that folds case, too."""
    table = _parsed(value)
    names = list(table) if isinstance(table, Mapping) else [""]
    columns = [column_of(name).lower() for name in names if isinstance(name, str)]
    fit = all(_NAME.fullmatch(column) and not column.startswith(("_dlt", "_hauser")) for column in columns)
    distinct = len(set(columns)) == len(names) and not any(is_field_name(str(name)) for name in names)
    if not fit or not distinct or not all(kind in DECLARABLE for kind in table.values()):
        raise ValueError(
            f'a table such as {{ user_plan_str = "text" }}, with types {", ".join(DECLARABLE)}, and names of up to 63'
            " characters that differ in letters and digits (FullStory's own fields stand in extra_fields)"
        )
    return dict(table)


def patterns(value: Any) -> tuple[str, ...]:
    """Read a list of names, or names with commas between them."""
    value = _parsed(value)
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
        raise ValueError('a list of names, such as ["user_ssn_str", "*token*"]')
    return tuple(value)


def headers(value: Any) -> dict[str, str]:
    """Read a table of HTTP headers; those that the client sets itself are refused."""
    value = _parsed(value)
    if not isinstance(value, Mapping) or not all(_is_header(key, text) for key, text in value.items()):
        raise ValueError("a table of header = text, without Authorization, Content-Type and Host")
    return dict(value)


def _parsed(value: Any) -> Any:
    """Read a table or list that stands in the environment or on the command line, as JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _is_header(key: Any, value: Any) -> bool:
    return (
        isinstance(key, str)
        and isinstance(value, str)
        and bool(re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", key))
        and key.lower() not in ("authorization", "content-type", "content-length", "host")
        and not re.search(r"[\r\n\0]", value)
        and value.isascii()
    )


def setting(default: Any, read: Callable[[Any], Any], help: str, *, hide: bool = False) -> Any:
    """Declare a setting: its default as a user would spell it, its reader, its explanation; `hide` its value."""
    return field(metadata={"default": default, "read": read, "help": help, "hide": hide}, repr=not hide)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """`[sources.fullstory]`: what to export."""

    api_token: str = setting(
        "", secret, "The API key (Architect role). FULLSTORY_API_TOKEN in the environment wins.", hide=True
    )
    api: str = setting(
        "segment_export",
        one_of("segment_export", "data_export"),
        "FullStory's API: segment exports, or the legacy data exports.",
    )
    base_url: str = setting(
        "",
        url,
        "The API's address, if it is not FullStory's own: \"\" is https://api.fullstory.com, or"
        " https://api.eu1.fullstory.com for a key that begins with eu1., and https://export.fullstory.com/api/v1 for"
        " data exports.",
    )
    segment_id: str = setting("everyone", text, "The segment whose events are exported.")
    event_scope: str = setting(
        "",
        one_of("", "events", "pages", "sessions", "individuals"),
        'Which events of a matching visit come along; "" leaves it to FullStory (events).',
    )
    export_format: str = setting(
        "ndjson",
        one_of("ndjson", "json"),
        'How segment exports are laid out: "ndjson", an object a line, or "json", one array, whose end shows that'
        " nothing is missing even where FullStory itself stored half a file.",
    )
    fields: str | tuple[str, ...] = setting(
        "known",
        field_list,
        '"known": all fields that hauser-dlt knows and all custom variables;'
        ' "default": FullStory\'s choice; or a list.',
    )
    extra_fields: dict[str, Kind] = setting(
        {},
        typed_fields,
        "Fields of FullStory that hauser-dlt does not know yet, with their types"
        " (text, int, int32, float, bool, timestamp).",
    )
    new_fields: str = setting(
        "columns",
        one_of("columns", "custom_vars"),
        'Where unknown fields go that come up by themselves: new text "columns", or into CustomVars ("custom_vars").',
    )
    custom_columns: dict[str, Kind] = setting(
        {},
        custom_columns,
        "Custom variables that get columns of their own, too, with their types; text takes any value."
        " They stay in CustomVars.",
    )
    session_replay_url: bool = setting(
        False, flag, "Add the column SessionReplayUrl: where an event's session is replayed in FullStory's app."
    )
    drop_custom_vars: tuple[str, ...] = setting(
        [],
        patterns,
        "Custom variables that are dropped before anything is written: secrets that were captured by accident."
        " Case does not matter, and * stands for anything.",
    )
    drop_fields: tuple[str, ...] = setting(
        [], patterns, "Fields of FullStory whose values are dropped likewise; their columns stay, and are NULL."
    )
    include_mobile_fields: bool = setting(
        False, flag, "Export the fields of FullStory for mobile apps, too (an account feature)."
    )
    include_selector_tokens: bool = setting(
        False,
        flag,
        "Export EventTargetSelectorTok, too: what EventTargetSelector tells, as percent-encoded tokens."
        " Where the table has that column already, it is exported anyway.",
    )
    start_time: datetime | None = setting("", moment, 'Where the first run starts; "" is 30 days ago.')
    export_duration: timedelta = setting(
        "1h", export_duration, "The length of a window: 15m to 24h, an even fraction of 24h."
    )
    export_delay: timedelta = setting(
        "24h",
        export_delay,
        "How long events settle before they are exported; at least 1h. Segment exports only: a bundle of the legacy"
        " data exports is loaded once FullStory lists it.",
    )
    concurrent_exports: int = setting(
        4, between(1, 64), "How many exports are asked for at the same time at most; fewer when FullStory answers 429."
    )
    request_timeout: timedelta = setting("60s", pause, "How long FullStory may keep silent in a request.")
    export_timeout: timedelta = setting("6h", pause, "How long FullStory may take to prepare one export.")
    backoff: timedelta = setting(
        "1s", duration, "The first pause before a request is tried again; it doubles with each try."
    )
    max_retries: int = setting(8, between(0, 100), "How many times a request is tried again.")
    http_headers: dict[str, str] = setting({}, headers, "Headers to add to each request to FullStory.", hide=True)
    export_table: str = setting("fs_export", name, "The table of the events.")
    sync_table: str = setting("fs_sync", name, "The table of the loaded windows.")
    individuals: bool = setting(
        False, flag, "Load the segment's individuals, too: who they are, and their lifetime counters."
    )
    individuals_table: str = setting("fs_individuals", name, "The table of the individuals.")
    segments: bool = setting(False, flag, "Load the list of the account's segments, too.")
    segments_table: str = setting("fs_segments", name, "The table of the segments.")

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            ConfigError: says which do.
        """
        declared = {name.lower() for name in self.extra_fields}
        event_keys = self.denylist({**KNOWN, **MOBILE, **self.extra_fields})
        for variable in self.custom_columns:
            if event_keys.drops(variable):
                raise ConfigError(
                    f"custom_columns names {variable}, which drop_custom_vars drops: choose one of the two"
                )
            if column_of(variable).lower() in declared:
                raise ConfigError(f"custom_columns names {variable}, and so does extra_fields: choose one of the two")
        if event_keys.drops(EVENT_START):
            raise ConfigError(f"drop_fields drops {EVENT_START}, by which windows are told apart: leave it out")
        if self.individuals and self.denylist(INDIVIDUALS).drops(INDIVIDUAL):
            raise ConfigError(f"drop_fields drops {INDIVIDUAL}, by which individuals are told apart: leave it out")

    def denylist(self, declared: Collection[str]) -> Denylist:
        """Return what is dropped of records with these fields."""
        return Denylist(self.drop_custom_vars, self.drop_fields, declared)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """`[hauser]`: where to load it, and how a run goes."""

    destination: str = setting(
        "duckdb",
        text,
        "duckdb, filesystem, or any other destination of dlt; its own settings stand under [destination.<name>].",
    )
    dataset_name: str = setting(
        "fullstory",
        name,
        "The schema, dataset or database that holds the tables."
        " For filesystem the tables are folders right below bucket_url.",
    )
    pipeline_name: str = setting(
        "hauser_dlt", name, "dlt's name of the pipeline, under which its state is kept at the destination."
    )
    snapshots_every: timedelta = setting(
        "24h", duration, "How often individuals and segments are loaded anew, at the most."
    )
    refresh_for: timedelta = setting(
        "0",
        duration,
        "Windows that were loaded when their events were younger than this are loaded once more, when they are older:"
        ' with "24h" late events come in although export_delay is short; "0" loads each window once. Segment exports'
        " only.",
    )
    staging: str = setting(
        "",
        one_of("", "filesystem"),
        'Where load packages lie before the destination loads them: "filesystem", the bucket of'
        ' [destination.filesystem] (Redshift always does), or "", sent to the destination itself.',
    )
    varchar_max: int = setting(
        65535,
        between(1, 65535),
        "Of Redshift only: how many bytes of text a column takes; longer text is cut at a character.",
    )
    partition_expiration: timedelta = setting(
        "0",
        whole_days,
        'Of BigQuery only: after how long a day of events is dropped, in whole days ("720h"); "0" is never.',
    )
    storage_only: bool = setting(
        False,
        flag,
        "Of Redshift and BigQuery: only write the files into [destination.filesystem], as with destination ="
        ' "filesystem"; nothing is loaded.',
    )
    group_by_day: bool | None = setting(
        "auto",
        by_day,
        "true: load whole UTC days only, one file a day; false: one file a window;"
        ' "auto": a file a day while more than a day behind.',
    )
    file_format: str = setting(
        "parquet",
        one_of("parquet", "csv", "jsonl", "json"),
        'Of filesystem only: "parquet", "csv", "jsonl", or "json", FullStory\'s own bytes.',
    )
    csv_escape_formulas: bool = setting(
        False,
        flag,
        "Of CSV only: put a ' before text that a spreadsheet would run as a formula (it begins with = + - @, tab, CR"
        " or LF). Events hold what strangers typed; the ' alters their values.",
    )
    compress: bool = setting(
        False, flag, "Of filesystem only: gzip the files (not Parquet, which is compressed in itself)."
    )
    hauser_sync_file: tuple[str, ...] = setting(
        "",
        places,
        "The checkpoint of a Go hauser, .sync.hauser, in a folder or bucket, or a list of places where it may lie;"
        " the first run starts at the newest.",
    )
    working_dir: str = setting(
        "", text, 'Where load packages and downloads lie while they are worked on; "" is below dlt\'s pipelines folder.'
    )


S = TypeVar("S", SourceSettings, RunSettings)


def read(kind: type[S], lookup: Lookup) -> S:
    """Return the settings of one section.

    Raises:
        ConfigError: names the first setting that is wrong, its value, where it stands, and what is allowed.
    """
    return kind(**{declared.name: _value(declared, lookup(declared.name)) for declared in fields(kind)})


def _value(declared: "Field[Any]", found: tuple[Any, str] | None) -> Any:
    if declared.name == "api_token" and (found is None or found[0] == ""):
        raise ConfigError(
            "api_token is missing: set FULLSTORY_API_TOKEN, or api_token under [sources.fullstory] in .dlt/secrets.toml"
        )
    spelled, place = found or (declared.metadata["default"], "default")
    try:
        return declared.metadata["read"](spelled)
    except ValueError as exc:
        # a password may stand in an address
        shown = "(hidden)" if declared.metadata["hide"] or "@" in str(spelled) else repr(spelled)
        raise ConfigError(f"{declared.name} = {shown} (from {place}): allowed is {exc}") from None
