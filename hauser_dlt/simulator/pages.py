"""One page after another: where somebody goes, how they get there, and what happens there in which order."""

from __future__ import annotations

from itertools import chain
from random import Random
from typing import Any

from hauser_dlt.simulator import words
from hauser_dlt.simulator.templates import Surface, loaded, templates

_ARRIVALS = ("reload", "back_forward", *("navigate",) * 8)
_Place = tuple[str, str, str]


class Way:
    """Somebody's way through the shop.

    Attributes:
        steps: how many pages they have been to.
    """

    def __init__(self, rng: Random) -> None:
        """Begin outside of the shop."""
        self.steps = 0
        self._rng = rng
        self._url = words.REFERRERS[int(4 * rng.random())]
        self._history: list[_Place] = []
        self._arrival = "navigate"
        self._attack = 0

    def page(self) -> dict[str, Any]:
        """Go to another page, reload this one or go back, and return the fields that tell which page it is."""
        name, section, path = self._next()
        referrer, self._url = self._url, words.SITE + path
        page: dict[str, Any] = {"PageUrl": self._url, "PageRefererUrl": referrer}
        if name:
            page["PageName"] = name
        if section:
            page |= {"PageClusterId": len(section), "page_section_str": section}
        if section == "catalog":
            page |= {"page_tags_strs": ["sale", "été"]} if self._rng.random() < 0.5 else {"page_stock.left_int": 3}
        return page

    def view(self) -> dict[str, Any]:
        """Go to a view of the app, and return the field that tells which one it is."""
        self.steps += 1
        self._arrival = ""
        return {"AppViewName": words.VIEWS[int(len(words.VIEWS) * self._rng.random())]}

    def script(self, count: int, surface: Surface) -> list[dict[str, Any]]:
        """Return the happenings of the page: somebody arrives, it loads, then anything, and at last it was a pageview.

        Where they are too few for all of that, the pageview comes first, then the arrival.
        """
        opening = [self._arrive()] if count > 1 else []
        if count > 2 and self._arrival:
            opening.append(loaded(self._rng))
        choice, room = templates(surface), count - len(opening) - 1
        drawn = chain.from_iterable(choice[int(len(choice) * self._rng.random())] for _ in range(room))
        return [*opening, *list(drawn)[:room], {"EventType": "pageview"}]

    def _next(self) -> _Place:
        rng = self._rng
        self.steps += 1
        self._arrival = _ARRIVALS[int(len(_ARRIVALS) * rng.random())] if self._history else "navigate"
        self._attack = 0
        if self._arrival == "reload":
            return self._history[-1]
        if self._arrival == "back_forward":
            self._history.append(self._history[-min(2, len(self._history))])
        elif rng.random() < 0.004:
            self._attack = 1 + int(2 * rng.random())
            self._history.append(("Search", "search", words.ATTACK_PATHS[self._attack - 1]))
        else:
            self._history.append(words.PAGES[int(len(words.PAGES) * rng.random())])
        return self._history[-1]

    def _arrive(self) -> dict[str, Any]:
        event: dict[str, Any] = {"EventType": "navigate"}
        if self._arrival:
            event |= {"EventSubType": self._arrival, "PageMaxScrollDepthPercent": int(101 * self._rng.random())}
        if self._attack:
            event["EventModSuspicious"] = self._attack
        return event


class Running:
    """The page's running totals: what was logged up to an event, itself included."""

    def __init__(self) -> None:
        """Start a page."""
        self._infos = self._warnings = self._errors = 0

    def after(self, at: int, event_type: str) -> dict[str, int]:
        """Return the totals after an event. Not every message is an event: of messages, only errors are."""
        self._infos += at % 7 == 0
        self._warnings += at % 23 == 0
        self._errors += event_type in ("console_message", "exception")
        return {"PageNumInfos": self._infos, "PageNumWarnings": self._warnings, "PageNumErrors": self._errors}
