"""HTTP to FullStory: requests to its API with the key, and downloads from its storage without."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ClockError, ExportError, HauserError, StoppedError
from hauser_dlt.exports import answers, http_errors, partial_files
from hauser_dlt.exports.answers import Instead
from hauser_dlt.exports.bodies import answer_body, save
from hauser_dlt.exports.clocks import ClockComparison
from hauser_dlt.exports.http_errors import BusyError
from hauser_dlt.exports.http_session import KeySession
from hauser_dlt.exports.partial_files import PartialFile
from hauser_dlt.exports.retries import retrying

logger = logging.getLogger(__name__)

Pause = Callable[[float], None]
"""Waits so many seconds, or raises StoppedError when the run is asked to stop."""

_ACCOUNT_HOLDS = 60.0  # seconds for which what is known of the account is good
_GOOD = (200, 201, 202, 203)


class Client:
    """Requests to FullStory's API with the key, and downloads from its storage without."""

    def __init__(self, settings: SourceSettings, base_url: str, pause: Pause) -> None:
        self.base_url = base_url
        self.pause = pause
        self.retrying = retrying(settings, pause)
        self._timeout = settings.request_timeout.total_seconds()
        self._longest_download = settings.export_timeout.total_seconds()
        self._api = KeySession(settings.api_token)
        self._api.headers.update(settings.http_headers)
        self._api.headers["Accept-Encoding"] = "gzip"  # a bundle is written as it comes, and read as gzip or plain
        self._storage = KeySession(None)
        self._storage.headers["Accept-Encoding"] = "identity"  # the gzip of the bundle itself is ours to undo
        self._clocks = ClockComparison()
        self._account: tuple[float, dict[str, Any] | None] = (0.0, None)
        self._secrets = sorted(filter(None, (settings.api_token, *settings.http_headers.values())), key=len)

    def me(self, *, retry: bool = True) -> dict[str, Any]:
        """Return the key's account: `orgId`, `email`, `role`; that of an answer which has just come."""
        answer, held = self._account
        if held is None or time.monotonic() - answer >= _ACCOUNT_HOLDS:
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
        if self._clocks.holds():
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
            answer = answers.parsed(answer_body(response, self._timeout), promised, or_none=or_none)
        if isinstance(answer, Instead):
            raise http_errors.instead_of_json(f"{method} {path}", answer.kind, self._quoted(answer))
        return answer

    def download(
        self, url: str, path: Path, *, with_key: bool = False, partial_file: PartialFile | None = None
    ) -> None:
        """Write the body behind a link to a file, whole; the key travels only to FullStory's own API.

        Args:
            partial_file: what earlier tries have left at `path`; it goes on from there, if it is still the same file.

        Raises:
            LinkError: the link has expired or is not accepted.
            BusyError: the storage does not answer, or broke off.
            ExportError: whether the body is whole could not be told.
        """
        if self.base_url.startswith("https:") and not url.startswith("https:"):
            raise ExportError("FullStory's link to the export is not one of https")
        so_far = partial_file or PartialFile(path)
        if (headers := so_far.headers()) and self._save_rest(url, so_far, headers):
            return
        with self._send(self._api if with_key else self._storage, "GET", url) as response:
            self._save_all(response, so_far)

    def _save_rest(self, url: str, so_far: PartialFile, headers: dict[str, str]) -> bool:
        """Go on with a file that broke off; tell whether it is complete, else it must be asked for from its begin."""
        with self._send(self._storage, "GET", url, good=(200, *partial_files.ANSWERS), headers=headers) as response:
            if response.status_code == 200:
                self._save_all(response, so_far)
                return True
            if not so_far.is_rest(response):
                logger.info("what has arrived of the export is no part of the file any more, beginning anew")
                so_far.discard()
                return False
            logger.info("the download goes on at byte %s of %s", so_far.size, so_far.total)
            save(response, so_far.path, self._longest_download, self.pause, begin=so_far.size)
            return True

    def _save_all(self, response: requests.Response, so_far: PartialFile) -> None:
        so_far.begin(response.headers)
        save(response, so_far.path, self._longest_download, self.pause)

    def one_line(self, said: object) -> str:
        """Return what FullStory says as one line, and never a secret of ours, should it be echoed."""
        text = str(said)
        for secret in reversed(self._secrets):
            text = text.replace(secret, "(hidden)")
        return " ".join(text.split())[:300]

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
        if instead := answers.instead_of_rows(path, array=array):
            raise http_errors.instead_of_rows(instead.kind, self._quoted(instead))

    def _quoted(self, instead: Instead) -> str:
        said = self.one_line(instead.said)
        return f" ({said})" if said else ""

    def _send(
        self, session: requests.Session, method: str, url: str, *, good: tuple[int, ...] = (200,), **arguments: Any
    ) -> requests.Response:
        """Return a good answer, its body not yet read. Only storage may lead elsewhere: the key stays where it is.

        Args:
            good: the statuses of a good answer of the storage's.
        """
        self.pause(0)
        by_api = session is self._api
        arguments |= {"timeout": self._timeout, "stream": True, "allow_redirects": not by_api}
        # raised where no other exception is in sight: theirs show the query of a signed link
        failure: HauserError | None
        sent = datetime.now(UTC)
        try:
            response = session.request(method, url, **arguments)
        except ValueError as exc:
            failure = http_errors.unsendable(exc, by_api=by_api)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as exc:
            failure = http_errors.unreachable(url, exc)
        else:
            failure = self._clocks.problem(response, sent) if by_api else None
            if not failure and response.status_code in (_GOOD if by_api else good):
                return response
            with response:
                failure = failure or (self._refused(response) if by_api else http_errors.refused_link(response, url))
        raise failure

    def _refused(self, response: requests.Response) -> HauserError:
        asked = f"{response.request.method} {urlsplit(response.url).path}"
        return http_errors.refused(f"{asked}: {response.status_code} {self._reason(response)}".rstrip(), response)

    def _reason(self, response: requests.Response) -> str:
        try:
            said = answers.wording(answer_body(response, self._timeout))
        except (BusyError, ExportError):
            said = ""  # broken off, or without end: the status has words of its own
        return self.one_line(said or response.reason or "")
