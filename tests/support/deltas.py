"""Delta tables as the tests see them: read by polars, and by DuckDB's extension, without hauser-dlt and deltalake's."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import polars as pl
from deltalake import DeltaTable

from emulators.s3 import S3
from support.destinations import Row, Target, _row


@dataclass(frozen=True, slots=True)
class DeltaTarget(Target):
    """Delta tables on the disk, or on S3."""

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
    def completing(self) -> str:
        """See `Target`: the commit of the events, which is the second of a load."""
        return "commit fs_export"

    def settings(self) -> dict[str, Any]:
        """See `Target`."""
        place: dict[str, Any] = {"bucket_url": self.url}
        if self.s3:
            place["credentials"] = self.s3.credentials()
        return {
            "hauser": {"destination": "filesystem", "table_format": "delta"},
            "destination": {"filesystem": place},
        }

    def frame(self, table: str) -> pl.DataFrame:
        """Return a table as polars reads it."""
        return pl.read_delta(f"{self.url}/{table}", storage_options=self._options())

    def _options(self) -> dict[str, str]:
        return {**self.s3.environ(), "AWS_ALLOW_HTTP": "true"} if self.s3 else {}

    def rows(self) -> list[Row]:
        """See `Target`."""
        return self._read("fs_export")

    def sync(self) -> list[Row]:
        """See `Target`."""
        return sorted(self._read("fs_sync"), key=lambda row: row["BundleEndTime"])

    def _read(self, table: str) -> list[Row]:
        rows = self.frame(table).to_dicts()
        days = [row.pop("_hauser_day", None) for row in rows]
        assert all(day is None or day == row["EventStart"].date() for day, row in zip(days, rows, strict=True))
        return [_row(row, row.values()) for row in rows]

    def complete(self) -> list[str]:
        """See `Target`."""
        table = self._table("fs_export")
        loads = {row["_dlt_load_id"] for row in self.sync()}
        return [load_id for load_id in loads if table.transaction_version(load_id) is not None]

    def query(self, sql: str) -> list[Row]:
        """See `Target`: of leases alone, which are files."""
        assert "fs_sync_pending" in sql
        return [{"name": path.name} for path in self.out.glob("fs_sync_pending/*.json")]

    def forget_newest(self, count: int) -> None:
        """See `Target`."""
        ends = [row["BundleEndTime"] for row in self.sync()][-count:]
        if ends:
            self._table("fs_sync").delete(f"\"BundleEndTime\" >= '{ends[0]:%Y-%m-%dT%H:%M:%SZ}'")

    def load_earlier(self, after: timedelta) -> None:
        """See `Target`."""
        for row in self.sync():
            moments = (row["BundleEndTime"] + after, row["BundleEndTime"])
            then, end = (f"'{moment:%Y-%m-%dT%H:%M:%SZ}'" for moment in moments)
            self._table("fs_sync").update(updates={"Processed": then}, predicate=f'"BundleEndTime" = {end}')

    def _table(self, name: str) -> DeltaTable:
        return DeltaTable(f"{self.url}/{name}", storage_options=self._options())
