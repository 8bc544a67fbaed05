"""The codes that drivers tell of what was refused: they are the same in all languages, and for all versions' words.

Of an error without a code, the name of its class is one.
"""

import re
from collections.abc import Iterator
from typing import Any

_SQLSTATE = re.compile("[0-9A-Z]{5}")
_TOLD_BY_CLASS = ("botocore", "google", "pyiceberg")


def codes(exc: BaseException) -> Iterator[str]:
    """Yield the codes of an error, the most telling first: `28P01`, `sf606`, `NoSuchBucket`, `http503`."""
    found = (sqlstate(exc), snowflake_code(exc), *google_reasons(exc), _storage_code(exc), _status(exc), _class(exc))
    yield from filter(None, found)


def sqlstate(exc: BaseException) -> str:
    """Return the SQLSTATE that a driver tells; "" if it tells none.

    Postgres and Redshift (psycopg2) have it as `pgcode`, drivers of ODBC as the first argument. Snowflake has codes of
    its own, which say more.
    """
    if snowflake_code(exc):
        return ""
    told = getattr(exc, "pgcode", None) or getattr(exc, "sqlstate", None)
    if not told and _package(exc) == "pyodbc" and exc.args:
        told = exc.args[0]
    return told if isinstance(told, str) and _SQLSTATE.fullmatch(told) else ""


def snowflake_code(exc: BaseException) -> str:
    """Return the code that Snowflake tells of what it refused."""
    return f"sf{getattr(exc, 'errno', '')}" if _package(exc) == "snowflake" else ""


def google_reasons(exc: BaseException) -> list[str]:
    """Return the reasons that Google gives in words of its own (https://cloud.google.com/bigquery/docs/error-messages)."""
    errors = getattr(exc, "errors", None)
    named = (error.get("reason") for error in errors if isinstance(error, dict)) if isinstance(errors, list) else ()
    return list(dict.fromkeys(filter(None, named)))


def _storage_code(exc: BaseException) -> str:
    """Return the code of an error of AWS or Azure."""
    response: Any = getattr(exc, "response", None)
    if _package(exc) == "botocore" and isinstance(response, dict):
        return str(response.get("Error", {}).get("Code") or "")
    return str(getattr(exc, "error_code", None) or "") if _package(exc) == "azure" else ""


def _status(exc: BaseException) -> str:
    """Return the status of HTTP with which Google or Azure has answered."""
    if _package(exc) not in ("azure", "gcsfs", "google"):
        return ""
    status = getattr(exc, "status_code", None) or getattr(exc, "code", None)
    return f"http{int(status)}" if isinstance(status, int) else ""


def _class(exc: BaseException) -> str:
    return f"{_package(exc)}.{type(exc).__name__}" if _package(exc) in _TOLD_BY_CLASS else ""


def _package(exc: BaseException) -> str:
    return type(exc).__module__.partition(".")[0].lstrip("_")
