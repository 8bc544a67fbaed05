"""DuckLakes as the tests see them: a catalog in Postgres, files on the disk or on S3, read by DuckDB itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from emulators.s3 import S3
from support.destinations import Row, Target, _row


def _extension(name: str) -> Path:
    package = find_spec(f"duckdb_extension_{name}")
    assert package, f"there is no extension {name} of DuckDB's to test with"
    assert package.origin
    return Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def installed_extensions(home: Path) -> Path:
    """Put the extensions of a lake where DuckDB looks for them in a home; return it."""
    with duckdb.connect() as connection:
        ((platform,),) = connection.execute("PRAGMA platform").fetchall()
    place = home / ".duckdb" / "extensions" / f"v{duckdb.__version__}" / platform
    place.mkdir(parents=True)
    for name in ("ducklake", "postgres_scanner"):
        (place / f"{name}.duckdb_extension").symlink_to(_extension(name))
    return home


@dataclass(frozen=True, slots=True)
class LakeTarget(Target):
    """A schema of a lake.

    Attributes:
        s3: where the files lie; without it, on the disk.
    """

    s3: S3 | None = field(default=None, kw_only=True)

    @property
    def into_files(self) -> bool:
        """See `Target`: what there is can be asked by SQL."""
        return False

    @property
    def storage(self) -> str:
        """Where the files lie."""
        return f"s3://{self.s3.bucket}/{self.dataset}" if self.s3 else str(self.out)

    def settings(self) -> dict[str, Any]:
        """See `Target`."""
        storage: dict[str, Any] = {"bucket_url": self.storage}
        if self.s3:
            storage["credentials"] = self.s3.credentials()
        lake = {"catalog": self.dsn, "metadata_schema": self.schema, "storage": storage}
        return {
            "hauser": {"destination": "ducklake", "dataset_name": self.dataset},
            "destination": {"ducklake": {"credentials": lake}},
        }

    @property
    def schema(self) -> str:
        """The schema of the catalog's tables in Postgres."""
        return f"{self.dataset}_lake"

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Provide a connection that has the lake attached."""
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for name in ("ducklake", "postgres_scanner", *(["httpfs"] if self.s3 else [])):
                connection.execute(f"LOAD '{_extension(name)}'")
            if self.s3:
                at = urlsplit(self.s3.endpoint).netloc
                connection.execute(
                    f"CREATE SECRET (TYPE s3, KEY_ID '{self.s3.access_key}', SECRET '{self.s3.secret_key}',"
                    f" ENDPOINT '{at}', USE_SSL false, URL_STYLE 'path')"
                )
            attached = f"DATA_PATH '{self.storage}', METADATA_SCHEMA '{self.schema}'"
            connection.execute(f"ATTACH 'ducklake:postgres:{self.dsn}' AS lake ({attached})")
            connection.execute(f"USE lake.{self.dataset}")
            yield connection

    def query(self, sql: str) -> list[Row]:
        """See `Target`."""
        with self.connected() as connection:
            found = connection.execute(sql)
            names = [column[0] for column in found.description or ()]
            return [_row(names, values) for values in found.fetchall()]
