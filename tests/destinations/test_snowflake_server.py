"""The Snowflake emulator is as strict as Snowflake's documentation says; what each rule's page is, its modules tell."""

from contextlib import closing
from datetime import UTC, datetime
from itertools import count

import pyarrow as pa
import pyarrow.parquet
import pytest
import snowflake.connector
from snowflake.connector.errors import DatabaseError, ProgrammingError

from emulators.redshift import Fault

_numbers = count(1)
COPY = "COPY INTO t FROM '@~/{}/' FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE{})"
BY_NAME = " MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"


@pytest.fixture
def connect(snowflake_server):
    """Return what opens a session in a schema of its own."""
    schema, opened = f"s{next(_numbers)}", []

    def connected(**settings):
        where = {"host": "127.0.0.1", "port": snowflake_server.port, "protocol": "http", "account": "emulated"}
        login = {"user": snowflake_server.user, "password": snowflake_server.password, "timezone": "UTC"}
        login |= {"database": snowflake_server.database, "schema": schema}
        made = snowflake.connector.connect(**(where | login | settings))
        opened.append(made)
        return made

    with closing(connected()) as first:
        ask(first, f"CREATE SCHEMA {schema}")
    yield connected
    for connection in opened:
        connection.close()


def ask(connection, sql, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments or None, num_statements=0)
        return cursor.fetchall()


def put(connection, folder, name="a.parquet", **columns):
    path = folder / name
    pyarrow.parquet.write_table(pa.table(columns), path)
    ask(connection, f"PUT 'file://{path}' '@~/{folder.name}' OVERWRITE = TRUE AUTO_COMPRESS = FALSE")
    return folder.name


def refused(connection, sql, errno):
    with pytest.raises(DatabaseError) as raised:
        ask(connection, sql)
    assert raised.value.errno == errno


def test_names_are_folded_unless_quoted(connect):
    here = connect()
    ask(here, 'CREATE TABLE t ("Mixed" INTEGER, plain INTEGER)')
    assert ask(here, 'SELECT "Mixed", "PLAIN", Plain FROM "T"') == []
    refused(here, "SELECT Mixed FROM t", 904)
    refused(here, 'SELECT * FROM "t"', 2003)
    ask(here, 'CREATE TABLE "t" (other INTEGER)')


def test_a_session_does_not_make_the_schema_that_it_names(connect):
    here = connect(schema="nowhere")
    assert ask(here, "SELECT 1 FROM information_schema.schemata WHERE schema_name = 'NOWHERE'") == []


def test_ddl_commits_what_is_open(connect):
    here, there = connect(), connect()
    ask(here, "CREATE TABLE t (a INTEGER)")
    ask(here, "BEGIN")
    ask(here, "INSERT INTO t VALUES (1)")
    assert ask(there, "SELECT COUNT(*) FROM t") == [(0,)]
    ask(here, "CREATE TABLE u (a INTEGER)")
    ask(here, "ROLLBACK")
    assert ask(there, "SELECT COUNT(*) FROM t") == [(1,)]


def test_a_failed_statement_leaves_the_transaction_open(connect):
    here = connect(autocommit=False)
    ask(here, "CREATE TABLE t (a INTEGER NOT NULL)")
    ask(here, "INSERT INTO t VALUES (1)")
    refused(here, "INSERT INTO t VALUES (NULL)", 100072)
    here.commit()
    assert ask(connect(), "SELECT a FROM t") == [(1,)]


def test_who_deletes_keeps_others_that_delete_away_but_not_those_that_add(connect):
    here, there = connect(), connect()
    ask(here, "CREATE TABLE t (a INTEGER)")
    ask(here, "INSERT INTO t VALUES (1), (2)")
    ask(here, "BEGIN")
    ask(here, "DELETE FROM t WHERE a = 1")
    ask(there, "INSERT INTO t VALUES (3)")
    ask(there, "ALTER SESSION SET LOCK_TIMEOUT = 1")
    refused(there, "DELETE FROM t WHERE a = 2", 625)
    ask(here, "COMMIT")
    ask(there, "DELETE FROM t WHERE a = 2")
    assert ask(here, "SELECT a FROM t") == [(3,)]


def test_in_with_a_query_stands_in_where_alone(connect):
    here = connect()
    ask(here, "CREATE TABLE t (a INTEGER)")
    ask(here, "SELECT a FROM t WHERE a > 0 AND a NOT IN (SELECT a FROM t)")
    refused(here, "SELECT MAX(CASE WHEN a IN (SELECT a FROM t) THEN 1 ELSE 0 END) FROM t", 2031)
    refused(here, "SELECT a FROM t WHERE a = 1 OR a IN (SELECT a FROM t)", 2031)


def test_copy_matches_names_and_gives_null_to_the_rest(connect, tmp_path):
    here = connect()
    ask(here, 'CREATE TABLE t (mine INTEGER DEFAULT 7, "Text" VARCHAR, number INTEGER)')
    folder = put(here, tmp_path, Number=[1], text=["x"], unknown=[2])
    with pytest.raises(ProgrammingError, match="one and only one column"):
        ask(here, COPY.format(folder, ""))
    ask(here, COPY.format(folder, "") + BY_NAME)
    assert ask(here, "SELECT * FROM t") == [(None, "x", 1)]


def test_copy_refuses_null_where_a_column_is_not_null_whatever_its_default(connect, tmp_path):
    here = connect()
    ask(here, "CREATE TABLE t (mine INTEGER NOT NULL DEFAULT 7, number INTEGER)")
    folder = put(here, tmp_path, number=[1])
    refused(here, COPY.format(folder, "") + BY_NAME, 100072)
    assert ask(here, "SELECT * FROM t") == []


def test_copy_knows_a_file_by_name_and_content(connect, tmp_path):
    here = connect()
    ask(here, "CREATE TABLE t (a INTEGER)")
    copy = COPY.format(put(here, tmp_path, a=[1]), "") + BY_NAME
    assert ask(here, copy)[0][1] == "LOADED"
    assert ask(here, copy) == [("Copy executed with 0 files processed.",)]
    put(here, tmp_path, a=[1])
    assert ask(here, copy) == [("Copy executed with 0 files processed.",)]

    put(here, tmp_path, a=[2])
    ask(here, copy)
    put(here, tmp_path, "b.parquet", a=[2])
    ask(here, copy)
    assert ask(here, "SELECT a FROM t ORDER BY a") == [(1,), (2,), (2,)]
    ask(here, f"{copy} FORCE = TRUE")
    assert ask(here, "SELECT COUNT(*) FROM t") == [(5,)]


def test_what_copy_has_loaded_is_forgotten_with_a_transaction_that_is_rolled_back(connect, tmp_path):
    here = connect(autocommit=False)
    ask(here, "CREATE TABLE t (a INTEGER)")
    copy = COPY.format(put(here, tmp_path, a=[1]), "") + BY_NAME
    ask(here, copy)
    here.rollback()
    ask(here, copy)
    here.commit()
    assert ask(here, "SELECT a FROM t") == [(1,)]


def test_copy_takes_a_certain_text_for_null_unless_told_not_to(connect, tmp_path):
    here = connect()
    ask(here, "CREATE TABLE t (a VARCHAR)")
    ask(here, COPY.format(put(here, tmp_path, a=["\\N", "", "x"]), "") + BY_NAME)
    assert {row[0] for row in ask(here, "SELECT a FROM t")} == {None, "", "x"}
    ask(here, "TRUNCATE TABLE t")
    ask(here, COPY.format(tmp_path.name, " NULL_IF = ()") + BY_NAME)
    assert {row[0] for row in ask(here, "SELECT a FROM t")} == {"\\N", "", "x"}


@pytest.mark.parametrize(
    ("kind", "value", "errno"),
    [
        ("VARCHAR(3)", "abcd", 100074),
        ("NUMBER", "abc", 100038),
        ("VARCHAR", datetime(2024, 5, 1, tzinfo=UTC), 2023),
        ("VARCHAR", 1, 2023),
    ],
)
def test_copy_refuses_what_does_not_fit(connect, tmp_path, kind, value, errno):
    here = connect()
    ask(here, f"CREATE TABLE t (a {kind})")
    refused(here, COPY.format(put(here, tmp_path, a=[value]), "") + BY_NAME, errno)


def test_a_text_is_measured_in_characters(connect, tmp_path):
    here = connect()
    ask(here, "CREATE TABLE t (a VARCHAR(3))")
    ask(here, COPY.format(put(here, tmp_path, a=["üüü"]), "") + BY_NAME)
    assert ask(here, "SELECT a FROM t") == [("üüü",)]


def test_a_request_that_is_sent_again_is_carried_out_again(connect, snowflake_server):
    here = connect()
    ask(here, "CREATE TABLE t (a INTEGER)")
    snowflake_server.faults.append(Fault("^INSERT", "after", "drop"))
    ask(here, "INSERT INTO t VALUES (1)")
    assert snowflake_server.faults == []
    assert ask(here, "SELECT a FROM t") == [(1,), (1,)]


def test_what_a_client_leaves_open_is_rolled_back_when_it_stands_in_the_way(connect):
    here, there = connect(), connect()
    ask(here, "CREATE TABLE t (a INTEGER)")
    ask(here, "INSERT INTO t VALUES (1)")
    ask(here, "BEGIN")
    ask(here, "DELETE FROM t")
    ask(there, "DELETE FROM t WHERE a = 2")  # waits until the other one has been idle for long enough
    assert ask(there, "SELECT a FROM t") == [(1,)]


def test_a_wrong_password_and_a_missing_warehouse_are_told(connect, snowflake_server, monkeypatch):
    with pytest.raises(DatabaseError) as raised:
        connect(password="wrong")
    assert raised.value.errno == 390100
    monkeypatch.setattr(snowflake_server, "warehouse", "")
    refused(connect(), "SELECT 1", 606)
