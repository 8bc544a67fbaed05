"""dlt's BigQuery destination, but at home with existing tables.

BigQuery's column names are the same in upper and in lower case, which dlt takes for different ones; and hauser's
tables are partitioned by ingestion time, so that a day of events has to be addressed as `table$YYYYMMDD`
(https://cloud.google.com/bigquery/docs/partitioned-tables#ingestion_time).
"""

import copy
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import TColumnSchema, TTableSchemaColumns
from dlt.common.storages.fsspec_filesystem import fsspec_from_config
from dlt.destinations import bigquery
from dlt.destinations.impl.bigquery.bigquery import BigQueryClient, BigQueryLoadJob
from dlt.destinations.impl.bigquery.bigquery_adapter import PARTITION_EXPIRATION_DAYS_HINT
from dlt.destinations.job_impl import ReferenceFollowupJobRequest
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.cloud.bigquery import Table, TimePartitioningType

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.destinations.access import Access, Relation
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.guarded import redacting
from hauser_dlt.dlt_internals import client_of, file_of, redirect, table_of
from hauser_dlt.fields import EVENT_START, ROW_WINDOW
from hauser_dlt.records.tables import Tables
from hauser_dlt.windows import DAY

# What each takes (https://cloud.google.com/bigquery/docs/access-control).
_PERMISSIONS = {
    "SELECT": "bigquery.tables.getData",
    "INSERT": "bigquery.tables.updateData",
    "DELETE": "bigquery.tables.updateData",
    "TRUNCATE": "bigquery.tables.updateData",
}

BY_INGESTION = "x-hauser-by-ingestion"
"""dlt's hint on a table that BigQuery partitions by the day of loading."""


class DayLoadJob(BigQueryLoadJob):
    """Loads each day's events of one Parquet file into the partition of that day."""

    def run(self) -> None:
        """Load the days, one after another."""
        table = table_of(self)
        with TemporaryDirectory(prefix="hauser-dlt-") as folder:
            for day, path in self._days(Path(folder)):
                redirect(self, {**table, "name": f"{table['name']}${day:%Y%m%d}"}, path)
                super().run()

    def _days(self, folder: Path) -> Iterator[tuple[datetime, Path]]:
        """Write a file a day; their names, from which job ids are made, are that of the whole and the day."""
        writers: dict[datetime, pyarrow.parquet.ParquetWriter] = {}
        stem = file_of(self).name.split(".")[:2]
        paths: dict[datetime, Path] = {}
        with self._open() as source:
            for batch in pyarrow.parquet.ParquetFile(source).iter_batches():
                for day, rows in _by_day(batch):
                    if day not in writers:
                        paths[day] = folder / f"{'.'.join(stem)}_{day:%Y%m%d}.0.parquet"
                        writers[day] = pyarrow.parquet.ParquetWriter(paths[day], batch.schema)
                    writers[day].write_batch(rows)
        for writer in writers.values():
            writer.close()
        yield from sorted(paths.items())

    def _open(self) -> Any:
        file = file_of(self)
        if not ReferenceFollowupJobRequest.is_reference_job(str(file)):
            return file.open("rb")
        bucket, _ = fsspec_from_config(client_of(self).config.staging_config)
        return bucket.open(ReferenceFollowupJobRequest.resolve_reference(str(file)))


def _by_day(batch: pa.RecordBatch) -> Iterator[tuple[datetime, pa.RecordBatch]]:
    """Yield the rows of each UTC day; those without a time belong to their window's day."""
    names = {name.lower(): name for name in batch.schema.names}
    moments = pc.coalesce(batch.column(names[EVENT_START.lower()]), batch.column(names[ROW_WINDOW]))
    days = pc.floor_temporal(moments, unit="day")
    for day in pc.unique(days):
        yield day.as_py(), batch.filter(pc.equal(days, day))


class ExactBigQueryClient(BigQueryClient):
    """Finds columns whatever their case, and loads events into their day."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Return what loads one file."""
        job = super().create_load_job(table, file_path, load_id, restore)
        if table.get(BY_INGESTION) and isinstance(job, BigQueryLoadJob):
            job = DayLoadJob(file_path, self.config.http_timeout, self.config.retry_deadline)
        return redacting(job)

    def _create_table_update(self, table_name: str, storage_columns: TTableSchemaColumns) -> Sequence[TColumnSchema]:
        return self.schema.get_new_table_columns(table_name, storage_columns, case_sensitive=False)

    def access(self, tables: Collection[str]) -> Access:
        """Return what BigQuery says of the dataset, and of some tables; of what is not there, it tells no rights."""
        name = self.sql_client.dataset_name
        exists = self.sql_client.has_dataset()
        found = {table: self._table(table) for table in tables} if exists else {}
        return Access(
            name,
            exists=exists,
            reserved=name.upper() == "INFORMATION_SCHEMA",
            relations={table: self._relation(described) for table, described in found.items() if described},
        )

    def _relation(self, table: Table) -> Relation:
        kind = (table.table_type or "TABLE").lower().replace("_", " ")
        return Relation(
            kind,
            takes_rows=kind == "table",
            rights=self._rights(table) if kind == "table" else frozenset(),
            needing=tuple(
                field.name for field in table.schema if field.mode == "REQUIRED" and not field.default_value_expression
            ),
        )

    def _rights(self, table: Table) -> frozenset[str]:
        """Return the rights on a table; all of them where BigQuery does not say."""
        try:
            answer = self.sql_client.native_connection.test_iam_permissions(table.reference, [*_PERMISSIONS.values()])
        except GoogleAPIError:
            return frozenset(_PERMISSIONS)
        return frozenset(right for right, permission in _PERMISSIONS.items() if permission in answer["permissions"])

    def is_by_ingestion(self, table_name: str) -> bool:
        """Tell whether a table is partitioned by the day of loading."""
        table = self._table(table_name)
        by_time = table and table.time_partitioning
        return bool(by_time and not by_time.field and by_time.type_ == TimePartitioningType.DAY)

    def expire(self, table_name: str, after: timedelta) -> None:
        """Have the days of an existing table dropped after so long; 0 is never."""
        table = self._table(table_name)
        milliseconds = after // timedelta(milliseconds=1) or None
        if table and table.time_partitioning and table.time_partitioning.expiration_ms != milliseconds:
            partitioning = copy.deepcopy(table.time_partitioning)
            partitioning.expiration_ms = milliseconds
            table.time_partitioning = partitioning
            self.sql_client.native_connection.update_table(table, ["time_partitioning"])

    def _table(self, table_name: str) -> Table | None:
        name = self.sql_client.make_qualified_table_name(table_name, quote=False)
        try:
            return self.sql_client.native_connection.get_table(name)
        except NotFound:
            return None


class ExactBigQuery(bigquery):
    """BigQuery, on tables of any origin; settings as dlt's own `bigquery` has them."""

    def resolve_destination_name(self, destination_name: str | None) -> str:
        """Return where its settings stand: under dlt's own name, unless another one is given."""
        return destination_name or "bigquery"

    @property
    def client_class(self) -> type[BigQueryClient]:
        """The client for tables of any origin."""
        return ExactBigQueryClient


class BigQueryAdapter(DestinationAdapter):
    """BigQuery, directly or by way of Google Cloud Storage."""

    @classmethod
    def make(cls, run: RunSettings, *, reading: bool) -> Any:
        """Return BigQuery, on tables of any origin."""
        return ExactBigQuery(destination_name=run.destination)

    def is_by_ingestion(self, storage: Any, table: str) -> bool:
        """Ask BigQuery."""
        return bool(storage.is_by_ingestion(table))

    def prepare(self, source: Any, config: Configuration, tables: Tables) -> None:
        """Tell a dlt source how the export table is, or will be, partitioned."""
        super().prepare(source, config, tables)
        if "fs_export" in source.resources:
            hints: dict[str, Any] = {BY_INGESTION: tables.export.by_ingestion}
            if not tables.export.columns and config.bigquery.partition_expiration:
                hints[PARTITION_EXPIRATION_DAYS_HINT] = config.bigquery.partition_expiration / DAY
            source.resources["fs_export"].apply_hints(additional_table_hints=hints)

    def keep_days(self, pipeline: dlt.Pipeline, config: Configuration) -> None:
        """Have days of an existing table expire when the settings say so; without a setting it is let be."""
        if config.bigquery.partition_expiration:
            with pipeline.destination_client() as client:
                storage: Any = client
                storage.expire(config.source.export_table, config.bigquery.partition_expiration)
