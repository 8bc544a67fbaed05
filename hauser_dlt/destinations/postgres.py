"""dlt's Postgres destination, but "" stays "": dlt's COPY takes it for NULL (FORCE_NULL on every column)."""

from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.storages import FileStorage
from dlt.destinations import postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresCsvCopyJob


class ExactCopyJob(PostgresCsvCopyJob):
    """COPY as Postgres does it by itself: nothing at all is NULL, a pair of quotes is "" (dlt quotes all text)."""

    def run(self) -> None:
        """Load the file, in one transaction."""
        client = self._job_client.sql_client
        with FileStorage.open_zipsafe_ro(self._file_path, "rb") as file:
            names = file.readline().decode().strip().split(",")
            columns = ", ".join(client.escape_column_name(name.strip('"')) for name in names)
            table = client.make_qualified_table_name(self.load_table_name)
            with client.begin_transaction(), client.native_connection.cursor() as cursor:
                cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN WITH (FORMAT CSV, ENCODING 'UTF8')", file)


class ExactPostgresClient(PostgresClient):
    """Loads CSV, which dlt makes of Arrow batches, without altering it."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Return what loads one file."""
        job = super().create_load_job(table, file_path, load_id, restore)
        return ExactCopyJob(file_path) if isinstance(job, PostgresCsvCopyJob) else job


class ExactPostgres(postgres):
    """Postgres, with every value as it was sent."""

    @property
    def client_class(self) -> type[PostgresClient]:
        """The client that loads CSV exactly."""
        return ExactPostgresClient
