"""dlt's Postgres destination, but Parquet is loaded by COPY, and "" stays "".

dlt loads Parquet by another driver (ADBC), or else writes CSV of it, in which its COPY takes "" for NULL (FORCE_NULL on
every column).

What its catalog tells: https://www.postgresql.org/docs/current/catalog-pg-class.html, `functions-info.html` for rights.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.data_writers.escape import escape_postgres_literal
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.normalizers.naming import NamingConvention
from dlt.destinations import postgres
from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob
from pyarrow.csv import WriteOptions, write_csv
from pyarrow.parquet import ParquetFile

from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.destinations.access import Access, Relation
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.guarded import redacting
from hauser_dlt.destinations.traits import POSTGRES
from hauser_dlt.dlt_internals import client_of, file_of

_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view without a trigger INSTEAD OF INSERT",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
    "c": "type",
    "i": "index",
    "I": "index",
}
_ROWS, _SENT_AT_ONCE = 2_000, 1 << 20  # that are made CSV at once, and bytes of it
_RIGHTS = ("SELECT", "INSERT", "DELETE", "TRUNCATE")
_DATASET = """
SELECT current_setting('transaction_read_only') = 'on', has_database_privilege(current_database(), 'CREATE'),
    n.oid IS NOT NULL, has_schema_privilege(n.oid, 'USAGE'), has_schema_privilege(n.oid, 'CREATE')
FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = %s"""
# of a view, COPY makes use only with a trigger of type INSTEAD OF (64) INSERT (4)
_TABLES = """
SELECT c.relname, c.relkind::text,
    c.relkind IN ('r', 'p', 'f') OR c.relkind = 'v' AND EXISTS (
        SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgtype & 68 = 68),
    pg_has_role(c.relowner, 'USAGE'), row_security_active(c.oid),
    ARRAY(SELECT r FROM unnest(%s) r WHERE c.relkind NOT IN ('S', 'c', 'i', 'I') AND has_table_privilege(c.oid, r)),
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.attnotnull OR t.typnotnull)
        AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL ORDER BY a.attnum),
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
        AND (a.attgenerated <> '' OR a.attidentity = 'a') ORDER BY a.attnum),
    ARRAY(SELECT 'trigger ' || t.tgname FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
        UNION ALL SELECT 'rule ' || r.rulename FROM pg_catalog.pg_rewrite r
        WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'
        UNION ALL SELECT 'policy ' || p.polname FROM pg_catalog.pg_policy p
        WHERE p.polrelid = c.oid AND row_security_active(c.oid)
        UNION ALL SELECT 'constraint ' || k.conname FROM pg_catalog.pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'x')),
    (SELECT json_object_agg(i.indexrelid::regclass::text, ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])))
        FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = ANY (%s)"""


class ParquetCopyJob(RunnableLoadJob, HasFollowupJobs):
    """COPY of a Parquet file, row by row as CSV, of which nothing lies on the disk.

    It is CSV as Postgres reads it by itself: nothing at all is NULL, a pair of quotes is "" (pyarrow quotes all text).
    """

    def run(self) -> None:
        """Load the file, in one transaction."""
        client = client_of(self).sql_client
        table = client.make_qualified_table_name(self.load_table_name)
        with ParquetFile(file_of(self)) as file:
            columns = ", ".join(map(client.escape_column_name, file.schema_arrow.names))
            copy = f"COPY {table} ({columns}) FROM STDIN WITH (FORMAT CSV, ENCODING 'UTF8')"
            with client.begin_transaction(), client.native_connection.cursor() as cursor:
                cursor.copy_expert(copy, _Csv(file), _SENT_AT_ONCE)


class _Csv:
    """The rows of a Parquet file as CSV, as a file that psycopg2 reads."""

    def __init__(self, file: ParquetFile) -> None:
        self._batches = file.iter_batches(_ROWS)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return the next bytes; none at the end."""
        while not self._rest and (batch := next(self._batches, None)):
            sink = pa.BufferOutputStream()
            columns = [_as_text(column) if _has_zone(column.type) else column for column in batch.columns]
            write_csv(pa.record_batch(columns, batch.schema.names), sink, WriteOptions(include_header=False))
            self._rest = memoryview(sink.getvalue())
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece.tobytes()


def _has_zone(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) and kind.tz is not None


def _as_text(moments: pa.Array) -> pa.Array:
    """Return times as Postgres reads them, in a fifth of the time that Arrow's CSV takes for a time with a zone."""
    return pc.binary_join_element_wise(moments.cast(pa.timestamp("us")).cast(pa.string()), "Z", "")


class ExactPostgresClient(PostgresClient):
    """Loads Parquet without altering it."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Return what loads one file."""
        job = super().create_load_job(table, file_path, load_id, restore)
        return redacting(ParquetCopyJob(file_path) if isinstance(job, PostgresParquetCopyJob) else job)

    def access(self, tables: Collection[str]) -> Access:
        """Return what the catalog says of the dataset, and of some tables."""
        name, execute = self.sql_client.dataset_name, self.sql_client.execute_sql
        ((read_only, makes, exists, uses, creates),) = execute(_DATASET, name) or ()
        found = execute(_TABLES, list(_RIGHTS), name, list(tables)) if exists else ()
        return Access(
            name,
            exists=exists,
            reserved=name.startswith("pg_") or name == "information_schema",
            read_only=read_only,
            may_use=bool(uses),
            may_create=bool(creates),
            may_make=makes,
            relations={row[0]: _relation(*row[1:]) for row in found or ()},
        )

    def alters_rows(self, table_name: str) -> str:
        """Return the SQL condition that something of the user's stands between what is sent to a table and its rows.

        Where nothing does, COPY loads all rows or none, and counting them would read the whole table.
        """
        table = escape_postgres_literal(self.sql_client.make_qualified_table_name(table_name))
        return (
            f"EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = {table}::regclass AND (c.relkind <> 'r'"
            " OR c.relhasrules OR c.relrowsecurity OR EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t"
            " WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)))"
        )


def _relation(
    kind: str,
    takes_rows: bool,
    owned: bool,
    secured: bool,
    rights: list[str],
    needing: list[str],
    generated: list[str],
    watchers: list[str],
    unique: dict[str, Any] | None,
) -> Relation:
    if takes_rows and secured:  # COPY FROM refuses it
        takes_rows, kind = False, "table with row-level security, without BYPASSRLS"
    shown = _KINDS.get(kind, kind)
    return Relation(
        shown, takes_rows, frozenset(rights), owned, tuple(needing), tuple(generated), unique or {}, tuple(watchers)
    )


class ExactPostgres(postgres):
    """Postgres, with every value as it was sent."""

    traits = replace(POSTGRES, batches_as="parquet")

    @classmethod
    def adjust_capabilities(
        cls,
        caps: DestinationCapabilitiesContext,
        config: PostgresClientConfiguration,
        naming: NamingConvention | None,
    ) -> DestinationCapabilitiesContext:
        """Return what Postgres can do; Parquet needs no other driver."""
        found: Any = super().adjust_capabilities(caps, config, naming)
        found.loader_file_format_selector = None  # which takes Parquet away where ADBC is not installed
        return found  # type: ignore[no-any-return]

    @property
    def client_class(self) -> type[PostgresClient]:
        """The client that loads Parquet by COPY."""
        return ExactPostgresClient


class PostgresAdapter(DestinationAdapter):
    """Postgres."""

    @classmethod
    def make(cls, run: RunSettings, *, reading: bool) -> Any:
        """Return Postgres, with every value as it was sent."""
        return ExactPostgres(destination_name=run.destination)
