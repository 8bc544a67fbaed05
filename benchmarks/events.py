"""Web events from a seed, as FullStory exports them: the data of all measurements. Pure: no clock, no I/O.

Each has some 30 of the 45 known fields that are in use, and 0 to 12 of 60 custom variables, of all types that
FullStory has; some numbers among them end in zeros. An event is 1.1 to 1.3 KB of JSON.
"""

import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, repeat
from operator import add
from random import Random
from typing import Any

import orjson

START = datetime(2024, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
_SHORTEST, _LONGEST = 1100, 1300
_WORDS = (
    *("order", "cart", "price", "item", "page", "plan", "trial", "team"),
    *("region", "store", "promo", "search", "filter", "basket", "account"),
)
_TYPES = ("click", "request", "navigate", "load", "change", "custom", "console_message", "seen")
_PAGES = 300  # page views that go on at a time, so that neighbours have little in common
_LEFT_OUT = 9  # of the fields of a page that are not in every event


def events(number: int, seed: int = 7, start: datetime = START, span: timedelta = HOUR) -> Iterator[bytes]:
    """Yield so many events as JSON, their times evenly spread over the span."""
    rng = Random(f"{seed}/{start.timestamp()}")
    tick = span / max(number, 1)
    variables = _variables(Random(seed))
    pages = [_page(rng, start) for _ in range(_PAGES)]
    for index in range(number):
        at = start + index * tick
        if index % 20 == 0:
            pages[rng.randrange(_PAGES)] = _page(rng, at)
        yield _sized(rng, rng.choice(pages) | _event(rng, at), variables)


def ndjson(lines: Iterable[bytes]) -> bytes:
    """Return events in one gzip member, one a line."""
    return _packed(line + b"\n" for line in lines)


def array(records: Iterable[bytes]) -> bytes:
    """Return events in one gzip member, as one array."""
    separators = chain([b"["], repeat(b","))
    return _packed(chain(map(add, separators, records), [b"]"]))


def _packed(pieces: Iterable[bytes]) -> bytes:
    deflate = zlib.compressobj(6, wbits=31)
    parts = []
    stream = iter(pieces)
    while some := list(islice(stream, 1000)):
        parts.append(deflate.compress(b"".join(some)))
    return b"".join(parts) + deflate.flush()


def _variables(rng: Random) -> list[tuple[str, str]]:
    """Return the names of the account's custom variables, with their types."""
    types = ("str",) * 8 + ("int",) * 4 + ("real",) * 3 + ("bool",) * 3 + ("date", "strs")
    return [
        (f"{('evt', 'user', 'page')[number % 3]}_{rng.choice(_WORDS)}_{rng.choice(_WORDS)}{number}_{kind}", kind)
        for number, kind in enumerate(types * 3)
    ]


def _value(rng: Random, kind: str) -> Any:
    match kind:
        case "int":
            return rng.randrange(1000)
        case "real":
            return orjson.Fragment(f"{rng.randrange(100, 20_000) / 100:.2f}")
        case "bool":
            return rng.random() < 0.5
        case "date":
            return f"2024-04-{rng.randrange(1, 31):02}T00:00:00Z"
        case "strs":
            return rng.choices(_WORDS, k=3)
    return f"{rng.choice(_WORDS)} {rng.randrange(100)}"


def _page(rng: Random, at: datetime) -> dict[str, Any]:
    user, width, version = rng.getrandbits(62), rng.choice((1280, 1440, 1920)), rng.randrange(110, 130)
    rare = {
        "UserAppKey": f"u{user % 1_000_000}" if user % 3 else "",
        "UserDisplayName": f"Customer {user % 1_000_000}",
        "UserEmail": f"customer{user % 1_000_000}@example.com",
        "PageName": rng.choice(_WORDS).title(),
        "PageRefererUrl": f"https://shop.example.com/{rng.choice(_WORDS)}",
        "PageLatLong": f"{rng.uniform(-60, 60):.4f},{rng.uniform(-180, 180):.4f}",
        "PageActiveDuration": rng.randrange(100_000),
        "PageScreenWidth": width,
        "PageScreenHeight": width * 9 // 16,
        "PageViewportWidth": width - 20,
        "PageViewportHeight": width * 9 // 16 - 120,
        "PageNumInfos": rng.randrange(3),
        "PageNumWarnings": rng.randrange(3),
        "PageNumErrors": rng.randrange(3),
        "PageClusterId": rng.randrange(1000),
        "PageMaxScrollDepthPercent": rng.randrange(101),
    }
    for name in rng.sample(list(rare), _LEFT_OUT):
        del rare[name]
    return {
        "IndvId": user,
        "UserId": user ^ 0x5DEECE66D,
        "SessionId": rng.getrandbits(62),
        "PageId": rng.getrandbits(62),
        "UserCreated": _time(at - timedelta(days=rng.randrange(900), milliseconds=rng.randrange(10**7))),
        "SessionStart": _time(at - timedelta(milliseconds=rng.randrange(3_600_000))),
        "PageStart": _time(at - timedelta(milliseconds=rng.randrange(300_000))),
        "PageUrl": f"https://shop.example.com/{rng.choice(_WORDS)}/{rng.randrange(10_000)}?utm={rng.choice(_WORDS)}",
        "PageIp": f"203.0.113.{rng.randrange(256)}",
        "PageUserAgent": f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/{version}.0.0.0",
        "PageBrowser": "Chrome",
        "PageBrowserVersion": f"{version}.0.0.0",
        "PageDevice": rng.choice(("Desktop", "Mobile", "Tablet")),
        "PagePlatform": "Web",
        "PageOperatingSystem": rng.choice(("Linux", "Windows", "OS X")),
        "PageDuration": rng.randrange(300_000),
        "PageNumEvents": rng.randrange(1, 200),
        **rare,
    }


def _event(rng: Random, at: datetime) -> dict[str, Any]:
    kind = rng.choice(_TYPES)
    event: dict[str, Any] = {
        "EventStart": _time(at),
        "EventType": kind,
        "EventPageOffset": rng.randrange(300_000),
        "EventSessionOffset": rng.randrange(3_000_000),
    }
    if kind in ("click", "change", "seen"):
        event["EventTargetText"] = f"Add {rng.choice(_WORDS)} to {rng.choice(_WORDS)}"
        event["EventTargetSelector"] = f"div.{rng.choice(_WORDS)} > button#{rng.choice(_WORDS)}{rng.randrange(100)}"
    if kind == "click" and rng.random() < 0.1:
        event["EventModFrustrated"] = 1
    if kind == "request":
        event |= {"ReqMethod": "GET", "ReqUrl": f"https://api.example.com/v1/{rng.choice(_WORDS)}", "ReqStatus": 200}
    if kind == "load":
        event["LoadFirstPaintTime"] = rng.randrange(900)
    if kind == "custom":
        event["EventCustomName"] = f"{rng.choice(_WORDS)} completed".capitalize()
    return event


def _sized(rng: Random, event: dict[str, Any], variables: list[tuple[str, str]]) -> bytes:
    """Add custom variables as long as there is room, and fill up small events with a token in their URL."""
    room = _LONGEST - len(orjson.dumps(event))
    for name, kind in rng.sample(variables, rng.randrange(13)):
        value = _value(rng, kind)
        room -= len(name) + len(orjson.dumps(value)) + 4
        if room < 0:
            break
        event[name] = value
    text = orjson.dumps(event)
    if (lacking := _SHORTEST - len(text)) > 0:
        event["PageUrl"] += f"&token={rng.getrandbits(4 * lacking):x}"
        text = orjson.dumps(event)
    return text


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
