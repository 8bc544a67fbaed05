"""Any of dlt's SQL destinations, but a load is complete only once all has arrived, and errors quote no rows.

dlt writes what its jobs raise into files and logs, with all that the database says.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

from dlt.common.destination.client import LoadJob, RunnableLoadJob
from dlt.common.exceptions import TerminalException
from dlt.destinations.exceptions import DatabaseTerminalException, DatabaseTransientException

from hauser_dlt.error_mapping import as_ours
from hauser_dlt.errors import HauserError

Arrivals = MutableMapping[str, Callable[[Any], None]]
"""Load id -> what raises if, as a client of dlt's sees it, not all has arrived; taken out once it has been asked."""


def guard(destination: Any, arrivals: Arrivals) -> None:
    """Have a destination make sure of what arrives, and keep values of rows out of its errors."""
    with_client(destination, _guarded(destination.client_class, arrivals))


def with_client(destination: Any, client: Any) -> None:
    """Have a destination work with another class of client."""
    kind: Any = type(destination)

    class WithClient(kind):  # type: ignore[misc]
        @property
        def client_class(self) -> Any:
            return client

    # to dlt, which goes by these names, it is what it was
    WithClient.__module__, WithClient.__qualname__ = kind.__module__, kind.__qualname__
    destination.__class__ = WithClient


def _guarded(kind: Any, arrivals: Arrivals) -> Any:
    class GuardedClient(kind):  # type: ignore[misc]
        def create_load_job(self, *arguments: Any, **named: Any) -> LoadJob:
            return redacting(super().create_load_job(*arguments, **named))

        def complete_load(self, load_id: str) -> None:
            if has_arrived := arrivals.pop(load_id, None):
                has_arrived(self)
            super().complete_load(load_id)

    return GuardedClient


def redacting(job: LoadJob) -> LoadJob:
    """Return a load job that raises, and tells dlt, only what is safe to be shown."""
    if not isinstance(job, RunnableLoadJob):
        return job
    run, exception = job.run, job.exception
    failures: list[HauserError] = []

    def redacted() -> None:
        lasting = False
        try:
            run()
        except Exception as exc:  # noqa: BLE001 - of whatever kind, it is raised again
            lasting = isinstance(exc, TerminalException)
            failures.append(as_ours(exception() or exc))  # BigQuery's jobs know more than they raise
        if failures:  # outside of `except`, where it would take along what it stands for
            raise (DatabaseTerminalException if lasting else DatabaseTransientException)(failures[-1])

    message = job.failed_message
    told: Any = job
    told.run = redacted
    told.exception = lambda: failures[-1] if failures else exception()
    told.failed_message = lambda: str(failures[-1]) if failures else message()
    return job
