"""Warehouses as the tests see them: what a run is told, and what is there afterwards, read without hauser-dlt."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import psycopg2
from google.cloud import bigquery as google
from servers.bigquery import BigQuery
from servers.gcs import GCS
from servers.redshift import Redshift
from servers.s3 import S3
from targets import MIDNIGHT, Row, Target, _row

from hauser_dlt.fields import CUSTOM_VARS, KNOWN, LOAD_ID, RENAMED, ROW_WINDOW
from hauser_dlt.simulator import Simulator

_OTHERS = (CUSTOM_VARS, LOAD_ID, ROW_WINDOW, "ID", "Processed", "BundleEndTime", "BundleStartTime", "EventCount")
_SPELLED = {name.lower(): name for name in (*KNOWN, *RENAMED, *_OTHERS)}


@dataclass(frozen=True, slots=True)
class RedshiftTarget(Target):
    """A schema of the stand-in for Redshift, and a folder of the bucket by way of which it is loaded."""

    server: Redshift = field(kw_only=True)
    s3: S3 = field(kw_only=True)

    @property
    def prefix(self) -> str:
        """The part of the bucket that is this target's own."""
        return f"{self.s3.bucket}/{self.dataset}/by way of"

    def settings(self) -> dict[str, Any]:
        """See `Target`."""
        return {
            "hauser": {"destination": "redshift", "dataset_name": self.dataset},
            "destination": {
                "redshift": {"credentials": self.server.credentials()},
                "filesystem": {"bucket_url": f"s3://{self.prefix}", "credentials": self.s3.credentials()},
            },
        }

    def hauser_toml(self, sim: Simulator) -> str:
        """Return a configuration of the Go hauser for this place."""
        at = self.server
        return f"""
FsApiToken = "{sim.token}"
ApiURL = "{sim.url}"
Provider = "aws"
StartTime = {MIDNIGHT:%Y-%m-%dT%H:%M:%SZ}
ExportDuration = "6h"
FilePrefix = "by way of"
[s3]
Bucket = "{self.s3.bucket}/{self.dataset}"
Region = "us-east-1"
[redshift]
Host = "{at.host}"
Port = "{at.port}"
DB = "{at.database}"
User = "{at.user}"
Password = "{at.password}"
ExportTable = "fs_export"
SyncTable = "fs_sync"
DatabaseSchema = "{self.dataset}"
Credentials = "aws_access_key_id={self.s3.access_key};aws_secret_access_key={self.s3.secret_key}"
VarCharMax = 65535
"""

    def environ(self) -> dict[str, str]:
        """Return what a process needs besides its settings to find the servers."""
        return {"AWS_ENDPOINT_URL": self.s3.endpoint_url}

    default_of_mine: ClassVar[Any] = 7

    def make_hausers_tables(self, *, wrong_type: bool = False) -> None:
        """Make tables as the Go hauser and its users have left them, with a window that it only half loaded."""
        midnight = f"{MIDNIGHT:%Y-%m-%d %H:%M:%S}"
        text = ("customvars", "pageagent", "eventtargetselectortok", "eventtype")
        columns = [f"{name} VARCHAR(MAX)" for name in text]
        columns[2:2] = ["mine INTEGER DEFAULT 7", "eventstart TIMESTAMP", "pagenumevents INTEGER", "userid BIGINT"]
        columns += ["reqstatus INTEGER", "eventcumulativelayoutshift FLOAT", "sessionstart TIMESTAMP"]
        columns += ["pageurl BIGINT"] if wrong_type else []
        last, half = f"TIMESTAMP '{midnight}' - INTERVAL '1 second'", f"'{midnight}'"
        for sql in (
            f"CREATE SCHEMA {self.dataset}",
            f"CREATE TABLE fs_export ({', '.join(columns)})",
            "CREATE TABLE fs_sync (id INTEGER, processed TIMESTAMP, bundleendtime TIMESTAMP)",
            f"INSERT INTO fs_sync VALUES (-1, '{midnight}', '{midnight}')",
            f"INSERT INTO fs_export (eventstart, eventtype, customvars) VALUES ({last}, 'loaded', '{{}}')",
            f"INSERT INTO fs_export (eventstart, eventtype, customvars) VALUES ({half}, 'half', '{{}}')",
        ):
            self.query(sql)

    def todays(self, row: Row) -> Row:
        """Return a row of the Go hauser's table with the fields' names of today."""
        return {RENAMED.get(name, name): value for name, value in row.items()}

    def spelled(self, column: str) -> str:
        """Return a column's name as FullStory spells it."""
        return _SPELLED.get(column, column)

    def new_column(self, field: str) -> str:
        """Return how a new field's column is called."""
        return field.lower()

    def add_not_null(self, name: str) -> None:
        """Add a column as only the table's owner can, and forbid NULL in it."""
        self.query(f"ALTER TABLE fs_export ADD COLUMN {name} INTEGER NOT NULL DEFAULT 1")
        self._as_owner(f"ALTER TABLE {self.dataset}.fs_export ALTER COLUMN {name} DROP DEFAULT")

    def drop(self, name: str) -> None:
        """Drop a column."""
        self.query(f"ALTER TABLE fs_export DROP COLUMN {name}")

    def _as_owner(self, sql: str) -> None:
        connection = psycopg2.connect(f"{self.dsn}/{self.server.database}")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()

    def query(self, sql: str) -> list[Row]:
        """See `Target`. Names come back as FullStory spells them."""
        connection = psycopg2.connect(self.server.dsn(), options=f"-csearch_path={self.dataset}")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                names = [_SPELLED.get(column.name, column.name) for column in cursor.description or ()]
                return [_row(names, values) for values in (cursor.fetchall() if names else ())]
        finally:
            connection.close()

    def staged(self) -> list[str]:
        """Return what lies in the part of the bucket."""
        return [path for path in self.s3.fs().find(self.prefix) if path.startswith(f"{self.prefix}/")]


@dataclass(frozen=True, slots=True)
class BigQueryTarget(Target):
    """A dataset of the stand-in for BigQuery, loaded directly or by way of a folder of a bucket."""

    server: BigQuery = field(kw_only=True)
    gcs: GCS = field(kw_only=True)
    by_bucket: bool = field(kw_only=True)

    default_of_mine: ClassVar[Any] = None

    @property
    def prefix(self) -> str:
        """The part of the bucket that is this target's own."""
        return f"{self.gcs.bucket}/{self.dataset}/by_way_of"

    def settings(self) -> dict[str, Any]:
        """See `Target`."""
        return {
            "hauser": {
                "destination": "bigquery",
                "dataset_name": self.dataset,
                "staging": "filesystem" if self.by_bucket else "",
            },
            "destination": {
                "bigquery": {"project_id": self.server.project},
                "filesystem": {"bucket_url": f"gs://{self.prefix}"},
            },
        }

    def query(self, sql: str) -> list[Row]:
        """See `Target`."""
        config = google.QueryJobConfig(default_dataset=f"{self.server.project}.{self.dataset}")
        rows = self.server.client().query(sql.replace('"', "`"), job_config=config).result()
        return [_row([_SPELLED.get(n.lower(), n) for n in row.keys()], row.values()) for row in rows]  # noqa: SIM118

    def columns(self, table: str = "fs_export") -> list[str]:
        """See `Target`."""
        found = self.server.client().get_table(f"{self.server.project}.{self.dataset}.{table}")
        return [column.name for column in found.schema]

    def staged(self) -> list[str]:
        """Return what lies in the part of the bucket."""
        return [path for path in self.gcs.fs().find(self.prefix) if path.startswith(f"{self.prefix}/")]
