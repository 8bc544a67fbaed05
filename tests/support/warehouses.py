"""Warehouses as the tests see them: what a run is told, and what is there afterwards, read without hauser-dlt."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import psycopg2
from google.cloud import bigquery as google

from emulators.bigquery import BigQuery
from emulators.gcs import GCS
from emulators.redshift import Redshift
from emulators.s3 import S3
from hauser_dlt.fields import CUSTOM_VARS, KNOWN, LOAD_ID, RENAMED, ROW_WINDOW
from hauser_dlt.simulator import Simulator
from support.destinations import MIDNIGHT, Row, Target, _row

SECOND = timedelta(seconds=1)
_OTHERS = (CUSTOM_VARS, LOAD_ID, ROW_WINDOW, "ID", "Processed", "BundleEndTime", "BundleStartTime", "EventCount")
_SPELLED = {name.lower(): name for name in (*KNOWN, *RENAMED, *_OTHERS)}


class Warehouse(Target):
    """What both warehouses have in common."""

    __slots__ = ()

    default_of_mine: ClassVar[Any] = None

    def canonical(self, row: Row) -> Row:
        """Return a row of the Go hauser's table with the fields' names of today."""
        return {RENAMED.get(name, name): value for name, value in row.items()}

    def spelled(self, column: str) -> str:
        """Return a column's name as FullStory spells it."""
        return _SPELLED.get(column.lower(), column)

    def drop(self, column: str) -> None:
        """Drop a column."""
        self.query(f"ALTER TABLE fs_export DROP COLUMN {column}")


@dataclass(frozen=True, slots=True)
class RedshiftTarget(Warehouse):
    """A schema of the Redshift emulator, and a folder of the bucket by way of which it is loaded."""

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
        return {"AWS_ENDPOINT_URL": self.s3.endpoint}

    default_of_mine: ClassVar[Any] = 7

    def make_hausers_tables(self, *, wrong_type: bool = False, mandatory: bool = False) -> None:
        """Make tables as the Go hauser and its users have left them, with a window that it only half loaded."""
        midnight = f"{MIDNIGHT:%Y-%m-%d %H:%M:%S}"
        text = ("customvars", "pageagent", "eventtargetselectortok", "eventtype")
        columns = [f"{name} VARCHAR(MAX)" for name in text]
        columns[2:2] = ["mine INTEGER DEFAULT 7", "eventstart TIMESTAMP", "pagenumevents INTEGER", "userid BIGINT"]
        columns += ["reqstatus INTEGER", "eventcumulativelayoutshift FLOAT", "sessionstart TIMESTAMP"]
        columns += ["pageurl BIGINT"] if wrong_type else []
        columns += ["mandatory INTEGER NOT NULL"] if mandatory else []
        names, values = (", mandatory", ", 1") if mandatory else ("", "")
        insert = f"INSERT INTO fs_export (eventstart, eventtype, customvars{names}) VALUES"
        last, half = f"TIMESTAMP '{midnight}' - INTERVAL '1 second'", f"'{midnight}'"
        for sql in (
            f"CREATE SCHEMA {self.dataset}",
            f"CREATE TABLE fs_export ({', '.join(columns)})",
            "CREATE TABLE fs_sync (id INTEGER, processed TIMESTAMP, bundleendtime TIMESTAMP)",
            f"INSERT INTO fs_sync VALUES (-1, '{midnight}', '{midnight}')",
            f"{insert} ({last}, 'loaded', '{{}}'{values})",
            f"{insert} ({half}, 'half', '{{}}'{values})",
        ):
            self.query(sql)

    def new_column(self, field: str) -> str:
        """Return how a new field's column is called."""
        return field.lower()

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
class BigQueryTarget(Warehouse):
    """A dataset of the BigQuery emulator, loaded directly or by way of a folder of a bucket."""

    server: BigQuery = field(kw_only=True)
    gcs: GCS = field(kw_only=True)
    by_bucket: bool = field(kw_only=True)

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

    def hauser_toml(self, sim: Simulator) -> str:
        """Return a configuration of the Go hauser for this place."""
        return f"""
FsApiToken = "{sim.token}"
ApiURL = "{sim.url}"
Provider = "gcp"
StartTime = {MIDNIGHT:%Y-%m-%dT%H:%M:%SZ}
ExportDuration = "6h"
FilePrefix = "by_way_of"
[gcs]
Bucket = "{self.gcs.bucket}/{self.dataset}"
[bigquery]
Project = "{self.server.project}"
Dataset = "{self.dataset}"
ExportTable = "fs_export"
SyncTable = "fs_sync"
PartitionExpiration = "0"
"""

    def environ(self) -> dict[str, str]:
        """Return what a process needs besides its settings to find the servers."""
        return self.server.environ() | self.gcs.environ()

    def make_hausers_tables(self, *, wrong_type: bool = False, mandatory: bool = False) -> None:
        """Make tables as the Go hauser and its users have left them, with a window that it only half loaded."""
        client, place = self.server.client(), f"{self.server.project}.{self.dataset}"
        client.create_dataset(place)
        kinds = {"STRING": "customvars pageagent eventtargetselectortok eventtype", "INTEGER": "userid mine reqstatus"}
        kinds |= {"TIMESTAMP": "eventstart sessionstart", "FLOAT": "eventcumulativelayoutshift"}
        kinds["INTEGER"] += " pageurl" if wrong_type else ""
        fields = [google.SchemaField(name, kind) for kind, names in kinds.items() for name in names.split()]
        fields += [google.SchemaField("mandatory", "INTEGER", "REQUIRED")] if mandatory else []
        export = google.Table(f"{place}.fs_export", fields)
        export.time_partitioning = google.TimePartitioning()  # by ingestion time
        client.create_table(export)
        # hauser has Go's `bigquery.InferSchema` make it, which makes REQUIRED what is neither pointer nor nullable
        sync = [google.SchemaField("id", "INTEGER", "REQUIRED")]
        sync += [google.SchemaField(name, "TIMESTAMP", "REQUIRED") for name in ("processed", "bundleendtime")]
        client.create_table(google.Table(f"{place}.fs_sync", sync))
        config = google.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
        for moment, kind in ((MIDNIGHT - SECOND, "loaded"), (MIDNIGHT, "half")):
            row = {"eventstart": moment.isoformat(), "eventtype": kind, "customvars": "{}"}
            row |= {"mandatory": 1} if mandatory else {}
            client.load_table_from_json([row], f"{place}.fs_export${moment:%Y%m%d}", job_config=config).result()
        midnight = MIDNIGHT.isoformat()
        rows = [{"id": -1, "processed": midnight, "bundleendtime": midnight}]
        client.load_table_from_json(rows, f"{place}.fs_sync", job_config=config).result()

    def remove(self) -> None:
        """Remove the dataset."""
        self.server.client().delete_dataset(self.dataset, delete_contents=True, not_found_ok=True)

    def new_column(self, field: str) -> str:
        """Return how a new field's column is called."""
        return field

    def query(self, sql: str) -> list[Row]:
        """See `Target`."""
        config = google.QueryJobConfig(default_dataset=f"{self.server.project}.{self.dataset}")
        rows = self.server.client().query(sql.replace('"', "`"), job_config=config).result()
        return [_row([_SPELLED.get(n.lower(), n) for n in row.keys()], row.values()) for row in rows]  # noqa: SIM118

    def table(self, name: str = "fs_export") -> google.Table:
        """Return BigQuery's own description of a table."""
        return self.server.client().get_table(f"{self.server.project}.{self.dataset}.{name}")

    def columns(self, table: str = "fs_export") -> list[str]:
        """See `Target`."""
        return [column.name for column in self.table(table).schema]

    def staged(self) -> list[str]:
        """Return what lies in the part of the bucket."""
        return [path for path in self.gcs.fs().find(self.prefix) if path.startswith(f"{self.prefix}/")]
