"""INFORMATION_SCHEMA of the Snowflake emulator, as views on Postgres's own, and what it keeps for itself.

https://docs.snowflake.com/en/sql-reference/info-schema: names as they are stored, types as Snowflake calls them.
"""

from emulators.snowflake_sql import LONGEST

_KIND = """CASE data_type
    WHEN 'character varying' THEN 'TEXT' WHEN 'text' THEN 'TEXT' WHEN 'double precision' THEN 'FLOAT'
    WHEN 'numeric' THEN 'NUMBER' WHEN 'boolean' THEN 'BOOLEAN' WHEN 'timestamp with time zone' THEN 'TIMESTAMP_LTZ'
    WHEN 'timestamp without time zone' THEN 'TIMESTAMP_NTZ' WHEN 'json' THEN 'VARIANT' WHEN 'date' THEN 'DATE'
    WHEN 'bytea' THEN 'BINARY' ELSE UPPER(data_type) END"""
_HIDDEN = "('pg_catalog', 'information_schema', 'INFORMATION_SCHEMA', '_emulator', 'public')"


def catalog(database: str) -> str:
    """Return the SQL that makes it."""
    return f"""
CREATE SCHEMA _emulator;
CREATE TABLE _emulator.loads (name text, file text, etag text);
CREATE TABLE _emulator.privileges (schema text, name text, grantee text, privilege text);
CREATE SCHEMA "INFORMATION_SCHEMA";
CREATE VIEW "INFORMATION_SCHEMA"."SCHEMATA" AS
SELECT '{database}' AS "CATALOG_NAME", schema_name::text AS "SCHEMA_NAME" FROM information_schema.schemata
WHERE schema_name NOT LIKE 'pg\\_%' AND schema_name NOT IN {_HIDDEN};
CREATE VIEW "INFORMATION_SCHEMA"."TABLES" AS
SELECT '{database}' AS "TABLE_CATALOG", table_schema::text AS "TABLE_SCHEMA", table_name::text AS "TABLE_NAME",
    CASE table_type WHEN 'BASE TABLE' THEN 'BASE TABLE' ELSE 'VIEW' END AS "TABLE_TYPE", 'LOADING' AS "TABLE_OWNER"
FROM information_schema.tables WHERE table_schema NOT IN {_HIDDEN};
CREATE VIEW "INFORMATION_SCHEMA"."COLUMNS" AS
SELECT '{database}' AS "TABLE_CATALOG", table_schema::text AS "TABLE_SCHEMA", table_name::text AS "TABLE_NAME",
    column_name::text AS "COLUMN_NAME", ordinal_position::int AS "ORDINAL_POSITION", is_nullable::text AS "IS_NULLABLE",
    {_KIND} AS "DATA_TYPE", column_default::text AS "COLUMN_DEFAULT",
    CASE WHEN data_type IN ('character varying', 'text') THEN COALESCE(character_maximum_length, {LONGEST}) END
        ::int AS "CHARACTER_MAXIMUM_LENGTH",
    CASE WHEN data_type = 'numeric' THEN numeric_precision END::int AS "NUMERIC_PRECISION",
    CASE WHEN data_type = 'numeric' THEN numeric_scale END::int AS "NUMERIC_SCALE"
FROM information_schema.columns WHERE table_schema NOT IN {_HIDDEN};
CREATE VIEW "INFORMATION_SCHEMA"."TABLE_PRIVILEGES" AS
SELECT 'LOADING' AS "GRANTEE", table_schema::text AS "TABLE_SCHEMA", table_name::text AS "TABLE_NAME",
    'OWNERSHIP' AS "PRIVILEGE_TYPE" FROM information_schema.tables
WHERE table_schema NOT IN {_HIDDEN}
    AND (table_schema, table_name) NOT IN (SELECT schema, name FROM _emulator.privileges)
UNION ALL SELECT grantee, schema, name, privilege FROM _emulator.privileges WHERE privilege <> 'NONE';
"""
