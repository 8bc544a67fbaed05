"""Alerts of failed runs, to Slack and Sentry: one line, without secrets.

dlt's own settings say where they go: `slack_incoming_hook` and `sentry_dsn` under `[runtime]`.
"""

import os
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from hauser_dlt.config.lookup import find
from hauser_dlt.network import is_this_machine
from hauser_dlt.reports.posting import host_of, post
from hauser_dlt.reports.webhook import failure_line, for_chats, reason_of, setting

_TIMEOUT = 10.0  # seconds


def restrict_sentry() -> None:
    """Limit what is sent to Sentry to the lines of `send`.

    dlt sends traces and log records, too. They hold the variables of functions and the addresses of requests,
    and with them keys and signed links.
    """
    if dsn := _runtime("sentry_dsn"):
        import sentry_sdk  # noqa: PLC0415 - only there if somebody uses it

        here: Any = {"http_proxy": "", "https_proxy": ""} if is_this_machine(host_of(dsn)) else {}
        sentry_sdk.init(
            dsn,
            **here,
            release=f"hauser-dlt@{version('hauser-dlt')}",
            default_integrations=False,
            include_local_variables=False,
            max_breadcrumbs=0,
            traces_sample_rate=0,
            send_client_reports=False,
        )


def send(failure: Exception, command: str, exit_code: int) -> Iterator[str]:
    """Send an alert that a command failed to each service in the settings; yield why one could not be sent."""
    line = failure_line(command, exit_code, reason_of(failure))
    if _runtime("sentry_dsn") and (problem := _to_sentry(line, setting("pipeline_name"), command)):
        yield f"Sentry could not be told of it: {problem}"
    if (hook := _runtime("slack_incoming_hook")) and (problem := post(hook, {"text": for_chats(line)})):
        yield f"Slack could not be told of it: {problem}"


def _runtime(name: str) -> str:
    """Return a setting of dlt's under `[runtime]`."""
    try:
        found = find(name, "runtime")
    except Exception:  # noqa: BLE001 - of whatever kind: .dlt/ cannot be read, which is what there is to tell
        return os.environ.get(f"RUNTIME__{name}".upper(), "")
    return str(found[0]) if found else ""


def _to_sentry(line: str, pipeline: str, command: str) -> str:
    try:
        import sentry_sdk  # noqa: PLC0415 - as above

        restrict_sentry()  # the settings may have been too wrong to get so far before
        sentry_sdk.capture_message(line, level="error", tags={"pipeline": pipeline, "command": command})
        sentry_sdk.flush(_TIMEOUT)
    except Exception as exc:  # noqa: BLE001 - of whatever kind: what there is to report is another failure
        return type(exc).__name__
    return ""
