"""`check` and `run` judge a destination by the same code, before FullStory is asked, and change nothing by that."""

from contextlib import contextmanager

import pytest

from hauser_dlt.errors import ConfigError, HauserError
from hauser_dlt.reports.check import check
from support.destinations import HOUR, MIDNIGHT

EARLY = MIDNIGHT + 30 * HOUR  # one window has settled
LIMITED = "limited"

in_postgres = pytest.mark.parametrize("target", ["postgres"], indirect=True)


def told(runs, **settings):
    """Return what `check` tells of the destination, as one text."""
    return "\n".join(f"{subject}: {found}" for subject, found in check(runs.configuration(**settings), lambda _: None))


def refused(runs, now, **settings):
    """Return the one sentence with which both refuse, before FullStory is asked for an export."""
    asked = len(runs.sim.created())
    with pytest.raises(HauserError) as by_run:
        runs.load(now, **settings)
    with pytest.raises(type(by_run.value)) as by_check:
        told(runs, **settings)
    assert str(by_check.value) == str(by_run.value)
    assert "\n" not in str(by_run.value)
    assert len(runs.sim.created()) == asked
    return str(by_run.value)


@pytest.fixture
def limited(runs):
    """The address of a Postgres user who may log in."""
    runs.target.query(f"CREATE ROLE {LIMITED} LOGIN PASSWORD 'x'")
    yield {"destination.postgres.credentials": runs.target.dsn.replace("loader:pg-s3cret", f"{LIMITED}:x")}
    runs.target.query(f"DROP OWNED BY {LIMITED}")
    runs.target.query(f"DROP ROLE {LIMITED}")


@contextmanager
def during(runs, before, after):
    for sql in filter(None, before.split(";")):
        runs.target.query(sql)
    yield
    for sql in filter(None, after.split(";")):
        runs.target.query(sql)


@in_postgres
def test_what_a_user_may_not_is_named_by_both_and_what_it_may_is_not(runs, limited):
    dataset = runs.target.dataset
    assert "may not make it" in refused(runs, EARLY, **limited)

    runs.target.query(f"CREATE SCHEMA {dataset}")
    assert f"permission denied for schema {dataset}" in refused(runs, EARLY, **limited)
    runs.target.query(f"GRANT USAGE ON SCHEMA {dataset} TO {LIMITED}")
    assert "needs CREATE on it, to make fs_export, fs_sync, fs_sync_pending, _dlt_loads" in refused(
        runs, EARLY, **limited
    )
    runs.target.query(f"GRANT CREATE ON SCHEMA {dataset} TO {LIMITED}")
    assert "would be created" in told(runs, **limited)
    runs.load(EARLY, **limited)

    runs.target.query(f"REVOKE CREATE ON SCHEMA {dataset} FROM {LIMITED}")
    runs.load(EARLY + 6 * HOUR, **limited)
    assert told(runs, **limited).count("fits") == 2
    for table, right in (
        ("fs_export", "DELETE"),
        ("fs_sync", "INSERT"),
        ("fs_sync_pending", "DELETE"),
        ("_dlt_loads", "INSERT"),
        ("_dlt_version", "INSERT"),
        ("_dlt_pipeline_state", "INSERT"),
    ):
        with during(runs, f"REVOKE {right} ON {table} FROM {LIMITED}", f"GRANT {right} ON {table} TO {LIMITED}"):
            assert f"table {table}: the loader's user needs {right}" in refused(runs, EARLY + 12 * HOUR, **limited)


@in_postgres
def test_columns_that_must_be_added_need_the_owner(runs, limited):
    runs.load(EARLY)
    runs.target.query(f"GRANT USAGE ON SCHEMA {runs.target.dataset} TO {LIMITED}")
    runs.target.query(f"GRANT ALL ON ALL TABLES IN SCHEMA {runs.target.dataset} TO {LIMITED}")

    assert "new fields cannot become columns" in told(runs, **limited)
    runs.load(EARLY + 6 * HOUR, **limited)

    wanted = limited | {"custom_columns": {"user_plan_str": "text"}}
    assert "table fs_export: the columns user_plan_str must be added" in refused(runs, EARLY + 12 * HOUR, **wanted)
    runs.target.query("ALTER TABLE fs_export ADD COLUMN user_plan_str TEXT")
    runs.load(EARLY + 12 * HOUR, **wanted)


def in_place_of(table, made):
    """Return what puts something in the place of a table, and what undoes it."""
    kind = made.partition(f" {table} ")[0].removeprefix("CREATE ")
    return (
        f"ALTER TABLE {table} RENAME TO other; {made}",
        f"DROP {kind} {table}; ALTER TABLE other RENAME TO {table}",
    )


SPOILERS = {
    "column mine is NOT NULL without a default": (
        "ALTER TABLE fs_export ADD mine INT NOT NULL DEFAULT 1; ALTER TABLE fs_export ALTER mine DROP DEFAULT",
        "ALTER TABLE fs_export DROP mine",
    ),
    "table fs_sync: it is a view": in_place_of("fs_sync", "CREATE VIEW fs_sync AS SELECT * FROM other"),
    "table fs_export: it is a view": in_place_of("fs_export", "CREATE VIEW fs_export AS SELECT * FROM other"),
    "it is a materialized view": in_place_of("fs_export", "CREATE MATERIALIZED VIEW fs_export AS SELECT * FROM other"),
    "it is an index": in_place_of("fs_export", "CREATE INDEX fs_export ON other (_dlt_load_id)"),
    "column ID is generated": (
        'ALTER TABLE fs_sync RENAME "ID" TO c; ALTER TABLE fs_sync ADD "ID" BIGINT GENERATED ALWAYS AS IDENTITY',
        'ALTER TABLE fs_sync DROP "ID"; ALTER TABLE fs_sync RENAME c TO "ID"',
    ),
}
HARMLESS = """
ALTER TABLE fs_export ADD a INT NOT NULL DEFAULT 1, ADD b SERIAL, ADD c INT GENERATED ALWAYS AS IDENTITY,
    ADD d BIGINT GENERATED BY DEFAULT AS IDENTITY, ADD e TEXT GENERATED ALWAYS AS (upper("PageUrl")) STORED,
    ADD "eventstart" TEXT, ADD PRIMARY KEY (b);
CREATE DOMAIN filled AS TEXT NOT NULL DEFAULT 'x';
ALTER TABLE fs_export ADD f filled;
CREATE INDEX plain ON fs_export (_dlt_load_id)"""


@in_postgres
def test_what_a_table_is_and_demands_is_named_by_both_and_what_loads_well_is_not(runs):
    runs.load(EARLY)
    for says, (before, after) in SPOILERS.items():
        with during(runs, before, after):
            assert says in refused(runs, EARLY + 6 * HOUR)
    runs.target.query(HARMLESS)
    assert "fs_export: fits\nfs_sync: fits\n" in told(runs)
    runs.load(EARLY + 6 * HOUR)
    assert len(runs.target.complete()) == 2

    runs.target.query('CREATE UNIQUE INDEX once ON fs_sync ("BundleEndTime")')
    assert "once allows no two rows with equal BundleEndTime" in told(runs)


@in_postgres
def test_a_database_that_takes_no_writes_and_its_own_schemas_are_named_by_both(runs):
    runs.load(EARLY)
    read_only = {"destination.postgres.credentials": f"{runs.target.dsn}?options=-cdefault_transaction_read_only%3Don"}
    assert "read-only" in refused(runs, EARLY + 6 * HOUR, **read_only)
    for dataset in ("pg_catalog", "information_schema", "pg_mine"):
        assert f"{dataset!r}: postgres keeps such names for itself" in refused(runs, EARLY, dataset_name=dataset)


def test_duckdbs_tables_are_judged_too(runs):
    with pytest.raises(ConfigError, match="duckdb keeps such names for itself"):
        runs.load(EARLY, dataset_name="information_schema")
    runs.load(EARLY)
    runs.target.query("ALTER TABLE fs_export ADD COLUMN a INT DEFAULT 1")
    assert "fits" in told(runs)
    runs.target.query("ALTER TABLE fs_export ALTER COLUMN a SET NOT NULL")
    runs.load(EARLY + 6 * HOUR)
    runs.target.query("ALTER TABLE fs_export ALTER COLUMN a DROP DEFAULT")
    assert "column a is NOT NULL without a default" in refused(runs, EARLY + 12 * HOUR)
    runs.target.query("ALTER TABLE fs_export RENAME TO e")
    runs.target.query("CREATE VIEW fs_export AS SELECT * FROM e")
    assert "table fs_export: it is a view" in refused(runs, EARLY + 12 * HOUR)


@pytest.mark.parametrize("target", ["duckdb", "postgres", "csv"], indirect=True)
def test_check_leaves_no_trace(runs):
    told(runs)
    if runs.target.into_files:
        assert not runs.target.out.exists()
    runs.load(EARLY)
    before = everything(runs.target)
    told(runs)
    assert everything(runs.target) == before


def test_a_lake_is_not_made_by_those_who_only_read(runs, tmp_path, monkeypatch):
    """DuckDB makes what it attaches, and a mistyped path is no wish for that."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    places = {"catalog": "sqlite:///lake.sqlite", "storage": {"bucket_url": "lake"}}
    for named in ({}, {"destination.ducklake.credentials": places}):
        lake = {"destination": "ducklake", **named}
        assert "destination: ducklake, " in (found := told(runs, **lake))
        assert ": reachable; would be created" in found
        assert list(tmp_path.joinpath("empty").iterdir()) == []


def everything(target):
    if target.into_files:
        return sorted((path, path.stat().st_mtime_ns) for path in target.out.rglob("*"))
    return target.query("SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2")


@pytest.mark.parametrize("target", ["redshift"], indirect=True)
def test_redshift_is_judged_by_its_own_catalog(runs):
    server, dataset = runs.target.server, runs.target.dataset
    runs.load(EARLY)
    runs.target.query(f"CREATE USER {LIMITED}2 PASSWORD 'Abcdefg1'")
    limited = {
        f"destination.redshift.credentials.{name}": value
        for name, value in (("username", f"{LIMITED}2"), ("password", "Abcdefg1"))
    }
    try:
        runs.target.query(f"GRANT USAGE ON SCHEMA {dataset} TO {LIMITED}2")
        for table in ("fs_export", "fs_sync", "fs_sync_pending", "_dlt_loads", "_dlt_version", "_dlt_pipeline_state"):
            runs.target.query(f"GRANT SELECT, INSERT, DELETE ON {table} TO {LIMITED}2")
        runs.load(EARLY + 6 * HOUR, **limited)
        assert told(runs, **limited).count("fits") == 2
        runs.target.query(f"REVOKE DELETE ON fs_export FROM {LIMITED}2")
        assert "table fs_export: the loader's user needs DELETE" in refused(runs, EARLY + 12 * HOUR, **limited)
        runs.target.query(f"GRANT DELETE ON fs_export TO {LIMITED}2")
        wanted = limited | {"custom_columns": {"user_plan_str": "text"}}
        assert "the columns user_plan_str must be added" in refused(runs, EARLY + 12 * HOUR, **wanted)
    finally:
        runs.target.query(f"REVOKE ALL ON ALL TABLES IN SCHEMA {dataset} FROM {LIMITED}2")
        runs.target.query(f"REVOKE ALL ON SCHEMA {dataset} FROM {LIMITED}2")
        runs.target.query(f"DROP USER {LIMITED}2")
    assert [sql for sql in server.statements if "_hauser_dlt_check" in sql] == []
    runs.target.query("ALTER TABLE fs_export RENAME TO other")
    runs.target.query("CREATE VIEW fs_export AS SELECT * FROM other")
    assert "table fs_export: it is a view" in refused(runs, EARLY + 12 * HOUR)
