"""Whether the destination, as it is found, can take what a run loads: `run` and `check` judge by this alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import dlt

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations import DestinationAdapter, access
from hauser_dlt.destinations.access import ADD, DELETE, READ, TRUNCATE, Access, Need
from hauser_dlt.fields import SYNC_KINDS, Kind
from hauser_dlt.ledger.model import pending_name
from hauser_dlt.ledger.sql_names import pending_table
from hauser_dlt.records.tables import Table, Tables
from hauser_dlt.source.schema import export_kinds

_KEPT = (READ, ADD, DELETE)
_DLTS_OWN = ("_dlt_loads", "_dlt_version", "_dlt_pipeline_state")


@dataclass(frozen=True, slots=True)
class Fitness:
    """The destination as it was found.

    Attributes:
        access: what its catalog says; None if we cannot ask it.
        staging: likewise, of the dataset by way of which dlt merges rows.
        needs: table -> what a run needs of it.
    """

    tables: Tables
    access: Access | None
    staging: Access | None
    needs: dict[str, Need]
    conflicts: tuple[str, ...]

    @classmethod
    def found(
        cls, target: DestinationAdapter, pipeline: dlt.Pipeline, read: SourceSettings, tables: Tables
    ) -> "Fitness":
        """Ask the destination's catalog; nothing is changed."""
        needs = _needs(read, tables)
        staging = target.access(pipeline, (), staging=True) if read.individuals else None
        conflicts = (
            *_conflicts(read.export_table, tables.export.conflicts(export_kinds(read))),
            *_conflicts(read.sync_table, tables.sync.conflicts(SYNC_KINDS)),
        )
        return cls(tables, target.access(pipeline, needs), staging, needs, conflicts)

    def refuse(self) -> None:
        """Make sure that a run can load.

        Raises:
            LoadError: names all that stands in the way.
        """
        access.refuse((*self.conflicts, *self._obstacles()))

    def _obstacles(self) -> Iterator[str]:
        if self.access:
            yield from access.obstacles(self.access, self.needs)
        if self.staging:
            yield from access.obstacles(self.staging, {"those that individuals pass through": Need()})

    def remarks(self, table: str) -> Iterator[str]:
        """Yield what is worth knowing of a table that can be loaded."""
        if self.access:
            yield from access.remarks(self.access, table, self.needs[table])


def _needs(read: SourceSettings, tables: Tables) -> dict[str, Need]:
    sync = {**SYNC_KINDS, "_dlt_id": "text"}
    grows = read.new_fields == "columns"
    found = {
        read.export_table: _need(tables.export, list(export_kinds(read)), grows=grows),
        read.sync_table: _need(tables.sync, list(sync), grows=False),
        pending_name(read.sync_table): Need(_KEPT, ours=frozenset(pending_table(read.sync_table)["columns"])),
        **dict.fromkeys(_DLTS_OWN, Need()),
    }
    if read.individuals:
        found[read.individuals_table] = Need(_KEPT)
    if read.segments:
        found[read.segments_table] = Need((READ, ADD, TRUNCATE))
    return found


def _need(table: Table, names: list[str], *, grows: bool) -> Need:
    present = (table.column(name) for name in names)
    ours = frozenset(str(column["name"]) for column in present if column)
    return Need(_KEPT, tuple(table.lacks(dict.fromkeys(names))), ours, grows)


def refuse_conflicts(name: str, kinds: Mapping[str, Kind], table: Table) -> None:
    """Make sure that the columns of a table have the types that ours need.

    Raises:
        LoadError: names those that have not.
    """
    access.refuse(tuple(_conflicts(name, table.conflicts(kinds))))


def _conflicts(table: str, found: Iterator[str]) -> Iterator[str]:
    for conflict in found:
        yield f"table {table}: column {conflict}; rename the column, or load into another table"
