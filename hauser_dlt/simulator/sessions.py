"""Sessions: one person's way through the pages of the shop, as events within one hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

from hauser_dlt.simulator import words
from hauser_dlt.simulator.people import Person, big_id
from hauser_dlt.simulator.templates import loaded, templates

HOUR_MS = 3_600_000
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


@dataclass(frozen=True, slots=True)
class Session:
    """One session, ready to be walked through."""

    rng: Random
    person: Person
    hour: str  # how the times of this hour begin, "2024-05-01T13:"
    plan: Plan

    def events(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the events in time order, each with its milliseconds since the hour began."""
        start, length, count = self.plan
        times = sorted(start + int(length * self.rng.random()) for _ in range(count))
        times = [start, *(_together(self.rng, before, at) for before, at in pairwise(times))]
        visit, referrer = self._visit(), words.REFERRERS[int(4 * self.rng.random())]
        while times:
            size = 3 + int(9 * self.rng.random())
            page = self._page(times[: size + 1], min(size, len(times)), referrer)
            yield from self._happenings(times[:size], visit | page)
            referrer, times = page["PageUrl"], times[size:]

    def _visit(self) -> dict[str, Any]:
        """Return the fields that all events of the session share."""
        ip, lat_long = self.person.place
        return {
            **self.person.identity,
            "SessionId": big_id(self.rng),
            "SessionStart": self._time(self.plan.start),
            "PageIp": ip,
            "PageLatLong": lat_long,
            **self.person.device,
            **self.person.variables,
        }

    def _page(self, times: list[int], count: int, referrer: str) -> dict[str, Any]:
        """Return the fields that all events of a page share; it lasts until the last of `times`."""
        rng, duration = self.rng, times[-1] - times[0]
        name, section, path = words.PAGES[int(len(words.PAGES) * rng.random())]
        page = {
            "PageId": big_id(rng),
            "PageName": name,
            "PageStart": self._time(times[0]),
            "PageDuration": duration,
            "PageActiveDuration": int(duration * rng.random()),
            "PageUrl": words.SITE + path,
            "PageRefererUrl": referrer,
            "PageNumEvents": count,
            "PageNumInfos": int(3 * rng.random()),
            "PageNumWarnings": int(2 * rng.random()),
            "PageNumErrors": int(1.2 * rng.random()),
            "PageMaxScrollDepthPercent": int(101 * rng.random()),
        }
        if section:
            page |= {"PageClusterId": len(section), "page_section_str": section}
        if section == "catalog":
            page |= {"page_tags_strs": ["sale", "été"]} if rng.random() < 0.5 else {"page_stock.left_int": 3}
        return page

    def _happenings(self, times: list[int], page: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield what happens on one page: it is viewed, it loads, then anything."""
        rng, choice, begin = self.rng, templates(), times[0]
        for number, at in enumerate(times):
            if number == 0:
                what = {"EventType": "pageview"}
            elif number == 1:
                what = loaded(rng)
            else:
                what = choice[int(len(choice) * rng.random())]
            yield (
                at,
                {
                    **page,
                    "EventStart": self._time(at),
                    "EventPageOffset": at - begin,
                    "EventSessionOffset": at - self.plan.start,
                    **what,
                },
            )

    def _time(self, at: int) -> str:
        return self.hour + _CLOCK[at // 1000] + _FRACTION[at % 1000]


def _together(rng: Random, before: int, at: int) -> int:
    """Return the time of an event: often that of another one, for events have no natural key."""
    return before if rng.random() < 0.16 else at
