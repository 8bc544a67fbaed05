"""What goes wrong over HTTP: the errors, and what they say of a status, of an answer, or of no answer at all.

Statuses: https://developer.fullstory.com/server/getting-started/.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
import urllib3

from hauser_dlt.errors import (
    AccessError,
    ConfigError,
    CorruptBundleError,
    ExportError,
    HauserError,
    LinkError,
    RateLimitError,
    TransientError,
)
from hauser_dlt.exports.answers import Kind
from hauser_dlt.network import proxy_to, tls_problem

_LONGEST_RETRY_AFTER = 3600.0


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


def instead_of_json(asked: str, kind: Kind, quoted: str) -> HauserError:
    """Return the error that something other than an answer in JSON is.

    Args:
        asked: what for.
        quoted: what it says, in parentheses, or "".
    """
    error, meaning = _INSTEAD_OF_JSON[kind]
    return error(f"{asked}: {meaning}{quoted}")


def instead_of_rows(kind: Kind, quoted: str) -> HauserError:
    """Return the error that something other than a bundle's rows is.

    Args:
        quoted: what it says, in parentheses, or "".
    """
    if kind not in _INSTEAD_OF_ROWS:
        return instead_of_json("the bundle", kind, quoted)
    error, meaning = _INSTEAD_OF_ROWS[kind]
    return error(f"the bundle is {meaning}{quoted}")


def refused(said: str, response: requests.Response) -> HauserError:
    """Return the error that a status of FullStory's API is.

    Args:
        said: what was asked for, the status, and FullStory's reason.
    """
    status = response.status_code
    if _is_busy(status):
        return _busy(said, response)
    if 300 <= status < 400:
        return ConfigError(f"base_url must be the API's own address; the key is not sent to where this leads ({said})")
    if status in (401, 403):
        kind = ForbiddenError if status == 403 else AccessError
        return kind(f"FullStory refuses the API key; it must be valid and of the Architect role ({said})")
    if status in (404, 410):
        return MissingError(said)
    if status in (204, 205):
        return BusyError(f"{said}: FullStory's answer is empty")
    return (BadRequestError if status == 400 else ExportError)(f"FullStory refuses the request ({said})")


def refused_link(response: requests.Response, url: str) -> TransientError:
    """Return the error that a status of the storage is."""
    said = f"the storage at {urlsplit(url).hostname}: {response.status_code}"
    if _is_busy(response.status_code):
        return _busy(said, response)
    return LinkError(f"{said}: the link to the export is not accepted")


def unsendable(exc: ValueError, *, by_api: bool) -> HauserError:
    """Return the error of a request that cannot be sent as it stands.

    Args:
        by_api: whether it is one to FullStory's API, not one that follows a link to an export.
    """
    kind = type(exc).__name__
    if by_api:
        return ConfigError(f"no request to FullStory can be sent ({kind}): look at base_url and http_headers")
    return ExportError(f"FullStory's link to the export is not a web address ({kind})")


def unreachable(url: str, exc: Exception) -> HauserError:
    """Return the error of a connection that fails, or breaks off."""
    host, proxy = str(urlsplit(url).hostname), proxy_to(url)
    if proxy and (problem := proxy.problem(exc, host)):
        return BusyError(str(problem)) if isinstance(problem, TransientError) else problem
    if untrusted := tls_problem(exc, host, "REQUESTS_CA_BUNDLE"):
        return untrusted
    by = f" by way of {proxy}" if proxy else ""
    if isinstance(exc, requests.Timeout | urllib3.exceptions.TimeoutError):
        return BusyError(f"{host} does not answer in time{by}")
    cause = getattr(exc.args[0], "reason", None) if exc.args else None  # what lies under "too many retries"
    return BusyError(f"{host} cannot be reached{by}, or breaks off ({type(cause or exc).__name__})")


def _is_busy(status: int) -> bool:
    return status in (408, 429) or status >= 500


def _busy(said: str, response: requests.Response) -> TransientError:
    after = retry_after(response.headers)
    if after is not None and after > _LONGEST_RETRY_AFTER:
        return RateLimitError(after)
    return BusyError(said, limited=response.status_code == 429, retry_after=after)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After names, as a number or as a date (RFC 9110, section 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
