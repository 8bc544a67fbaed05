"""The people of an account: who the events belong to, and their rows in an individuals export."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hauser_dlt.simulator import words
from hauser_dlt.simulator.encoding import RawNumber

_FIRST_DAY = datetime(2015, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cookie:
    """What FullStory calls a user: one browser, or app, of somebody."""

    user_id: int
    created: datetime
    device: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """One individual: the identity fields and custom variables of all their events."""

    identity: dict[str, Any]
    variables: dict[str, Any]
    cookies: tuple[Cookie, ...]
    place: tuple[str, str]
    sessions_a_day: float

    @property
    def created(self) -> datetime:
        """When the first of the cookies was seen first."""
        return min(cookie.created for cookie in self.cookies)

    def row(self, end: datetime) -> dict[str, Any]:
        """Return what an individuals export says of this person at `end`. Counters only grow."""
        return {**self._profile(), **self._lifetime(end), **self._last_session(end), "UserVars": self.variables}

    def _profile(self) -> dict[str, Any]:
        return {
            "IndvId": self.identity["IndvId"],
            "Created": _whole_seconds(self.created),
            "Uid": self.identity["UserAppKey"],
            "DisplayName": self.identity["UserDisplayName"],
            "Email": self.identity["UserEmail"],
        }

    def _lifetime(self, end: datetime) -> dict[str, int]:
        sessions = 1 + max(0, int((end - self.created) / timedelta(days=1) * self.sessions_a_day))
        return {
            "NumSessions": sessions,
            "NumPages": sessions * 4,
            "NumEvents": sessions * 22,
            "TotalSec": sessions * 190,
            "ActiveSec": sessions * 120,
            "AvgSessionSec": 190,
            "AvgSessionActiveSec": 120,
            "MaxSessionSec": 840,
        }

    def _last_session(self, end: datetime) -> dict[str, Any]:
        start = end - timedelta(days=1) / self.sessions_a_day
        device = self.cookies[0].device
        return {
            "LastSessionNumPages": 4,
            "LastSessionNumEvents": 22,
            "LastSessionSec": 190,
            "LastSessionActiveSec": 120,
            "LastSessionStart": _whole_seconds(start),
            "LastEventStart": _whole_seconds(start + timedelta(seconds=190)),
            "LastPage": f"{words.SITE}/checkout/thanks",
            "LastIp": self.place[0],
            "LastLatLong": self.place[1],
            "LastBrowser": device["PageBrowser"],
            "LastDevice": device["PageDevice"],
            "LastPlatform": device["PagePlatform"],
            "LastOperatingSystem": device["PageOperatingSystem"],
        }


def people(seed: int, count: int, *, apps: bool = False) -> list[Person]:
    """Return the people of the account with this seed; with `apps`, some of them use the shop's app besides."""
    return [_person(Random(f"{seed}/person/{number}"), number, apps=apps) for number in range(count)]


def big_id(rng: Random) -> int:
    """Return an id that a float cannot hold."""
    return rng.getrandbits(62) | (1 << 53) | 1


def _person(rng: Random, number: int, *, apps: bool) -> Person:
    known = rng.random() < 0.75
    cookies = [_cookie(rng, rng.choice(words.DEVICES))]
    if known and rng.random() < 0.3:
        cookies.append(_cookie(rng, rng.choice(words.DEVICES)))
    if apps and known and rng.random() < 0.5:
        cookies.append(_cookie(rng, words.APP))
    identity = {
        "IndvId": big_id(rng) if known else cookies[0].user_id,
        "UserAppKey": f"customer-{number}" if known else "",
        "UserDisplayName": rng.choice(words.NAMES) if known else f"User {number}",
        "UserEmail": f"customer{number}@example.com" if known and rng.random() < 0.9 else "",
    }
    return Person(
        identity=identity,
        variables=_variables(rng, cookies[0].created) if known else {},
        cookies=tuple(cookies),
        place=rng.choice(words.PLACES),
        sessions_a_day=rng.uniform(0.05, 3),
    )


def _cookie(rng: Random, device: dict[str, Any]) -> Cookie:
    return Cookie(big_id(rng), _FIRST_DAY + timedelta(seconds=rng.randrange(5 * 365 * 86_400)), device)


def _whole_seconds(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _variables(rng: Random, created: datetime) -> dict[str, Any]:
    """Return a customer's variables: every type FullStory has, and one key from before there were prefixes."""
    variables = {
        "user_plan_str": rng.choice(words.PLANS),
        "user_age_int": rng.randrange(18, 90),
        "user_lifetime.value_real": RawNumber(f"{rng.randrange(1_000_000) / 100:.2f}"),
        "user_newsletter_bool": rng.random() < 0.5,
        "user_signup_date": _whole_seconds(created),
        "user_interests_strs": rng.sample(words.TAGS, 2),
        "acct_adminDisabled_bool": rng.random() < 0.1,
    }
    return dict(rng.sample(list(variables.items()), rng.randrange(5)))
