"""The leases of loads, as rows of a table."""

import re
from datetime import UTC, datetime

import tenacity

from hauser_dlt.error_codes import codes
from hauser_dlt.fields import SCHEMA_NAME
from hauser_dlt.ledger import process_id
from hauser_dlt.ledger.model import Lease, pending_name
from hauser_dlt.ledger.sql_arrival import differing
from hauser_dlt.ledger.sql_inspection import Inspection
from hauser_dlt.ledger.sql_tables import SqlTables, in_utc
from hauser_dlt.redaction import chain
from hauser_dlt.windows import Window

# Of Postgres and Redshift, which say it in the server's language, and of BigQuery; the others say it in English.
_MADE_ELSEWHERE = {"23505", "40001", "40P01", "42701", "42710", "42P06", "42P07", "55P03", "duplicate"}
_SAID = re.compile("already exists|duplicate|concurrent|conflict", re.IGNORECASE)


def is_made_elsewhere(exc: BaseException) -> bool:
    """Tell whether an error says that another run has made, or is making, the same table or column."""
    told = {code for error in chain(exc) for code in codes(error)}
    return bool(told & _MADE_ELSEWHERE or _SAID.search(str(exc)))


# Backfills that begin at the same moment make the same tables and columns: all but one are told that they exist.
_together = tenacity.Retrying(
    retry=tenacity.retry_if_exception(is_made_elsewhere),
    stop=tenacity.stop_after_attempt(8),
    wait=tenacity.wait_random(0.05, 0.5),
    reraise=True,
)


class SqlLeases:
    """See `Leases`. Rows are only added: of updates, warehouses let one at a time touch a table."""

    def __init__(self, tables: SqlTables, inspection: Inspection) -> None:
        self._tables = tables
        self._inspection = inspection
        self._made: str | None = None  # the version of the schema whose tables and columns have been made

    def acquire(self, load_id: str, interval: Window) -> None:
        """See `Leases`."""
        t = self._tables
        if self._made != (version := t.pipeline.default_schema.stored_version_hash):
            _together(self._make_tables)
            t.sync_is_marked = t.export_is_marked = t.has_pending = True
            self._made = version
        with t.connected():
            self.renew(load_id, interval)
            ((arrived,),) = t.execute(f"SELECT COUNT(*) FROM {t.names.pending} WHERE {t.names.load_id} = %s", load_id)
        if not arrived:  # nothing has been loaded yet
            raise differing(pending_name(t.settings.sync_table), load_id, 1, 0)

    def renew(self, load_id: str, interval: Window) -> None:
        """See `Leases`."""
        n = self._tables.names
        self._tables.execute(
            f"INSERT INTO {n.pending} ({n.load_id}, {n.runner}, {n.window_start}, {n.window_end}, {n.seen_at})"
            " VALUES (%s, %s, %s, %s, %s)",
            load_id,
            process_id.this(),
            interval.start,
            interval.end,
            datetime.now(UTC),
        )

    def _make_tables(self) -> None:
        """Make what is missing; dlt by itself does not look for tables once it has noted that it made them."""
        t, n = self._tables, self._tables.names
        lacked_loads, complete = self._inspection.lacks_loads, self._inspection.complete
        with t.pipeline.destination_client() as client:
            client.initialize_storage()
            client.update_stored_schema(force=bool(t.found.missing))
        if lacked_loads:
            t.execute(
                f"INSERT INTO {n.loads}"
                f" ({n.load_id}, {n.schema_name}, {n.status}, {n.inserted_at}, {n.schema_version_hash})"
                f" SELECT c.{n.load_id}, %s, 0, %s, %s FROM ({complete}) c",
                SCHEMA_NAME,
                datetime.now(UTC),
                t.pipeline.default_schema.stored_version_hash,
            )
            self._inspection.lacks_loads = False

    def pending(self) -> list[Lease]:
        """See `Leases`."""
        self._tables.known_leases = None
        return [lease for lease in self.all() if not lease.complete]

    def all(self) -> list[Lease]:
        """Return the leases of all loads that are not finalized; while connected, the table is read once."""
        if self._tables.known_leases is not None:
            return self._tables.known_leases
        n = self._tables.names
        found = self._tables.query(
            f"SELECT p.{n.load_id}, MIN(p.{n.window_start}), MAX(p.{n.window_end}), MAX(p.{n.runner}),"
            f" MAX(p.{n.seen_at}), MAX(CASE WHEN c.{n.load_id} IS NOT NULL THEN 1 ELSE 0 END), COUNT(*)"
            f" FROM {n.pending} p LEFT JOIN ({self._inspection.complete}) c ON c.{n.load_id} = p.{n.load_id}"
            f" GROUP BY p.{n.load_id}"
        )
        leases = [
            Lease(load_id, Window(in_utc(start), in_utc(end)), process, in_utc(seen_at), bool(complete), heartbeats)
            for load_id, start, end, process, seen_at, complete, heartbeats in found
        ]
        if self._tables.is_connected:
            self._tables.known_leases = leases
        return leases

    def release(self, load_id: str) -> None:
        """Remove the lease of a load."""
        n = self._tables.names
        self._tables.query(f"DELETE FROM {n.pending} WHERE {n.load_id} = %s", load_id)
        self._tables.known_leases = None
