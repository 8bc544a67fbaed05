"""What is known of each destination without connecting to it. No drivers: they need not be installed.

A pipeline of the user's own reaches a destination of dlt's, and `hauser-dlt run` one of our classes made of it; both
are found here. What takes code to do at a destination stands in its adapter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dlt
from dlt.extract import DltResource

from hauser_dlt.destinations.dialect import Dialect
from hauser_dlt.destinations.layouts import partitioned_by_day, sorted_by_time


@dataclass(frozen=True, slots=True)
class Traits:
    """What differs between destinations.

    Attributes:
        kind: dlt's name of it.
        rows_as: the file format in which rows that are dicts arrive unaltered; "" is the one that dlt chooses.
        batches_as: the same of Arrow batches.
        merges: rows can be merged with those that are there.
        lay_out: tells dlt how to lay out a new export table.
        columns, column_prefixes: names, and beginnings of names, of columns that it keeps for itself.
        schema_prefixes: beginnings of names of schemas that it keeps for itself.
        dialect: its SQL; None where no dbt project is written for it.
    """

    kind: str = ""
    rows_as: str = ""
    batches_as: str = ""
    merges: bool = True
    lay_out: Callable[[DltResource], None] | None = None
    columns: tuple[str, ...] = ()
    column_prefixes: tuple[str, ...] = ()
    schema_prefixes: tuple[str, ...] = ()
    dialect: Dialect | None = None


ANY = Traits()

# DuckDB's way to other zones is an extension, which may not be installed
_DUCKDB_SQL = Dialect("duckdb", in_utc="make_timestamp(epoch_us({}))")
_BIGQUERY_SQL = Dialect(
    "bigquery",
    quote="`",
    in_utc="{}",
    zoned="timestamp '{}+00'",
    layout="partition_by={'field': 'event_start', 'data_type': 'timestamp', 'granularity': 'day'}, "
    "cluster_by=['event_type', 'user_id', 'session_id']",
)
# late binding lets others change the table below a view
_REDSHIFT_SQL = Dialect("redshift", fold=str.lower, layout="bind=false, sort='event_start'")


_SNOWFLAKE_SQL = Dialect(
    "snowflake",
    in_utc="convert_timezone('UTC', {})::timestamp_ntz",
    zoned="to_timestamp_tz('{} +00:00')",
    plain="to_timestamp_ntz('{}')",
    fold=str.upper,
)

# https://www.postgresql.org/docs/current/ddl-system-columns.html
_POSTGRES_COLUMNS = ("cmax", "cmin", "ctid", "tableoid", "xmax", "xmin")

POSTGRES = Traits(
    "postgres",
    batches_as="insert_values",  # dlt would choose CSV, and have each "" read as NULL
    columns=_POSTGRES_COLUMNS,
    schema_prefixes=("pg_",),
    dialect=Dialect("postgres"),
)
REDSHIFT = Traits(
    "redshift",
    rows_as="parquet",  # it matches the keys of JSON in lower case, and says nothing of those that it does not find
    batches_as="parquet",
    lay_out=sorted_by_time,
    # Postgres 8's, and those by which Redshift tells versions of rows apart
    columns=(*_POSTGRES_COLUMNS, "deletexid", "insertxid", "oid"),
    column_prefixes=("padb_internal_",),
    schema_prefixes=("pg_",),
    dialect=_REDSHIFT_SQL,
)
BIGQUERY = Traits(
    "bigquery",
    rows_as="parquet",
    batches_as="parquet",
    lay_out=partitioned_by_day,
    # https://cloud.google.com/bigquery/docs/schemas#column_names, and the pseudocolumns of change data
    column_prefixes=("_change_", "_colidentifier", "_file_", "_partition", "_row_timestamp", "_table_", "__root__"),
    dialect=_BIGQUERY_SQL,
)
SNOWFLAKE = Traits(
    "snowflake",
    rows_as="parquet",
    batches_as="parquet",
    dialect=_SNOWFLAKE_SQL,
)
_OF_DLTS: dict[type[Any], Traits] = {
    dlt.destinations.bigquery: BIGQUERY,
    dlt.destinations.duckdb: Traits("duckdb", dialect=_DUCKDB_SQL),
    dlt.destinations.ducklake: Traits("ducklake", dialect=_DUCKDB_SQL),
    dlt.destinations.filesystem: Traits("filesystem", merges=False),
    dlt.destinations.motherduck: Traits("motherduck", dialect=_DUCKDB_SQL),
    dlt.destinations.postgres: POSTGRES,
    dlt.destinations.redshift: REDSHIFT,
    dlt.destinations.snowflake: SNOWFLAKE,
}


def traits_of(destination: Any) -> Traits:
    """Return what is known of a destination of dlt's, or of a class made of it, which may have `traits` of its own.

    Of none, and of those that we do not know, nothing is special.
    """
    own = getattr(destination, "traits", None)
    if isinstance(own, Traits):
        return own
    if destination is None:
        return ANY
    found = next(filter(None, map(_OF_DLTS.get, type(destination).__mro__)), None)
    return found or Traits(destination.destination_type.rpartition(".")[2])
