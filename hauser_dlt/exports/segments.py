"""What FullStory has besides events: individuals, exported as events are, and the list of segments.

The APIs: https://developer.fullstory.com/server/v1/segments/create-segment-export/ and
https://developer.fullstory.com/server/v1/segments/list-segments/, and for one segment .../get-segment/.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.exports.client import Client
from hauser_dlt.exports.http_errors import MissingError
from hauser_dlt.exports.pagination import pages
from hauser_dlt.exports.segment_exports import SegmentExports, unknown_segment
from hauser_dlt.windows import Window


class IndividualExports(SegmentExports):
    """The individuals of a segment; a window is the interval in which they were there."""

    def _request(self, window: Window) -> dict[str, Any]:
        request = super()._request(window)
        return {key: value for key, value in request.items() if key not in ("fields", "eventDetails")} | {
            "type": "TYPE_INDIVIDUAL"
        }


def segments(client: Client) -> Iterator[dict[str, Any]]:
    """Yield the account's segments, as FullStory describes them."""

    def ask(query: dict[str, str]) -> dict[str, Any]:
        return client.request("GET", "/segments/v1", promised="segments", params=query)

    return pages(ask, {"limit": "100"}, "segments")


def write_segments(client: Client, path: Path) -> None:
    """Write the account's segments to a file, an object a line."""
    with path.open("wb") as file:
        file.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in segments(client))


def segment(client: Client, settings: SourceSettings) -> str:
    """Return the name of the segment that the settings name. It alone is asked for: accounts can have thousands.

    Raises:
        ConfigError: FullStory knows no such segment.
    """
    try:
        found = client.request("GET", f"/segments/v1/{quote(settings.segment_id, safe='')}", promised="id")
    except MissingError as exc:
        raise unknown_segment(settings, exc) from None
    return str(found.get("name") or "without a name")
