"""How dbt reaches Snowflake: as hauser-dlt does, with what is secret from the environment."""

from collections.abc import Iterator
from typing import Any

from hauser_dlt.dbt.lake_connection import from_environment


def snowflake_connection(credentials: Any) -> Iterator[tuple[str, str]]:
    """Yield what dbt is to be told: name -> value in YAML."""
    yield "account", from_environment("DBT_SNOWFLAKE_ACCOUNT", credentials.host)
    yield "user", from_environment("DBT_USER", credentials.username)
    if credentials.private_key_path:
        yield "private_key_path", from_environment("DBT_SNOWFLAKE_KEY_PATH", credentials.private_key_path)
    elif credentials.private_key:
        yield "private_key", "\"{{ env_var('DBT_ENV_SECRET_PRIVATE_KEY') }}\""
    else:
        yield "password", "\"{{ env_var('DBT_ENV_SECRET_PASSWORD') }}\""
    if credentials.private_key_passphrase:
        yield "private_key_passphrase", "\"{{ env_var('DBT_ENV_SECRET_PASSPHRASE') }}\""
    for name in ("role", "warehouse", "database"):
        if value := getattr(credentials, name):
            yield name, from_environment(f"DBT_{name.upper()}", value)
