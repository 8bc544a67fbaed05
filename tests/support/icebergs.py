"""Iceberg tables as the tests see them: found in their SQL catalog, and read by polars."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import polars as pl
import psycopg2
from pyiceberg.catalog import load_catalog

from emulators.s3 import S3
from hauser_dlt.ledger.table_commits import LOAD_OF_COMMIT
from support.destinations import Row, Target, _row


@dataclass(frozen=True, slots=True)
class IcebergTarget(Target):
    """Iceberg tables on the disk with a catalog in SQLite, or in Postgres with files on S3."""

    s3: S3 | None = field(default=None, kw_only=True)

    @property
    def into_files(self) -> bool:
        """See `Target`: what there is can be asked by columns."""
        return False

    @property
    def url(self) -> str:
        """Where the tables are folders."""
        return f"s3://{self.s3.bucket}/{self.dataset}" if self.s3 else str(self.out)

    @property
    def uri(self) -> str:
        """Where the catalog is."""
        return self.dsn.replace("postgresql:", "postgresql+psycopg2:") or f"sqlite:///{self.folder}/catalog.db"

    @property
    def completing(self) -> str:
        """See `Target`."""
        return "commit fs_export"

    def catalog(self) -> dict[str, str]:
        """Return what the catalog is told."""
        catalog = {"type": "sql", "uri": self.uri, "warehouse": self.url}
        if self.s3:
            catalog |= {
                "s3.endpoint": self.s3.endpoint,
                "s3.access-key-id": self.s3.access_key,
                "s3.secret-access-key": self.s3.secret_key,
                "s3.region": "us-east-1",
            }
        return catalog

    def settings(self) -> dict[str, Any]:
        """See `Target`."""
        place: dict[str, Any] = {"bucket_url": self.url}
        if self.s3:
            place["credentials"] = self.s3.credentials()
        return {
            "hauser": {"destination": "filesystem", "table_format": "iceberg", "dataset_name": self.dataset},
            "destination": {"filesystem": place},
            "iceberg_catalog": {"iceberg_catalog_config": json.dumps(self.catalog())},
        }

    def metadata(self, table: str) -> str:
        """Return where the newest metadata of a table lies."""
        sql = f"SELECT metadata_location FROM iceberg_tables WHERE table_namespace = '{self.dataset}' AND table_name = "
        connect = psycopg2.connect if self.dsn else sqlite3.connect
        with closing(connect(self.dsn or self.folder / "catalog.db")) as connection:
            cursor = connection.cursor()
            cursor.execute(f"{sql}'{table}'")
            ((place,),) = cursor.fetchall()
        return str(place)

    def rows(self) -> list[Row]:
        """See `Target`."""
        return self._read("fs_export")

    def sync(self) -> list[Row]:
        """See `Target`."""
        return sorted(self._read("fs_sync"), key=lambda row: row["BundleEndTime"])

    def frame(self, table: str) -> pl.DataFrame:
        """Return a table as polars reads it."""
        options = {name: value for name, value in self.catalog().items() if name.startswith("s3.")}
        return pl.scan_iceberg(self.metadata(table), storage_options=options).collect()

    def _read(self, table: str) -> list[Row]:
        return [_row(row, row.values()) for row in self.frame(table).to_dicts()]

    def complete(self) -> list[str]:
        """See `Target`."""
        snapshots = self.table("fs_export").snapshots()
        return [snapshot.summary.additional_properties.get(LOAD_OF_COMMIT, "") for snapshot in snapshots]

    def query(self, sql: str) -> list[Row]:
        """See `Target`: of leases alone, which are files."""
        assert "fs_sync_pending" in sql
        return [{"name": path.name} for path in self.out.glob("fs_sync_pending/*.json")]

    def forget_newest(self, count: int) -> None:
        """See `Target`."""
        ends = [row["BundleEndTime"] for row in self.sync()][-count:]
        if ends:
            self.table("fs_sync").delete(f"\"BundleEndTime\" >= '{ends[0].isoformat()}'")

    def load_earlier(self, after: timedelta) -> None:
        """See `Target`."""
        table = self.table("fs_sync")
        rows = table.scan().to_arrow()
        ends = rows["BundleEndTime"].to_pylist()
        at = rows.schema.get_field_index("Processed")
        then = pl.Series([end + after for end in ends]).to_arrow().cast(rows.schema.field(at).type)
        table.overwrite(rows.set_column(at, rows.schema.field(at), then))

    def table(self, name: str) -> Any:
        """Return a table as pyiceberg finds it."""
        return load_catalog("default", **self.catalog()).load_table(f"{self.dataset}.{name}")
