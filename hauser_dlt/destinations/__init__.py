"""Destinations: what dlt is told about each, and how it is inspected; `adapter_for` chooses."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from dlt.common.destination import Destination
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.destinations.sql_client import WithSqlClient

from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.refused import REASONS
from hauser_dlt.errors import ConfigError

__all__ = ["DestinationAdapter", "adapter_for"]

# dlt's type of a destination -> module and class of its adapter, imported late: others do without its driver
_ADAPTERS = {
    "bigquery": ("bigquery", "BigQueryAdapter"),
    "duckdb": ("duckdb", "DuckDbAdapter"),
    "ducklake": ("ducklake", "DuckLakeAdapter"),
    "motherduck": ("motherduck", "MotherDuckAdapter"),
    "postgres": ("postgres", "PostgresAdapter"),
    "redshift": ("redshift", "RedshiftAdapter"),
    "snowflake": ("snowflake", "SnowflakeAdapter"),
}
_FILES = {  # table_format -> likewise
    "": ("files", "FilesAdapter"),
    "delta": ("delta", "DeltaAdapter"),
    "iceberg": ("iceberg", "IcebergAdapter"),
}
_LIBRARIES = {"": "dlt", "delta": "deltalake", "iceberg": "pyiceberg"}  # table_format -> what must be installed
_OTHER = ("adapter", "DestinationAdapter")
_EXTRAS = ("bigquery", "postgres", "redshift", "snowflake")  # see pyproject.toml


def adapter_for(run: RunSettings, settings: SourceSettings, *, reading: bool = False) -> DestinationAdapter:
    """Return the destination that the settings name.

    Args:
        reading: it will not be changed; what is not there is not made, and taken for empty.

    Raises:
        ConfigError: dlt knows no such destination, or it lacks a setting.
    """
    holds_files = run.destination == "filesystem" or run.storage_only
    if holds_files:
        module, name = _FILES[run.table_format]
        if find_spec(_LIBRARIES[run.table_format]) is None:
            raise ConfigError(
                f"table_format = {run.table_format!r}: {_LIBRARIES[run.table_format]} is not installed;"
                f" pip install 'hauser-dlt[{run.table_format}]'"
            )
    else:
        module, name = _ADAPTERS.get(_kind(run.destination), _OTHER)
    adapter: type[DestinationAdapter] = getattr(import_module(f"{__name__}.{module}"), name)
    return adapter.of(run, settings, reading=reading)


def _kind(destination: str) -> str:
    """Return dlt's type of a destination.

    Raises:
        ConfigError: dlt knows none of this name, its driver is missing, or loads would not be exactly once there.
    """
    try:
        found: Any = Destination.from_reference(destination)
        kind = str(found.destination_type).rpartition(".")[2]
        if kind in REASONS:
            raise ConfigError(
                f"destination = {destination!r}: hauser-dlt cannot be exactly once there: {REASONS[kind]}; choose files"
                " or another destination, or have a script run dlt's pipeline.run(fullstory()), with dlt's guarantees"
            )
        has_tables = issubclass(found.client_class, WithSqlClient)
    except UnknownDestinationModule:
        raise ConfigError(
            f"destination = {destination!r}: dlt has no such destination;"
            " duckdb, filesystem, postgres, redshift, bigquery and snowflake are some"
        ) from None
    except ImportError as exc:
        package = "hauser-dlt" if destination in _EXTRAS else "dlt"
        raise ConfigError(
            f"destination = {destination!r}: its driver is not installed (no {exc.name});"
            f" pip install '{package}[{destination}]'"
        ) from None
    if not has_tables:
        raise ConfigError(f"destination = {destination!r}: it holds neither files nor tables that SQL can ask")
    return kind
