"""MotherDuck: DuckDB as a service. What is said of a DuckDB file is true here, but for the file."""

from collections.abc import Collection
from typing import Any

from dlt.common.destination import Destination
from dlt.destinations.impl.motherduck.motherduck import MotherDuckClient

from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.destinations.access import Access
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.duckdb import access
from hauser_dlt.destinations.duckdb_file import hide_progress
from hauser_dlt.destinations.guarded import with_client


class QuietMotherDuckClient(MotherDuckClient):
    """Prints nothing in the midst of results."""

    def __init__(self, schema: Any, config: Any, capabilities: Any) -> None:
        hide_progress(config.credentials)
        super().__init__(schema, config, capabilities)


class MotherDuckAdapter(DestinationAdapter):
    """A database of MotherDuck's."""

    @classmethod
    def make(cls, run: RunSettings, *, reading: bool) -> Any:
        """Return MotherDuck."""
        destination: Any = Destination.from_reference(run.destination)
        with_client(destination, QuietMotherDuckClient)
        return destination

    def read_access(self, storage: Any, tables: Collection[str]) -> Access:
        """Return what the catalog says."""
        return access(storage, tables)
