"""Runs into each destination: every event unaltered, disorder of users made good, errors of either side in one line."""

import random
import shutil
import subprocess
import time
from contextlib import ExitStack, suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import duckdb
import pytest

from emulators.postgres import free_port, postgres
from hauser_dlt.errors import (
    ConfigError,
    CorruptBundleError,
    HauserError,
    LinkError,
    TransientError,
    UnfinishedError,
)
from hauser_dlt.fields import CUSTOM_VARS, KNOWN, LOAD_ID, ROW_WINDOW
from hauser_dlt.reports.status import status
from hauser_dlt.simulator import Fault
from hauser_dlt.simulator.events import RawNumber
from hauser_dlt.sync import Sync
from hauser_dlt.windows import Window
from support.crash import CrashScenario, Moment, crash_at
from support.destinations import HOUR, MIDNIGHT, Target, as_rows, bare, everywhere, in_each_way, in_sql
from support.runs import PATIENCE, Runs, Told

DAY = timedelta(days=1)
STEP = 6 * HOUR
END = MIDNIGHT + DAY + 12 * HOUR  # of what has settled: a day and a half, six windows, two packages
NOW = END + DAY


def event(at: Any, **more: Any) -> dict[str, Any]:
    """Return an event as FullStory sends it."""
    return {"EventStart": at.isoformat().replace("+00:00", "Z"), "EventType": "custom", "UserEmail": "", **more}


def windows(told: Told) -> list[Window]:
    """Return the windows that a run has loaded."""
    return list(told.tallies)


def steps(*numbers: int) -> list[Window]:
    """Return windows by their number, from the first on."""
    return [Window(MIDNIGHT + n * STEP, MIDNIGHT + (n + 1) * STEP) for n in numbers]


# Every event, unaltered

AWKWARD = [
    event(MIDNIGHT, UserId=2**63 - 1, IndvId=-(2**63), SessionId=2**53 + 1, EventDuration=0),
    event(
        MIDNIGHT + timedelta(microseconds=1),
        UserDisplayName='say "hi",\r\nnow\t\\N \\. \\',
        PageUrl="",
        PageName="NULL",
    ),
    event(
        MIDNIGHT + timedelta(microseconds=123456), UserDisplayName="カオ 🦊 e\u0301 \u2028 \x7f", EventTargetText="\n"
    ),
    event(MIDNIGHT, UserCreated="1969-12-31T23:59:59.999999Z", EventCumulativeLayoutShift=RawNumber("0.1")),
    event(MIDNIGHT, EventFirstInputDelay=RawNumber("1e-7"), SessionStart="2024-05-01T02:00:00.5+02:00"),
    event(MIDNIGHT, evt_price=RawNumber("19.90"), evt_big=RawNumber("1" * 25), evt_tiny=RawNumber("1e-400")),
    event(MIDNIGHT, evt_reals=[RawNumber("1.10"), None, "x"], evt_none_str=None, evt_map={"a": {"B": [True, {}]}}),
    event(MIDNIGHT, **{"evt_Name With.dots, ünï_str": "\x01", "evt_empty_str": "", "user_plan": "1", "USER_plan": 1}),
    event(MIDNIGHT, evt_twice_str="the same"),
    event(MIDNIGHT, evt_twice_str="the same"),
]


@everywhere
def test_every_event_arrives_once_and_unaltered(runs):
    runs.sim.extra_events = AWKWARD
    told = runs.load(NOW)

    runs.expect(MIDNIGHT, END)
    assert sum(package.events for package in told.packages) == len(runs.target.rows())


def test_the_known_fields_are_asked_for_and_are_the_columns(runs):
    runs.load(NOW, fields="known")

    rows = [
        {key: value for key, value in row.items() if key in KNOWN or key.startswith(("user_", "evt_", "page_"))}
        for row in runs.sim.rows(MIDNIGHT, END)
    ]
    assert bare(runs.target.rows()) == bare(as_rows(rows))
    assert runs.target.columns() == [*KNOWN, CUSTOM_VARS, LOAD_ID, ROW_WINDOW]


@in_each_way
def test_a_package_holds_a_day_and_its_windows_are_all_in_the_sync_table(runs):
    told = runs.load(NOW, export_duration="3h")

    assert [package.windows for package in told.packages] == [8, 4]
    assert len(runs.target.complete()) == 2
    sync = runs.target.sync()
    assert [(row["BundleStartTime"], row["BundleEndTime"]) for row in sync] == sorted(runs.sim.created())
    assert {row["ID"] for row in sync} == {-1}


def test_events_from_outside_the_window_are_left_out_counted_and_reported(runs):
    early, late = event(MIDNIGHT - HOUR), event(MIDNIGHT + 20 * HOUR)
    runs.sim.events = lambda start, end: [early, *runs.sim.account.events(start, end), late]
    done = runs.command("run", "--end", str(MIDNIGHT + 2 * STEP))
    _, said = done.communicate(timeout=PATIENCE)

    assert done.returncode == 0
    assert said.count("left out 2 events from outside the window") == 2
    assert bare(runs.target.rows()) == bare(as_rows(runs.sim.account.events(MIDNIGHT, MIDNIGHT + 2 * STEP)))


# What users take out of the sync table is loaded again


@in_each_way
def test_what_was_deleted_is_made_good_even_if_the_next_run_stops_early(runs):
    runs.load(NOW)
    runs.target.forget_newest(4)
    runs.load(NOW, end=END - 2 * STEP)
    runs.load(NOW)

    runs.expect(MIDNIGHT, END)


@in_each_way
def test_what_was_deleted_can_be_made_good_by_a_backfill_of_a_part(runs):
    runs.load(NOW)
    runs.target.forget_newest(1)
    runs.load(NOW, start=END - STEP, end=END)
    runs.load(NOW + STEP)

    runs.expect(MIDNIGHT, END + STEP)


@in_sql
def test_what_was_deleted_in_the_middle_is_loaded_by_a_backfill(runs):
    runs.load(NOW)
    runs.target.query(f"""DELETE FROM "fs_sync" WHERE "BundleStartTime" = '{MIDNIGHT + STEP}'""")
    told = runs.load(NOW, start=MIDNIGHT, end=MIDNIGHT + DAY)

    assert windows(told) == steps(1)
    runs.expect(MIDNIGHT, END)


# Backfills


@in_each_way
def test_an_overlapping_backfill_loads_what_is_missing_only(runs):
    runs.load(NOW)
    told = runs.load(NOW, start=MIDNIGHT - 2 * STEP, end=END)
    again = runs.load(NOW, start=MIDNIGHT - 2 * STEP, end=END)

    assert windows(told) == steps(-2, -1)
    assert again.packages == []
    assert windows(runs.load(NOW + STEP)) == steps(6)
    runs.expect(MIDNIGHT - 2 * STEP, END + STEP)


@in_each_way
def test_a_backfill_ahead_of_the_sync_point_is_not_loaded_again(runs):
    runs.load(NOW, end=MIDNIGHT + STEP)
    runs.load(NOW, start=MIDNIGHT + 3 * STEP, end=MIDNIGHT + 5 * STEP)
    told = runs.load(NOW)

    assert windows(told) == steps(1, 2, 5)
    runs.expect(MIDNIGHT, END)
    assert runs.load(NOW + STEP).plans[0].interval.start == END


@pytest.mark.parametrize("target", ["postgres", "parquet"], indirect=True)
def test_backfills_of_disjoint_stretches_run_side_by_side(runs):
    intervals = [(MIDNIGHT - n * DAY, MIDNIGHT - (n - 1) * DAY) for n in (1, 2, 3)]
    running = [runs.command("run", "--start", str(start), "--end", str(end)) for start, end in intervals]
    told = [process.communicate(timeout=PATIENCE) for process in running]

    assert [process.returncode for process in running] == [0, 0, 0], told
    runs.expect(MIDNIGHT - 3 * DAY, MIDNIGHT)
    runs.load(NOW)
    runs.expect(MIDNIGHT - 3 * DAY, END)


# Kills


@in_each_way
def test_a_command_killed_at_any_moment_is_made_good_by_the_same_command(runs):
    seed = time.time_ns()
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)
    for _ in range(3):
        running = runs.command("run", "--end", str(END))
        try:
            running.wait(chance.uniform(0.6, 2.5))
        except subprocess.TimeoutExpired:
            running.kill()
        running.communicate()
        if chance.random() < 0.5:
            shutil.rmtree(runs.working_dir, ignore_errors=True)
    done = runs.command("run", "--end", str(END))
    told = done.communicate(timeout=PATIENCE)

    assert done.returncode == 0, told
    runs.expect(MIDNIGHT, END)


@in_sql
def test_a_load_that_died_once_it_was_complete_leaves_no_note(runs):
    runs.load(NOW - DAY)
    runs.target.query(
        'INSERT INTO "fs_sync_pending" ("load_id", "window_start", "window_end", "seen_at")'
        ' SELECT "load_id", "inserted_at", "inserted_at", "inserted_at" FROM "_dlt_loads"'
    )
    runs.load(NOW - DAY)

    runs.expect(MIDNIGHT, END - DAY)


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
@pytest.mark.parametrize(
    "at",
    [
        Moment("delete fs_sync", when="after"),
        Moment("delete fs_export", when="after"),
        Moment("delete fs_export", 2, "after"),
        Moment("put fs_export", when="after"),
        Moment("move _dlt_loads"),
    ],
    ids=str,
)
def test_taking_away_a_load_that_lost_its_rows_may_be_interrupted(runs, at):
    """All windows of a load go once one has lost its row: none may seem to be there when its file is gone."""
    runs.load(NOW, group_by_day="false", end=MIDNIGHT + 3 * STEP)
    runs.target.forget_newest(1)
    assert crash_at(CrashScenario(runs.nested({"group_by_day": "false"}), NOW), at).killed
    runs.load(NOW)

    runs.expect(MIDNIGHT, END)


@pytest.mark.parametrize(
    ("lost", "echo", "paid"),
    [(False, False, 4), (True, True, 4), (True, False, 8)],
    ids=["the disk is there", "the disk is lost", "the disk is lost, and FullStory does not say what it prepares"],
)
def test_a_command_that_was_killed_pays_for_its_exports_once(runs, lost, echo, paid):
    runs.sim.prepare, runs.sim.echo = 1000, echo
    running = runs.command("run", "--end", str(MIDNIGHT + 4 * STEP))
    noted = runs.working_dir / "hauser_dlt" / "operations"
    while not noted.is_dir() or sum(1 for _ in noted.glob("[!.]*")) < 4:
        time.sleep(0.02)
        assert running.poll() is None
    running.kill()
    running.communicate()
    if lost:
        shutil.rmtree(runs.working_dir)

    def pause(seconds: float) -> None:
        for job in list(runs.sim.operations.values()) if seconds else ():
            job.ready = 0

    with Sync.open(runs.configuration(), pause) as sync:
        sync.run(sync.plan(NOW, end=MIDNIGHT + 4 * STEP), Told())
    assert len(runs.sim.operations) == paid
    runs.expect(MIDNIGHT, MIDNIGHT + 4 * STEP)


# Bad windows


BODIES = {"not JSON": b"[{}", "cut in a record": b'{"EventType": "x"}\n{"Ev', "a web page": b"<html>"}


@pytest.mark.parametrize("bad", ["failed", *BODIES])
def test_a_bad_window_ends_the_command_after_all_others_with_its_name(runs, bad):
    window = (MIDNIGHT + 2 * STEP).isoformat()
    if bad == "failed":
        runs.sim.faults.add(Fault("failed", "operation", match=window, times=None))
    else:
        runs.sim.bodies[window] = BODIES[bad]
    done = runs.command("run", "--end", str(END))
    _, said = done.communicate(timeout=PATIENCE)

    assert done.returncode == 1
    assert "Error: 2024-05-01 12:00 to 2024-05-01 18:00 UTC: " in said
    assert len(said.splitlines()) == 1
    assert [row["BundleStartTime"] for row in runs.target.sync()] == [w.start for w in steps(0, 1, 3, 4, 5)]
    runs.sim.faults.clear()
    runs.sim.bodies.clear()
    told = runs.load(NOW)
    assert windows(told) == steps(2)
    runs.expect(MIDNIGHT, END)
    asked = [start for start, _ in runs.sim.created()]
    again = 1 if bad == "a web page" else 2  # for which the export is not to blame
    assert {n: asked.count(MIDNIGHT + n * STEP) for n in range(6)} == {0: 1, 1: 1, 2: again, 3: 1, 4: 1, 5: 1}


@in_each_way
def test_bad_windows_in_any_place_leave_all_others_in_and_are_named_together(runs):
    bad = steps(0, 2, 3, 5)
    for window in bad:
        runs.sim.bodies[window.start.isoformat()] = b"[{}"
    with pytest.raises(CorruptBundleError) as refused:
        runs.load(NOW)

    assert str(refused.value).count("the bundle is not JSON") == len(bad)
    assert all(str(window) in str(refused.value) for window in bad)
    assert [row["BundleStartTime"] for row in runs.target.sync()] == [w.start for w in steps(1, 4)]
    runs.sim.bodies.clear()
    assert windows(runs.load(NOW)) == bad
    runs.expect(MIDNIGHT, END)


def test_a_gap_stays_in_sight_and_the_sync_point_before_it(runs):
    runs.sim.bodies[(MIDNIGHT + STEP).isoformat()] = b"<html>"
    for _ in range(2):
        with pytest.raises(CorruptBundleError):
            runs.load(NOW)
    with runs.sync() as sync:
        found = status(sync, NOW, STEP)

    assert found.sync_point == MIDNIGHT + STEP
    assert found.waiting == steps(1)
    assert found.windows == 5


def test_when_no_window_can_be_had_not_all_are_asked_for(runs):
    runs.sim.events = lambda start, end: [b"<html>"]
    with pytest.raises(CorruptBundleError) as refused:
        runs.load(NOW + 30 * DAY, end=MIDNIGHT + 30 * DAY)
    assert str(refused.value).count("the bundle is a web page instead of events") == 5
    assert len(runs.sim.operations) < 20


def test_an_operation_that_never_ends_holds_up_its_own_window_only(runs):
    runs.sim.faults.add(Fault("never", "operation", match=MIDNIGHT.isoformat()))
    with pytest.raises(UnfinishedError, match=r"^2024-05-01 00:00 to 2024-05-01 06:00 UTC: FullStory has not finished"):
        runs.load(NOW, export_timeout="100ms")

    assert [row["BundleStartTime"] for row in runs.target.sync()] == [w.start for w in steps(1, 2, 3, 4, 5)]
    next(iter(job for job in runs.sim.operations.values() if job.stuck)).stuck = False
    runs.load(NOW)
    runs.expect(MIDNIGHT, END)
    assert len(runs.sim.operations) == 6  # it was paid for once


def test_links_that_never_work_hold_up_their_own_window_only(runs):
    runs.sim.faults.add(Fault("expired", "download", match=MIDNIGHT.isoformat(), times=None))
    with pytest.raises(LinkError, match=r"^2024-05-01 00:00 to 2024-05-01 06:00 UTC: the storage at"):
        runs.load(NOW)
    assert len(runs.target.sync()) == 5


def test_an_export_that_is_not_whole_is_asked_for_anew(runs):
    runs.sim.faults.add(Fault("truncate", "download", match=MIDNIGHT.isoformat()))
    with pytest.raises(CorruptBundleError):
        runs.load(NOW)
    runs.load(NOW)

    assert [start for start, _ in runs.sim.created()].count(MIDNIGHT) == 2
    runs.expect(MIDNIGHT, END)


def test_a_fullstory_that_does_not_answer_is_a_reason_to_try_again_later(runs):
    runs.sim.faults.add(Fault("status", "create", match=(MIDNIGHT + STEP).isoformat(), times=None, status=503))
    with pytest.raises(TransientError, match=r"^2024-05-01 06:00 to 2024-05-01 12:00 UTC: .*503"):
        runs.load(NOW)

    runs.expect(MIDNIGHT, MIDNIGHT + STEP)


# The Go hauser's tables


@in_sql
@pytest.mark.parametrize("with_loads", [False, True], ids=["alone", "beside dlt's own tables"])
def test_the_go_hausers_sync_table_is_continued(runs, with_loads):
    target = runs.target
    _as_go_left_it(target, MIDNIGHT + STEP)
    if with_loads:
        target.query(
            'CREATE TABLE "_dlt_loads" (load_id VARCHAR, schema_name VARCHAR, status BIGINT, '
            "inserted_at TIMESTAMPTZ, schema_version_hash VARCHAR)"
        )
    runs.load(NOW, start=MIDNIGHT + 4 * STEP, end=MIDNIGHT + 5 * STEP)
    told = runs.load(NOW)

    assert windows(told) == steps(1, 2, 3, 5)
    assert bare(target.rows()) == bare(as_rows(runs.sim.rows(MIDNIGHT + STEP, END)))
    assert len(target.sync()) == 1 + 5
    target.query(f"""DELETE FROM "fs_sync" WHERE "BundleEndTime" > '{MIDNIGHT + STEP}'""")
    assert windows(runs.load(NOW)) == steps(1, 2, 3, 4, 5)
    assert bare(target.rows()) == bare(as_rows(runs.sim.rows(MIDNIGHT + STEP, END)))


def _as_go_left_it(target: Target, sync_point: Any) -> None:
    schema = f'CREATE SCHEMA "{target.dataset}"'
    if target.kind == "duckdb":
        with duckdb.connect(str(target.database)) as connection:
            connection.execute(schema)
    else:
        target.query(schema)
    target.query('CREATE TABLE "fs_sync" ("ID" BIGINT, "Processed" TIMESTAMPTZ, "BundleEndTime" TIMESTAMPTZ)')
    target.query(f"""INSERT INTO "fs_sync" VALUES (7, '{NOW}', '{sync_point}')""")


# Legacy data exports


@in_each_way
def test_legacy_bundles_are_loaded_by_their_ids(runs):
    runs.sim.now, runs.sim.bundle, runs.sim.downloads = END, STEP, None
    account = runs.sim.account
    runs.sim.events = lambda start, end: (
        event for event in account.events(start, end) if "EventTargetText" not in event
    )
    runs.settings |= {"api": "data_export", "base_url": runs.sim.export_url}
    runs.load(END)
    asked = len([request for request in runs.sim.requests if request.path.endswith("/get")])
    told = runs.load(END)

    assert told.packages == []
    assert len([request for request in runs.sim.requests if request.path.endswith("/get")]) == asked == 6
    runs.expect(MIDNIGHT, END)
    ids = [row["ID"] for row in runs.target.sync()]
    assert len(set(ids)) == 6
    assert all(later - earlier == STEP.total_seconds() for earlier, later in pairwise(ids))
    assert "PageAgent" not in set().union(*runs.target.rows())


@pytest.mark.parametrize("target", ["duckdb"], indirect=True)
def test_legacy_bundles_are_loaded_once_they_are_listed_and_no_setting_holds_them_back(runs):
    runs.sim.bundle, runs.sim.downloads = HOUR, None
    runs.sim.events = lambda start, end: [{"EventStart": start.isoformat(), "EventType": "click"}]
    runs.settings |= {"api": "data_export", "base_url": runs.sim.export_url, "export_delay": "72h"}
    runs.settings |= {"group_by_day": True, "refresh_for": "24h", "export_duration": "24h"}
    for hours in (4, 5.5, 5.9, 30):
        runs.sim.now = MIDNIGHT + hours * HOUR
        with runs.sync() as sync:
            plans = list(sync.plans(runs.sim.now))
        runs.load(runs.sim.now)
        assert [row["BundleStartTime"] for row in runs.target.sync()] == [
            MIDNIGHT + n * HOUR for n in range(int(hours))
        ]
        assert [plan.interval.end for plan in plans] == [MIDNIGHT + int(hours) * HOUR]

    before = len(runs.sim.requests)
    assert runs.load(MIDNIGHT + 60 * HOUR).packages == []  # nothing is loaded again when it is older
    assert [request.path for request in runs.sim.requests[before:]] == ["/api/v1/export/list"]


# Errors of the destination


def refusal(runs: Runs) -> HauserError:
    """Return the error that a run ends with, which must be one line without secrets."""
    with pytest.raises(HauserError) as refused:
        runs.load(NOW)
    text = str(refused.value)
    assert "\n" not in text
    assert "s3cret" not in text
    return refused.value


class Elsewhere:
    """A target that is told other settings than the good ones."""

    def __init__(self, destination: str, **settings: Any) -> None:
        self._settings = {"hauser": {"destination": destination}, "destination": {destination: settings}}

    def settings(self) -> dict[str, Any]:
        """Return what a run is told."""
        return self._settings


@pytest.mark.parametrize(
    ("credentials", "kind", "said"),
    [
        ("postgresql://loader:wrong-s3cret@127.0.0.1:{port}/postgres", ConfigError, "password authentication failed"),
        ("postgresql://loader:pg-s3cret@127.0.0.1:{port}/nowhere", ConfigError, '"nowhere" does not exist'),
        ("postgresql://loader:pg-s3cret@127.0.0.1:{free}/postgres", TransientError, "refused"),
        ("postgresql://loader:pg-s3cret@127.0.0.1:port/postgres", ConfigError, "are no address of the form"),
        ("", ConfigError, "credentials"),
    ],
    ids=["wrong password", "no such database", "server down", "no port", "nothing"],
)
def test_a_postgres_that_cannot_be_used_is_one_line(runs, server, credentials, kind, said):
    where = {"credentials": credentials.format(port=server.port, free=free_port())} if credentials else {}
    runs.target = Elsewhere("postgres", **where)

    error = refusal(runs)
    assert type(error) is kind
    assert said in str(error)


def test_a_postgres_that_goes_away_during_a_run_is_a_reason_to_try_again(runs, tmp_path):
    with ExitStack() as alive:
        runs.target = Target("postgres", tmp_path, "fs", alive.enter_context(postgres()).dsn())
        runs.load(NOW - DAY)
        with runs.sync() as sync:
            plan = sync.plan(NOW)
            told = Told()
            told.read = lambda window, tally: alive.close()  # the events are read, the load has not begun
            with pytest.raises(TransientError, match="connection"):
                sync.run(plan, told)


def test_a_duckdb_file_that_another_process_has_open_is_a_reason_to_try_again(runs):
    with duckdb.connect(str(runs.target.database)):
        done = runs.command("run")
        _, said = done.communicate(timeout=PATIENCE)

    assert done.returncode == 75
    assert "Could not set lock on file" in said


def test_a_duckdb_file_is_free_while_fullstory_prepares_an_export(runs):
    runs.sim.prepare = 1000
    until = time.monotonic() + PATIENCE
    told = Told()
    looks: list[int] = []

    def inspect() -> None:
        with suppress(duckdb.Error), duckdb.connect(str(runs.target.database), read_only=True) as connection:
            looks.extend(connection.sql(f"SELECT count(*) FROM {runs.target.dataset}.fs_sync").fetchone())

    def pause(seconds: float) -> None:
        if not seconds:
            return
        if told.packages:
            inspect()
        done = bool(looks) or time.monotonic() > until
        for job in list(runs.sim.operations.values()):
            job.ready = 0 if done or job.start < MIDNIGHT + DAY else job.ready
        time.sleep(0.01)

    with Sync.open(runs.configuration(), pause) as sync:
        sync.run(sync.plan(NOW), told)
    assert looks
    assert looks[0] == 4
    runs.expect(MIDNIGHT, END)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("fullstory.duckdb", "named like its dataset"),
        ("no/folder/x.duckdb", "x.duckdb is not there: make it"),
        ("junk", "not a valid"),
    ],
)
def test_a_duckdb_file_that_cannot_be_one_is_a_matter_of_settings(runs, tmp_path, file, said):
    (tmp_path / "junk").write_text("no database at all, is it? " * 100)
    runs.target = Elsewhere("duckdb", credentials=str(tmp_path / file))

    error = refusal(runs)
    assert type(error) is ConfigError
    assert said in str(error)


def test_a_file_where_a_folder_should_be_is_refused(runs, tmp_path):
    (tmp_path / "taken").touch()
    runs.target = Elsewhere("filesystem", bucket_url=str(tmp_path / "taken"))

    error = refusal(runs)
    assert type(error) is ConfigError
    assert "taken is not a folder: choose another bucket_url" in str(error)


@pytest.mark.parametrize(
    ("destination", "said"),
    [("filesystem", "bucket_url is missing"), ("oracel", "'oracel'"), ("dummy", "neither files nor tables")],
)
def test_a_destination_that_is_none_is_a_matter_of_settings(runs, destination, said):
    runs.target = Elsewhere(destination)

    error = refusal(runs)
    assert type(error) is ConfigError
    assert said in str(error)


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
def test_what_dlt_remembers_of_a_run_does_not_grow_with_its_packages(runs):
    with runs.sync() as sync:
        steps = []
        for _ in range(2):
            told = Told()
            sync.run(sync.plan(NOW, end=MIDNIGHT + DAY if not steps else None), told)
            steps.append([step.step for step in sync.pipeline.last_trace.steps])
        ((extracted, *_),) = sync.pipeline.last_trace.last_extract_info.metrics.values()
    assert steps[0] == steps[1]
    noticed = extracted["resource_metrics"]["fs_export"].custom_metrics
    assert noticed == {"outside": 0, "misfits": dict(told.packages[0].tally.mismatches), "cut": {}}
