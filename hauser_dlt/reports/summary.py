"""What a run has done, as it is counted on the way."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from hauser_dlt.errors import HauserError
from hauser_dlt.records.batches import Tally
from hauser_dlt.sync import LoadedSnapshot, Package, Plan
from hauser_dlt.windows import Window


@dataclass(slots=True)
class Summary:
    """What a run has done.

    Attributes:
        packages: the load packages that have arrived, in order.
        tables: the tables that were fetched whole and have arrived anew, individuals and segments.
        failed: windows that could not be had -> why. The next run tries them again.
        reached: up to where events are loaded without a gap, as far as the run knows; None if nothing is loaded.
        unready: what was asked for and is not ready yet, and when it will be; "" if all was.
        warnings: what is wrong with the sync table, and what to do about it.
        peak_disk: the most bytes that lay in the working folder at once, measured a few times a second.
    """

    packages: list[Package] = field(default_factory=list)
    tables: list[LoadedSnapshot] = field(default_factory=list)
    failed: dict[Window, HauserError] = field(default_factory=dict)
    reached: datetime | None = None
    unready: str = ""
    warnings: tuple[str, ...] = ()
    peak_disk: int = 0

    @property
    def events(self) -> int:
        """How many events were loaded."""
        return sum(package.events for package in self.packages)

    @property
    def windows(self) -> int:
        """How many windows were loaded, empty ones included."""
        return sum(package.windows for package in self.packages)

    @property
    def mismatches(self) -> Counter[str]:
        """Field -> number of values that did not fit their column, and stand in `CustomVars` instead."""
        return self.tally.mismatches

    @property
    def tally(self) -> Tally:
        """What was noticed about the rows of all packages."""
        total = Tally()
        for package in self.packages:
            total.add(package.tally)
        return total


class Collecting:
    """A `Report` that fills a summary.

    Attributes:
        so_far: what has been done up to now.
    """

    def __init__(self) -> None:
        self.so_far = Summary()

    def planned(self, plan: Plan) -> None:
        """See `Report`."""
        self.so_far.warnings = plan.warnings
        if not plan.again or not self.so_far.reached:
            self.so_far.reached = plan.reached
            self.so_far.unready = str(plan.unready or "")

    def read(self, window: Window, tally: Tally) -> None:
        """See `Report`."""

    def loaded(self, package: Package) -> None:
        """See `Report`."""
        self.so_far.packages.append(package)

    def failed(self, window: Window, error: HauserError) -> None:
        """See `Report`."""
        self.so_far.failed[window] = error

    def loaded_snapshot(self, snapshot: LoadedSnapshot) -> None:
        """See `Report`."""
        self.so_far.tables.append(snapshot)

    def done(self) -> None:
        """See `Report`."""

    def finished(self, plan: Plan) -> None:
        """See `Report`."""
