"""FullStory's events in your own warehouse, as a dlt source.

`run`, `reload`, `status` and `check` do what the command `hauser-dlt` does: each event is loaded exactly once, and a
`Summary` tells what was done. `HauserError` is what they raise.

`fullstory` is the source for dlt pipelines of your own, and `account` makes one for each of several accounts.
`redshift`, `bigquery` and `snowflake` are dlt's destinations of these names, safe on existing tables.
"""

from importlib import import_module
from typing import Any

__all__ = [
    "HauserError",
    "Summary",
    "TransientError",
    "account",
    "bigquery",
    "check",
    "fullstory",
    "redshift",
    "reload",
    "run",
    "snowflake",
    "status",
]

_HOMES = {
    "HauserError": ("hauser_dlt.errors", "HauserError"),
    "Summary": ("hauser_dlt.reports.summary", "Summary"),
    "TransientError": ("hauser_dlt.errors", "TransientError"),
    "account": ("hauser_dlt.source.fullstory", "account"),
    "bigquery": ("hauser_dlt.destinations.bigquery", "ExactBigQuery"),
    "fullstory": ("hauser_dlt.source.fullstory", "fullstory"),
    "check": ("hauser_dlt.api", "check"),
    "redshift": ("hauser_dlt.destinations.redshift", "ExactRedshift"),
    "reload": ("hauser_dlt.api", "reload"),
    "run": ("hauser_dlt.api", "run"),
    "snowflake": ("hauser_dlt.destinations.snowflake", "ExactSnowflake"),
    "status": ("hauser_dlt.api", "status"),
}


def __getattr__(name: str) -> Any:
    # Late, because dlt and pyarrow take a second to import, and `hauser-dlt --help` needs neither.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
