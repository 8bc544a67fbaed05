"""What a run plans, loads and tells. No I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Protocol

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import HauserError, TransientError
from hauser_dlt.exports import Bundle
from hauser_dlt.ledger import Ledger
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.tables import Tables
from hauser_dlt.windows import DAY, Shard, Window, floor


@dataclass(frozen=True, slots=True)
class Seen:
    """The destination as it was when it was last inspected.

    Attributes:
        tables: the export table and the sync table.
        ledger: which windows are loaded, and by which load.
        source: the settings, by which FullStory is asked for what the tables have columns of.
    """

    tables: Tables
    ledger: Ledger
    source: SourceSettings


@dataclass(frozen=True, slots=True)
class Unready:
    """What was asked for and is not ready: when its first window will be, and all of it."""

    interval: Window
    first: datetime
    last: datetime

    def __str__(self) -> str:
        first, last = (f"{moment:%Y-%m-%d %H:%M} UTC" for moment in (self.first, self.last))
        when = f"at {first}" if first == last else f"from {first} to {last}, part by part"
        return f"{self.interval} is not ready yet; it will be {when}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Attributes:
        interval: what it is responsible for: from the sync point, or the backfill asked for.
        bundles: what is ready and not loaded, oldest first.
        ready_until: the moment up to which events are old enough.
        moves_cursor: the run goes on from the sync point, and is no backfill.
        rewound: the sync table ends before dlt's cursor, because users took rows away.
        has_legacy_rows: a Go hauser has loaded what lies before the interval.
        again: windows that are loaded already are to be loaded once more.
        warnings: what is wrong with the sync table, without standing in the way.
        lost: why nothing may be loaded: events are gone that the sync table tells of.
        begun: runs, or a Go hauser's, have loaded what lies before the interval.
        reached: up to where events are loaded once the plan is carried out; None if there are none before the bundles.
        unready: what was asked for and is not ready.
        shard: the days of the interval that are this run's; None if all are.
    """

    interval: Window
    bundles: list[Bundle]
    ready_until: datetime
    moves_cursor: bool
    rewound: bool = False
    has_legacy_rows: bool = False
    again: bool = False
    warnings: tuple[str, ...] = ()
    lost: str = ""
    begun: bool = False
    reached: datetime | None = None
    unready: Unready | None = None
    shard: Shard | None = None

    @property
    def hangs_on_clock(self) -> bool:
        """Whether a wrong clock may have made this plan what it is; not so for a run that is up to date."""
        first_run = self.moves_cursor and not self.begun
        starts_later = self.interval.start > self.ready_until
        return bool(self.bundles or self.again or self.rewound or self.warnings or first_run or starts_later)

    def refuse_unready(self, asked: datetime | None) -> None:
        """Refuse an interval that was asked for, if nothing of it is ready.

        Args:
            asked: where it starts; None if none was asked for.

        Raises:
            TransientError: when it will be.
        """
        if self.unready and asked and asked >= self.ready_until:
            raise TransientError(str(self.unready))


@dataclass(frozen=True, slots=True)
class Group:
    """Bundles of adjoining windows of one UTC day, which are loaded together.

    Attributes:
        bundles: oldest first.
        by_day: file destinations write one file for all of them, instead of one for each window.
    """

    bundles: tuple[Bundle, ...]
    by_day: bool

    @property
    def span(self) -> Window:
        """From the first window's start to the last window's end."""
        return Window(self.bundles[0].window.start, self.bundles[-1].window.end)


def groups(bundles: Iterable[Bundle], ready_until: datetime, by_day: bool | None) -> Iterator[Group]:
    """Yield the load packages: the bundles of each UTC day together, where there is no gap between their windows.

    Args:
        bundles: oldest first.
        ready_until: the end of the newest window that is ready.
        by_day: one file a day (True), a file a window (False), or the first while a day lies more than
            a day behind `ready_until` (None).
    """
    for day, members in groupby(bundles, key=lambda bundle: floor(bundle.window.start, DAY)):
        in_one = day + DAY <= ready_until - DAY if by_day is None else by_day
        for adjoining in _adjoining(members):
            yield Group(tuple(adjoining), in_one)


def _adjoining(bundles: Iterable[Bundle]) -> Iterator[list[Bundle]]:
    row: list[Bundle] = []
    for bundle in bundles:
        if row and row[-1].window.end != bundle.window.start:
            yield row
            row = []
        row.append(bundle)
    if row:
        yield row


@dataclass(frozen=True, slots=True)
class Package:
    """A load package that has arrived at the destination.

    Attributes:
        seconds: how long that took, waiting for FullStory included.
    """

    load_id: str
    span: Window
    windows: int
    events: int
    tally: Tally
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A bundle that could not be had or read; the others of its group are not touched by that."""

    bundle: Bundle
    error: HauserError


Outcome = Package | Failed
"""What became of some bundles of a group: a package of them has arrived, or one has failed."""


@dataclass(frozen=True, slots=True)
class LoadedSnapshot:
    """A table that has been loaded anew."""

    load_id: str
    table: str
    tally: Tally


class Report(Protocol):
    """Told how a run goes."""

    def planned(self, plan: Plan) -> None:
        """The windows to load are known."""

    def read(self, window: Window, tally: Tally) -> None:
        """All events of a window have been read."""

    def loaded(self, package: Package) -> None:
        """A package has arrived."""

    def failed(self, window: Window, error: HauserError) -> None:
        """A window could not be had; the run raises its error in the end."""

    def loaded_snapshot(self, snapshot: LoadedSnapshot) -> None:
        """A table that is fetched whole has arrived anew."""

    def done(self) -> None:
        """No more is done for the plan, whether all of it was loaded or not."""

    def finished(self, plan: Plan) -> None:
        """All that a plan said is loaded."""
