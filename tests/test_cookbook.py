"""Each recipe of docs/cookbook.md: on DuckDB and on Postgres, with the same answer, and some with one known before."""

import math
from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

import duckdb
import psycopg2
import pytest
from pages import ROOT, blocks
from targets import HOUR, MIDNIGHT

from hauser_dlt.configuration import Configuration, configure, read_run, read_source
from hauser_dlt.progress import Progress
from hauser_dlt.simulator import Account, Simulator
from hauser_dlt.sync import Sync
from hauser_dlt.windows import DAY

DAYS = 2
END = MIDNIGHT + DAYS * DAY
SCHEMA = "cookbook"


def recipes():
    """Yield (where it stands, DuckDB's SQL, Postgres's): a block that is shown only is Postgres's for the one above."""
    found = [block for block in blocks(ROOT / "docs" / "cookbook.md") if block.language == "sql"]
    for block, following in pairwise([*found, None]):
        if not block.not_run:
            other = following if following and following.not_run else block
            yield pytest.param(block.text, other.text, id=block.place)


@pytest.fixture(scope="module")
def account():
    return Account(events_per_hour=60)


@pytest.fixture(scope="module")
def events(account):
    return list(account.events(MIDNIGHT, END))


@pytest.fixture(scope="module")
def places(account, server, tmp_path_factory):
    """Two days, loaded into DuckDB and into Postgres."""
    folder = tmp_path_factory.mktemp("cookbook")
    found = {"duckdb": str(folder / "events.duckdb"), "postgres": server.dsn()}
    with Simulator(account) as simulator:
        for destination, credentials in found.items():
            source = {"api_token": simulator.token, "base_url": simulator.url, "export_duration": "6h"}
            run = {"destination": destination, "dataset_name": SCHEMA, "working_dir": str(folder / destination)}
            where = {destination: {"credentials": credentials}}
            configure({"sources": {"fullstory": source}, "hauser": run, "destination": where})
            with Sync.open(Configuration(read_source(), read_run()), lambda _: None) as sync:
                sync.run(sync.plan(END + DAY, MIDNIGHT, END), Progress(as_json=True))
    return found


@pytest.fixture
def in_duckdb(places):
    def ask(sql):
        with duckdb.connect(places["duckdb"]) as connection:
            connection.execute(f"SET TimeZone = 'UTC'; SET search_path = '{SCHEMA}'")
            return connection.execute(sql).fetchall()

    return ask


@pytest.fixture
def in_postgres(places):
    def ask(sql):
        connection = psycopg2.connect(places["postgres"], options=f"-csearch_path={SCHEMA} -ctimezone=UTC")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()
        finally:
            connection.close()

    return ask


def plain(rows):
    """Rows with numbers of one type, for databases differ in those of sums and means: whole ones, or nine digits."""

    def number(value):
        return int(value) if value == int(value) else float(f"{value:.9g}")

    return [[number(v) if isinstance(v, int | float | Decimal) else v for v in row] for row in rows]


@pytest.mark.parametrize(("sql", "in_postgres_sql"), recipes())
def test_a_recipe_gives_the_same_answer_in_duckdb_and_in_postgres(sql, in_postgres_sql, in_duckdb, in_postgres):
    answer = in_duckdb(sql)
    assert answer
    assert any(value is not None for row in answer for value in row)
    if "data_type" in sql:  # each has names of its own for types
        return
    assert plain(answer) == plain(in_postgres(in_postgres_sql))


@pytest.fixture
def answers(in_duckdb):
    """What a recipe answers, found by a piece of its SQL."""

    def find(piece):
        (sql,) = [recipe.values[0] for recipe in recipes() if piece in recipe.values[0]]
        return in_duckdb(sql)

    return find


def start(event):
    return datetime.fromisoformat(event["EventStart"])


def page(event):
    return event["PageUrl"].split("?")[0]


def percentile(values, share):
    """Linear between the two nearest ranks, as SQL defines percentile_cont."""
    ordered, at = sorted(values), share * (len(values) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))


def test_days_are_counted_as_they_were_sent(events, answers):
    days = defaultdict(list)
    for event in events:
        days[start(event).date()].append(event)
    assert answers(
        'AS sessions,\n       count(DISTINCT "UserId") AS users\nFROM fs_export\nGROUP BY 1\nORDER BY 1'
    ) == [
        (day, len(found), len({e["SessionId"] for e in found}), len({e["UserId"] for e in found}))
        for day, found in sorted(days.items())
    ]


def test_the_funnel_counts_steps_in_their_order(events, answers):
    reached = Counter()
    sessions = defaultdict(list)
    for event in events:
        sessions[event["SessionId"]].append(event)
    for happened in sessions.values():
        since = MIDNIGHT - HOUR
        for step in ("/products/", "/cart", "/checkout/thanks"):
            times = [start(e) for e in happened if step in e["PageUrl"] and start(e) > since]
            if not times:
                break
            since = min(times)
            reached[step] += 1
    assert answers("then_paid") == [(len(sessions), *reached.values())]
    assert min(reached.values()) > 0


def test_rage_clicks_are_those_of_clicks_alone(events, answers):
    rage = Counter(
        e["EventTargetSelector"] for e in events if e["EventType"] == "click" and e.get("EventModFrustrated")
    )
    assert {selector: clicks for selector, clicks, _ in answers("AS rage_clicks")} == rage


def test_web_vitals_are_percentiles_of_what_was_measured(events, answers):
    fields = ("LoadLargestPaintTime", "EventFirstInputDelay", "EventCumulativeLayoutShift")
    measured = defaultdict(lambda: {field: [] for field in fields})
    for event in events:
        for field in fields:
            if field in event:
                measured[page(event)][field].append(float(event[field]))
    found = {name: values for name, *values in answers("AS lcp")}
    assert found == {
        name: [pytest.approx(percentile(values[field], 0.75)) for field in fields] for name, values in measured.items()
    }


def test_the_turnover_is_exact(events, answers):
    turnover = defaultdict(Decimal)
    for event in events:
        if event["EventType"] == "custom" and event["EventCustomName"] == "Order Completed":
            turnover[start(event).date()] += Decimal(str(event["evt_order.total_real"]))
    assert {day: total for day, _, total in answers("AS turnover")} == turnover


def test_users_are_counted_by_plan(events, answers):
    users = defaultdict(set)
    for event in events:
        if "user_plan_str" in event:
            users[event["user_plan_str"]].add(event["UserId"])
    assert dict(answers("AS plan")) == {plan: len(found) for plan, found in users.items()}


def test_active_time_is_counted_once_a_page(events, answers):
    pages = {event["PageId"]: event["PageActiveDuration"] for event in events}
    hours = sum(pages.values()) / 3_600_000
    assert sum(float(active) for _, active in answers("AS active_hours")) == pytest.approx(hours)


def test_campaigns_and_referrers_are_found_in_addresses(events, answers):
    landed = {event["SessionId"] for event in events if "utm_source=newsletter" in event["PageUrl"]}
    assert answers("AS campaign") == [("newsletter", "spring", len(landed))]
    assert {site for site, _ in answers("AS referrer")} == {"www.google.com", "news.example.org"}


def test_no_window_has_more_or_fewer_events_than_it_says(answers):
    assert answers("AS wrong") == [(4 * DAYS, 0)]
