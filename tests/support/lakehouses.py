"""Delta and Iceberg tables as the tests see them: read by polars, and found as anybody would, without hauser-dlt."""

import json
from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from pyiceberg.catalog import load_catalog
from pyiceberg.table.snapshots import Operation

from emulators.gcs import GCS, PROJECT
from emulators.glue import Glue
from emulators.s3 import S3, WAREHOUSE
from support.buckets import BucketPath
from support.destinations import Row, Target, _row

LOAD_OF_COMMIT = "hauser_dlt_load_id"


@dataclass(frozen=True, slots=True)
class LakehouseTarget(Target):
    """Tables on the disk, or in a bucket.

    Attributes:
        store: where the bucket is.
    """

    store: Any = field(default=None, kw_only=True)

    @property
    def into_files(self) -> bool:
        """See `Target`: what there is can be asked by columns."""
        return False

    @property
    def url(self) -> str:
        """Where the tables are folders."""
        if self.store is None:
            return str(self.folder / "out")
        return f"{self.store.scheme}://{self.store.bucket}/{self.dataset}"

    @property
    def out(self) -> Path | BucketPath:
        """See `Target`."""
        return BucketPath(self.url.partition("://")[2], self.store.fs()) if self.store else self.folder / "out"

    @property
    def completing(self) -> str:
        """See `Target`: the commit of the events, which is the second of a load."""
        return "commit fs_export"

    def settings(self) -> dict[str, Any]:
        """See `Target`."""
        place: dict[str, Any] = {"bucket_url": self.url}
        if isinstance(self.store, S3):
            place["credentials"] = self.store.credentials()
        elif self.store and self.store.scheme == "az":
            place |= self.store.settings()
        return {
            "hauser": {"destination": "filesystem", "table_format": self.kind, "dataset_name": self.dataset},
            "destination": {"filesystem": place},
        }

    @abstractmethod
    def frame(self, table: str) -> pl.DataFrame:
        """Return a table as polars reads it."""

    def rows(self) -> list[Row]:
        """See `Target`."""
        return self._read("fs_export")

    def sync(self) -> list[Row]:
        """See `Target`."""
        return sorted(self._read("fs_sync"), key=lambda row: row["BundleEndTime"])

    def query(self, sql: str) -> list[Row]:
        """See `Target`: of leases alone, which are files."""
        assert "fs_sync_pending" in sql
        return [{"name": path.name} for path in self.out.glob("fs_sync_pending/*.json")]

    def _read(self, table: str) -> list[Row]:
        return [_row(row, row.values()) for row in self.frame(table).to_dicts()]


@dataclass(frozen=True, slots=True)
class DeltaTarget(LakehouseTarget):
    """Delta tables."""

    def settings(self) -> dict[str, Any]:
        """See `Target`."""
        settings = LakehouseTarget.settings(self)
        if self.store and self.store.scheme in ("gs", "az"):
            settings["destination"]["filesystem"]["deltalake_storage_options"] = json.dumps(self.options())
        return settings

    def options(self) -> dict[str, str]:
        """Return what deltalake is told of the store."""
        if isinstance(self.store, S3):
            return {**self.store.environ(), "AWS_ALLOW_HTTP": "true"}
        if isinstance(self.store, GCS):
            return {"google_service_account_key": self.store.open_key(), "allow_http": "true"}
        if self.store:
            return self.store.deltalake()
        return {}

    def named(self) -> list[str]:
        """Return the loads that commits of events name, by the log: deltalake lets no proxy work while it reads it."""
        lines = [line for log in self.out.glob("fs_export/_delta_log/*.json") for line in log.read_text().splitlines()]
        commits = [json.loads(line).get("commitInfo", {}) for line in lines]
        return [commit[LOAD_OF_COMMIT] for commit in commits if LOAD_OF_COMMIT in commit]

    def frame(self, table: str) -> pl.DataFrame:
        """See `LakehouseTarget`."""
        return pl.read_delta(f"{self.url}/{table}", storage_options=self.options())

    def _read(self, table: str) -> list[Row]:
        rows = self.frame(table).to_dicts()
        days = [row.pop("_hauser_day", None) for row in rows]
        assert all(day is None or day == row["EventStart"].date() for day, row in zip(days, rows, strict=True))
        return [_row(row, row.values()) for row in rows]

    def complete(self) -> list[str]:
        """See `Target`."""
        table = self.table("fs_export")
        loads = {row["_dlt_load_id"] for row in self.sync()}
        return [load_id for load_id in loads if table.transaction_version(load_id) is not None]

    def forget_newest(self, count: int) -> None:
        """See `Target`."""
        ends = [row["BundleEndTime"] for row in self.sync()][-count:]
        if ends:
            self.table("fs_sync").delete(f"\"BundleEndTime\" >= '{ends[0]:%Y-%m-%dT%H:%M:%SZ}'")

    def load_earlier(self, after: timedelta) -> None:
        """See `Target`."""
        for row in self.sync():
            moments = (row["BundleEndTime"] + after, row["BundleEndTime"])
            then, end = (f"'{moment:%Y-%m-%dT%H:%M:%SZ}'" for moment in moments)
            self.table("fs_sync").update(updates={"Processed": then}, predicate=f'"BundleEndTime" = {end}')

    def table(self, name: str) -> DeltaTable:
        """Return a table as deltalake finds it."""
        return DeltaTable(f"{self.url}/{name}", storage_options=self.options())


@dataclass(frozen=True, slots=True)
class IcebergTarget(LakehouseTarget):
    """Iceberg tables, with a catalog in SQLite, in Postgres, in Glue, or behind REST.

    Attributes:
        glue: the catalog, if it is a Glue.
        by_rest: the catalog is that of the S3.
    """

    glue: Glue | None = field(default=None, kw_only=True)
    by_rest: bool = field(default=False, kw_only=True)

    def catalog(self) -> dict[str, str]:
        """Return what the catalog is told."""
        uri = self.dsn.replace("postgresql:", "postgresql+psycopg2:") or f"sqlite:///{self.folder}/catalog.db"
        catalog = {"type": "sql", "uri": uri, "warehouse": self.url} | self.options()
        if self.glue:
            catalog |= {"type": "glue", "uri": "", "glue.endpoint": self.glue.endpoint, "glue.region": "us-east-1"}
            catalog |= {"glue.access-key-id": "any", "glue.secret-access-key": "any"}
        if self.by_rest and isinstance(self.store, S3):
            login = f"{self.store.access_key}:{self.store.secret_key}"
            catalog |= {"type": "rest", "uri": self.store.catalog.endpoint, "credential": login}
            catalog["warehouse"] = f"s3://{WAREHOUSE}/"
        return catalog

    def options(self) -> dict[str, str]:
        """Return what pyiceberg is told of the store."""
        if isinstance(self.store, S3):
            return {
                "s3.endpoint": self.store.endpoint,
                "s3.access-key-id": self.store.access_key,
                "s3.secret-access-key": self.store.secret_key,
                "s3.region": "us-east-1",
            }
        if isinstance(self.store, GCS):
            return {
                "py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO",
                "gcs.service.host": self.store.endpoint,
                "gcs.oauth2.token": "anon",
                "gcs.project-id": PROJECT,
            }
        return {}

    def settings(self) -> dict[str, Any]:
        """See `Target`."""
        catalog = {"iceberg_catalog_config": json.dumps(self.catalog())}
        return LakehouseTarget.settings(self) | {"iceberg_catalog": catalog}

    def metadata(self, table: str) -> str:
        """Return where the newest metadata of a table lies."""
        return str(self.table(table).metadata_location)

    def frame(self, table: str) -> pl.DataFrame:
        """See `LakehouseTarget`."""
        by = "pyiceberg" if isinstance(self.store, GCS) else None  # polars itself cannot be led to the emulator
        return pl.scan_iceberg(self.metadata(table), storage_options=self.options(), reader_override=by).collect()

    def named(self) -> list[str]:
        """Return the loads that snapshots with new events name, as far as they have not expired."""
        summaries = [snapshot.summary for snapshot in self.table("fs_export").snapshots()]
        loads = [
            each.additional_properties.get(LOAD_OF_COMMIT) for each in summaries if each.operation == Operation.APPEND
        ]
        return [load_id for load_id in loads if load_id]

    def complete(self) -> list[str]:
        """See `Target`: those that dlt has noted, since snapshots expire, and those that it has not."""
        snapshots = self.table("fs_export").snapshots()
        named = [snapshot.summary.additional_properties.get(LOAD_OF_COMMIT, "") for snapshot in snapshots]
        return [*named, *(path.stem.rpartition("__")[2] for path in self.out.glob("_dlt_loads/*__*.jsonl"))]

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
