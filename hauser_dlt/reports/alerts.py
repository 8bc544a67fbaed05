"""Alerts of failed runs, to Slack and Sentry: one line, without secrets.

dlt's own settings say where they go: `slack_incoming_hook` and `sentry_dsn` under `[runtime]`.
"""

import os
from collections.abc import Iterator
from html import escape
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import requests

from hauser_dlt.config.lookup import find
from hauser_dlt.errors import HauserError
from hauser_dlt.network import Session, is_this_machine, proxy_to, tls_problem
from hauser_dlt.redaction import error_line, hidden

_TIMEOUT = 10.0  # seconds


def restrict_sentry() -> None:
    """Limit what is sent to Sentry to the lines of `send`.

    dlt sends traces and log records, too. They hold the variables of functions and the addresses of requests,
    and with them keys and signed links.
    """
    if dsn := _setting("sentry_dsn", "runtime"):
        import sentry_sdk  # noqa: PLC0415 - only there if somebody uses it

        here: Any = {"http_proxy": "", "https_proxy": ""} if is_this_machine(_host(dsn)) else {}
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
    reason = " ".join(hidden(error_line(failure)).split()) or type(failure).__name__
    pipeline = _setting("pipeline_name", "hauser") or "hauser_dlt"
    line = f"hauser-dlt {command} of {pipeline} ended with exit code {exit_code}: {reason}"
    if _setting("sentry_dsn", "runtime") and (problem := _to_sentry(line, pipeline, command)):
        yield f"Sentry could not be told of it: {problem}"
    if (hook := _setting("slack_incoming_hook", "runtime")) and (problem := _to_slack(hook, line)):
        yield f"Slack could not be told of it: {problem}"


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _setting(name: str, section: str) -> str:
    try:
        found = find(name, section)
    except Exception:  # noqa: BLE001 - of whatever kind: .dlt/ cannot be read, which is what there is to tell
        return os.environ.get(f"{section}__{name}".upper(), "")
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


def _to_slack(hook: str, line: str) -> str:
    """Post a line; return what went wrong, or "". dlt's own function has no timeout."""
    text = escape(line, quote=False)  # < > & are Slack's marks for links and for calling people
    try:
        with Session() as session:
            answer = session.post(hook, json={"text": text}, timeout=_TIMEOUT, allow_redirects=False)
    except HauserError as exc:
        return str(exc)
    except (requests.RequestException, ValueError) as exc:
        return _network_problem(hook, exc) or type(exc).__name__  # no more than that: the address is a secret
    return "" if answer.status_code == 200 else f"it answered with status {answer.status_code}"


def _network_problem(hook: str, exc: Exception) -> str:
    host, proxy = _host(hook), proxy_to(hook)
    problem = (proxy and proxy.problem(exc, host)) or tls_problem(exc, host, "REQUESTS_CA_BUNDLE")
    return str(problem or "")
