"""What Google Cloud Storage understands of its XML API, and its emulator does not; deltalake's object store speaks it.

* Uploads, which may ask that there is no such object yet: the file of a commit is written so.
  https://cloud.google.com/storage/docs/xml-api/put-object-upload
  https://cloud.google.com/storage/docs/xml-api/reference-headers#xgoogifgenerationmatch
* Listings that begin after a name: https://cloud.google.com/storage/docs/xml-api/get-bucket-list

The emulator takes uploads by its JSON API, and knows no conditions there: the proxy looks, with one upload at a time.
"""

import json
import re
import threading
from dataclasses import replace
from urllib.parse import parse_qs, quote, unquote, urlsplit

from emulators.faulty import Answer, Fault, Request
from emulators.keys import Keys

_JSON_API = ("/storage/", "/upload/", "/download/", "/batch/", "/resumable/")
_CONDITION = "x-goog-if-generation-match"
_LISTED = re.compile(rb"<Contents><Key>([^<]*)</Key>.*?</Contents>", re.DOTALL)


class Objects(Keys):
    """See `Faulty`."""

    _uploading = threading.Lock()

    def serve(self, request: Request) -> Answer:
        """See `Faulty`."""
        if request.path.startswith(_JSON_API):
            return super().serve(request)
        if request.method == "PUT":
            return self._upload(request)
        answer = super().serve(request)
        after = parse_qs(urlsplit(request.path).query).get("start-after")
        return replace(answer, body=_after(after[0], answer.body)) if after else answer

    def _upload(self, request: Request) -> Answer:
        bucket, _, name = unquote(request.path).removeprefix("/").partition("/")
        headers = {key.lower(): value for key, value in request.headers}
        condition, host = headers.get(_CONDITION), (("Host", headers["host"]),)
        assert condition in (None, "0"), condition
        with self._uploading:
            if condition and self.forward(replace(request, method="HEAD", body=b"", headers=host)).status == 200:
                return self.shape(Fault("", "error", status=412, reason="conditionNotMet"))
            at = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}"
            answer = self.forward(Request("POST", at, request.body, host))
        return replace(answer, body=b"", headers=(("ETag", f'"{json.loads(answer.body)["etag"]}"'),))


def _after(name: str, listing: bytes) -> bytes:
    return _LISTED.sub(lambda found: found[0] if found[1].decode() > name else b"", listing)
