"""This machine's clock against FullStory's: which events are complete is told by the time."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import requests

from hauser_dlt.errors import ClockError

_TOLERANCE = timedelta(minutes=5)
_HOLDS = 60.0  # seconds for which a comparison is good


class ClockComparison:
    """Compares this machine's clock with that of each answer, and knows when it last did so."""

    def __init__(self) -> None:
        self._compared = -_HOLDS

    def holds(self) -> bool:
        """Tell whether the clocks agreed a moment ago."""
        return time.monotonic() - self._compared < _HOLDS

    def problem(self, response: requests.Response, sent: datetime) -> ClockError | None:
        """Compare the clocks; proxies that fail, or lead elsewhere, have clocks of their own."""
        status = response.status_code
        there = time_there(response.headers) if status < 300 or 400 <= status < 500 else None
        if there is None:
            return None
        here = datetime.now(UTC)
        if sent - _TOLERANCE <= there <= here + _TOLERANCE:
            self._compared = time.monotonic()
            return None
        return ClockError(
            f"the clock of this machine is {_apart(here, there)} FullStory's ({here:%Y-%m-%d %H:%M} UTC here,"
            f" {there:%Y-%m-%d %H:%M} UTC there); set it right, with NTP for instance, and run again"
        )


def time_there(headers: Mapping[str, str]) -> datetime | None:
    """Return what time it was where an answer comes from, when it came (RFC 9110, 6.6.1; of a cache: RFC 9111, 5.1)."""
    try:
        made = parsedate_to_datetime(headers["Date"])
        age = timedelta(seconds=int(headers.get("Age", "0")))
        return (made if made.tzinfo else made.replace(tzinfo=UTC)).astimezone(UTC) + age
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _apart(here: datetime, there: datetime) -> str:
    minutes = round(abs(here - there).total_seconds() / 60)
    length = (
        f"{minutes} min" if minutes < 180 else f"{minutes // 60} h" if minutes < 2 * 1440 else f"{minutes // 1440} days"
    )
    return f"{length} {'ahead of' if here > there else 'behind'}"
