"""Waiting for operations: one list tells of all that run at once; those that it does not show are asked for by id.

FullStory's list (https://developer.fullstory.com/server/v1/operations/list-operations/) has the rows of all operations,
ongoing and completed, at most 100 a page. How long finished ones are listed, and in which order, is not documented, so
the list of those that are PENDING is asked for: it is short, and what it shows is not done. What it does not show may
be done, or not listed yet: that FullStory is asked for by its id.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ClockError, ExportFailedError, HauserError, StoppedError, TransientError, UnfinishedError
from hauser_dlt.exports.client import Client
from hauser_dlt.exports.operations import PENDING
from hauser_dlt.exports.pagination import pages

logger = logging.getLogger(__name__)

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 10.0
_MOST_ROWS = 500  # of which the list is read: other exports of the account can run, too
_MOST_MISSES = 3  # times that the list did not show what was not done, until it is of no use


class Polls:
    """Waits for operations, several at the same time."""

    def __init__(self, client: Client, settings: SourceSettings) -> None:
        self._client = client
        self._timeout = settings.export_timeout.total_seconds()
        self._usual = 0.0  # seconds that the last export took
        self._waiting: set[str] = set()
        self._lock = threading.Lock()
        self._pending = _PendingList(
            lambda query: client.request("GET", "/operations/v1", promised="operations", or_none=True, params=query)
        )

    def finished(self, operation: str, *, new: bool) -> dict[str, Any]:
        """Poll, ever more slowly, until FullStory has finished or given up; return what it says of the operation.

        Args:
            new: it has just been begun.

        Raises:
            ExportFailedError: FullStory gave up.
            MissingError: FullStory does not know the operation.
            UnfinishedError: it is not done by the deadline.
        """
        begin = looked = time.monotonic()
        pause, slowing = 0.0, _FIRST_PAUSE
        with self._among(operation):
            if new and self._usual > _FIRST_PAUSE and len(self._all_waiting()) > 1:
                pause = _FIRST_PAUSE
                self._client.pause(pause)
            while True:
                row, age = self._look(operation, looked, pause)
                looked = time.monotonic() - age
                waited = looked - begin
                if row.get("state") == "COMPLETED":
                    self._usual = waited
                    return row
                if row.get("state") == "FAILED":
                    reason = self._client.one_line(row.get("errorDetails") or "without a reason")
                    raise ExportFailedError(f"FullStory gave up on the export: {reason}")
                pause = min(slowing, until_usual(waited, self._usual))
                if time.monotonic() + pause > begin + self._timeout:
                    raise UnfinishedError(
                        f"FullStory has not finished the export within {self._timeout / 60:.0f} minutes"
                    )
                self._client.pause(max(0.0, pause - age))
                slowing = min(slowing * 1.5, _LONGEST_PAUSE)

    @contextmanager
    def _among(self, operation: str) -> Iterator[None]:
        """Wait for one operation more, inside."""
        with self._lock:
            self._waiting.add(operation)
        try:
            yield
        finally:
            with self._lock:
                self._waiting.discard(operation)

    def _all_waiting(self) -> Collection[str]:
        with self._lock:
            return frozenset(self._waiting)

    def _look(self, operation: str, looked: float, pause: float) -> tuple[dict[str, Any], float]:
        """Return what FullStory says of an operation, and how many seconds ago it said so.

        Args:
            looked: when it was last looked for.
            pause: how long ago that was to be. What others have learned since then is good for half of it.
        """
        wanted = self._all_waiting()
        by_list = bool(pause) and len(wanted) > 1
        if by_list and (found := self._pending.row(operation, wanted, max(looked, time.monotonic() - pause / 2))):
            row, age = found
        else:
            row, age = self._client.request("GET", f"/operations/v1/{operation}", promised="state"), 0.0
            if by_list and row.get("state") not in ("COMPLETED", "FAILED"):
                self._pending.missed()
        logger.debug("operation %s: %s %s %%", operation, row.get("state"), row.get("estimatePctComplete"))
        return row, age


class _PendingList:
    """FullStory's list of the exports that run, asked for by one of those who wait, for all of them."""

    def __init__(self, ask: Callable[[dict[str, str]], dict[str, Any]]) -> None:
        self._ask = ask
        self._lock = threading.Lock()  # whoever comes while it is being asked for waits for it
        self._asked = float("-inf")
        self._rows: dict[str, dict[str, Any]] = {}
        self._misses = 0

    def row(self, operation: str, wanted: Collection[str], since: float) -> tuple[dict[str, Any], float] | None:
        """Return what a list says of an operation that runs, and how many seconds ago; None if it does not show it.

        Args:
            wanted: what the list need not go on after.
            since: the list must have been asked for later than that.
        """
        with self._lock:
            if self._misses >= _MOST_MISSES:
                return None
            if self._asked <= since:
                asked = time.monotonic()
                self._rows = self._listed(wanted)
                self._asked = asked
            found = self._rows.get(operation)
            if found is None:
                return None
            self._misses = 0
            return found, time.monotonic() - self._asked

    def missed(self) -> None:
        """The list did not show an operation that runs."""
        with self._lock:
            self._misses += 1

    def _listed(self, wanted: Collection[str]) -> dict[str, dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        try:
            for row in islice(pages(self._ask, PENDING, "operations"), _MOST_ROWS):
                if row.get("state") == PENDING["state"]:
                    rows[str(row.get("id"))] = row
                if rows.keys() >= set(wanted):
                    break
        except (ClockError, StoppedError):
            raise
        except HauserError as exc:  # a short cut only: what is wrong in earnest, the operation's own answer will tell
            logger.info("FullStory's running operations cannot be listed (%s)", exc)
            if not isinstance(exc, TransientError):
                self._misses = _MOST_MISSES
        return rows


def until_usual(waited: float, usual: float) -> float:
    """Return the seconds after which an export may well be ready, if it takes about as long as the last one did."""
    if waited < 0.9 * usual:
        return 0.9 * usual - waited
    return usual / 8 if waited < 1.5 * usual else _LONGEST_PAUSE


def seconds_taken(row: dict[str, Any]) -> float | None:
    """Return how long FullStory took for a finished operation, as it tells itself; None if it does not."""
    try:
        begin, end = (datetime.fromisoformat(row[key]) for key in ("createdAt", "finishedAt"))
        return max(0.0, (end - begin).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None
