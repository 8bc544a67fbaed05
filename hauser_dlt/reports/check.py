"""Before the first run: is the key good, can the destination be written, do existing tables fit?"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import dlt

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations import DestinationAdapter
from hauser_dlt.error_mapping import translated
from hauser_dlt.errors import AccessError, ExportError, LoadError
from hauser_dlt.exports import Client, DataExports, roles
from hauser_dlt.exports.segment_exports import EVERYONE
from hauser_dlt.exports.segments import segment
from hauser_dlt.fields import SYNC_KINDS, Kind
from hauser_dlt.records.tables import Table
from hauser_dlt.source.connections import api_client, client, replays_begin
from hauser_dlt.source.schema import export_kinds
from hauser_dlt.sync import Sync
from hauser_dlt.sync.fitness import Fitness

_WRITABLE = {
    True: "reachable and writable",
    False: "reachable; whether the loader's user may write there was not tried",
}


def check(config: Configuration, pause: Callable[[float], None], *, shared: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (what was looked at, what was found), as far as all is well. Nothing of the user's is changed.

    Args:
        pause, shared: see `Sync.open`.

    Raises:
        HauserError: the first thing that is not.
    """
    yield "settings", _schedule(config.source)
    with Sync.open(config, pause, reading=True, shared=shared) as sync:
        fitness = _fitness(sync)  # before FullStory is asked, as in a run
        today = api_client(config.source, pause)
        yield "fullstory", _account(config.source, today, pause)
        yield from _segment(config.source, today)
        if begin := replays_begin(config.source, today.me):
            yield "replays", f"{begin}..."
        yield "destination", _writable(sync.pipeline, sync.target, fitness)
        if staging := sync.target.staging:
            with translated():
                yield "staging", f"{staging.url}: {_WRITABLE[staging.may_be_changed()]}"
        if fitness:
            yield from _tables(sync, config.source, fitness)
        yield from _next_run(sync)


def _next_run(sync: Sync) -> Iterator[tuple[str, str]]:
    plan = sync.plan(datetime.now(UTC))
    if plan.lost:
        raise LoadError(plan.lost)
    with translated():
        sync.newest_load(plan.interval)
    for warning in plan.warnings:
        yield "sync rows", warning
    yield "next run", f"{len(plan.bundles)} windows from {plan.interval.start:%Y-%m-%d %H:%M} UTC"


def _schedule(read: SourceSettings) -> str:
    if read.api == "data_export":
        return "the windows of FullStory's bundles, each loaded once it is listed"
    step, delay = (length.total_seconds() / 3600 for length in (read.export_duration, read.export_delay))
    return f"windows of {step:g} h, exported {delay:g} h after their end"


def _account(read: SourceSettings, today: Client, pause: Callable[[float], None]) -> str:
    if read.api == "data_export":
        DataExports(client(read, pause), read, today).page(datetime.now(UTC))
        return "the key can list data exports"
    account = today.me()
    roles.refuse_too_low(account)
    doubt = roles.doubt(account)
    return (
        f"organisation {account.get('orgId')}, key of role {roles.role_of(account) or '(none)'}{doubt and f'; {doubt}'}"
    )


def _segment(read: SourceSettings, today: Client) -> Iterator[tuple[str, str]]:
    if read.api == "data_export" or read.segment_id == EVERYONE:
        return
    try:
        name = segment(today, read)
    except (AccessError, ExportError) as exc:  # exports may be allowed all the same
        yield "segment", f"{read.segment_id}; whether it exists could not be looked up ({exc})"
    else:
        yield "segment", f"{read.segment_id} ({name})"


def _fitness(sync: Sync) -> Fitness | None:
    """Return the destination as it is found, where it is not files; refuse what a run would refuse."""
    if sync.target.holds_files:
        return None
    with translated():
        sync.inspect()
        fitness = sync.fitness()
    fitness.refuse()
    return fitness


def _writable(pipeline: dlt.Pipeline, target: DestinationAdapter, fitness: Fitness | None) -> str:
    with translated(), pipeline.destination_client() as destination:
        made, local = destination.is_storage_initialized(), target.refuse_unwritable(destination)
        if not made and (local or not target.holds_files):
            return f"{target.place}: reachable; would be created"
        told = not fitness or fitness.access is not None
        if target.holds_files and not local:
            bucket: Any = destination
            told = bucket.fs_client.may_be_changed(bucket.dataset_path)
    return f"{target.place}: {_WRITABLE[told]}{'' if made else '; nothing is there yet'}"


def _tables(sync: Sync, read: SourceSettings, fitness: Fitness) -> Iterator[tuple[str, str]]:
    kinds = {read.export_table: export_kinds(read), read.sync_table: {**SYNC_KINDS, "_dlt_id": "text"}}
    for name, table in ((read.export_table, sync.tables.export), (read.sync_table, sync.tables.sync)):
        yield name, "; ".join((*_compared(kinds[name], table, fitness), *fitness.remarks(name)))
    for name in fitness.needs.keys() - kinds:
        if noted := "; ".join(fitness.remarks(name)):
            yield name, noted


def _compared(kinds: dict[str, Kind], table: Table, fitness: Fitness) -> Iterator[str]:
    if not table.columns:
        yield f"would be created with {len(kinds)} columns"
        return
    yield "fits"
    if missing := table.lacks(kinds):
        yield f"would get the columns {', '.join(missing)}"
    if former := {field: table.spelled(field) for field in kinds if table.spelled(field).lower() != field.lower()}:
        yield ", ".join(f"{field} goes into {column}" for field, column in former.items())
    if narrow := table.narrow():
        yield ", ".join(f"{column} takes {length:,} bytes of text" for column, length in narrow.items())
    if fitness.access is None and (needy := table.others_that_need_a_value(kinds)):
        yield f"{', '.join(needy)} must have a default, being NOT NULL"
    if table.by_ingestion:
        yield "each event goes into the partition of its day"
