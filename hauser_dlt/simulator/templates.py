"""What can happen on a page: the part of an event that does not depend on who, where and when."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from hauser_dlt.simulator import words
from hauser_dlt.simulator.encoding import RawNumber


@cache
def templates() -> list[dict[str, Any]]:
    """Return some two thousand happenings, the frequent ones more often. The same in every account."""
    rng = Random("templates")
    return [{"EventType": name, **make(rng)} for name, (weight, make) in _KINDS.items() for _ in range(weight)]


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


def _click(rng: Random) -> dict[str, Any]:
    text, selector = rng.choice(words.LABELS)
    event: dict[str, Any] = {"EventTargetText": text, "EventTargetSelector": selector}
    for field, chance in (("EventModFrustrated", 0.04), ("EventModDead", 0.06), ("EventModError", 0.02)):
        if rng.random() < chance:
            event[field] = 1
    return event


def _change(rng: Random) -> dict[str, Any]:
    return {"EventTargetSelector": "form#profile input[name=city]", "EventTargetText": rng.choice(words.COMMENTS)}


def _thrash(rng: Random) -> dict[str, Any]:
    return {"EventSubType": "mouse", "EventModFrustrated": 1, "EventModSuspicious": int(rng.random() < 0.5)}


def _seen(rng: Random) -> dict[str, Any]:
    return {
        "EventCustomName": "Promo banner",
        "EventTargetSelector": "div.promo",
        "EventDuration": rng.randrange(100, 20_000),
        "EventSecondaryDuration": rng.randrange(100),
    }


def _message(rng: Random) -> dict[str, Any]:
    level, text = rng.choice(words.MESSAGES)
    return {"EventSubType": level, "EventTargetText": text, "EventWebSourceFileUrl": f"{words.SITE}/static/app.js"}


def _request(rng: Random) -> dict[str, Any]:
    method, path = rng.choice(words.CALLS)
    return {"ReqMethod": method, "ReqUrl": words.SITE + path, "ReqStatus": rng.choice(words.STATUSES)}


def _input_delay(rng: Random) -> dict[str, Any]:
    return {"EventFirstInputDelay": rng.randrange(1, 300)}


def _layout_shift(rng: Random) -> dict[str, Any]:
    return {"EventCumulativeLayoutShift": round(rng.random() / 3, 4)}


def _custom(rng: Random) -> dict[str, Any]:
    return _order(rng) if rng.random() < 0.6 else _rating(rng)


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


def _custom_error(_: Random) -> dict[str, Any]:
    return {"EventCustomName": "Order Completed", "EventVarErrorKind": "type_mismatch", "EventVarFields": "order.total"}


def _plain(_: Random) -> dict[str, Any]:
    return {}


_KINDS: dict[str, tuple[int, Callable[[Random], dict[str, Any]]]] = {
    "click": (620, _click),
    "request": (400, _request),
    "navigate": (180, _plain),
    "change": (160, _change),
    "seen": (140, _seen),
    "custom": (130, _custom),
    "console_message": (110, _message),
    "cumulative_layout_shift": (80, _layout_shift),
    "first_input_delay": (80, _input_delay),
    "highlight": (30, _plain),
    "copy": (30, _plain),
    "exception": (20, _message),
    "thrash": (20, _thrash),
    "abandon": (20, _change),
    "backgrounded": (20, _plain),
    "custom_error": (8, _custom_error),
}
