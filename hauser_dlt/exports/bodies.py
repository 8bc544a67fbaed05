"""Bodies of answers, read as they arrive: FullStory's JSON, and downloads of exports."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from hauser_dlt.errors import ExportError
from hauser_dlt.exports.http_errors import BusyError, unreachable

_LONGEST_ANSWER = 1 << 26  # bytes of JSON: thousands of times what FullStory has to say
_CHUNK = 1 << 18


def answer_body(response: requests.Response, seconds: float) -> bytes:
    """Return an answer's body. No stop in between: FullStory has done what was asked, and this is what."""
    answer = bytearray()
    for chunk in _chunks(response, seconds, decode=True):
        answer += chunk
        if len(answer) > _LONGEST_ANSWER:
            raise ExportError(f"{urlsplit(response.url).path}: FullStory's answer is longer than any of use")
    return bytes(answer)


def save(
    response: requests.Response, path: Path, seconds: float, pause: Callable[[float], None], begin: int = 0
) -> None:
    """Write a body to a file, as it is sent.

    Args:
        seconds: within which all of it must arrive.
        pause: called after each piece; may raise StoppedError.
        begin: the byte of the file at which the body begins; what is before it is kept.

    Raises:
        BusyError: the storage broke off, or is too slow.
        ExportError: whether the body is whole could not be told.
    """
    with path.open("r+b" if begin else "wb") as file:
        file.seek(begin)
        file.truncate()
        if not _says_where_it_ends(response):
            raise ExportError(
                f"{urlsplit(response.url).hostname} does not say how long the export is, so one that is cut short"
                " would not be noticed; is there a proxy in between?"
            )
        for chunk in _chunks(response, seconds, decode=False):
            file.write(chunk)
            pause(0)


def _says_where_it_ends(response: requests.Response) -> bool:
    """Tell whether a body that is cut short is noticed: urllib3 checks the length, and the last of the chunks."""
    chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    return chunked or "Content-Length" in response.headers


def _chunks(response: requests.Response, seconds: float, *, decode: bool) -> Iterator[bytes]:
    """Yield the body as it arrives; requests by itself would wait for large pieces, however slowly they come."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            chunk = response.raw.read1(_CHUNK, decode_content=decode)
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            failure = unreachable(response.url, exc)
            break
        if not chunk:
            return
        yield chunk
        if time.monotonic() > deadline:
            failure = BusyError(f"{urlsplit(response.url).hostname} has not sent all within {seconds:g} s")
            break
    raise failure
