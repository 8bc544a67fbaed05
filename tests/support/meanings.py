"""A few events that have what FullStory documents and people get wrong: for those who count, each a trap.

Flags that are 0, running numbers, two users in sessions of one id, pages of one id in two sessions, exceptions that are
`uncaught`, elements that are `rendered` only, a `pageview` at the end, individuals that are linked after the export.
What FullStory means by its fields, its SDK says: `projects/sdk/src/segment-export.ts` in fullstory-anywhere-activation.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

Event = dict[str, Any]

SHOP = "https://shop.example"
PAGES = {  # (user, session, page): what all its events have
    (10, 1, 1): {"PageUrl": f"{SHOP}/products/tea?utm_source=mail&utm_campaign=may#top", "PageDuration": 60_000},
    (10, 1, 2): {"PageUrl": f"{SHOP}/cart", "PageDuration": 30_000, "PageRefererUrl": f"{SHOP}/products/tea"},
    (10, 2, 1): {"PageUrl": f"{SHOP}/?utm_source=mail&utm_campaign=may", "PageDuration": 5_000},
    (11, 1, 1): {"PageUrl": f"{SHOP}/checkout/thanks", "PageDuration": 7_000, "PageRefererUrl": "https://a.example/x"},
    (12, 1, 1): {"PageUrl": f"{SHOP}/products/tea", "PageDuration": 9_000, "PageRefererUrl": "https://a.example/y"},
    (13, 1, 1): {"PageUrl": f"{SHOP}/help", "PageDuration": 2_000},
    (14, 5, 1): {"PageUrl": f"{SHOP}/help", "PageDuration": 3_000},
    (11, 1, 2): {"PageUrl": f"{SHOP}/cart", "PageDuration": 4_000},
    (11, 3, 1): {"PageUrl": f"{SHOP}/", "PageDuration": 1_000},
    (12, 2, 1): {"PageUrl": f"{SHOP}/", "PageDuration": 1_000},
    (13, 2, 1): {"PageUrl": f"{SHOP}/help", "PageDuration": 1_000},
}
ADA, LEFT, STALE = (
    500,
    100,
    300,
)  # an individual; what a browser was before it became hers; what another one is said to be
BROWSERS = {11: (110, ""), 12: (STALE, "ada"), 13: (130, ""), 14: (ADA, "")}
NOTHING = {"EventModFrustrated": 0, "EventModDead": 0, "EventModError": 0, "EventModSuspicious": 0}

FIRST_DAY: list[tuple[tuple[int, int, int], str, Event]] = [
    ((10, 1, 1), "navigate", {"EventSubType": "navigate", "PageMaxScrollDepthPercent": 20}),
    ((10, 1, 1), "load", {"LoadLargestPaintTime": 1200, "LoadEventTime": 1500, "LoadFirstPaintTime": 300}),
    ((10, 1, 1), "cumulative_layout_shift", {"EventCumulativeLayoutShift": 0.05}),
    ((10, 1, 1), "cumulative_layout_shift", {"EventCumulativeLayoutShift": 0.25}),
    ((10, 1, 1), "first_input_delay", {"EventFirstInputDelay": 40}),
    *(((10, 1, 1), "click", NOTHING | {"EventModFrustrated": n, "EventTargetSelector": "#buy"}) for n in (1, 2, 3, 4)),
    ((10, 1, 1), "click", NOTHING | {"EventModFrustrated": 1, "EventTargetSelector": "#buy"}),
    ((10, 1, 1), "click", NOTHING | {"EventModFrustrated": 2, "EventTargetSelector": "#sell"}),
    ((10, 1, 1), "click", NOTHING | {"EventModDead": 1, "EventTargetSelector": "#logo"}),
    ((10, 1, 1), "click", NOTHING | {"EventModError": 1, "EventTargetSelector": "#logo"}),
    ((10, 1, 1), "click", NOTHING | {"EventModError": 2, "EventModDead": 1, "EventTargetSelector": "#logo"}),
    ((10, 1, 1), "click", NOTHING | {"EventModError": 3, "EventTargetSelector": "#logo"}),
    ((10, 1, 1), "click", {"EventTargetSelector": "#logo"}),
    ((10, 1, 1), "change", {"EventModSuspicious": 1, "EventTargetSelector": "#name"}),
    ((10, 1, 1), "change", {"EventModSuspicious": 0, "EventTargetSelector": "#name"}),
    ((10, 1, 1), "console_message", {"EventSubType": "error", "EventTargetText": "no tea\nat all"}),
    ((10, 1, 1), "console_message", {"EventSubType": "error", "EventTargetText": "no tea\nleft"}),
    ((10, 1, 1), "exception", {"EventSubType": "uncaught", "EventTargetText": "tea is null"}),
    ((10, 1, 1), "exception", {"EventSubType": "uncaught", "EventTargetText": "no tea"}),
    ((10, 1, 1), "seen", {"EventSubType": "rendered", "EventDuration": 8000, "EventTargetSelector": "#promo"}),
    (
        (10, 1, 1),
        "seen",
        {
            "EventSubType": "visible",
            "EventDuration": 5000,
            "EventSecondaryDuration": 900,
            "EventTargetSelector": "#promo",
        },
    ),
    ((10, 1, 1), "custom", {"EventCustomName": "Order Completed", "evt_order.total_real": 12.5}),
    ((10, 1, 1), "custom_error", {"EventCustomName": "Order Completed", "EventVarErrorKind": "too_many"}),
    ((10, 1, 1), "click_error", {}),
    ((10, 1, 1), "seen_error", {}),
    ((10, 1, 1), "thrash", {}),
    ((10, 1, 1), "request", {"ReqMethod": "GET", "ReqUrl": f"{SHOP}/api/tea?id=1", "ReqStatus": 500}),
    ((10, 1, 1), "navigate", {"EventSubType": "navigate", "PageMaxScrollDepthPercent": 90}),
    ((10, 1, 1), "pageview", {}),
    ((10, 1, 2), "navigate", {"EventSubType": "reload"}),
    ((10, 1, 2), "navigate", {"EventSubType": "back_forward", "EventModSuspicious": 2}),
    ((10, 1, 2), "pageview", {}),
    # the next user's session has the same id, and so has the page; the series of clicks began before
    *(((11, 1, 1), "click", NOTHING | {"EventModFrustrated": n, "EventTargetSelector": "#late"}) for n in (4, 5)),
    *(((11, 1, 1), "click", NOTHING | {"EventTargetSelector": "#calm"}) for _ in range(80)),
    ((11, 1, 1), "navigate", {"EventSubType": "reload", "PageMaxScrollDepthPercent": 10}),
    ((11, 1, 2), "navigate", {"EventSubType": "navigate"}),
    ((11, 1, 1), "cumulative_layout_shift", {"EventCumulativeLayoutShift": 0.1}),  # the last score that is good
    ((11, 1, 1), "request", {"ReqMethod": "GET", "ReqUrl": f"{SHOP}/api/tea?id=2", "ReqStatus": 500}),
    ((11, 1, 1), "pageview", {}),
]
LATER: dict[int, list[tuple[tuple[int, int, int], str, Event]]] = {  # day -> what happened then
    1: [
        ((10, 2, 1), "navigate", {"EventSubType": "navigate"}),
        ((10, 2, 1), "thrash", {"EventModFrustrated": 0}),
        ((10, 2, 1), "pageview", {}),
        ((12, 1, 1), "click", NOTHING),
        ((13, 1, 1), "navigate", {"EventSubType": "navigate"}),
        ((14, 5, 1), "click", NOTHING),
    ],
    8: [((13, 2, 1), "click", NOTHING), ((11, 3, 1), "click", NOTHING), ((12, 2, 1), "click", NOTHING)],
}


def handmade(start: datetime, *, first_day_last: bool = True) -> Iterator[Event]:
    """Yield the events from a day on, as FullStory exports them if it exports the first day last, or in their order."""
    first, then = {10: (ADA, "ada")}, {10: (LEFT, "")}
    if not first_day_last:
        first, then = then, first
    yield from _of_day(start, FIRST_DAY, BROWSERS | first)
    for day, happened in LATER.items():
        yield from _of_day(start + timedelta(days=day), happened, BROWSERS | then)


def _of_day(midnight: datetime, happened: list[tuple[tuple[int, int, int], str, Event]], who: Any) -> Iterator[Event]:
    infos: dict[tuple[int, int, int], int] = {}
    for number, (key, kind, fields) in enumerate(happened):
        user, session, page = key
        infos[key] = infos.get(key, -1) + 1  # a running total: none at first
        yield {
            "IndvId": who[user][0],
            "UserId": user,
            "SessionId": session,
            "PageId": page,
            "UserAppKey": who[user][1],
            "UserEmail": f"{who[user][1]}@example.com" if who[user][1] else "",
            "EventStart": f"{midnight + timedelta(hours=10, seconds=30 * number):%Y-%m-%dT%H:%M:%SZ}",
            "EventType": kind,
            "PageStart": f"{midnight + timedelta(hours=9, minutes=page):%Y-%m-%dT%H:%M:%SZ}",
            "PageActiveDuration": PAGES[key]["PageDuration"] // 2,
            "PageBrowser": "Firefox",
            "PageDevice": "Desktop",
            "PageIp": f"192.0.2.{user}",
            "PageNumInfos": infos[key],
            "PageNumErrors": infos[key] // 2,
            "PageNumWarnings": 0,
            "user_plan_str": "m\0ay",  # with NULs, which no database takes in text
            "user_interests_strs": ["t\0ea", f"cup {user}"],
            "user_\0note_str": "a\0b \\u0000",
            **PAGES[key],
            **fields,
        }
