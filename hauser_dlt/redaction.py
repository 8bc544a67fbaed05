"""What may be shown of what others say: no passwords, no keys, and nothing out of a row.

Databases quote the values that they refuse. What is shown of their errors is therefore put together from what names
parts of the schema, where a driver tells it apart; elsewhere, quotations are left out.
"""

import logging
import re
import traceback
from typing import Any

import pyarrow as pa
from dlt.common.configuration.exceptions import ConfigurationException

from hauser_dlt.error_codes import google_reasons, sqlstate
from hauser_dlt.errors import HauserError

_IN_ADDRESS = r"(://[^:/@\s]*:)[^@\s]+@"
_SECRETS = re.compile(
    r"-----BEGIN .*?(?:-----END[^-]*-----|$)"
    rf"|{_IN_ADDRESS}"
    r"|(\w*(?:passw(?:or)?d|pwd|secret|token|private_key|account_?key|signature)\w*\W{0,3}[=:]\s*['\"]?)[^\s;,&'\"]+"
    r"|(\b(?:bearer|basic)\s+|\bsig=)[^\s;,&'\"]+",  # the last one in Azure's SAS tokens
    re.IGNORECASE | re.DOTALL,
)
_LONGEST = 400  # characters of a line


def hidden(text: str) -> str:
    """Return a text with *** for its passwords, keys and tokens."""
    return _SECRETS.sub(lambda m: f"{m[1]}***@" if m[1] else f"{m[2] or m[3] or ''}***", text)


def shows_secret(text: str) -> bool:
    """Tell whether a text looks as if it held a password, a key or a token."""
    return _SECRETS.search(text) is not None


def shows_password(text: str) -> bool:
    """Tell whether a text holds an address with a password."""
    return re.search(_IN_ADDRESS, text) is not None


def error_line(exc: BaseException) -> str:
    """Return one line about an exception of whatever kind, without secrets and without values of rows."""
    if isinstance(exc, HauserError):
        return str(exc)
    if inner := _wrapped(exc):
        return error_line(inner)
    said = _of_postgres(exc) or _of_duckdb(exc) or _of_google(exc) or _of_others(exc)
    return " ".join(hidden(said).split())[:_LONGEST] or type(exc).__name__


def chain(exc: BaseException) -> list[BaseException]:
    """Return an exception and what led to it, the innermost last."""
    found = [exc]
    while (inner := _wrapped(found[-1]) or found[-1].__cause__ or found[-1].__context__) and inner not in found:
        found.append(inner)
    return found


class RedactedError(Exception):
    """Stands in a traceback for an exception that quotes secrets or values."""


def redacted(exc: BaseException) -> RedactedError:
    """Return what stands in for an exception and all that led to it, each at its place in the code."""
    inner: RedactedError | None = None
    for error in reversed(chain(exc)):
        outer = RedactedError(f"{type(error).__name__}: {error_line(error)}").with_traceback(error.__traceback__)
        outer.__cause__ = inner
        inner = outer
    return inner or RedactedError()


def _wrapped(exc: BaseException) -> BaseException | None:
    """Return what an exception of dlt's repeats in its own text."""
    names = ("client_exception", "dbapi_exception", "inner_exc", "inner_exception", "exception")
    found = (getattr(exc, name, None) for name in names)
    return next((inner for inner in found if isinstance(inner, BaseException)), None)


# SQLSTATE classes whose messages name tables, columns and roles, and no values
# (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_ABOUT_SCHEMA = {"08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"}
_RAISED = "exec_stmt_raise"  # PL/pgSQL's RAISE may give any SQLSTATE to any text
# The message is in the server's language, its form is not; values come last.
_COPYING = re.compile(r"^COPY \S+?,? \w+ \d+(?:, \w+ ([A-Za-z_]\w*)\b)?", re.MULTILINE)
_FUNCTION = re.compile(r"\APL/pgSQL[ -]\w+ ([\w.]+)\(")


def _of_postgres(exc: BaseException) -> str:
    diag: Any = getattr(exc, "diag", None)
    if diag is None:
        return ""
    if not (message := diag.message_primary):  # there is no connection yet, or none any more
        return str(exc) if type(exc).__name__ == "OperationalError" else without_values(str(exc))
    if sqlstate(exc)[:2] in _ABOUT_SCHEMA and diag.source_function != _RAISED:
        return str(message)
    if sqlstate(exc).startswith("XX"):  # Redshift's own, whose reason stands in the detail
        return f"{without_values(message)}{_redshift_reason(diag.message_detail or '')}"
    copying, function = _COPYING.search(diag.context or ""), _FUNCTION.match(diag.context or "")
    named = {
        "table": diag.table_name,
        "column": diag.column_name or (copying and copying[1]),
        "constraint": diag.constraint_name,
        "function": function and function[1],
    }
    where = ", ".join(f"{kind} {name}" for kind, name in named.items() if name)
    return f"{_spaced(exc)} (SQLSTATE {sqlstate(exc)}){where and ': '}{where}"


_REDSHIFT_REASONS = re.compile(
    r"S3ServiceException:[\w ]*,Status \d+,Error \w+"
    r"|has an incompatible Parquet schema for column '[^']*'\.\s*Column type: [\w() ]+"
    r"|The length of the data column \w+ is longer than the length defined in the table"
    r"|Cannot insert a NULL value into column \w+"
)


def _redshift_reason(detail: str) -> str:
    """Return what is known to be harmless in the detail of an error of Redshift's."""
    return "".join(f"; {found}" for found in dict.fromkeys(_REDSHIFT_REASONS.findall(detail)))


_DUCKDB_VALUES = {"ConversionException", "OutOfRangeException", "InvalidInputException", "TypeMismatchException"}
_CAST = re.compile(
    r" (?:to|type) ([A-Z][A-Z0-9_]*(?:\(\d+(?:,\d+)?\))?)(?: when casting from source column (\w+))?\s*$"
)


def _of_duckdb(exc: BaseException) -> str:
    if not type(exc).__module__.startswith(("duckdb", "_duckdb")):
        return ""
    said, kind = str(exc).split("\nLINE ")[0], type(exc).__name__
    if kind in _DUCKDB_VALUES:
        cast = _CAST.search(said)
        into = f": a value does not fit {cast[1]}{f', column {cast[2]}' if cast[2] else ''}" if cast else ""
        return f"{_spaced(exc).replace('exception', 'error')}{into}"
    return without_values(said) if kind == "ConstraintException" else said


def _of_google(exc: BaseException) -> str:
    reasons = google_reasons(exc)
    return f"{without_values(str(getattr(exc, 'message', exc)))} ({', '.join(reasons)})" if reasons else ""


def _of_others(exc: BaseException) -> str:
    if isinstance(exc, pa.ArrowException):
        return _spaced(exc)
    telling = isinstance(exc, OSError | ImportError | ConfigurationException)  # of places and names
    return str(exc) if telling else without_values(str(exc))


def _spaced(exc: BaseException) -> str:
    """Return the kind of an error in words."""
    return " ".join(re.findall(r"[A-Z][a-z]*|[a-z]+", type(exc).__name__)).lower()


_NOUNS = (
    "account|bucket|column|constraint|database|dataset|destination|extension|field|file|for|function|host|identifier|key"
    "|module|object|option|parameter|partition|policy|project|relation|resource|role|rule|schema|server|stage|table"
    "|trigger|type|user|view|warehouse"
)
QUOTES = "\"'`«»„“”\u2018\u2019"
_QUOTED = re.compile(rf"(?P<name>\b(?:{_NOUNS})s? [{QUOTES}][\w.:$/*-]+[{QUOTES}])|(?<!\w)[{QUOTES}]", re.IGNORECASE)
_AFTER_QUOTE = re.compile(r"[\s.,;:)\]}>!?]|\Z")
_CUT_SHORT = "invalid literal for int()"  # Python quotes 200 characters, and then the closing quote may be missing
_SPELLED_OUT = re.compile(r"\b(values?|rows?|records?|contents?)\s*[:=(].*", re.IGNORECASE | re.DOTALL)


def without_values(text: str) -> str:
    """Return a text without what it quotes, but for the names of tables, columns and the like."""
    text = _SPELLED_OUT.sub(r"\1 …", text)
    begin = next((found.start() for found in _QUOTED.finditer(text) if not found["name"]), None)
    if begin is None:
        return text
    end = max(map(text.rfind, QUOTES))  # what is quoted may have quotes of its own
    closed = end > begin and _AFTER_QUOTE.match(text, end + 1) and not text.startswith(_CUT_SHORT)
    return f"{text[: begin + 1]}…{text[end:] if closed else ''}"


class SecretRedactingFilter(logging.Filter):
    """Redacts what others log: drivers quote statements, which hold the keys to buckets, and rows."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record pass, without secrets and values."""
        record.msg, record.args = hidden(record.getMessage()), ()
        if record.exc_info and (exc := record.exc_info[1]):
            # a traceback shows lines of source, in which a secret may be written out
            record.exc_text = hidden("".join(traceback.format_exception(redacted(exc))))
        return True


_FILTER = SecretRedactingFilter()


def redact(*loggers: logging.Logger | logging.Handler) -> None:
    """Keep secrets and values of rows out of what some loggers or handlers tell."""
    for logger in loggers:
        logger.addFilter(_FILTER)
