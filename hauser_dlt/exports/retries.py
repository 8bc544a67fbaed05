"""Requests tried again: when, how often, and how long to wait in between."""

import logging
from collections.abc import Callable

import tenacity

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import LinkError
from hauser_dlt.exports.http_errors import BusyError

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 60.0


def retrying(settings: SourceSettings, pause: Callable[[float], None]) -> tenacity.Retrying:
    """Return what calls a function again while FullStory is busy, or a link has expired."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((BusyError, LinkError)),
        stop=tenacity.stop_after_attempt(settings.max_retries + 1),
        wait=_Waits(settings.backoff.total_seconds()),
        sleep=pause,
        before_sleep=tenacity.before_sleep_log(logger, logging.INFO),
        reraise=True,
    )


class _Waits:
    """How long to wait before the next try: what FullStory says, else twice as long each time.

    Where an account's limit is shared, what FullStory says may be too little, time and again: others were quicker.
    """

    def __init__(self, first: float) -> None:
        self._growing = tenacity.wait_exponential(multiplier=first, max=max(first, _LONGEST_PAUSE))

    def __call__(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        growing = self._growing(state)
        if isinstance(error, BusyError) and error.retry_after:  # 0 is also a date that our clock has passed
            return max(error.retry_after, growing) if error.limited else error.retry_after
        return growing
