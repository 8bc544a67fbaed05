"""Before the first run: is the key good, can the destination be written, do existing tables fit?"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import dlt

from hauser_dlt.configuration import Configuration
from hauser_dlt.destinations import Target
from hauser_dlt.errors import AccessError, LoadError
from hauser_dlt.fields import CUSTOM_VARS, LOAD_ID, ROW_WINDOW, Kind
from hauser_dlt.settings import SourceSettings
from hauser_dlt.source import SYNC_COLUMNS, client, declared_kinds
from hauser_dlt.stopping import Stopping
from hauser_dlt.sync import Sync, translated

_DLT_TYPES: dict[Kind, str] = {
    "text": "text",
    "any": "text",
    "int": "bigint",
    "int32": "bigint",
    "float": "double",
    "bool": "bool",
    "timestamp": "timestamp",
}
_PROBE = "_hauser_dlt_check"


def check(config: Configuration) -> Iterator[tuple[str, str]]:
    """Yield (what was looked at, what was found), as far as all is well. Nothing of the user's is changed.

    Raises:
        HauserError: the first thing that is not.
    """
    step, delay = (
        length.total_seconds() / 3600 for length in (config.source.export_duration, config.source.export_delay)
    )
    yield "settings", f"windows of {step:g} h, settled for {delay:g} h"
    with Stopping() as stopping:
        yield "fullstory", _account(config.source, stopping)
        with Sync.open(config, stopping.pause) as sync:
            yield "destination", _writable(sync.pipeline, sync.target)
            yield from _tables(sync, config.source)
            plan = sync.plan(datetime.now(UTC))
            yield "next run", f"{len(plan.bundles)} windows from {plan.stretch.start:%Y-%m-%d %H:%M} UTC"


def _account(read: SourceSettings, stopping: Stopping) -> str:
    asking = client(read, stopping.pause)
    if read.api == "data_export":
        asking.request("GET", "/export/list", params={"start": int(datetime.now(UTC).timestamp())})
        return "the key can list data exports"
    account = asking.me()
    role = str(account.get("role", ""))
    if role == "USER":
        raise AccessError("the key's role is USER; exports need a key of the Architect role or above")
    return f"organisation {account.get('orgId')}, key of role {role}"


def _writable(pipeline: dlt.Pipeline, target: Target) -> str:
    with translated(), pipeline.destination_client() as destination:
        if not destination.is_storage_initialized():
            if target.place.startswith("file:"):
                _refuse_read_only(Path(url2pathname(urlsplit(target.place).path)))
            return f"{target.place}: reachable; would be created"
        if target.into_files:
            files: Any = destination
            probe = files.pathlib.join(files.dataset_path, _PROBE)
            files.fs_client.pipe_file(probe, b"")
            files.fs_client.rm_file(probe)
        else:
            with pipeline.sql_client() as sql:
                name = sql.make_qualified_table_name(_PROBE)
                sql.execute_sql(f"CREATE TABLE {name} (probe INT)")
                sql.execute_sql(f"DROP TABLE {name}")
    return f"{target.place}: reachable and writable"


def _refuse_read_only(folder: Path) -> None:
    present = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(present, os.W_OK):
        raise LoadError(f"{present} cannot be written to; choose another bucket_url or change its permissions")


def _tables(sync: Sync, read: SourceSettings) -> Iterator[tuple[str, str]]:
    if sync.target.into_files:
        return
    expected = {name: _DLT_TYPES[kind] for name, kind in declared_kinds(read).items()}
    expected |= {CUSTOM_VARS: "text", LOAD_ID: "text", ROW_WINDOW: "timestamp"}
    sync_columns = {name: column["data_type"] for name, column in SYNC_COLUMNS.items() if name != "_dlt_id"}
    with translated(), sync.pipeline.destination_client() as destination:
        storage: Any = destination
        names = [read.export_table, read.sync_table]
        present = dict(storage.get_storage_tables(names)) if storage.is_storage_initialized() else {}
    for table, columns in zip(names, (expected, sync_columns), strict=True):
        yield table, _compared(table, columns, present.get(table) or {})


def _compared(table: str, expected: dict[str, str], present: dict[str, Any]) -> str:
    if not present:
        return f"would be created with {len(expected)} columns"
    kinds = {name.lower(): column.get("data_type") for name, column in present.items()}
    for name, kind in expected.items():
        if kinds.get(name.lower(), kind) != kind:
            raise LoadError(
                f"column {name} of table {table} is of type {kinds[name.lower()]}, but {kind} is needed;"
                " rename it or the table"
            )
    missing = [name for name in expected if name.lower() not in kinds]
    return f"fits; would get the columns {', '.join(missing)}" if missing else "fits"
