"""The dbt project: run by dbt on tables that hauser-dlt has loaded, garbage among their rows; the answers are known."""

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest
import yaml
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from emulators.postgres import PASSWORD
from hauser_dlt.dbt import column_docs
from hauser_dlt.dbt.generated_files import refresh
from hauser_dlt.dbt.project import project as project_files
from hauser_dlt.fields import KNOWN, MOBILE
from hauser_dlt.simulator import Account, Simulator
from hauser_dlt.simulator.encoding import RawNumber
from support import counting, meanings
from support.dbt import dbt
from support.destinations import HOUR, MIDNIGHT, Target
from support.runs import Runs

DAY = timedelta(days=1)
NOW = MIDNIGHT + 3 * DAY  # two days have settled: eight windows of six hours
AGAIN = MIDNIGHT + 12 * HOUR  # the window that two loads have brought; the newer one brought clicks only
HALVED = MIDNIGHT + 18 * HOUR  # the window that a load has begun to bring again
FORGOTTEN = MIDNIGHT + 42 * HOUR  # the newest window, whose row the user has deleted
ODD = 'evt_it\'s/a~1 "b".ü\\_str'
VARIABLES = {
    "evt_order.total_real": RawNumber("12.5"),
    "evt_order.ids_ints": [1, 22],
    "evt_none_str": None,
    "evt_empty_str": "",
    "evt_gift_bool": False,
    ODD: "odd",
}
PERSON = {"IndvId": 2**60 + 1, "UserId": 2**60 + 3, "SessionId": 2**60 + 5, "PageId": 2**60 + 7}
CUSTOM = {
    "EventStart": "2024-05-01T07:00:00.25Z",
    "EventType": "custom",
    "EventCustomName": "Odd",
    "PageUrl": "https://shop.example/?q=1#top",
    "LoadLargestPaintTime": 4000,  # the last that is not poor, and the last that are good
    "EventCumulativeLayoutShift": 0.25,
    "EventFirstInputDelay": 100,
    **PERSON,
    **VARIABLES,
}
NAMED = [  # sessions of the same person: an old name, a new one, and none
    CUSTOM | {"EventStart": f"2024-05-01T{hour}:00:00Z", "EventType": "navigate", "SessionId": hour} | name
    for hour, name in (
        (19, {"UserAppKey": "z", "UserEmail": "old@example.com"}),
        (20, {"UserAppKey": "a", "UserEmail": "new@example.com"}),
        (21, {"UserAppKey": "", "UserEmail": ""}),
    )
]
HAUSERS = [  # what the Go hauser has left, where hauser-dlt has loaded nothing yet
    CUSTOM | {"EventStart": f"2024-04-{day}T23:00:00.25Z", "EventType": "hauser"} for day in (23, 30)
]
MODEL = """
select
    {{ custom_var('evt_order.total_real') }} as total,
    {{ custom_var('evt_order.ids_ints') }} as ids,
    {{ custom_var('evt_none_str') }} as nothing,
    {{ custom_var('evt_missing_str') }} as missing,
    {{ custom_var('evt_empty_str') }} as empty,
    {{ custom_var('evt_gift_bool', 'events.custom_vars') }} as gift,
    {{ custom_var(ODD) }} as odd
from {{ ref('stg_fullstory__events') }} as events
where event_custom_name = 'Odd' and event_type = 'custom'
"""
READ = {"total": "12.5", "ids": [1, 22], "empty": "", "gift": "false", "odd": "odd"}
HALF, NEWER = "8888888888.5", "8888888889.5"


@dataclass
class Project:
    """A project that dbt has built: what came of it, and what its models hold."""

    target: Target
    runs: Runs
    folder: Path
    dbt: Any
    built: dict[str, dict[str, Any]]

    def rows(self, model: str) -> list[dict[str, Any]]:
        return ask(self.target, f"select * from {self.target.dataset}_dbt.{model}")


def ask(target: Target, sql: str) -> list[dict[str, Any]]:
    """Return the rows of one statement as they are, NULL included."""
    if target.kind == "duckdb":
        with duckdb.connect(str(target.database), read_only=True) as connection:
            found = connection.execute(sql)
            return [dict(zip([c[0] for c in found.description], row, strict=True)) for row in found.fetchall()]
    connection = psycopg2.connect(target.dsn)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return [dict(zip([c.name for c in cursor.description], row, strict=True)) for row in cursor.fetchall()]
    finally:
        connection.close()


@pytest.fixture(name="dbt", scope="module")
def _dbt(tmp_path_factory):
    with dbt(tmp_path_factory.mktemp("dbt")) as running:
        yield running


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def project(request, server, dbt, tmp_path_factory) -> Iterator[Project]:
    """The project of a pipeline, built on tables that hold more than complete loads own."""
    folder = tmp_path_factory.mktemp(request.param)
    target = Target(request.param, folder, f"fs_dbt_{request.param}", server.dsn() if request.param != "duckdb" else "")
    with (
        pytest.MonkeyPatch.context() as patch,
        Simulator(Account(events_per_hour=20)) as sim,
    ):
        patch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
        sim.extra_events += [CUSTOM, *NAMED, *meanings.handmade(MIDNIGHT, first_day_last=False)]
        runs = Runs(sim, target, folder / "work")
        runs.load(NOW)
        spoil(target)
        place = folder / "analytics"
        write(runs, place)
        change(place / "dbt_project.yml", "fullstory_incremental: false", "fullstory_incremental: true")
        (place / "models" / "odd.sql").write_text(MODEL.replace("ODD", repr(ODD)))
        yield Project(target, runs, place, dbt, dbt(place, "build"))
        Container()[PluggableRunContext].reload()


def write(runs, place):
    """Write the project of a pipeline, as `hauser-dlt dbt` does."""
    config = runs.configuration()
    with runs.sync() as sync:
        refresh(place, project_files(sync, config, place), force=False)


def change(file, old, new):
    """Edit a file of the project, as its user would."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def spoil(target):
    """Leave in the tables what failures leave there."""
    quoted = [f'"{name}"' for name in target.columns()]
    columns, others = ", ".join(quoted), ", ".join(name for name in quoted if name != '"_dlt_load_id"')
    hausers = {
        "_dlt_load_id": "NULL",
        "_hauser_window": "CAST(NULL AS TIMESTAMPTZ)",
        "EventType": "'hauser'",
        "EventStart": """"EventStart" - INTERVAL '1 hour' * hours""",
    }
    hausers_row = ", ".join(hausers.get(name, f'"{name}"') for name in target.columns())
    # a load that died half-way, and one that was complete while what it replaces is still there
    for load, window in ((HALF, HALVED), (NEWER, AGAIN)):
        target.query(f"""
            INSERT INTO fs_export ({others}, "_dlt_load_id") SELECT {others}, '{load}' FROM fs_export
            WHERE "_hauser_window" = {literal(window)} AND "EventType" = 'click'""")
        target.query(f"""
            INSERT INTO fs_sync
                ("Processed", "BundleStartTime", "BundleEndTime", "EventCount", "_dlt_load_id", "_dlt_id")
            SELECT "Processed", "BundleStartTime", "BundleEndTime",
                (SELECT COUNT(*) FROM fs_export e WHERE e."_dlt_load_id" = '{load}'), '{load}', '{load}'
            FROM fs_sync WHERE "BundleStartTime" = {literal(window)}""")
    note(target, NEWER, 0)
    # the Go hauser's events: a week and an hour before our windows, and in the midst of them
    target.query(f"""
        INSERT INTO fs_export ({columns}) SELECT {hausers_row}
        FROM fs_export, (SELECT 1 AS hours UNION ALL SELECT 8 UNION ALL SELECT 176) AS earlier
        WHERE "EventCustomName" = 'Odd' AND "EventType" = 'custom'""")
    # the user has deleted the newest row
    target.query(f"""DELETE FROM fs_sync WHERE "BundleStartTime" = {literal(FORGOTTEN)}""")


def note(target, load, status):
    """Have dlt's list of loads say what became of one."""
    target.query(
        f"INSERT INTO _dlt_loads SELECT '{load}', schema_name, {status}, inserted_at, schema_version_hash"
        " FROM _dlt_loads LIMIT 1"
    )


def literal(moment):
    return f"TIMESTAMPTZ '{moment:%Y-%m-%d %H:%M:%S}+00'"


@pytest.fixture(scope="module")
def events(project) -> list[dict[str, Any]]:
    """The events that loads own, out of the simulator's own mouth."""
    made = [event for event in owned(project.runs.sim, MIDNIGHT) if moment(event["EventStart"]) < FORGOTTEN]
    return [*made, *HAUSERS]


def owned(sim, start):
    """The simulator's events, but clicks only where the newer of two loads has brought no others."""
    for event in map(dict, sim.rows(start, MIDNIGHT + 3 * DAY)):
        if event["EventType"] == "click" or not AGAIN <= moment(event["EventStart"]) < AGAIN + 6 * HOUR:
            yield event


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def naive(text: str) -> datetime:
    return moment(text).replace(tzinfo=None)


def bare_time(value):
    """Return a time in UTC without saying so: that is how most warehouses have them here, and others have a zone."""
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def session_key(event):
    return f"{event['UserId']}:{event['SessionId']}"


def page_key(event):
    return f"{session_key(event)}:{event['PageId']}"


def bare(event):
    return event["PageUrl"].partition("#")[0].partition("?")[0]


def grouped(events, key):
    groups = defaultdict(list)
    for event in events:
        groups[key(event)].append(event)
    return groups


COUNTS = {  # a column -> whether an event counts there, by FullStory's documentation
    "clicks": lambda e: e["EventType"] == "click",
    "rage_clicks": lambda e: e["EventType"] == "click" and e.get("EventModFrustrated", 0) > 0,
    "rage_incidents": lambda e: e["EventType"] == "click" and e.get("EventModFrustrated") == 1,
    "dead_clicks": lambda e: e["EventType"] == "click" and e.get("EventModDead", 0) > 0,
    "error_clicks": lambda e: e["EventType"] == "click" and e.get("EventModError", 0) > 0,
    "thrashes": lambda e: e["EventType"] == "thrash",
    "attack_attempts": lambda e: e.get("EventModSuspicious", 0) > 0,
}
FRUSTRATION = ("rage_clicks", "rage_incidents", "dead_clicks", "error_clicks", "thrashes")


def counts(events, names=tuple(COUNTS)):
    return [sum(map(COUNTS[name], events)) for name in names]


def numbers(row, names=tuple(COUNTS)):
    return [int(row[name]) for name in names]


def test_all_models_are_built_and_all_tests_pass(project):
    statuses = Counter(result["status"] for result in project.built.values())

    assert set(statuses) == {"success", "pass"}
    assert statuses["success"] == 11
    assert statuses["pass"] > 20


def test_staged_events_are_those_that_loads_own(project, events):
    staged = project.rows("stg_fullstory__events")

    assert told(staged) == expected(events)
    assert {row["load_id"] for row in staged if row["window_start"] == AGAIN.replace(tzinfo=None)} == {NEWER}


def told(rows):
    names = ("event_start", "event_type", "indv_id", "page_id", "page_url")
    return Counter(tuple(row[name] for name in names) for row in rows)


def expected(events):
    fields = ("EventType", "IndvId", "PageId", "PageUrl")
    return Counter((naive(event["EventStart"]), *map(event.get, fields)) for event in events)


def test_each_column_is_described_and_no_secret_written(project):
    sources = yaml.safe_load((project.folder / "models" / "staging" / "_fullstory__sources.yml").read_text())
    events, windows, _ = sources["sources"][0]["tables"]

    assert {column["name"] for column in events["columns"]} == set(project.target.columns())
    assert {column["name"] for column in windows["columns"]} == set(project.target.columns("fs_sync"))
    for column in (*events["columns"], *windows["columns"]):
        assert column["description"] not in ("", column_docs.OTHER)
    assert {*KNOWN, *MOBILE} < set(column_docs.EVENTS)
    written = "".join(path.read_text() for path in project.folder.glob("*.*"))
    assert PASSWORD not in written
    assert project.runs.sim.token not in written


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("EventModFrustrated EventModDead EventModError EventModSuspicious", ["0 or NULL"]),
        ("EventModFrustrated", ["greater than 0", "where it is 1"]),
        ("EventModSuspicious", ["1: SQL injection", "2: cross-site scripting"]),
        ("EventModError", ["2: an error on the console", "3: an uncaught exception"]),
        ("SessionId PageId", ["UserId", "together"]),
        ("PageNumInfos PageNumWarnings PageNumErrors", ["running total", "maximum per page"]),
        ("PageDuration PageActiveDuration", ["milliseconds", "once per page"]),
        (
            "EventDuration EventSecondaryDuration EventPageOffset EventSessionOffset EventFirstInputDelay",
            ["illiseconds"],
        ),
        ("EventDuration", ["rendered"]),
        ("EventSecondaryDuration", ["visible"]),
        ("EventType", ["pageview marks the end"]),
        ("EventSubType", ["reload", "back_forward", "rendered", "visible", "exception: uncaught"]),
        ("PageName", ["not a Defined Page"]),
        ("PageMaxScrollDepthPercent", ["Only on events of type navigate"]),
        ("LoadDomContentTime LoadEventTime LoadFirstPaintTime LoadLargestPaintTime", ["Only on events of type load"]),
        ("ReqUrl ReqMethod ReqStatus", ["Only on events of type request"]),
    ],
)
def test_descriptions_tell_what_people_count_wrong(fields, words):
    for name in fields.split():
        for word in words:
            assert word in column_docs.EVENTS[name]


def test_staged_windows_are_those_that_loads_own(project):
    staged = sorted((row["window_start"], row["window_end"]) for row in project.rows("stg_fullstory__windows"))

    start = MIDNIGHT.replace(tzinfo=None)
    assert staged == [(start + n * 6 * HOUR, start + (n + 1) * 6 * HOUR) for n in range(7)]


def test_sessions_have_their_events_pages_and_clicks(project, events):
    assert_sessions({row["session_key"]: row for row in project.rows("fullstory_sessions")}, events)


def assert_sessions(rows, events):
    sessions, who = grouped(events, session_key), counting.linked(events)
    assert set(rows) == set(sessions)
    for key, members in sessions.items():
        row, first = rows[key], min(members, key=lambda e: moment(e["EventStart"]))
        assert row["events"] == len(members)
        assert row["page_views"] == len({event["PageId"] for event in members})
        assert row["indv_id"] == who[first["UserId"]][0]
        assert numbers(row) == counts(members)
        assert bare_time(row["session_start"]) == naive(first.get("SessionStart", first["EventStart"]))
        assert bare_time(row["last_event"]) == max(naive(event["EventStart"]) for event in members)
        assert row.get("duration_ms") == max(
            (e["EventSessionOffset"] for e in members if "EventSessionOffset" in e), default=None
        )
        pages = sorted((naive(e.get("PageStart", e["EventStart"])), page_key(e), bare(e)) for e in members)
        assert (row["entry_page_url_bare"], row["exit_page_url_bare"]) == (pages[0][2], pages[-1][2])


def test_page_views_have_their_events_times_and_clicks(project, events):
    rows = {row["page_view_key"]: row for row in project.rows("fullstory_page_views")}

    pages = grouped(events, page_key)
    assert set(rows) == set(pages)
    for key, members in pages.items():
        row = rows[key]
        assert row["session_key"] == session_key(members[0])
        assert (row["events"], *numbers(row)) == (len(members), *counts(members))
        assert row["page_url_bare"] == bare(members[0])
        assert_how_a_page_went(row, members)
        for name, field in (("largest_contentful_paint_ms", "LoadLargestPaintTime"), ("load_ms", "LoadEventTime")):
            assert row[name] == max((e[field] for e in members if field in e), default=None)
        assert row["active_duration_ms"] == members[0].get("PageActiveDuration")


def assert_how_a_page_went(row, members):
    kinds = Counter((event["EventType"], event.get("EventSubType")) for event in members)
    reached = [kinds["navigate", how] for how in ("reload", "back_forward")]
    exceptions = sum(count for (kind, _), count in kinds.items() if kind == "exception")
    assert [row[name] for name in ("reloads", "back_forwards", "exceptions")] == [*reached, exceptions]
    for name, field in (
        ("console_infos", "PageNumInfos"),
        ("console_warnings", "PageNumWarnings"),
        ("console_errors", "PageNumErrors"),
        ("duration_ms", "PageDuration"),
        ("max_scroll_depth_percent", "PageMaxScrollDepthPercent"),
    ):
        assert row[name] == counting.maximum(members, field)


def test_devices_are_linked_to_whom_they_were_exported_with_last(project, events):
    linked = {row["user_id"]: (row["indv_id"], row["user_app_key"] or "") for row in project.rows("fullstory_devices")}

    assert linked == counting.linked(events)
    hers = {user: linked[user] for user in (10, 12, 14)}
    assert hers == dict.fromkeys(hers, (meanings.ADA, "ada"))


def test_users_are_individuals_under_their_last_name(project, events):
    rows = {row["indv_id"]: row for row in project.rows("fullstory_users")}

    who = counting.linked(events)
    users = grouped(events, lambda event: who[event["UserId"]][0])
    assert set(rows) == set(users)
    for key, members in users.items():
        row = rows[key]
        assert row["sessions"] == len({session_key(event) for event in members})
        assert row["page_views"] == len({page_key(event) for event in members})
        assert (row["events"], *numbers(row)) == (len(members), *counts(members))
        assert row["last_seen"] == max(naive(event["EventStart"]) for event in members)
        named = [event for event in members if event.get("UserAppKey") or event.get("UserEmail")]
        last = max(named or members, key=lambda e: naive(e.get("SessionStart", e["EventStart"])))
        assert (row["user_app_key"] or "") == last.get("UserAppKey", "")
        assert (row["user_email"] or "") == last.get("UserEmail", "")


def test_frustration_is_counted_by_day_page_and_element(project, events):
    def element(event):
        day = moment(event["EventStart"]).date()
        return day, bare(event), event.get("EventTargetSelector"), event.get("EventTargetText")

    who = counting.linked(events)
    vain = grouped((event for event in events if any(counts([event], FRUSTRATION))), element)
    names = ("day", "page_url_bare", "event_target_selector", "event_target_text")
    found = {tuple(row[name] for name in names): row for row in project.rows("fullstory_frustration")}
    assert len(vain) > 10
    assert set(found) == set(vain)
    for key, members in vain.items():
        row = found[key]
        counted = [row[name] for name in (*FRUSTRATION, "sessions", "users")]
        sessions, users = {session_key(e) for e in members}, {who[e["UserId"]][0] for e in members}
        assert counted == [*counts(members, FRUSTRATION), len(sessions), len(users)]


def test_attack_attempts_are_counted_by_day_page_and_kind(project, events):
    assert_attack_attempts(project.rows("fullstory_attack_attempts"), events)


def assert_attack_attempts(rows, events):
    def attempt(event):
        kind = {1: "SQL injection", 2: "cross-site scripting"}[event["EventModSuspicious"]]
        return moment(event["EventStart"]).date(), bare(event), kind

    who = counting.linked(events)
    expected = {
        (*key, len(found), len({session_key(e) for e in found}), len({who[e["UserId"]][0] for e in found}))
        for key, found in grouped((e for e in events if e.get("EventModSuspicious")), attempt).items()
    }
    names = ("day", "page_url_bare", "kind", "attempts", "sessions", "users")
    assert {tuple(row[name] for name in names) for row in rows} == expected
    assert {kind for _, _, kind, *_ in expected} == {"SQL injection", "cross-site scripting"}


def test_individuals_come_back_week_by_week(project, events):
    assert len(assert_retention(project.rows("fullstory_retention"), events)) > 1


def assert_retention(rows, events):
    who, weeks = counting.linked(events), defaultdict(set)
    for event in events:
        day = moment(event["EventStart"]).date()
        weeks[who[event["UserId"]][0]].add(day - timedelta(days=day.weekday()))
    cohorts = Counter(min(found) for found in weeks.values())
    came = Counter((min(found), (week - min(found)).days // 7) for found in weeks.values() for week in found)
    names = ("first_week", "weeks_later", "users", "cohort_users")
    assert {tuple(row[name] for name in names) for row in rows} == {
        (week, later, count, cohorts[week]) for (week, later), count in came.items()
    }
    return came


VITALS = {  # of a page view's measures, the one that counts; up to where it is good, beyond where it is poor
    "LCP": ("LoadLargestPaintTime", max, 2500, 4000),
    "FID": ("EventFirstInputDelay", min, 100, 300),
    "CLS": ("EventCumulativeLayoutShift", max, 0.1, 0.25),
}


def test_web_vitals_are_rated_by_day_page_and_device(project, events):
    expected = assert_web_vitals(project.rows("fullstory_web_vitals"), events)

    for row in project.rows("fullstory_web_vitals"):
        measures = expected[vital_key(row)]
        quarter = statistics.quantiles(measures, n=4, method="inclusive")[2] if measures[1:] else measures[0]
        assert row["p75"] == pytest.approx(quarter)


def vital_key(row):
    return row["day"], row["page_url_bare"], row.get("page_device"), row["vital"]


def assert_web_vitals(rows, events):
    expected = defaultdict(list)
    for members in grouped(events, page_key).values():
        day = min(moment(e.get("PageStart", e["EventStart"])) for e in members).date()
        for vital, (field, choose, _, _) in VITALS.items():
            if measures := [event[field] for event in members if field in event]:
                expected[day, bare(members[0]), members[0].get("PageDevice"), vital].append(choose(measures))
    assert {vital_key(row) for row in rows} == set(expected)
    assert max(map(len, expected.values())) > 1
    for row in rows:
        measures, (_, _, good, poor) = expected[vital_key(row)], VITALS[row["vital"]]
        rated = [sum(m <= good for m in measures), sum(good < m <= poor for m in measures)]
        counted = [row[name] for name in ("page_views", "good", "needs_improvement", "poor")]
        assert counted == [len(measures), *rated, len(measures) - sum(rated)]
    return expected


def test_custom_variables_are_read_by_their_names_as_they_stand(project):
    assert list(map(present, project.rows("odd"))) == [READ]


def present(row):
    """Return what there is of custom variables; lists as such, for warehouses space them in their own ways."""
    return {name: value for name, value in row.items() if value is not None} | {"ids": json.loads(row["ids"])}


def in_morning(event):
    return MIDNIGHT + 6 * HOUR <= moment(event["EventStart"]) < MIDNIGHT + 12 * HOUR


def test_incremental_runs_add_what_is_new_and_remove_what_is_replaced(project):
    target, runs, emptied = project.target, project.runs, MIDNIGHT + 6 * HOUR
    before = told(project.rows("stg_fullstory__events"))
    runs.sim.extra_events[:] = (e for e in runs.sim.extra_events if not in_morning(e))
    runs.sim.events = lambda start, end: () if start == emptied else runs.sim.account.events(start, end)
    runs.load(NOW + DAY)
    runs.load(NOW + DAY, MIDNIGHT - 6 * HOUR, MIDNIGHT)  # where the Go hauser's event was
    runs.reload(NOW + DAY, emptied, emptied + 6 * HOUR)
    runs.sim.events = None

    done = project.dbt(project.folder, "run", "--select", "staging")

    after = told(project.rows("stg_fullstory__events"))
    inside = (event for event in owned(runs.sim, MIDNIGHT - 6 * HOUR) if not in_morning(event))
    assert after == expected([*inside, HAUSERS[0]])
    assert "hauser" in {key[1] for key in before - after}
    if target.kind == "postgres":  # DuckDB does not tell
        assert done["stg_fullstory__events"]["rows"] == (after - before).total() > 100


def test_a_window_belongs_to_the_newest_load_unless_that_leaves_a_part_of_it(project):
    target, day = project.target, datetime(2000, 1, 1, tzinfo=UTC)
    rows = [  # load, from when to when
        ("1.5", 0, 6), ("2.5", 1, 2),  # the older one has more than the newer one
        ("3.5", 24, 30), ("10.5", 24, 27), ("4.5", 27, 30),  # nothing is left to the older one
        ("5.5", 48, 54), ("6.5", 48, 51),  # the second half is left
        ("11.5", 96, 102), ("12.5", 99, 102),  # the first half is left
        ("7.5", 72, 78), ("8.5", 72, 78), ("9.5", 72, 78),
        ("1795806791.1", 120, 126), ("1795806791.2", 120, 126),  # within a second of each other
    ]  # fmt: skip
    for load, start, end in rows:
        target.query(
            'INSERT INTO fs_sync ("BundleStartTime", "BundleEndTime", "EventCount", "_dlt_load_id", "_dlt_id")'
            f" VALUES ({literal(day + start * HOUR)}, {literal(day + end * HOUR)}, 0, '{load}', '{load}')"
        )
        note(target, load, 1 if load == "9.5" else 0)

    owned = project.rows("stg_fullstory__windows")
    loads = {row["load_id"] for row in owned if row["window_start"].year == 2000}
    assert loads == {"1.5", "2.5", "10.5", "4.5", "5.5", "6.5", "8.5", "11.5", "12.5", "1795806791.2"}


def test_lost_events_and_old_windows_are_noticed(project):
    target = project.target
    target.query(f"DELETE FROM {target.dataset}_dbt.stg_fullstory__events WHERE event_type = 'click'")
    target.query("""UPDATE fs_sync SET "Processed" = "Processed" - INTERVAL '20 hours'""")

    found = project.dbt(project.folder, "test", "--select", "test_type:singular", good=False)
    assert found["each_window_has_its_events"]["status"] == "fail"
    assert found["no_window_is_loaded_twice"]["status"] == "warn"
    fresh = project.dbt(project.folder, "source", "freshness")
    assert fresh["windows"]["status"] == "warn"  # for 12 hours, twice a window; the error comes after 36


@pytest.mark.parametrize(
    ("target", "odd", "empty"),
    [
        ("redshift", ODD, None),
        pytest.param("snowflake", ODD, "", marks=pytest.mark.slow),
        pytest.param("bigquery", "evt_it's.ü_str", "", marks=pytest.mark.slow),
    ],
    indirect=["target"],
)
def test_on_warehouses_the_project_reads_tables_of_the_go_hauser(runs, dbt, tmp_path, odd, empty):
    target, place = runs.target, tmp_path / "analytics"
    read = {name: value for name, value in READ.items() if name != "empty" or empty is not None}
    runs.sim.extra_events += meanings.handmade(MIDNIGHT)
    runs.sim.extra_events.append({odd if name == ODD else name: value for name, value in CUSTOM.items()})
    target.make_hausers_tables()
    runs.load(NOW - DAY)
    write(runs, place)
    (place / "models" / "odd.sql").write_text(MODEL.replace("ODD", repr(odd)))

    BUILD[target.settings()["hauser"]["destination"]](target, dbt, place)

    def rows(model):
        return target.query(f"SELECT * FROM {target.dataset}_dbt.{model}")

    events = list(runs.sim.rows(MIDNIGHT, MIDNIGHT + DAY))
    staged = Counter((row["event_type"], row.get("page_user_agent")) for row in rows("stg_fullstory__events"))
    assert staged == Counter((e["EventType"], e.get("PageUserAgent")) for e in events) + Counter([("loaded", None)])
    staging = yaml.safe_load((place / "models" / "staging" / "_fullstory__staging.yml").read_text())
    assert "mine" in {column["name"].lower() for column in staging["models"][1]["columns"]}
    mine = target.query(f"SELECT COUNT(mine) AS mine FROM {target.dataset}_dbt.stg_fullstory__events")
    # of a column that the file lacks, COPY of Redshift gives the default, that of Snowflake does not
    assert mine == [{"mine": {"redshift": len(events) + 1, "snowflake": 1, "bigquery": 0}[target.kind]}]
    assert_sessions({row["session_key"]: row for row in rows("fullstory_sessions")}, events)
    assert_web_vitals(rows("fullstory_web_vitals"), events)
    frustration = rows("fullstory_frustration")
    for name in FRUSTRATION:
        assert [sum(row[name] for row in frustration)] == counts(events, [name])
    users = {individual for individual, _ in counting.linked(events).values()}
    assert {row["indv_id"] for row in rows("fullstory_users")} == users
    assert_attack_attempts(rows("fullstory_attack_attempts"), events)
    assert_retention(rows("fullstory_retention"), events)
    assert list(map(present, rows("odd"))) == [read]


def compiled(target, dbt, place):
    """Compile, and run that by hand: the emulators do not answer all that dbt asks."""
    dbt(place, "compile", "--no-introspect", "--no-populate-cache", environ={"DBT_ENV_SECRET_PASSWORD": PASSWORD})
    target.query(f"CREATE SCHEMA {target.dataset}_dbt")
    staging = ("windows", "events")
    marts = ("devices", "page_views", "sessions", "users", "frustration", "web_vitals", "attack_attempts", "retention")
    models = [f"stg_fullstory__{name}" for name in staging] + [f"fullstory_{name}" for name in marts] + ["odd"]
    for model in models:
        (file,) = (place / "target" / "compiled").rglob(f"{model}.sql")
        target.query(f"CREATE VIEW {target.dataset}_dbt.{model} AS {file.read_text()}")


def build_on_bigquery(target, dbt, place):
    """Have dbt build it; as views, for of new tables the emulator does not tell what dbt asks."""
    change(place / "dbt_project.yml", "materialized: table", "materialized: view")
    dbt(place, "run", "--threads", "1", environ=target.environ())


BUILD = {"redshift": compiled, "snowflake": compiled, "bigquery": build_on_bigquery}
