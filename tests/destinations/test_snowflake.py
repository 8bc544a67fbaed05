"""Snowflake: names as it folds them, each value as it was sent, and nothing left in a stage."""

import json
from datetime import timedelta
from functools import partial

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

import hauser_dlt
from emulators.redshift import Fault
from hauser_dlt.errors import ConfigError, LoadError, TransientError
from hauser_dlt.fields import LOAD_ID
from hauser_dlt.reports.check import check
from support.crash import CrashScenario, start
from support.destinations import HOUR, MIDNIGHT, as_rows, bare
from support.snowflake import key_pair

DAY = timedelta(days=1)
EARLY = MIDNIGHT + DAY + 6 * HOUR  # one window has settled
NOW = MIDNIGHT + 2 * DAY + 12 * HOUR
SETTLED = NOW - DAY
MIB = 1 << 20

in_snowflake = pytest.mark.parametrize("target", ["snowflake"], indirect=True)
rarely = partial(pytest.param, marks=pytest.mark.slow)


def stored(target, kind="column"):
    """Return the names of a schema's tables, or of their columns, as they are stored."""
    view = {"column": "columns", "table": "tables"}[kind]
    found = target.query(
        f"SELECT {kind}_name AS name FROM information_schema.{view}"
        f" WHERE UPPER(table_schema) = '{target.dataset.upper()}'"
    )
    return {row["name"] for row in found}


@in_snowflake
def test_names_need_no_quotes(runs):
    runs.load(EARLY)

    names = stored(runs.target) | stored(runs.target, "table")
    assert {"FS_EXPORT", "EVENTSTART", "CUSTOMVARS", "_DLT_LOAD_ID"} <= names
    assert {name for name in names if name != name.upper()} == set()


@pytest.mark.slow
@in_snowflake
def test_a_window_is_loaded_again(runs):
    runs.load(NOW)
    before = {row[LOAD_ID] for row in runs.target.rows()}

    runs.reload(NOW, MIDNIGHT, MIDNIGHT + 6 * HOUR)

    runs.expect(MIDNIGHT, SETTLED)
    assert {row[LOAD_ID] for row in runs.target.rows()} - before
    assert runs.target.staged() == []


@in_snowflake
def test_tables_whose_names_somebody_has_quoted_are_continued(runs):
    with runs.target.connection() as connection, connection.cursor() as cursor:
        for sql in (
            f'CREATE SCHEMA "{runs.target.dataset}"',
            f'CREATE TABLE "{runs.target.dataset}"."fs_export" ("EventStart" TIMESTAMP_LTZ, "mine" INT, "UserId" INT)',
            f'CREATE TABLE "{runs.target.dataset}"."fs_sync" ("ID" NUMBER, "BundleEndTime" TIMESTAMP_LTZ)',
            f'INSERT INTO "{runs.target.dataset}"."fs_sync" VALUES (-1, \'{MIDNIGHT:%Y-%m-%d %H:%M:%S}\')',
        ):
            cursor.execute(sql)

    runs.load(NOW)
    runs.load(NOW + 6 * HOUR)

    tables = stored(runs.target, "table")
    assert {"fs_export", "fs_sync"} <= tables
    assert not {"FS_EXPORT", "FS_SYNC"} & tables
    assert {"EventStart", "UserId", "mine"} <= stored(runs.target)
    assert not {"EVENTSTART", "USERID", "MINE"} & stored(runs.target)
    with runs.target.connection() as connection, connection.cursor() as cursor:
        cursor.execute(f'SELECT COUNT("EventStart"), COUNT(DISTINCT "UserId") FROM "{runs.target.dataset}"."fs_export"')
        sent = list(runs.sim.rows(MIDNIGHT, SETTLED + 6 * HOUR))
        assert cursor.fetchall() == [(len(sent), len({row["UserId"] for row in sent}))]


@in_snowflake
def test_two_spellings_of_a_column_are_refused(runs):
    runs.target.query(f"CREATE SCHEMA {runs.target.dataset}")
    with runs.target.connection() as connection, connection.cursor() as cursor:
        cursor.execute('CREATE TABLE fs_export (eventstart TIMESTAMP_LTZ, "EventStart" TIMESTAMP_LTZ)')

    with pytest.raises(LoadError, match=r"(?i)EventStart and EventStart differ only in case"):
        runs.load(EARLY)
    assert runs.sim.created() == []


@in_snowflake
@pytest.mark.parametrize(
    "fault",
    [
        rarely(Fault("^COPY.*FS_EXPORT", "after", "drop")),
        Fault("^COMMIT", "after", "drop", skip=2),
        rarely(Fault("^REMOVE", "after", "drop")),
    ],
    ids=lambda fault: fault.match,
)
def test_a_file_whose_answer_was_lost_is_not_loaded_twice(runs, fault):
    runs.target.server.faults.append(fault)

    runs.load(NOW)

    assert runs.target.server.faults == []
    runs.expect(MIDNIGHT, SETTLED)
    assert runs.target.staged() == []


@in_snowflake
def test_texts_stay_what_they_are(runs):
    moment = MIDNIGHT.isoformat()
    texts = ["\\N", "", "NULL", " x ", "'", '"', "a\\b\n\t", "ü" * 100, "a,b", "\u2028", "😀"]
    runs.sim.events = lambda start, end: (
        [{"EventStart": moment, "EventType": text, "evt_a_str": text} for text in texts] if start == MIDNIGHT else ()
    )

    runs.load(EARLY)

    rows = runs.target.rows()
    assert sorted(row["EventType"] for row in rows) == sorted(texts)
    assert sorted(json.loads(row["CustomVars"])["evt_a_str"] for row in rows) == sorted(texts)


@pytest.mark.slow
@in_snowflake
def test_a_text_of_16_mib_fits_and_a_longer_one_is_truncated(runs):
    sizes = {"a": 16 * MIB, "b": 16 * MIB + 1}
    runs.sim.events = lambda start, end: (
        [
            {"EventStart": MIDNIGHT.isoformat(), "EventType": name, "EventTargetText": "x" * size}
            for name, size in sizes.items()
        ]
        if start == MIDNIGHT
        else ()
    )

    told = runs.load(EARLY)

    assert {row["EventType"]: len(row["EventTargetText"]) for row in runs.target.rows()} == dict.fromkeys(
        "ab", 16 * MIB
    )
    assert dict(told.packages[0].tally.truncated) == {"EventTargetText": 1}


@pytest.mark.slow
@in_snowflake
def test_backfills_side_by_side_do_not_lose_each_others_events(runs):
    days = [(MIDNIGHT + number * DAY, MIDNIGHT + (number + 1) * DAY) for number in range(3)]
    processes = [start(CrashScenario(runs.nested(), MIDNIGHT + 5 * DAY, span=day)) for day in days]
    for process in processes:
        process.join(120)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert bare(runs.target.rows()) == bare(as_rows(runs.sim.rows(MIDNIGHT, MIDNIGHT + 3 * DAY)))
    runs.target.expect_order()
    assert runs.target.staged() == []


@in_snowflake
def test_a_table_is_clustered_by_day_when_that_is_set(runs):
    runs.load(EARLY, **{"destination.snowflake.cluster_by_day": True})
    assert runs.target.server.cluster_keys.pop("FS_EXPORT") == ['TO_DATE("EVENTSTART")']


@pytest.mark.slow
@in_snowflake
def test_the_clustering_of_an_existing_table_is_left_alone(runs):
    runs.load(EARLY)
    assert "FS_EXPORT" not in runs.target.server.cluster_keys
    runs.target.query("ALTER TABLE fs_export CLUSTER BY (eventtype)")
    runs.sim.extra_events.append({"EventStart": (MIDNIGHT + 6 * HOUR).isoformat(), "EventNewField": "1"})

    runs.load(EARLY + 6 * HOUR, **{"destination.snowflake.cluster_by_day": True})

    assert "EVENTNEWFIELD" in stored(runs.target)
    assert runs.target.server.cluster_keys.pop("FS_EXPORT") == ["eventtype"]


@in_snowflake
def test_a_key_pair_may_stand_for_the_password(runs):
    private, public = key_pair("pass phrase")
    at = "destination.snowflake.credentials"
    login = {
        f"{at}.password": None,
        f"{at}.private_key": private,
        f"{at}.private_key_passphrase": "pass phrase",
    }
    runs.target.server.public_key = public

    runs.load(EARLY, **login)
    runs.expect(MIDNIGHT, MIDNIGHT + 6 * HOUR)

    runs.target.server.public_key = ""
    with pytest.raises(ConfigError, match="credentials") as raised:
        runs.load(EARLY + 6 * HOUR, **login)
    assert "PRIVATE" not in str(raised.value)


@in_snowflake
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"credentials.password": "wr0ng"}, ConfigError, "(?i)password.*credentials"),
        ({"credentials.database": "NODB"}, ConfigError, "database"),
        ({"credentials.query.port": "9", "credentials.query.login_timeout": 2}, TransientError, "refused"),
        ({"stage_name": "nowhere"}, LoadError, "(?i)stage 'nowhere'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_wrong_setting_is_one_line_that_says_what_to_do(runs, wrong, error, says):
    with pytest.raises(error, match=says) as raised:
        runs.load(EARLY, **{f"destination.snowflake.{name}": value for name, value in wrong.items()})
    assert "\n" not in str(raised.value)
    assert "wr0ng" not in str(raised.value)
    assert runs.target.server.password not in str(raised.value)


@in_snowflake
def test_sessions_wait_for_locks_a_while_and_end_what_they_have_begun_if_their_process_dies(runs):
    begin = len(runs.target.server.logins)

    runs.load(EARLY, **{"destination.snowflake.credentials.query.session_parameters": {"QUERY_TAG": "hauser"}})

    told = runs.target.server.logins[begin:]
    assert {(each["LOCK_TIMEOUT"], each["ABORT_DETACHED_QUERY"], each["TIMEZONE"]) for each in told} == {
        (900, True, "UTC")
    }
    assert {each["QUERY_TAG"] for each in told} == {"hauser"}


@in_snowflake
def test_a_missing_warehouse_is_named(runs, monkeypatch):
    monkeypatch.setattr(runs.target.server, "warehouse", "")
    with pytest.raises(ConfigError, match="set warehouse"):
        runs.load(EARLY)


@pytest.mark.slow
@in_snowflake
@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault("^DELETE.*PENDING", what="error", sqlstate="625", message="the lock was kept"), TransientError, "lock"),
        rarely(
            Fault("^COPY.*FS_EXPORT", "after", "error", sqlstate="604", message="canceled"), TransientError, "canceled"
        ),
        rarely(
            Fault("^COMMIT", "after", "error", sqlstate="604", message="canceled", skip=3), TransientError, "canceled"
        ),
        rarely(
            Fault("^CREATE SCHEMA", what="error", sqlstate="3001", message="Insufficient privileges"),
            LoadError,
            "right",
        ),
    ],
    ids=lambda value: getattr(value, "match", None),
)
def test_a_bad_moment_is_one_line_and_loses_nothing(runs, fault, error, says):
    runs.target.server.faults.append(fault)
    with pytest.raises(error, match=says) as raised:
        runs.load(NOW)
    assert "\n" not in str(raised.value)
    assert runs.target.server.faults == []

    runs.load(NOW)
    runs.expect(MIDNIGHT, SETTLED)


@in_snowflake
def test_check_tells_where_files_are_staged_and_which_rights_are_not_told(runs):
    runs.load(EARLY)
    role = f"('{runs.target.dataset.upper()}', 'FS_EXPORT', 'LOADING', 'SELECT')"
    told = dict(check(runs.configuration(), lambda _: None))
    assert told["staging"].startswith("@~/hauser_dlt_staging: reachable and writable")
    assert "roles" not in told["fs_export"]

    runs.target.server.execute(f"INSERT INTO _emulator.privileges VALUES {role}")
    told = dict(check(runs.configuration(), lambda _: None))
    assert "whether the loader's roles give it all rights was not told" in told["fs_export"]


@pytest.mark.slow
@in_snowflake
def test_a_script_of_ones_own_loads_exactly_too(runs):
    runs.configuration()
    to = hauser_dlt.snowflake(credentials=runs.target.server.credentials())
    pipeline = dlt.pipeline("script", destination=to, dataset_name=runs.target.dataset)

    pipeline.run(hauser_dlt.fullstory(end_time=MIDNIGHT + 12 * HOUR))

    assert bare(runs.target.rows()) == bare(as_rows(runs.sim.rows(MIDNIGHT, MIDNIGHT + 12 * HOUR)))
    assert {name for name in stored(runs.target) if name != name.upper()} == set()
    assert runs.target.staged() == []


@in_snowflake
def test_a_job_that_a_script_runs_once_more_loads_nothing_twice(runs):
    runs.configuration()
    at = runs.target.server
    pipeline = dlt.pipeline(
        "again", destination=hauser_dlt.snowflake(credentials=at.credentials()), dataset_name=runs.target.dataset
    )
    at.faults.append(Fault("^COMMIT", "after", "error", sqlstate="604", message="canceled", skip=1))  # the first COPY's
    with pytest.raises(PipelineStepFailed):
        pipeline.run(hauser_dlt.fullstory(end_time=MIDNIGHT + 6 * HOUR))
    assert at.faults == []

    pipeline.load()

    assert bare(runs.target.rows()) == bare(as_rows(runs.sim.rows(MIDNIGHT, MIDNIGHT + 6 * HOUR)))
    assert len(runs.target.sync()) == len(runs.target.query("SELECT * FROM _dlt_pipeline_state")) == 1
