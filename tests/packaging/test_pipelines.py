"""The scripts in pipelines/ run as they stand, twice, from a folder of their own."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg2
import pyarrow.parquet
import pytest

PIPELINES = Path(__file__).parents[2] / "pipelines"
DATASET = "fullstory"


def from_duckdb(folder, places):
    with duckdb.connect(str(folder / "fullstory_to_duckdb.duckdb"), read_only=True) as connection:
        return connection.sql(f'SELECT "IndvId" FROM {DATASET}.fs_export').fetchall()


def from_files(folder, places):
    return pyarrow.parquet.read_table(folder / "exports" / DATASET / "fs_export")["IndvId"].to_pylist()


def from_s3(folder, places):
    fs = places("s3").fs()
    files = [path for path in fs.find(f"events/pipelines/{DATASET}/fs_export") if path.endswith(".parquet")]
    return [value for path in files for value in pyarrow.parquet.read_table(path, filesystem=fs)["IndvId"].to_pylist()]


def by_psycopg2(dsn):
    connection = psycopg2.connect(dsn)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {DATASET}.fs_export")
            return cursor.fetchall()
    finally:
        connection.close()


def from_postgres(folder, places):
    return by_psycopg2(places("server").dsn())


def from_redshift(folder, places):
    return by_psycopg2(places("redshift_server").dsn())


def from_bigquery(folder, places):
    client = places("bigquery").client()
    return list(client.query_and_wait(f"SELECT IndvId FROM {DATASET}.fs_export"))


def from_snowflake(folder, places):
    import snowflake.connector  # noqa: PLC0415 - it takes a while

    at = places("snowflake_server")
    where = {"host": "127.0.0.1", "port": at.port, "protocol": "http", "account": "emulated"}
    login = {"user": at.user, "password": at.password, "database": at.database}
    with snowflake.connector.connect(**where, **login) as connection, connection.cursor() as cursor:
        return cursor.execute(f"SELECT IndvId FROM {DATASET}.fs_export").fetchall()


def to_files(places):
    return {"DESTINATION__FILESYSTEM__BUCKET_URL": "exports"}


def to_s3(places):
    keys = places("s3").credentials()
    named = {f"DESTINATION__FILESYSTEM__CREDENTIALS__{name.upper()}": value for name, value in keys.items()}
    return named | {"DESTINATION__FILESYSTEM__BUCKET_URL": "s3://events/pipelines"}


def to_postgres(places):
    return {"DESTINATION__POSTGRES__CREDENTIALS": places("server").dsn()}


def to_redshift(places):
    return to_s3(places) | {
        "DESTINATION__REDSHIFT__CREDENTIALS": places("redshift_server").dsn(),
        "DESTINATION__FILESYSTEM__BUCKET_URL": "s3://events/staged",
    }


def to_bigquery(places):
    at = places("bigquery")
    plain = {"NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true"}  # the emulator does not unpack what is uploaded
    return at.environ() | plain | {"DESTINATION__BIGQUERY__PROJECT_ID": at.project}


def to_snowflake(places):
    at = places("snowflake_server")
    where = f"host=127.0.0.1&port={at.port}&protocol=http&warehouse={at.warehouse}"
    return {
        "DESTINATION__SNOWFLAKE__CREDENTIALS": f"snowflake://{at.user}:{at.password}@emulated/{at.database}?{where}"
    }


PLACES = {
    "fullstory_to_bigquery": (to_bigquery, from_bigquery),
    "fullstory_to_duckdb": (lambda places: {}, from_duckdb),
    "fullstory_to_files": (to_files, from_files),
    "fullstory_to_postgres": (to_postgres, from_postgres),
    "fullstory_to_redshift": (to_redshift, from_redshift),
    "fullstory_to_s3": (to_s3, from_s3),
    "fullstory_to_snowflake": (to_snowflake, from_snowflake),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in PIPELINES.glob("fullstory_to_*.py")))
def test_a_pipeline_loads_what_is_ready_and_then_nothing_more(name, sim, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULLSTORY_API_TOKEN", sim.token)
    monkeypatch.setenv("SOURCES__FULLSTORY__BASE_URL", sim.url)
    monkeypatch.setenv("SOURCES__FULLSTORY__START_TIME", (datetime.now(UTC) - timedelta(days=2)).isoformat())
    settings, rows = PLACES[name]
    for key, value in settings(request.getfixturevalue).items():
        monkeypatch.setenv(key, value)

    for _ in range(2):
        subprocess.run([sys.executable, PIPELINES / f"{name}.py"], check=True, stdout=subprocess.PIPE)
        assert len(rows(tmp_path, request.getfixturevalue)) == sum(
            1 for start, end in sim.created() for _ in sim.account.events(start, end)
        )
    assert len(sim.created()) == len(set(sim.created()))


def test_each_pipeline_is_short_and_uses_public_names_only():
    for path in PIPELINES.glob("fullstory_to_*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 25
        assert re.search(r"^from hauser_dlt import [a-z, ]*fullstory", text, re.MULTILINE)
        assert "hauser_dlt." not in text
