"""FullStory's events in your own warehouse, as a dlt source.

`fullstory` is the source, and `account` makes one for each of several accounts. `redshift` and `bigquery` are dlt's
destinations of these names, safe on tables that other hands have made or changed. Everything else is behind the
command `hauser-dlt`.
"""

from importlib import import_module
from typing import Any

__all__ = ["account", "bigquery", "fullstory", "redshift"]

_HOMES = {
    "account": ("hauser_dlt.source", "account"),
    "bigquery": ("hauser_dlt.destinations.bigquery", "ExactBigQuery"),
    "fullstory": ("hauser_dlt.source", "fullstory"),
    "redshift": ("hauser_dlt.destinations.redshift", "ExactRedshift"),
}


def __getattr__(name: str) -> Any:
    # Late, because dlt and pyarrow take a second to import, and `hauser-dlt --help` needs neither.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
