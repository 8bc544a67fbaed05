"""Tables of a lakehouse in a folder or bucket: dlt makes load packages, what they hold is committed in one piece.

dlt commits each table of a package by itself, and appends. Here the commit of the events replaces what their windows
had, and is what owns them; see `ledger.lakehouse`.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Self

import dlt
import pyarrow as pa
from dlt.common.destination.client import LoadJob
from dlt.common.libs.pyarrow import get_column_type_from_py_arrow
from dlt.destinations.job_impl import FinalizedLoadJob

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.places import AZURE
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations.files import FilesAdapter
from hauser_dlt.destinations.folder import Folder, FolderClient
from hauser_dlt.destinations.guarded import guard
from hauser_dlt.destinations.traits import Traits
from hauser_dlt.errors import ConfigError
from hauser_dlt.ledger import Ledger, Sent
from hauser_dlt.ledger.file_index import FileIndex
from hauser_dlt.ledger.lakehouse import LakehouseLedger
from hauser_dlt.records.tables import Table, Tables
from hauser_dlt.windows import DAY


class LakehouseClient(FolderClient):
    """Leaves the tables to the commits; dlt's own are files, as they are beside any files."""

    def get_load_job_class(self, table: Any, file_path: str) -> type[LoadJob]:
        """Return the class of jobs that do nothing: the files are committed when all of them are there."""
        return FinalizedLoadJob


class LakehouseFolder(Folder):
    """A folder or bucket of tables."""

    traits = Traits("filesystem", rows_as="parquet", batches_as="parquet", merges=False)

    @property
    def client_class(self) -> type[LakehouseClient]:
        """The client."""
        return LakehouseClient


class LakehouseAdapter(FilesAdapter):
    """Tables of one format in a folder or bucket.

    Attributes:
        table: returns the table of a name, of dlt's client of files.
        expires_after: how long files are kept that no version of a table has any more; 0 is for ever.
    """

    holds_files = False
    reload_unit = "window"
    kind = LakehouseFolder
    table: ClassVar[type[Any]]

    @classmethod
    def of(cls, run: RunSettings, settings: SourceSettings, *, reading: bool) -> Self:
        """Return the folder or bucket that the settings name; see `DestinationAdapter`."""
        for name in ("individuals", "segments"):
            if getattr(settings, name):
                raise ConfigError(f'{name} = true: not with table_format = "{run.table_format}", which has events only')
        if timedelta(0) < run.expire_snapshots < DAY:
            raise ConfigError('expire_snapshots: at least "24h", since what loads are writing is in no snapshot yet')
        adapter = super().of(run, settings, reading=reading)
        if run.table_format == "iceberg" and adapter.place.startswith(AZURE):
            raise ConfigError(
                'table_format = "iceberg": not on Azure, where no test has shown that commits are safe; set'
                " bucket_url under [destination.filesystem] to a folder or another bucket, or have files without one"
            )
        adapter.expires_after = run.expire_snapshots
        return adapter

    def __init__(self, destination: Any, dataset_name: str, place: str) -> None:
        super().__init__(destination, dataset_name, place)
        self.expires_after = timedelta(0)
        guard(destination, self.arrivals)

    def inspect(self, pipeline: dlt.Pipeline, settings: SourceSettings) -> Tables:
        """Return the export and the sync table as they are now."""
        client: Any = pipeline.destination_client()
        names = (settings.export_table, settings.sync_table)
        export, sync = (self.table(client, name).schema() for name in names)
        if not export and not sync:
            self._refuse_files(client, *names)
        missing = frozenset(name for name, schema in zip(names, (export, sync), strict=True) if not schema)
        return Tables(_table(export), _table(sync), missing)

    def _refuse_files(self, client: Any, export_table: str, sync_table: str) -> None:
        """Make sure that no files of another format are where the tables are to be: some day they would be removed.

        Raises:
            ConfigError: there are.
        """
        listing = FileIndex(client, export_table, sync_table).inspect()
        if listing.events.names or listing.syncs.names:
            raise ConfigError(
                f"{self.place} holds files of another table_format; set bucket_url under [destination.filesystem] to"
                " another folder"
            )

    def ledger(self, pipeline: dlt.Pipeline, settings: SourceSettings, tables: Tables, now: datetime) -> Ledger:
        """Return the ledger of the tables."""
        return LakehouseLedger(self.table, pipeline, settings, tables, now, self.expires_after)

    def make_sure(self, ledger: Ledger, load_id: str, sent: Sent | None) -> None:
        """Have a load become complete by the commit of its events."""
        if sent and isinstance(ledger, LakehouseLedger):
            self.arrivals[load_id] = partial(ledger.commit, sent, load_id)

    def access(self, pipeline: dlt.Pipeline, tables: Collection[str], *, staging: bool = False) -> None:
        """Return nothing: there is no catalog."""

    def prepare(self, source: Any, _config: Configuration, _tables: Tables) -> None:
        """Leave the tables as they are."""


def _table(schema: pa.Schema) -> Table:
    columns = {
        field.name: {"nullable": field.nullable, **get_column_type_from_py_arrow(field.type)} for field in schema
    }
    return Table.of(columns)
