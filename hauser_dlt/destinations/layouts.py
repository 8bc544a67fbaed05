"""How a new export table is laid out: by time, for events are asked for by day."""

from typing import Any

from dlt.destinations.adapters import bigquery_adapter
from dlt.destinations.impl.bigquery.bigquery_adapter import CLUSTER_COLUMNS_HINT, CLUSTER_HINT, PARTITION_HINT
from dlt.extract import DltResource

from hauser_dlt.fields import EVENT_START

_CLUSTERED = ["EventType", "UserId", "SessionId"]  # what events are mostly filtered and grouped by
CLUSTERED_BY_DAY = "x-hauser-cluster-by-day"
"""The hint on a table that Snowflake clusters by the day of a column, whose name it is."""
_HINTS = {"sort", "cluster", "partition", PARTITION_HINT, CLUSTER_HINT, CLUSTER_COLUMNS_HINT}


def is_laid_out(events: DltResource) -> bool:
    """Tell whether a user has said how the table is laid out."""
    table: Any = events.compute_table_schema()
    return bool(_HINTS & {*table, *(hint for column in table["columns"].values() for hint in column)})


def sorted_by_time(events: DltResource) -> None:
    """Have Redshift sort the table."""
    events.apply_hints(columns={EVENT_START: {"data_type": "timestamp", "sort": True}})


def clustered_by_day(events: DltResource) -> None:
    """Have Snowflake cluster the table."""
    hints: Any = {CLUSTERED_BY_DAY: EVENT_START}
    events.apply_hints(additional_table_hints=hints)


def partitioned_by_day(events: DltResource) -> None:
    """Have BigQuery partition the table, and cluster it."""
    bigquery_adapter(events, partition=EVENT_START, cluster=_CLUSTERED)
