"""Legacy data exports: FullStory lists its finished bundles, and each is downloaded by its id.

The API, deprecated by FullStory: https://help.fullstory.com.
"""

import time
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hauser_dlt.errors import ExportError
from hauser_dlt.exports.bundles import Bundle
from hauser_dlt.exports.client import Client, MissingError
from hauser_dlt.exports.limiter import Limiter
from hauser_dlt.settings import SourceSettings
from hauser_dlt.windows import Window, uncovered

BASE_URL = "https://export.fullstory.com/api/v1"
_LOOK_AGAIN = timedelta(minutes=30)
_DOWNLOADS = 2  # that FullStory allows a minute; more side by side would only wear out each other's retries


def todays_api(base_url: str) -> str:
    """Return the address of today's API that belongs to one of data exports; "" for FullStory's usual one."""
    scheme, _, rest = base_url.removesuffix("/api/v1").partition("://")
    host = f"api.{rest.removeprefix('export.')}" if rest.startswith("export.") else rest
    return f"{scheme}://{host}" if host else ""


class DataExports:
    """The bundles of an account, in the order and with the stretches that FullStory chose."""

    def __init__(self, client: Client, settings: SourceSettings) -> None:
        self._client = client
        self._delay = settings.export_delay
        self._limiter = Limiter(min(_DOWNLOADS, settings.concurrent_exports), client.pause)

    def compare_clocks(self) -> None:
        """See `Exports`. The list of bundles that end after tomorrow is short."""
        self._client.compare_clocks(f"/export/list?start={int(time.time()) + 86_400}")

    def bundles(self, stretch: Window, loaded: Iterable[Window], now: datetime) -> Iterator[Bundle]:
        """See `Exports`."""
        end = min(stretch.end, self.settled(now))
        held = list(loaded)
        for bundle in self._listed(stretch.start, end):
            inside = bundle.window.end <= end and bundle.window.start < bundle.window.end
            if inside and any(uncovered(bundle.window, held)):
                yield bundle

    def settled(self, now: datetime) -> datetime:
        """See `Exports`. FullStory lists finished bundles only; ours settle besides."""
        return now - self._delay

    def next_ready(self, now: datetime) -> datetime:
        """See `Exports`. When the next bundle will be finished is not known."""
        return now + _LOOK_AGAIN

    def fetch(self, bundle: Bundle, path: Path) -> None:
        """See `Exports`. FullStory allows two downloads a minute; its Retry-After sets the pace."""
        url = f"{self._client.base_url}/export/get?id={bundle.id}"
        with self._limiter.place():
            self._client.retrying(self._client.download, url, path, with_key=True)
        if _beginning(path).startswith(b"{"):
            said = self._client.one_line(_beginning(path).decode(errors="replace"))
            raise ExportError(f"bundle {bundle.id} is not a list of events, but an answer: {said}")

    def forget(self, bundle: Bundle) -> None:
        """See `Exports`. Nothing was remembered."""

    def _listed(self, since: datetime, until: datetime) -> Iterator[Bundle]:
        """Yield the bundles that end after `since`, page by page (of 20), as long as the pages move on."""
        while since < until:
            page = self._page(since)
            yield from page
            latest = max((bundle.window.end for bundle in page), default=since)
            if latest <= since:
                return
            since = latest

    def _page(self, since: datetime) -> list[Bundle]:
        try:
            answer = self._client.request("GET", "/export/list", params={"start": int(since.timestamp())})
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


def _beginning(path: Path) -> bytes:
    """Return some of a bundle's text; b"" if it is damaged, which is not for us to say."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    try:
        text = zlib.decompressobj(wbits=31).decompress(head, 1000) if head.startswith(b"\x1f\x8b") else head[:1000]
    except zlib.error:
        return b""
    return text.lstrip()
