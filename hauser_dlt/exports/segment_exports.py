"""Segment exports: windows come from the schedule, and FullStory is asked to export each.

The API: https://developer.fullstory.com/server/v1/segments/create-segment-export/,
https://developer.fullstory.com/server/v1/operations/ and
https://developer.fullstory.com/server/v1/search-exports/get-search-export-results/.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, MutableMapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ConfigError, CorruptBundleError, ExportError, ExportFailedError
from hauser_dlt.exports.bundles import Bundle
from hauser_dlt.exports.client import Client
from hauser_dlt.exports.concurrency import AdaptiveLimit, FixedLimit
from hauser_dlt.exports.http_errors import BadRequestError, BusyError, MissingError, WebPageError
from hauser_dlt.exports.operations import Running
from hauser_dlt.exports.partial_files import PartialFile
from hauser_dlt.exports.polling import Polls, seconds_taken
from hauser_dlt.exports.rate_limiter import Limiter
from hauser_dlt.exports.roles import naming_role
from hauser_dlt.fields import CUSTOM_TOKENS, KNOWN, MOBILE, SELECTOR_TOKENS, Kind
from hauser_dlt.windows import Schedule, Window

logger = logging.getLogger(__name__)

EVERYONE = "everyone"
"""The segment that each account has, of all users."""


class SegmentExports:
    """The events of one segment, a window at a time.

    Args:
        operations: request -> FullStory's running operation. What outlives the process finds an export again
            that was asked for before a crash, instead of asking once more.
    """

    final = False

    def __init__(self, client: Client, settings: SourceSettings, operations: MutableMapping[str, str]) -> None:
        self._client = client
        self._settings = settings
        self._schedule = Schedule(settings.export_duration, settings.export_delay)
        self._operations = operations
        at_once = settings.concurrent_exports
        self._limiter = Limiter(FixedLimit(at_once) if at_once else AdaptiveLimit(), client.pause)
        self._polls = Polls(client, settings)
        self._running = Running(
            lambda query: client.request(
                "GET", "/operations/v1", promised="operations", or_none=True, retry=False, params=query
            )
        )
        self._refused_scope = ""  # of the two spellings of one, that which FullStory does not take

    def account(self) -> dict[str, Any]:
        """See `Exports`."""
        return self._client.me()

    def compare_clocks(self) -> None:
        """See `Exports`."""
        self._client.compare_clocks(partial(self._client.me, retry=False))

    def bundles(self, interval: Window, loaded: Iterable[Window], now: datetime) -> Iterator[Bundle]:
        """See `Exports`."""
        ready = Window(interval.start, min(interval.end, self.ready_until(now)))
        return (Bundle(window) for window in self._schedule.missing(ready, loaded))

    def covered(self, interval: Window, loaded: Iterable[Window]) -> Window:
        """See `Exports`. All of it has been asked for."""
        return interval

    def ready_until(self, now: datetime) -> datetime:
        """See `Exports`."""
        return self._schedule.ready_until(now)

    def ready_at(self, end: datetime) -> datetime:
        """See `Exports`."""
        return end + self._settings.export_delay

    def next_ready(self, now: datetime) -> datetime:
        """See `Exports`."""
        return self._schedule.next_ready(now)

    def at_once(self) -> int:
        """See `Exports`."""
        return self._limiter.allowed

    def fetch(self, bundle: Bundle, path: Path) -> None:
        """See `Exports`. An operation begun earlier is used, unless it or its results are no more: then a new one."""
        request = self._request(bundle.window)
        name = self._name(request)
        with naming_role(self._client):
            if name in self._operations:
                try:
                    return self._fetch(name, request, path)
                except (MissingError, ExportFailedError) as exc:
                    logger.info("%s: the export asked for earlier is of no use, asking again (%s)", bundle.window, exc)
                    self._operations.pop(name, None)
            return self._fetch(name, request, path)

    def release(self, bundle: Bundle) -> None:
        """See `Exports`."""
        self._operations.pop(self._name(self._request(bundle.window)), None)

    def _request(self, window: Window) -> dict[str, Any]:
        time_range = {"start": _rfc3339(window.start), "end": _rfc3339(window.end)}
        request: dict[str, Any] = {
            "segmentId": self._settings.segment_id,
            "type": "TYPE_EVENT",
            "format": f"FORMAT_{self._settings.export_format.upper()}",
            "timeRange": time_range,
            # without it, FullStory takes the segment's own range: the last 30 days for `everyone`
            "segmentTimeRange": time_range,
        }
        if names := export_fields(self._settings):
            request["fields"] = names
        if self._settings.event_scope:
            request["eventDetails"] = {"scope": f"SCOPE_{self._settings.event_scope.upper()}"}
        return request

    def _name(self, request: dict[str, Any]) -> str:
        """Return what stands for this request of this account where operations are remembered."""
        account = hashlib.sha256(self._settings.api_token.encode()).hexdigest()
        return hashlib.sha256(json.dumps([self._client.base_url, account, request]).encode()).hexdigest()

    def _fetch(self, name: str, request: dict[str, Any], path: Path) -> None:
        with self._limiter.place() as place:
            export_id, seconds = self._export(name, request)
            self._limiter.went_well(place, seconds)
        partial_file = PartialFile(path)

        def attempt() -> None:
            # a fresh link for each attempt: links live for minutes only
            asked = f"/search/v1/exports/{export_id}/results"
            answer = self._client.request("GET", asked, promised="location", retry=False)
            self._client.download(_text(answer, "location"), path, partial_file=partial_file)
            self._client.refuse_other_than_rows(path, array=request["format"] == "FORMAT_JSON")

        try:
            self._client.retrying(attempt)
        except WebPageError:
            raise  # of somebody in between: the export itself may be good
        except CorruptBundleError:
            self._operations.pop(name, None)
            raise

    def _export(self, name: str, request: dict[str, Any]) -> tuple[str, float | None]:
        """Return the id of the finished export, of an operation begun earlier if there is one, and how long it took.

        How long one took that was begun earlier tells nothing of those that run beside it now: that is None.
        """
        operation, began = self._operations.get(name), None
        if operation is None:
            operation = self._begun(request)
            if operation is None:
                operation, began = self._begin(request), time.monotonic()
            self._operations[name] = operation
        try:
            row = self._polls.finished(operation, new=began is not None)
        except ExportFailedError:
            self._operations.pop(name, None)
            raise
        if began is None:
            return _export_id(row), None
        seconds = seconds_taken(row)
        return _export_id(row), time.monotonic() - began if seconds is None else seconds

    def _begun(self, request: dict[str, Any]) -> str | None:
        spellings = filter(None, (request, _respelled(request)))
        return next(filter(None, map(self._running.operation, spellings)), None)

    def _begin(self, request: dict[str, Any]) -> str:
        """Ask for an export, with the other spelling of its scope where FullStory does not take the first."""
        other = _respelled(request)
        if other is None:
            return self._client.retrying(self._create, request)
        if self._refused_scope == _scope(request):
            request, other = other, request
        try:
            return self._client.retrying(self._create, request)
        except BadRequestError as exc:
            first = exc
        try:
            operation = self._client.retrying(self._create, other)
        except BadRequestError as exc:
            raise (exc if "scope" in str(first).lower() else first) from None
        self._refused_scope = _scope(request)
        return operation

    def _create(self, request: dict[str, Any]) -> str:
        self._limiter.step_back()
        allowed = self._limiter.allowed
        try:
            answer = self._client.request(
                "POST", "/segments/v1/exports", promised="operationId", json=request, retry=False
            )
        except BusyError as exc:
            if exc.limited:
                self._limiter.too_many(allowed)
            elif begun := self._begun_unheard(request):
                return begun
            raise
        except MissingError as exc:
            if self._settings.segment_id == EVERYONE:
                raise
            raise unknown_segment(self._settings, exc) from None
        return _text(answer, "operationId")

    def _begun_unheard(self, request: dict[str, Any]) -> str | None:
        """Return the operation that FullStory began although its answer did not arrive, where that can be told."""
        self._running.look_again()
        return self._running.operation(request)


def requested(settings: SourceSettings) -> dict[str, Kind]:
    """Return the fields that we know and the settings want: name -> type."""
    mobile = MOBILE if settings.include_mobile_fields else {}
    tokens: dict[str, Kind] = {SELECTOR_TOKENS: "text"} if settings.include_selector_tokens else {}
    return KNOWN | mobile | tokens


def export_fields(settings: SourceSettings) -> list[str]:
    """Return the field names to ask for, none twice; [] leaves the choice to FullStory."""
    if settings.fields == "default":
        return []
    known = requested(settings)
    drops = settings.denylist(known).drops
    wanted = [name for name in known if not drops(name)]
    tokens = [SELECTOR_TOKENS] if SELECTOR_TOKENS in wanted else []
    names = (*wanted, *CUSTOM_TOKENS) if settings.fields == "known" else (*settings.fields, *tokens)
    return list(dict.fromkeys((*names, *settings.extra_fields)))


def unknown_segment(settings: SourceSettings, said: object) -> ConfigError:
    """Return the error of a segment that there is not."""
    return ConfigError(
        f"segment_id = {settings.segment_id!r}: FullStory knows no such segment ({said}); its id stands in the"
        " segment's address in FullStory's app, behind /segments/"
    )


_TWO_SPELLINGS = {"SCOPE_INDIVIDUALS": "SCOPE_INDIVIDUAL", "SCOPE_EVENTS": "SCOPE_EVENT"}
"""Of one scope: FullStory's contract lists the first as a value, its prose has the second."""


def _scope(request: dict[str, Any]) -> str:
    return str(request.get("eventDetails", {}).get("scope", ""))


def _respelled(request: dict[str, Any]) -> dict[str, Any] | None:
    """Return a request with the other spelling of its scope; None if it has but one."""
    other = _TWO_SPELLINGS.get(_scope(request))
    return request | {"eventDetails": {"scope": other}} if other else None


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _text(answer: Any, key: str) -> str:
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value or not value.isascii():
        raise ExportError(f"FullStory's answer names no {key}")
    return value


def _export_id(operation: dict[str, Any]) -> str:
    results = operation.get("results")
    if not results:
        raise MissingError("FullStory has finished the export, and has no results of it")
    return _text(results, "searchExportId")
