"""What a ledger says, and what can be done to it: rows of the sync table, leases of loads under way, findings."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Protocol

from hauser_dlt.ledger import load_ids
from hauser_dlt.windows import MOMENT, Window, uncovered

LOADS = "_dlt_loads"
"""dlt's list of the loads that are complete."""


def pending_name(sync_table: str) -> str:
    """Return the name of the table or folder of leases."""
    return f"{sync_table}_pending"


@dataclass(frozen=True, slots=True)
class SyncRow:
    """One row of the sync table.

    Attributes:
        start: None in rows that the Go hauser wrote.
        load_id: None likewise.
        complete: dlt has noted that the whole load arrived. Only then does the load own the window.
        ahead: it tells of the future (`is_ahead`), so that nothing owns the window.
    """

    start: datetime | None
    end: datetime
    load_id: str | None
    complete: bool
    events: int | None = None
    processed: datetime | None = None
    ahead: bool = False

    @property
    def owns(self) -> bool:
        """Whether its load owns the window."""
        return self.complete and not self.ahead

    @property
    def window(self) -> Window:
        """The interval that the row stands for; of unknown length for the Go hauser's rows."""
        return Window(self.start or self.end, self.end)

    @property
    def age(self) -> float:
        """What puts loads in order, oldest first."""
        return load_ids.number(self.load_id)


@dataclass(frozen=True, slots=True)
class Lease:
    """What a load holds from before it brings anything until it is finalized; heartbeats renew it.

    Attributes:
        interval: what the load is to fill.
        process: the process that loads, as `process_id.this` calls it.
        seen_at: its last heartbeat.
        complete: all of the load has arrived.
        heartbeats: how many there have been, where they are counted: a clock can be put back meanwhile.
    """

    load_id: str
    interval: Window
    process: str | None
    seen_at: datetime
    complete: bool
    heartbeats: int = 1


@dataclass(slots=True)
class Sent:
    """What a load package sends to the destination.

    Attributes:
        interval: where all its windows and events begin.
        windows: each with the number of its events.
    """

    interval: Window
    windows: dict[Window, int] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """How many there are."""
        return sum(self.windows.values())

    def note(self, first: datetime | None, last: datetime | None) -> None:
        """Have the interval include some events."""
        if first and last:
            first, last = (moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (first, last))
            self.interval = Window(min(self.interval.start, first), max(self.interval.end, last + MOMENT))


CLOCKS_DIFFER = timedelta(minutes=5)
"""By how much the clocks of machines that load may differ, without one of them being refused."""
FIRST_YEAR = datetime(2000, 1, 1, tzinfo=UTC)  # before there was any FullStory
LAST_YEAR = datetime(9000, 1, 1, tzinfo=UTC)  # what drivers can still read


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with the sync table and what stands beside it.

    Attributes:
        malformed: how many rows no load can have written.
        future: how many rows end in the future, or were written by a clock that was ahead.
        until: the end of the last of these.
        lost: how many events complete loads have brought, where the export table has none at all.
    """

    malformed: int = 0
    future: int = 0
    until: datetime | None = None
    lost: int = 0

    def warnings(self, table: str) -> Iterator[str]:
        """Yield what to tell, and what to do about it."""
        if self.malformed:
            yield (
                f"{table} has {_rows(self.malformed)} that no load can have written (without times, twice the same,"
                " ending before it starts, or before 2000); they count for nothing, delete them"
            )
        if self.future:
            until = f", the last of them at {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
            yield (
                f"{table} has {_rows(self.future)} of the future{until}: somebody wrote them, or a run whose clock was"
                " ahead; their windows count as not loaded and are loaded when it is time, delete the rows"
            )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def is_well_formed(row: SyncRow) -> bool:
    """Tell whether a load can have written a row at any time. The Go hauser's rows tell less of themselves."""
    return FIRST_YEAR <= (row.start or FIRST_YEAR) < row.end


def is_ahead(row: SyncRow, now: datetime) -> bool:
    """Tell whether a row ends in the future, or was written by a clock that was ahead."""
    written = row.processed if row.load_id else None
    return row.end > now + CLOCKS_DIFFER or (written is not None and written > datetime.now(UTC) + CLOCKS_DIFFER)


def superseded(rows: Iterable[SyncRow]) -> list[SyncRow]:
    """Return the rows whose windows have been loaded again since: the newest load owns a window.

    Args:
        rows: of complete loads. A row that newer ones cover in part only is not among those returned.
    """
    newest_first = sorted(rows, key=lambda row: row.age, reverse=True)
    older: list[SyncRow] = []
    newer: list[Window] = []
    for _, load in groupby(newest_first, key=lambda row: row.age):
        members = list(load)
        older += [row for row in members if not any(uncovered(_at_least_a_moment(row), newer))]
        newer += [row.window for row in members]
    return older


def _at_least_a_moment(row: SyncRow) -> Window:
    return Window(row.start or row.end - MOMENT, row.end)


class Leases(Protocol):
    """The loads that are under way, or whose process died before it had finalized them."""

    def acquire(self, load_id: str, interval: Window) -> None:
        """Note that a load begins, so that it is found should its process die. Missing tables are made first.

        Raises:
            LoadError: what was noted has not arrived.
        """

    def renew(self, load_id: str, interval: Window) -> None:
        """Send a heartbeat: the load is still alive."""

    def pending(self) -> list[Lease]:
        """Return the leases of loads that are not complete, as they are at this moment."""


class Cleanup(Protocol):
    """Removes what no load owns, or what must not be owned."""

    def remove(self, load_ids: Collection[str]) -> None:
        """Remove all rows or files of some loads."""

    def clear(self, gaps: Iterable[Window]) -> None:
        """Remove the events of windows that no load owns."""

    def delete_future_rows(self) -> None:
        """Remove the sync rows that loads have written of the future, lest they count once it has come."""

    def delete_legacy_rows(self, since: datetime, until: datetime | None = None) -> None:
        """Remove the Go hauser's events from `since` on, where it may have died in the middle of a window."""

    def finalize(self, load_id: str | None = None) -> None:
        """Remove what complete loads have superseded, then their leases: of one load, or of all.

        Raises:
            TransientError: the load's lease has expired, and another run removed it. What was left of it is removed.
        """


class Ledger(Protocol):
    """The sync table and dlt's list of loads, as they are at the destination now."""

    @property
    def leases(self) -> Leases:
        """Those of loads under way."""

    @property
    def cleanup(self) -> Cleanup:
        """What removes."""

    def connected(self) -> AbstractContextManager[None]:
        """Keep one connection for all that is asked inside."""

    def findings(self) -> Findings:
        """Return what is wrong."""

    def first(self) -> datetime | None:
        """Return where the oldest window begins that a load owns."""

    def last(self, until: datetime) -> datetime | None:
        """Return the end of the newest window that a complete load owns and that ends by `until`."""

    def legacy_sync_point(self) -> datetime | None:
        """Return the end of the newest window that the Go hauser loaded."""

    def owned(self, interval: Window) -> list[Window]:
        """Return the windows in an interval that a complete load owns; those beside it may be among them."""

    def rows(self, within: Window | None = None) -> list[SyncRow]:
        """Return the sync table, oldest window first: all of it, or the rows that touch an interval."""

    def is_complete(self, load_id: str) -> bool:
        """Tell whether all of a load has arrived whose state dlt has restored."""

    def expand_to_boundaries(self, interval: Window) -> Window:
        """Return an interval with all of each window that it touches; or of each load, where those go as a whole."""

    def expand_to_damaged_loads(self, interval: Window) -> Window:
        """Return an interval with all windows of loads that go as a whole, because they lost one in the interval."""

    def orphaned_loads(self, interval: Window, begun_before: datetime | None) -> list[str]:
        """Return the ids of loads that never became complete and have no lease.

        Args:
            interval: those that touch it are returned.
            begun_before: those, too, that began before this, wherever they are; not in warehouses.
        """

    def newest_load(self, interval: Window) -> float:
        """Return the highest load id, as `load_ids.number` has it, of those that a load into `interval` must exceed."""
