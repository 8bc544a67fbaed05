"""Snowflake's COPY INTO, and where staged files are to be found. No I/O.

https://docs.snowflake.com/en/sql-reference/sql/copy-into-table
"""

import re
from typing import Any
from urllib.parse import urlsplit

from dlt.common.configuration.specs import AwsCredentialsWithoutDefaults
from dlt.common.data_writers.escape import escape_snowflake_literal

from hauser_dlt.errors import ConfigError

STAGING_FOLDER = "hauser_dlt_staging"
_UNUSUAL = re.compile(r"[^\w.-]")
_FORMAT = "TYPE = 'PARQUET', USE_LOGICAL_TYPE = TRUE, BINARY_AS_TEXT = FALSE, TRIM_SPACE = FALSE, NULL_IF = ()"
# all that a stage may have been given defaults for
_OPTIONS = (
    "MATCH_BY_COLUMN_NAME = 'CASE_INSENSITIVE' ON_ERROR = ABORT_STATEMENT PURGE = FALSE FORCE = FALSE"
    " TRUNCATECOLUMNS = FALSE"
)


def staged_at(stage: str | None, client: Any = None) -> str:
    """Return the folder in an internal stage, by default the user's own, which needs no rights.

    Args:
        client: dlt's of SQL, which tells the dataset: each has a folder of its own, with one for each load package.
    """
    root = f"@{stage or '~'}/{STAGING_FOLDER}"
    return f"{root}/{_UNUSUAL.sub('_', f'{client.database_name}.{client.dataset_name}'.lower())}" if client else root


def in_external_stage(stage: str, url: str, bucket_url: str) -> str:
    """Return where a file of a bucket is in a stage whose URL is that of the bucket's settings."""
    before, ours, path = url.partition(f"/{STAGING_FOLDER}/")
    return f"@{stage}/{STAGING_FOLDER}/{path}" if ours else f"@{stage}/{before.removeprefix(bucket_url).lstrip('/')}"


def copy_statement(table: str, location: str, credentials: Any = None) -> str:
    """Return the statement that loads a file of Parquet.

    Args:
        table: its name, qualified and quoted.
        location: in a stage, or the URL of a bucket, to which credentials then are needed.

    Raises:
        ConfigError: Snowflake cannot read from there without a stage.
    """
    keys = "" if location.startswith("@") else f" {_keys(location, credentials)}"
    return f"COPY INTO {table} FROM {escape_snowflake_literal(location)}{keys} FILE_FORMAT = ({_FORMAT}) {_OPTIONS}"


def _keys(url: str, credentials: Any) -> str:
    if urlsplit(url).scheme != "s3" or not isinstance(credentials, AwsCredentialsWithoutDefaults):
        raise ConfigError(
            "Snowflake reads from this bucket by way of a stage only: set stage_name under [destination.snowflake]"
        )
    found = credentials.to_session_credentials()
    named = {"AWS_KEY_ID": "aws_access_key_id", "AWS_SECRET_KEY": "aws_secret_access_key"}
    named["AWS_TOKEN"] = "aws_session_token"  # noqa: S105 - the name of a setting
    parts = (f"{name}={escape_snowflake_literal(str(found[key]))}" for name, key in named.items() if found.get(key))
    return f"CREDENTIALS = ({' '.join(parts)})"
