"""dlt's memory of a run: the cursor, and the states of its resources, as the destination has them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import dlt

from hauser_dlt.source.events import cursor_in
from hauser_dlt.source.schema import SCHEMA


def states(pipeline: dlt.Pipeline) -> Mapping[str, Any]:
    """Return the states of the source's resources."""
    found: Mapping[str, Any] = pipeline.state.get("sources", {}).get(SCHEMA.name, {}).get("resources", {})
    return found


def cursor(pipeline: dlt.Pipeline) -> datetime | None:
    """Return the end of the newest window that runs have loaded by going on; None if there was no run."""
    return cursor_in(states(pipeline).get("fs_sync", {}))


def rewind(pipeline: dlt.Pipeline, to: datetime, column: str) -> None:
    """Set the cursor back.

    Args:
        column: the name of `BundleEndTime` in the sync table.
    """
    with pipeline.managed_state() as state:
        incremental = state["sources"][SCHEMA.name]["resources"]["fs_sync"]["incremental"]
        incremental[column].update(last_value=to, unique_hashes=[])
