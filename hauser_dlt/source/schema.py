"""The schema of the source: its naming, and the columns of the export table."""

from dataclasses import replace

import dlt

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations.names import names_of
from hauser_dlt.exports.segment_exports import requested
from hauser_dlt.fields import (
    CUSTOM_VARS,
    LOAD_ID,
    MOBILE,
    ROW_WINDOW,
    SCHEMA_NAME,
    SELECTOR_TOKENS,
    SESSION_REPLAY_URL,
    Kind,
    canonical,
    column_of,
)
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.tables import Table
from hauser_dlt.source.resources import active_destination

# dlt's relational normalizer, but names as FullStory spells them: people's SQL goes on working.
SCHEMA = dlt.Schema(
    SCHEMA_NAME,
    normalizers={"names": "sql_cs_v1", "json": {"module": "dlt.common.normalizers.json.relational"}},
)


def declared_kinds(settings: SourceSettings) -> dict[str, Kind]:
    """Return the fields that are columns from the first run on: known ones, and those that the settings add."""
    return {**requested(settings), **settings.extra_fields}


def as_table_has(settings: SourceSettings, table: Table) -> SourceSettings:
    """Return the settings that have FullStory asked for what the table has columns of, as hauser asked for it."""
    return replace(settings, include_selector_tokens=True) if table.column(SELECTOR_TOKENS) else settings


def export_kinds(settings: SourceSettings) -> dict[str, Kind]:
    """Return all columns of the export table that are there from the first run on, bookkeeping included."""
    custom = {column_of(name): kind for name, kind in settings.custom_columns.items()}
    links: dict[str, Kind] = {SESSION_REPLAY_URL: "text"} if settings.session_replay_url else {}
    return {
        **declared_kinds(settings),
        CUSTOM_VARS: "text",
        **custom,
        **links,
        LOAD_ID: "text",
        ROW_WINDOW: "timestamp",
    }


def table_columns(settings: SourceSettings, table: Table) -> Columns:
    """Return the export table's columns: declared ones, and those that earlier runs have found."""
    kinds = declared_kinds(settings)
    names = names_of(active_destination())
    names.refuse(settings)
    declared = {name.lower() for name in export_kinds(settings)}
    earlier = dlt.current.source_schema().tables.get(settings.export_table, {"columns": {}})["columns"]
    for name in earlier:
        # with an underscore, it was the column of a custom variable
        if canonical(name).lower() not in declared and "_" not in name and names.takes(name) and table.fits_new(name):
            kinds[name] = MOBILE.get(name) or table.kind_of_new(name)
    custom: dict[str, Kind] = {
        name: "any" if kind == "text" else kind for name, kind in settings.custom_columns.items()
    }
    return Columns(
        kinds,
        grow=settings.new_fields == "columns",
        new=table.kind_of_new,
        custom=custom,
        replays=settings.session_replay_url,
        drops=settings.denylist(declared_kinds(settings)).drops,
        takes=names.takes,
        fits=table.fits_new,
        numbers=table.numbers,
    )
