"""A Redshift out of a real Postgres: a proxy that takes, refuses and changes statements as Redshift does.

It speaks the simple query protocol only, as psycopg2 does. COPY reads from S3 and writes in the client's own session.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg2

from emulators import pgwire
from emulators.pgwire import Stream
from emulators.postgres import PASSWORD, USER, Postgres
from emulators.redshift_catalog import CATALOG
from emulators.redshift_session import Dropped, Session

_databases = count(1)


@dataclass
class Fault:
    """Something that goes wrong once, at a statement.

    Attributes:
        match: what is searched in the statement, regardless of case.
        when: "before" the statement does anything, or "after" it has, and before the client is told.
        what: "drop" the connection, answer with an "error", "stall" for some seconds, or "kill": do what `call` does.
        skip: how many such statements pass first.
    """

    match: str
    when: str = "before"
    what: str = "drop"
    sqlstate: str = "XX000"
    message: str = "scripted"
    seconds: float = 0.0
    call: Callable[[], Any] | None = None
    skip: int = 0


@dataclass
class Redshift:
    """A running emulator.

    Attributes:
        statements: what clients have sent, in order.
        faults: what is to go wrong, in order: a fault waits until those before it have happened.
        roles: IAM role -> key and secret, for COPY.
        elsewhere: buckets that are in another region -> their region.
        sort_keys: "schema.table" -> columns.
    """

    host: str
    port: int
    user: str
    password: str
    database: str
    s3_endpoint: str | None = None
    region: str = "us-east-1"
    statements: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    roles: dict[str, tuple[str, str]] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    sort_keys: dict[str, list[str]] = field(default_factory=dict)

    def credentials(self, **other: Any) -> dict[str, Any]:
        """Return what dlt takes as credentials."""
        found = {name: getattr(self, name) for name in ("host", "port", "password", "database")}
        return found | {"username": self.user, "connect_timeout": 10, "query": {"sslmode": "disable"}} | other

    def dsn(self) -> str:
        """Return what psycopg2 takes."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}?sslmode=disable"

    def due(self, statement: str, when: str) -> Fault | None:
        """Return the fault that happens now, which then is used up."""
        fault = self.faults[0] if self.faults else None
        if fault is None or fault.when != when or not re.search(fault.match, statement, re.IGNORECASE):
            return None
        if fault.skip:
            fault.skip -= 1
            return None
        return self.faults.pop(0)


@contextmanager
def redshift(postgres: Postgres, s3_endpoint: str | None = None) -> Iterator[Redshift]:
    """Open a emulator with an empty database of its own."""
    database = f"dev{next(_databases)}"
    _administer(postgres.dsn(), f"CREATE DATABASE {database}")
    _administer(f"{postgres.dsn().rpartition('/')[0]}/{database}", CATALOG)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait_for(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    running = Redshift("127.0.0.1", 0, USER, PASSWORD, database, s3_endpoint)
    try:
        listener = wait_for(_listen(running, postgres.port))
        running.port = listener.sockets[0].getsockname()[1]
        yield running
    finally:
        wait_for(_close(listener))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        _administer(postgres.dsn(), f"DROP DATABASE {database} WITH (FORCE)")


def _administer(dsn: str, sql: str) -> None:
    connection = psycopg2.connect(dsn)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
    finally:
        connection.close()


async def _listen(server: Redshift, backend_port: int) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Stream(reader, writer)
        backend = None
        try:
            code, body = await client.startup()
            while code in (pgwire.SSL_REQUEST, pgwire.GSS_REQUEST):
                writer.write(b"N")
                code, body = await client.startup()
            if code == pgwire.PROTOCOL_3:
                backend = Stream(*await asyncio.open_connection("127.0.0.1", backend_port))
                await Session(server, client, backend).run(body)
        except (Dropped, asyncio.IncompleteReadError, ConnectionError):
            client.abort()
        except asyncio.CancelledError:
            pass  # the emulator closes; asyncio of Python 3.11 would report it as an error
        finally:
            for end in (client, backend):
                if end is not None:
                    end.writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def _close(listener: asyncio.Server) -> None:
    listener.close()
    sessions = asyncio.all_tasks() - {asyncio.current_task()}
    for session in sessions:
        session.cancel()
    await asyncio.gather(*sessions, return_exceptions=True)
