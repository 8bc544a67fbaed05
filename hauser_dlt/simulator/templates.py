"""What can happen on a page: the part of events that does not depend on who, where and when.

Types, subtypes and the fields that come with them are those that FullStory documents (docs/simulator.md has the source
of each).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any, Literal

from hauser_dlt.simulator import words
from hauser_dlt.simulator.encoding import RawNumber

Surface = Literal["desktop", "touch", "app"]
Events = tuple[dict[str, Any], ...]

_CLICK_MODS = ("EventModFrustrated", "EventModDead", "EventModError")
MODS = {"click": _CLICK_MODS, "change": ("EventModSuspicious",), "navigate": ("EventModSuspicious",)}
"""Type -> the fields that FullStory documents to be 0 where there is nothing to tell."""


@cache
def templates(surface: Surface) -> list[Events]:
    """Return some two thousand happenings, the frequent ones more often. The same in every account."""
    rng = Random("templates")
    return [
        make(rng, name)
        for name, (weight, surfaces, make) in _KINDS.items()
        if surface in surfaces.split()
        for _ in range(weight)
    ]


def loaded(rng: Random) -> dict[str, Any]:
    """Return the fields of a page's load event."""
    paint = 80 + int(rng.random() * 900)
    return {
        "EventType": "load",
        "LoadFirstPaintTime": paint,
        "LoadDomContentTime": paint + 120,
        "LoadLargestPaintTime": paint + 340,
        "LoadEventTime": paint + 560,
    }


def _target(rng: Random, name: str) -> dict[str, Any]:
    text, selector = rng.choice(words.LABELS)
    return {"EventType": name, "EventTargetText": text, "EventTargetSelector": selector}


def _click(rng: Random, name: str) -> Events:
    """Return a click, a series of them in rage, or one with the error that it made."""
    event, chance = _target(rng, name), rng.random()
    if chance < 0.02:
        clicks = range(1, rng.randrange(4, 8))
        return tuple(event | {"EventModFrustrated": number} for number in clicks)
    if chance < 0.08:
        return (event | {"EventModDead": 1},)
    if chance < 0.11:
        error = rng.randrange(1, 4)
        caused = ((), _console_message(rng, "console_message"), _exception(rng, "exception"))[error - 1]
        return (event | {"EventModError": error}, *caused)
    return (event,)


def _change(rng: Random, name: str) -> Events:
    event: dict[str, Any] = {"EventType": name, "EventTargetSelector": words.FIELD}
    event["EventTargetText"] = rng.choice(words.COMMENTS)
    if rng.random() < 0.02:
        kind = rng.randrange(len(words.ATTACKS))
        event |= {"EventTargetText": words.ATTACKS[kind], "EventModSuspicious": kind + 1}
    return (event,)


def _text(rng: Random, name: str) -> Events:
    return ({"EventType": name, "EventTargetText": rng.choice(words.COMMENTS)},)


def _abandon(_: Random, name: str) -> Events:
    return ({"EventType": name, "EventTargetSelector": words.FORM},)


def _seen(rng: Random, name: str) -> Events:
    text, selector = rng.choice(words.WATCHED)
    rendered = rng.randrange(100, 20_000)
    event = {"EventType": name, "EventTargetText": text, "EventTargetSelector": selector, "EventDuration": rendered}
    if rng.random() < 0.4:
        return (event | {"EventSubType": "rendered"},)
    return (event | {"EventSubType": "visible", "EventSecondaryDuration": rng.randrange(1, rendered)},)


def _console_message(rng: Random, name: str) -> Events:
    return ({"EventType": name, "EventSubType": "error", "EventTargetText": rng.choice(words.MESSAGES)},)


def _exception(rng: Random, name: str) -> Events:
    event = {"EventType": name, "EventSubType": "uncaught", "EventTargetText": rng.choice(words.EXCEPTIONS)}
    return (event | {"EventWebSourceFileUrl": f"{words.SITE}/static/app.js"},)


def _app_exception(rng: Random, name: str) -> Events:
    event = {"EventType": name, "EventSubType": "uncaught", "EventTargetText": rng.choice(words.APP_EXCEPTIONS)}
    return (event | {"EventMobileSourceFile": "CheckoutActivity.kt"},)


def _request(rng: Random, name: str) -> Events:
    method, path = rng.choice(words.CALLS)
    event = {"EventType": name, "ReqMethod": method, "ReqUrl": words.SITE + path}
    return (event | {"ReqStatus": rng.choice(words.STATUSES)},)


def _input_delay(rng: Random, name: str) -> Events:
    return ({"EventType": name, "EventFirstInputDelay": rng.randrange(1, 300)},)


def _layout_shift(rng: Random, name: str) -> Events:
    return ({"EventType": name, "EventCumulativeLayoutShift": round(rng.random() / 3, 4)},)


def _pinch(rng: Random, name: str) -> Events:
    return ({"EventType": name, "EventSubType": rng.choice(("pinch_scale_in", "pinch_scale_out"))},)


def _custom(rng: Random, name: str) -> Events:
    return ({"EventType": name, **(_order(rng) if rng.random() < 0.6 else _rating(rng))},)


def _order(rng: Random) -> dict[str, Any]:
    prices = [RawNumber(f"{rng.randrange(100, 20_000) / 100:.2f}") for _ in range(rng.randrange(1, 4))]
    return {
        "EventCustomName": "Order Completed",
        "evt_order.order_id_str": f"A-{rng.randrange(10**6):06}",
        "evt_order.total_real": RawNumber(f"{sum(map(float, prices)):.2f}"),
        "evt_order.prices_reals": prices,
        "evt_order.quantities_ints": [rng.randrange(1, 5) for _ in prices],
        "evt_order.gift_bool": rng.random() < 0.2,
        "evt_order.comment_str": rng.choice(words.COMMENTS),
    }


def _rating(rng: Random) -> dict[str, Any]:
    stars = rng.randrange(1, 6)
    return {"EventCustomName": "Rated", "evt_stars_int": stars, "evt_stars_str": "⭐" * stars}


def _custom_error(_: Random, name: str) -> Events:
    wrong = {"EventVarErrorKind": "type_mismatch", "EventVarFields": "order.total"}
    return ({"EventType": name, "EventCustomName": "Order Completed", **wrong},)


def _limit_reached(_: Random, name: str) -> Events:
    return ({"EventType": name, "EventVarErrorKind": "rate_limit"},)


def _plain(_: Random, name: str) -> Events:
    return ({"EventType": name},)


_WEB, _ANY = "desktop touch", "desktop touch app"
_KINDS: dict[str, tuple[int, str, Callable[[Random, str], Events]]] = {
    "click": (600, _ANY, _click),
    "request": (400, _WEB, _request),
    "navigate": (120, _WEB, _plain),
    "change": (160, _ANY, _change),
    "seen": (140, _ANY, _seen),
    "custom": (130, _ANY, _custom),
    "console_message": (90, _WEB, _console_message),
    "cumulative_layout_shift": (80, _WEB, _layout_shift),
    "first_input_delay": (80, _WEB, _input_delay),
    "highlight": (30, _WEB, _text),
    "copy": (30, _WEB, _text),
    "paste": (20, _WEB, _text),
    "exception": (20, _WEB, _exception),
    "thrash": (20, "desktop", _plain),
    "abandon": (20, _ANY, _abandon),
    "pinch_gesture": (20, "touch", _pinch),
    "custom_error": (8, _ANY, _custom_error),
    "click_error": (4, _ANY, _limit_reached),
    "seen_error": (4, _ANY, _limit_reached),
    "keyboard_open": (60, "app", _plain),
    "keyboard_close": (60, "app", _plain),
    "backgrounded": (40, "app", _plain),
    "low_memory": (6, "app", _plain),
    "crashed": (6, "app", _plain),
    "app exception": (12, "app", lambda rng, _: _app_exception(rng, "exception")),
}
