"""dlt's DuckLake destination, but its extensions are loaded once, and what is only read is neither made nor changed."""

import hashlib
import threading
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import tenacity
from dlt.destinations.impl.ducklake.ducklake import DuckLakeClient
from dlt.destinations.impl.ducklake.sql_client import DuckLakeSqlClient

from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.destinations.access import Access
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.duckdb import access
from hauser_dlt.destinations.duckdb_file import hide_progress
from hauser_dlt.destinations.guarded import with_client
from hauser_dlt.dlt_internals import connect_to
from hauser_dlt.errors import ConfigError

_FILES = ("duckdb", "sqlite")  # catalogs that are files, which DuckDB makes where there are none
_CATALOGS = (*_FILES, "md", "mysql", "postgres", "postgresql")
_SCANNERS = {"postgres": "postgres_scanner", "postgresql": "postgres_scanner", "sqlite": "sqlite_scanner"}
# Of runs side by side, one makes the catalog; and of statements that delete from one file, one commits. The others are
# told so, and nothing is left of what they did.
_together = tenacity.Retrying(
    retry=tenacity.retry_if_exception_message(match=r"(?is).*(conflict|initialize DuckLake.*(duplicate|exists))"),
    stop=tenacity.stop_after_attempt(10),
    wait=tenacity.wait_random(0.05, 0.5),
    reraise=True,
)
_lock = threading.RLock()
_kept: dict[str, duckdb.DuckDBPyConnection] = {}  # database in memory -> what keeps it
_open: Counter[str] = Counter()  # database in memory -> its connections that have the lake attached


class LakeSqlClient(DuckLakeSqlClient):
    """Connections of one database in memory for each lake, which keeps its extensions.

    DuckDB checks the signature of an extension each time it loads it, half a second for those of a lake in Postgres;
    dlt opens a database for each connection, fifteen of them for a small load.
    """

    _counted = False  # among the connections that have the lake attached

    def open_connection(self) -> duckdb.DuckDBPyConnection:
        """Open a connection that has the lake attached."""
        name = self._database
        connect_to(self.credentials, f":memory:{name}")
        with _lock:
            if name not in _kept:
                pool: Any = self.credentials.conn_pool
                _kept[name] = pool.borrow_conn()
                self._load_extensions(_kept[name])
            connection: duckdb.DuckDBPyConnection = _together(super().open_connection)
            _open[name] += 1
            self._counted = True
        return connection

    def execute_sql(self, sql: Any, *arguments: Any, **named: Any) -> Sequence[Sequence[Any]] | None:
        """Run one statement, once more if another one was quicker."""
        found: Sequence[Sequence[Any]] | None = _together(super().execute_sql, sql, *arguments, **named)
        return found

    def close_connection(self) -> None:
        """Close it; with the last one the lake is detached, and nothing is connected to its catalog any more."""
        connection: duckdb.DuckDBPyConnection | None = self.native_connection
        name = self._database
        if not connection:
            return
        with _lock:
            with suppress(duckdb.Error):  # there is no transaction, mostly
                connection.execute("ROLLBACK")
            if self._counted:  # dlt closes also one that could not attach it
                _open[name] -= 1
                self._counted = False
            connection.execute("USE memory")  # so DuckDB calls it, whatever comes behind `:memory:`
            if not _open[name]:
                lake = self.capabilities.escape_identifier(self.credentials.ducklake_name)
                connection.execute(f"DETACH DATABASE IF EXISTS {lake}")
            super(DuckLakeSqlClient, self).close_connection()

    def _load_extensions(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Load the extensions that pip has installed; what is missing DuckDB looks for itself, and downloads."""
        lake = self.credentials
        names = ["ducklake", _SCANNERS.get(lake.catalog.drivername, "")]
        if not lake.storage.is_local_filesystem:
            names.append("httpfs")
        for file in filter(None, map(_installed, names)):
            connection.execute(f"LOAD {self.capabilities.escape_literal(str(file))}")

    @property
    def _database(self) -> str:
        """Its name, another one for each lake and way to connect to it."""
        at = (self.attach_statement, self.credentials.global_config, self.credentials.extensions)
        return f"hauser_{hashlib.sha256(repr(at).encode()).hexdigest()[:16]}"


def _installed(extension: str) -> Path | None:
    """Return the file of an extension that a package of pip has brought for this version of DuckDB."""
    package = find_spec(f"duckdb_extension_{extension}")
    for folder in package.submodule_search_locations or () if package else ():
        file = Path(folder, "extensions", f"v{duckdb.__version__}", f"{extension}.duckdb_extension")
        if file.exists():
            return file
    return None


class LakeClient(DuckLakeClient):
    """Loads into a lake."""

    def __init__(self, schema: Any, config: Any, capabilities: Any) -> None:
        _refuse_unusable(config.credentials, config.normalize_dataset_name(schema))
        hide_progress(config.credentials)
        super().__init__(schema, config, capabilities)
        theirs = self.sql_client
        self.sql_client = LakeSqlClient(
            theirs.dataset_name,
            theirs.staging_dataset_name,
            theirs.credentials,
            capabilities,
            override_data_path=theirs.override_data_path,
            automatic_migration=theirs.automatic_migration,
        )


def _refuse_unusable(lake: Any, dataset: str) -> None:
    """Make sure that there can be such a lake.

    Raises:
        ConfigError: there cannot.
    """
    if lake.catalog.drivername not in _CATALOGS:
        raise ConfigError(
            f"the lake's catalog is of {lake.catalog.drivername!r}: allowed is an address such as"
            " postgres://user:password@host/database, sqlite:///lake.sqlite or duckdb:///lake.duckdb"
        )
    if dataset.lower() == lake.ducklake_name.lower():
        raise ConfigError(f"dataset_name = {dataset!r}: so the lake is called; change either name")


class ReadingLakeClient(LakeClient):
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
        with_client(destination, ReadingLakeClient if reading else LakeClient)
        return destination

    def read_access(self, storage: Any, tables: Collection[str]) -> Access:
        """Return what the catalog says."""
        return access(storage, tables)
