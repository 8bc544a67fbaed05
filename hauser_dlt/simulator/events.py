"""Believable web events, any number of them, from a seed. Pure: no clock, no I/O.

Each UTC hour is made on its own, from the seed and the hour, so the events do not depend on how a stretch is cut.
Sessions therefore begin and end within one hour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from heapq import heappop, heappush, heapreplace
from random import Random
from typing import Any

from hauser_dlt.simulator.encoding import RawNumber, encode
from hauser_dlt.simulator.people import Cookie, Person, big_id, people
from hauser_dlt.simulator.sessions import HOUR_MS, Moment, Session, Visit, plans
from hauser_dlt.simulator.templates import MODS

__all__ = ["Account", "RawNumber", "encode"]

_Running = list[tuple[int, int, dict[str, Any], Iterator[Moment]]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_TEXT_IDS = ("UserId", "SessionId", "PageId")
_RHYTHM = (30, 22, 16, 14, 16, 24, 42, 70, 105, 140, 165, 172, 168, 170, 172, 168, 160, 150, 140, 132, 118, 92, 68, 46)


@dataclass(frozen=True)
class Account:
    """A FullStory account: the seed of its events, how many there are, and of how many people.

    Attributes:
        seed: another seed, other events.
        events_per_hour: on average; nights and weekends are quieter.
        users: how many people there are; some have several `UserId`s.
        zeros: whether `EventMod...` is 0, instead of absent, where an event of that kind has nothing to tell.
        text_ids: whether `UserId`, `SessionId` and `PageId` are numbers in quotes.
        shared_ids: whether different users have the same `SessionId`, and their pages the same `PageId`.
        mobile_apps: whether some people use a native app besides.
    """

    seed: int = 7
    events_per_hour: int = 200
    users: int = 400
    zeros: bool = False
    text_ids: bool = False
    shared_ids: bool = False
    mobile_apps: bool = False

    def events(self, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
        """Yield, in time order, the events whose EventStart lies in [start, end)."""
        first, last = _milliseconds(start), _milliseconds(end)
        for hour in range(first // HOUR_MS, -(-last // HOUR_MS)):
            base = hour * HOUR_MS
            for at, event in self._hour(hour):
                if base + at >= last:
                    return
                if base + at >= first:
                    yield self._as_sent(event)

    def individuals(self, end: datetime) -> Iterator[dict[str, Any]]:
        """Yield the rows of the account's people, as they stand at `end`."""
        return (person.row(end) for person in self.people if person.created < end)

    @cached_property
    def people(self) -> list[Person]:
        """Everybody whom events can belong to."""
        return people(self.seed, self.users, apps=self.mobile_apps)

    def _hour(self, hour: int) -> Iterator[Moment]:
        """Yield the hour's events with their milliseconds since it began, holding no more than the running sessions."""
        rng = Random(f"{self.seed}/hour/{hour}")
        prefix = f"{_EPOCH + timedelta(hours=hour):%Y-%m-%dT%H:}"
        ids = self._session_ids(rng)
        running: _Running = []
        for number, plan in enumerate(plans(rng, self._how_many(rng, hour))):
            yield from _advance(running, plan.start)
            person = self.people[int(len(self.people) * rng.random())]
            cookie = person.cookies[int(len(person.cookies) * rng.random())]
            moments = Session(rng, Visit(person, cookie, ids(cookie)), prefix, plan).events()
            heappush(running, (plan.start, number, next(moments)[1], moments))
        yield from _advance(running, HOUR_MS)

    def _session_ids(self, rng: Random) -> Callable[[Cookie], int]:
        """Return what gives each session of an hour its id, which is unique for its user at least."""
        if not self.shared_ids:
            return lambda _: big_id(rng)
        first, sessions = big_id(rng), Counter[int]()

        def next_of(cookie: Cookie) -> int:
            sessions[cookie.user_id] += 1
            return first + (sessions[cookie.user_id] << 12)

        return next_of

    def _as_sent(self, event: dict[str, Any]) -> dict[str, Any]:
        if self.zeros:
            event = dict.fromkeys(MODS.get(event["EventType"], ()), 0) | event
        if self.text_ids:
            event = event | {key: str(event[key]) for key in _TEXT_IDS}
        return event

    def _how_many(self, rng: Random, hour: int) -> int:
        """Return the number of events of an hour: day and night, week and weekend, and some chance."""
        weekend = (_EPOCH + timedelta(hours=hour)).weekday() >= 5
        share = _RHYTHM[hour % 24] / 100 * (0.6 if weekend else 1.16)
        return int(self.events_per_hour * share * rng.uniform(0.9, 1.1) + rng.random())


def _advance(running: _Running, until: int) -> Iterator[Moment]:
    """Yield what happens in the running sessions before `until`; sessions that are over leave the heap."""
    while running and running[0][0] < until:
        at, number, event, moments = running[0]
        yield at, event
        following = next(moments, None)
        if following is None:
            heappop(running)
        else:
            heapreplace(running, (following[0], number, following[1], moments))


def _milliseconds(moment: datetime) -> int:
    """Return the first whole millisecond that is not before `moment`."""
    return -((_EPOCH - moment) // _MS)
