"""A dbt project for the tables of a pipeline, out of the templates in `template/`; made again, it is refreshed.

What the tables are called and how their columns are spelled is asked of the destination, so that tables of any origin
are read as they are; what is not there yet is called as a run will make it.
"""

import json
import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from dlt.destinations.impl.ducklake.configuration import DuckLakeCredentials
from dlt.destinations.impl.motherduck.configuration import MotherDuckCredentials

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.dbt import column_docs
from hauser_dlt.dbt.lake_connection import from_environment, lake_connection
from hauser_dlt.dbt.snowflake_connection import snowflake_connection
from hauser_dlt.destinations.dialect import Dialect
from hauser_dlt.destinations.traits import traits_of
from hauser_dlt.error_mapping import translated
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import EVENT_START, LOAD_ID, ROW_WINDOW, SYNC_KINDS
from hauser_dlt.ledger.model import LOADS
from hauser_dlt.records.tables import Table, Tables
from hauser_dlt.source.schema import export_kinds
from hauser_dlt.sync import Sync

_TEMPLATES = resources.files("hauser_dlt.dbt") / "template"
_RENAMED = {LOAD_ID: "load_id", ROW_WINDOW: "window_start"}
_CLICKS = {"is_click", "is_rage_click", "is_dead_click", "is_error_click"}
_DERIVED = {"session_key", "page_view_key", "page_url_bare", "partition_time", *_CLICKS}
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, also as SQL has it, what the staging model takes from it, and as what; what it holds."""

    name: str
    quoted: str
    value: str
    alias: str
    description: str


def project(sync: Sync, config: Configuration, folder: Path) -> dict[str, str]:
    """Return the files of the project: path -> text.

    Args:
        folder: where it is to lie; dbt is run there.

    Raises:
        ConfigError: the destination holds no tables, or dbt is not told here how to reach it.
    """
    dialect = traits_of(sync.target.destination).dialect
    if dialect is None:
        raise ConfigError(
            f"destination = {config.run.destination!r}: a dbt project is written for duckdb, ducklake, motherduck,"
            " postgres, redshift, bigquery and snowflake"
        )
    with translated():
        sync.inspect()
        with sync.pipeline.destination_client() as client:
            reached: Any = client
            # of existing tables, Snowflake's names may be stored in any case
            dialect = replace(dialect, fold=getattr(sync.target.destination, "folding", dialect.fold))
            schema = str(reached.sql_client.dataset_name)
            connection = dict(_connection(dialect, reached, folder))
            database = "".join(f"    database: {json.dumps(name)}\n" for name in _databases(reached))
    if dialect.adapter == "snowflake":
        database += "    quoting: {database: true, schema: true, identifier: true}\n"
    values = _values(config.source, sync.tables, dialect)
    values |= {
        "place": sync.target.place,
        "schema": json.dumps(dialect.spelled(schema)),
        "models_schema": f"{schema}_dbt",
        "database": database,
        "connection": "\n".join(f"      {name}: {value}" for name, value in connection.items()),
    }
    return {path: Template(text).substitute(values) for path, text in _templates(_TEMPLATES)}


def _templates(folder: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: str(entry.name)):
        if entry.is_dir():
            yield from _templates(entry, f"{prefix}{entry.name}/")
        else:
            # a file of that name would keep files of ours out of the package
            name = ".gitignore" if entry.name == "gitignore" else entry.name
            yield prefix + name, entry.read_text(encoding="utf-8")


def _values(settings: SourceSettings, tables: Tables, dialect: Dialect) -> dict[str, Any]:
    """Return what the templates are filled with, as far as it concerns the tables."""
    events = list(_columns(export_kinds(settings), tables.export, dialect, column_docs.EVENTS))
    windows = list(_columns({**SYNC_KINDS, "_dlt_id": "text"}, tables.sync, dialect, column_docs.WINDOWS))
    staged = [*events]
    if tables.export.by_ingestion:
        name, told = "_PARTITIONTIME", "The day by which BigQuery finds the event; filter by it."
        staged.append(Column(name, name, name, "partition_time", told))
    synced = {column.alias: column for column in windows}
    starts = next(column for column in events if column.alias == "event_start")
    freshness = max(6 * _HOUR, 2 * settings.export_duration) // _HOUR
    return {
        "events": json.dumps(dialect.spelled(settings.export_table)),
        "windows": json.dumps(dialect.spelled(settings.sync_table)),
        "loads": json.dumps(dialect.spelled(LOADS)),
        "loads_load": dialect.quoted("load_id"),
        "loads_status": dialect.quoted("status"),
        "event_columns": _described([(column.name, column.description) for column in events], 10),
        "window_columns": _described([(column.name, column.description) for column in windows], 10),
        "staged_columns": _described([(c.alias.strip(dialect.quote), c.description) for c in staged], 6),
        "columns": ",\n".join(f"        {column.value} as {column.alias}" for column in staged),
        "load": next(column.quoted for column in events if column.alias == "load_id"),
        "bounds": _bounds(starts.quoted, tables.export, dialect) if settings.keeps_to_windows else "",
        "layout": f",\n        {dialect.layout}" if dialect.layout else "",
        "sync_load": synced["load_id"].quoted,
        "sync_count": synced["event_count"].quoted,
        "sync_start": synced["bundle_start_time"].value,
        "sync_end": synced["bundle_end_time"].value,
        "sync_processed": synced["processed"].value,
        "processed": json.dumps(synced["processed"].quoted),
        "warn_hours": freshness,
        "error_hours": freshness + 24,
    }


def _columns(
    kinds: Mapping[str, Any], table: Table, dialect: Dialect, described: Mapping[str, str]
) -> Iterator[Column]:
    """Yield our columns, as the table spells them, and then those that it has besides."""
    names = {name: table.spelled(name) for name in kinds}
    taken = {*_DERIVED, *map(_alias, names)}
    ours = {spelled.lower() for spelled in names.values()}
    for name, spelled in names.items():
        column = table.column(name) or {"data_type": kinds[name]}
        yield _column(spelled, _alias(name), column, dialect, described.get(name, column_docs.OTHER))
    for name, column in table.columns.items():
        alias = _alias(str(column["name"]))
        if name not in ours and alias not in taken:
            taken.add(alias)
            yield _column(str(column["name"]), dialect.quoted(alias), column, dialect, column_docs.OTHER)


def _column(name: str, alias: str, column: Mapping[str, Any], dialect: Dialect, description: str) -> Column:
    name = dialect.spelled(name)
    value = quoted = dialect.quoted(name)
    if column["data_type"] == "timestamp" and column.get("timezone") is not False:
        value = dialect.in_utc.format(quoted)
    return Column(name, quoted, value, alias, description)


def _alias(name: str) -> str:
    """Return a name as dbt's users write it: PageUrl -> page_url."""
    return _RENAMED.get(name) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _described(columns: Iterable[tuple[str, str]], indent: int) -> str:
    lines = (f"- name: {json.dumps(name)}\n  description: {json.dumps(text)}" for name, text in columns)
    return textwrap.indent("\n".join(lines), " " * indent)


def _bounds(event_start: str, table: Table, dialect: Dialect) -> str:
    """Return what keeps a run of the staging model to the days of new windows, inside which their events lie."""
    zoned = (table.column(EVENT_START) or {}).get("timezone") is not False
    written = dialect.zoned if zoned else dialect.plain
    first, last = (written.format(f"{{{{ stretch[{n}] }}}}") for n in (0, 1))
    inside = [f"({event_start} >= {first} and {event_start} < {last}\n            or {event_start} is null)"]
    if table.by_ingestion:
        inside.append(f"_PARTITIONTIME >= timestamp_trunc({first}, day) and _PARTITIONTIME < {last}")
    bounds = "\n        and ".join(inside)
    return f"""
    {{%- set stretch = new_stretch(this) %}}
    {{%- if stretch %}}
        and {bounds}
    {{%- else %}}
        and false
    {{%- endif %}}"""


def _databases(client: Any) -> Iterator[str]:
    """Yield what the tables' schema is a part of, where dbt has to be told."""
    if isinstance(client.config.credentials, DuckLakeCredentials):
        yield client.config.credentials.ducklake_name
    elif hasattr(client.sql_client, "project_id"):
        yield client.sql_client.project_id
    elif client.config.destination_type == "snowflake":
        yield client.config.credentials.database.upper()


def _connection(dialect: Dialect, client: Any, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what dbt is to be told of how the destination is reached: a default where it is no secret."""
    yield "type", dialect.adapter
    credentials = client.config.credentials
    if isinstance(credentials, DuckLakeCredentials):
        yield from lake_connection(credentials, folder)
    elif isinstance(credentials, MotherDuckCredentials):
        yield "path", from_environment("DBT_DUCKDB_PATH", f"md:{credentials.database}")
    elif dialect.adapter == "duckdb":
        yield "path", from_environment("DBT_DUCKDB_PATH", os.path.relpath(credentials.database, folder))
    elif dialect.adapter == "bigquery":
        yield "method", from_environment("DBT_BIGQUERY_METHOD", "oauth")
        yield "keyfile", from_environment("GOOGLE_APPLICATION_CREDENTIALS", "")
        yield "project", from_environment("DBT_BIGQUERY_PROJECT", client.sql_client.project_id)
        yield "location", from_environment("DBT_BIGQUERY_LOCATION", client.config.get_location())
    elif dialect.adapter == "snowflake":
        yield from snowflake_connection(credentials)
    else:
        yield "host", from_environment("DBT_HOST", credentials.host)
        yield "port", from_environment("DBT_PORT", str(credentials.port), " | as_number")
        yield "dbname", from_environment("DBT_DATABASE", credentials.database)
        yield "user", from_environment("DBT_USER", credentials.username)
        yield "password", "\"{{ env_var('DBT_ENV_SECRET_PASSWORD') }}\""
