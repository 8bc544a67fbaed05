"""All settings, each declared once, by section.

`.dlt/config.toml`, docs/settings.md and the arguments of `fullstory` are made from these declarations. `reading` tells
how they are read, `lookup` where they are found.
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
        "", parsers.secret, "The API key (Architect role). FULLSTORY_API_TOKEN in the environment wins.", hide=True
    )
    api: str = setting(
        "segment_export",
        parsers.one_of("segment_export", "data_export"),
        "FullStory's API: segment exports, or the legacy data exports.",
    )
    base_url: str = setting(
        "",
        parsers.url,
        "The API's address, if it is not FullStory's own: \"\" is https://api.fullstory.com, or"
        " https://api.eu1.fullstory.com for a key that begins with eu1., and https://export.fullstory.com/api/v1 for"
        " data exports.",
    )
    segment_id: str = setting("everyone", parsers.segment_id, "The segment whose events are exported.")
    event_scope: str = setting(
        "",
        parsers.one_of("", "events", "pages", "sessions", "individuals"),
        'Which events of a matching visit come along; "" leaves it to FullStory (events).',
    )
    export_format: str = setting(
        "ndjson",
        parsers.one_of("ndjson", "json"),
        'How segment exports are laid out: "ndjson", an object a line, or "json", one array, whose end shows that'
        " nothing is missing even where FullStory itself stored half a file.",
    )
    fields: str | tuple[str, ...] = setting(
        "known",
        field_parsers.field_list,
        '"known": all fields that hauser-dlt knows and all custom variables;'
        ' "default": FullStory\'s choice; or a list.',
    )
    extra_fields: dict[str, Kind] = setting(
        {},
        field_parsers.typed_fields,
        "Fields of FullStory that hauser-dlt does not know yet, with their types"
        " (text, int, int32, float, bool, timestamp).",
    )
    new_fields: str = setting(
        "columns",
        parsers.one_of("columns", "custom_vars"),
        'Where unknown fields go that come up by themselves: new text "columns", or into CustomVars ("custom_vars").',
    )
    custom_columns: dict[str, Kind] = setting(
        {},
        field_parsers.custom_columns,
        "Custom variables that get columns of their own, too, with their types; text takes any value."
        " They stay in CustomVars.",
    )
    session_replay_url: bool = setting(
        False, parsers.flag, "Add the column SessionReplayUrl: where an event's session is replayed in FullStory's app."
    )
    drop_custom_vars: tuple[str, ...] = setting(
        [],
        field_parsers.variable_patterns,
        "Custom variables that are dropped before anything is written: secrets that were captured by accident."
        " Case does not matter, and * stands for anything.",
    )
    drop_fields: tuple[str, ...] = setting(
        [],
        field_parsers.field_patterns,
        "Fields of FullStory whose values are dropped likewise; their columns stay, and are NULL.",
    )
    include_mobile_fields: bool = setting(
        False,
        parsers.flag,
        'Export the fields of FullStory for mobile apps, too (an account feature), where fields is "known".',
    )
    include_selector_tokens: bool = setting(
        False,
        parsers.flag,
        "Export EventTargetSelectorTok, too: what EventTargetSelector tells, as percent-encoded tokens."
        ' Where the table has that column already, it is exported anyway. Not with fields = "default", where FullStory'
        " chooses.",
    )
    start_time: datetime | None = setting("", parsers.moment, 'Where the first run starts; "" is 30 days ago.')
    export_duration: timedelta = setting(
        "1h", parsers.export_duration, "The length of a window: 15m to 24h, an even fraction of 24h."
    )
    export_delay: timedelta = setting(
        "24h",
        parsers.export_delay,
        "How long events settle before they are exported; at least 1h. Segment exports only: a bundle of the legacy"
        " data exports is loaded once FullStory lists it.",
    )
    concurrent_exports: int = setting(
        4,
        parsers.between(1, 64),
        "How many exports are asked for at the same time at most; fewer when FullStory answers 429.",
    )
    request_timeout: timedelta = setting("60s", _SILENCE, "How long FullStory may keep silent in a request.")
    export_timeout: timedelta = setting("6h", _EXPORT, "How long FullStory may take to prepare one export.")
    backoff: timedelta = setting(
        "1s", _BACKOFF, "The first pause before a request is tried again; it doubles with each try."
    )
    max_retries: int = setting(8, parsers.between(0, 100), "How many times a request is tried again.")
    http_headers: dict[str, str] = setting(
        {}, parsers.headers, "Headers to add to each request to FullStory.", hide=True
    )
    export_table: str = setting("fs_export", parsers.name, "The table of the events.")
    sync_table: str = setting("fs_sync", parsers.name, "The table of the loaded windows.")
    individuals: bool = setting(
        False, parsers.flag, "Load the segment's individuals, too: who they are, and their lifetime counters."
    )
    individuals_table: str = setting("fs_individuals", parsers.name, "The table of the individuals.")
    segments: bool = setting(False, parsers.flag, "Load the list of the account's segments, too.")
    segments_table: str = setting("fs_segments", parsers.name, "The table of the segments.")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings(Settings):
    """`[hauser]`: where to load it, and how a run goes."""

    section: ClassVar[SettingPath] = ("hauser",)

    destination: str = setting(
        "duckdb",
        parsers.text,
        "duckdb, filesystem, or any other destination of dlt; its own settings stand under [destination.<name>].",
    )
    dataset_name: str = setting(
        "fullstory",
        parsers.name,
        "The schema, dataset or database that holds the tables."
        " For filesystem the tables are folders right below bucket_url.",
    )
    pipeline_name: str = setting(
        "hauser_dlt", parsers.name, "dlt's name of the pipeline, under which its state is kept at the destination."
    )
    snapshots_every: timedelta = setting(
        "24h", parsers.duration, "How often individuals and segments are loaded anew, at the most."
    )
    refresh_for: timedelta = setting(
        "0",
        parsers.duration,
        "Windows that were loaded when their events were younger than this are loaded once more, when they are older:"
        ' with "24h" late events come in although export_delay is short; "0" loads each window once. Segment exports'
        " only.",
    )
    staging: str = setting(
        "",
        parsers.one_of("", "filesystem"),
        'Where load packages lie before the destination loads them: "filesystem", the bucket of'
        ' [destination.filesystem] (Redshift always does), or "", sent to the destination itself.',
    )
    storage_only: bool = setting(
        False,
        parsers.flag,
        "Of Redshift and BigQuery: only write the files into [destination.filesystem], as with destination ="
        ' "filesystem"; nothing is loaded.',
    )
    group_by_day: bool | None = setting(
        "auto",
        parsers.by_day,
        "true: load whole UTC days only, one file a day; false: one file a window;"
        ' "auto": a file a day while more than a day behind.',
    )
    file_format: str = setting(
        "parquet",
        parsers.one_of("parquet", "csv", "jsonl", "json"),
        'Of filesystem only: "parquet", "csv", "jsonl", or "json", FullStory\'s own bytes.',
    )
    csv_escape_formulas: bool = setting(
        False,
        parsers.flag,
        "Of CSV only: put a ' before text that a spreadsheet would run as a formula (it begins with = + - @, tab, CR"
        " or LF). Events hold what strangers typed; the ' alters their values.",
    )
    compress: bool = setting(
        False, parsers.flag, "Of filesystem only: gzip the files (not Parquet, which is compressed in itself)."
    )
    hauser_sync_file: tuple[str, ...] = setting(
        "",
        parsers.places,
        "The checkpoint of a Go hauser, .sync.hauser, in a folder or bucket, or a list of places where it may lie;"
        " the first run starts at the newest.",
    )
    working_dir: str = setting(
        "",
        parsers.folder,
        'Where load packages and downloads lie while they are worked on; "" is below dlt\'s pipelines folder.',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedshiftSettings(Settings):
    """`[destination.redshift]`: what hauser-dlt adds to dlt's own settings of Redshift."""

    section: ClassVar[SettingPath] = ("destination", "redshift")

    varchar_max: int = setting(
        65535,
        parsers.between(1, 65535),
        "The longest text of a column, in bytes. Longer text is truncated at a character boundary.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BigQuerySettings(Settings):
    """`[destination.bigquery]`: what hauser-dlt adds to dlt's own settings of BigQuery."""

    section: ClassVar[SettingPath] = ("destination", "bigquery")

    partition_expiration: timedelta = setting(
        "0",
        parsers.duration,
        'The age at which BigQuery deletes a day of events, such as "8760h" for a year; "0" keeps all days.',
    )


KINDS: tuple[type[Settings], ...] = (SourceSettings, RunSettings, RedshiftSettings, BigQuerySettings)
"""All dataclasses of settings."""

FORMER: dict[SettingPath, SettingPath] = {
    (*RedshiftSettings.section, "varchar_max"): (*RunSettings.section, "varchar_max"),
    (*BigQuerySettings.section, "partition_expiration"): (*RunSettings.section, "partition_expiration"),
}
"""Where a setting stands -> where it stood in earlier releases. That still works, with a warning."""
