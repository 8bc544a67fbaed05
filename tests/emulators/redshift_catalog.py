"""What Redshift has in its catalogue and PostgreSQL has not, for one database of PostgreSQL's."""

CATALOG = """
SET allow_system_table_mods = on;

CREATE OR REPLACE FUNCTION pg_catalog.version() RETURNS text STABLE LANGUAGE sql AS $$
SELECT 'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.99999'
$$;
CREATE FUNCTION pg_catalog.getdate() RETURNS timestamp STABLE LANGUAGE sql AS
$$ SELECT date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC') $$;
CREATE FUNCTION pg_catalog.sysdate() RETURNS timestamp STABLE LANGUAGE sql AS
$$ SELECT transaction_timestamp() AT TIME ZONE 'UTC' $$;
CREATE FUNCTION pg_catalog.len(text) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT length($1) $$;
CREATE FUNCTION pg_catalog.nvl(anycompatible, anycompatible) RETURNS anycompatible IMMUTABLE LANGUAGE sql AS
$$ SELECT coalesce($1, $2) $$;
CREATE FUNCTION pg_catalog.from_hex(text) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$ SELECT decode($1, 'hex') $$;

CREATE DOMAIN pg_catalog.super AS text CHECK (VALUE IS JSON);
CREATE FUNCTION pg_catalog.json_parse(text) RETURNS super IMMUTABLE LANGUAGE sql AS $$ SELECT $1::super $$;
CREATE FUNCTION pg_catalog.json_serialize(super) RETURNS varchar IMMUTABLE LANGUAGE sql AS $$ SELECT $1::varchar $$;
CREATE FUNCTION pg_catalog.is_valid_json(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT $1 IS JSON OBJECT $$;

CREATE FUNCTION pg_catalog.redshift_json_path(text, text[], boolean) RETURNS varchar IMMUTABLE LANGUAGE plpgsql AS $$
DECLARE
    found json;
    value text;
BEGIN
    IF $1 IS NULL THEN RETURN NULL; END IF;
    IF $1 IS NOT JSON THEN
        IF $3 THEN RETURN NULL; END IF;
        RAISE 'JSON parsing error' USING ERRCODE = 'XX000', DETAIL = 'error:  JSON parsing error code: 8001';
    END IF;
    found := json_extract_path($1::json, VARIADIC $2);
    IF found IS NULL THEN RETURN ''; END IF;
    RETURN json_extract_path_text($1::json, VARIADIC $2);
END $$;
CREATE FUNCTION pg_catalog.json_extract_path_text(text, VARIADIC text[]) RETURNS varchar IMMUTABLE LANGUAGE sql AS
$$ SELECT redshift_json_path($1, $2, false) $$;
CREATE FUNCTION pg_catalog.json_extract_path_text(text, text, boolean) RETURNS varchar IMMUTABLE LANGUAGE sql AS
$$ SELECT redshift_json_path($1, ARRAY[$2], $3) $$;
CREATE FUNCTION pg_catalog.json_extract_path_text(text, text, text, boolean) RETURNS varchar IMMUTABLE LANGUAGE sql AS
$$ SELECT redshift_json_path($1, ARRAY[$2, $3], $4) $$;

CREATE VIEW pg_catalog.svv_information_columns AS
SELECT table_catalog, table_schema, table_name, column_name, ordinal_position, column_default, is_nullable,
    CASE WHEN domain_name = 'super' THEN 'super' WHEN data_type = 'bytea' THEN 'binary varying'
        WHEN data_type = 'text' THEN 'character varying' ELSE data_type END AS data_type,
    CASE WHEN domain_name = 'super' THEN NULL WHEN data_type = 'text' THEN 65535
        ELSE character_maximum_length END AS character_maximum_length,
    numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision, interval_type, interval_precision,
    character_set_catalog, character_set_schema, character_set_name, collation_catalog, collation_schema,
    collation_name, domain_name
FROM information_schema.columns;
CREATE VIEW pg_catalog.svv_columns AS
SELECT table_catalog, table_schema, table_name, column_name, ordinal_position, column_default, is_nullable, data_type,
    character_maximum_length, numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision,
    interval_type, interval_precision, NULL::varchar AS remarks
FROM svv_information_columns;
CREATE VIEW pg_catalog.svv_redshift_columns AS
SELECT table_catalog AS database_name, table_schema AS schema_name, table_name, column_name, ordinal_position,
    CASE WHEN character_maximum_length IS NULL THEN data_type
        ELSE data_type || '(' || character_maximum_length || ')' END AS data_type,
    column_default, is_nullable
FROM svv_information_columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema');
CREATE VIEW pg_catalog.svv_tables AS
SELECT table_catalog, table_schema, table_name, table_type, NULL::varchar AS remarks FROM information_schema.tables;
CREATE VIEW pg_catalog.svv_redshift_tables AS
SELECT table_catalog AS database_name, table_schema AS schema_name, table_name,
    CASE table_type WHEN 'BASE TABLE' THEN 'TABLE' ELSE table_type END AS table_type
FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema');
CREATE VIEW pg_catalog.svv_redshift_schemas AS
SELECT current_database() AS database_name, nspname AS schema_name, nspowner AS schema_owner, 'local' AS schema_type
FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema';
GRANT SELECT ON svv_information_columns, svv_columns, svv_redshift_columns, svv_tables, svv_redshift_tables,
    svv_redshift_schemas TO PUBLIC;
"""
