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
from hauser_dlt.errors import AccessError, ExportError, LoadError
from hauser_dlt.exports import roles
from hauser_dlt.exports.people import segment
from hauser_dlt.exports.segment_exports import EVERYONE
from hauser_dlt.fields import Kind
from hauser_dlt.settings import SourceSettings
from hauser_dlt.source import SYNC_KINDS, api_client, client, export_kinds, replays_begin
from hauser_dlt.stopping import Stopping
from hauser_dlt.sync import Sync, refuse_conflicts
from hauser_dlt.tables import Table
from hauser_dlt.translation import translated

_PROBE = "_hauser_dlt_check"


def check(config: Configuration) -> Iterator[tuple[str, str]]:
    """Yield (what was looked at, what was found), as far as all is well. Nothing of the user's is changed.

    Raises:
        HauserError: the first thing that is not.
    """
    yield "settings", _schedule(config.source)
    with Stopping() as stopping:
        yield "fullstory", _account(config.source, stopping)
        yield from _segment(config.source, stopping)
        if begin := replays_begin(config.source, stopping.pause):
            yield "replays", f"{begin}..."
        with Sync.open(config, stopping.pause) as sync:
            yield "destination", _writable(sync.pipeline, sync.target)
            if staging := sync.target.staging:
                with translated():
                    staging.check()
                yield "staging", f"{staging.url}: reachable and writable"
            yield from _tables(sync, config.source)
            plan = sync.plan(datetime.now(UTC))
            yield "next run", f"{len(plan.bundles)} windows from {plan.stretch.start:%Y-%m-%d %H:%M} UTC"


def _schedule(read: SourceSettings) -> str:
    if read.api == "data_export":
        return "the windows of FullStory's bundles, each loaded once it is listed"
    step, delay = (length.total_seconds() / 3600 for length in (read.export_duration, read.export_delay))
    return f"windows of {step:g} h, settled for {delay:g} h"


def _account(read: SourceSettings, stopping: Stopping) -> str:
    if read.api == "data_export":
        since = int(datetime.now(UTC).timestamp())
        with roles.naming_role(api_client(read, stopping.pause)):
            client(read, stopping.pause).request(
                "GET", "/export/list", promised="exports", or_none=True, params={"start": since}
            )
        return "the key can list data exports"
    account = client(read, stopping.pause).me()
    roles.refuse_too_low(account)
    doubt = roles.doubt(account)
    return f"organisation {account.get('orgId')}, key of role {roles.role_of(account)}{doubt and f'; {doubt}'}"


def _segment(read: SourceSettings, stopping: Stopping) -> Iterator[tuple[str, str]]:
    if read.api == "data_export" or read.segment_id == EVERYONE:
        return
    try:
        name = segment(api_client(read, stopping.pause), read)
    except (AccessError, ExportError) as exc:  # exports may be allowed all the same
        yield "segment", f"{read.segment_id}; whether it exists could not be looked up ({exc})"
    else:
        yield "segment", f"{read.segment_id} ({name})"


def _writable(pipeline: dlt.Pipeline, target: Target) -> str:
    with translated(), pipeline.destination_client() as destination:
        made, local = destination.is_storage_initialized(), target.place.startswith("file:")
        if not made and local:
            _refuse_read_only(Path(url2pathname(urlsplit(target.place).path)))
        if not made and (local or not target.into_files):
            return f"{target.place}: reachable; would be created"
        if target.into_files:
            _probe_files(destination)
        else:
            with pipeline.sql_client() as sql:
                name = sql.make_qualified_table_name(_PROBE)
                sql.execute_sql(f"CREATE TABLE {name} (probe INT)")
                sql.execute_sql(f"DROP TABLE {name}")
    return f"{target.place}: reachable and writable{'' if made else '; nothing is there yet'}"


def _probe_files(destination: Any) -> None:
    probe = destination.pathlib.join(destination.dataset_path, _PROBE)
    destination.fs_client.pipe_file(probe, b"")
    destination.fs_client.rm_file(probe)


def _refuse_read_only(folder: Path) -> None:
    present = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(present, os.W_OK):
        raise LoadError(f"{present} cannot be written to; choose another bucket_url or change its permissions")


def _tables(sync: Sync, read: SourceSettings) -> Iterator[tuple[str, str]]:
    if sync.target.into_files:
        return
    with translated():
        sync.look()
    yield read.export_table, _compared(read.export_table, export_kinds(read), sync.tables.export)
    yield read.sync_table, _compared(read.sync_table, {**SYNC_KINDS, "_dlt_id": "text"}, sync.tables.sync)


def _compared(name: str, kinds: dict[str, Kind], table: Table) -> str:
    if not table.columns:
        return f"would be created with {len(kinds)} columns"
    refuse_conflicts(name, kinds, table)
    found = ["fits"]
    if missing := table.lacks(kinds):
        found.append(f"would get the columns {', '.join(missing)}")
    if former := {field: table.spelled(field) for field in kinds if table.spelled(field).lower() != field.lower()}:
        found.append(", ".join(f"{field} goes into {column}" for field, column in former.items()))
    if narrow := table.narrow():
        found.append(", ".join(f"{column} takes {length:,} bytes of text" for column, length in narrow.items()))
    if needy := table.others_that_need_a_value(kinds):
        found.append(f"{', '.join(needy)} must have a default, being NOT NULL")
    if table.by_ingestion:
        found.append("each event goes into the partition of its day")
    return "; ".join(found)
