"""Each recipe of docs/cookbook.md, on DuckDB and on Postgres, answers as slow counting does, on events with traps."""

import re
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import duckdb
import psycopg2
import pytest

from hauser_dlt import demo
from hauser_dlt.config.configuration import configure, read_configuration
from hauser_dlt.reports.progress import Progress
from hauser_dlt.simulator import Account, Simulator
from hauser_dlt.sync import Sync
from hauser_dlt.windows import DAY, Window
from support import counting, meanings
from support.destinations import MIDNIGHT
from support.doc_runner import ROOT, blocks

START = MIDNIGHT + 4 * DAY  # a Sunday: the hand-made events are in three weeks
BUSY = START + 2 * DAY  # until then, the simulator adds its own
LOADED = [Window(START + number * DAY, START + (number + 1) * DAY) for number in (0, 1, 8)]
NOW = LOADED[-1].end + DAY
SCHEMA = "cookbook"
PAGE = ROOT / "docs" / "cookbook.md"


def title(block):
    """Return the paragraph above a block, in one line."""
    above = "\n".join(PAGE.read_text().split("\n")[: block.line - 1]).rstrip()
    return " ".join(above.rpartition("\n\n")[2].split())


def recipes():
    """Yield (title, DuckDB's SQL, Postgres's): a block that is shown only is Postgres's for the one above."""
    found = [block for block in blocks(PAGE) if block.language == "sql"]
    for block, following in pairwise([*found, None]):
        if not block.not_run:
            other = following if following and following.not_run else block
            yield title(block), block.text, other.text


RECIPES = {name: sqls for name, *sqls in recipes()}


@pytest.fixture(scope="module")
def events():
    """All events, with a number that grows with the export that brought them: the first day is exported again."""
    account = Account(events_per_hour=40, zeros=True, shared_ids=True)
    made = [*account.events(START, BUSY), *meanings.handmade(START)]
    return [event | {"_exported": int(counting.start(event) < START + DAY)} for event in made]


@pytest.fixture(scope="module")
def places(events, server, tmp_path_factory):
    """The events, loaded into DuckDB and into Postgres."""
    folder = tmp_path_factory.mktemp("cookbook")
    found = {"duckdb": str(folder / "events.duckdb"), "postgres": server.dsn()}
    for destination, credentials in found.items():
        where = {destination: {"credentials": credentials}}
        load(events, folder / destination, {"hauser": {"destination": destination}, "destination": where})
    return found


@pytest.fixture(scope="module")
def snowflake(events, snowflake_server, tmp_path_factory):
    """The events, loaded into Snowflake's emulator."""
    from support.snowflake import SnowflakeTarget  # noqa: PLC0415 - its driver takes a while

    folder = tmp_path_factory.mktemp("snowflake")
    target = SnowflakeTarget("snowflake", folder, SCHEMA, server=snowflake_server)
    load(events, folder / "work", target.settings())
    return target


def load(events, folder, settings):
    with Simulator() as simulator:
        simulator.events = lambda start, end: (
            {name: value for name, value in event.items() if name != "_exported"}
            for event in events
            if start <= counting.start(event) < end
        )
        source = {"api_token": simulator.token, "base_url": simulator.url, "export_duration": "24h"}
        run = settings["hauser"] | {"dataset_name": SCHEMA, "working_dir": str(folder)}
        configure({**settings, "sources": {"fullstory": source}, "hauser": run})
        with Sync.open(read_configuration(), lambda _: None) as sync:
            for window in LOADED:
                sync.run(sync.plan(NOW, window.start, window.end), Progress(as_json=True))
            sync.run(sync.plan_reload(NOW, LOADED[0]), Progress(as_json=True))


def in_duckdb(places, sql):
    with duckdb.connect(places["duckdb"]) as connection:
        connection.execute(f"SET TimeZone = 'UTC'; SET search_path = '{SCHEMA}'")
        return connection.execute(sql).fetchall()


def in_postgres(places, sql):
    connection = psycopg2.connect(places["postgres"], options=f"-csearch_path={SCHEMA} -ctimezone=UTC")
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()
    finally:
        connection.close()


ASK = {"duckdb": in_duckdb, "postgres": in_postgres}


def plain(rows):
    """Rows with numbers and times of one type: databases differ in those of sums and means. Whole, or nine digits."""

    def value(found):
        if isinstance(found, int | float | Decimal):
            return int(found) if found == int(found) else float(f"{found:.9g}")
        return found.astimezone(UTC) if isinstance(found, datetime) else found

    return [tuple(map(value, row)) for row in rows]


def expected(name, events):
    """Return what slow counting answers; NULs are not loaded."""
    (count,) = [count for begin, count in counting.ANSWERS.items() if name.startswith(begin)]
    return Counter(plain(count([without_nul(event) for event in events])))


def without_nul(value):
    if isinstance(value, dict):
        return {without_nul(name): without_nul(item) for name, item in value.items()}
    if isinstance(value, list):
        return list(map(without_nul, value))
    return value.replace("\0", "") if isinstance(value, str) else value


@counting.answers("How far are we?")
def _(events):
    yield LOADED[-1].end, len(LOADED), len(events)


@counting.answers("Days with fewer windows")
def _(events):
    found = Counter(map(counting.day, events))
    for window in LOADED:
        yield window.start.date(), 1, 0, found[window.start.date()]


@counting.answers("Is each window's number")
def _(_events):
    yield len(LOADED), 0


@pytest.mark.parametrize("name", RECIPES, ids=lambda name: name[:40])
def test_a_recipe_answers_as_slow_counting_does(name, events, places):
    in_order = [ask(places, sql) for ask, sql in zip(ASK.values(), RECIPES[name], strict=True)]
    if "data_type" in RECIPES[name][0]:  # each database has names of its own for types
        assert [column for column, _ in in_order[0]] == [column for column, _ in in_order[1]]
        return
    assert Counter(plain(in_order[0])) == expected(name, events)
    assert plain(in_order[0]) == plain(in_order[1])


IN_SNOWFLAKE = {  # what the page says of Snowflake
    r'"(\w+)"': r"\1",
    r"CAST\(([\w.]+) AT TIME ZONE 'UTC' AS DATE\)": r"CONVERT_TIMEZONE('UTC', \1)::DATE",
    r"\(CustomVars::json ->> '([^']+)'\)": r'PARSE_JSON(CustomVars):"\1"::VARCHAR',
}


NOT_IN_SNOWFLAKE = (
    "Which variables are there",  # FLATTEN, which the emulator does not know
    "A list, one row",
    "While a load is under way",  # two statements
    "Which columns are there",  # types have names of their own
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in RECIPES if not name.startswith(NOT_IN_SNOWFLAKE)], ids=lambda name: name[:40]
)
def test_a_recipe_answers_on_snowflake_too(name, events, snowflake):
    sql = RECIPES[name][0]
    for here, there in IN_SNOWFLAKE.items():
        sql = re.sub(here, there, sql)
    with closing(snowflake.connection()) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        assert Counter(plain(cursor.fetchall())) == expected(name, events)


WRONG = [  # how people count: what stands in a recipe, and what they would write
    ("Events, sessions and users", """"UserId" || ':' || "SessionId\"""", '"SessionId"'),
    ("How long sessions last", '"UserId", "SessionId"', '"SessionId"'),
    ("How far do people scroll", '"UserId", "SessionId", "PageId"', '"PageId"'),
    ("Active time per day", '"UserId", "SessionId", "PageId"', '"SessionId", "PageId"'),
    ("In which browsers", '"UserId", "SessionId"', '"SessionId"'),
    ("The most viewed pages", """"UserId" || ':' || "SessionId" || ':' || "PageId\"""", '"PageId"'),
    ("The most viewed pages", """"SessionId" || ':' || "PageId\"""", '"PageId"'),
    ("Active time per day", 'max("PageActiveDuration")', 'sum("PageActiveDuration")'),
    ("Where do sessions begin", 'PARTITION BY "UserId", "SessionId"', 'PARTITION BY "SessionId"'),
    ("How do people get to a page", """"EventType" = 'navigate'""", """"EventType" = 'pageview'"""),
    ("A funnel", 'p."UserId" = e."UserId" AND ', ""),
    ("A funnel", 'c."UserId" = e."UserId" AND ', ""),
    ("Rage by what was clicked", '"EventModFrustrated" > 0', '"EventModFrustrated" IS NOT NULL'),
    ("Rage by what was clicked", '"EventModFrustrated" = 1', '"EventModFrustrated" > 0'),
    ("Dead clicks", '"EventModDead" > 0 THEN 1', '"EventModDead" >= 0 THEN 1'),
    ("Dead clicks", '"EventModError" > 0 THEN 1', '"EventModError" = 1 THEN 1'),
    ("In which browsers", '"EventModFrustrated" > 0', '"EventModFrustrated" IS NOT NULL'),
    ("The session to look at", 'WHERE "EventModFrustrated" > 0', 'WHERE "EventModFrustrated" IS NOT NULL'),
    ("Attacks that were", '"EventModSuspicious" > 0', '"EventModSuspicious" IS NOT NULL'),
    ("Web vitals by page", 'max("EventCumulativeLayoutShift")', 'min("EventCumulativeLayoutShift")'),
    ("Errors by page", """"EventType" = 'exception' OR""", """"EventSubType" = 'error' OR"""),
    ("The most frequent messages", """"EventType" = 'exception' OR""", """"EventSubType" = 'error' OR"""),
    ("How much do pages write", 'max("PageNumInfos")', 'sum("PageNumInfos")'),
    ("Users per day", """"UserId", "IndvId", max("UserAppKey")""", """"UserId", "IndvId", min("UserAppKey")"""),
    ("Users per day", """CAST(coalesce("_dlt_load_id", '0') AS DOUBLE PRECISION) DESC, """, ""),
    ("Users per day", 'OVER (PARTITION BY "IndvId")', 'OVER (PARTITION BY "UserId")'),
    ("Who comes back in the weeks", "e JOIN people p ON", "e JOIN people p ON p.person <> 'ada' AND"),
    ("Elements that you have", "'rendered' THEN 0 ELSE 1", "'rendered' THEN 1 ELSE 1"),
    ("Elements that you have", """CASE WHEN "EventSubType" = 'rendered' THEN NULL ELSE "EventSecondaryDuration" END""",
     '"EventDuration"'),
]  # fmt: skip


@pytest.mark.parametrize(("begin", "right", "wrong"), WRONG, ids=range(len(WRONG)))
def test_the_events_tell_a_wrong_recipe_from_a_right_one(begin, right, wrong, events, places):
    (name,) = [name for name in RECIPES if name.startswith(begin)]
    sql = RECIPES[name][0]
    assert right in sql
    answer = plain(in_duckdb(places, sql.replace(right, wrong)))
    assert answer != plain(in_duckdb(places, sql))


def test_the_answers_of_the_demo_are_those_of_slow_counting(events, places):
    daily, pages, plans = (plain(in_duckdb(places, sql.format(events="fs_export"))) for sql in demo.ANSWERS.values())

    counted = expected("Events, sessions and users per day:", events)
    assert Counter(daily) == Counter((day, count, users) for day, count, _, users in counted)
    assert pages == sorted(frustrating(events), key=lambda row: (-sum(row[1:]), row[0]))[:5]
    assert Counter(plans) == expected("Users by plan:", events)


def frustrating(events):
    for page, found in counting.grouped(counting.of(events, "click"), counting.bare).items():
        flags = ("EventModDead", "EventModError")
        row = [sum(e.get("EventModFrustrated") == 1 for e in found)]
        row += [sum(counting.positive(e, flag) for e in found) for flag in flags]
        if any(row):
            yield page, *row


def test_no_recipe_counts_by_a_part_of_a_key_nor_takes_a_zero_for_a_flag():
    for name, (sql, _) in RECIPES.items():
        found = re.findall(
            r"""count\(DISTINCT "(?:SessionId|PageId)"\)|count\("EventMod|"EventMod\w+" IS NOT NULL""", sql
        )
        assert not found, name
