"""DuckDB: its file, and what its catalog says (https://duckdb.org/docs/stable/sql/meta/duckdb_table_functions)."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination import Destination

from hauser_dlt.config.lookup import find
from hauser_dlt.config.places import database_file
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.destinations.access import Access, Relation
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.duckdb_file import ExactDuckDbClient, ReadingDuckDbClient
from hauser_dlt.destinations.guarded import with_client
from hauser_dlt.errors import ConfigError
from hauser_dlt.ledger import Ledger

_SCHEMA = """
SELECT COUNT(*) > 0 FROM duckdb_schemas() WHERE schema_name = %s AND database_name = current_database()"""
_TABLES = """
SELECT t.table_name, t.table_type, (
        SELECT LIST(c.column_name) FROM duckdb_columns() c
        WHERE c.table_name = t.table_name AND c.schema_name = t.table_schema AND c.database_name = t.table_catalog
        AND NOT c.is_nullable AND c.column_default IS NULL),
    (SELECT LIST({'kind': k.constraint_type, 'text': k.constraint_text, 'columns': k.constraint_column_names})
        FROM duckdb_constraints() k
        WHERE k.table_name = t.table_name AND k.schema_name = t.table_schema AND k.database_name = t.table_catalog)
FROM information_schema.tables t
WHERE t.table_schema = %s AND t.table_catalog = current_database() AND LOWER(t.table_name) IN ({names})"""


def access(client: Any, tables: Collection[str]) -> Access:
    """Return what the catalog says of the dataset, and of some tables. There are no rights."""
    name, execute = client.sql_client.dataset_name, client.sql_client.execute_sql
    ((exists,),) = execute(_SCHEMA, name)
    spelled = {table.lower(): table for table in tables}
    names = ", ".join(["%s"] * len(spelled)) or "NULL"  # which no name is
    found = execute(_TABLES.replace("{names}", names), name, *spelled) if exists else ()
    return Access(
        name,
        exists=exists,
        reserved=name in ("information_schema", "pg_catalog"),
        relations={spelled[table.lower()]: _relation(*rest) for table, *rest in found},
    )


def _relation(kind: str, needing: list[str] | None, constraints: list[dict[str, Any]] | None) -> Relation:
    unique = {
        each["text"]: tuple(each["columns"]) for each in constraints or () if each["kind"] in ("UNIQUE", "PRIMARY KEY")
    }
    watchers = [each["text"] for each in constraints or () if each["kind"] in ("CHECK", "FOREIGN KEY")]
    kind = "view" if kind == "VIEW" else "table"
    return Relation(kind, kind == "table", needing=tuple(needing or ()), unique=unique, watchers=tuple(watchers))


class DuckDbAdapter(DestinationAdapter):
    """A file of DuckDB's."""

    @classmethod
    def make(cls, run: RunSettings, *, reading: bool) -> Any:
        """Return DuckDB, with its file as all spellings of it mean it.

        Raises:
            ConfigError: it is no file, or bears the dataset's name.
        """
        section = ("destination", run.destination)
        found = find("credentials", *section, hide=True)
        inner = found is None or isinstance(found[0], Mapping)
        named = find("database", *section, "credentials", hide=True) if inner else found
        given = _database(*named) if named else ""
        if Path(given or f"{run.pipeline_name}.duckdb").stem.lower() == run.dataset_name.lower():
            raise ConfigError(
                "a DuckDB file must not be named like its dataset: change dataset_name, or the name of"
                f" {given or f'{run.pipeline_name}.duckdb'}"
            )
        credentials: Any = None
        if given:
            credentials = {**(found[0] if found else {}), "database": given} if inner else given
        destination: Any = Destination.from_reference(run.destination, credentials=credentials)
        with_client(destination, ReadingDuckDbClient if reading else ExactDuckDbClient)
        return destination

    def read_access(self, storage: Any, tables: Collection[str]) -> Access:
        """Return what the catalog says."""
        return access(storage, tables)

    @contextmanager
    def kept_open(self, pipeline: dlt.Pipeline) -> Iterator[None]:
        """Keep the file open; all connections of a run go to what is open, see `resolving`."""
        with pipeline.destination_client():
            yield

    def at_hand(self, ledger: Ledger) -> AbstractContextManager[None]:
        """Keep the file open: to open it takes longer than a small load."""
        return ledger.connected()

    def refuse_unwritable(self, client: Any) -> bool:
        """Make sure that the file can be written to."""
        client.refuse_unwritable()
        return True


def _database(spelled: Any, where: str) -> str:
    try:
        return database_file(spelled if isinstance(spelled, str) else "")
    except ValueError as exc:
        shown = "(hidden)" if "@" in str(spelled) else repr(spelled)
        raise ConfigError(f"credentials of DuckDB = {shown} (from {where}): allowed is {exc}") from None
