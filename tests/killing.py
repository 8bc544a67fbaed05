"""Runs that die: each step that changes something is counted, and the process is killed before or after the n-th.

The steps are those of dlt and of the ledgers, wrapped from outside: what runs is the product as it is.
"""

import functools
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import dlt
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from fsspec.implementations.local import LocalFileSystem
from s3fs import S3FileSystem

from hauser_dlt.configuration import Configuration, configure, read_run, read_source
from hauser_dlt.destinations.files import FilesLedger
from hauser_dlt.destinations.sql import SqlLedger
from hauser_dlt.sync import Sync
from hauser_dlt.windows import Window

PATIENCE = 60  # seconds

# A forked process is there at once, with everything imported; and it is forked from one without threads.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["killing"])

_STEPS: list[tuple[type, str]] = [
    (dlt.Pipeline, "extract"),
    (dlt.Pipeline, "normalize"),
    (dlt.Pipeline, "sync_schema"),
    (SqlLedger, "announce"),
    (SqlLedger, "settle"),
    (SqlLedger, "remove"),
    (SqlLedger, "clear"),
    (FilesLedger, "remove"),
    (DuckDbSqlClient, "execute_query"),
    (Psycopg2SqlClient, "execute_query"),
    (LocalFileSystem, "put_file"),
    (LocalFileSystem, "rm_file"),
    (S3FileSystem, "_call_s3"),
    (FilesystemClient, "complete_load"),
    (FilesystemClient, "_store_current_state"),
]
_CHANGING = ("INSERT", "DELETE", "CREATE", "ALTER", "COPY", "UPDATE", "BEGIN", "COMMIT", "DROP")


class _Killer:
    """Counts the steps, and kills the process at the one that was ordered."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, step: Callable[..., Any], name: str) -> Callable[..., Any]:
        if name == "_call_s3":
            return self._around_request(step)

        @functools.wraps(step)
        def stepping(*arguments: Any, **named: Any) -> Any:
            if name == "execute_query" and not str(arguments[1]).lstrip().upper().startswith(_CHANGING):
                return step(*arguments, **named)
            self()
            result = step(*arguments, **named)
            self()
            return result

        return stepping

    def _around_request(self, step: Callable[..., Any]) -> Callable[..., Any]:
        async def stepping(files: Any, method: str, *arguments: Any, **named: Any) -> Any:
            changes = method in ("put_object", "delete_object")
            if changes:
                self()
            result = await step(files, method, *arguments, **named)
            if changes:
                self()
            return result

        return stepping


def _run(
    environ: Mapping[str, str],
    settings: Mapping[str, Any],
    now: datetime,
    span: tuple[datetime | None, datetime | None],
    reload: tuple[datetime, datetime] | None,
    kill_at: int,
) -> None:
    os.environ.update(environ)
    killer = _Killer(kill_at)
    for kind, name in _STEPS:
        setattr(kind, name, killer.around(getattr(kind, name), name))
    configure(settings)
    with Sync.open(Configuration(read_source(), read_run()), lambda _: None) as sync:
        plan = sync.plan_reload(now, Window(*reload)) if reload else sync.plan(now, *span)
        sync.run(plan, _Silent())


class _Silent:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def run_until_killed(
    settings: Mapping[str, Any],
    now: datetime,
    kill_at: int,
    span: tuple[datetime | None, datetime | None] = (None, None),
    reload: tuple[datetime, datetime] | None = None,
) -> bool:
    """Run in a process of its own; return whether it was killed, because there were that many steps."""
    process = _PROCESSES.Process(target=_run, args=(dict(os.environ), settings, now, span, reload, kill_at))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0
