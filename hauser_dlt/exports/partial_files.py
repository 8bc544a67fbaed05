"""Downloads that broke off and go on where they stopped: what of a file is kept, and what proves that it still counts.

RFC 9110: ranges in section 14, If-Range in 13.1.5. Google Cloud Storage, where FullStory's links lead, has ranges
(https://cloud.google.com/storage/docs/xml-api/get-object-download).
"""

import re
from collections.abc import Mapping
from pathlib import Path

import requests

_STRONG = re.compile(r'"[\x21\x23-\x7e]*"')  # a weak one begins with W/, and does not promise the same bytes
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)", re.IGNORECASE)

ANSWERS = (206, 412, 416)
"""The statuses that only a request for a range gets."""


class PartialFile:
    """What has arrived of a file so far.

    It counts only while its ETag and length are known: without them, the next try begins anew.

    Attributes:
        path: where the file lies.
        total: how long the whole file is; 0 if that is not known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total = 0
        self._etag = ""

    @property
    def size(self) -> int:
        """The bytes that are there and count."""
        size = self.path.stat().st_size if self._etag and self.path.exists() else 0
        return size if size < self.total else 0

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for the rest, or for all of a file that has changed; {} asks for all."""
        return {"Range": f"bytes={size}-", "If-Range": self._etag} if (size := self.size) else {}

    def begin(self, headers: Mapping[str, str]) -> None:
        """The whole file is being sent: remember what shows later whether it is still the same."""
        etag, length = headers.get("ETag", ""), headers.get("Content-Length", "")
        known = _STRONG.fullmatch(etag) and re.fullmatch("[0-9]{1,18}", length)
        self._etag, self.total = (etag, int(length)) if known else ("", 0)

    def is_rest(self, response: requests.Response) -> bool:
        """Tell whether an answer holds the rest of this very file, and says how long that is."""
        size, headers = self.size, response.headers
        found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        return (
            response.status_code == 206
            and headers.get("ETag") == self._etag
            and found is not None
            and tuple(map(int, found.groups())) == (size, self.total - 1, self.total)
            and headers.get("Content-Length") == str(self.total - size)
        )

    def discard(self) -> None:
        """What is there counts no more."""
        self._etag, self.total = "", 0
