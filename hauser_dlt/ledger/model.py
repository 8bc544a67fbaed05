"""What the destination says about itself: which windows are loaded, and by which load."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Protocol

from hauser_dlt.ledger import load_ids
from hauser_dlt.windows import MOMENT, Window, uncovered


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
        """The stretch that the row stands for; of unknown length for the Go hauser's rows."""
        return Window(self.start or self.end, self.end)

    @property
    def age(self) -> float:
        """What puts loads in order, oldest first."""
        return load_ids.number(self.load_id)


@dataclass(frozen=True, slots=True)
class Announcement:
    """A load that has begun.

    Attributes:
        span: the stretch that it is to fill.
        runner: the process that loads it, as `process_id.this` calls it.
        seen: its last sign of life.
        complete: all of it has arrived.
        heartbeats: how often it has given a sign of life, where that is counted: a clock can be put back meanwhile.
    """

    load_id: str
    span: Window
    runner: str | None
    seen: datetime
    complete: bool
    heartbeats: int = 1


@dataclass(slots=True)
class Sent:
    """What a load package sends to the destination.

    Attributes:
        reach: the stretch in which all its windows and events begin.
        windows: each with the number of its events.
    """

    reach: Window
    windows: dict[Window, int] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """How many there are."""
        return sum(self.windows.values())

    def note(self, first: datetime | None, last: datetime | None) -> None:
        """Have the reach include some events."""
        if first and last:
            first, last = (moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (first, last))
            self.reach = Window(min(self.reach.start, first), max(self.reach.end, last + MOMENT))


CLOCKS_DIFFER = timedelta(minutes=5)
"""By how much the clocks of machines that load may differ, without one of them being refused."""
FIRST_YEAR = datetime(2000, 1, 1, tzinfo=UTC)  # before there was any FullStory
LAST_YEAR = datetime(9000, 1, 1, tzinfo=UTC)  # what drivers can still read


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with the sync table and what stands beside it.

    Attributes:
        spoiled: how many rows no load can have written.
        future: how many rows end in the future, or were written by a clock that was ahead.
        until: the end of the last of these.
        lost: how many events complete loads have brought, where the export table has none at all.
    """

    spoiled: int = 0
    future: int = 0
    until: datetime | None = None
    lost: int = 0

    def warnings(self, table: str) -> Iterator[str]:
        """Yield what to tell, and what to do about it."""
        if self.spoiled:
            yield (
                f"{table} has {_rows(self.spoiled)} that no load can have written (without times, twice the same,"
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
    gone: list[SyncRow] = []
    newer: list[Window] = []
    for _, load in groupby(newest_first, key=lambda row: row.age):
        members = list(load)
        gone += [row for row in members if not any(uncovered(_at_least_a_moment(row), newer))]
        newer += [row.window for row in members]
    return gone


def _at_least_a_moment(row: SyncRow) -> Window:
    return Window(row.start or row.end - MOMENT, row.end)


class Ledger(Protocol):
    """The sync table and dlt's list of loads, as they are at the destination now."""

    def connected(self) -> AbstractContextManager[None]:
        """Keep one connection for all that is asked inside."""

    def findings(self) -> Findings:
        """Return what is wrong."""

    def forget_future(self) -> None:
        """Remove the sync rows that loads have written of the future, lest they count once it has come."""

    def first(self) -> datetime | None:
        """Return where the oldest window begins that a load owns."""

    def last(self, until: datetime) -> datetime | None:
        """Return the end of the newest window that a complete load owns and that ends by `until`."""

    def inherited(self) -> datetime | None:
        """Return the end of the newest window that the Go hauser loaded."""

    def disinherit(self, since: datetime, until: datetime | None = None) -> None:
        """Remove the Go hauser's events from `since` on, where it may have died in the middle of a window."""

    def owned(self, stretch: Window) -> list[Window]:
        """Return the windows in a stretch that a complete load owns; those beside it may be among them."""

    def rows(self, within: Window | None = None) -> list[SyncRow]:
        """Return the sync table, oldest window first: all of it, or the rows that touch a stretch."""

    def is_complete(self, load_id: str) -> bool:
        """Tell whether all of a load has arrived whose state dlt has restored."""

    def whole(self, stretch: Window) -> Window:
        """Return a stretch with all of each window that it touches, or of each load, where that is what can go."""

    def widened(self, stretch: Window) -> Window:
        """Return a stretch with all windows of those loads that must go as a whole, because they lost one in it."""

    def orphans(self, scope: Window, old_before: datetime | None) -> list[str]:
        """Return the ids of loads that never became complete and are not announced.

        Args:
            scope: those that touch it are returned.
            old_before: those, too, that began before this, wherever they are; not in warehouses.
        """

    def remove(self, load_ids: Collection[str]) -> None:
        """Remove all rows or files of some loads."""

    def clear(self, gaps: Iterable[Window]) -> None:
        """Remove the events of windows that no load owns."""

    def announce(self, load_id: str, span: Window) -> None:
        """Note that a load begins, so that it is found should it die; again and again, that it is still alive."""

    def announced(self) -> list[Announcement]:
        """Return the loads that have begun, as they are noted now, and are not complete."""

    def newest_load(self, interval: Window) -> float:
        """Return the highest load id, as `load_ids.number` has it, of those that a load into `interval` must exceed."""

    def settle(self, load_id: str | None = None) -> None:
        """Remove what complete loads have superseded, and forget their notes: those of one load, or of all.

        Raises:
            TransientError: another run has taken the load for dead. What the other left of it is removed.
        """
