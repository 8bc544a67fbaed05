r"""dlt's client of Snowflake, but each value arrives as it was sent, and what is staged goes.

dlt's COPY takes the text `\N` for NULL, gives a file that is sent again another name (by which Snowflake knows what it
has loaded), and leaves what it has staged (https://docs.snowflake.com/en/sql-reference/sql/copy-into-table).
"""

import copy
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dlt.common.data_writers.escape import escape_snowflake_literal
from dlt.common.destination.client import HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.typing import TColumnType, TTableSchemaColumns
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.impl.snowflake.snowflake import SnowflakeClient, SnowflakeLoadJob
from dlt.destinations.job_impl import ReferenceFollowupJobRequest

from hauser_dlt.destinations.access import Access, Relation
from hauser_dlt.destinations.guarded import redacting
from hauser_dlt.destinations.layouts import CLUSTERED_BY_DAY
from hauser_dlt.destinations.snowflake_copy import copy_statement, in_external_stage, staged_at
from hauser_dlt.destinations.snowflake_names import refuse_twins
from hauser_dlt.dlt_internals import client_of, file_of

_RIGHTS = ("SELECT", "INSERT", "DELETE", "TRUNCATE")
_LONGEST = 16_777_216
"""Characters of a VARCHAR that is declared without a length; in bytes, none took more before 2025."""
# seconds; the connector would try for ever, and at each login ask the metadata servers of clouds where it is
_PATIENT = {"login_timeout": 60, "network_timeout": 600, "platform_detection_timeout_seconds": 0}
# A process that dies leaves its transaction, which Snowflake ends only when it has stood in somebody's way for five
# minutes (https://docs.snowflake.com/en/sql-reference/transactions#aborting-transactions), and perhaps a statement.
_SESSION = {"LOCK_TIMEOUT": 900, "ABORT_DETACHED_QUERY": True}


class ExactCopyJob(RunnableLoadJob, HasFollowupJobs):
    """COPY of one Parquet file into the columns of its fields' names.

    Of a file that was loaded already Snowflake loads nothing again, by its name and its content; so a job whose answer
    was lost may be run once more.
    """

    def __init__(self, file_path: str, load_id: str, config: Any) -> None:
        super().__init__(file_path)
        self._package = load_id
        self._settings = config

    def run(self) -> None:
        """Stage the file if it is on this machine, and load it in one transaction."""
        client = client_of(self).sql_client
        table = client.make_qualified_table_name(self.load_table_name)
        if ReferenceFollowupJobRequest.is_reference_job(str(file_of(self))):
            url = str(ReferenceFollowupJobRequest.resolve_reference(str(file_of(self))))
            with client.begin_transaction():
                client.execute_sql(copy_statement(table, **self._in_bucket(url)))
            return
        folder = f"{client_of(self).staging_folder}/{self._package}"
        with _under_its_own_name(file_of(self)) as path:
            client.execute_sql(
                f"PUT {escape_snowflake_literal(f'file://{path.as_posix()}')} {escape_snowflake_literal(folder)}"
                " OVERWRITE = TRUE AUTO_COMPRESS = FALSE"
            )
            staged = f"{folder}/{path.name}"
        with client.begin_transaction():
            client.execute_sql(copy_statement(table, staged))
        with suppress(DatabaseException):  # the next run removes it
            client.execute_sql(f"REMOVE {escape_snowflake_literal(staged)}")

    def _in_bucket(self, url: str) -> dict[str, Any]:
        stage, bucket = self._settings.stage_name, self._settings.staging_config
        if stage:
            return {"location": in_external_stage(stage, url, bucket.bucket_url)}
        return {"location": url, "credentials": bucket.credentials}


@contextmanager
def _under_its_own_name(file: Path) -> Iterator[Path]:
    """Provide a file under a name that stays the same however often it is sent."""
    with TemporaryDirectory(prefix="hauser-dlt-") as folder:
        path = Path(folder) / ParsedLoadJobFileName.parse(file.name).job_id()
        try:
            path.symlink_to(file.resolve())
        except OSError:  # Windows allows it to some users only
            shutil.copyfile(file, path)
        yield path


class ExactSnowflakeClient(SnowflakeClient):
    """Loads Parquet exactly, finds columns whatever their case, and leaves the clustering of existing tables alone."""

    def __init__(self, schema: Any, config: Any, capabilities: Any) -> None:
        super().__init__(schema, config, capabilities)
        credentials = copy.copy(self.sql_client.credentials)
        said = dict(credentials.query or {})
        session = {"session_parameters": {**_SESSION, **said.get("session_parameters", {})}}
        credentials.query = {**_PATIENT, **said, **session}
        self.sql_client.credentials = credentials
        self.staging_folder = staged_at(config.stage_name, self.sql_client)

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Return what loads one file."""
        job = super().create_load_job(table, file_path, load_id, restore)
        if isinstance(job, SnowflakeLoadJob) and _is_parquet(file_path):
            job = ExactCopyJob(file_path, load_id, self.config)
        return redacting(job)  # Snowflake may quote the statement, with the keys to the bucket

    def access(self, tables: Collection[str]) -> Access:
        """Return what the catalog says of the dataset, and of some tables.

        Rights may come by way of roles that are granted to the loader's; of these it does not tell.
        """
        client = self.sql_client
        name = client.fully_qualified_dataset_name(quote=False).rpartition(".")[2]
        spelled = {client.capabilities.casefold_identifier(table): table for table in tables}
        exists = client.has_dataset()
        relations = self._relations(name, spelled) if exists and spelled else {}
        return Access(name, exists=exists, reserved=name == "INFORMATION_SCHEMA", certain=False, relations=relations)

    def _relations(self, schema: str, spelled: Mapping[str, str]) -> dict[str, Relation]:
        execute, names = self.sql_client.execute_sql, list(spelled)
        among = f"WHERE table_schema = %s AND table_name IN ({', '.join(['%s'] * len(names))})"
        kinds = execute(f"SELECT table_name, table_type FROM INFORMATION_SCHEMA.TABLES {among}", schema, *names)
        needing: dict[str, list[str]] = {}
        strict = f"SELECT table_name, column_name FROM INFORMATION_SCHEMA.COLUMNS {among} AND is_nullable = 'NO'"
        for table, column in execute(strict, schema, *names) or ():
            needing.setdefault(table, []).append(column)
        rights: dict[str, set[str]] = {}
        granted = (
            f"SELECT table_name, privilege_type FROM INFORMATION_SCHEMA.TABLE_PRIVILEGES {among}"
            " AND grantee = CURRENT_ROLE()"
        )
        for table, right in execute(granted, schema, *names) or ():
            rights.setdefault(table, set()).update(_RIGHTS if right == "OWNERSHIP" else (right,), (right,))
        return {
            spelled[table]: Relation(
                "table" if kind == "BASE TABLE" else kind.lower(),
                takes_rows=kind == "BASE TABLE",
                rights=frozenset(rights.get(table, ())),
                owned="OWNERSHIP" in rights.get(table, ()),
                needing=tuple(needing.get(table, ())),
                defaults=False,
            )
            for table, kind in kinds or ()
        }

    def get_storage_tables(self, table_names: Iterable[str]) -> Iterable[tuple[str, TTableSchemaColumns]]:
        """Yield tables and their columns.

        Raises:
            LoadError: two columns of a table differ only in case.
        """
        for name, columns in super().get_storage_tables(table_names):
            refuse_twins(name, columns)
            yield name, columns

    def spellings(self, tables: Iterable[str]) -> list[tuple[str, str, str]]:
        """Return schema, table and column of what is called as some tables are but for the case."""
        names = [name.upper() for name in tables]
        found = self.sql_client.execute_sql(
            f"SELECT table_schema, table_name, column_name FROM INFORMATION_SCHEMA.COLUMNS"
            f" WHERE UPPER(table_schema) = %s AND UPPER(table_name) IN ({', '.join(['%s'] * len(names))})",
            self.sql_client.dataset_name.upper(),
            *names,
        )
        return [(schema, table, column) for schema, table, column in found or ()]

    def _add_cluster_sql(self, sql: list[str], table_name: str, generate_alter: bool) -> list[str]:
        """Cluster a new table. dlt would take the clustering from each existing table that gets a column."""
        table: Any = self.schema.get_table(table_name)
        if any(column.get("cluster") for column in table["columns"].values()):
            return super()._add_cluster_sql(sql, table_name, generate_alter)
        if (by := table.get(CLUSTERED_BY_DAY)) and not generate_alter:
            sql[0] += f"CLUSTER BY (TO_DATE({self.sql_client.escape_column_name(by)}))"
        return sql

    def _get_storage_table_query_columns(self) -> list[str]:
        """Ask for the length of a VARCHAR, in characters, where dlt asks for the precision of numbers."""
        length = "COALESCE(numeric_precision, character_maximum_length)"
        return [length if name == "numeric_precision" else name for name in super()._get_storage_table_query_columns()]

    def _from_db_type(self, bq_t: str, precision: int | None, scale: int | None) -> TColumnType:
        """Return dlt's type: of NUMBER(38, 0) it has one of its own, without telling how much goes into it."""
        if bq_t == "NUMBER" and (precision, scale) != (19, 0):
            return {"data_type": "decimal", "precision": precision, "scale": scale}
        found = super()._from_db_type(bq_t, precision, scale)
        if found["data_type"] == "text" and precision:  # of what takes all that we send, nothing need be said
            return {"data_type": "text", "precision": precision} if precision < _LONGEST else {"data_type": "text"}
        return found


def _is_parquet(path: str) -> bool:
    if ReferenceFollowupJobRequest.is_reference_job(path):
        path = str(ReferenceFollowupJobRequest.resolve_reference(path))
    return path.endswith(".parquet")
