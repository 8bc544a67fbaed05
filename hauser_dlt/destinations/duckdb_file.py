"""The clients of a DuckDB file: what is only read is neither made nor changed, and what cannot be used is named."""

import os
from pathlib import Path
from typing import Any

from dlt.destinations.impl.duckdb.configuration import NON_ATTACHABLE_LOCATIONS
from dlt.destinations.impl.duckdb.duck import DuckDbClient

from hauser_dlt.dlt_internals import connect_to, connect_to_file
from hauser_dlt.errors import ConfigError
from hauser_dlt.machine import refuse_misspelled, refuse_unwritable

_QUIET = "disable_progress_bar"
_FILE = "set credentials under [destination.duckdb] to a file that you can read and write"


def hide_progress(credentials: Any) -> None:
    """Have DuckDB print no progress: it does so on standard output, in the midst of results, terminal or not."""
    pragmas = credentials.pragmas or []
    credentials.pragmas = pragmas if _QUIET in pragmas else [*pragmas, _QUIET]


class ExactDuckDbClient(DuckDbClient):
    """Loads into a file that can be used."""

    def __init__(self, schema: Any, config: Any, capabilities: Any) -> None:
        self._file = Path(config.credentials.database)
        if config.credentials.database not in NON_ATTACHABLE_LOCATIONS:
            self._prepare(config.credentials)
        hide_progress(config.credentials)
        super().__init__(schema, config, capabilities)

    def _prepare(self, _credentials: Any) -> None:
        self.refuse_unwritable()

    def refuse_unwritable(self) -> None:
        """Make sure that the file can be written to, as far as the file system has a say in it.

        Raises:
            ConfigError: it cannot, or no other file beside it, as DuckDB's log is.
        """
        _refuse_unreadable(self._file)
        if self._file.exists() and not os.access(self._file, os.W_OK):
            raise ConfigError(f"the database {self._file} cannot be written to: {_FILE}")
        refuse_unwritable(self._file.parent, _FILE)


class ReadingDuckDbClient(ExactDuckDbClient):
    """Reads a file, which it needs no right to write; one that is not there is empty, and not made."""

    def _prepare(self, credentials: Any) -> None:
        _refuse_unreadable(self._file)
        if self._file.exists() and self._file.stat().st_size:
            credentials.read_only = True
            connect_to_file(credentials)
        else:
            connect_to(credentials, ":memory:")


def _refuse_unreadable(file: Path) -> None:
    refuse_misspelled(file)
    if not file.parent.is_dir():
        raise ConfigError(f"the folder of the database {file} is not there: make it, or {_FILE}")
    if not os.access(file.parent, os.X_OK) or (file.exists() and not os.access(file, os.R_OK)):
        raise ConfigError(f"the database {file} cannot be read: {_FILE}")
    if file.is_dir():
        raise ConfigError(f"the database {file} is a folder: {_FILE}")
