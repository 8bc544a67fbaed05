"""Operations of this account that run already: found again where nothing on this machine remembers them.

FullStory's list of operations, as documented, does not say what they export
(https://developer.fullstory.com/server/v1/operations/), and to take another's export for ours would load wrong events
under a good name. So an operation is ours only where its row holds our request, word for word; else it is let be.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from hauser_dlt.errors import ClockError, HauserError, StoppedError
from hauser_dlt.exports.pagination import pages

logger = logging.getLogger(__name__)

PENDING = {"type": "SEARCH_EXPORT", "state": "PENDING"}
"""The query for the exports that run."""


class Running:
    """Looks for the running operation of a request.

    Args:
        ask: (query) -> FullStory's answer to GET /operations/v1.
    """

    def __init__(self, ask: Callable[[dict[str, str]], dict[str, Any]]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._rows: list[dict[str, Any]] | None = None

    def operation(self, request: dict[str, Any]) -> str | None:
        """Return the id of the running operation that was asked for by this very request, if there is one.

        The list is asked for once, before the first export of a run, so each operation can only be older than the run.
        """
        with self._lock:
            if self._rows is None:
                self._rows = self._listed()
            for row in self._rows:
                if isinstance(row.get("id"), str) and any(_is_same(value, request) for value in row.values()):
                    self._rows.remove(row)
                    return str(row["id"])
        return None

    def look_again(self) -> None:
        """An answer of FullStory's was lost: it may have begun what was asked for."""
        with self._lock:
            self._rows = None

    def _listed(self) -> list[dict[str, Any]]:
        try:
            return list(pages(self._ask, PENDING, "operations"))
        except (ClockError, StoppedError):
            raise
        except HauserError as exc:  # a short cut only: what is wrong in earnest, the export itself will tell
            logger.info("FullStory's running operations cannot be listed (%s)", exc)
            return []


def _is_same(value: Any, request: Any) -> bool:
    """Tell whether a value is a request, key for key; times may be spelled otherwise, and empty keys are none."""
    if isinstance(value, dict) and isinstance(request, dict):
        said = {key: inner for key, inner in value.items() if inner not in (None, "", [], {})}
        return said.keys() == request.keys() and all(_is_same(said[key], request[key]) for key in request)
    return bool(value == request) or (_moment(value) is not None and _moment(value) == _moment(request))


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None
