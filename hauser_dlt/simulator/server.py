"""The simulator: routes requests to the APIs and to storage, and lets faults have their way."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import NamedTuple, Self

from hauser_dlt.simulator import api, legacy, storage
from hauser_dlt.simulator.faults import Endpoint, Fault, instead, spoil
from hauser_dlt.simulator.listener import Listener
from hauser_dlt.simulator.messages import Answer, RefusedError, Request, json_answer
from hauser_dlt.simulator.world import World


class _Route(NamedTuple):
    """Where a request goes: `path` may have one group, the id that `answer` gets."""

    endpoint: Endpoint
    listener: str
    method: str
    path: str
    answer: Callable[[World, Request, str, Fault | None], Answer]


_CREATE = _Route("create", "api", "POST", "/segments/v1/exports", api.create)
ROUTES = (
    _Route("me", "api", "GET", "/me", api.me),
    _Route("segments", "api", "GET", "/segments/v1", api.segments),
    _Route("segment", "api", "GET", "/segments/v1/([^/]+)", api.segment),
    _CREATE,
    _Route("operations", "api", "GET", "/operations/v1", api.operations),
    _Route("operation", "api", "GET", "/operations/v1/([^/]+)", api.operation),
    _Route("cancel", "api", "POST", "/operations/v1/([^/]+)/cancel", api.cancel),
    _Route("results", "api", "GET", "/search/v1/exports/([^/]+)/results", api.results),
    _Route("list", "api", "GET", "/api/v1/export/list", legacy.bundles),
    _Route("get", "api", "GET", "/api/v1/export/get", legacy.bundle),
    _Route("download", "storage", "GET", "/exports/([^/]+)", storage.download),
)


class Simulator(World):
    """A FullStory on loopback, as a context manager: `with Simulator(Account(seed=1)) as sim: ...`.

    An exception from a test's own events is answered with 500, kept in `errors`, and raised at the end of the block.
    """

    _api: Listener
    _storage: Listener

    def __enter__(self) -> Self:
        """Listen: on one port for the APIs, on another one for storage."""
        self.closing.clear()
        self._api = Listener("api", self.port, self._respond, self._report, self._date)
        self._storage = Listener("storage", 0, self._respond, self._report, self._date)
        self.storage_url = self._storage.url
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Stop at once, whatever is still being sent."""
        self.closing.set()
        self._api.close()
        self._storage.close()
        if kind is None and self.errors:
            raise self.errors[0]

    @property
    def url(self) -> str:
        """The API's base URL."""
        return self._api.url

    @property
    def export_url(self) -> str:
        """The legacy API's base URL."""
        return f"{self.url}/api/v1"

    def created(self) -> list[tuple[datetime, datetime]]:
        """Return the windows that create calls asked for, in order, refused ones included (see `operations`)."""
        windows = []
        for request in list(self.requests):
            if _matches(_CREATE, request):
                with suppress(RefusedError):
                    windows.append(api.asked_window(self, request))
        return windows

    def _respond(self, request: Request) -> Answer:
        self.requests.append(request)
        route = next((route for route in ROUTES if _matches(route, request)), None)
        if route is None:
            return json_answer({"code": "http_404", "message": f"no {request.method} {request.path}"}, 404)
        key = _key(route, request)
        fault = self.faults.take(route.endpoint, self._window(route.endpoint, request, key))
        if fault is None:
            return self._answer(route, request, key, None)
        if fault.kind == "hang" and self.closing.wait(fault.seconds):
            raise ConnectionAbortedError
        other_url = (self.storage_url if request.listener == "api" else self.url) + request.path
        answer = instead(fault, other_url) or self._answer(route, request, key, fault)
        return spoil(fault, answer, self.closing.wait)

    def _answer(self, route: _Route, request: Request, key: str, fault: Fault | None) -> Answer:
        """Return the endpoint's own answer."""
        authorized = request.headers.get("authorization") == f"Basic {self.token}"
        if route.listener == "api" and not authorized:
            return RefusedError(401, "the API key is missing or wrong").answer()
        try:
            return route.answer(self, request, key, fault)
        except RefusedError as exc:
            return exc.answer()

    def _window(self, endpoint: Endpoint, request: Request, key: str) -> datetime | None:
        """Return the start of the window that a request is about, for faults that hit one window only."""
        if endpoint == "create":
            with suppress(RefusedError):
                return api.asked_window(self, request)[0]
        if endpoint == "get":
            return legacy.bundle_start(request)
        operation = self.operations.get(key) or self.exports.get(key)
        return operation.start if operation else None

    def _date(self) -> float:
        return time.time() + self.clock_offset.total_seconds()

    def _report(self, error: BaseException) -> None:
        if not self.closing.is_set():
            self.errors.append(error)


def _matches(route: _Route, request: Request) -> bool:
    same_door = (route.listener, route.method) == (request.listener, request.method)
    return same_door and re.fullmatch(route.path, request.path) is not None


def _key(route: _Route, request: Request) -> str:
    """Return the id in a request's path, "" where the path has none."""
    return "".join(re.findall(route.path, request.path)) if "(" in route.path else ""
