"""One client of the Redshift emulator: what it says is read, changed or refused, and answered."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from emulators import pgwire, redshift_copy, redshift_s3
from emulators.pgwire import Message, Stream
from emulators.redshift_copy import Column, load_error
from emulators.redshift_ddl import BYTES_CHECK, Plan, Table, path
from emulators.redshift_lexer import Refused, Token, fold, source, statements
from emulators.redshift_s3 import Bucket
from emulators.redshift_sql import Copy, controls_transaction, ends_transaction, rewritten

if TYPE_CHECKING:
    from emulators.redshift import Fault, Redshift

_REPORTED = {"server_encoding", "client_encoding", "is_superuser", "session_authorization", "DateStyle", "TimeZone"}
_OPTIONS = "-cstandard_conforming_strings=off -cescape_string_warning=off -cTimeZone=UTC"


class Dropped(Exception):  # noqa: N818 - as scripted
    """The connection is to be cut."""


class Session:
    """One client's connection, and the connection to Postgres behind it."""

    def __init__(self, server: "Redshift", client: Stream, backend: Stream) -> None:
        self.server = server
        self.client = client
        self.backend = backend
        self.status = "I"
        self.inbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self.gone = asyncio.Event()

    async def run(self, body: bytes) -> None:
        """Serve until the client leaves."""
        given = pgwire.strings(body[:-1])
        parameters = dict(zip(given[::2], given[1::2], strict=True))
        options = re.sub(r"(?<=search_path=)\S+", lambda found: fold(found[0]), parameters.get("options", ""))
        parameters["options"] = f"{_OPTIONS} {options}"
        self.backend.writer.write(pgwire.startup(parameters))
        if not await self._authenticate():
            return
        listening = asyncio.create_task(self._listen())
        try:
            while message := await self.inbox.get():
                if message.kind != b"Q":
                    raise Dropped
                await self._answer(message.body[:-1].decode())
        finally:
            listening.cancel()

    async def _authenticate(self) -> bool:
        while True:
            message = await self.backend.read()
            if message.kind == b"S":
                name, value = pgwire.strings(message.body)
                if name in _REPORTED:
                    await self.client.write(pgwire.parameter(name, value))
                elif name == "server_version":
                    await self.client.write(pgwire.parameter(name, "8.0.2"))
                continue
            await self.client.write(message)
            if message.wants_answer:
                await self.backend.write(await self.client.read())
            if message.kind in b"EZ":
                return message.kind == b"Z"

    async def _listen(self) -> None:
        """Take in what the client sends, so that its leaving is seen at once."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while (message := await self.client.read()).kind != b"X":
                self.inbox.put_nowait(message)
        self.gone.set()
        self.inbox.put_nowait(None)

    async def _answer(self, sql: str) -> None:
        """Carry out all statements of one message; without BEGIN they are one transaction, as everywhere."""
        found = list(statements(sql))
        together = len(found) > 1 and self.status == "I" and not any(map(controls_transaction, found))
        if together:
            await self._ask("BEGIN")
        try:
            for tokens in found:
                await self._statement(tokens)
            if together:
                await self._ask("COMMIT")
        except Refused as refused:
            if together:
                await self._ask("ROLLBACK")
            await self.client.write(pgwire.error(refused.sqlstate, refused.message, refused.detail))
        if not found:
            await self.client.write(Message(b"I"))
        await self.client.write(pgwire.ready(self.status))

    async def _statement(self, tokens: list[Token]) -> None:
        text = source(tokens)
        self.server.statements.append(text)
        if fault := self.server.due(text, "before"):
            await self._suffer(fault)
        if self.status == "E" and not ends_transaction(tokens):
            await self._ask("SELECT 1")  # Postgres knows what to say
        late = self.server.due(text, "after")
        try:
            plan = rewritten(tokens)
            answers = await (self._copy(plan) if isinstance(plan, Copy) else self._carry_out(plan))
        except Refused:
            await self._fail()
            raise
        if late:
            await self._suffer(late)
        await self.client.write(*answers)

    async def _suffer(self, fault: "Fault") -> None:
        if fault.what == "drop":
            raise Dropped
        if fault.what == "stall":
            with suppress(TimeoutError):
                await asyncio.wait_for(self.gone.wait(), fault.seconds)
        elif fault.what == "kill":
            assert fault.call
            await asyncio.to_thread(fault.call)
        else:
            await self._fail()
            raise Refused(fault.sqlstate, fault.message)

    async def _fail(self) -> None:
        """Bring a transaction to fail on the other side as well."""
        if self.status == "T":
            with suppress(Refused):
                await self._ask("SELECT 1/0")

    async def _carry_out(self, plan: Plan) -> list[Message]:
        if plan.alone and self.status != "I":
            raise Refused("25001", plan.alone)
        answers = await (self._widen(plan) if plan.widened else self._ask(plan.sql))
        if plan.sorted_table:
            schema = await self._schema(plan.sorted_table)
            keys = plan.sort_keys
            if plan.like:
                keys = self.server.sort_keys.get(f"{await self._schema(plan.like)}.{plan.like[-1]}", [])
            self.server.sort_keys[f"{schema}.{plan.sorted_table[-1]}"] = keys
        if plan.commits and self.status == "T":
            await self._ask("COMMIT")
        return answers

    async def _widen(self, plan: Plan) -> list[Message]:
        assert plan.widened
        table, name, limit = plan.widened
        column = next((column for column in await self._columns(table) if column.name == name), None)
        if column is None:
            raise Refused("42703", f'column "{name}" of relation "{table[-1]}" does not exist')
        if column.kind != "character varying" or limit < column.limit:
            raise Refused(
                "0A000", f'target column size should be larger or equal to current maximum column size "{name}"'
            )
        checks = await self._rows(
            f"SELECT conname FROM pg_constraint WHERE conrelid = '{path(table)}'::regclass"
            f" AND conname LIKE '{BYTES_CHECK}%' AND conkey = (SELECT array_agg(attnum) FROM pg_attribute"
            f" WHERE attrelid = conrelid AND attname = '{name}')"
        )
        return await self._ask(plan.sql + "".join(f', DROP CONSTRAINT "{check}"' for (check,) in checks))

    async def _schema(self, table: Table) -> str:
        if len(table) > 1:
            return table[-2]
        ((schema,),) = await self._rows("SELECT current_schema()")
        return schema or ""

    async def _columns(self, table: Table) -> list[Column]:
        rows = await self._rows(
            "SELECT attname, regexp_replace(format_type(atttypid, atttypmod), '[(].*[)]', ''),"
            " substring(format_type(atttypid, atttypmod) FROM '[(]([0-9]+)'), attnotnull FROM pg_attribute"
            f" WHERE attrelid = '{path(table)}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        texts = ("character varying", "character")
        return [
            Column(str(name), str(kind), int(limit or 0) if kind in texts else 0, required == "t")
            for name, kind, limit, required in rows
        ]

    async def _copy(self, copy: Copy) -> list[Message]:
        table = copy.table[-1]
        columns = redshift_copy.chosen(copy, await self._columns(copy.table), table)
        redshift_copy.check_options(copy)
        bucket = self._bucket(copy)
        data = await asyncio.to_thread(_load, copy, bucket, columns, table)
        names = ", ".join(path((column.name,)) for column in columns)
        try:
            await self._ask(f"COPY {path(copy.table)} ({names}) FROM STDIN", data=data)
        except Refused as refused:
            if refused.sqlstate.startswith(("22", "23", "XX")) and "JSON" in copy.options:
                raise load_error(table) from refused
            raise
        rows = data.count(b"\n")
        told = f"Load into table '{table}' completed, {rows} record(s) loaded successfully."
        return [pgwire.notice(told), Message(b"C", b"COPY\0")]

    def _bucket(self, copy: Copy) -> Bucket:
        key, secret, token = redshift_s3.access(copy, self.server.roles, self.server.user)
        name = copy.url.removeprefix("s3://").partition("/")[0]
        place = self.server.elsewhere.get(name, self.server.region)
        if place != copy.options.get("REGION", self.server.region):
            said = "The bucket you are attempting to access must be addressed using the specified endpoint."
            more = "Please send all future requests to this endpoint.,Status 301,Error PermanentRedirect"
            raise redshift_s3.trouble(f"S3ServiceException:{said} {more}", 8001, copy.url)
        assert self.server.s3_endpoint, "COPY needs an S3"
        return Bucket(self.server.s3_endpoint, key, secret, token, place)

    async def _rows(self, sql: str) -> list[tuple[str | None, ...]]:
        return [tuple(pgwire.values(answer.body)) for answer in await self._ask(sql) if answer.kind == b"D"]

    async def _ask(self, sql: str, data: bytes = b"") -> list[Message]:
        """Have Postgres do something, and return its answers.

        Args:
            data: what COPY FROM STDIN is to read.

        Raises:
            Refused: it failed.
        """
        await self.backend.write(pgwire.query(sql))
        answers: list[Message] = []
        failure: Refused | None = None
        while (message := await self.backend.read()).kind != b"Z":
            if message.kind == b"G":
                await self.backend.write(*pgwire.copied(data))
            elif message.kind == b"E":
                failure = _translated(pgwire.fields(message.body))
            elif message.kind != b"S" or pgwire.strings(message.body)[0] in _REPORTED:
                answers.append(message)
        self.status = message.body.decode()
        if failure:
            raise failure
        return answers


def _load(copy: Copy, bucket: Bucket, columns: list[Column], table: str) -> bytes:
    read = redshift_copy.parquet_rows if "PARQUET" in copy.options else redshift_copy.json_rows
    files = bucket.objects(copy.url)
    return b"".join(redshift_copy.encoded(read(copy, content, columns, table)) for content in files.values())


def _translated(fields: Mapping[str, str]) -> Refused:
    """Return an error of Postgres's as Redshift words it."""
    sqlstate, message = fields["C"], fields["M"]
    if sqlstate == "23514" and (limit := re.match(BYTES_CHECK + r"(\d+)_", fields.get("n", ""))):
        return Refused("22001", f"value too long for type character varying({limit[1]})")
    if sqlstate == "23502":
        return Refused("XX000", f"Cannot insert a NULL value into column {fields['c']}")
    if sqlstate == "42P07":
        message = message.replace("relation", "Relation", 1)
    return Refused(sqlstate, message, fields.get("D", ""))
