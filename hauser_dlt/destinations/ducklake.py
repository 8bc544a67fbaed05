"""dlt's DuckLake destination, but what is only read is neither made nor changed."""

from pathlib import Path
from typing import Any

from dlt.destinations.impl.ducklake.ducklake import DuckLakeClient

from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.guarded import with_client

_FILES = ("duckdb", "sqlite")  # catalogs that are files, which DuckDB makes where there are none


class ReadingDuckLakeClient(DuckLakeClient):
    """Reads a lake; one whose catalog is a file that is not there is empty, and not made."""

    def __init__(self, schema: Any, config: Any, capabilities: Any) -> None:
        super().__init__(schema, config, capabilities)
        client: Any = self.sql_client
        lake, attached = config.credentials, client.attach_statement
        if lake.catalog.drivername in _FILES and not Path(lake.catalog.database or "").exists():
            attached = f"ATTACH IF NOT EXISTS ':memory:' AS {lake.ducklake_name}"
        else:
            attached = f"{attached.removesuffix(')')}, READ_ONLY)"
        client.build_attach_statement = lambda **_: attached


class DuckLakeAdapter(DestinationAdapter):
    """A lake of DuckDB's."""

    @classmethod
    def make(cls, run: RunSettings, *, reading: bool) -> Any:
        """Return dlt's destination, which changes nothing if it is only read."""
        destination = super().make(run, reading=reading)
        if reading:
            with_client(destination, ReadingDuckLakeClient)
        return destination
