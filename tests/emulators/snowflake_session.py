"""One session of the Snowflake emulator: its statements, its transaction, and the connection to Postgres behind it.

https://docs.snowflake.com/en/sql-reference/transactions: DDL commits what is open; what fails ends nothing; who updates
or deletes keeps others that do from the table until the end; what a dead client has left open is rolled back in time.
"""

import io
import re
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg2

from emulators import snowflake_copy, snowflake_sql
from emulators.snowflake_copy import Column, Copy
from emulators.snowflake_errors import Refused, compilation_error, translated
from emulators.snowflake_results import data_of, told
from emulators.snowflake_sql import LONGEST, Plan, identifiers
from emulators.snowflake_stages import etag

if TYPE_CHECKING:
    from emulators.snowflake import Snowflake

_SETTING = re.compile(
    r"ALTER\s+SESSION\s+SET\s+(\w+)\s*=\s*('[^']*'|\S+)|ALTER\s+SESSION\s+UNSET\s+(\w+)", re.IGNORECASE
)
_BEGIN = re.compile(r"BEGIN(\s+(TRANSACTION|WORK))?\b|START\s+TRANSACTION\b", re.IGNORECASE)
_END = re.compile(r"(COMMIT|ROLLBACK)(\s+WORK)?\b", re.IGNORECASE)
_CONTEXT = re.compile(r"\bCURRENT_(WAREHOUSE|ROLE|DATABASE|SCHEMA|USER|SESSION)\s*\(\s*\)", re.IGNORECASE)
_ABANDONED = "15s"  # Snowflake: five minutes
DML_KINDS = {"INSERT": 0x3100, "UPDATE": 0x3200, "DELETE": 0x3300, "MERGE": 0x3400, "COPY": 0x3500}
_SELECTS, _DDL, _MULTI = 0x1000, 0x6000, 0xA000


class Session:
    """What a client has logged in to."""

    def __init__(self, server: "Snowflake", user: str, database: str, schema: str, settings: dict[str, Any]) -> None:
        self.server = server
        self.user = user
        self.database = database
        self.schema = schema
        self.settings = {"AUTOCOMMIT": True, "TIMEZONE": "America/Los_Angeles", "LOCK_TIMEOUT": 43200}
        self.settings |= {name.upper(): value for name, value in settings.items()}
        self.results: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()
        self.used = time.monotonic()
        self.open = False  # a transaction
        self._connection: Any = None

    def answer(self, sql: str, described: bool) -> dict[str, Any]:
        """Carry out a request.

        That the connector sends some twice, Snowflake may notice by their ids; no page says so, so here it does not.
        """
        with self.lock:
            self.used = time.monotonic()
            return self._answer(sql, described)

    def close(self) -> None:
        """Roll back what is open, and leave Postgres."""
        with self.lock:
            if self._connection is not None:
                self._connection.close()
            self._connection, self.open = None, False

    def _answer(self, sql: str, described: bool) -> dict[str, Any]:
        parts = (
            snowflake_sql.split(sql)
            if not re.match(r"\s*(PUT|REMOVE|LIST|COPY)\b", sql, re.IGNORECASE)
            else [sql.strip()]
        )
        made: list[dict[str, Any]] = []
        for part in parts:
            try:
                made.append(self._statement(part, described))
            except Refused as refused:
                if len(parts) == 1:
                    raise
                # https://docs.snowflake.com/en/developer-guide/sql-api/submitting-multiple-statements
                message = f"Uncaught exception of type 'STATEMENT_ERROR': {refused.message}"
                raise Refused(100132, "P0000", message) from refused
        if len(made) == 1:
            return made[0]
        for each in made:
            self.results[each["queryId"]] = each
        several = told(**{"multiple statement execution": ["Multiple statements executed successfully."]})
        ids = ",".join(each["queryId"] for each in made)
        kinds = ",".join(str(each["statementTypeId"]) for each in made)
        return self._completed(several, _MULTI) | {"resultIds": ids, "resultTypes": kinds}

    def _completed(self, data: dict[str, Any], kind: int) -> dict[str, Any]:
        return data | {
            "queryId": str(uuid.uuid4()),
            "statementTypeId": kind,
            "finalDatabaseName": self.database,
            "finalSchemaName": self.schema or None,
            "parameters": [
                {"name": "AUTOCOMMIT", "value": self.settings["AUTOCOMMIT"]},
                {"name": "TIMEZONE", "value": self.settings["TIMEZONE"]},
            ],
            "success": True,
        }

    def _statement(self, sql: str, described: bool) -> dict[str, Any]:
        if not described:
            self.server.note(sql, "before")
        done = self._done(sql)
        if not described:
            self.server.note(sql, "after")
        return done

    def _done(self, sql: str) -> dict[str, Any]:
        if found := _SETTING.match(sql):
            self._set(*found.groups())
            return self._completed(_succeeded(), _DDL)
        if _BEGIN.match(sql):
            self._begin()
            return self._completed(_succeeded(), _DDL)
        if found := _END.match(sql):
            if self.open:
                self._run(found[1].upper())
            self.open = False
            return self._completed(_succeeded(), _DDL)
        about_stages = self.server.stages.handle(sql, self.schema, self.user)
        if isinstance(about_stages, dict):
            return self._completed(about_stages | {"rowtype": [], "rowset": []}, 0x7000)
        if about_stages is not None:
            names = ("name", "size", "md5", "last_modified")
            columns = {name: [str(row[n]) for row in about_stages if n < len(row)] for n, name in enumerate(names)}
            width = len(about_stages[0]) if about_stages else 2
            return self._completed(told(**dict(list(columns.items())[:width])), 0x7000)
        if copy := snowflake_copy.read(sql):
            return self._completed(self._in_transaction(lambda: self._copy(copy)), DML_KINDS["COPY"])
        return self._query(sql)

    def _query(self, sql: str) -> dict[str, Any]:
        plan = snowflake_sql.planned(_CONTEXT.sub(self._context, sql), self.database)
        if plan.kind == "ddl":
            return self._ddl(sql, plan)
        self._needs_warehouse()
        if plan.kind == "read":
            return self._completed(self._asked(plan.sql), _SELECTS)
        verb = sql.split(None, 1)[0].upper()

        def change() -> dict[str, Any]:
            if plan.locked:
                self._run(f"LOCK TABLE {plan.locked} IN SHARE UPDATE EXCLUSIVE MODE")
            count = self._run(plan.sql).rowcount
            return told(**{f"number of rows {verb.lower()}ed": [count]})

        return self._completed(self._in_transaction(change), DML_KINDS.get(verb, 0x3000))

    def _needs_warehouse(self) -> None:
        if not self.server.warehouse:
            message = "No active warehouse selected in the current session.  Select an active warehouse with the"
            raise Refused(606, "57P03", f"{message} 'use warehouse' command.\n")

    def _ddl(self, sql: str, plan: Plan) -> dict[str, Any]:
        if self.open:
            self._run("COMMIT")
            self.open = False
        self._run(plan.sql)
        if plan.clustered:
            self.server.cluster_keys[plan.clustered[0]] = plan.clustered[1]
        if found := re.match(r"\s*(?:DROP|TRUNCATE)\s+TABLE\s+(?:IF\s+EXISTS\s+)?(\S+)", sql, re.IGNORECASE):
            self._run("DELETE FROM _emulator.loads WHERE name = %s", self._qualified(found[1].rstrip(";")))
        return self._completed(_succeeded(), _DDL)

    def _context(self, found: "re.Match[str]") -> str:
        values = {
            "WAREHOUSE": self.server.warehouse,
            "ROLE": self.server.role,
            "DATABASE": self.database,
            "SCHEMA": self.schema,
            "USER": self.user,
            "SESSION": "1",
        }
        value = values[found[1].upper()]
        return f"'{value}'" if value else "NULL"

    def _set(self, name: str | None, value: str | None, unset: str | None) -> None:
        if unset or name is None or value is None:
            return
        plain = value.strip("'")
        if name.upper() == "AUTOCOMMIT":
            if self.open:  # a change commits
                self._run("COMMIT")
                self.open = False
            self.settings["AUTOCOMMIT"] = plain.upper() == "TRUE"
            return
        self.settings[name.upper()] = plain
        self._configure()

    def _begin(self) -> None:
        if not self.open:
            self._run("BEGIN")
            self.open = True

    def _in_transaction(self, change: Any) -> dict[str, Any]:
        """Do something all or not; what fails leaves an open transaction as it was."""
        alone = self.settings["AUTOCOMMIT"] is True and not self.open
        self._begin()
        if not alone:
            self._run("SAVEPOINT here")
        try:
            done: dict[str, Any] = change()
        except Refused:
            with suppress(Refused):
                self._run("ROLLBACK" if alone else "ROLLBACK TO here")
            self.open = self.open and not alone
            raise
        if alone:
            self._run("COMMIT")
            self.open = False
        return done

    def _copy(self, copy: Copy) -> dict[str, Any]:
        self._needs_warehouse()
        schema, name = self._qualified(copy.table).split(".", 1)
        columns = self._columns(schema, name)
        location, credentials = copy.location, copy.credentials
        found: dict[str, bytes] = {}
        for file in copy.files or [""]:
            found |= self.server.stages.read(
                f"{location.rstrip('/')}/{file.lstrip('/')}" if file else location, self.schema, self.user, credentials
            )
        counts: dict[str, int] = {}
        for file, content in found.items():
            known = self._run(
                "SELECT etag FROM _emulator.loads WHERE name = %s AND file = %s", f"{schema}.{name}", file
            ).fetchone()
            if known == (etag(content),) and copy.says("FORCE") != "TRUE":
                continue
            data = snowflake_copy.encoded(snowflake_copy.rows(copy, content, columns))
            names = ", ".join(f'"{column.name}"' for column in columns)
            self._run(f'COPY "{schema}"."{name}" ({names}) FROM STDIN', data=data)
            self._run("DELETE FROM _emulator.loads WHERE name = %s AND file = %s", f"{schema}.{name}", file)
            self._run("INSERT INTO _emulator.loads VALUES (%s, %s, %s)", f"{schema}.{name}", file, etag(content))
            counts[file] = data.count(b"\n")
        if not counts:
            return told(status=["Copy executed with 0 files processed."])
        loaded = [*counts.values()]
        return told(file=[*counts], status=["LOADED"] * len(counts), rows_parsed=loaded, rows_loaded=loaded)

    def _qualified(self, table: str) -> str:
        *above, name = identifiers(table)
        return f"{above[-1] if above else self.schema}.{name}"

    def _columns(self, schema: str, table: str) -> list[Column]:
        found = self._run(
            "SELECT column_name, data_type, character_maximum_length, is_nullable FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            schema,
            table,
        ).fetchall()
        if not found:
            raise compilation_error(2003, "42S02", f"Table '{schema}.{table}' does not exist or not authorized.")
        return [Column(name, kind, limit or LONGEST, nullable == "NO") for name, kind, limit, nullable in found]

    def _asked(self, sql: str) -> dict[str, Any]:
        cursor = self._run(sql)
        return data_of(cursor.description, cursor.fetchall())

    def _configure(self) -> None:
        if self._connection is None:
            return
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT set_config('TimeZone', %s, false)", (str(self.settings["TIMEZONE"]),))
            cursor.execute(f"SET lock_timeout = '{int(self.settings['LOCK_TIMEOUT'])}s'")
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{_ABANDONED}'")
            schema = self.schema.replace('"', '""')
            cursor.execute(f'SET search_path = "{schema}"' if schema else "SET search_path = ''")

    def _run(self, sql: str, *arguments: Any, data: bytes | None = None) -> Any:
        """Have Postgres do something.

        Raises:
            Refused: it failed.
        """
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(self.server.dsn_of(self.database))
            self._connection.autocommit = True
            self._configure()
        cursor = self._connection.cursor()
        try:
            if data is not None:
                cursor.copy_expert(sql, io.BytesIO(data))
            else:
                cursor.execute(sql, arguments or None)
        except psycopg2.Error as exc:
            raise translated(exc) from exc
        return cursor


def _succeeded() -> dict[str, Any]:
    return told(status=["Statement executed."])
