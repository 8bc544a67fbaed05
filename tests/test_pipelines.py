"""The scripts in pipelines/ run as they stand, twice, from a folder of their own."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg2
import pyarrow.parquet
import pytest

PIPELINES = Path(__file__).parent.parent / "pipelines"
DATASET = "fullstory"


def from_duckdb(folder, server):
    with duckdb.connect(str(folder / "fullstory_to_duckdb.duckdb"), read_only=True) as connection:
        return connection.sql(f'SELECT "IndvId" FROM {DATASET}.fs_export').fetchall()


def from_files(folder, server):
    return pyarrow.parquet.read_table(folder / "exports" / DATASET / "fs_export")["IndvId"].to_pylist()


def from_postgres(folder, server):
    connection = psycopg2.connect(server)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT "IndvId" FROM {DATASET}.fs_export')
            return cursor.fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("name", sorted(path.stem for path in PIPELINES.glob("*.py")))
def test_a_pipeline_loads_what_is_ready_and_then_nothing_more(name, sim, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULLSTORY_API_TOKEN", sim.token)
    monkeypatch.setenv("SOURCES__FULLSTORY__BASE_URL", sim.url)
    monkeypatch.setenv("SOURCES__FULLSTORY__START_TIME", (datetime.now(UTC) - timedelta(days=2)).isoformat())
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "exports")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", server.dsn())
    read = {
        "fullstory_to_duckdb": from_duckdb,
        "fullstory_to_files": from_files,
        "fullstory_to_postgres": from_postgres,
    }[name]

    for _ in range(2):
        subprocess.run([sys.executable, PIPELINES / f"{name}.py"], check=True, stdout=subprocess.PIPE)
        assert len(read(tmp_path, server.dsn())) == sum(
            1 for start, end in sim.created() for _ in sim.account.events(start, end)
        )
    assert len(sim.created()) == len(set(sim.created()))


def test_each_pipeline_is_short_and_uses_public_names_only():
    for path in PIPELINES.glob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 25
        assert "from hauser_dlt import fullstory\n" in text
        assert "hauser_dlt." not in text
