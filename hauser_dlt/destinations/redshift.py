"""dlt's Redshift destination, but safe on existing tables.

dlt's COPY names no columns, so Parquet would be loaded by position, and a column of the user's own would break it or
take another's values (https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-columnar.html).
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.parquet
from dlt.common.configuration.specs import AwsCredentialsWithoutDefaults
from dlt.common.data_writers.escape import escape_redshift_literal
from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.storages.fsspec_filesystem import fsspec_from_config
from dlt.dataset.utils import get_destination_client_initial_config
from dlt.destinations import redshift
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.impl.redshift.redshift import RedshiftClient, RedshiftCopyFileLoadJob
from dlt.destinations.job_impl import ReferenceFollowupJobRequest

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations.access import TRUNCATE, Access, Relation
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.guarded import redacting
from hauser_dlt.dlt_internals import client_of, file_of
from hauser_dlt.errors import ConfigError

_RIGHTS = ("SELECT", "INSERT", "DELETE")
_DATASET = """
SELECT u.usesuper, has_database_privilege(current_database(), 'CREATE'), n.nspname IS NOT NULL,
    has_schema_privilege(n.nspname, 'USAGE'), has_schema_privilege(n.nspname, 'CREATE')
FROM pg_user u LEFT JOIN pg_namespace n ON n.nspname = %s WHERE u.usename = current_user"""
# without USAGE on the schema, `has_table_privilege` of a name fails
_TABLES = f"""
SELECT c.relname, c.relkind, pg_get_userbyid(c.relowner) = current_user,
    {", ".join(f"has_table_privilege(c.oid, '{right}')" for right in _RIGHTS)}
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname IN %s"""
_NEEDING = """
SELECT c.relname, a.attname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = %s AND c.relname IN %s AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef
ORDER BY a.attnum"""
_ROLES = "SELECT COUNT(*) FROM svv_user_grants WHERE user_name = current_user"

SEARCH_PATH = "search_path"
"""hauser's word for a schema that the database's own search path tells."""


class NamedCopyJob(RedshiftCopyFileLoadJob):
    """COPY of one Parquet file into the columns that it names, in the file's order."""

    def run(self) -> None:
        """Load the file, in one transaction."""
        client, config = client_of(self).sql_client, client_of(self).config
        path = _staged(file_of(self))
        bucket, _ = fsspec_from_config(config.staging_config)
        with bucket.open(path) as file:
            names = pyarrow.parquet.read_schema(file).names
        columns = ", ".join(client.escape_column_name(name) for name in names)
        copy = (
            f"COPY {client.make_qualified_table_name(self.load_table_name)} ({columns})"
            f" FROM {escape_redshift_literal(path)} {_authorization(config)} FORMAT AS PARQUET"
            f" {' '.join(self.additional_copy_options)}"
        )
        with client.begin_transaction():
            client.execute_sql(copy)


def _staged(file: str | Path) -> str:
    """Return the URL of the file in the bucket that a load job's file refers to."""
    return str(ReferenceFollowupJobRequest.resolve_reference(str(file)))


def _authorization(config: Any) -> str:
    if config.staging_iam_role:
        return f"IAM_ROLE {escape_redshift_literal(config.staging_iam_role)}"
    credentials = config.staging_config.credentials
    if not isinstance(credentials, AwsCredentialsWithoutDefaults):
        raise ConfigError(
            "Redshift loads from S3 only: set bucket_url under [destination.filesystem] to s3://bucket/path"
        )
    keys = credentials.to_session_credentials()
    named = {**keys, "token": keys["aws_session_token"]}
    parts = [f"{name}={named[name]}" for name in ("aws_access_key_id", "aws_secret_access_key", "token") if named[name]]
    return f"CREDENTIALS {escape_redshift_literal(';'.join(parts))}"


class ExactRedshiftClient(RedshiftClient):
    """Loads Parquet by name, and knows how many bytes a VARCHAR takes."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Return what loads one file."""
        job = super().create_load_job(table, file_path, load_id, restore)
        if isinstance(job, RedshiftCopyFileLoadJob) and _staged(file_path).endswith(".parquet"):
            config: Any = self.config
            job = NamedCopyJob(
                file_path,
                staging_credentials=config.staging_config.credentials,
                staging_iam_role=config.staging_iam_role,
                additional_copy_options=config.additional_copy_options,
            )
        return redacting(job)  # Redshift may quote the statement, with the keys to the bucket

    def access(self, tables: Collection[str]) -> Access:
        """Return what the catalog says of the dataset, and of some tables.

        Roles may grant rights, to alter tables among them, that it does not tell
        (https://docs.aws.amazon.com/redshift/latest/dg/r_roles-system-privileges.html).
        """
        name, execute = self.sql_client.dataset_name.lower(), self.sql_client.execute_sql
        spelled = {table.lower(): table for table in tables}
        ((superuser, makes, exists, uses, creates),) = execute(_DATASET, name) or ()
        found = execute(_TABLES, name, tuple(spelled)) if exists and uses and spelled else ()
        needing = execute(_NEEDING, name, tuple(spelled)) if found else ()
        relations = {
            spelled[table]: Relation(
                kind="table" if kind == "r" else "view",
                takes_rows=kind == "r",
                # of TRUNCATE, `has_table_privilege` cannot be asked
                rights=frozenset((TRUNCATE, *(right for right, may in zip(_RIGHTS, rights, strict=True) if may))),
                owned=superuser or owned,
                needing=tuple(column for other, column in needing or () if other == table),
            )
            for table, kind, owned, *rights in found or ()
        }
        return Access(
            name,
            exists=exists,
            reserved=name.startswith("pg_") or name in ("information_schema", "catalog_history"),
            may_use=bool(uses),
            may_create=bool(creates),
            may_make=makes,
            certain=superuser or not self._has_roles(),
            relations=relations,
        )

    def _has_roles(self) -> bool:
        try:
            return bool((self.sql_client.execute_sql(_ROLES) or [[0]])[0][0])
        except DatabaseException:  # a cluster from before there were roles
            return False

    def _get_storage_table_query_columns(self) -> list[str]:
        """Ask for the length of a VARCHAR, in bytes, where dlt asks for the precision of numbers."""
        length = "COALESCE(numeric_precision, character_maximum_length)"
        return [length if name == "numeric_precision" else name for name in super()._get_storage_table_query_columns()]


class ExactRedshift(redshift):
    """Redshift by way of S3, with every value in the column of its name; settings as dlt's own `redshift` has them."""

    def resolve_destination_name(self, destination_name: str | None) -> str:
        """Return where its settings stand: under dlt's own name, unless another one is given."""
        return destination_name or "redshift"

    @property
    def client_class(self) -> type[RedshiftClient]:
        """The client that loads Parquet by name."""
        return ExactRedshiftClient

    def schema_on_search_path(self, table: str) -> str:
        """Return the first schema on the database's search path that has a table, or else where one would be made."""
        this: Any = self
        config = this.configuration(get_destination_client_initial_config(this, SEARCH_PATH))
        connection = psycopg2.connect(config.credentials.to_native_representation())
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT table_schema FROM information_schema.tables WHERE table_name = %s", (table.lower(),)
                )
                holding = {schema for (schema,) in cursor.fetchall()}
                cursor.execute("SHOW search_path")
                ((path,),) = cursor.fetchall()
                cursor.execute("SELECT current_schema(), current_user")
                ((current, user),) = cursor.fetchall()
        finally:
            connection.close()
        schemas = (schema.strip(' "').replace("$user", user) for schema in path.split(","))
        found = next((schema for schema in schemas if schema in holding), current)
        if found is None:
            raise ConfigError(
                f"search_path = {path}: there is none of these schemas, or the loader's user has no USAGE on them; set"
                " dataset_name, or the user's search_path"
            )
        return str(found)


class RedshiftAdapter(DestinationAdapter):
    """Redshift, by way of S3."""

    needs_staging = True

    @classmethod
    def make(cls, run: RunSettings, *, reading: bool) -> Any:
        """Return Redshift, with every value in the column of its name."""
        return ExactRedshift(destination_name=run.destination)

    @classmethod
    def dataset(cls, destination: Any, run: RunSettings, settings: SourceSettings) -> str:
        """Return the schema, which the database's search path may tell."""
        if run.dataset_name != SEARCH_PATH:
            return run.dataset_name
        found: str = destination.schema_on_search_path(settings.export_table)
        return found

    def text_limit(self, config: Configuration) -> int:
        """Return the length of a VARCHAR, in bytes, as dlt or the settings have it."""
        longest = config.redshift.varchar_max
        return min(super().text_limit(config) or longest, longest)
