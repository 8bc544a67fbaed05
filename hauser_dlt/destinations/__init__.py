"""Destinations: what dlt is told about each, and how its ledger is read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dlt
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.destinations.sql_client import WithSqlClient

from hauser_dlt.configuration import find
from hauser_dlt.destinations.files import LAYOUT, FilesLedger, extension_of
from hauser_dlt.destinations.folder import Folder
from hauser_dlt.destinations.sql import SqlLedger
from hauser_dlt.errors import ConfigError
from hauser_dlt.ledger import Ledger
from hauser_dlt.settings import RunSettings, SourceSettings

__all__ = ["Target", "target"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to load.

    Attributes:
        into_files: the destination holds files, which we write ourselves.
        place: what users recognize it by, without credentials.
    """

    destination: Destination[Any, Any]
    dataset_name: str
    into_files: bool
    place: str

    def ledger(self, pipeline: dlt.Pipeline, read: SourceSettings) -> Ledger:
        """Return the ledger of a pipeline to this destination."""
        kind: Callable[..., Ledger] = FilesLedger if self.into_files else SqlLedger
        return kind(pipeline, read.export_table, read.sync_table)


def target(run: RunSettings) -> Target:
    """Return the destination that the settings name.

    Raises:
        ConfigError: dlt knows no such destination, or it lacks a setting.
    """
    if run.destination == "filesystem":
        return _filesystem(run)
    try:
        destination: Any = Destination.from_reference(run.destination)
        has_tables = issubclass(destination.client_class, WithSqlClient)
    except (UnknownDestinationModule, ImportError) as exc:
        missing = f" (install hauser-dlt[{run.destination}])" if isinstance(exc, ImportError) else ""
        raise ConfigError(
            f"destination = {run.destination!r}: dlt has no such destination{missing};"
            " duckdb, filesystem and postgres are some"
        ) from None
    if not has_tables:
        raise ConfigError(f"destination = {run.destination!r}: it holds neither files nor tables that SQL can ask")
    if isinstance(destination, dlt.destinations.postgres):
        destination = _exact_postgres(run.destination)
    if isinstance(destination, dlt.destinations.duckdb):
        _refuse_ambiguous(run)
    return Target(destination, run.dataset_name, False, f"{run.destination}, dataset {run.dataset_name}")


def _exact_postgres(name: str) -> Destination[Any, Any]:
    from hauser_dlt.destinations.postgres import ExactPostgres  # needs a driver that others do without

    return ExactPostgres(destination_name=name)


def _refuse_ambiguous(run: RunSettings) -> None:
    found = find("credentials", "destination", run.destination)
    file = str(found[0]) if found else f"{run.pipeline_name}.duckdb"
    if Path(file.removeprefix("duckdb:///")).stem.lower() == run.dataset_name.lower():
        raise ConfigError(
            f"a DuckDB file must not be named like its dataset: change dataset_name, or the name of {file}"
        )


def _filesystem(run: RunSettings) -> Target:
    found = find("bucket_url", "destination", "filesystem")
    if found is None or not str(found[0]).strip():
        raise ConfigError(
            "bucket_url is missing: set it under [destination.filesystem] to a folder, or to a bucket such as s3://name/path"
        )
    url = str(found[0]).strip()
    if url.startswith("file:") or "://" not in url:
        url = Path(url.removeprefix("file://")).resolve().as_uri()
    # The tables are to be folders right below bucket_url, so its last part takes the place of dlt's dataset.
    base, _, name = url.rstrip("/").rpartition("/")
    if not urlsplit(url).path.strip("/"):
        base, name = url.rstrip("/"), run.dataset_name
    destination = Folder(
        bucket_url=base,
        destination_name="filesystem",
        layout=LAYOUT,
        extra_placeholders={"ext": extension_of(run.file_format)},
        enable_dataset_name_normalization=False,
        warn_unsafe_layout_separators=False,
    )
    return Target(destination, name, True, url)
