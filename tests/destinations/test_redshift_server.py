"""The Redshift emulator is as strict as Redshift, and dlt's own destination loads through it."""

import gzip
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from typing import Any

import dlt
import psycopg2
import pyarrow as pa
import pyarrow.parquet
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from emulators.postgres import Postgres
from emulators.redshift import Fault, Redshift, redshift
from emulators.s3 import NOBODY, S3, WRITER

KEY, SECRET = WRITER


@pytest.fixture(scope="module")
def warehouse(server: Postgres, s3: S3) -> Iterator[Redshift]:
    with redshift(server, s3.endpoint) as running:
        yield running


@pytest.fixture
def sql(warehouse: Redshift) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Run statements in a new schema, each for itself unless it says BEGIN."""
    schema = f"S{next(_numbers)}"
    with closing(psycopg2.connect(warehouse.dsn(), options=f'-csearch_path="{schema}"')) as connection:
        connection.autocommit = True

        def run(statement: str, *values: Any) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []

        run(f'CREATE SCHEMA "{schema}"')
        yield run
        warehouse.faults.clear()


_numbers = count(1)

REFUSED = [
    ("ALTER TABLE t ADD COLUMN IF NOT EXISTS x INT", "42601", 'syntax error at or near "NOT"'),
    ("ALTER TABLE t ADD COLUMN x INT, ADD COLUMN y INT", "42601", 'syntax error at or near ","'),
    ("ALTER TABLE t ADD COLUMN x INT NOT NULL", "42601", "must have a non-null default expression"),
    ("ALTER TABLE t ADD COLUMN x INT SORTKEY", "42601", 'syntax error at or near "SORTKEY"'),
    ("ALTER TABLE t ALTER COLUMN n TYPE INT", "0A000", "cannot alter type"),
    ("ALTER TABLE t DROP COLUMN IF EXISTS n", "42601", 'syntax error at or near "EXISTS"'),
    ("CREATE TABLE u (x TEXT[])", "0A000", 'Column "u.x" has unsupported type "TEXT[]".'),
    ("CREATE TABLE u (x JSONB)", "0A000", 'Column "u.x" has unsupported type "JSONB".'),
    ("CREATE TABLE t (n INT)", "42P07", 'Relation "t" already exists'),
    ("CREATE INDEX i ON t (n)", "0A000", "not supported on Redshift tables"),
    ("INSERT INTO t (n) VALUES (1) ON CONFLICT DO NOTHING", "42601", 'syntax error at or near "ON"'),
    ("INSERT INTO t (n) VALUES (1) RETURNING n", "42601", 'syntax error at or near "RETURNING"'),
    ("DELETE FROM t AS u WHERE u.n = 1", "42601", 'syntax error at or near "AS"'),
    ("SELECT ARRAY[1]", "0A000", "not supported on Redshift tables"),
    ("SELECT string_agg(s, ',') FROM t", "42883", "function string_agg() does not exist"),
    ("SELECT s ->> 'a' FROM t", "42883", "operator does not exist"),
    ("SELECT * FROM nowhere", "42P01", 'relation "nowhere" does not exist'),
    ("INSERT INTO t (s) VALUES ('x')", "XX000", "Cannot insert a NULL value into column n"),
    ("COPY t FROM STDIN", "42601", 'syntax error at or near "STDIN"'),
    ("SELECT json_extract_path_text('no', 'a')", "XX000", "JSON parsing error"),
]


@pytest.mark.parametrize(("statement", "sqlstate", "said"), REFUSED)
def test_what_redshift_refuses_is_refused_in_its_words(sql, statement, sqlstate, said):
    sql("CREATE TABLE t (n BIGINT NOT NULL, s VARCHAR(10))")

    with pytest.raises(psycopg2.Error) as caught:
        sql(statement)

    assert caught.value.pgcode == sqlstate
    assert said in str(caught.value)


ANSWERED = [
    ("SHOW server_version", "8.0.2"),
    ("SELECT strpos(version(), 'Redshift') > 0", True),
    ("SELECT current_schema() = lower(current_schema())", True),
    ('SELECT "N" FROM "T"', 7),
    ("SELECT getdate() - sysdate < interval '1 hour'", True),
    ("SELECT '\\\\n\\'s'", "\\n's"),
    ("SELECT json_extract_path_text(s, 'A', 'b') FROM t", "1.50"),
    ("SELECT json_extract_path_text(s, 'a') FROM t", ""),
    ("SELECT json_extract_path_text('no', 'a', true)", None),
    ("SELECT 1 FROM svv_redshift_schemas WHERE schema_name = current_schema()", 1),
    ("SELECT count(*) FROM svv_columns WHERE table_schema = current_schema()", 2),
    ("SELECT relname::varchar(max) FROM pg_class WHERE relname = 't'", "t"),
]


@pytest.mark.parametrize(("statement", "answer"), ANSWERED)
def test_what_redshift_knows_is_answered(sql, statement, answer):
    sql("CREATE TABLE t (n BIGINT, s VARCHAR(MAX))")
    sql('INSERT INTO "T" VALUES (7, \'{"A": {"b": 1.50}}\')')

    assert sql(statement)[0] == (answer,)


def test_names_fold_and_types_are_those_of_redshift(sql, warehouse):
    sql(
        'CREATE TABLE "T" ("EventStart" TIMESTAMPTZ SORTKEY ENCODE az64, m VARCHAR(MAX), t TEXT, j SUPER, b VARBYTE,'
        ' d DECIMAL(10,2) DEFAULT 0, PRIMARY KEY (t)) DISTSTYLE KEY DISTKEY(t) COMPOUND SORTKEY (m, "T")'
    )
    sql("CREATE TABLE u (LIKE t)")
    query = "SELECT column_name, data_type, character_maximum_length FROM INFORMATION_SCHEMA.COLUMNS"

    ((schema,),) = sql("SELECT current_schema()")
    assert warehouse.sort_keys[f"{schema}.t"] == warehouse.sort_keys[f"{schema}.u"] == ["eventstart", "m", "t"]
    assert sql(f"{query} WHERE table_schema = current_schema() AND table_name = 'u' ORDER BY ordinal_position") == [
        ("eventstart", "timestamp with time zone", None),
        ("m", "character varying", 65535),
        ("t", "character varying", 256),
        ("j", "super", None),
        ("b", "binary varying", None),
        ("d", "numeric", None),
    ]


@pytest.mark.parametrize("write", ["INSERT INTO u (s) VALUES (%s)", "UPDATE u SET s = %s"])
def test_a_text_is_measured_in_bytes(sql, write):
    sql("CREATE TABLE t (s VARCHAR(4))")
    sql("CREATE TABLE u (LIKE t)")
    sql("INSERT INTO u VALUES ('1234')")
    sql(write, "ää")
    with pytest.raises(psycopg2.errors.StringDataRightTruncation, match=r"character varying\(4\)"):
        sql(write, "äää")

    sql("ALTER TABLE u ALTER COLUMN s TYPE VARCHAR(6)")
    sql(write, "äää")


def test_a_message_of_several_statements_is_one_transaction(sql):
    with pytest.raises(psycopg2.errors.DivisionByZero):
        sql("CREATE TABLE t (n INT); INSERT INTO t VALUES (1); SELECT 1 / 0")
    with pytest.raises(psycopg2.errors.UndefinedTable):
        sql("SELECT * FROM t")


def test_truncate_commits(sql):
    sql("CREATE TABLE t (n INT)")
    sql("BEGIN")
    sql("INSERT INTO t VALUES (1)")
    sql("TRUNCATE t")
    sql("INSERT INTO t VALUES (2)")
    sql("ROLLBACK")

    assert sql("SELECT n FROM t") == [(2,)]


NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ROW = {"n": 1, "s": "ä\t\\", "t": NOON, "b": True}
AS_PARQUET = [
    ("n BIGINT, s VARCHAR(4), t TIMESTAMPTZ, b BOOLEAN", "", [(1, "ä\t\\", NOON, True)]),
    ("a INT8, x VARCHAR(4), y TIMESTAMP, z BOOLEAN", "", [(1, "ä\t\\", NOON.replace(tzinfo=None), True)]),
    ("b BOOL, s TEXT, mine INT, t TIMESTAMPTZ, n INT8", "(n, s, t, b)", [(True, "ä\t\\", None, NOON, 1)]),
    ("n INT8, s TEXT, mine INT DEFAULT 5, t TIMESTAMPTZ, b BOOL", "(n, s, t, b)", [(1, "ä\t\\", 5, NOON, True)]),
    ("n INT8, s TEXT, mine INT, t TIMESTAMPTZ, b BOOL", "", "Table columns: 5, Data columns: 4, Table name: t"),
    ("n INT8, s TEXT, t TIMESTAMPTZ", "", "Table columns: 3, Data columns: 4, Table name: t"),
    ("n INT8, s TEXT, t TIMESTAMPTZ, b BOOL", "(n, s, t)", "Table columns: 3, Data columns: 4"),
    ("n INT8, s TEXT, t TIMESTAMPTZ, b BOOL", "(n, s, t, c)", 'column "c" of relation "t" does not exist'),
    ("n INT, s TEXT, t TIMESTAMPTZ, b BOOL", "", "Column type: INTEGER, Parquet schema:\noptional int64 n"),
    ("n INT8, s INT8, t TIMESTAMPTZ, b BOOL", "", "incompatible Parquet schema"),
    ("n INT8, s TEXT, t DATE, b BOOL", "", "incompatible Parquet schema"),
    ("n INT8, s VARCHAR(3), t TIMESTAMPTZ, b BOOL", "", "Table: 3, Data: 4"),
]


@pytest.mark.parametrize(("columns", "into", "expected"), AS_PARQUET)
def test_parquet_goes_by_position_and_type(sql, put, columns, into, expected):
    sql(f"CREATE TABLE t ({columns})")
    statement = f"COPY t {into} FROM '{put(parquet([ROW]))}' {LOGIN} FORMAT AS PARQUET"

    if isinstance(expected, str):
        with pytest.raises(psycopg2.Error) as caught:
            sql(statement)
        assert expected in str(caught.value)
    else:
        sql(statement)
        assert sql("SELECT * FROM t") == expected


@pytest.mark.parametrize(
    ("row", "options", "expected"),
    [
        ({"n": 1, "s": "a"}, "", (1, "a")),
        ({"n": 1, "s": ""}, "STATUPDATE OFF MAXERROR 0", (1, "")),
        ({"n": 1}, "FILLRECORD", (1, None)),
        ({"n": 1}, "", "Table columns: 2, Data columns: 1"),
        ({"n": None, "s": "a"}, "", "Cannot insert a NULL value into column n"),
        ({"n": 1, "s": "\0"}, "", "Bad UTF8 hex sequence: 00"),
        ({"n": 1, "s": "a"}, "TRUNCATECOLUMNS", "TRUNCATECOLUMNS argument is not supported for PARQUET based COPY"),
        ({"n": 1, "s": "a"}, "GZIP", "GZIP argument is not supported for PARQUET based COPY"),
        ({"n": 1, "s": "a"}, "REGION 'us-east-1'", "REGION argument is not supported for PARQUET based COPY"),
        ({"n": 1, "s": "a"}, "MAXERROR 1", "MAXERROR argument is not supported for PARQUET based COPY"),
    ],
)
def test_parquet_takes_few_options_and_no_bad_values(sql, put, row, options, expected):
    sql("CREATE TABLE t (n BIGINT NOT NULL, s TEXT)")
    schema = pa.schema([("n", pa.int64()), ("s", pa.string())][: len(row)])
    statement = f"COPY t FROM '{put(parquet([row], schema))}' {LOGIN} PARQUET {options}"

    if isinstance(expected, str):
        with pytest.raises(psycopg2.Error, match=expected):
            sql(statement)
    else:
        sql(statement)
        assert sql("SELECT * FROM t") == [expected]


FAILED = r"Load into table 't' failed.  Check 'sys_load_error_detail' system table for details."


@pytest.mark.parametrize(
    ("line", "options", "expected"),
    [
        ('{"n": 1, "s": "a", "other": 2}\n{"n": 2}', "", [(1, "a"), (2, None)]),
        ('{"N": 1, "S": "a"}', "", [(None, None)]),
        ('{"N": 1, "S": "a"}', "'auto ignorecase'", [(1, "a")]),
        ('{"s": 1.50}{"s": true}{"s": [1, {}]}', "", [(None, "1.50"), (None, "true"), (None, "[1,{}]")]),
        ('{"s": "ääää"}', "TRUNCATECOLUMNS", [(None, "ääää"[:3])]),
        ('{"s": "ääää"}', "", FAILED),
        ('{"n": "one"}', "", FAILED),
        ('{"s": "\\u0000"}', "", FAILED),
        ('{"n": 1', "", FAILED),
        ("[1]", "", FAILED),
        ('{"n": 1}', "GZIP", "failed to inflate with zlib"),
        (gzip.compress(b'{"n": 1}', mtime=0), "GZIP", [(1, None)]),
        (gzip.compress(b'{"n": 1}', mtime=0), "", FAILED),
    ],
)
def test_json_goes_by_name_in_lower_case(sql, put, line, options, expected):
    sql("CREATE TABLE t (n BIGINT, s VARCHAR(7))")
    how = options if options.startswith("'") else f"'auto' {options}"
    statement = f"COPY t FROM '{put(line if isinstance(line, bytes) else line.encode())}' {LOGIN} FORMAT AS JSON {how}"

    if isinstance(expected, str):
        with pytest.raises(psycopg2.InternalError, match=expected):
            sql(statement)
    else:
        sql(statement)
        assert sql("SELECT * FROM t ORDER BY n") == expected


@pytest.mark.parametrize(
    ("login", "bucket", "expected"),
    [
        (f"CREDENTIALS 'aws_access_key_id={KEY};aws_secret_access_key={SECRET}'", "events", None),
        ("IAM_ROLE 'arn:known'", "events", None),
        ("IAM_ROLE 'arn:unknown'", "events", "is not authorized to assume IAM Role arn:unknown"),
        ("IAM_ROLE 'arn:known'", "nowhere", "S3ServiceException:The specified bucket does not exist,Status 404"),
        ("IAM_ROLE 'arn:nobody'", "events", "S3ServiceException:Access Denied,Status 403,Error AccessDenied"),
        ("ACCESS_KEY_ID 'AKIANONE' SECRET_ACCESS_KEY 'x'", "events", "Status 403,Error InvalidAccessKeyId"),
        ("IAM_ROLE 'arn:known'", "far", "must be addressed using the specified endpoint"),
        ("", "events", "needs IAM_ROLE"),
    ],
)
def test_copy_gets_only_where_its_statement_may(sql, put, warehouse, login, bucket, expected):
    warehouse.roles.update({"arn:known": (KEY, SECRET), "arn:nobody": NOBODY})
    warehouse.elsewhere["far"] = "eu-west-1"
    sql("CREATE TABLE t (n BIGINT)")
    url = put(parquet([{"n": 1}])).replace("//events", f"//{bucket}")

    if expected:
        with pytest.raises(psycopg2.Error, match=expected):
            sql(f"COPY t FROM '{url}' {login} PARQUET")
    else:
        sql(f"COPY t FROM '{url}' {login} PARQUET")
        assert sql("SELECT n FROM t") == [(1,)]


def test_a_prefix_stands_for_all_that_begins_with_it(sql, put, s3):
    sql("CREATE TABLE t (n BIGINT)")
    url = put(parquet([{"n": 1}]), "part-1")
    put(parquet([{"n": 2}]), "part-2")

    sql(f"COPY t FROM '{url[:-1]}' {LOGIN} PARQUET")
    assert sql("SELECT n FROM t ORDER BY n") == [(1,), (2,)]
    with pytest.raises(psycopg2.InternalError, match="The specified S3 prefix 'none' does not exist"):
        sql(f"COPY t FROM 's3://{s3.bucket}/none' {LOGIN} PARQUET")


@pytest.mark.parametrize(
    ("fault", "error", "rows"),
    [
        (Fault("^COPY"), psycopg2.OperationalError, 0),
        (Fault("^COPY", "after"), psycopg2.OperationalError, 0),
        (Fault("^COMMIT"), psycopg2.OperationalError, 0),
        (Fault("^COMMIT", "after"), psycopg2.OperationalError, 1),
        (Fault("^COPY", "before", "error", "53100", "Disk Full"), psycopg2.errors.DiskFull, 0),
        (Fault("^COMMIT", "after", "error", "57014", "cancelled"), psycopg2.errors.QueryCanceled, 1),
        (Fault("^COPY", "after", "stall", seconds=0.01), None, 1),
        (Fault("^COPY", skip=1), None, 1),
    ],
)
def test_faults_hit_the_statement_that_they_name(sql, put, warehouse, fault, error, rows):
    sql("CREATE TABLE t (n BIGINT)")
    ((schema,),) = sql("SELECT current_schema()")
    url = put(parquet([{"n": 1}]))
    warehouse.faults[:] = [fault]

    try:
        for statement in ("BEGIN", f"COPY t FROM '{url}' {LOGIN} PARQUET", "COMMIT"):
            sql(statement)
    except psycopg2.Error as exc:
        assert isinstance(exc, error or ())
    else:
        assert error is None

    with closing(psycopg2.connect(warehouse.dsn())) as other, other.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {schema}.t")
        assert cursor.fetchone() == (rows,)
    assert any(sent.startswith(f"COPY t FROM '{url}'") for sent in warehouse.statements)


def test_a_client_that_is_killed_takes_its_rows_along(sql, warehouse):
    sql("CREATE TABLE t (n BIGINT)")
    ((schema,),) = sql("SELECT current_schema()")
    program = (
        f"import psycopg2; c = psycopg2.connect({warehouse.dsn()!r}).cursor()\n"
        f"c.execute('INSERT INTO {schema}.t VALUES (1)'); c.execute('SELECT 2')"
    )
    client = subprocess.Popen([sys.executable, "-c", program])
    warehouse.faults[:] = [Fault("^SELECT 2$", what="kill", call=client.kill)]

    assert client.wait() < 0
    sql("ALTER TABLE t ADD COLUMN m INT")  # which waits until the client's transaction has ended
    assert sql("SELECT n FROM t") == []


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_dlt_loads_as_it_is_and_breaks_over_a_column_of_the_user(
    sql, warehouse, s3, file_format, tmp_path, monkeypatch
):
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")  # dlt takes all errors of COPY for passing ones
    ((schema,),) = sql("SELECT current_schema()")
    pipeline = dlt.pipeline(
        f"loads_{schema}",
        destination=dlt.destinations.redshift(credentials=warehouse.credentials()),
        staging=dlt.destinations.filesystem(f"s3://{s3.bucket}/staging", credentials=s3.credentials()),
        dataset_name=schema,
        pipelines_dir=str(tmp_path),
    )

    def load(**row: Any) -> None:
        pipeline.run([{"at": NOON, "s": "ä"} | row], table_name="events", loader_file_format=file_format)

    load()
    load(more=1)
    assert sql("SELECT at, s, more FROM events ORDER BY more") == [(NOON, "ä", 1), (NOON, "ä", None)]

    sql("ALTER TABLE events ADD COLUMN mine INT")
    if file_format == "jsonl":
        load(last=2)
        assert sql("SELECT count(mine), count(last), count(*) FROM events") == [(0, 1, 3)]
        return
    with pytest.raises(PipelineStepFailed, match="Table columns: 7, Data columns: 6"):
        load(last=2)


LOGIN = f"ACCESS_KEY_ID '{KEY}' SECRET_ACCESS_KEY '{SECRET}'"


@pytest.fixture
def put(s3: S3) -> Callable[..., str]:
    """Write an object and return its address."""

    def write(content: bytes, name: str = "file") -> str:
        s3.fs().pipe_file(f"{s3.bucket}/{run}/{name}", content)
        return f"s3://{s3.bucket}/{run}/{name}"

    run = f"put{next(_numbers)}"
    return write


def parquet(rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> bytes:
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows, schema), out := io.BytesIO())
    return out.getvalue()
