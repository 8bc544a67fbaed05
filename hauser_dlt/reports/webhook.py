"""The webhook: a JSON document about a run that has failed or, on request, has ended well.

`webhook_url`, `webhook_on_success` and `webhook_tags` under `[hauser]` say where it goes, when, and with which tags.
docs/monitoring.md describes the document.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from typing import Any

from hauser_dlt.config.lookup import find
from hauser_dlt.config.names import RUN, variable
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.errors import HauserError, StoppedError
from hauser_dlt.redaction import error_line, hidden
from hauser_dlt.reports.posting import post
from hauser_dlt.reports.summary import Summary

VERSION = 1
"""Of the document: it grows when a name is taken away or means something else, and stays when one is added."""

_DECLARED = {declared.name: declared.metadata for declared in fields(RunSettings)}
_MOST_FAILED = 20  # windows that are told one by one


@contextmanager
def told(command: str, summary: Summary, warn: Callable[[str], None]) -> Iterator[None]:
    """Tell the webhook how what is done inside ends.

    Args:
        command: what is done, `run` or `reload`.
        summary: what has been done up to then.
        warn: takes why the webhook could not be told.
    """
    try:
        yield
    except StoppedError:
        raise  # nothing has failed
    except Exception as exc:
        for problem in tell_failure(command, exc, exc.exit_code if isinstance(exc, HauserError) else 1, summary):
            warn(problem)
        raise
    for problem in tell_success(command, summary):
        warn(problem)


def tell_failure(command: str, failure: Exception, exit_code: int, summary: Summary) -> Iterator[str]:
    """Tell the webhook, if there is one, that a command failed; yield why that could not be done."""
    yield from _tell(command, exit_code, reason_of(failure), summary)


def tell_success(command: str, summary: Summary) -> Iterator[str]:
    """Tell the webhook, if it wants to know, that a command ended well; yield why that could not be done."""
    if setting("webhook_on_success"):
        yield from _tell(command, 0, None, summary)


def reason_of(failure: Exception) -> str:
    """Return one line about a failure, without secrets."""
    return " ".join(hidden(error_line(failure)).split()) or type(failure).__name__


def failure_line(command: str, exit_code: int, reason: str) -> str:
    """Return what an alert says."""
    return f"hauser-dlt {command} of {setting('pipeline_name')} ended with exit code {exit_code}: {reason}"


def for_chats(line: str) -> str:
    """Return a line as chat programs take it: < > & are marks there, for links and for calling people."""
    return escape(line, quote=False)


def setting(name: str) -> Any:
    """Return a setting of a run; its default where it is wrong, which fails the run by itself."""
    parse, default = _DECLARED[name]["parse"], _DECLARED[name]["default"]
    try:
        found = find(name, *RUN, hide=_DECLARED[name]["hide"])
        spelled = found[0] if found else default
    except Exception:  # noqa: BLE001 - of whatever kind: .dlt/ cannot be read, which is what there is to tell
        spelled = os.environ.get(variable((*RUN, name)), default)
    try:
        return parse(spelled)
    except ValueError:
        return parse(default)


def _tell(command: str, exit_code: int, reason: str | None, summary: Summary) -> Iterator[str]:
    address = setting("webhook_url")
    if address and (problem := post(address, _document(command, exit_code, reason, summary))):
        yield f"the webhook could not be told of it: {problem}"


def _document(command: str, exit_code: int, reason: str | None, summary: Summary) -> dict[str, Any]:
    line = _success_line(command, summary) if reason is None else failure_line(command, exit_code, reason)
    failed = list(summary.failed.items())
    return {
        "version": VERSION,
        "id": uuid.uuid4().hex,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "succeeded" if reason is None else "failed",
        "text": for_chats(line),
        "command": command,
        "exit_code": exit_code,
        "error": reason,
        "pipeline": setting("pipeline_name"),
        "dataset": setting("dataset_name"),
        "destination": setting("destination"),
        "tags": setting("webhook_tags"),
        "loaded": _loaded(summary) | {"reached": _reached(summary) if reason is None else None},
        "failed_windows": [
            {"start": window.start.isoformat(), "end": window.end.isoformat(), "error": reason_of(error)}
            for window, error in failed[:_MOST_FAILED]
        ],
        "hauser_dlt": version("hauser-dlt"),
    }


def _loaded(summary: Summary) -> dict[str, Any]:
    tally = summary.tally
    return {
        "packages": len(summary.packages),
        "windows": summary.windows,
        "events": summary.events,
        "bytes": tally.bytes,
        "outside": tally.outside,
        "misfits": dict(tally.mismatches),
        "cut": dict(tally.truncated),
    }


def _reached(summary: Summary) -> str | None:
    """Return up to where events are loaded; what a summary says of that holds once all that was planned is done."""
    return summary.reached.isoformat() if summary.reached else None


def _success_line(command: str, summary: Summary) -> str:
    done = f"{summary.events:,} events in {summary.windows:,} windows" if summary.packages else "nothing new to load"
    return f"hauser-dlt {command} of {setting('pipeline_name')} ended well: {done}"
