"""What dlt, the drivers and the buckets raise -> an error of ours: one line that says what to do, without secrets."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.exceptions import DestinationConnectionError

from hauser_dlt.errors import ConfigError, HauserError, LoadError, TransientError

_RIGHTS = "give the loader's user the right to create schema and tables, and to read, insert and delete"
_KEYS = "look at the credentials under [destination.filesystem], and at what their owner may do in the bucket"
_CASES: tuple[tuple[str, type[HauserError], str], ...] = (
    (
        r"authentication failed|InvalidAccessKeyId|SignatureDoesNotMatch|invalid_grant|InvalidToken",
        ConfigError,
        "look at the credentials under [destination.<name>] in .dlt/secrets.toml",
    ),
    (
        r"bucket does not exist|NoSuchBucket|bucket \S+ (?:was )?not found",
        ConfigError,
        "make the bucket, or look at bucket_url under [destination.filesystem]",
    ),
    (
        r"must be addressed using the specified endpoint|PermanentRedirect|wrong region",
        ConfigError,
        "the bucket lies in another region than what loads from it: choose one in the same region",
    ),
    (r"database \S+ does not exist", ConfigError, "look at the database's name under [destination.<name>]"),
    (r"S3ServiceException.*(?:403|denied)|AccessDenied|\bForbidden\b", LoadError, _KEYS),
    (r"permission denied|access denied|not authorized|insufficient privilege|must be owner", LoadError, _RIGHTS),
    (r"quota|rate ?limit|too many (?:clients|connections)", TransientError, "wait, or ask for a higher limit"),
    (r"disk full|no space left|could not extend|diskfull", TransientError, "make room there"),
    (
        r"violates not-null|NOT NULL constraint|(?:insert a )?NULL value (?:in|into) column|required field",
        LoadError,
        "give that column of yours a default, or allow NULL in it",
    ),
    (
        r"incompatible|is of type|datatype mismatch|changed type|cannot be cast|could not convert",
        LoadError,
        "`hauser-dlt check` tells which column cannot take FullStory's values; rename it, or the table",
    ),
)
_WHAT_TO_DO = tuple((re.compile(pattern, re.IGNORECASE | re.DOTALL), kind, advice) for pattern, kind, advice in _CASES)
_PASSES = re.compile(
    r"\b(dead)?lock(ed)?\b|\bconnect(ion)?\b|\bhost name\b|timed? ?out|SlowDown|ServiceUnavailable|\b50[0234]\b",
    re.IGNORECASE,
)
_LASTS = re.compile(r"does not exist|no such file|not a valid", re.IGNORECASE)


@contextmanager
def translated() -> Iterator[None]:
    """Raise whatever is raised inside as an error of ours; what led to it is left out where it shows a secret."""
    try:
        yield
    except HauserError:
        raise
    except Exception as exc:  # noqa: BLE001 - of whatever kind, it is raised again
        chain = _chain(exc)
        raise _translate(chain) from (None if any(shows_secret(str(error)) for error in chain) else exc)


def _chain(exc: BaseException) -> list[BaseException]:
    chain = [exc]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    return chain


def _translate(chain: list[BaseException]) -> HauserError:
    for error in chain:
        if isinstance(error, HauserError):
            return error
        if isinstance(error, ConfigFieldMissingException):
            return ConfigError(_lacking(error))
        if isinstance(error, (ConfigurationException, MissingDependencyException)):
            return ConfigError(_line(error))
    for text in map(_line, reversed(chain)):  # the innermost is the briefest
        for pattern, kind, advice in _WHAT_TO_DO:
            if pattern.search(text):
                return kind(f"{_BEGINNINGS[kind]}: {text}; {advice}")
    text = _line(chain[-1])
    unreachable = any(isinstance(error, DestinationConnectionError) for error in chain) or _PASSES.search(text)
    kind = (ConfigError if _LASTS.search(text) else TransientError) if unreachable else LoadError
    return kind(f"{_BEGINNINGS[kind]}: {text}")


_BEGINNINGS: dict[type[HauserError], str] = {
    ConfigError: "the destination cannot be used with these settings",
    TransientError: "the destination cannot be used at present",
    LoadError: "the destination refuses",
}


def _lacking(error: ConfigFieldMissingException) -> str:
    """Say what is missing. dlt's own message runs to a page, and fails on providers of settings without a file."""
    if error.spec_name.startswith("Filesystem") and error.fields == ["credentials"]:
        return (
            "the bucket's keys are missing: set them under [destination.filesystem.credentials] or in the environment"
        )
    return f"the destination's {', '.join(error.fields)} must be set, under [destination.<name>] in .dlt/secrets.toml"


_SECRETS = re.compile(
    r"-----BEGIN .*?(?:-----END[^-]*-----|$)"
    r"|(://[^:/@\s]*:)[^@\s]+@"
    r"|(\w*(?:passw(?:or)?d|pwd|secret|token|private_key|signature)\w*\W{0,3}[=:]\s*['\"]?)[^\s;,&'\"]+"
    r"|(\b(?:bearer|basic)\s+)[^\s;,&'\"]+",
    re.IGNORECASE | re.DOTALL,
)


def hidden(text: str) -> str:
    """Return a text with *** for its passwords, keys and tokens."""
    return _SECRETS.sub(lambda m: f"{m[1]}***@" if m[1] else f"{m[2] or m[3] or ''}***", text)


def shows_secret(text: str) -> bool:
    """Tell whether a text looks as if it held a password, a key or a token."""
    return _SECRETS.search(text) is not None


class Veil(logging.Filter):
    """Hides secrets in what others log: drivers quote statements, and those hold the keys to buckets."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record pass, without its secrets."""
        record.msg, record.args = hidden(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = hidden(logging.Formatter().formatException(record.exc_info))
        return True


_VEIL = Veil()


def veil(*loggers: logging.Logger | logging.Handler) -> None:
    """Hide secrets in what some loggers or handlers tell."""
    for logger in loggers:
        logger.addFilter(_VEIL)


def _line(exc: BaseException) -> str:
    return " ".join(hidden(str(exc)).split())[:400] or type(exc).__name__
