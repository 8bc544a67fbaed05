"""Whether all that a load sent has arrived: a trigger, a rule or a policy may have altered it."""

from contextlib import suppress
from typing import Any

from dlt.destinations.exceptions import DatabaseException

from hauser_dlt.errors import LoadError
from hauser_dlt.ledger.model import Sent
from hauser_dlt.ledger.sql_tables import SqlTables, in_utc


def verify_arrival(tables: SqlTables, sent: Sent, load_id: str, at: Any) -> None:
    """Compare what has arrived of a load with what was sent.

    Args:
        at: dlt's client of the destination, connected.

    Raises:
        LoadError: it differs.
    """
    n, settings = tables.names, tables.settings
    count, arguments = _counted(tables, sent, load_id)
    if hasattr(at, "alters_rows"):
        count = f"CASE WHEN {at.alters_rows(settings.export_table).replace('%', '%%')} THEN ({count}) END"
    found = at.sql_client.execute_sql(
        f"SELECT s.{n.start}, s.{n.end}, s.{n.events}, ({count}) FROM {n.sync} s WHERE s.{n.sync_load} = %s",
        *arguments,
        load_id,
    )
    windows = sorted((in_utc(start), in_utc(end), events) for start, end, events, _ in found if start and end)
    expected = sorted((window.start, window.end, events) for window, events in sent.windows.items())
    different = {events for *_, events in found} - {None, sent.events}
    if windows == expected and not different:
        return
    with suppress(DatabaseException):  # the next run knows where events should be, and not where they are
        tables.query(f"DELETE FROM {n.export} WHERE {n.event_load} = %s", load_id)
    if windows != expected:
        raise differing(settings.sync_table, load_id, len(expected), len(found))
    raise differing(settings.export_table, load_id, sent.events, different.pop())


def _counted(tables: SqlTables, sent: Sent, load_id: str) -> tuple[str, list[Any]]:
    """Return what counts the events of a load, and its arguments."""
    n, interval = tables.names, sent.interval
    inside, bounds = tables.within(interval)
    among = f"{n.event_load} = %s AND {n.event_window} >= %s AND {n.event_window} < %s{inside}"
    return f"SELECT COUNT(*) FROM {n.export} WHERE {among}", [load_id, interval.start, interval.end, *bounds]


def differing(table: str, load_id: str, sent: int, arrived: int) -> LoadError:
    """Return the error that something else has arrived than was sent."""
    numbers = f"{sent:,} rows were sent, and {arrived:,} arrived" if sent != arrived else "its rows are not those sent"
    return LoadError(
        f"table {table}: {numbers} (load {load_id}); a trigger, rule, policy or loading option of yours alters what is"
        " loaded: remove it, and run again, which loads these windows anew"
    )
