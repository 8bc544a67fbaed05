"""What is wrong with the tables, and which loads are complete.

In `_dlt_loads`, dlt gives a load the status 0 once all of it has arrived.
"""

from datetime import UTC, datetime
from functools import cached_property

from hauser_dlt.ledger.model import CLOCKS_DIFFER, FIRST_YEAR, LAST_YEAR, LOADS, Findings
from hauser_dlt.ledger.sql_tables import SqlTables, utc

Condition = tuple[str, list[datetime]]
"""A condition on a row `s` of the sync table, and its arguments."""


class Inspection:
    """What one question tells of the tables, asked when it is needed.

    Args:
        now: what lies after it counts for nothing.
    """

    def __init__(self, tables: SqlTables, now: datetime) -> None:
        self._tables = tables
        self._now = now

    @property
    def findings(self) -> Findings:
        """What is wrong."""
        return self._found[0]

    @cached_property
    def lacks_loads(self) -> bool:
        """Whether `_dlt_loads` has been dropped or emptied, so that it tells nothing of the loads that there are."""
        return self._tables.sync_is_marked and (LOADS in self._tables.found.missing or not self._found[1])

    @property
    def leased(self) -> str:
        """The query for the ids of loads that have a lease."""
        n = self._tables.names
        return f"SELECT {n.load_id} FROM {n.pending} WHERE {n.load_id} IS NOT NULL"

    @property
    def without_lease(self) -> str:
        """The condition that the load of a row `s` has no lease."""
        n = self._tables.names
        return f" AND s.{n.sync_load} NOT IN ({self.leased})" if self._tables.has_pending else ""

    @property
    def complete(self) -> str:
        """The query for the ids of complete loads.

        Without `_dlt_loads`, those are complete that have no lease, since it goes last. If the leases are gone, too,
        those whose events are all there.
        """
        n = self._tables.names
        if not self.lacks_loads:
            return f"SELECT DISTINCT {n.load_id} FROM {n.loads} WHERE {n.status} = 0"
        rows = f"FROM {n.sync} WHERE {n.sync_load} IS NOT NULL"
        if self._tables.has_pending:
            return f"SELECT DISTINCT {n.sync_load} AS {n.load_id} {rows} AND {n.sync_load} NOT IN ({self.leased})"
        counted = f"SELECT {n.sync_load}, SUM({n.events}) AS told {rows} GROUP BY {n.sync_load}"
        if not self._tables.export_is_marked:
            return f"SELECT c.{n.sync_load} AS {n.load_id} FROM ({counted}) c WHERE COALESCE(c.told, 0) = 0"
        there = f"SELECT {n.event_load}, COUNT(*) AS events FROM {n.export} GROUP BY {n.event_load}"
        return (
            f"SELECT c.{n.sync_load} AS {n.load_id} FROM ({counted}) c LEFT JOIN ({there}) e"
            f" ON e.{n.event_load} = c.{n.sync_load} WHERE COALESCE(c.told, 0) = COALESCE(e.events, 0)"
        )

    def ahead(self, row: str = "s.") -> Condition:
        """Return the condition that a row tells of the future. See `is_ahead`.

        Args:
            row: what stands before its columns.
        """
        n = self._tables.names
        condition = f"({row}{n.end} > %s OR ({row}{n.sync_load} IS NOT NULL AND {row}{n.processed} > %s))"
        written = self._tables.as_sync_has("Processed", datetime.now(UTC) + CLOCKS_DIFFER)
        return condition, [self._tables.end_time(self._now + CLOCKS_DIFFER), written]

    @cached_property
    def _found(self) -> tuple[Findings, bool]:
        """What is wrong, and whether there is any load in `_dlt_loads`."""
        t = self._tables
        if not t.sync_is_marked:
            return Findings(), True
        n = t.names
        ahead, moments = self.ahead()
        malformed, before = self._malformed()
        # Snowflake takes IN with a query in WHERE alone
        leased = f"SELECT DISTINCT {n.load_id} AS lease FROM {n.pending} WHERE {n.load_id} IS NOT NULL"
        leases = f" LEFT JOIN ({leased}) p ON p.lease = s.{n.sync_load}" if t.has_pending else ""
        twice = f"SELECT 1 AS one FROM {n.sync} GROUP BY {n.start}, {n.end}, {n.sync_load} HAVING COUNT(*) > 1"
        ((bad, future, until, brought, duplicates, loads, events),) = t.execute(
            f"SELECT SUM(CASE WHEN {malformed} THEN 1 ELSE 0 END), SUM(CASE WHEN {ahead} THEN 1 ELSE 0 END),"
            f" MAX(CASE WHEN {ahead} AND s.{n.end} < %s THEN s.{n.end} END),"
            f" SUM(CASE WHEN s.{n.sync_load} IS NOT NULL{' AND p.lease IS NULL' if t.has_pending else ''}"
            f" THEN s.{n.events} ELSE 0 END), (SELECT COUNT(*) FROM ({twice}) d), {self._any(n.loads, LOADS)},"
            f" {self._any(n.export, t.settings.export_table)} FROM {n.sync} s{leases}",
            *before,
            *moments,
            *moments,
            t.end_time(LAST_YEAR),
        )
        lost = 0 if events else int(brought or 0)
        return Findings(int(bad or 0) + duplicates, int(future or 0), utc(until), lost), bool(loads)

    def _malformed(self) -> Condition:
        """Return the condition that no load can have written a row. See `is_well_formed`."""
        n, sync = self._tables.names, self._tables.found.sync
        condition = (
            f"(s.{n.end} IS NULL OR s.{n.end} < %s OR s.{n.start} < %s"
            f" OR (s.{n.sync_load} IS NOT NULL AND s.{n.start} IS NULL)"
        )
        ends = ("BundleEndTime", "BundleStartTime")
        comparable = len({(sync.column(name) or {}).get("timezone") is False for name in ends}) == 1
        condition += f" OR s.{n.start} >= s.{n.end})" if comparable else ")"
        return condition, [self._tables.as_sync_has(name, FIRST_YEAR) for name in ends]

    def _any(self, table: str, name: str) -> str:
        """Return the question whether a table has rows."""
        if name in self._tables.found.missing:
            return "0"
        return f"(SELECT COUNT(*) FROM (SELECT 1 AS one FROM {table} LIMIT 1) t)"
