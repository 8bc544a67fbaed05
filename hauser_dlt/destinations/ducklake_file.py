"""dlt's DuckLake destination, but what is only read is neither made nor changed."""

from pathlib import Path
from typing import Any

from dlt.destinations.impl.ducklake.ducklake import DuckLakeClient

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
        client._attach_statement = attached  # noqa: SLF001 - there to be set, as its comment says


def only_read(destination: Any) -> None:
    """Have a DuckLake destination change nothing."""
    kind: Any = type(destination)

    class OnlyRead(kind):  # type: ignore[misc]
        @property
        def client_class(self) -> type[DuckLakeClient]:
            return ReadingDuckLakeClient

    # to dlt, which goes by these names, it is what it was
    OnlyRead.__module__, OnlyRead.__qualname__ = kind.__module__, kind.__qualname__
    destination.__class__ = OnlyRead
