"""What hauser-dlt needs of a destination: one class for each kind, chosen once, by `adapter_for`."""

from collections.abc import Collection
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Literal, Self

import dlt
from dlt.common.destination import Destination

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations.access import Access
from hauser_dlt.destinations.address import refuse_ambiguous
from hauser_dlt.destinations.capabilities import text_limit
from hauser_dlt.destinations.folder import bucket_url
from hauser_dlt.destinations.guarded import Arrivals, guard
from hauser_dlt.destinations.names import names_of
from hauser_dlt.destinations.staging import Staging
from hauser_dlt.ledger import Ledger, Sent
from hauser_dlt.ledger.model import LOADS, pending_name
from hauser_dlt.ledger.sql import SqlLedger
from hauser_dlt.ledger.sql_names import pending_table
from hauser_dlt.records.tables import PERHAPS_TEXT, Table, Tables

_ALSO: dict[str, Any] = {"real": "double", "FLOAT": "double"}  # of Postgres and Redshift; of DuckDB
_TEXTS = ("text", "character", "character varying", "varchar", "bpchar", "name", "string")
_PERHAPS_TEXT = ("json", "user-defined")  # of Postgres: CustomVars may stand in the first, `citext` is of the second


class _Types(dict[str, str]):
    """A destination's types -> dlt's. What dlt does not know, it takes for text; here it keeps its own name."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return dlt's type."""
        name = key.lower().partition("(")[0]
        if key in self or name in _TEXTS:
            return super().get(key, default)
        return PERHAPS_TEXT if name in _PERHAPS_TEXT else name


class DestinationAdapter:
    """A destination of tables that SQL can ask; subclasses say what is different at theirs.

    Attributes:
        holds_files: it holds files, which we write ourselves.
        reload_unit: what can be taken away at a time: a window, or only all of a load.
        needs_staging: it can be loaded by way of a bucket only.
        destination: dlt's.
        place: what users recognize it by, without credentials.
        staging: the bucket by way of which it is loaded, if any.
        arrivals: load -> what makes sure that all of it has arrived.
    """

    holds_files: ClassVar[bool] = False
    reload_unit: ClassVar[Literal["window", "load"]] = "window"
    needs_staging: ClassVar[bool] = False

    def __init__(
        self, destination: Destination[Any, Any], dataset_name: str, place: str, staging: Staging | None = None
    ) -> None:
        self.destination = destination
        self.dataset_name = dataset_name
        self.place = place
        self.staging = staging
        self.arrivals: Arrivals = {}

    @classmethod
    def of(cls, run: RunSettings, settings: SourceSettings, *, reading: bool) -> Self:
        """Return the destination that the settings name.

        Args:
            reading: it will not be changed; what is not there is not made, and taken for empty.

        Raises:
            ConfigError: it lacks a setting, or cannot hold a name.
        """
        destination = cls.make(run, reading=reading)
        refuse_ambiguous(run.destination)
        names_of(destination).refuse(settings, run.dataset_name)
        dataset = cls.dataset(destination, run, settings)
        staging = Staging(bucket_url()) if run.staging or cls.needs_staging else None
        adapter = cls(destination, dataset, f"{run.destination}, dataset {dataset}", staging)
        guard(destination, adapter.arrivals)
        return adapter

    @classmethod
    def make(cls, run: RunSettings, *, reading: bool) -> Any:
        """Return dlt's destination, or our own kind of it where dlt's would lose something."""
        return Destination.from_reference(run.destination)

    @classmethod
    def dataset(cls, destination: Any, run: RunSettings, settings: SourceSettings) -> str:
        """Return the dataset's name."""
        return run.dataset_name

    def inspect(self, pipeline: dlt.Pipeline, settings: SourceSettings) -> Tables:
        """Return the export and the sync table as they are now, and which of all tables are missing."""
        needed = [settings.export_table, settings.sync_table, *_beside(settings)]
        with pipeline.destination_client() as client:
            storage: Any = client
            storage.type_mapper.dbt_to_sct = _Types(_ALSO | storage.type_mapper.dbt_to_sct)
            found = dict(storage.get_storage_tables(needed))
            present = found.get(settings.export_table, {})
            by_ingestion = bool(present) and self.is_by_ingestion(storage, settings.export_table)
            folded = not storage.capabilities.has_case_sensitive_identifiers
        export = Table.of(present, folded=folded, by_ingestion=by_ingestion)
        missing = frozenset(name for name in needed if not found.get(name))
        return Tables(export, Table.of(found.get(settings.sync_table, {}), folded=folded), missing)

    def is_by_ingestion(self, _storage: Any, _table: str) -> bool:
        """Tell whether a table is partitioned by the day of loading, not by a column."""
        return False

    def access(self, pipeline: dlt.Pipeline, tables: Collection[str], *, staging: bool = False) -> Access | None:
        """Return what the destination's catalog says of our rights, and of some tables; None if we cannot ask it.

        Args:
            staging: ask for the dataset by way of which dlt merges rows.
        """
        with pipeline.destination_client() as client, ExitStack() as elsewhere:
            storage: Any = client
            if staging:
                elsewhere.enter_context(storage.sql_client.with_staging_dataset())
            return self.read_access(storage, tables)

    def read_access(self, storage: Any, tables: Collection[str]) -> Access | None:
        """Return the same, of a client that is connected."""
        found: Access | None = storage.access(tables) if hasattr(storage, "access") else None
        return found

    def ledger(self, pipeline: dlt.Pipeline, settings: SourceSettings, tables: Tables, now: datetime) -> Ledger:
        """Return the ledger of a pipeline to this destination; what lies after `now` counts for nothing."""
        return SqlLedger(pipeline, settings, tables, now)

    def make_sure(self, ledger: Ledger, load_id: str, sent: Sent | None) -> None:
        """Let a load not become complete unless all that was sent has arrived."""
        if sent and isinstance(ledger, SqlLedger):
            self.arrivals[load_id] = partial(ledger.verify_arrival, sent, load_id)

    def kept_open(self, pipeline: dlt.Pipeline) -> AbstractContextManager[None]:
        """Keep what takes long to open open for some steps that follow each other at once."""
        return nullcontext()

    def at_hand(self, _ledger: Ledger) -> AbstractContextManager[None]:
        """Keep connected from one package to the next, where that pays; others may lose a connection by waiting."""
        return nullcontext()

    def refuse_unwritable(self, _client: Any) -> bool:
        """Make sure that files of this machine can be written to; return whether the destination is on it at all.

        Raises:
            ConfigError: they cannot.
        """
        return False

    def prepare(self, source: Any, config: Configuration, _tables: Tables) -> None:
        """Tell a dlt source what this destination needs to know of its tables."""
        source.schema.update_table(pending_table(config.source.sync_table))

    def text_limit(self, _config: Configuration) -> int | None:
        """Return how many bytes of text a column takes at the most; None is any number."""
        return text_limit(self.destination)

    def keep_days(self, pipeline: dlt.Pipeline, config: Configuration) -> None:
        """Have days expire that are older than the settings say, where the destination can do that by itself."""


def _beside(settings: SourceSettings) -> list[str]:
    """Return the tables beside events and windows: dlt's own, and those that the settings want."""
    snapshots = {settings.individuals_table: settings.individuals, settings.segments_table: settings.segments}
    dlts = [LOADS, "_dlt_version", "_dlt_pipeline_state"]
    return [pending_name(settings.sync_table), *dlts, *(table for table, wanted in snapshots.items() if wanted)]
