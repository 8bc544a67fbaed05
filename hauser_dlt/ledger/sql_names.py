"""What the tables of the ledger and their columns are called in SQL.

Beside the sync table stands one with the suffix `_pending`, of leases: a row for each heartbeat of each load that is
under way, or whose process died. It is empty between runs.
"""

from dataclasses import dataclass
from typing import Any

from dlt.common.schema.utils import new_table

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.fields import EVENT_START, LOAD_ID, ROW_WINDOW
from hauser_dlt.ledger.model import LOADS, pending_name
from hauser_dlt.records.tables import Table, Tables


def pending_table(sync_table: str) -> Any:
    """Return the schema of the table of leases."""
    columns: list[Any] = [{"name": name, "data_type": "text"} for name in ("load_id", "runner")]
    columns += [{"name": name, "data_type": "timestamp"} for name in ("window_start", "window_end", "seen_at")]
    return new_table(pending_name(sync_table), write_disposition="append", columns=columns)


@dataclass(frozen=True, slots=True)
class Names:
    """Identifiers as they stand in statements: quoted, tables with their dataset, columns as the tables spell them.

    Attributes:
        export: the table of events.
        event_load: the load that brought an event.
        event_window: the start of the window that brought it.
        sync: the table of windows.
        sync_load: the load that owns a window.
        pending: the table of leases.
        loads: dlt's list of complete loads.
        load_id: a column of the last two.
    """

    export: str
    event_start: str
    event_load: str
    event_window: str
    sync: str
    start: str
    end: str
    events: str
    processed: str
    sync_load: str
    pending: str
    loads: str
    load_id: str
    runner: str
    window_start: str
    window_end: str
    seen_at: str
    status: str
    schema_name: str
    inserted_at: str
    schema_version_hash: str

    @classmethod
    def of(cls, client: Any, settings: SourceSettings, tables: Tables) -> "Names":
        """Return the names at a destination.

        Args:
            client: dlt's of SQL.
        """
        table, column = client.make_qualified_table_name, client.escape_column_name

        def spelled(there: Table, name: str) -> str:
            return str(column(there.spelled(name)))

        own = ("load_id", "runner", "window_start", "window_end", "seen_at")
        dlts = ("status", "schema_name", "inserted_at", "schema_version_hash")
        return cls(
            export=table(settings.export_table),
            event_start=spelled(tables.export, EVENT_START),
            event_load=spelled(tables.export, LOAD_ID),
            event_window=spelled(tables.export, ROW_WINDOW),
            sync=table(settings.sync_table),
            start=spelled(tables.sync, "BundleStartTime"),
            end=spelled(tables.sync, "BundleEndTime"),
            events=spelled(tables.sync, "EventCount"),
            processed=spelled(tables.sync, "Processed"),
            sync_load=spelled(tables.sync, LOAD_ID),
            pending=table(pending_name(settings.sync_table)),
            loads=table(LOADS),
            **{name: column(name) for name in (*own, *dlts)},
        )
