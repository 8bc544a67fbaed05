"""Redshift and BigQuery: every row exact, on tables of any origin, with nothing left in the bucket."""

import json
from datetime import timedelta
from functools import partial

import dlt
import pytest
import s3fs

import hauser_dlt
from emulators.faulty import Fault as Bad
from emulators.redshift import Fault
from hauser_dlt.errors import ConfigError, HauserError, LoadError, TransientError
from hauser_dlt.fields import CUSTOM_TOKENS, KNOWN, LOAD_ID
from hauser_dlt.simulator.bodies import keeper
from support.destinations import HOUR, MIDNIGHT, as_rows, bare
from support.shell import Shell

DAY = timedelta(days=1)
NOW = MIDNIGHT + 2 * DAY + 12 * HOUR  # with the delay of a day, a day and a half has settled: two packages
SETTLED = NOW - DAY
EARLY = MIDNIGHT + DAY + 6 * HOUR  # one window has settled

in_warehouses = pytest.mark.parametrize("target", ["redshift", "bigquery", "snowflake"], indirect=True)
also_in_bigquery = pytest.mark.parametrize(
    "target",
    ["redshift", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("bigquery", "snowflake"))],
    indirect=True,
)
by_bucket = pytest.mark.parametrize(
    "target", ["redshift", pytest.param("bigquery-staged", marks=pytest.mark.slow)], indirect=True
)
in_bigquery = pytest.mark.parametrize("target", ["bigquery"], indirect=True)
rarely = partial(pytest.param, marks=pytest.mark.slow)
in_redshift = pytest.mark.parametrize("target", ["redshift"], indirect=True)


@in_warehouses
def test_every_row_is_exact_and_the_bucket_is_left_empty(runs):
    runs.load(NOW)
    runs.expect(MIDNIGHT, SETTLED)
    assert runs.target.staged() == []

    asked = len(runs.sim.requests)
    runs.load(NOW)
    assert len(runs.sim.requests) == asked

    runs.load(NOW + 6 * HOUR)
    runs.expect(MIDNIGHT, SETTLED + 6 * HOUR)


@by_bucket
def test_hausers_configuration_is_enough(runs, target, tmp_path):
    shell = Shell(tmp_path, runs.sim)
    shell.environ = {k: v for k, v in shell.environ.items() if not k.startswith(("FULLSTORY", "SOURCES"))}
    (tmp_path / "hauser.toml").write_text(target.hauser_toml(runs.sim))

    assert "staging" in shell("check", "-c", "hauser.toml", **target.environ())
    assert runs.sim.created() == []
    shell("run", "-c", "hauser.toml", "--start", f"{MIDNIGHT}", "--end", f"{MIDNIGHT + DAY}", **target.environ())

    keep = keeper([*KNOWN, *CUSTOM_TOKENS])
    assert bare(target.rows()) == bare(as_rows(map(keep, runs.sim.rows(MIDNIGHT, MIDNIGHT + DAY))))
    assert target.staged() == []


@in_warehouses
def test_tables_of_the_go_hauser_are_continued_with_the_users_columns_in_them(runs):
    target = runs.target
    target.make_hausers_tables()
    before = target.columns()

    runs.load(EARLY)
    runs.load(EARLY + 12 * HOUR)

    rows = [target.canonical(row) for row in target.rows()]
    assert [row["EventType"] for row in rows if LOAD_ID not in row] == ["loaded"]  # and what was half loaded is gone
    loaded = [row for row in rows if LOAD_ID in row]
    assert {row.pop("mine", None) for row in loaded} == {target.default_of_mine}
    assert bare(loaded) == bare(as_rows(runs.sim.rows(MIDNIGHT, MIDNIGHT + 18 * HOUR)))
    assert target.columns()[: len(before)] == before
    assert "PageUserAgent" not in {target.spelled(name) for name in target.columns()}
    assert target.sync()[0]["BundleEndTime"].replace(tzinfo=None) == MIDNIGHT.replace(tzinfo=None)


@pytest.mark.slow
@in_bigquery
def test_a_script_of_ones_own_finds_columns_in_any_case_too(runs):
    runs.target.make_hausers_tables()
    runs.configuration()
    to = hauser_dlt.bigquery(project_id=runs.target.server.project)
    pipeline = dlt.pipeline("script", destination=to, dataset_name=runs.target.dataset)

    pipeline.run(hauser_dlt.fullstory(end_time=MIDNIGHT + 6 * HOUR))

    loaded = [row for row in runs.target.rows() if LOAD_ID in row]
    assert bare(loaded) == bare(as_rows(runs.sim.rows(MIDNIGHT, MIDNIGHT + 6 * HOUR)))


@in_bigquery
def test_a_table_that_is_partitioned_by_ingestion_gets_each_event_into_its_day(runs):
    runs.target.make_hausers_tables()
    late = {"EventStart": (MIDNIGHT + 30 * HOUR).isoformat(), "EventType": "of the next day"}
    runs.sim.events = lambda start, end: [{"EventStart": start.isoformat()}, late] if start == MIDNIGHT else ()

    runs.load(EARLY, event_scope="sessions")

    days = "SELECT eventtype, DATE(_PARTITIONTIME) AS day, DATE(eventstart) AS event FROM fs_export"
    found = runs.target.query(days)
    assert len(found) == 3
    assert all(row["day"] == row["event"] for row in found)


@in_bigquery
def test_new_tables_are_partitioned_by_the_events_day_clustered_and_kept_for_ever(runs):
    runs.load(EARLY)

    table = runs.target.table()
    assert (table.time_partitioning.type_, table.time_partitioning.field) == ("DAY", "EventStart")
    assert table.time_partitioning.expiration_ms is None
    assert table.clustering_fields == ["EventType", "UserId", "SessionId"]


@pytest.mark.slow
@in_bigquery
def test_the_days_of_a_table_expire_when_that_is_set_and_then_also_later(runs):
    runs.load(EARLY, **{"destination.bigquery.partition_expiration": "72000h"})
    assert runs.target.table().time_partitioning.expiration_ms == 3000 * DAY / timedelta(milliseconds=1)

    runs.load(EARLY + 6 * HOUR, **{"destination.bigquery.partition_expiration": "4000d"})
    assert runs.target.table().time_partitioning.expiration_ms == 4000 * DAY / timedelta(milliseconds=1)
    runs.load(EARLY + 6 * HOUR)
    assert runs.target.table().time_partitioning.expiration_ms == 4000 * DAY / timedelta(milliseconds=1)


@also_in_bigquery
def test_an_unknown_field_becomes_a_column_without_a_release(runs):
    runs.load(EARLY)
    field = {"EventStart": (MIDNIGHT + 6 * HOUR).isoformat(), "EventType": "seen", "EventTimeToFirstByte": "12.50"}
    runs.sim.extra_events.append(field)

    runs.load(EARLY + 6 * HOUR)

    column = runs.target.columns()[-1]
    assert column.lower() == "eventtimetofirstbyte"
    assert [row[column] for row in runs.target.rows() if column in row] == ["12.50"]


@in_redshift
def test_text_is_cut_at_the_columns_bytes_and_custom_vars_stay_json(runs):
    odd = {
        "EventStart": MIDNIGHT.isoformat(),
        "EventTargetText": "ü" * 40_000,
        "evt_long_str": "x" * 80_000,
        "evt_price_real": 1.5,
        "acct_adminDisabled_bool": False,
    }
    runs.sim.events = lambda start, end: [odd] if start == MIDNIGHT else ()

    told = runs.load(NOW)

    (row,) = runs.target.rows()
    assert row["EventTargetText"] == "ü" * 32_767
    custom = json.loads(row["CustomVars"])
    assert custom["_truncated"] == ["evt_long_str"]
    assert custom["evt_price_real"] == 1.5
    assert len(row["CustomVars"].encode()) <= 65_535
    assert [dict(package.tally.truncated) for package in told.packages if package.tally.truncated] == [
        {"EventTargetText": 1, "CustomVars": 1}
    ]
    disabled = "JSON_EXTRACT_PATH_TEXT(CustomVars, 'acct_adminDisabled_bool') = 'false'"
    assert runs.target.query(f"SELECT count(*) AS n FROM fs_export WHERE {disabled}") == [{"n": 1}]


@in_redshift
def test_text_is_cut_at_the_bytes_that_the_settings_name(runs):
    runs.sim.events = lambda start, end: (
        [{"EventStart": MIDNIGHT.isoformat(), "EventTargetText": "ü" * 40}] * (start == MIDNIGHT)
    )

    runs.load(EARLY, **{"destination.redshift.varchar_max": 21})

    assert [row["EventTargetText"] for row in runs.target.rows()] == ["ü" * 10]


@in_redshift
def test_new_tables_are_sorted_by_the_events_time(runs):
    runs.load(NOW)

    assert runs.target.server.sort_keys[f"{runs.target.dataset}.fs_export"] == ["eventstart"]


@in_redshift
def test_a_schema_may_be_found_on_the_search_path(runs):
    runs.target.make_hausers_tables()
    at = {"destination.redshift.credentials.query.options": f"-csearch_path=nowhere,{runs.target.dataset},public"}

    runs.settings |= {"dataset_name": "search_path"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGOPTIONS", at.popitem()[1])
        runs.load(NOW)

    assert len(runs.target.rows()) == 1 + sum(1 for _ in runs.sim.rows(MIDNIGHT, SETTLED))


@in_redshift
def test_a_role_may_read_the_bucket_in_the_keys_place(runs):
    server, role = runs.target.server, "arn:aws:iam::123456789012:role/copy"
    server.roles[role] = (runs.target.s3.access_key, runs.target.s3.secret_key)
    begin = len(server.statements)

    runs.load(NOW, **{"destination.redshift.staging_iam_role": role})

    runs.expect(MIDNIGHT, SETTLED)
    copies = [sql for sql in server.statements[begin:] if sql.startswith("COPY")]
    assert copies
    assert all(f"IAM_ROLE '{role}'" in sql for sql in copies)


@in_redshift
@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault("^COPY.*fs_export", what="drop"), TransientError, "connection"),
        rarely(Fault("^COPY.*fs_export", "after", "drop"), TransientError, "connection"),
        (Fault("^COMMIT", "after", "drop", skip=3), TransientError, "connection"),
        (Fault("^COPY", what="error", sqlstate="53100", message="Disk Full"), TransientError, "make room"),
        rarely(Fault("^COPY", what="error", sqlstate="55P03", message="could not obtain lock"), TransientError, "lock"),
        (Fault("^DELETE.*pending", what="error", sqlstate="55P03", message="lock timeout"), TransientError, "lock"),
        rarely(Fault("^INSERT.*_dlt_loads", "after", "drop"), TransientError, "connection"),
        rarely(
            Fault("^CREATE SCHEMA", what="error", sqlstate="42501", message="permission denied"), LoadError, "the right"
        ),
    ],
    ids=lambda value: getattr(value, "match", None),
)
def test_a_bad_moment_is_one_line_and_loses_nothing(runs, fault, error, says):
    runs.target.server.faults.append(fault)
    with pytest.raises(error, match=says) as raised:
        runs.load(NOW)
    assert "\n" not in str(raised.value)
    assert runs.target.s3.secret_key not in str(raised.value)
    assert runs.target.server.faults == []

    runs.load(NOW)
    runs.expect(MIDNIGHT, SETTLED)
    assert runs.target.staged() == []


@in_redshift
@pytest.mark.parametrize(
    "fault",
    [
        rarely(Bad("^PUT .*hauser_dlt_staging.*fs_sync", "error", reason="SlowDown", times=None)),
        Bad("^GET .*hauser_dlt_staging.*fs_sync", "drop", skip=2, times=None),
        rarely(Bad("^POST .*delete", "error", reason="SlowDown", times=None)),
    ],
    ids=["in the upload", "in COPY", "in the clean-up"],
)
def test_a_bucket_out_of_reach_in_the_middle_is_one_line_and_loses_nothing(runs, fault, monkeypatch):
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    runs.settings["destination.filesystem.kwargs"] = {"config_kwargs": {"retries": {"max_attempts": 0}}}
    runs.target.s3.faults.append(fault)
    with pytest.raises(HauserError) as raised:
        runs.load(EARLY)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, TransientError)
    assert fault.hits

    runs.target.s3.proxy.clear()
    runs.load(EARLY)
    runs.expect(MIDNIGHT, MIDNIGHT + 6 * HOUR)
    assert runs.target.staged() == []


@in_redshift
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"destination.redshift.credentials.password": "wr0ng"}, ConfigError, "authentication failed"),
        ({"destination.redshift.credentials.database": "nodb"}, ConfigError, "nodb"),
        ({"destination.redshift.credentials.port": 9}, TransientError, "connect"),
        ({"destination.filesystem.bucket_url": "s3://no-such-bucket/x"}, ConfigError, "bucket"),
        ({"destination.filesystem.credentials.aws_secret_access_key": "wr0ng"}, ConfigError, "credentials"),
        ({"destination.redshift.staging_iam_role": "arn:aws:iam::1:role/none"}, LoadError, "role"),
    ],
    ids=lambda value: next(iter(value)).rpartition(".")[2] if isinstance(value, dict) else None,
)
def test_a_wrong_setting_is_one_line_that_says_what_to_do(runs, wrong, error, says):
    with pytest.raises(error, match=f"(?i){says}") as raised:
        runs.load(EARLY, **wrong)
    assert "\n" not in str(raised.value)
    assert "wr0ng" not in str(raised.value)

    runs.load(EARLY)
    runs.expect(MIDNIGHT, MIDNIGHT + 6 * HOUR)


@in_redshift
def test_a_bucket_in_another_region_is_one_line(runs):
    bucket = runs.target.s3.bucket
    runs.target.server.elsewhere[bucket] = "eu-west-1"
    try:
        with pytest.raises(ConfigError, match="region"):
            runs.load(NOW)
    finally:
        del runs.target.server.elsewhere[bucket]
    runs.load(NOW)
    runs.expect(MIDNIGHT, SETTLED)


@in_warehouses
def test_a_column_of_an_incompatible_type_is_named_before_fullstory_is_asked(runs):
    runs.target.make_hausers_tables(wrong_type=True)

    with pytest.raises(LoadError, match=r"(?i)pageurl is of type bigint, and text is needed"):
        runs.load(NOW)
    assert runs.sim.created() == []


@also_in_bigquery
def test_a_not_null_column_of_the_users_is_named(runs):
    runs.target.make_hausers_tables(mandatory=True)
    with pytest.raises(LoadError, match=r"(?i)mandatory"):
        runs.load(EARLY)
    assert runs.sim.created() == []  # before FullStory is asked

    runs.target.drop("mandatory")
    runs.load(EARLY)
    assert len(runs.target.rows()) == 1 + sum(1 for _ in runs.sim.rows(MIDNIGHT, MIDNIGHT + 6 * HOUR))


@in_bigquery
def test_a_load_job_whose_answer_was_lost_is_found_again_and_loads_nothing_twice(runs):
    runs.target.server.faults.append(fault := Bad("(POST|PUT) .*/jobs", "drop", when="after", times=2))

    runs.load(EARLY)

    assert fault.hits == 2
    runs.expect(MIDNIGHT, MIDNIGHT + 6 * HOUR)


@in_bigquery
@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        pytest.param(
            Bad(
                "POST .*/jobs",
                "fail",
                reason="quotaExceeded",
                message="Quota exceeded: Your table exceeded quota for imports or query appends per table",
            ),
            TransientError,
            "(?i)quota",
            marks=pytest.mark.slow,
        ),
        (
            Bad("POST /upload.*/jobs", "fail", reason="backendError", message="Error encountered. Try again."),
            TransientError,
            "at present",
        ),
        pytest.param(
            Bad("POST .*/jobs", "error", status=403, reason="accessDenied", message="Access Denied: Table"),
            LoadError,
            "the right",
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: getattr(value, "reason", None) or getattr(value, "what", None),
)
def test_a_bad_moment_of_bigquery_is_one_line_and_loses_nothing(runs, fault, error, says):
    runs.target.server.faults.append(fault)
    with pytest.raises(error, match=says) as raised:
        runs.load(EARLY)
    assert "\n" not in str(raised.value)
    assert fault.hits

    runs.target.server.faults.clear()
    runs.load(EARLY)
    runs.expect(MIDNIGHT, MIDNIGHT + 6 * HOUR)
