"""What FullStory has besides events: individuals, exported as events are, and the list of segments.

The APIs: https://developer.fullstory.com/server/v1/segments/create-segment-export/ and
https://developer.fullstory.com/server/v1/segments/list-segments/.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from hauser_dlt.errors import ConfigError
from hauser_dlt.exports.client import Client
from hauser_dlt.exports.pages import pages
from hauser_dlt.exports.segment_exports import SegmentExports
from hauser_dlt.settings import SourceSettings
from hauser_dlt.windows import Window

_SHOWN = 5


class IndividualExports(SegmentExports):
    """The individuals of a segment; a window is the stretch in which they were there."""

    def _request(self, window: Window) -> dict[str, Any]:
        request = super()._request(window)
        return {key: value for key, value in request.items() if key not in ("fields", "eventDetails")} | {
            "type": "TYPE_INDIVIDUAL"
        }


def segments(client: Client) -> Iterator[dict[str, Any]]:
    """Yield the account's segments, as FullStory describes them."""
    return pages(lambda query: client.request("GET", "/segments/v1", params=query), {"limit": "100"}, "segments")


def write_segments(client: Client, path: Path) -> None:
    """Write the account's segments to a file, an object a line."""
    with path.open("wb") as file:
        file.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in segments(client))


def segment(client: Client, read: SourceSettings) -> str:
    """Return the name of the segment that the settings name.

    Raises:
        ConfigError: FullStory lists no such segment.
    """
    names = {str(row.get("id")): str(row.get("name", "")) for row in segments(client)}
    if read.segment_id in names:
        return names[read.segment_id]
    by_name = [key for key, name in names.items() if name.lower() == read.segment_id.lower()]
    listed = ", ".join(f"{key} ({names[key]})" for key in (by_name or list(names))[:_SHOWN])
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN and not by_name else ""
    advice = f"did you mean {listed}?" if by_name else f"it lists {listed}{more}" if names else "it lists none"
    raise ConfigError(f"segment_id = {read.segment_id!r}: FullStory lists no segment of this id; {advice}")
