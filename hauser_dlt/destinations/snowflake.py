"""dlt's Snowflake destination, but with names as Snowflake folds them.

dlt would keep the case of names such as `EventStart`, so that each query would have to quote them.
"""

from functools import cached_property
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from dlt.destinations import snowflake

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations.adapter import DestinationAdapter
from hauser_dlt.destinations.folder import bucket_url
from hauser_dlt.destinations.layouts import clustered_by_day
from hauser_dlt.destinations.snowflake_names import Folding
from hauser_dlt.destinations.snowflake_stage import InternalStage
from hauser_dlt.errors import ConfigError
from hauser_dlt.ledger import Ledger
from hauser_dlt.records.tables import Tables


class ExactSnowflake(snowflake):
    """Snowflake with names as it folds them; settings as dlt's own `snowflake` has them."""

    @cached_property  # of a signature other than its own, dlt takes defaults for what a user has given
    def folding(self) -> Folding:
        """How names are stored."""
        return Folding()

    def resolve_destination_name(self, destination_name: str | None) -> str:
        """Return where its settings stand: under dlt's own name, unless another one is given."""
        return destination_name or "snowflake"

    def capabilities(self, config: Any = None, naming: Any = None) -> Any:
        """Return what dlt knows of Snowflake, but that case does not matter to names, and Parquet goes first."""
        found = super().capabilities(config, naming)
        found.has_case_sensitive_identifiers = False
        found.casefold_identifier = self.folding
        found.preferred_loader_file_format = found.preferred_staging_file_format = "parquet"  # dlt's own rows, too
        return found

    @property
    def client_class(self) -> Any:
        """The client that loads Parquet exactly; late, since it needs the driver."""
        return import_module("hauser_dlt.destinations.snowflake_client").ExactSnowflakeClient


class SnowflakeAdapter(DestinationAdapter):
    """Snowflake, by way of a stage of its own, or of a bucket."""

    @classmethod
    def make(cls, run: RunSettings, *, reading: bool) -> Any:
        """Return Snowflake, with names as it folds them.

        Raises:
            ConfigError: a bucket of Google's or Azure's has no stage.
        """
        destination = ExactSnowflake(destination_name=run.destination)
        stores = {"gs": "Google Cloud Storage", "az": "Azure", "abfs": "Azure", "abfss": "Azure"}
        if run.staging and (store := stores.get(urlsplit(bucket_url()).scheme)):
            this: Any = destination
            if not this.configuration(this.spec(), accept_partial=True).stage_name:
                raise ConfigError(
                    f"Snowflake loads from {store} by way of a stage only: set stage_name under [destination.snowflake]"
                )
        return destination

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._internal = None if self.staging else InternalStage(self.destination)
        self.staging = self.staging or self._internal

    def inspect(self, pipeline: Any, settings: SourceSettings) -> Tables:
        """Return the tables, in whatever case their names are."""
        folding: Folding = self.destination.folding  # type: ignore[attr-defined]
        found = super().inspect(pipeline, settings)
        if not found.export.columns and not found.sync.columns:
            with pipeline.destination_client() as client:
                connected: Any = client
                folding.learn_tables(connected.spellings(found.missing))
            found = super().inspect(pipeline, settings)
        for name, table in ((settings.export_table, found.export), (settings.sync_table, found.sync)):
            folding.learn(name, (str(column["name"]) for column in table.columns.values()))
        return found

    def ledger(self, pipeline: Any, *arguments: Any) -> Ledger:
        """Return the ledger, by whose connection the stage is looked after."""
        if self._internal:
            self._internal.connect = pipeline.sql_client
        return super().ledger(pipeline, *arguments)

    def prepare(self, source: Any, config: Configuration, tables: Tables) -> None:
        """Tell a dlt source how a new export table is to be clustered."""
        super().prepare(source, config, tables)
        if config.snowflake.cluster_by_day and not tables.export.columns and "fs_export" in source.resources:
            clustered_by_day(source.resources["fs_export"])
