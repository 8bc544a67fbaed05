"""The settings of the source: each is declared once, here.

`.dlt/config.toml`, docs/settings.md and the arguments of `fullstory` are made from these declarations.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from hauser_dlt.config import field_parsers, parsers
from hauser_dlt.config.declaration import SettingPath, Settings, setting
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import EVENT_START, INDIVIDUAL, INDIVIDUALS, KNOWN, MOBILE, Kind, column_of
from hauser_dlt.records.deny_list import Denylist

_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
_SILENCE = parsers.bounded(_SECOND / 1000, _DAY, "a duration above 0, such as 60s, of at most 24h")
_EXPORT = parsers.bounded(_SECOND / 1000, 30 * _DAY, "a duration above 0, such as 6h, of at most 30d")
_BACKOFF = parsers.bounded(0 * _SECOND, _DAY, "a duration such as 500ms or 30s, of at most 24h")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings(Settings):
    """`[sources.fullstory]`: what to export."""

    section: ClassVar[SettingPath] = ("sources", "fullstory")

    api_token: str = setting(
        "",
        parsers.secret,
        "The API key, of the Architect role or above. FULLSTORY_API_TOKEN in the environment takes precedence.",
        hide=True,
    )
    api: str = setting(
        "segment_export",
        parsers.one_of("segment_export", "data_export"),
        'The FullStory API to use: "segment_export", or "data_export" for the legacy data exports.',
    )
    base_url: str = setting(
        "",
        parsers.url,
        'The address of the API, if it is not FullStory\'s own. "" means https://api.fullstory.com,'
        " https://api.eu1.fullstory.com for a key that begins with eu1., or https://export.fullstory.com/api/v1"
        " for data exports.",
    )
    segment_id: str = setting(
        "everyone",
        parsers.segment_id,
        'The id of the segment whose events are exported. "everyone" exports all events.',
    )
    event_scope: str = setting(
        "",
        parsers.one_of("", "events", "pages", "sessions", "individuals"),
        'What to export around each event that matches the segment: the event alone ("events"), or all events'
        ' of its page ("pages"), session ("sessions") or individual ("individuals"). "" is FullStory\'s default'
        ' ("events").',
    )
    export_format: str = setting(
        "ndjson",
        parsers.one_of("ndjson", "json"),
        'The format of segment exports: "ndjson" (one object per line) or "json" (one array). With "json", a file that'
        " FullStory itself stored only in part is detected, since its array has no end.",
    )
    fields: str | tuple[str, ...] = setting(
        "known",
        field_parsers.field_list,
        'The fields to export: "known" (all fields that hauser-dlt knows, and all custom variables), "default"'
        ' (FullStory\'s default), or a list such as ["EventStart", "PageUrl", "user_*"], which must include'
        " EventStart.",
    )
    extra_fields: dict[str, Kind] = setting(
        {},
        field_parsers.typed_fields,
        "FullStory fields that hauser-dlt does not know yet, with their types (text, int, int32, float, bool,"
        ' timestamp). Example: { EventFoo = "int" }.',
    )
    new_fields: str = setting(
        "columns",
        parsers.one_of("columns", "custom_vars"),
        'What to do with a field that is neither known nor in extra_fields: add a text column ("columns"), or'
        ' keep the field in CustomVars ("custom_vars").',
    )
    custom_columns: dict[str, Kind] = setting(
        {},
        field_parsers.custom_columns,
        'Custom variables that also get a column, with its type. Example: { user_plan_str = "text" }. They stay'
        " in CustomVars. A text column takes values of any type.",
    )
    session_replay_url: bool = setting(
        False,
        parsers.flag,
        "Add the column SessionReplayUrl: a link to the replay of the event's session in FullStory.",
    )
    drop_custom_vars: tuple[str, ...] = setting(
        [],
        field_parsers.variable_patterns,
        "Custom variables to drop before anything is written, such as secrets that were captured by accident."
        ' Case is ignored, and * matches any text. Example: ["user_ssn_str", "*token*"].',
    )
    drop_fields: tuple[str, ...] = setting(
        [],
        field_parsers.field_patterns,
        'FullStory fields to drop before anything is written. Their columns stay, and are NULL. Example: ["PageIp"].',
    )
    include_mobile_fields: bool = setting(
        False,
        parsers.flag,
        'Also export the fields of mobile apps (an account feature of FullStory), if fields = "known".',
    )
    include_selector_tokens: bool = setting(
        False,
        parsers.flag,
        "Also export EventTargetSelectorTok: EventTargetSelector as percent-encoded tokens. It is exported"
        ' anyway if the table has this column already. No effect if fields = "default".',
    )
    start_time: datetime | None = setting(
        "",
        parsers.moment,
        'The start of the first run, such as "2026-01-31" or "2026-01-31T06:00:00Z". "" means 30 days ago.',
    )
    export_duration: timedelta = setting(
        "1h",
        parsers.export_duration,
        "The length of a window, from 15m to 24h. It must divide 24h evenly: 15m, 30m, 1h, 6h or 24h, for example.",
    )
    export_delay: timedelta = setting(
        "24h",
        parsers.export_delay,
        "How long to wait after the end of a window before it is exported, so that late events are included. At"
        " least 1h. Segment exports only: a data export is loaded as soon as FullStory lists it.",
    )
    concurrent_exports: int | None = setting(
        "auto",
        parsers.at_once,
        'How many exports to request at the same time. "auto" starts with 4, adds one for each export that succeeds, up'
        " to 16, and halves the number after FullStory answers 429 (rate limit), or when exports queue. A number"
        " (1 to 64) is the maximum; fewer are requested after FullStory answers 429.",
    )
    request_timeout: timedelta = setting(
        "60s",
        _SILENCE,
        "How long to wait for FullStory to connect or to send data before a request fails and is retried.",
    )
    export_timeout: timedelta = setting("6h", _EXPORT, "How long to wait for FullStory to prepare one export.")
    backoff: timedelta = setting(
        "1s",
        _BACKOFF,
        'The delay before the first retry of a request, such as "500ms". It doubles with each retry.',
    )
    max_retries: int = setting(8, parsers.between(0, 100), "The maximum number of retries of a request.")
    http_headers: dict[str, str] = setting(
        {},
        parsers.headers,
        'HTTP headers to add to each request to FullStory. Example: { X-Client = "warehouse" }.',
        hide=True,
    )
    export_table: str = setting("fs_export", parsers.name, "The name of the events table.")
    sync_table: str = setting(
        "fs_sync",
        parsers.name,
        "The name of the sync table, which has one row per loaded window.",
    )
    individuals: bool = setting(
        False,
        parsers.flag,
        "Also load the individuals of the segment: who they are, and their lifetime counters.",
    )
    individuals_table: str = setting("fs_individuals", parsers.name, "The name of the individuals table.")
    segments: bool = setting(False, parsers.flag, "Also load the list of the account's segments.")
    segments_table: str = setting("fs_segments", parsers.name, "The name of the segments table.")

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            ConfigError: says which do.
        """
        self._refuse_one_table_for_two()
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

    def _refuse_one_table_for_two(self) -> None:
        tables = [self.export_table, self.sync_table]
        tables += [self.individuals_table] * self.individuals + [self.segments_table] * self.segments
        count = Counter(table.lower() for table in (*tables, f"{self.sync_table}_pending"))
        if twice := [table for table, times in count.items() if times > 1]:
            raise ConfigError(
                f"two tables would be called {twice[0]}: choose export_table, sync_table, individuals_table and"
                " segments_table all different, none of them <sync_table>_pending"
            )

    @property
    def keeps_to_windows(self) -> bool:
        """Whether a window's events lie inside it.

        Data exports, and scopes of whole pages or visits, bring others on purpose.
        """
        return self.api == "segment_export" and self.event_scope in ("", "events")

    def denylist(self, declared: Collection[str]) -> Denylist:
        """Return what is dropped of records with these fields."""
        return Denylist(self.drop_custom_vars, self.drop_fields, declared)
