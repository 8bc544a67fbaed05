"""Whatever changes something, seen where no caller can pass it by, and called by a name that is the same in each run.

* SQL, in the connections of DuckDB, psycopg2 and Snowflake themselves;
* requests to buckets (aiohttp) and to BigQuery (requests), whatever library makes them;
* local files, in fsspec's file system; what is changed past it, Python's audit events tell;
* the load package on the disk of this machine, in one step: nothing there is the truth.

A change that none of the rules names is an error: a new one is to be named, and then to be died at.
"""

import contextlib
import functools
import importlib
import importlib.util
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp
import dlt
import duckdb
import psycopg2
import requests
from fsspec.implementations.local import LocalFileSystem

_OURS = (
    "fs_sync_pending",
    "fs_export",
    "fs_sync",
    "_dlt_loads",
    "_dlt_pipeline_state",
    "_dlt_version",
    "fs_individuals",
)
_TABLE = re.compile(rf"(?<![a-z_])({'|'.join(_OURS)})(?![a-z_])")
_UNTABLED = {"init": r"/init(\"|$)", "note": r"/\.hauser_dlt\.\d+$"}
_STAGING = "hauser_dlt_staging"
_READING = re.compile(
    r"\s*(SELECT|WITH|SHOW|SET|PRAGMA|LOAD|EXPLAIN|DESCRIBE|BEGIN|ROLLBACK|ABORT|RESET|LIST|ALTER\s+SESSION"
    r"|ATTACH|DETACH|USE|CREATE OR REPLACE SECRET)\b",
    re.IGNORECASE,
)
_CHANGING = re.compile(r"\s*(INSERT|DELETE|UPDATE|COPY|CREATE\s+SCHEMA|(?:CREATE|ALTER|DROP)\s+TABLE)\b", re.IGNORECASE)

Around = Callable[[str], contextlib.AbstractContextManager[None]]
"""Told the name of a step, it is entered before and left after it."""


UNNAMED = 97
"""The exit code of a process that changes something in a way that has no name yet."""


class Unnamed(Exception):  # noqa: N818 - of the tests, not of a run
    """There is no name for what is changed."""


def name_of_sql(sql: str) -> str | None:
    """Return what a statement is called; None if it only reads."""
    if _READING.match(sql):
        return None
    if _STAGING in sql and (staging := re.match(r"PUT|REMOVE", sql)):  # Snowflake's own stage
        return "delete staged files" if staging[0] == "REMOVE" else f"put staged {_table_in(sql)}"
    if sql.startswith("DECLARE"):  # dlt's script that empties those of some tables that exist: of none, mostly
        return f"TRUNCATE {_table_in(sql)}" if "TRUNCATE" in sql else None
    parts = [part for part in sql.split(";\n") if part.strip(" \n;")]
    names = list(dict.fromkeys(_name_of_statement(part) for part in parts))
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _name_of_statement(sql: str) -> str:
    verb = _CHANGING.match(sql)
    if not verb:
        raise Unnamed(sql)
    does = " ".join(verb[1].upper().split())
    if does == "CREATE SCHEMA":
        return does
    return f"{does} {_table_in(sql.lower())}"


def name_of_request(method: str, url: str, body: bytes) -> str | None:
    """Return what a request to a bucket or to BigQuery is called; None if it only reads."""
    if method in ("GET", "HEAD"):
        return None
    address = urlsplit(url)
    path = unquote(address.path)
    if "/bigquery/v2/" in path:
        return _name_in_bigquery(method, path, body)
    if "/batch/storage/v1" in path or "delete" in parse_qs(address.query, keep_blank_values=True):
        return f"delete {_object_in(unquote(body.decode()), gone=True)}"
    if "/upload/storage/v1/" in path:
        return f"put {_object_in(body[:2000].decode(errors='replace'))}"
    if method not in ("PUT", "DELETE"):
        raise Unnamed(f"{method} {path}")
    return f"put {_object_in(path)}" if method == "PUT" else f"delete {_object_in(path, gone=True)}"


def changes(method: str, path: str, body: bytes) -> bool:
    """Return whether a request, as a server has seen it, changes something: it may be a later one of an upload."""
    try:
        return name_of_request(method, path, body) is not None
    except Unnamed:
        return True


def _name_in_bigquery(method: str, path: str, body: bytes) -> str | None:
    what = path.partition("/projects/")[2].partition("/")[2]
    if what.endswith(":testIamPermissions"):
        return None
    if path.startswith("/upload"):
        return f"load job {_table_in(body.decode(errors='replace'))}"
    if what in ("jobs", "queries"):
        job = json.loads(body)
        inner = job.get("configuration", {})
        if sql := job.get("query") or inner.get("query", {}).get("query"):
            return name_of_sql(sql)
        return f"load job {_table_in(json.dumps(inner['load']['destinationTable']))}"
    if re.fullmatch(r"datasets(/[^/]+)?", what):
        return f"{method} dataset"
    raise Unnamed(f"{method} {path}")


def _object_in(path: str, gone: bool = False) -> str:
    """Return what a path is called: its table, or what else dlt puts there, in staging or at its place."""
    staged = "staged " if _STAGING in path else ""
    if staged and gone:
        return f"{staged}files"  # in an order of their own, some or all at once
    kind = next((kind for kind, pattern in _UNTABLED.items() if re.search(pattern, path)), None)
    return staged + (kind or _table_in(path))


def _table_in(text: str) -> str:
    found = _TABLE.search(text)
    if not found:
        raise Unnamed(text)
    return found[1]


def watch(around: Around, place: Path, elsewhere: str) -> None:
    """Have each step of this process be told, for the rest of its life.

    Args:
        place: where the destination's local files lie.
        elsewhere: the address of FullStory, of which nothing is told.
    """
    _watch_sql(around)
    _watch_requests(around, elsewhere)
    _watch_files(around, place)
    if importlib.util.find_spec("deltalake"):
        _watch_delta(around)
    if importlib.util.find_spec("pyiceberg"):
        _watch_iceberg(around)
    dlt.Pipeline.normalize = _told(dlt.Pipeline.normalize, around, lambda *_: "normalize")


@contextlib.contextmanager
def _ending_unnamed() -> Iterator[None]:
    """End the process where there is no name: an exception might be caught on its way."""
    try:
        yield
    except Unnamed as exc:
        os.write(sys.stderr.fileno(), f"no name for {exc}\n".encode())
        os._exit(UNNAMED)


def _told(call: Callable[..., Any], around: Around, name: Callable[..., str | None]) -> Callable[..., Any]:
    @functools.wraps(call)
    def telling(*arguments: Any, **named: Any) -> Any:
        with _ending_unnamed():
            step = name(*arguments, **named)
        with around(step) if step else contextlib.nullcontext():
            return call(*arguments, **named)

    return telling


def _telling_statements() -> tuple[Callable[..., str | None], Callable[..., str | None]]:
    """Return what names a statement, and what names the COMMIT of the last one of its thread."""
    of_thread = threading.local()

    def statement(self: Any, sql: Any, *_: Any, **__: Any) -> str | None:
        name = name_of_sql(
            sql if isinstance(sql, str) else sql.decode() if isinstance(sql, bytes) else sql.as_string(self)
        )
        if name:
            of_thread.last = name
        return name

    def last(*_: Any) -> str | None:
        name, of_thread.last = getattr(of_thread, "last", None), None
        return name and f"COMMIT of {name}"

    return statement, last


def _watch_sql(around: Around) -> None:
    statement, last = _telling_statements()
    for name in ("execute", "sql"):
        setattr(duckdb.DuckDBPyConnection, name, _told(getattr(duckdb.DuckDBPyConnection, name), around, statement))
    duckdb.DuckDBPyConnection.commit = _told(duckdb.DuckDBPyConnection.commit, around, last)

    class Cursor(psycopg2.extensions.cursor):
        execute = _told(psycopg2.extensions.cursor.execute, around, statement)
        copy_expert = _told(psycopg2.extensions.cursor.copy_expert, around, statement)

    class Connection(psycopg2.extensions.connection):
        commit = _told(psycopg2.extensions.connection.commit, around, last)

        def cursor(self, *arguments: Any, **named: Any) -> Any:
            return super().cursor(*arguments, **{"cursor_factory": Cursor, **named})

    psycopg2.connect = functools.partial(psycopg2.connect, connection_factory=Connection)


def _watch_delta(around: Around) -> None:
    """Have the commits be told that deltalake makes, which Python does not see."""

    def named(verb: str) -> Callable[..., str]:
        return lambda table, *_, **__: f"{verb} {_table_in(getattr(table, 'table_uri', str(table)))}"

    deltalake = importlib.import_module("deltalake")
    deltalake.write_deltalake = _told(deltalake.write_deltalake, around, named("commit"))
    deltalake.DeltaTable.delete = _told(deltalake.DeltaTable.delete, around, named("delete from"))
    deltalake.DeltaTable.create = staticmethod(_told(deltalake.DeltaTable.create, around, named("create")))


def _watch_iceberg(around: Around) -> None:
    """Have the commits be told that pyiceberg makes. What it writes before, it has Arrow write."""
    pyiceberg = importlib.import_module("pyiceberg.table")
    for kind, verb in ((pyiceberg.Transaction, "commit"), (pyiceberg.CreateTableTransaction, "create")):

        def named(changes: Any, verb: str = verb) -> str:
            return f"{verb} {changes._table.name()[-1]}"

        kind.commit_transaction = _told(kind.commit_transaction, around, named)


def _watch_requests(around: Around, elsewhere: str) -> None:
    asynchronous = aiohttp.ClientSession._request
    synchronous = requests.Session.request
    uploads: dict[str, str] = {}  # which go on at an address of their own

    def begun(name: str | None, answer: Any) -> Any:
        if name and (address := answer.headers.get("Location")):
            uploads[address] = f"{name}, its content"
        return answer

    async def asking(self: Any, method: str, url: Any, **named: Any) -> Any:
        body = named["json"] if named.get("json") else named.get("data")
        content = await _content(body)
        with _ending_unnamed():
            name = uploads.get(str(url)) or name_of_request(method.upper(), str(url), content)
        with around(name) if name else contextlib.nullcontext():
            return begun(name, await asynchronous(self, method, url, **named))

    def ask(self: Any, method: str, url: str, *arguments: Any, **named: Any) -> Any:
        body = named.get("data") or (arguments[1] if len(arguments) > 1 else b"") or b""
        body = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b""
        ours = not url.startswith(elsewhere)
        with _ending_unnamed():
            name = uploads.get(url) or name_of_request(method.upper(), url, body) if ours else None
        with around(name) if name else contextlib.nullcontext():
            return begun(name, synchronous(self, method, url, *arguments, **named))

    aiohttp.ClientSession._request = asking
    requests.Session.request = ask


async def _content(body: Any) -> bytes:
    """Return as much of a request's content as tells what it is about."""
    if hasattr(body, "read"):
        at = body.tell()
        content = body.read()
        body.seek(at)
        return content if isinstance(content, bytes) else await content
    if isinstance(body, dict):
        return json.dumps(body).encode()
    return body.encode() if isinstance(body, str) else bytes(body or b"")


def _watch_files(around: Around, place: Path) -> None:
    inside = threading.local()

    def telling(call: Callable[..., Any], verb: str, at: int) -> Callable[..., Any]:
        @functools.wraps(call)
        def tell(self: Any, *arguments: Any, **named: Any) -> Any:
            path = str(arguments[at])
            made = verb == "make folder" and Path(path).exists()
            if made or getattr(inside, "deep", False) or not path.startswith(str(place)):
                return call(self, *arguments, **named)
            with _ending_unnamed():
                step = f"{verb} {_object_in(path)}"
            inside.deep = True
            try:
                with around(step):
                    return call(self, *arguments, **named)
            finally:
                inside.deep = False

        return tell

    for name, (verb, at) in {
        "makedirs": ("make folder", 0),
        "put_file": ("put", 1),
        "pipe_file": ("put", 0),
        "write_text": ("put", 0),
        "mv": ("move", 1),
        "touch": ("put", 0),
        "rm_file": ("delete", 0),
        "rm": ("delete", 0),
    }.items():
        setattr(LocalFileSystem, name, telling(getattr(LocalFileSystem, name), verb, at))

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            changes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        elif event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"):
            path = arguments[0]
            changes = event != "os.mkdir" or not Path(path).exists()
        else:
            return
        if changes and str(path).startswith(str(place)) and not getattr(inside, "deep", False):
            with _ending_unnamed():
                raise Unnamed(f"{event} {arguments}")

    sys.addaudithook(audit)
