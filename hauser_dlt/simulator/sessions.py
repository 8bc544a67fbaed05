"""Sessions: one person's way through the pages of the shop, as events within one hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

from hauser_dlt.simulator.pages import Running, Way
from hauser_dlt.simulator.people import Cookie, Person
from hauser_dlt.simulator.templates import Surface

Moment = tuple[int, dict[str, Any]]

HOUR_MS = 3_600_000
_RAPIDLY = 180  # ms at most between two clicks in rage
_CLOCK = [f"{second // 60:02}:{second % 60:02}" for second in range(3600)]
_FRACTION = ["Z", *(f".{ms:03}Z" for ms in range(1, 1000))]  # FullStory writes whole seconds without a fraction


class Plan(NamedTuple):
    """When a session begins (ms into its hour), how many ms it lasts, and how many events it has."""

    start: int
    length: int
    size: int


def plans(rng: Random, total: int) -> list[Plan]:
    """Return, in the order of their starts, sessions that have `total` events together."""
    drawn = []
    while total > 0:
        count = min(total, 3 + int(57 * rng.random() ** 2))
        length = count * (2_000 + int(12_000 * rng.random()))
        drawn.append(Plan(int((HOUR_MS - length) * rng.random()), length, count))
        total -= count
    return sorted(drawn)


class Visit(NamedTuple):
    """Whose session it is: somebody, on one of their devices, and the session's id."""

    person: Person
    cookie: Cookie
    session_id: int


@dataclass(frozen=True, slots=True)
class Session:
    """One session, ready to be walked through."""

    rng: Random
    visit: Visit
    hour: str  # how the times of this hour begin, "2024-05-01T13:"
    plan: Plan

    def events(self) -> Iterator[Moment]:
        """Yield the events in time order, each with its milliseconds since the hour began."""
        start, length, count = self.plan
        times = sorted(start + int(length * self.rng.random()) for _ in range(count))
        times = [start, *(_together(self.rng, before, at) for before, at in pairwise(times))]
        shared, way = self._shared(), Way(self.rng)
        while times:
            size = 3 + int(9 * self.rng.random())
            page = self._page(way, times[: size + 1])
            yield from self._happenings(times[:size], shared | page, way)
            times = times[size:]

    def _shared(self) -> dict[str, Any]:
        """Return the fields that all events of the session share."""
        person, cookie, session_id = self.visit
        ip, lat_long = person.place
        return {
            **person.identity,
            "UserId": cookie.user_id,
            "UserCreated": f"{cookie.created:%Y-%m-%dT%H:%M:%SZ}",
            "SessionId": session_id,
            "SessionStart": self._time(self.plan.start),
            "PageIp": ip,
            "PageLatLong": lat_long,
            **cookie.device,
            **person.variables,
        }

    def _page(self, way: Way, times: list[int]) -> dict[str, Any]:
        """Go to the next page, and return the fields that all its events share; it lasts until the last of `times`."""
        duration = times[-1] - times[0]
        return {
            "PageId": self.visit.session_id + 2 * way.steps,
            "PageStart": self._time(times[0]),
            "PageDuration": duration,
            "PageActiveDuration": int(duration * self.rng.random()),
            **(way.view() if self._surface == "app" else way.page()),
        }

    def _happenings(self, times: list[int], page: dict[str, Any], way: Way) -> Iterator[Moment]:
        """Yield what happens on one page, with the fields that count it."""
        script = way.script(len(times), self._surface)
        page["PageNumEvents"] = len(script)
        page["PageNumDerivedEvents"] = sum(what["EventType"].endswith("_error") for what in script)
        running = Running()
        at = begin = times[0]
        for planned, what in zip(times, script, strict=True):
            at = min(planned, at + _RAPIDLY) if what.get("EventModFrustrated", 0) > 1 else planned
            yield (
                at,
                {
                    **page,
                    **running.after(at, what["EventType"]),
                    "EventStart": self._time(at),
                    "EventPageOffset": at - begin,
                    "EventSessionOffset": at - self.plan.start,
                    **what,
                },
            )

    @property
    def _surface(self) -> Surface:
        device = self.visit.cookie.device
        if "AppName" in device:
            return "app"
        return "touch" if device["PageDevice"] == "Mobile" else "desktop"

    def _time(self, at: int) -> str:
        return self.hour + _CLOCK[at // 1000] + _FRACTION[at % 1000]


def _together(rng: Random, before: int, at: int) -> int:
    """Return the time of an event: often that of another one, for events have no natural key."""
    return before if rng.random() < 0.16 else at
