"""Legacy data exports: FullStory lists its finished bundles, and each is downloaded by its id.

The API, which FullStory marks as deprecated: https://developer.fullstory.com/server/v1/exports/list-event-exports/ and
.../get-event-export/.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ExportError
from hauser_dlt.exports.bundles import Bundle
from hauser_dlt.exports.client import Client
from hauser_dlt.exports.concurrency import FixedLimit
from hauser_dlt.exports.http_errors import MissingError
from hauser_dlt.exports.rate_limiter import Limiter
from hauser_dlt.exports.roles import naming_role
from hauser_dlt.windows import Window, uncovered

_LOOK_AGAIN = timedelta(minutes=5)
_DOWNLOADS = 2  # that FullStory allows a minute; more side by side would only wear out each other's retries


class DataExports:
    """The bundles of an account, in the order and with the intervals that FullStory chose.

    FullStory lists finished bundles only, so each is loaded as soon as it is listed.

    Args:
        account: asks today's API, which alone tells the role of a key.
    """

    final = True

    def __init__(self, client: Client, settings: SourceSettings, account: Client) -> None:
        self._client = client
        self._account = account
        self._limiter = Limiter(FixedLimit(min(_DOWNLOADS, settings.concurrent_exports or _DOWNLOADS)), client.pause)

    def account(self) -> dict[str, Any]:
        """See `Exports`."""
        return self._account.me()

    def compare_clocks(self) -> None:
        """See `Exports`. The list of bundles that end after tomorrow is short."""
        path = f"/export/list?start={int(time.time()) + 86_400}"
        self._client.compare_clocks(partial(self._client.request, "GET", path, promised="", retry=False))

    def bundles(self, interval: Window, loaded: Iterable[Window], now: datetime) -> Iterator[Bundle]:
        """See `Exports`."""
        end = min(interval.end, self.ready_until(now))
        held = list(loaded)
        for bundle in self._listed(interval.start, end):
            inside = bundle.window.end <= end and bundle.window.start < bundle.window.end
            if inside and any(uncovered(bundle.window, held)):
                yield bundle

    def covered(self, interval: Window, loaded: Iterable[Window]) -> Window:
        """See `Exports`. Nobody knows of events after the last bundle's end."""
        ends = [window.end for window in loaded if window.start < interval.end]
        return Window(interval.start, max(interval.start, min(interval.end, max(ends, default=interval.start))))

    def ready_until(self, now: datetime) -> datetime:
        """See `Exports`."""
        return now

    def ready_at(self, end: datetime) -> datetime:
        """See `Exports`."""
        return end

    def next_ready(self, now: datetime) -> datetime:
        """See `Exports`. When the next bundle will be finished is not known."""
        return now + _LOOK_AGAIN

    def at_once(self) -> int:
        """See `Exports`."""
        return self._limiter.allowed

    def fetch(self, bundle: Bundle, path: Path) -> None:
        """See `Exports`. FullStory allows two downloads a minute; its Retry-After sets the pace."""
        url = f"{self._client.base_url}/export/get?id={bundle.id}"

        def attempt() -> None:
            self._client.download(url, path, with_key=True)
            self._client.refuse_other_than_rows(path, array=True)

        with naming_role(self._account), self._limiter.place():
            self._client.retrying(attempt)

    def release(self, bundle: Bundle) -> None:
        """See `Exports`. Nothing was remembered."""

    def _listed(self, since: datetime, until: datetime) -> Iterator[Bundle]:
        """Yield the bundles that end after `since`, page by page (of 20), as long as the pages move on."""
        while since < until:
            page = self.page(since)
            yield from page
            latest = max((bundle.window.end for bundle in page), default=since)
            if latest <= since:
                return
            since = latest

    def page(self, since: datetime) -> list[Bundle]:
        """Return the first bundles that end after `since`, oldest first.

        Raises:
            ExportError: the account has no data exports, or FullStory's answer is no list of them.
        """
        query = {"start": int(since.timestamp())}
        try:
            with naming_role(self._account):
                answer = self._client.request("GET", "/export/list", promised="exports", or_none=True, params=query)
        except MissingError as exc:
            raise ExportError(
                f'this account has no data exports ({exc}); use api = "segment_export", FullStory\'s present API'
            ) from None
        listed = _lower(answer).get("exports") or []
        if not isinstance(listed, list):
            raise _unexpected()
        bundles = {_bundle(_lower(item)) for item in listed}
        # a bundle that ends at `since` was on the page before
        return sorted((b for b in bundles if b.window.end > since), key=lambda bundle: (bundle.window, bundle.id))


def _unexpected() -> ExportError:
    return ExportError("FullStory's list of exports is not what was expected")


def _lower(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unexpected()
    return {str(key).lower(): item for key, item in value.items()}


def _bundle(item: dict[str, Any]) -> Bundle:
    try:
        start, end = (datetime.fromtimestamp(int(item[key]), UTC) for key in ("start", "stop"))
        return Bundle(Window(start, end), int(item["id"]))
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise ExportError("FullStory lists a bundle without id, start or stop") from None
