"""What DuckDB's catalog says of our tables (https://duckdb.org/docs/stable/sql/meta/duckdb_table_functions)."""

from collections.abc import Collection
from typing import Any

from hauser_dlt.access import Access, Relation

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
