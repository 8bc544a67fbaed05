"""HTTP to FullStory: one place for the key, time-outs, retries and the meaning of status codes.

Statuses and limits: https://developer.fullstory.com/server/getting-started/ (authentication, rate limits).
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import tenacity
import urllib3
from requests.auth import AuthBase

from hauser_dlt.errors import AccessError, ExportError, RateLimitError, TransientError
from hauser_dlt.settings import SourceSettings

logger = logging.getLogger(__name__)

Pause = Callable[[float], None]
"""Waits so many seconds, or raises StoppedError when the run is asked to stop."""

_LONGEST_PAUSE = 60.0
_LONGEST_RETRY_AFTER = 3600.0
_CHUNK = 1 << 18


class _Key(AuthBase):
    """FullStory's key, sent as it is. (Giving `auth` also keeps requests from looking into ~/.netrc.)"""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Basic {self._token}"
        return request


class BusyError(TransientError):
    """FullStory, or the storage, asks to come again (429, 5xx), or did not answer at all.

    Attributes:
        limited: it was a 429.
        retry_after: seconds, where FullStory named them.
    """

    def __init__(self, message: str, *, limited: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.limited = limited
        self.retry_after = retry_after


class MissingError(ExportError):
    """FullStory does not know what was asked for (404)."""


class LinkError(TransientError):
    """A signed link is no longer good: another one is needed."""


class Client:
    """Requests to FullStory's API with the key, and downloads from its storage without."""

    def __init__(self, settings: SourceSettings, base_url: str, pause: Pause) -> None:
        self.base_url = base_url
        self.pause = pause
        self._token = settings.api_token
        self._timeout = settings.request_timeout.total_seconds()
        self._api = requests.Session()
        self._api.auth = _Key(settings.api_token)
        self._api.headers.update(settings.http_headers)
        self._storage = requests.Session()
        self._storage.auth = _Key(None)
        self._storage.headers["Accept-Encoding"] = "identity"  # the gzip of the bundle itself is ours to undo
        self.retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((BusyError, LinkError)),
            stop=tenacity.stop_after_attempt(settings.max_retries + 1),
            wait=_Waits(settings.backoff.total_seconds()),
            sleep=pause,
            before_sleep=tenacity.before_sleep_log(logger, logging.INFO),
            reraise=True,
        )

    def me(self) -> dict[str, Any]:
        """Return the key's account: `orgId`, `email`, `role`."""
        account: dict[str, Any] = self.request("GET", "/me")
        return account

    def request(self, method: str, path: str, *, retry: bool = True, **arguments: Any) -> Any:
        """Return the JSON that FullStory answers.

        Raises:
            AccessError: 401 or 403.
            MissingError: 404.
            ExportError: FullStory refuses the request as it stands, or answers something else than JSON.
            BusyError: no answer, 429 or 5xx, after all retries.
            RateLimitError: the pause asked for is over an hour.
        """
        if retry:
            return self.retrying(self.request, method, path, retry=False, **arguments)
        response = self._send(self._api, method, self.base_url + path, allow_redirects=False, **arguments)
        try:
            return response.json()
        except requests.JSONDecodeError:
            raise ExportError(f"{method} {path}: FullStory's answer is not JSON") from None

    def download(self, url: str, path: Path, *, with_key: bool = False) -> None:
        """Write the body behind a link to a file, whole; the key travels only to FullStory's own API.

        Raises:
            LinkError: the link has expired or is not accepted.
            BusyError: the storage does not answer, or broke off.
        """
        session = self._api if with_key else self._storage
        arguments = {"allow_redirects": False} if with_key else {}
        with self._send(session, "GET", url, stream=True, **arguments) as response, path.open("wb") as file:
            for chunk in _chunks(response, url):
                file.write(chunk)
                self.pause(0)

    def _send(self, session: requests.Session, method: str, url: str, **arguments: Any) -> requests.Response:
        self.pause(0)
        try:
            response = session.request(method, url, timeout=self._timeout, **arguments)
        except requests.RequestException as exc:
            raise _unreachable(url, exc) from None
        if response.status_code != 200:
            with response:
                self._refuse(session is self._api, method, url, response)
        return response

    def _refuse(self, by_api: bool, method: str, url: str, response: requests.Response) -> None:
        status = response.status_code
        where = f"{method} {urlsplit(url).path}" if by_api else f"the storage at {urlsplit(url).hostname}"
        said = f"{where}: {status} {self._reason(response) if by_api else ''}".rstrip()
        if status == 429 or status >= 500:
            after = _retry_after(response.headers)
            if after is not None and after > _LONGEST_RETRY_AFTER:
                raise RateLimitError(after)
            raise BusyError(said, limited=status == 429, retry_after=after)
        if not by_api:
            raise LinkError(f"{said}: the link to the export is not accepted")
        if status in (401, 403):
            raise AccessError(f"FullStory refuses the API key; it must be valid and of the Architect role ({said})")
        if status == 404:
            raise MissingError(said)
        raise ExportError(f"FullStory refuses the request ({said})")

    def _reason(self, response: requests.Response) -> str:
        """Return what FullStory says, in one line, and never the key, should it be echoed."""
        try:
            body = response.json()
            text = next((str(body[key]) for key in ("message", "error", "errorDetails", "code") if body.get(key)), "")
        except (requests.RequestException, AttributeError, ValueError):
            text = response.reason or ""
        return " ".join(text.split())[:300].replace(self._token, "(hidden)")


def _chunks(response: requests.Response, url: str) -> Iterator[bytes]:
    """Yield the body as it was sent: requests by itself would undo a Content-Encoding."""
    try:
        yield from response.raw.stream(_CHUNK, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as exc:
        raise _unreachable(url, exc) from None


def _unreachable(url: str, exc: Exception) -> BusyError:
    # requests' own message would show the query of a signed link
    kind = "does not answer in time" if isinstance(exc, requests.Timeout | urllib3.exceptions.TimeoutError) else f"breaks off ({type(exc).__name__})"
    return BusyError(f"{urlsplit(url).hostname} {kind}")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After names, as a number or as a date (RFC 9110, section 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


class _Waits:
    """How long to wait before the next try: what FullStory says, else twice as long each time."""

    def __init__(self, first: float) -> None:
        self._growing = tenacity.wait_exponential(multiplier=first, max=max(first, _LONGEST_PAUSE))

    def __call__(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, BusyError) and error.retry_after is not None:
            return error.retry_after
        return self._growing(state)
