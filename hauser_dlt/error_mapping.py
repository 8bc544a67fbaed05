"""What dlt, the drivers and the buckets raise -> an error of ours: one line that says what to do, without secrets."""

import errno
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    LookupTrace,
    LookupTraces,
)
from dlt.common.configuration.specs.exceptions import InvalidConnectionString
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.exceptions import DestinationConnectionError

from hauser_dlt.error_codes import codes, sqlstate
from hauser_dlt.errors import ConfigError, HauserError, LoadError, TransientError
from hauser_dlt.redaction import QUOTES, chain, error_line, redacted

_Case = tuple[type[HauserError], str]
_RIGHTS = "give the loader's user the right to create schema and tables, and to read, insert and delete"
_KEYS = "look at the credentials under [destination.filesystem], and at what their owner may do in the bucket"
_LOGIN: _Case = (
    ConfigError,
    "look at the credentials under [destination.<name>] in .dlt/secrets.toml (in an address, percent-encoded)",
)
_DATABASE: _Case = (ConfigError, "look at the database's name under [destination.<name>]")
_NO_RIGHT: _Case = (LoadError, _RIGHTS)
_NO_ROOM: _Case = (TransientError, "make room there")
_MORE_ROOM = "make room there, or set working_dir under [hauser] to a folder that has more"
_BUSY: _Case = (TransientError, "wait, or ask for a higher limit")
_NOT_NULL: _Case = (LoadError, "give that column of yours a default, or allow NULL in it")
_CONSTRAINT: _Case = (
    LoadError,
    "a constraint of yours does not take FullStory's rows: drop it, or load into another table",
)
_WRONG_TYPE: _Case = (
    LoadError,
    "`hauser-dlt check` tells which column cannot take FullStory's values; rename it, or the table",
)
_LATER: _Case = (TransientError, "")
_NO_BUCKET: _Case = (ConfigError, "make the bucket, or look at bucket_url under [destination.filesystem]")
_REGION: _Case = (
    ConfigError,
    "the bucket lies in another region than what loads from it: choose one in the same region",
)
_GLUE: _Case = (
    ConfigError,
    "set glue.region and keys under [iceberg_catalog.iceberg_catalog_config], or in the environment",
)
_NO_KEYS: _Case = (LoadError, _KEYS)
_TOO_LONG: _Case = (LoadError, "a column of yours is too short for FullStory's text: make it longer")
# The language of what a server says depends on its settings, its codes do not. The longest that fits counts:
# https://www.postgresql.org/docs/current/errcodes-appendix.html,
# https://cloud.google.com/bigquery/docs/error-messages, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html,
# https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes, and
# https://docs.snowflake.com/en/user-guide/key-pair-auth-troubleshooting for those of logins
_CODES: dict[str, _Case] = {
    "08": _LATER,
    "22": _WRONG_TYPE,
    "23": _CONSTRAINT,
    "23502": _NOT_NULL,
    "25006": (LoadError, "the database is read-only: name the server that takes writes, or allow them"),
    "28": _LOGIN,
    "3D000": _DATABASE,
    "40": _LATER,
    "42501": _NO_RIGHT,
    "42804": _WRONG_TYPE,
    "53": _BUSY,
    "53100": _NO_ROOM,
    "55P03": _LATER,
    "57": _LATER,
    "58": _LATER,
    "HYT00": _LATER,
    "HYT01": _LATER,
    "P0": (LoadError, "a trigger or function of yours refuses FullStory's rows: change it, or load into another table"),
    "accessDenied": _NO_RIGHT,
    "backendError": _LATER,
    "internalError": _LATER,
    "jobRateLimitExceeded": _BUSY,
    "quotaExceeded": _BUSY,
    "rateLimitExceeded": _BUSY,
    **dict.fromkeys(("http401", "google.DefaultCredentialsError", "google.RefreshError"), _LOGIN),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"), _LOGIN),
    **dict.fromkeys(("ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"), _LOGIN),
    **dict.fromkeys(("AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"), _LOGIN),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AuthorizationFailure"), _NO_KEYS),
    **dict.fromkeys(("AuthorizationPermissionMismatch", "InsufficientAccountPermissions"), _NO_KEYS),
    **dict.fromkeys(("http403", "AccessDeniedException"), _NO_RIGHT),
    **dict.fromkeys(("NoSuchBucket", "ContainerNotFound"), _NO_BUCKET),
    **dict.fromkeys(("PermanentRedirect", "AuthorizationHeaderMalformed"), _REGION),
    **dict.fromkeys(("botocore.NoCredentialsError", "botocore.NoRegionError"), _GLUE),
    **dict.fromkeys(("http429", "SlowDown", "ThrottlingException", "TooManyRequestsException"), _BUSY),
    **dict.fromkeys(("http500", "http502", "http503", "http504", "google.TransportError"), _LATER),
    **dict.fromkeys(
        ("InternalError", "ServiceUnavailable", "RequestTimeout", "ServerBusy", "OperationTimedOut"), _LATER
    ),
    **dict.fromkeys(("pyiceberg.ServerError", "pyiceberg.ServiceUnavailableError"), _LATER),
    "pyiceberg.TooManyRequestsError": _BUSY,
    **dict.fromkeys(("botocore.ConnectTimeoutError", "botocore.EndpointConnectionError"), _LATER),
    "sf604": _LATER,
    "sf606": (
        ConfigError,
        "set warehouse under [destination.snowflake.credentials], or the user's DEFAULT_WAREHOUSE",
    ),
    "sf625": _LATER,
    "sf2023": _WRONG_TYPE,
    "sf2081": _NO_KEYS,
    "sf3001": _NO_RIGHT,
    "sf3165": _NO_KEYS,
    "sf90073": _BUSY,
    "sf90105": _DATABASE,
    "sf100035": _WRONG_TYPE,
    "sf100038": _WRONG_TYPE,
    "sf100072": (LoadError, "allow NULL in that column of yours: a default does not help"),
    "sf100074": _TOO_LONG,
    "sf100078": _TOO_LONG,
    "sf390100": _LOGIN,
    "sf390144": _LOGIN,
    "sf390189": (ConfigError, "look at role under [destination.snowflake.credentials], and grant it to the user"),
}
_CASES: tuple[tuple[str, _Case], ...] = (
    (r"authentication failed|InvalidAccessKeyId|SignatureDoesNotMatch|invalid_grant|InvalidToken", _LOGIN),
    (r"bucket does not exist|NoSuchBucket|bucket \S+ (?:was )?not found", _NO_BUCKET),
    (r"must be addressed using the specified endpoint|PermanentRedirect|wrong region", _REGION),
    (r"database \S+ does not exist", _DATABASE),
    (
        r"DATA_PATH parameter \S+ does not match",
        (ConfigError, "set bucket_url under [destination.ducklake.credentials.storage] to where the lake's files lie"),
    ),
    (
        r"Failed to download extension",
        (TransientError, "let this machine reach extensions.duckdb.org, or install it with pip; see docs/ducklake.md"),
    ),
    (r"invalid (?:sslmode|sslrootcert|gssencmode|channel_binding|port|integer|connection option|URI query)", _LOGIN),
    (r"S3ServiceException.*(?:403|denied)|AccessDenied|\bForbidden\b", _NO_KEYS),
    (r"permission denied|access denied|not authorized|insufficient privilege|must be owner", _NO_RIGHT),
    (r"transaction conflict", _LATER),
    (r"quota|rate ?limit|too many (?:clients|connections)", _BUSY),
    (r"disk full|no space left|could not extend|diskfull", _NO_ROOM),
    (
        r"violates not-null|NOT NULL constraint|(?:insert a )?NULL value (?:in|into) column|required field",
        _NOT_NULL,
    ),
    (r"Constraint Error|violates \w+(?: \w+)? constraint", _CONSTRAINT),
    (
        r"incompatible|is of type|datatype mismatch|changed type|cannot be cast|could not convert|Conversion Error",
        _WRONG_TYPE,
    ),
)
_WHAT_TO_DO = tuple((re.compile(pattern, re.IGNORECASE | re.DOTALL), case) for pattern, case in _CASES)
_PASSES = re.compile(
    r"\b(dead)?lock(ed)?\b|\bconnect(ion)?\b|\bhost name\b|timed? ?out|SlowDown|ServiceUnavailable|\b50[0234]\b",
    re.IGNORECASE,
)
_LASTS = re.compile(
    r"does not exist|no such file|not a valid|does not support SSL|certificate verify failed",
    re.IGNORECASE,
)
# Of a connection that a server refuses, psycopg2 tells no code. libpq puts two spaces after the server's first word,
# which, as all that follows, is in the server's language. Names of users and databases stand in what must be set
# right; what passes (a server that starts, or has no connection left) quotes no name but that of a role of its own.
# Before it knows the client's encoding, a server whose own is none writes quotes in ASCII.
_QUOTE = rf"(?:[{QUOTES}]|<<|>>)"
_REFUSED = re.compile(rf":  [^\n]*{_QUOTE}(?!pg_)(?:(?!{_QUOTE})[^\n])+{_QUOTE}")


@contextmanager
def translated() -> Iterator[None]:
    """Raise whatever is raised inside as an error of ours; its cause is what led to it, redacted."""
    try:
        yield
    except HauserError:
        raise
    except Exception as exc:  # noqa: BLE001 - of whatever kind, it is raised again
        if interruption := next((each for each in chain(exc) if not isinstance(each, Exception)), None):
            raise interruption from None  # Ctrl-C, say: dlt makes an error of its own of whatever is raised in it
        raise as_ours(exc) from redacted(exc)


def as_ours(exc: BaseException) -> HauserError:
    """Return an exception of whatever kind as an error of ours."""
    errors = chain(exc)
    if any(isinstance(error, InvalidConnectionString) for error in errors):
        return ConfigError(_NOT_AN_ADDRESS)
    for error in errors:
        if isinstance(error, HauserError):
            return error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return TransientError(f"a disk is full: {error_line(error)}; {_MORE_ROOM}")
        if isinstance(error, (ConfigurationException, MissingDependencyException)):
            return ConfigError(_lacking(error) if isinstance(error, ConfigFieldMissingException) else error_line(error))
    if found := _by_code(reversed(errors)) or _by_text(reversed(errors)) or _by_form(errors):
        error, (kind, advice) = found
        return kind(f"{_BEGINNINGS[kind]}: {error_line(error)}{advice and '; '}{advice}")
    text = str(errors[-1])
    unreachable = any(isinstance(error, DestinationConnectionError) for error in errors) or _PASSES.search(text)
    kind = (ConfigError if _LASTS.search(text) else TransientError) if unreachable else LoadError
    return kind(f"{_BEGINNINGS[kind]}: {error_line(errors[-1])}")


def _by_code(errors: Iterable[BaseException]) -> tuple[BaseException, _Case] | None:
    for error in errors:
        for code in codes(error):
            case = _CODES.get(code) or (_CODES.get(code[:2]) if code == sqlstate(error) else None)
            if case:
                return error, case
    return None


def _by_text(errors: Iterable[BaseException]) -> tuple[BaseException, _Case] | None:
    for error in errors:  # the innermost is the briefest
        for pattern, case in _WHAT_TO_DO:
            if pattern.search(" ".join(str(error).split())):
                return error, case
    return None


def _by_form(errors: Iterable[BaseException]) -> tuple[BaseException, _Case] | None:
    """Return what a server answered that refuses a connection, whatever its language."""
    for error in errors:
        if type(error).__name__ == "OperationalError" and not sqlstate(error) and _REFUSED.search(str(error)):
            return error, _LOGIN
    return None


_BEGINNINGS: dict[type[HauserError], str] = {
    ConfigError: "the destination cannot be used with these settings",
    TransientError: "the destination cannot be used at present",
    LoadError: "the destination refuses",
}
PERCENT_ENCODED = (
    "user and password must be percent-encoded in it (%40 for @, %2F for /, %3A for :, %23 for #, %25 for %);"
    " or set host, port, database, username and password one by one under [destination.<name>.credentials]"
)
_NOT_AN_ADDRESS = (
    "the destination's credentials are no address of the form driver://user:password@host:port/database;"
    f" {PERCENT_ENCODED}"
)


def _lacking(error: ConfigFieldMissingException) -> str:
    """Say what is missing. dlt's own message runs to a page, and fails on providers of settings without a file."""
    if error.spec_name.startswith("Filesystem") and error.fields == ["credentials"]:
        return (
            "the bucket's keys are missing: set them under [destination.filesystem.credentials] or in the environment"
        )
    if "azure_storage_sas_token" in error.fields:  # dlt takes a key that is not in base64 for none
        return (
            "the destination's azure_storage_account_key, in base64, or its azure_storage_sas_token must be set, under"
            " [destination.filesystem.credentials] in .dlt/secrets.toml"
        )
    place, names = _missing(error.traces)
    return f"the destination's {', '.join(names)} must be set, under [{place}] in .dlt/secrets.toml"


def _missing(traces: Mapping[str, Sequence[LookupTrace | LookupTraces]]) -> tuple[str, list[str]]:
    """Return where settings are missing, and which; of several kinds of credentials, those of the first."""
    (first, *_), *_ = traces.values()
    if isinstance(first, LookupTraces):
        return _missing(first.traces)
    return ".".join(first.sections), list(traces)
