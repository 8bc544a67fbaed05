"""What both of FullStory's export APIs have in common: bundles, each the events of one window."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from hauser_dlt.windows import Window


@dataclass(frozen=True, slots=True)
class Bundle:
    """The export of one window.

    Attributes:
        window: the interval of events it covers.
        id: FullStory's id of a legacy bundle; -1 for segment exports, as in hauser's sync table.
    """

    window: Window
    id: int = -1


class Exports(Protocol):
    """A way to learn what there is to load, and to fetch it.

    Attributes:
        final: whether a bundle that is there is finished: nothing waits for its events to age, nor is it loaded
            again when they have.
    """

    final: bool

    def account(self) -> dict[str, Any]:
        """Return the key's account, as today's API tells it."""

    def compare_clocks(self) -> None:
        """Make sure that this machine's clock agrees with FullStory's.

        Raises:
            ClockError: it does not.
        """

    def bundles(self, interval: Window, loaded: Iterable[Window], now: datetime) -> Iterator[Bundle]:
        """Yield, oldest first, the bundles of an interval that are ready and not loaded."""

    def covered(self, interval: Window, loaded: Iterable[Window]) -> Window:
        """Return what of an interval is known to be complete, once these windows are loaded."""

    def ready_until(self, now: datetime) -> datetime:
        """Return the moment up to which there may be bundles."""

    def ready_at(self, end: datetime) -> datetime:
        """Return the moment at which what ends then may be ready."""

    def next_ready(self, now: datetime) -> datetime:
        """Return the moment at which to look for the next bundle."""

    def at_once(self) -> int:
        """Return how many bundles may be fetched at the same time, at present."""

    def fetch(self, bundle: Bundle, path: Path) -> None:
        """Write FullStory's file of a bundle, as it was sent, to `path`.

        Raises:
            TransientError: FullStory does not answer; nothing is wrong with the bundle.
            ExportError: this bundle cannot be had.
            AccessError: the key is not allowed to.
        """

    def release(self, bundle: Bundle) -> None:
        """The bundle is loaded: nothing needs to be remembered of it."""
