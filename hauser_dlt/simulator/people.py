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
class Person:
    """One individual: the identity fields and custom variables of all their events."""

    identity: dict[str, Any]
    variables: dict[str, Any]
    device: dict[str, Any]
    place: tuple[str, str]
    created: datetime
    sessions_a_day: float

    def row(self, end: datetime) -> dict[str, Any]:
        """Return what an individuals export says of this person at `end`. Counters only grow."""
        return {**self._profile(), **self._lifetime(end), **self._last_session(end), "UserVars": self.variables}

    def _profile(self) -> dict[str, Any]:
        return {
            "IndvId": self.identity["IndvId"],
            "Created": self.identity["UserCreated"],
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
        return {
            "LastSessionNumPages": 4,
            "LastSessionNumEvents": 22,
            "LastSessionSec": 190,
            "LastSessionActiveSec": 120,
            "LastSessionStart": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "LastEventStart": f"{start + timedelta(seconds=190):%Y-%m-%dT%H:%M:%SZ}",
            "LastPage": f"{words.SITE}/checkout/thanks",
            "LastIp": self.place[0],
            "LastLatLong": self.place[1],
            "LastBrowser": self.device["PageBrowser"],
            "LastDevice": self.device["PageDevice"],
            "LastPlatform": self.device["PagePlatform"],
            "LastOperatingSystem": self.device["PageOperatingSystem"],
        }


def people(seed: int, count: int) -> list[Person]:
    """Return the people of the account with this seed."""
    return [_person(Random(f"{seed}/person/{number}"), number) for number in range(count)]


def big_id(rng: Random) -> int:
    """Return an id that a float cannot hold."""
    return rng.getrandbits(62) | (1 << 53) | 1


def _person(rng: Random, number: int) -> Person:
    known = rng.random() < 0.75
    created = _FIRST_DAY + timedelta(seconds=rng.randrange(5 * 365 * 86_400))
    identity = {
        "IndvId": big_id(rng),
        "UserId": big_id(rng),
        "UserCreated": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "UserAppKey": f"customer-{number}" if known else "",
        "UserDisplayName": rng.choice(words.NAMES) if known else f"User {number}",
        "UserEmail": f"customer{number}@example.com" if known and rng.random() < 0.9 else "",
    }
    return Person(
        identity=identity,
        variables=_variables(rng, created) if known else {},
        device=rng.choice(words.DEVICES),
        place=rng.choice(words.PLACES),
        created=created,
        sessions_a_day=rng.uniform(0.05, 3),
    )


def _variables(rng: Random, created: datetime) -> dict[str, Any]:
    """Return a customer's variables: every type FullStory has, and one key from before there were prefixes."""
    variables = {
        "user_plan_str": rng.choice(words.PLANS),
        "user_age_int": rng.randrange(18, 90),
        "user_lifetime.value_real": RawNumber(f"{rng.randrange(1_000_000) / 100:.2f}"),
        "user_newsletter_bool": rng.random() < 0.5,
        "user_signup_date": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "user_interests_strs": rng.sample(words.TAGS, 2),
        "acct_adminDisabled_bool": rng.random() < 0.1,
    }
    return dict(rng.sample(list(variables.items()), rng.randrange(5)))
