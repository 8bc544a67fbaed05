"""HTTP to FullStory: one place for the key, time-outs, retries and the meaning of status codes.

Statuses and limits: https://developer.fullstory.com/server/getting-started/ (authentication, rate limits).
"""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from hauser_dlt.config.settings import SourceSettings
from hauser_dlt.errors import (
    AccessError,
    ClockError,
    ConfigError,
    CorruptBundleError,
    ExportError,
    HauserError,
    LinkError,
    RateLimitError,
    StoppedError,
    TransientError,
)
from hauser_dlt.exports import answers
from hauser_dlt.exports.answers import Instead, Kind
from hauser_dlt.network import Session, proxy_to, tls_problem

logger = logging.getLogger(__name__)

Pause = Callable[[float], None]
"""Waits so many seconds, or raises StoppedError when the run is asked to stop."""

_LONGEST_PAUSE = 60.0
_LONGEST_RETRY_AFTER = 3600.0
_LONGEST_ANSWER = 1 << 26  # bytes of JSON: thousands of times what FullStory has to say
_CHUNK = 1 << 18
_CLOCK_TOLERANCE = timedelta(minutes=5)
_ANSWER_HOLDS = 60.0  # seconds for which a comparison of clocks, and what is known of the account, is good
_GOOD = (200, 201, 202, 203)
_CONNECTIONS = 64  # no fewer than are ever open at once: each that could not be kept would be a line in the log


class _Key(AuthBase):
    """FullStory's key, sent as it is; None sends nothing."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Basic {self._token}"
        return request


class _Session(Session):
    """Connections that send the key they were given, or none, whatever stands in ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        super().__init__()
        self.auth = _Key(token)  # with an `auth`, requests does not look into ~/.netrc
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Add nothing to a redirected request; here, too, requests would look into ~/.netrc."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where a redirect leads; never from an encrypted connection to one that is not."""
        target = super().get_redirect_target(resp)
        if target and resp.url.startswith("https:") and urlsplit(urljoin(resp.url, target)).scheme == "http":
            raise requests.exceptions.InvalidURL("from https to http")
        return target


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
    """FullStory does not know what was asked for, or not any more (404, 410)."""


class BadRequestError(ExportError):
    """FullStory refuses the request as it stands (400)."""


class ForbiddenError(AccessError):
    """FullStory knows the key, and does not let it do what was asked (403)."""


class WebPageError(CorruptBundleError):
    """Somebody between us and FullStory's storage answered."""


_INSTEAD_OF_JSON: dict[Kind, tuple[type[HauserError], str]] = {
    Kind.NOTHING: (BusyError, "FullStory's answer is empty"),
    Kind.PAGE: (
        ExportError,
        "the answer is a web page instead of JSON; is a proxy in between, or is base_url the address of another site?",
    ),
    Kind.XML: (ExportError, "the answer is XML instead of JSON; is base_url the address of another site?"),
    Kind.REFUSED: (ExportError, "FullStory answers with an error"),
    Kind.NO_ACCESS: (ForbiddenError, "FullStory refuses the API key; it must be valid and of the Architect role"),
    Kind.LATER: (BusyError, "FullStory answers with an error"),
    Kind.OTHER: (ExportError, "FullStory's answer is not what was asked for"),
}
_INSTEAD_OF_ROWS: dict[Kind, tuple[type[HauserError], str]] = {
    Kind.NOTHING: (CorruptBundleError, "empty, which even one without events is not"),
    Kind.PAGE: (WebPageError, "a web page instead of events; is a proxy in between?"),
    Kind.XML: (LinkError, "an error of the storage instead of events"),
    Kind.REFUSED: (CorruptBundleError, "not a list of events, but an answer"),
    Kind.OTHER: (CorruptBundleError, "not a list of events, but something else"),
}


class Client:
    """Requests to FullStory's API with the key, and downloads from its storage without."""

    def __init__(self, settings: SourceSettings, base_url: str, pause: Pause) -> None:
        self.base_url = base_url
        self.pause = pause
        self._timeout = settings.request_timeout.total_seconds()
        self._longest_download = settings.export_timeout.total_seconds()
        self._api = _Session(settings.api_token)
        self._api.headers.update(settings.http_headers)
        self._api.headers["Accept-Encoding"] = "gzip"  # a bundle is written as it comes, and read as gzip or plain
        self._storage = _Session(None)
        self._storage.headers["Accept-Encoding"] = "identity"  # the gzip of the bundle itself is ours to undo
        self._clock_compared = -_ANSWER_HOLDS
        self._account: tuple[float, dict[str, Any] | None] = (0.0, None)
        self._secrets = sorted(filter(None, (settings.api_token, *settings.http_headers.values())), key=len)
        self.retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((BusyError, LinkError)),
            stop=tenacity.stop_after_attempt(settings.max_retries + 1),
            wait=_Waits(settings.backoff.total_seconds()),
            sleep=pause,
            before_sleep=tenacity.before_sleep_log(logger, logging.INFO),
            reraise=True,
        )

    def me(self, *, retry: bool = True) -> dict[str, Any]:
        """Return the key's account: `orgId`, `email`, `role`; that of an answer which has just come."""
        answer, held = self._account
        if held is None or time.monotonic() - answer >= _ANSWER_HOLDS:
            held = self.request("GET", "/me", promised="orgId role", retry=retry)
            self._account = time.monotonic(), held
        return held

    def compare_clocks(self, ask: Callable[[], object]) -> None:
        """Ask FullStory for something, to learn what time it is there, unless that has just been learned.

        Args:
            ask: sends a request of this client, once.

        Raises:
            ClockError: this machine's clock disagrees. Whatever else is wrong will show when events are asked for.
        """
        if time.monotonic() - self._clock_compared < _ANSWER_HOLDS:
            return
        try:
            ask()
        except (ClockError, StoppedError):
            raise
        except HauserError as exc:
            logger.info("FullStory's clock cannot be asked for (%s)", exc)

    def request(
        self, method: str, path: str, *, promised: str, or_none: bool = False, retry: bool = True, **arguments: Any
    ) -> dict[str, Any]:
        """Return the object that FullStory answers.

        Args:
            promised: keys, of which it must have one; "" takes any object.
            or_none: whether an object without any key is good, too.

        Raises:
            AccessError: 401 or 403.
            MissingError: 404 or 410.
            ClockError: this machine's clock disagrees with FullStory's.
            BadRequestError: 400.
            ConfigError: the request cannot be sent, or is redirected.
            ExportError: FullStory refuses the request as it stands, or answers something else than what was promised.
            BusyError: no answer, an empty one, 429 or 5xx, after all retries.
            RateLimitError: the pause asked for is over an hour.
        """
        if retry:
            return self.retrying(
                self.request, method, path, promised=promised, or_none=or_none, retry=False, **arguments
            )
        with self._send(self._api, method, self.base_url + path, **arguments) as response:
            answer = answers.parsed(self._body(response), promised, or_none=or_none)
        if isinstance(answer, Instead):
            raise self.told(f"{method} {path}", answer)
        return answer

    def download(self, url: str, path: Path, *, with_key: bool = False) -> None:
        """Write the body behind a link to a file, whole; the key travels only to FullStory's own API.

        Raises:
            LinkError: the link has expired or is not accepted.
            BusyError: the storage does not answer, or broke off.
            ExportError: whether the body is whole could not be told.
        """
        session = self._api if with_key else self._storage
        if self.base_url.startswith("https:") and not url.startswith("https:"):
            raise ExportError("FullStory's link to the export is not one of https")
        with self._send(session, "GET", url) as response, path.open("wb") as file:
            if not _says_where_it_ends(response):
                raise ExportError(
                    f"{urlsplit(response.url).hostname} does not say how long the export is, so one that is cut short"
                    " would not be noticed; is there a proxy in between?"
                )
            for chunk in _chunks(response, self._longest_download, decode=False):
                file.write(chunk)
                self.pause(0)

    def one_line(self, said: object) -> str:
        """Return what FullStory says as one line, and never a secret of ours, should it be echoed."""
        text = str(said)
        for secret in reversed(self._secrets):
            text = text.replace(secret, "(hidden)")
        return " ".join(text.split())[:300]

    def told(self, asked: str, instead: Instead) -> HauserError:
        """Return the error that something other than what was asked for is.

        Args:
            asked: what for.
        """
        kind, meaning = _INSTEAD_OF_JSON[instead.kind]
        return kind(f"{asked}: {meaning}{self._quoted(instead)}")

    def refuse_other_than_rows(self, path: Path, *, array: bool) -> None:
        """Make sure that a downloaded file begins as rows do.

        Args:
            array: whether it should be one JSON array, not an object a line.

        Raises:
            LinkError: it is an error of the storage; another link may help.
            CorruptBundleError: it is something else.
            AccessError: it is FullStory's refusal of the key.
            BusyError: it is an error of FullStory's that asks to come again.
        """
        instead = answers.instead_of_rows(path, array=array)
        if instead and instead.kind in _INSTEAD_OF_ROWS:
            kind, meaning = _INSTEAD_OF_ROWS[instead.kind]
            raise kind(f"the bundle is {meaning}{self._quoted(instead)}")
        if instead:
            raise self.told("the bundle", instead)

    def _quoted(self, instead: Instead) -> str:
        said = self.one_line(instead.said)
        return f" ({said})" if said else ""

    def _send(self, session: requests.Session, method: str, url: str, **arguments: Any) -> requests.Response:
        """Return a good answer, its body not yet read. Only storage may lead elsewhere: the key stays where it is."""
        self.pause(0)
        by_api = session is self._api
        arguments |= {"timeout": self._timeout, "stream": True, "allow_redirects": not by_api}
        failure: (
            HauserError | None
        )  # raised where no other exception is in sight: theirs show the query of a signed link
        sent = datetime.now(UTC)
        try:
            response = session.request(method, url, **arguments)
        except ValueError as exc:
            failure = _unsendable(exc, by_api=by_api)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as exc:
            failure = _unreachable(url, exc)
        else:
            failure = self._clock_failure(response, sent) if by_api else None
            if not failure and response.status_code in (_GOOD if by_api else (200,)):
                return response
            with response:
                failure = failure or (self._refused(response) if by_api else _refused_link(response, url))
        raise failure

    def _clock_failure(self, response: requests.Response, sent: datetime) -> ClockError | None:
        """Compare the clocks; proxies that fail, or lead elsewhere, have clocks of their own."""
        there = (
            _time_there(response.headers) if response.status_code < 300 or 400 <= response.status_code < 500 else None
        )
        if there is None:
            return None
        here = datetime.now(UTC)
        if sent - _CLOCK_TOLERANCE <= there <= here + _CLOCK_TOLERANCE:
            self._clock_compared = time.monotonic()
            return None
        return ClockError(
            f"the clock of this machine is {_apart(here, there)} FullStory's ({here:%Y-%m-%d %H:%M} UTC here,"
            f" {there:%Y-%m-%d %H:%M} UTC there); set it right, with NTP for instance, and run again"
        )

    def _body(self, response: requests.Response) -> bytes:
        """Return the answer's body. No stop in between: FullStory has done what was asked, and this is what."""
        answer = bytearray()
        for chunk in _chunks(response, self._timeout, decode=True):
            answer += chunk
            if len(answer) > _LONGEST_ANSWER:
                raise ExportError(f"{urlsplit(response.url).path}: FullStory's answer is longer than any of use")
        return bytes(answer)

    def _refused(self, response: requests.Response) -> HauserError:
        status = response.status_code
        said = f"{response.request.method} {urlsplit(response.url).path}: {status} {self._reason(response)}".rstrip()
        if _is_busy(status):
            return _busy(said, response)
        if 300 <= status < 400:
            return ConfigError(
                f"base_url must be the API's own address; the key is not sent to where this leads ({said})"
            )
        if status in (401, 403):
            kind = ForbiddenError if status == 403 else AccessError
            return kind(f"FullStory refuses the API key; it must be valid and of the Architect role ({said})")
        if status in (404, 410):
            return MissingError(said)
        if status in (204, 205):
            return BusyError(f"{said}: FullStory's answer is empty")
        return (BadRequestError if status == 400 else ExportError)(f"FullStory refuses the request ({said})")

    def _reason(self, response: requests.Response) -> str:
        try:
            said = answers.wording(self._body(response))
        except (BusyError, ExportError):
            said = ""  # broken off, or without end: the status has words of its own
        return self.one_line(said or response.reason or "")


def _chunks(response: requests.Response, seconds: float, *, decode: bool) -> Iterator[bytes]:
    """Yield the body as it arrives; requests by itself would wait for large pieces, however slowly they come."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            chunk = response.raw.read1(_CHUNK, decode_content=decode)
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            failure = _unreachable(response.url, exc)
            break
        if not chunk:
            return
        yield chunk
        if time.monotonic() > deadline:
            failure = BusyError(f"{urlsplit(response.url).hostname} has not sent all within {seconds:g} s")
            break
    raise failure


def _says_where_it_ends(response: requests.Response) -> bool:
    """Tell whether a body that is cut short is noticed: urllib3 checks the length, and the last of the chunks."""
    chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    return chunked or "Content-Length" in response.headers


def _time_there(headers: Mapping[str, str]) -> datetime | None:
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


def _is_busy(status: int) -> bool:
    return status in (408, 429) or status >= 500


def _busy(said: str, response: requests.Response) -> TransientError:
    after = _retry_after(response.headers)
    if after is not None and after > _LONGEST_RETRY_AFTER:
        return RateLimitError(after)
    return BusyError(said, limited=response.status_code == 429, retry_after=after)


def _refused_link(response: requests.Response, url: str) -> TransientError:
    said = f"the storage at {urlsplit(url).hostname}: {response.status_code}"
    if _is_busy(response.status_code):
        return _busy(said, response)
    return LinkError(f"{said}: the link to the export is not accepted")


def _unsendable(exc: ValueError, *, by_api: bool) -> HauserError:
    kind = type(exc).__name__
    if by_api:
        return ConfigError(f"no request to FullStory can be sent ({kind}): look at base_url and http_headers")
    return ExportError(f"FullStory's link to the export is not a web address ({kind})")


def _unreachable(url: str, exc: Exception) -> HauserError:
    host, proxy = str(urlsplit(url).hostname), proxy_to(url)
    if proxy and (problem := proxy.problem(exc, host)):
        return BusyError(str(problem)) if isinstance(problem, TransientError) else problem
    if refused := tls_problem(exc, host, "REQUESTS_CA_BUNDLE"):
        return refused
    by = f" by way of {proxy}" if proxy else ""
    if isinstance(exc, requests.Timeout | urllib3.exceptions.TimeoutError):
        return BusyError(f"{host} does not answer in time{by}")
    cause = getattr(exc.args[0], "reason", None) if exc.args else None  # what lies under "too many retries"
    return BusyError(f"{host} cannot be reached{by}, or breaks off ({type(cause or exc).__name__})")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After names, as a number or as a date (RFC 9110, section 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


class _Waits:
    """How long to wait before the next try: what FullStory says, else twice as long each time."""

    def __init__(self, first: float) -> None:
        self._growing = tenacity.wait_exponential(multiplier=first, max=max(first, _LONGEST_PAUSE))

    def __call__(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, BusyError) and error.retry_after:  # 0 is also a date that our clock has passed
            return error.retry_after
        return self._growing(state)
