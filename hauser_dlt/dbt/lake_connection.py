"""How dbt reaches a DuckLake: dbt-duckdb attaches it to a database in memory."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def lake_connection(lake: Any, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what dbt is to be told of a lake. Where its files lie, its catalog knows.

    Args:
        lake: dlt's credentials of it.
        folder: where dbt is run.
    """
    catalog, options = lake.catalog, ""
    if catalog.drivername in ("postgres", "postgresql"):
        place = f"postgres:{' '.join(_of_postgres(catalog))}"
        options = f", options: {{metadata_schema: {lake.metadata_schema or lake.ducklake_name}}}"
    elif catalog.drivername in ("sqlite", "duckdb"):
        kind = "sqlite:" if catalog.drivername == "sqlite" else ""
        place = kind + _variable("DBT_DUCKLAKE_CATALOG", os.path.relpath(catalog.database, folder))
    else:
        place = f"{catalog.drivername}:{_variable('DBT_ENV_SECRET_DUCKLAKE_CATALOG')}"
    yield "path", '":memory:"'
    yield "database", lake.ducklake_name
    yield "attach", f"[{{path: {_quoted(f'ducklake:{place}')}, alias: {lake.ducklake_name}{options}}}]"
    if lake.storage.protocol == "s3":
        yield "secrets", f"[{{{', '.join(_of_s3(lake.storage.credentials))}}}]"


def _of_postgres(catalog: Any) -> Iterator[str]:
    yield f"host={_variable('DBT_HOST', catalog.host)}"
    yield f"port={_variable('DBT_PORT', str(catalog.port or 5432))}"
    yield f"dbname={_variable('DBT_DATABASE', catalog.database)}"
    yield f"user={_variable('DBT_USER', catalog.username)}"
    yield f"password='{_variable('DBT_ENV_SECRET_PASSWORD')}'"


def _of_s3(credentials: Any) -> Iterator[str]:
    yield "type: s3"
    yield f"key_id: {_quoted(_variable('DBT_ENV_SECRET_AWS_ACCESS_KEY_ID'))}"
    yield f"secret: {_quoted(_variable('DBT_ENV_SECRET_AWS_SECRET_ACCESS_KEY'))}"
    if credentials.region_name:
        yield f"region: {from_environment('DBT_AWS_REGION', credentials.region_name)}"
    if credentials.endpoint_url:
        endpoint = urlsplit(credentials.endpoint_url)
        yield f"endpoint: {json.dumps(endpoint.netloc)}"
        yield f"use_ssl: {json.dumps(endpoint.scheme == 'https')}"
        yield "url_style: path"


def from_environment(name: str, default: str, then: str = "") -> str:
    """Return YAML that has dbt look into the environment."""
    return _quoted(_variable(name, default, then))


def _variable(name: str, default: str | None = None, then: str = "") -> str:
    """Return what has dbt look into the environment."""
    arguments = json.dumps(name) if default is None else f"{json.dumps(name)}, {json.dumps(default)}"
    return f"{{{{ env_var({arguments}){then} }}}}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
