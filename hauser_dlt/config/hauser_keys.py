"""The keys of the Go hauser's TOML, of both generations: each with its parser, and the setting that takes it over.

A parser raises a `ValueError` that says what is allowed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from hauser_dlt.config import parsers
from hauser_dlt.config.parsers import NO_OWN_HEADERS, between, flag, name, one_of, text

_AWS_KEYS = {"aws_access_key_id", "aws_secret_access_key"}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of hauser: its parser, our setting that takes its value over, and what it has to name if it is required."""

    label: str
    parse: Callable[[Any], Any]
    to: str = ""
    need: str = ""
    hide: bool = False

    @property
    def section(self) -> str:
        """`s3` of `[s3] Bucket`; "" at the top."""
        return self.label[1:].partition("]")[0] if self.label.startswith("[") else ""


def _as_spelled(parse: Callable[[Any], Any]) -> Callable[[Any], str]:
    """Make a parser that checks a value and leaves it as text."""

    def spelled(value: Any) -> str:
        parse(value)
        return value.isoformat() if isinstance(value, date) else str(value)

    return spelled


def idle(value: Any) -> Any:
    """Take whatever a key holds that has no meaning any more."""
    return value


def _address(value: Any) -> str:
    return parsers.url(text(value))


def _path_like(pattern: str, allowed: str) -> Callable[[Any], str]:
    """Make a parser of paths that can stand in a URL."""

    def path(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value) or ".." in value.split("/"):
            raise ValueError(allowed)
        return value.strip("/")

    return path


def _save_dir(value: Any) -> Path:
    """Read a folder; a relative one lies in the current directory."""
    try:
        return Path(text(value)).expanduser().absolute()
    except RuntimeError:  # no such user
        raise ValueError("a folder") from None


def _headers(value: Any) -> dict[str, str]:
    """Read hauser's list of { Key, Value } as our table of headers."""
    try:
        items = [{key.lower(): inner for key, inner in item.items()} for item in value]
        table = {item.pop("key"): item.pop("value") for item in items}
        return parsers.headers(None if any(items) else table)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(f"a list of {{ Key, Value }}, {NO_OWN_HEADERS}") from None


def _credentials(value: Any) -> dict[str, str]:
    """Read the credentials of Redshift's COPY; the names are those of dlt's settings."""
    pairs = [part.partition("=")[::2] for part in text(value).rstrip(";").split(";")]
    found = {key.strip().lower(): secret.strip() for key, secret in pairs}
    if set(found) not in ({"aws_iam_role"}, _AWS_KEYS, {*_AWS_KEYS, "token"}) or not all(found.values()):
        raise ValueError("aws_iam_role=arn:..., or aws_access_key_id=...;aws_secret_access_key=...")
    if role := found.get("aws_iam_role"):
        return {"destination.redshift.staging_iam_role": role}
    prefix = "destination.filesystem.credentials."
    return {prefix + key.replace("token", "aws_session_token"): secret for key, secret in found.items()}


_bucket = _path_like(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[^?#]*)?", "a bucket such as my-bucket or my-bucket/some/folder")
_project = _path_like(r"[A-Za-z0-9][A-Za-z0-9.:-]*", "a project such as my-project-123")

KEYS = (
    Key("Provider", one_of("local", "aws", "gcp")),
    Key("Warehouse", one_of("local", "redshift", "bigquery")),
    Key("StorageOnly", flag),
    Key("SaveAsJson", flag),
    Key("FilePrefix", _path_like(r"[^?#]*", "a path without .., ? and #")),
    Key("GroupFilesByDay", flag, "hauser.group_by_day"),
    Key("TmpDir", _as_spelled(text), "hauser.working_dir"),
    Key("FsApiToken", text, "sources.fullstory.api_token", hide=True),
    Key("ApiURL", _address),
    Key("ExportURL", _address),
    Key("AdditionalHttpHeader", _headers, "sources.fullstory.http_headers", hide=True),
    Key("Backoff", _as_spelled(parsers.duration), "sources.fullstory.backoff"),
    Key("BackoffStepsMax", between(0, 100), "sources.fullstory.max_retries"),
    Key("SegmentId", text, "sources.fullstory.segment_id"),
    Key("IncludeMobileAppsFields", flag, "sources.fullstory.include_mobile_fields"),
    Key("StartTime", _as_spelled(parsers.moment), "sources.fullstory.start_time"),
    Key("ExportDuration", _as_spelled(parsers.export_duration), "sources.fullstory.export_duration"),
    Key("ExportDelay", _as_spelled(parsers.export_delay), "sources.fullstory.export_delay"),
    Key("CheckInterval", idle),
    Key("ListExportLimit", idle),
    Key("[local] SaveDir", _save_dir, need="the folder of the exported files"),
    Key("[local] SaveAsJson", flag),  # where the first hauser with files had it
    Key("[local] UseStartTime", flag),
    Key("[local] StartTime", _as_spelled(parsers.moment)),
    Key("[s3] Bucket", _bucket, need="the bucket of the exported files"),
    Key("[s3] Region", text, "destination.filesystem.credentials.region_name"),
    Key("[s3] S3Only", flag),
    Key("[s3] Timeout", idle),
    Key("[redshift] Host", text, "destination.redshift.credentials.host", need="the cluster's host name"),
    Key("[redshift] Port", between(1, 65535), "destination.redshift.credentials.port"),
    Key("[redshift] DB", text, "destination.redshift.credentials.database", need="the database's name"),
    Key("[redshift] User", text, "destination.redshift.credentials.username", need="the database's user"),
    Key("[redshift] Password", _as_spelled(text), "destination.redshift.credentials.password", hide=True),
    Key("[redshift] DatabaseSchema", name, "hauser.dataset_name", need="the schema of the tables, or search_path"),
    Key("[redshift] ExportTable", name, "sources.fullstory.export_table"),
    Key("[redshift] SyncTable", name, "sources.fullstory.sync_table"),
    Key("[redshift] VarCharMax", between(1, 65535), "destination.redshift.varchar_max"),
    Key("[redshift] Credentials", _credentials, hide=True),
    Key("[gcs] Bucket", _bucket, need="the bucket of the exported files"),
    Key("[gcs] GCSOnly", flag),
    Key(
        "[bigquery] Project",
        _project,
        "destination.bigquery.credentials.project_id",
        need="the project of Google Cloud",
    ),
    Key("[bigquery] Dataset", name, "hauser.dataset_name", need="the dataset of the tables"),
    Key("[bigquery] ExportTable", name, "sources.fullstory.export_table"),
    Key("[bigquery] SyncTable", name, "sources.fullstory.sync_table"),
    Key("[bigquery] PartitionExpiration", _as_spelled(parsers.duration), "destination.bigquery.partition_expiration"),
)
ROLE = "[redshift] Credentials"
