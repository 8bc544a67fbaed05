"""Nothing that a database says of a row reaches a message, a log or a file."""

import errno
import logging
import re
import socketserver
import struct
import threading
import traceback
from contextlib import contextmanager, suppress
from urllib.parse import quote, unquote

import duckdb
import psycopg2
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoRegionError
from click.testing import CliRunner
from dlt.common.libs.sql_alchemy_compat import make_url
from dlt.common.schema import Schema
from dlt.destinations import postgres
from dlt.destinations.exceptions import DatabaseTerminalException, DatabaseTransientException
from gcsfs.retry import HttpError
from google.api_core.exceptions import BadRequest, Forbidden, ServiceUnavailable
from google.auth.exceptions import RefreshError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hauser_dlt.cli import main
from hauser_dlt.destinations.address import is_clear
from hauser_dlt.error_mapping import as_ours, translated
from hauser_dlt.errors import ConfigError, HauserError, LoadError, TransientError
from hauser_dlt.redaction import error_line, redact, without_values
from support.destinations import HOUR, MIDNIGHT

EARLY = MIDNIGHT + 30 * HOUR  # one window has settled
JANE = "jane.doe@example.com"
_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
VALUES = st.builds(
    "{}Q7#k{}".format, _NAMES, _NAMES | st.sampled_from(["'", '"', "`", "' to INT64", '" x: "', "\n", "»"])
)


@settings(deadline=None, max_examples=60)
@example('0"' + "\x1f" * 60 + "Q7#k" + "0" * 60)  # of which int() quotes the beginning alone
@given(VALUES)
def test_of_a_value_that_a_library_refuses_nothing_is_told(value):
    def duck():
        duckdb.execute("SELECT CAST(? AS BIGINT)", [value])

    def unique():
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE t (a TEXT UNIQUE)")
            connection.executemany("INSERT INTO t VALUES (?)", [[value], [value]])

    def arrow():
        pa.array([value], pa.int64())

    def number():
        int(value)

    def key():
        {}[value]

    for fail in (duck, unique, arrow, number, key):
        with pytest.raises(HauserError) as caught, translated():
            fail()
        told = "".join(traceback.format_exception(caught.value))
        assert "Q7#k" not in told
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('column "UserEmail" of relation "fs_export" is of type bigint', None),
        ("Could not convert 'jane' with type str", "Could not convert '…' with type str"),
        ("""value "a" b@c "d" is bad""", """value "…" is bad"""),
        ("Bad double value: jane", "Bad double value …"),
        ("can't open, doesn't work", None),
        ("field 'x' holds 'jane", "field 'x' holds '…"),
    ],
)
def test_names_are_told_and_values_are_not(text, shown):
    assert without_values(text) == (shown or text)


REFUSALS = [
    ('INSERT INTO t ("n") SELECT %s', "invalid text representation (SQLSTATE 22P02)", LoadError),
    (
        'INSERT INTO t ("e") VALUES (%s), (%s)',
        "unique violation (SQLSTATE 23505): table t, constraint t_e_key",
        LoadError,
    ),
    ('INSERT INTO t ("c") VALUES (%s)', "check violation (SQLSTATE 23514): table t, constraint short", LoadError),
    ('INSERT INTO t ("e", "m") VALUES (%s, NULL)', "not null violation (SQLSTATE 23502): table t, column m", LoadError),
    ("SELECT shouts(%s)", "raise exception (SQLSTATE P0001): function pg_temp", LoadError),
    ("SELECT lies(%s)", "insufficient privilege (SQLSTATE 42501): function pg_temp", LoadError),
    ('SELECT "none", %s', 'column "none" does not exist', LoadError),
]


@pytest.mark.parametrize("target", ["postgres"], indirect=True)
def test_postgres_tells_what_it_refuses_and_not_whom(target, caplog):
    with psycopg2.connect(target.dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE t (n BIGINT, e TEXT UNIQUE, c TEXT CONSTRAINT short CHECK (length(c) < 3),"
            " m INT NOT NULL DEFAULT 1)"
        )
        for name, code in (("shouts", "P0001"), ("lies", "42501")):
            cursor.execute(
                f"CREATE FUNCTION pg_temp.{name}(who TEXT) RETURNS INT LANGUAGE plpgsql AS"
                f" $$ BEGIN RAISE EXCEPTION 'not %', who USING ERRCODE = '{code}'; END $$"
            )
        for sql, shown, kind in REFUSALS:
            cursor.execute("SAVEPOINT s")
            call = sql.replace("shouts", "pg_temp.shouts").replace("lies", "pg_temp.lies")
            with pytest.raises(kind) as caught, translated():
                execute(cursor, call, [JANE] * sql.count("%s"))
            assert shown in str(caught.value)
            assert "jane" not in "".join(traceback.format_exception(caught.value))
            cursor.execute("ROLLBACK TO s")
        connection.rollback()
    assert "Job failed" in caplog.text
    assert "jane" not in caplog.text


def execute(cursor, sql, values):
    """Fail as dlt does: log what the database says, and raise it in an error of its own."""
    logger = logging.getLogger("a driver's")
    redact(logger)
    try:
        cursor.execute(sql, values)
    except psycopg2.Error as exc:
        logger.exception("Job failed")
        raise DatabaseTerminalException(exc) from exc


def test_a_copy_tells_its_column_whatever_the_servers_language():
    class Diag:
        message_primary = f"ungültige Eingabesyntax für Typ bigint: »{JANE}«"
        message_detail = source_function = table_name = column_name = constraint_name = None
        context = f"COPY fs_export, Zeile 3, Spalte UserId: »{JANE}«"

    class InvalidTextRepresentation(Exception):  # noqa: N818 - as psycopg2 calls it
        pgcode, diag = "22P02", Diag()

    exc = InvalidTextRepresentation(f"FEHLER: »{JANE}«")
    assert error_line(exc) == "invalid text representation (SQLSTATE 22P02): column UserId"
    assert isinstance(as_ours(exc), LoadError)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("28P01", ConfigError),
        ("3D000", ConfigError),
        ("42501", LoadError),
        ("25006", LoadError),
        ("53300", TransientError),
    ],
)
def test_codes_count_more_than_words(code, kind):
    class Said(Exception):  # noqa: N818 - of a driver
        pgcode = code

    assert type(as_ours(Said("qqq"))) is kind


def of(package, name, *arguments, **attributes):
    """Return an error of a driver that need not be installed."""
    return type(name, (Exception,), {"__module__": f"{package}.exceptions", **attributes})(*arguments)


def s3(code):
    return ClientError(
        {"Error": {"Code": code, "Message": "qqq"}, "ResponseMetadata": {"HTTPStatusCode": 499}}, "PutObject"
    )


@pytest.mark.parametrize(
    ("exc", "kind", "advice"),
    [
        (s3("AccessDenied"), LoadError, "may do in the bucket"),
        (s3("NoSuchBucket"), ConfigError, "make the bucket"),
        (s3("SlowDown"), TransientError, "wait"),
        (s3("ExpiredToken"), ConfigError, "look at the credentials"),
        (s3("Unheard"), LoadError, ""),
        (NoRegionError(), ConfigError, "glue.region"),
        (EndpointConnectionError(endpoint_url="qqq"), TransientError, ""),
        (Forbidden("qqq", errors=[{"reason": "rateLimitExceeded"}]), TransientError, "wait"),
        (Forbidden("qqq"), LoadError, "the right to create"),
        (ServiceUnavailable("qqq"), TransientError, ""),
        (HttpError({"code": 429, "message": "qqq"}), TransientError, "wait"),
        (RefreshError("qqq"), ConfigError, "look at the credentials"),
        (of("pyiceberg", "ServiceUnavailableError", "qqq"), TransientError, ""),
        (of("azure", "HttpResponseError", error_code="ContainerNotFound"), ConfigError, "make the bucket"),
        (of("azure", "HttpResponseError", error_code=None, status_code=503), TransientError, ""),
        (of("pyodbc", "ProgrammingError", "42501", "[42501] Zugriff verweigert"), LoadError, "the right to create"),
        (of("pyodbc", "OperationalError", "HYT00", "[HYT00] Zeit abgelaufen"), TransientError, ""),
        (of("adbc_driver_manager", "IntegrityError", "qqq", sqlstate="23505"), LoadError, "a constraint of yours"),
        (of("snowflake", "ProgrammingError", "qqq", errno=3001, sqlstate="28000"), LoadError, "the right to create"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_drivers_codes_are_understood_without_its_words(exc, kind, advice):
    try:
        raise DatabaseTransientException(exc) from exc
    except DatabaseTransientException as wrapped:
        found = as_ours(wrapped)
    assert type(found) is kind
    assert advice in str(found)


def test_bigquery_tells_its_reason_and_no_value():
    said = f"Could not parse '{JANE}' as INT64 for field UserId (position 3) starting at location 0"
    exc = BadRequest(said, errors=[{"reason": "invalid", "message": said}])
    assert (
        error_line(exc) == "Could not parse '…' as INT64 for field UserId (position 3) starting at location 0 (invalid)"
    )


@settings(deadline=None)
@given(
    st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1),
    st.sampled_from(["host", "db.example.com:5432", "[::1]:5432", "a:1,b:2", ""]),
    st.sampled_from(["", "/db", "/db?sslmode=require"]),
)
def test_an_address_with_an_encoded_password_is_clear_and_what_a_driver_misreads_is_not(password, host, rest):
    assert is_clear(f"postgresql://me:{quote(password, safe='')}@{host}{rest}")
    raw = f"postgresql://me:{password}@{host}{rest}"
    with suppress(Exception):
        if make_url(raw).password != unquote(password):
            assert not is_clear(raw)


@pytest.mark.parametrize("place", ["DESTINATION__POSTGRES__CREDENTIALS", "DESTINATION__CREDENTIALS", "CREDENTIALS"])
@pytest.mark.parametrize("password", ["Q7z@9vQ", "Q7z@9vQ/x", "Q@7zz?9vQ=1", "Q7z@9vQ#:", "a:b/Q7z@", "Q7z/9vQ"])
def test_a_password_that_is_not_encoded_is_told_how_to_be_and_not_what_it_is(tmp_path, monkeypatch, place, password):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(place, f"postgresql://me:{password}@127.0.0.1:9/db")
    told = CliRunner().invoke(main, ["status", "--destination", "postgres"])

    assert told.exit_code == (75 if "@" not in password else 2)
    assert "@" not in password or "%40 for @" in told.stderr
    for part in re.split(r"\W", password):
        assert len(part) < 2 or part not in told.output


# What servers of several languages answer to a connection, with its SQLSTATE, which psycopg2 does not tell of it.
ANSWERS = [
    ("FATAL", "28P01", 'password authentication failed for user "loader"', ConfigError),
    ("FATAL", "28P01", "Passwort-Authentifizierung für Benutzer »loader« fehlgeschlagen", ConfigError),
    ("FATAL", "28P01", "Passwort-Authentifizierung f?r Benutzer >>loader<< fehlgeschlagen", ConfigError),
    ("FATAL", "53300", "Mitglieder der Rolle >>pg_use_reserved_connections<< vorbehalten", TransientError),
    ("FATAL", "28000", "le rôle « loader » n'existe pas", ConfigError),
    ("ВАЖНО", "3D000", 'база данных "nowhere" не существует', ConfigError),
    ("致命错误", "28000", '没有用于主机 "10.0.0.1", 用户 "loader", 数据库 "db" 的 pg_hba.conf 记录', ConfigError),
    ("FATAL", "28000", 'role "loader" is not permitted to log in', ConfigError),
    ("FATAL", "53300", 'too many connections for role "loader"', TransientError),
    ("FATAL", "53300", "sorry, too many clients already", TransientError),
    ("FATAL", "57P03", "das Datenbanksystem startet", TransientError),
    (
        "FATAL",
        "53300",
        'remaining connection slots are reserved for roles with privileges of the "pg_use_reserved_connections" role',
        TransientError,
    ),
]


@contextmanager
def answering(severity, code, text):
    """Listen as a Postgres that answers each connection with one error; yield the port."""
    fields = b"".join(
        key + value.encode() + b"\0" for key, value in ((b"S", severity), (b"V", "FATAL"), (b"C", code), (b"M", text))
    )

    class Refusing(socketserver.BaseRequestHandler):
        def handle(self):
            (length,) = struct.unpack("!I", self.request.recv(4))
            if self.request.recv(length - 4)[:4] == struct.pack("!I", 80877103):  # may TLS be spoken?
                self.request.sendall(b"N")
                self.request.recv(1024)
            self.request.sendall(b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("severity", "code", "text", "kind"), ANSWERS)
def test_a_server_that_refuses_a_connection_is_understood_in_any_language(severity, code, text, kind):
    with answering(severity, code, text) as port, pytest.raises(kind) as caught, translated():
        connect_postgres(f"postgresql://loader:s3cret@127.0.0.1:{port}/db?gssencmode=disable")
    assert text in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert type(caught.value) is kind


def test_what_no_server_will_ever_take_is_no_reason_to_try_again():
    with answering("FATAL", "57P03", "starting") as port:
        for wrong in ("sslmode=require&gssencmode=disable", "sslmode=never"):
            with pytest.raises(ConfigError), translated():
                connect_postgres(f"postgresql://loader:s3cret@127.0.0.1:{port}/db?{wrong}")


def connect_postgres(address):
    """Connect as dlt does, by its own client."""
    client = postgres(credentials=address).client(Schema("fs"), postgres().spec()._bind_dataset_name("fs"))
    with client:
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_not_laid_on_the_destination_and_passes(number):
    found = as_ours(OSError(number, "No room"))
    assert type(found) is TransientError
    assert str(found) == (
        f"a disk is full: [Errno {number}] No room; make room there, or set working_dir under [hauser] to a folder that"
        " has more"
    )
