"""A Snowflake out of a real Postgres: the connector's REST protocol, and statements as Snowflake takes or refuses them.

Of the protocol there is as much as snowflake-connector-python uses. Postgres keeps names apart by their case, and has
transactions and locks between sessions, as Snowflake does; what differs is said in the modules beside this one.
"""

import gzip
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import psycopg2

from emulators.faulty import Answer, Faulty, Request, listening
from emulators.faulty import Fault as HttpFault
from emulators.postgres import Postgres, free_port
from emulators.redshift import Fault
from emulators.snowflake_buckets import Places
from emulators.snowflake_catalog import catalog
from emulators.snowflake_errors import Refused
from emulators.snowflake_session import Session
from emulators.snowflake_sql import identifiers
from emulators.snowflake_stages import Stages

_databases = count(1)
_IDLE = 20.0  # seconds after which a session's connection to Postgres is closed, and opened again when it is needed


class Dropped(Exception):  # noqa: N818 - as scripted
    """The connection is to be cut."""


@dataclass
class Snowflake:
    """A running emulator.

    Attributes:
        database: the only one there is.
        statements: what clients have sent, in order.
        faults: what is to go wrong, in order: a fault waits until those before it have happened.
        cluster_keys: table -> expressions.
        logins: the parameters that sessions were opened with.
        public_key: of the user, who then may log in with a key pair.
        warehouse: the user's own; "" is none.
    """

    postgres: Postgres
    database: str
    stages: Stages
    places: Places
    user: str = "LOADER"
    password: str = "sf-s3cret"
    role: str = "LOADING"
    warehouse: str = "LOAD_WH"
    public_key: str = ""
    port: int = 0
    statements: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    cluster_keys: dict[str, list[str]] = field(default_factory=dict)
    logins: list[dict[str, Any]] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)

    def credentials(self, **other: Any) -> dict[str, Any]:
        """Return what dlt takes as credentials."""
        where = {"host": "127.0.0.1", "port": str(self.port), "protocol": "http"}
        return {
            "host": "emulated",
            "database": self.database,
            "username": self.user,
            "password": self.password,
            "warehouse": self.warehouse or None,
            "role": self.role,
            "query": where,
        } | other

    def dsn_of(self, database: str) -> str:
        """Return where a database is in Postgres."""
        return f"{self.postgres.dsn().rpartition('/')[0]}/{database.lower()}"

    def execute(self, sql: str) -> None:
        """Have Postgres do something past all sessions."""
        _administer(self.dsn_of(self.database), sql)

    def note(self, sql: str, when: str) -> None:
        """Note a statement; let happen what is to happen.

        Raises:
            Dropped: the connection is cut.
            Refused: as the fault says.
        """
        if when == "before":
            self.statements.append(sql)
        fault = self.faults[0] if self.faults else None
        if fault is None or fault.when != when or not re.search(fault.match, sql, re.IGNORECASE | re.DOTALL):
            return
        if fault.skip:
            fault.skip -= 1
            return
        self.faults.pop(0)
        if fault.what == "drop":
            raise Dropped
        if fault.what == "stall":
            time.sleep(fault.seconds)
            return
        if fault.what == "kill":
            assert fault.call
            fault.call()
            return
        raise Refused(int(fault.sqlstate) if fault.sqlstate.isdigit() else 604, fault.sqlstate, fault.message)


class _Service(Faulty):
    """The REST endpoints."""

    def __init__(self, server: Snowflake) -> None:
        super().__init__(server.port, 0, lambda fault: Answer(fault.status))
        self.server = server

    def clear(self) -> None:
        """Forget the requests, and have nothing go wrong."""
        super().clear()
        self.server.faults.clear()

    def answer(self, request: Request, fault: HttpFault | None) -> Answer | None:
        """Return what the client gets; None cuts the connection."""
        try:
            return super().answer(request, fault)
        except Dropped:
            return None

    def serve(self, request: Request) -> Answer:
        """Do what is asked."""
        path, asked = urlsplit(request.path), parse_qs(urlsplit(request.path).query)
        headers = {name.lower(): value for name, value in request.headers}
        content = gzip.decompress(request.body) if headers.get("content-encoding") == "gzip" else request.body
        body = json.loads(content) if content else {}
        if path.path == "/session/v1/login-request":
            return self._login(body["data"], asked)
        session = self.server.sessions.get(headers.get("authorization", "")[17:-1])
        if session is None:
            return _failed(390104, "08001", "User must login again to access the service.")
        if path.path == "/queries/v1/query-request":
            return self._query(session, body)
        if found := re.fullmatch(r"/queries/([^/]+)/result", path.path):
            return _answer(session.results[found[1]])
        if path.path == "/session" and asked.get("delete"):
            session.close()
            self.server.sessions = {token: each for token, each in self.server.sessions.items() if each is not session}
        return _answer(None)

    def _login(self, data: dict[str, Any], asked: dict[str, list[str]]) -> Answer:
        at = self.server
        user = str(data.get("LOGIN_NAME", "")).upper()
        if not (user == at.user and self._is_known(data)):
            return _failed(390100, "08001", "Incorrect username or password was specified.")
        for old in [*at.sessions.values()]:
            if time.monotonic() - old.used > _IDLE and not old.open:
                old.close()
        database = identifiers(asked.get("databaseName", [""])[0])[-1:]
        schema = identifiers(asked.get("schemaName", [""])[0])[-1:]
        # of what does not exist, the session has none: there is only a warning
        exists = database == [at.database]
        at.logins.append(data.get("SESSION_PARAMETERS") or {})
        session = Session(at, user, database[0] if exists else "", "", at.logins[-1])
        if exists and schema and _has_schema(at, schema[0]):
            session.schema = schema[0]
        token = f"token{id(session)}-{len(at.sessions)}"
        at.sessions[token] = session
        known = [{"name": "AUTOCOMMIT", "value": session.settings["AUTOCOMMIT"] is True}]
        return _answer(
            {
                "token": token,
                "masterToken": f"master-{token}",
                "validityInSeconds": 3600,
                "masterValidityInSeconds": 14400,
                "sessionId": len(at.sessions),
                "serverVersion": "9.1.0",
                "parameters": [*known, {"name": "CLIENT_TELEMETRY_ENABLED", "value": False}],
                "sessionInfo": {
                    "databaseName": session.database or None,
                    "schemaName": session.schema or None,
                    "warehouseName": at.warehouse or None,
                    "roleName": at.role,
                },
            }
        )

    def _is_known(self, data: dict[str, Any]) -> bool:
        if data.get("AUTHENTICATOR") == "SNOWFLAKE_JWT":
            try:
                claims = jwt.decode(data["TOKEN"], self.server.public_key, algorithms=["RS256"])
            except jwt.PyJWTError:
                return False
            return str(claims["sub"]).endswith(f".{self.server.user}")
        return bool(data.get("PASSWORD") == self.server.password)

    def _query(self, session: Session, body: dict[str, Any]) -> Answer:
        if not session.database:
            message = "Cannot perform operation. This session does not have a current database. Call 'USE DATABASE'"
            return _failed(90105, "22000", f"{message}, or use a qualified name.")
        described = bool(body.get("describeOnly"))
        try:
            return _answer(session.answer(body["sqlText"], described))
        except Refused as refused:
            return _failed(refused.errno, refused.sqlstate, refused.message)


def _answer(data: dict[str, Any] | None) -> Answer:
    told = {"data": data, "code": None, "message": None, "success": True}
    return Answer(200, json.dumps(told).encode(), (("Content-Type", "application/json"),))


def _failed(errno: int, sqlstate: str, message: str) -> Answer:
    code = f"{errno:06d}"
    data = {"errorCode": code, "sqlState": sqlstate, "queryId": "", "internalError": False}
    told = {"data": data, "code": code, "message": message, "success": False}
    return Answer(200, json.dumps(told).encode(), (("Content-Type", "application/json"),))


def _has_schema(server: Snowflake, name: str) -> bool:
    connection = psycopg2.connect(server.dsn_of(server.database))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (name,))
            return cursor.fetchone() is not None
    finally:
        connection.close()


@contextmanager
def snowflake(postgres: Postgres, s3_endpoint: str | None = None, gcs_root: Path | None = None) -> Iterator[Snowflake]:
    """Open an emulator with an empty database of its own.

    Args:
        gcs_root: the folder in which each gs:// bucket is a folder.
    """
    database = f"SF{next(_databases)}"
    _administer(postgres.dsn(), f"CREATE DATABASE {database.lower()}")
    root = Path(tempfile.mkdtemp(prefix="hauser-snowflake-"))
    places = Places(s3_endpoint, gcs_root)
    running = Snowflake(postgres, database, Stages(root, places), places, port=free_port())
    _administer(running.dsn_of(database), catalog(database))
    try:
        with listening(_Service(running)):
            yield running
    finally:
        for session in running.sessions.values():
            session.close()
        _administer(postgres.dsn(), f"DROP DATABASE {database.lower()} WITH (FORCE)")
        shutil.rmtree(root, ignore_errors=True)


def _administer(dsn: str, sql: str) -> None:
    connection = psycopg2.connect(dsn)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
    finally:
        connection.close()
