"""The settings of a run, and those that hauser-dlt adds to dlt's own of a destination: each is declared once, here.

`.dlt/config.toml` and docs/settings.md are made from these declarations.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from hauser_dlt.config import parsers, webhook_parsers
from hauser_dlt.config.declaration import SettingPath, Settings, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings(Settings):
    """`[hauser]`: where to load it, and how a run goes."""

    section: ClassVar[SettingPath] = ("hauser",)

    destination: str = setting(
        "duckdb",
        parsers.text,
        "The dlt destination: duckdb, filesystem, postgres, redshift, bigquery, snowflake or another one. Its own"
        " settings are under [destination.<name>].",
    )
    dataset_name: str = setting(
        "fullstory",
        parsers.name,
        "The schema, dataset or database that contains the tables. With filesystem, the tables are folders"
        " directly below bucket_url.",
    )
    pipeline_name: str = setting(
        "hauser_dlt",
        parsers.name,
        "The name of the dlt pipeline. dlt stores its state in the destination under this name.",
    )
    snapshots_every: timedelta = setting(
        "24h",
        parsers.duration,
        "The minimum time between two loads of individuals and segments.",
    )
    refresh_for: timedelta = setting(
        "0",
        parsers.duration,
        "Load a window once more when its events are this old, if they were younger at its first load. With"
        ' "24h" and a short export_delay, events arrive early, and late events are added after a day. "0" loads'
        " each window once. Segment exports only.",
    )
    staging: str = setting(
        "",
        parsers.one_of("", "filesystem"),
        'Where to stage load packages: "filesystem" is the bucket of [destination.filesystem], which Redshift'
        ' always uses; "" sends data directly to the destination.',
    )
    storage_only: bool = setting(
        False,
        parsers.flag,
        'Redshift and BigQuery only: write files to [destination.filesystem], as destination = "filesystem"'
        " does, and load nothing into the warehouse.",
    )
    group_by_day: bool | None = setting(
        "auto",
        parsers.by_day,
        "What to load at a time: true is a whole UTC day (one file per day), false is a window (one file per"
        ' window), and "auto" is a day while more than a day behind, then a window.',
    )
    file_format: str = setting(
        "parquet",
        parsers.one_of("parquet", "csv", "jsonl", "json"),
        'filesystem only: "parquet", "csv", "jsonl", or "json", which is exactly what FullStory sent.',
    )
    table_format: str = setting(
        "",
        parsers.one_of("", "delta", "iceberg"),
        'filesystem only: "delta" or "iceberg" has tables of that format in bucket_url, in the place of files of their'
        " own, and takes no file_format.",
    )
    expire_snapshots: timedelta = setting(
        "0",
        parsers.duration,
        "Delta and Iceberg only: when all of a day is loaded, let go of versions of the tables that are older than"
        ' "168h", say (at least "24h", and longer than a load takes). "0" leaves that to you.',
    )
    csv_escape_formulas: bool = setting(
        False,
        parsers.flag,
        "CSV only: put a ' before text that a spreadsheet would run as a formula (text that begins with = + -"
        " @, tab, CR or LF). Visitors can type such text. The ' changes the exported values.",
    )
    compress: bool = setting(
        False,
        parsers.flag,
        "filesystem only: compress the files with gzip. Parquet files are always compressed.",
    )
    workers: int | None = setting(
        "auto",
        parsers.at_once,
        "How many processes convert events into files at the same time, when there is much to load. Each uses up to"
        ' 350 MB. "auto" is one for each processor that the machine or container offers, up to 8, as far as memory'
        " allows; 1 starts no processes.",
    )
    hauser_sync_file: tuple[str, ...] = setting(
        "",
        parsers.places,
        "The checkpoint of the Go hauser (.sync.hauser): a path, a URL such as s3://my-bucket/.sync.hauser, or"
        " a list of them. The first run starts at the newest checkpoint.",
    )
    working_dir: str = setting(
        "",
        parsers.folder,
        'The local folder for downloads and load packages in progress. "" is a folder below dlt\'s pipelines folder.',
    )
    max_disk: int | None = setting(
        "auto",
        parsers.size,
        'How much may lie in working_dir at once, such as "20 GB": fewer bundles are downloaded and converted ahead of'
        ' what is being loaded. A single load package that needs more is loaded all the same, with a warning. "auto"'
        " is nine tenths of what the disk has free at the time.",
    )
    webhook_url: str = setting(
        "",
        webhook_parsers.address,
        "The address to which a JSON document is posted when a run or reload fails. It may hold a token: put it into"
        " .dlt/secrets.toml or the environment.",
        hide=True,
    )
    webhook_on_success: bool = setting(
        False,
        parsers.flag,
        "Post it when a run or reload ends well, too.",
    )
    webhook_tags: dict[str, str] = setting(
        {},
        webhook_parsers.tags,
        'What to add to each such document: a table of name = text, such as { team = "growth" }.',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedshiftSettings(Settings):
    """`[destination.redshift]`: what hauser-dlt adds to dlt's own settings of Redshift."""

    section: ClassVar[SettingPath] = ("destination", "redshift")

    varchar_max: int = setting(
        65535,
        parsers.between(1, 65535),
        "The maximum length of text in a column, in bytes (1 to 65535). Longer text is truncated at a character"
        " boundary.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BigQuerySettings(Settings):
    """`[destination.bigquery]`: what hauser-dlt adds to dlt's own settings of BigQuery."""

    section: ClassVar[SettingPath] = ("destination", "bigquery")

    partition_expiration: timedelta = setting(
        "0",
        parsers.duration,
        'How long to keep a day of events before BigQuery deletes it, such as "8760h" for a year. "0" keeps it'
        " forever.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SnowflakeSettings(Settings):
    """`[destination.snowflake]`: what hauser-dlt adds to dlt's own settings of Snowflake."""

    section: ClassVar[SettingPath] = ("destination", "snowflake")

    cluster_by_day: bool = setting(
        False,
        parsers.flag,
        "Cluster a new table of events by the day of EventStart. Snowflake charges for keeping a table clustered, and"
        " events arrive in the order of their days anyway.",
    )


FORMER: dict[SettingPath, SettingPath] = {
    (*RedshiftSettings.section, "varchar_max"): (*RunSettings.section, "varchar_max"),
    (*BigQuerySettings.section, "partition_expiration"): (*RunSettings.section, "partition_expiration"),
}
"""Where a setting stands -> where it stood in earlier versions. That still works, with a warning."""
