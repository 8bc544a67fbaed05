"""Destinations: what dlt is told about each, and how its ledger is read."""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import dlt
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.destinations.impl.bigquery.bigquery_adapter import PARTITION_EXPIRATION_DAYS_HINT
from dlt.destinations.sql_client import WithSqlClient

from hauser_dlt.access import Access
from hauser_dlt.configuration import Configuration, find
from hauser_dlt.destinations import duckdb
from hauser_dlt.destinations.address import refuse_ambiguous
from hauser_dlt.destinations.files import LAYOUT, extension_of
from hauser_dlt.destinations.folder import UNWRITABLE, Folder
from hauser_dlt.destinations.guarded import Arrivals, guard
from hauser_dlt.destinations.staging import Staging
from hauser_dlt.errors import ConfigError
from hauser_dlt.ledger import Ledger, Sent
from hauser_dlt.ledger.files import FilesLedger
from hauser_dlt.ledger.sql import LOADS, SqlLedger, pending_name, pending_table
from hauser_dlt.machine import refuse_unwritable
from hauser_dlt.places import database_file, local_path, place
from hauser_dlt.resources import names_of
from hauser_dlt.settings import RunSettings, SourceSettings
from hauser_dlt.tables import PERHAPS_TEXT, Table, Tables
from hauser_dlt.windows import DAY

__all__ = ["Target", "target"]

_ALSO: dict[str, Any] = {"real": "double", "FLOAT": "double"}  # of Postgres and Redshift; of DuckDB
_TEXTS = ("text", "character", "character varying", "varchar", "bpchar", "name", "string")
_PERHAPS_TEXT = ("json", "user-defined")  # of Postgres: CustomVars may stand in the first, `citext` is of the second
_EXTRAS = ("bigquery", "postgres", "redshift")  # see pyproject.toml


class _Types(dict[str, str]):
    """A destination's types -> dlt's. What dlt does not know, it takes for text; here it keeps its own name."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return dlt's type."""
        name = key.lower().partition("(")[0]
        if key in self or name in _TEXTS:
            return super().get(key, default)
        return PERHAPS_TEXT if name in _PERHAPS_TEXT else name


@dataclass(frozen=True, slots=True)
class Target:
    """Where to load.

    Attributes:
        into_files: the destination holds files, which we write ourselves.
        place: what users recognize it by, without credentials.
        staging: the bucket by way of which it is loaded, if any.
        arrivals: how to make sure that what a load sends has arrived, where SQL can ask.
    """

    destination: Destination[Any, Any]
    dataset_name: str
    into_files: bool
    place: str
    staging: Staging | None = None
    arrivals: Arrivals = field(default_factory=dict)

    def tables(self, pipeline: dlt.Pipeline, read: SourceSettings) -> Tables:
        """Return the export and the sync table as they are now, and which of all tables are missing."""
        if self.into_files:
            return Tables()
        needed = [read.export_table, read.sync_table, *_beside(read)]
        with pipeline.destination_client() as client:
            storage: Any = client
            storage.type_mapper.dbt_to_sct = _Types(_ALSO | storage.type_mapper.dbt_to_sct)
            found = dict(storage.get_storage_tables(needed))
            present = found.get(read.export_table, {})
            bigquery = isinstance(self.destination, dlt.destinations.bigquery)
            by_ingestion = bool(present and bigquery and storage.is_by_ingestion(read.export_table))
            folded = not storage.capabilities.has_case_sensitive_identifiers
        export = Table.of(present, folded=folded, by_ingestion=by_ingestion)
        missing = frozenset(name for name in needed if not found.get(name))
        return Tables(export, Table.of(found.get(read.sync_table, {}), folded=folded), missing)

    def access(self, pipeline: dlt.Pipeline, tables: Collection[str], *, staging: bool = False) -> Access | None:
        """Return what the destination's catalog says of our rights, and of some tables; None if we cannot ask it.

        Args:
            staging: ask for the dataset by way of which dlt merges rows.
        """
        if self.into_files:
            return None
        with pipeline.destination_client() as client, ExitStack() as elsewhere:
            storage: Any = client
            if staging:
                elsewhere.enter_context(storage.sql_client.with_staging_dataset())
            if isinstance(self.destination, dlt.destinations.duckdb):
                return duckdb.access(storage, tables)
            found: Access | None = storage.access(tables) if hasattr(storage, "access") else None
            return found

    def ledger(self, pipeline: dlt.Pipeline, read: SourceSettings, tables: Tables, now: datetime) -> Ledger:
        """Return the ledger of a pipeline to this destination; what lies after `now` counts for nothing."""
        if self.into_files:
            return FilesLedger(pipeline, read.export_table, read.sync_table, now)
        return SqlLedger(pipeline, read, tables, now)

    def make_sure(self, ledger: Ledger, load_id: str, sent: Sent | None) -> None:
        """Let a load not become complete unless all that was sent has arrived."""
        if sent and isinstance(ledger, SqlLedger):
            self.arrivals[load_id] = partial(ledger.make_sure_of, sent, load_id)

    def at_hand(self, ledger: Ledger) -> AbstractContextManager[None]:
        """Keep DuckDB's file open, which takes longer than a small load; others may lose a connection by waiting."""
        return ledger.connected() if isinstance(self.destination, dlt.destinations.duckdb) else nullcontext()

    def refuse_unwritable(self, client: Any) -> bool:
        """Make sure that files of this machine can be written to; return whether the destination is on it at all.

        Raises:
            ConfigError: they cannot.
        """
        if folder := local_path(self.place):
            refuse_unwritable(folder, UNWRITABLE)
            return True
        if isinstance(self.destination, dlt.destinations.duckdb):
            client.refuse_unwritable()
            return True
        return False

    def adapt(self, source: Any, config: Configuration, tables: Tables) -> None:
        """Tell a dlt source what this destination needs to know of its tables."""
        if self.into_files:
            if "fs_sync" in source.resources:
                source.resources["fs_sync"].apply_hints(file_format="jsonl")
            return
        source.schema.update_table(pending_table(config.source.sync_table))
        if isinstance(self.destination, dlt.destinations.bigquery) and "fs_export" in source.resources:
            from hauser_dlt.destinations.bigquery import BY_INGESTION

            hints: dict[str, Any] = {BY_INGESTION: tables.export.by_ingestion}
            if not tables.export.columns and config.run.partition_expiration:
                hints[PARTITION_EXPIRATION_DAYS_HINT] = config.run.partition_expiration / DAY
            source.resources["fs_export"].apply_hints(additional_table_hints=hints)

    def keep_days(self, pipeline: dlt.Pipeline, config: Configuration) -> None:
        """Have BigQuery drop the days of an existing table when the settings say so; without a setting it is let be."""
        if isinstance(self.destination, dlt.destinations.bigquery) and config.run.partition_expiration:
            with pipeline.destination_client() as client:
                storage: Any = client
                storage.expire(config.source.export_table, config.run.partition_expiration)


def _beside(read: SourceSettings) -> list[str]:
    """Return the tables beside events and windows: dlt's own, and those that the settings want."""
    snapshots = {read.individuals_table: read.individuals, read.segments_table: read.segments}
    dlts = [LOADS, "_dlt_version", "_dlt_pipeline_state"]
    return [pending_name(read.sync_table), *dlts, *(table for table, wanted in snapshots.items() if wanted)]


def target(run: RunSettings, read: SourceSettings, *, reading: bool = False) -> Target:
    """Return the destination that the settings name.

    Args:
        reading: it will not be changed; what is not there is not made, and taken for empty.

    Raises:
        ConfigError: dlt knows no such destination, or it lacks a setting.
    """
    if run.destination == "filesystem" or run.storage_only:
        return _filesystem(run, reading=reading)
    try:
        destination: Any = Destination.from_reference(run.destination)
        has_tables = issubclass(destination.client_class, WithSqlClient)
    except UnknownDestinationModule:
        raise ConfigError(
            f"destination = {run.destination!r}: dlt has no such destination;"
            " duckdb, filesystem, postgres, redshift and bigquery are some"
        ) from None
    except ImportError as exc:
        package = "hauser-dlt" if run.destination in _EXTRAS else "dlt"
        raise ConfigError(
            f"destination = {run.destination!r}: its driver is not installed (no {exc.name});"
            f" pip install '{package}[{run.destination}]'"
        ) from None
    if not has_tables:
        raise ConfigError(f"destination = {run.destination!r}: it holds neither files nor tables that SQL can ask")
    if isinstance(destination, dlt.destinations.duckdb):
        destination = _duckdb(run, reading=reading)
    if reading and isinstance(destination, dlt.destinations.ducklake):
        from hauser_dlt.destinations.ducklake_file import only_read  # needs a driver that others do without

        only_read(destination)
    refuse_ambiguous(run.destination)
    names_of(destination).refuse(read, run.dataset_name)
    destination, dataset = _exact(destination, run, read)
    staged = run.staging or isinstance(destination, dlt.destinations.redshift)
    staging = Staging(_bucket_url()) if staged else None
    arrivals: Arrivals = {}
    guard(destination, arrivals)
    return Target(destination, dataset, False, f"{run.destination}, dataset {dataset}", staging, arrivals)


def _exact(destination: Any, run: RunSettings, read: SourceSettings) -> tuple[Any, str]:
    """Return our own kind of a destination where dlt's would lose something, and the dataset's name."""
    # each needs a driver that others do without
    if isinstance(destination, dlt.destinations.postgres):
        from hauser_dlt.destinations.postgres import ExactPostgres

        return ExactPostgres(destination_name=run.destination), run.dataset_name
    if isinstance(destination, dlt.destinations.redshift):
        from hauser_dlt.destinations.redshift import SEARCH_PATH, ExactRedshift

        redshift = ExactRedshift(destination_name=run.destination)
        named = run.dataset_name != SEARCH_PATH
        return redshift, run.dataset_name if named else redshift.schema_on_search_path(read.export_table)
    if isinstance(destination, dlt.destinations.bigquery):
        from hauser_dlt.destinations.bigquery import ExactBigQuery

        return ExactBigQuery(destination_name=run.destination), run.dataset_name
    return destination, run.dataset_name


def _duckdb(run: RunSettings, *, reading: bool) -> Any:
    """Return DuckDB, with its file as all spellings of it mean it.

    Raises:
        ConfigError: it is no file, or bears the dataset's name.
    """
    from hauser_dlt.destinations.duckdb_file import see_to_file  # needs a driver, as those above

    section = ("destination", run.destination)
    found = find("credentials", *section, hide=True)
    inner = found is None or isinstance(found[0], Mapping)
    named = find("database", *section, "credentials", hide=True) if inner else found
    given = _database(*named) if named else ""
    if Path(given or f"{run.pipeline_name}.duckdb").stem.lower() == run.dataset_name.lower():
        raise ConfigError(
            "a DuckDB file must not be named like its dataset: change dataset_name, or the name of"
            f" {given or f'{run.pipeline_name}.duckdb'}"
        )
    credentials: Any = None
    if given:
        credentials = {**(found[0] if found else {}), "database": given} if inner else given
    destination: Any = Destination.from_reference(run.destination, credentials=credentials)
    see_to_file(destination, reading=reading)
    return destination


def _database(spelled: Any, where: str) -> str:
    try:
        return database_file(spelled if isinstance(spelled, str) else "")
    except ValueError as exc:
        shown = "(hidden)" if "@" in str(spelled) else repr(spelled)
        raise ConfigError(f"credentials of DuckDB = {shown} (from {where}): allowed is {exc}") from None


def _bucket_url() -> str:
    """Return the folder or bucket of files, as the one URL that all spellings of it mean.

    Raises:
        ConfigError: it is not set, or no place.
    """
    found = find("bucket_url", "destination", "filesystem")
    if found is None or not str(found[0]).strip():
        raise ConfigError(
            "bucket_url is missing: set it under [destination.filesystem] to a folder, or to a bucket such as s3://name/path"
        )
    try:
        return place(found[0] if isinstance(found[0], str) else "")
    except ValueError as exc:
        shown = "(hidden)" if "@" in str(found[0]) else repr(found[0])
        raise ConfigError(f"bucket_url = {shown} (from {found[1]}): allowed is {exc}") from None


def _filesystem(run: RunSettings, *, reading: bool) -> Target:
    url = _bucket_url()
    folder = local_path(url)
    if folder and not reading:
        refuse_unwritable(folder, UNWRITABLE)
    destination = Folder(
        bucket_url=url,
        destination_name="filesystem",
        layout=LAYOUT,
        extra_placeholders={"ext": extension_of(run.file_format)},
        enable_dataset_name_normalization=False,
        warn_unsafe_layout_separators=False,
    )
    return Target(destination, run.dataset_name, True, url)
