"""Parquet goes into Postgres by COPY: every value arrives as it is."""

from datetime import UTC, datetime

import dlt
import psycopg2
import pyarrow as pa
import pytest

from hauser_dlt.destinations import postgres as destination
from hauser_dlt.destinations.postgres import ExactPostgres

TEXTS = [
    *(None, "", " ", "NULL", "null", "\\N", "\\.", "\n\\.\n", "\\", '"', '""', "'", ",", ";", "\t", "\r\n", "\n", "\r"),
    *('{"a": "b\\"c\\\\d", "e": [1.10, null]}', "=1+1", "\u2028", "日本語", "\U0001f600", "\ufeff", "x" * 3_000_000),
]
TIMES = [
    *(None, datetime(1, 1, 1, tzinfo=UTC), datetime(1883, 11, 18, 12, 3, 58, tzinfo=UTC)),
    *(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)),
    *(datetime(2024, 3, 31, 1, 30, 0, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
]
NUMBERS = [None, 0.0, -0.0, 0.1, 1e-320, 1.7976931348623157e308, 9007199254740993.0, 1 / 3]
ZONELESS = {"Zoneless": {"data_type": "timestamp", "timezone": False}}
INTEGERS = [None, 0, -1, 2**63 - 1, -(2**63)]


def cycled(values, number, kind):
    return pa.array([values[index % len(values)] for index in range(number)], kind)


def rows(number):
    return pa.record_batch(
        {
            "Id": pa.array(range(number), pa.int64()),
            "SomeText": cycled(TEXTS, number, pa.string()),
            "EventStart": cycled(TIMES, number, pa.timestamp("us", "UTC")),
            "Zoneless": cycled([time and time.replace(tzinfo=None) for time in TIMES], number, pa.timestamp("us")),
            "Number": cycled(NUMBERS, number, pa.float64()),
            "Integer": cycled(INTEGERS, number, pa.int64()),
            "Flag": cycled([True, None, False], number, pa.bool_()),
            "Nothing": pa.nulls(number, pa.string()),
        }
    )


@pytest.fixture
def load(server, tmp_path, request):
    dataset = f"copy_{abs(hash(request.node.name))}"

    def load(*batches):
        @dlt.resource(name="events", file_format="parquet", columns=ZONELESS)
        def events():
            yield from batches

        @dlt.source(schema=dlt.Schema("copying", normalizers={"names": "sql_cs_v1"}))
        def copying():
            return events

        pipeline = dlt.pipeline("copying", str(tmp_path), destination=ExactPostgres(server.dsn()), dataset_name=dataset)
        pipeline.run(copying()).raise_on_failed_jobs()
        connection = psycopg2.connect(server.dsn(), options=f"-csearch_path={dataset} -cTimeZone=UTC")
        with connection, connection.cursor() as cursor:
            cursor.execute('SELECT * FROM events ORDER BY "Id"')
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    return load


def told(row):
    """Return what tells values apart, but not the classes of time zones."""
    return {name: value.isoformat() if isinstance(value, datetime) else repr(value) for name, value in row.items()}


def test_every_value_arrives_as_it_is(load):
    batch = rows(len(TEXTS) * len(TIMES))

    assert list(map(told, load(batch))) == list(map(told, batch.to_pylist()))


def test_files_of_many_batches_and_others_with_fewer_columns_arrive_as_a_whole(load, monkeypatch):
    monkeypatch.setattr(destination, "_ROWS", 7)
    monkeypatch.setattr(destination, "_SENT_AT_ONCE", 11)
    few = rows(50).drop_columns(["SomeText", "Nothing"])

    assert list(map(told, load(few))) == list(map(told, few.to_pylist()))
    found = load(rows(1000).slice(50))
    assert list(map(told, found[50:])) == list(map(told, rows(1000).slice(50).to_pylist()))
    assert len(found) == 1000
