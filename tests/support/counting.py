"""The cookbook's questions, answered by slow counting: the first words above a recipe -> its rows, in any order.

Times are `datetime`s in UTC, and every number is exact where SQL's is. What FullStory means by its fields is written
here a second time, by its documentation and not by the cookbook.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

Event = dict[str, Any]
Rows = Iterable[tuple[Any, ...]]

ANSWERS: dict[str, Callable[[list[Event]], Rows]] = {}


def answers(title: str) -> Callable[[Callable[[list[Event]], Rows]], Callable[[list[Event]], Rows]]:
    def register(count: Callable[[list[Event]], Rows]) -> Callable[[list[Event]], Rows]:
        ANSWERS[title] = count
        return count

    return register


def start(event: Event) -> datetime:
    return datetime.fromisoformat(event["EventStart"])


def day(event: Event) -> date:
    return start(event).date()


def bare(event: Event) -> str:
    return event["PageUrl"].split("?")[0]


def session(event: Event) -> tuple[int, int]:
    return event["UserId"], event["SessionId"]


def page(event: Event) -> tuple[int, int, int]:
    return event["UserId"], event["SessionId"], event["PageId"]


def grouped(events: Iterable[Event], key: Callable[[Event], Any]) -> dict[Any, list[Event]]:
    groups = defaultdict(list)
    for event in events:
        groups[key(event)].append(event)
    return groups


def of(events: Iterable[Event], *kinds: str) -> list[Event]:
    return [event for event in events if event["EventType"] in kinds]


def sessions(events: Iterable[Event]) -> int:
    return len({session(event) for event in events})


def users(events: Iterable[Event]) -> int:
    return len({event["IndvId"] for event in events})


def positive(event: Event, *flags: str) -> bool:
    return any(event.get(flag, 0) > 0 for flag in flags)


def maximum(events: Iterable[Event], field: str) -> Any:
    return max((event[field] for event in events if field in event), default=None)


def mean(values: list[float]) -> float | None:
    return math.floor(sum(values) / len(values) + 0.5) if values else None


def percentile(values: list[float], share: float) -> float | None:
    """Linear between the two nearest ranks, as SQL defines percentile_cont."""
    if not values:
        return None
    ordered, at = sorted(map(float, values)), share * (len(values) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))


@answers("Events, sessions and users per day:")
def _(events: list[Event]) -> Rows:
    for when, found in grouped(events, day).items():
        yield when, len(found), sessions(found), users(found)


@answers("One row a session")
def _(events: list[Event]) -> Rows:
    rows = []
    for (user, number), found in grouped(events, session).items():
        times = [start(event) for event in found]
        seconds = (max(times) - min(times)).total_seconds()
        rows.append((user, number, min(times), seconds, len({page(e) for e in found}), len(found)))
    return sorted(rows, key=lambda row: (-row[3], row[:2]))[:20]


@answers("How long sessions last")
def _(events: list[Event]) -> Rows:
    lengths = defaultdict(list)
    for found in grouped(events, session).values():
        times = [start(event) for event in found]
        lengths[found[0]["PageDevice"]].append((max(times) - min(times)).total_seconds())
    for device, seconds in lengths.items():
        yield device, len(seconds), percentile(seconds, 0.5), percentile(seconds, 0.9)


@answers("Active time per day")
def _(events: list[Event]) -> Rows:
    active = Counter()
    for found in grouped(events, page).values():
        active[min(map(day, found))] += maximum(found, "PageActiveDuration")
    return [(when, total / 3_600_000) for when, total in active.items()]


@answers("When are people there?")
def _(events: list[Event]) -> Rows:
    hours = Counter((start(event).isoweekday() % 7, start(event).hour) for event in events)
    return [(*when, count) for when, count in hours.items()]


@answers("Browsers and devices:")
def _(events: list[Event]) -> Rows:
    for (device, browser), found in grouped(events, lambda e: (e["PageDevice"], e["PageBrowser"])).items():
        yield device, browser, sessions(found)


@answers("The most viewed pages")
def _(events: list[Event]) -> Rows:
    rows = [(url, len({page(e) for e in found}), sessions(found)) for url, found in grouped(events, bare).items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:20]


@answers("Where do sessions begin?")
def _(events: list[Event]) -> Rows:
    begun, left = Counter(), Counter()
    for found in grouped(events, session).values():
        first = min(found, key=lambda e: (datetime.fromisoformat(e["PageStart"]), e["PageId"]))
        begun[bare(first)] += 1
        left[bare(first)] += len({page(e) for e in found}) == 1
    return [(url, count, left[url]) for url, count in begun.items()]


@answers("How far do people scroll?")
def _(events: list[Event]) -> Rows:
    depths = defaultdict(list)
    for found in grouped(events, page).values():
        depths[bare(found[0])].append(maximum(found, "PageMaxScrollDepthPercent"))
    for url, all_depths in depths.items():
        known = [depth for depth in all_depths if depth is not None]
        yield url, len(known), mean(known)


@answers("How do people get to a page")
def _(events: list[Event]) -> Rows:
    for url, found in grouped(of(events, "navigate"), bare).items():
        reasons = Counter(event.get("EventSubType") for event in found)
        yield url, *(reasons[reason] for reason in ("navigate", "reload", "back_forward"))


@answers("A funnel")
def _(events: list[Event]) -> Rows:
    reached = Counter()
    for found in grouped(events, session).values():
        since = min(map(start, found)) - timedelta(days=1)
        for step in ("/products/", "/cart", "/checkout/thanks"):
            times = [start(e) for e in found if _matches(e["PageUrl"], step) and start(e) > since]
            if not times:
                break
            since = min(times)
            reached[step] += 1
    yield sessions(events), reached["/products/"], reached["/cart"], reached["/checkout/thanks"]


def _matches(url: str, step: str) -> bool:
    return step in url if step.endswith("/") else url.endswith(step)


@answers("Rage by what was clicked")
def _(events: list[Event]) -> Rows:
    rage = [event for event in of(events, "click") if positive(event, "EventModFrustrated")]
    rows = []
    for selector, found in grouped(rage, lambda e: e.get("EventTargetSelector")).items():
        rows.append((selector, sum(e["EventModFrustrated"] == 1 for e in found), len(found), users(found)))
    return sorted(rows, key=lambda row: (-row[1], -row[2], row[0]))[:20]


@answers("Dead clicks (nothing happens)")
def _(events: list[Event]) -> Rows:
    for url, found in grouped(of(events, "click"), bare).items():
        dead, errors = (sum(positive(e, flag) for e in found) for flag in ("EventModDead", "EventModError"))
        if dead or errors:
            kinds = Counter(event.get("EventModError") for event in found)
            yield url, len(found), dead, errors, kinds[2], kinds[3]


@answers("Where do people thrash the mouse")
def _(events: list[Event]) -> Rows:
    for url, found in grouped(of(events, "thrash"), bare).items():
        yield url, len(found), sessions(found)


@answers("In which browsers does it hurt?")
def _(events: list[Event]) -> Rows:
    trouble = defaultdict(list)
    for found in grouped(events, session).values():
        flags = ("EventModFrustrated", "EventModDead", "EventModError")
        trouble[found[0]["PageBrowser"]].append(any(positive(event, *flags) for event in found))
    for browser, found in trouble.items():
        yield browser, len(found), 100 * sum(found) / len(found)


@answers("The session to look at first")
def _(events: list[Event]) -> Rows:
    rage = Counter(session(event) for event in events if positive(event, "EventModFrustrated"))
    worst = min(rage, key=lambda key: (-rage[key], key))
    fields = ("EventType", "EventTargetSelector", "EventModFrustrated", "PageUrl")
    return [(start(event), *map(event.get, fields)) for event in events if session(event) == worst]


@answers("Attacks that were attempted")
def _(events: list[Event]) -> Rows:
    kinds = {1: "SQL injection", 2: "cross-site scripting"}
    attacks = [event for event in events if positive(event, "EventModSuspicious")]
    for (kind, url), found in grouped(attacks, lambda e: (kinds[e["EventModSuspicious"]], bare(e))).items():
        yield kind, url, len(found), sessions(found), len({event["PageIp"] for event in found})


@answers("Web vitals by page")
def _(events: list[Event]) -> Rows:
    measured = defaultdict(lambda: ([], [], []))
    for found in grouped(events, page).values():
        lcp, cls = (maximum(found, field) for field in ("LoadLargestPaintTime", "EventCumulativeLayoutShift"))
        fid = min((e["EventFirstInputDelay"] for e in found if "EventFirstInputDelay" in e), default=None)
        for measures, measure in zip(measured[bare(found[0])], (lcp, fid, cls), strict=True):
            measures.extend([] if measure is None else [measure])
    return [(url, *(percentile(measures, 0.75) for measures in three)) for url, three in measured.items()]


@answers("How many page loads are good")
def _(events: list[Event]) -> Rows:
    for device, found in grouped(of(events, "load"), lambda e: e["PageDevice"]).items():
        paints = [event["LoadLargestPaintTime"] for event in found if "LoadLargestPaintTime" in event]
        yield device, len(paints), sum(paint <= 2500 for paint in paints), sum(paint > 4000 for paint in paints)


@answers("The slowest page loads")
def _(events: list[Event]) -> Rows:
    loads = [event for event in events if "LoadEventTime" in event]
    loads.sort(key=lambda event: (-event["LoadEventTime"], start(event), session(event)))
    fields = ("PageUrl", "LoadEventTime", "LoadFirstPaintTime", "PageBrowser", "UserId", "SessionId")
    return [(start(event), *map(event.get, fields)) for event in loads[:20]]


def mistakes(events: list[Event]) -> list[Event]:
    logged = [event for event in of(events, "console_message") if event.get("EventSubType") == "error"]
    return of(events, "exception") + logged


@answers("Errors by page")
def _(events: list[Event]) -> Rows:
    for url, found in grouped(mistakes(events), bare).items():
        yield url, len(of(found, "exception")), len(of(found, "console_message")), sessions(found)


@answers("The most frequent messages")
def _(events: list[Event]) -> Rows:
    def message(event: Event) -> tuple[Any, ...]:
        return event["EventTargetText"].split("\n")[0], event["EventType"], event.get("EventWebSourceFileUrl")

    rows = [(*key, len(found), users(found)) for key, found in grouped(mistakes(events), message).items()]
    assert len(rows) <= 20
    return rows


@answers("How much do pages write to the console?")
def _(events: list[Event]) -> Rows:
    fields = ("PageNumInfos", "PageNumWarnings", "PageNumErrors")
    views = defaultdict(list)
    for found in grouped(events, page).values():
        views[bare(found[0])].append([maximum(found, field) or 0 for field in fields])
    return [(url, len(found), *map(sum, zip(*found, strict=True))) for url, found in views.items()]


@answers("Requests that failed")
def _(events: list[Event]) -> Rows:
    def request(event: Event) -> tuple[Any, ...]:
        return event["ReqMethod"], event["ReqUrl"].split("?")[0], event["ReqStatus"]

    failed = (event for event in events if event.get("ReqStatus", 0) >= 400)
    return [(*key, len(found), sessions(found)) for key, found in grouped(failed, request).items()]


@answers("What FullStory could not take")
def _(events: list[Event]) -> Rows:
    fields = ("EventType", "EventCustomName", "EventVarFields", "EventVarErrorKind")
    refused = of(events, "custom_error", "click_error", "seen_error")
    return [(*key, n) for key, n in Counter(tuple(map(event.get, fields)) for event in refused).items()]


@answers("Sites that send visitors")
def _(events: list[Event]) -> Rows:
    def sites(event: Event) -> tuple[str, str]:
        urls = event.get("PageRefererUrl", ""), event["PageUrl"]
        came, here = (url.partition("://")[2].split("/")[0] for url in urls)
        return came, here

    sent = [event for event in events if sites(event)[0] not in ("", sites(event)[1])]
    return [(site, sessions(found)) for site, found in grouped(sent, lambda e: sites(e)[0]).items()]


@answers("Campaigns")
def _(events: list[Event]) -> Rows:
    def parameter(event: Event, name: str) -> str:
        return event["PageUrl"].partition(f"{name}=")[2].split("&")[0].split("#")[0]

    def campaign(event: Event) -> tuple[str, str]:
        return parameter(event, "utm_source"), parameter(event, "utm_campaign")

    return [(*key, sessions(found)) for key, found in grouped(events, campaign).items() if key[0]]


@answers("Users by plan:")
def _(events: list[Event]) -> Rows:
    planned = [event for event in events if "user_plan_str" in event]
    return [(plan, users(found)) for plan, found in grouped(planned, lambda e: e["user_plan_str"]).items()]


@answers("Orders and turnover per day")
def _(events: list[Event]) -> Rows:
    orders = [event for event in of(events, "custom") if event["EventCustomName"] == "Order Completed"]
    for when, found in grouped(orders, day).items():
        yield when, len(found), sum(Decimal(str(event["evt_order.total_real"])) for event in found)


@answers("Which variables are there at all")
def _(events: list[Event]) -> Rows:
    return Counter(name for event in events for name in event if name.startswith(("user_", "evt_", "page_"))).items()


@answers("A list, one row for each of its items")
def _(events: list[Event]) -> Rows:
    interests = defaultdict(set)
    for event in events:
        for interest in event.get("user_interests_strs", ()):
            interests[interest].add(event["IndvId"])
    return [(interest, len(found)) for interest, found in interests.items()]


def linked(events: list[Event]) -> dict[int, tuple[int, str]]:
    """Return the individual and the app key ("" without one) behind each browser, by what was exported last."""
    newest = {}
    for event in sorted(events, key=lambda e: (e.get("_exported", 0), start(e), e["IndvId"])):
        newest.pop(event["UserId"], None)
        newest[event["UserId"]] = event["IndvId"]
    named = sorted((event["UserAppKey"], newest[event["UserId"]]) for event in events if event.get("UserAppKey"))
    keys = {individual: key for key, individual in named}
    of_key = {
        keys[individual]: individual for individual in newest.values() if individual in keys
    }  # the last one stays
    return {
        user: (of_key.get(keys.get(individual), individual), keys.get(individual, ""))
        for user, individual in newest.items()
    }


def people(events: list[Event]) -> dict[int, str]:
    """Return who is behind each browser: an app key, or an anonymous individual."""
    return {user: key or f"anonymous {individual}" for user, (individual, key) in linked(events).items()}


@answers("Users per day, as FullStory's app counts them")
def _(events: list[Event]) -> Rows:
    who = people(events)
    for when, found in grouped(events, day).items():
        there = {who[event["UserId"]] for event in found}
        anonymous = sum(person.startswith("anonymous ") for person in there)
        yield when, len(there), len(there) - anonymous, anonymous


@answers("Who comes back in the weeks")
def _(events: list[Event]) -> Rows:
    who, weeks = people(events), defaultdict(set)
    for event in events:
        weeks[who[event["UserId"]]].add(day(event) - timedelta(days=day(event).weekday()))
    cohorts = Counter(min(found) for found in weeks.values())
    came = Counter((min(found), (week - min(found)).days // 7) for found in weeks.values() for week in found)
    return [(week, later, n, math.floor(100 * n / cohorts[week] + 0.5)) for (week, later), n in came.items()]


@answers("Who comes back on the next day?")
def _(events: list[Event]) -> Rows:
    who, there = people(events), defaultdict(set)
    for event in events:
        there[day(event)].add(who[event["UserId"]])
    return [
        (when, len(found), len(found & there.get(when + timedelta(days=1), set()))) for when, found in there.items()
    ]


@answers("The newest id and address of each user")
def _(events: list[Event]) -> Rows:
    for key, found in grouped(events, lambda e: e.get("UserAppKey")).items():
        if key:
            newest = max(found, key=lambda e: (e["_exported"], start(e), e["IndvId"]))
            yield key, newest["IndvId"], newest["UserEmail"], max(map(start, found))


@answers("How a person's identities change over time")
def _(events: list[Event]) -> Rows:
    identity = ("IndvId", "UserId", "UserAppKey")
    for key, found in grouped(events, lambda e: tuple(map(e.get, identity))).items():
        yield *key, min(map(start, found)), max(map(start, found)), sessions(found)


@answers("Form fields")
def _(events: list[Event]) -> Rows:
    for field, found in grouped(of(events, "change", "abandon"), lambda e: e.get("EventTargetSelector")).items():
        yield field, len(of(found, "change")), len(of(found, "abandon"))


@answers("Elements that you have FullStory watch")
def _(events: list[Event]) -> Rows:
    for element, found in grouped(of(events, "seen"), lambda e: e.get("EventTargetSelector")).items():
        visible = [event for event in found if event.get("EventSubType") != "rendered"]
        rendered = [event["EventDuration"] for event in found if "EventDuration" in event]
        shown = [event["EventSecondaryDuration"] for event in visible if "EventSecondaryDuration" in event]
        yield element, len(found), len(visible), mean(rendered), mean(shown)


@answers("While a load is under way")
def _(events: list[Event]) -> Iterator[tuple[int]]:
    yield (len(events),)
