"""Snowflake as the tests see it: what a run is told, and what is there afterwards, read without hauser-dlt."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from emulators.gcs import GCS
from emulators.s3 import S3
from emulators.snowflake import Snowflake
from support.destinations import MIDNIGHT, Row, _row
from support.warehouses import _SPELLED, SECOND, Warehouse

_OURS = re.compile(rf'"({"|".join(_SPELLED.values())}|fs_\w+|_dlt_\w+|status|load_id)"')


def key_pair(passphrase: str) -> tuple[str, str]:
    """Return a new private key, encrypted, and its public one, both as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encrypted = serialization.BestAvailableEncryption(passphrase.encode())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encrypted)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@dataclass(frozen=True, slots=True)
class SnowflakeTarget(Warehouse):
    """A schema of the Snowflake emulator, loaded by way of a stage of its own, or of S3 or Google Cloud Storage."""

    server: Snowflake = field(kw_only=True)
    s3: S3 | None = field(kw_only=True, default=None)
    gcs: GCS | None = field(kw_only=True, default=None)
    stage: str = field(kw_only=True, default="")

    @property
    def bucket_url(self) -> str:
        """Where files are staged; "" for Snowflake's own stage."""
        if self.s3:
            return f"s3://{self.s3.bucket}/{self.dataset}/by_way_of"
        return f"gs://{self.gcs.bucket}/{self.dataset}/by_way_of" if self.gcs else ""

    def settings(self) -> dict[str, Any]:
        """See `Target`."""
        of_bucket = {"bucket_url": self.bucket_url, "credentials": self.s3.credentials()} if self.s3 else {}
        of_bucket |= {"bucket_url": self.bucket_url} if self.gcs else {}
        return {
            "hauser": {
                "destination": "snowflake",
                "dataset_name": self.dataset,
                "staging": "filesystem" if of_bucket else "",
            },
            "destination": {
                "snowflake": {"credentials": self.server.credentials(), "stage_name": self.stage},
                "filesystem": of_bucket,
            },
        }

    def environ(self) -> dict[str, str]:
        """Return what a process needs besides its settings to find the servers."""
        return {"AWS_ENDPOINT_URL": self.s3.endpoint} if self.s3 else self.gcs.environ() if self.gcs else {}

    def make_hausers_tables(self, *, wrong_type: bool = False, mandatory: bool = False) -> None:
        """Make tables of somebody's who has loaded hauser's files into Snowflake, with a window that is half loaded."""
        midnight = f"{MIDNIGHT:%Y-%m-%d %H:%M:%S}"
        columns = [
            "CustomVars VARCHAR",
            "PageAgent VARCHAR(1000)",
            "mine INTEGER DEFAULT 7",
            "EventStart TIMESTAMP_NTZ",
        ]
        columns += ["PageNumEvents NUMBER(10, 0)", "UserId NUMBER(38, 0)", "EventTargetSelectorTok VARCHAR"]
        columns += ["EventType VARCHAR", "ReqStatus INTEGER", "EventCumulativeLayoutShift FLOAT"]
        columns += ["SessionStart TIMESTAMP_TZ"]
        columns += ["PageUrl NUMBER(19, 0)"] if wrong_type else []
        columns += ["mandatory INTEGER NOT NULL DEFAULT 1"] if mandatory else []
        insert = "INSERT INTO fs_export (EventStart, EventType, CustomVars) VALUES"
        before = f"{MIDNIGHT - SECOND:%Y-%m-%d %H:%M:%S}"
        for sql in (
            f"CREATE SCHEMA {self.dataset}",
            f"CREATE TABLE fs_export ({', '.join(columns)})",
            "CREATE TABLE fs_sync (ID INTEGER, Processed TIMESTAMP_NTZ, BundleEndTime TIMESTAMP_NTZ)",
            f"INSERT INTO fs_sync VALUES (-1, '{midnight}', '{midnight}')",
            f"{insert} ('{before}', 'loaded', '{{}}')",
            f"{insert} ('{midnight}', 'half', '{{}}')",
        ):
            self.query(sql)

    def new_column(self, field: str) -> str:
        """Return how a new field's column is called."""
        return field.lower()

    def query(self, sql: str) -> list[Row]:
        """See `Target`. Names come back as FullStory spells them; those in quotes are meant in any case."""
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.execute(_OURS.sub(r"\1", sql))
            names = [self.spelled(column.name.lower()) for column in cursor.description or ()]
            return [_row(names, map(_plain, values)) for values in (cursor.fetchall() if names else ())]

    def connection(self) -> Any:
        """Connect as anybody would."""
        at, where = self.server, {"host": "127.0.0.1", "port": self.server.port, "protocol": "http"}
        return snowflake.connector.connect(
            account="emulated",
            user=at.user,
            password=at.password,
            database=at.database,
            schema=self.dataset,
            timezone="UTC",
            **where,
        )

    def columns(self, table: str = "fs_export") -> list[str]:
        """See `Target`."""
        found = self.query(
            "SELECT column_name AS name FROM information_schema.columns WHERE table_schema ="
            f" '{self.dataset.upper()}' AND table_name = '{table.upper()}' ORDER BY ordinal_position"
        )
        return [self.spelled(row["name"].lower()) for row in found]

    def staged(self) -> list[str]:
        """Return what lies in the stage, or in the part of the bucket."""
        if not (self.s3 or self.gcs):
            mine = f".{self.dataset.lower()}"
            found = self.server.stages.everything()
            return [str(path) for path in found if any(part.endswith(mine) for part in path.parts)]
        prefix = self.bucket_url.partition("://")[2]
        return [path for path in (self.s3 or self.gcs).fs().find(prefix) if path.startswith(f"{prefix}/")]


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) and value == int(value) else value
