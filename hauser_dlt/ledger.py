"""What the destination says about itself: which windows are loaded, and by which load."""

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hauser_dlt.windows import Window


@dataclass(frozen=True, slots=True)
class SyncRow:
    """One row of the sync table.

    Attributes:
        start: None in rows that the Go hauser wrote.
        load_id: None likewise.
        complete: dlt has noted that the whole load arrived. Only then does the load own the window.
    """

    start: datetime | None
    end: datetime
    load_id: str | None
    complete: bool
    events: int | None = None
    processed: datetime | None = None

    @property
    def window(self) -> Window:
        """The stretch that the row stands for; of unknown length for the Go hauser's rows."""
        return Window(self.start or self.end, self.end)


class Ledger(Protocol):
    """The sync table and dlt's list of loads, as they are at the destination now."""

    def connected(self) -> AbstractContextManager[None]:
        """Keep one connection for all that is asked inside."""

    def last(self, until: datetime) -> datetime | None:
        """Return the end of the newest window that a complete load owns and that ends by `until`."""

    def inherited(self) -> datetime | None:
        """Return the end of the newest window that the Go hauser loaded."""

    def disinherit(self, since: datetime) -> None:
        """Remove the Go hauser's events from `since` on: it may have died in the middle of a window."""

    def owned(self, since: datetime) -> list[Window]:
        """Return the windows after `since` that a complete load owns."""

    def rows(self) -> list[SyncRow]:
        """Return the whole sync table, oldest window first."""

    def widened(self, stretch: Window) -> Window:
        """Return a stretch with all windows of those loads that must go as a whole, because they lost one in it."""

    def dead(self, scope: Window, now: datetime) -> list[str]:
        """Return the ids of loads that never became complete, and touch `scope` or began over a day ago.

        Others may be under way: back-fills of other stretches, on other machines.
        """

    def remove(self, load_ids: Collection[str]) -> None:
        """Remove all rows or files of some loads."""

    def clear(self, gaps: Iterable[Window]) -> None:
        """Remove the events of windows that no load owns."""

    def announce(self, load_id: str, span: Window) -> None:
        """Note that a load begins, so that it is found should it die."""

    def announced(self) -> set[str]:
        """Return the ids of the loads that have begun and are not known to be complete."""

    def settle(self, load_id: str | None = None) -> None:
        """Forget the notes of a load that is complete, or of all that are."""
