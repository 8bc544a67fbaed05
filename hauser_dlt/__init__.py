"""FullStory's events in your own warehouse, as a dlt source.

`fullstory` is the source; everything else is behind the command `hauser-dlt`.
"""

from typing import Any

__all__ = ["fullstory"]


def __getattr__(name: str) -> Any:
    # Late, because dlt and pyarrow take a second to import, and `hauser-dlt --help` needs neither.
    if name == "fullstory":
        from hauser_dlt.source import fullstory

        return fullstory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
