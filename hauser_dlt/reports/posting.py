"""JSON posted to an address that is a secret: a few tries, and a few seconds for all of them."""

import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from hauser_dlt.errors import HauserError
from hauser_dlt.network import Session, proxy_to, tls_problem

_PATIENCE = 10.0  # seconds for all tries together, for looking up the host's name as well
_TIMEOUT = (3.0, 5.0)  # seconds to connect, and between two bytes of the answer
_PAUSES = (0.5, 1.5)  # seconds between the tries
_PASSING = (408, 425, 429)  # statuses that ask for another try, as those from 500 on do


def post(address: str, document: Mapping[str, Any]) -> str:
    """Post a document; return what went wrong without showing the address, or ""."""
    problems = ["it did not answer in time"]

    def work() -> None:
        try:
            problems.append(_post(address, document))
        except Exception as exc:  # noqa: BLE001 - of whatever kind: what there is to report is something else
            problems.append(type(exc).__name__)

    thread = threading.Thread(target=work, daemon=True)  # nothing else bounds an answer that comes byte by byte
    thread.start()
    thread.join(_PATIENCE)
    return problems[-1]


def _post(address: str, document: Mapping[str, Any]) -> str:
    for pause in _PAUSES:
        problem, passes = _try(address, document)
        if not passes:
            return problem
        time.sleep(pause)
    return _try(address, document)[0]


def _try(address: str, document: Mapping[str, Any]) -> tuple[str, bool]:
    """Post a document once; return what went wrong, or "", and whether another try may help."""
    try:
        with (
            Session() as session,
            session.post(address, json=document, timeout=_TIMEOUT, allow_redirects=False, stream=True) as answer,
        ):
            status = answer.status_code
    except HauserError as exc:
        return str(exc), False
    except (requests.RequestException, ValueError) as exc:
        problem = _network_problem(address, exc)
        return problem or type(exc).__name__, not problem and isinstance(exc, requests.RequestException)
    passes = status in _PASSING or status >= 500
    return ("" if 200 <= status < 300 else f"it answered with status {status}"), passes


def _network_problem(address: str, exc: Exception) -> str:
    """Return what is known of an error on the way; "" if nothing is. Even the host's name may be a secret."""
    host, proxy = "its host", proxy_to(address)
    problem = (proxy and proxy.problem(exc, host)) or tls_problem(exc, host, "REQUESTS_CA_BUNDLE")
    return str(problem or "").replace(host_of(address), host)  # OpenSSL names what a certificate is not for


def host_of(address: str) -> str:
    """Return the host of an address; "" if it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
