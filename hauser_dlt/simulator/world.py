"""What the simulated FullStory knows, and how it behaves: everything but the sockets."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hauser_dlt.simulator.bodies import Layout, Packing, Row
from hauser_dlt.simulator.events import Account
from hauser_dlt.simulator.faults import Faults
from hauser_dlt.simulator.messages import RefusedError, Request, parse_time

_SEGMENTS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "signed-up": lambda row: bool(row.get("UserAppKey", row.get("Uid"))),
    "on-phones": lambda row: row.get("PageDevice", row.get("LastDevice")) == "Mobile",
}

EventSource = Callable[[datetime, datetime], Iterable[Row]]


@dataclass
class Operation:
    """A running or finished export job."""

    id: str
    export_id: str
    type: Literal["TYPE_EVENT", "TYPE_INDIVIDUAL"]
    layout: Layout | None  # of the JSON array; None is NDJSON
    fields: list[str]
    start: datetime  # the window that was asked for, half-open
    end: datetime
    reach: tuple[datetime, datetime]  # what the segment's own range leaves of the window
    created: float
    ready: float
    request: dict[str, Any]
    error: str | None = None
    stuck: bool = False

    def state(self, clock: float) -> Literal["PENDING", "COMPLETED", "FAILED"]:
        """Return the state that FullStory reports at this time."""
        if self.error is not None:
            return "FAILED"
        return "PENDING" if self.stuck or clock < self.ready else "COMPLETED"


@dataclass
class Link:
    """A signed link to a finished export."""

    operation: Operation
    expires: float
    used: bool = False


class Quota:
    """Grants so many requests in any stretch of so many seconds."""

    def __init__(self) -> None:
        """Start with nothing granted."""
        self._granted: deque[float] = deque()

    def take(self, limit: tuple[int, float], clock: float) -> None:
        """Grant a request, or raise RefusedError (429) with the whole seconds until the next one is granted."""
        number, seconds = limit
        while self._granted and self._granted[0] <= clock - seconds:
            self._granted.popleft()
        if len(self._granted) >= number:
            wait = self._granted[0] + seconds - clock if self._granted else seconds
            raise RefusedError(429, "rate limit exceeded", retry_after=max(1, -int(-wait // 1)))
        self._granted.append(clock)


@dataclass(eq=False)
class World:
    """The options of a simulator, which can be changed while it runs, and its state.

    Attributes:
        account: Where events and individuals come from.
        token: The API key it accepts.
        role: What the key may do; creating exports and fetching results takes an Architect, or an Admin.
        scopes: What `eventDetails.scope` may be. FullStory spells one of them `SCOPE_INDIVIDUAL` elsewhere.
        events: Takes the account's place: is called with a window's start and end (UTC); its rows go out as they are,
            dicts encoded and bytes literally, whatever their times.
        prepare: How many seconds an operation is PENDING.
        link_ttl: How many seconds a signed link lives.
        once_links: Whether a link works only once.
        echo: Whether operations say what was asked for, which the real ones are not known to do.
        packing: How exports are packed: one gzip member, several, none, or one with `Content-Encoding: gzip`.
        json_layout: How JSON arrays look: a record a line, no white space at all, or indented.
        chunked: Sends exports while they are made, without a Content-Length. Meant for huge ones.
        ranges: Whether storage sends a range of an export where one is asked for.
        etags: The entity tag that storage gives to exports.
        rate_limit: How many creates are accepted in how many seconds.
        max_running: How many exports may be PENDING at once.
        workers: How many exports FullStory prepares at once, in the order in which they were asked for; the others are
            PENDING, too. None is all.
        now: What the simulator takes for the present. It bounds legacy bundles and open ranges; events after it exist
            all the same, for segment exports of any stretch.
        bundle: How long legacy bundles are.
        since: When the first legacy bundle starts; 30 days before `now` if None.
        legacy: Whether the account has the legacy Data Export; without it, that API answers 404.
        downloads: How many legacy downloads are accepted in how many seconds.
        lowercase_list: Writes `id`, `start`, `stop` in the list of legacy bundles.
        string_numbers: Writes the numbers in that list as strings.
        old_names: Calls `PageUserAgent` `PageAgent` in legacy bundles, as the first of them did.
        clock: Seconds since the epoch, by which preparation, links and limits are timed.
        clock_offset: How far its clock is ahead of this machine's, as the `Date` of its answers tells.
        port: The API's port; 0 picks a free one.
    """

    account: Account = field(default_factory=Account)
    _: KW_ONLY
    token: str = "simulator-key"  # noqa: S105 - opens nothing but the simulator
    role: str = "ARCHITECT"
    scopes: tuple[str, ...] = ("SCOPE_EVENTS", "SCOPE_PAGES", "SCOPE_SESSIONS", "SCOPE_INDIVIDUALS")
    events: EventSource | None = None
    prepare: float = 0.0
    link_ttl: float = 300.0
    once_links: bool = False
    echo: bool = False
    packing: Packing = "gzip"
    json_layout: Layout = "lines"
    chunked: bool = False
    ranges: bool = True
    etags: Literal["strong", "weak", "none"] = "strong"
    rate_limit: tuple[int, float] | None = None
    max_running: int | None = None
    workers: int | None = None
    now: datetime | Callable[[], datetime] | None = None
    bundle: timedelta = timedelta(hours=1)
    since: datetime | None = None
    legacy: bool = True
    downloads: tuple[int, float] | None = (2, 60.0)
    lowercase_list: bool = False
    string_numbers: bool = False
    old_names: bool = False
    clock: Callable[[], float] = time.time
    clock_offset: timedelta = timedelta(0)
    port: int = 0

    def __post_init__(self) -> None:
        """Start with no history."""
        self.faults = Faults()
        self.requests: list[Request] = []
        self.extra_events: list[dict[str, Any]] = []
        self.bodies: dict[str, bytes] = {}
        self.segments = {"everyone": "Everyone", "signed-up": "Signed up", "on-phones": "On phones"}
        self.operations: dict[str, Operation] = {}
        self.exports: dict[str, Operation] = {}
        self.links: dict[str, Link] = {}
        self.errors: list[BaseException] = []
        self.creates, self.legacy_gets = Quota(), Quota()
        self.lock = threading.Lock()
        self.storage_url = ""
        self.closing = threading.Event()

    def present(self) -> datetime:
        """Return what the simulator takes for the present."""
        if self.now is None:
            return datetime.fromtimestamp(self.clock(), UTC)
        return self.now() if callable(self.now) else self.now

    def members(self, rows: Iterable[Row], segment: str) -> Iterator[Row]:
        """Yield those rows, of events or individuals, that a segment holds.

        Segments that came up later hold all rows, and rows that are bytes belong to every segment.
        """
        inside = _SEGMENTS.get(segment)
        return (row for row in rows if inside is None or isinstance(row, bytes) or inside(row))

    def rows(self, start: datetime, end: datetime) -> Iterator[Row]:
        """Yield the events of a window, the account's in time order, then `extra_events`."""
        yield from (self.events or self.account.events)(start, end)
        yield from (event for event in list(self.extra_events) if start <= parse_time(event["EventStart"]) < end)

    def literal_body(self, start: datetime) -> bytes | None:
        """Return the body that a test has set for the window starting then."""
        return next((body for key, body in list(self.bodies.items()) if parse_time(key) == start), None)
