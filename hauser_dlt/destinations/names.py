"""Which names a destination can hold: neither too long, nor its own, nor taken by another of our columns. No I/O.

dlt would shorten what is too long without a word, and a system column ends a load in its midst. So a field that comes
up by itself goes into CustomVars instead, and what the settings name is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hauser_dlt.config.settings import SourceSettings
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import column_of

# https://www.postgresql.org/docs/current/ddl-system-columns.html
_POSTGRES = ("cmax", "cmin", "ctid", "tableoid", "xmax", "xmin")
_COLUMNS = {
    "postgres": _POSTGRES,
    # Postgres 8's, and those by which Redshift tells versions of rows apart
    "redshift": (*_POSTGRES, "deletexid", "insertxid", "oid"),
}
_PREFIXES = {
    # https://cloud.google.com/bigquery/docs/schemas#column_names, and the pseudocolumns of change data
    "bigquery": ("_change_", "_colidentifier", "_file_", "_partition", "_row_timestamp", "_table_", "__root__"),
    "redshift": ("padb_internal_",),
}
_SCHEMAS = {"postgres": ("pg_",), "redshift": ("pg_",)}  # beginnings of names that the server keeps for itself


@dataclass(frozen=True, slots=True)
class Names:
    """What a destination can hold.

    Attributes:
        kind: dlt's name of the destination; "" is one without rules of its own.
        longest_column: in bytes.
        longest_table: in bytes.
    """

    kind: str = ""
    longest_column: int = 65536
    longest_table: int = 65536

    def takes(self, column: str) -> bool:
        """Tell whether there can be a column of a name; in SQL, case does not matter."""
        return not self._objection(column)

    def _objection(self, column: str) -> str:
        """Return what is wrong with a column's name; "" if nothing is."""
        name = column.lower()
        if len(name.encode()) > self.longest_column:
            return f"it takes names of up to {self.longest_column} bytes"
        own = name in _COLUMNS.get(self.kind, ()) or name.startswith(_PREFIXES.get(self.kind, ()))
        return "that is a name of its own" if own else ""

    def refuse(self, read: SourceSettings, dataset: str = "") -> None:
        """Refuse what the settings name.

        Raises:
            ConfigError: names the setting and the name, and says what is wrong.
        """
        keeper = self.kind or "SQL"
        if dataset.lower() == "information_schema" or dataset.lower().startswith(_SCHEMAS.get(self.kind, ("\0",))):
            raise ConfigError(f"dataset_name = {dataset!r}: {keeper} keeps such names for itself; choose another")
        if len(pending := f"{read.sync_table}_pending") > self.longest_table:
            raise ConfigError(
                f"sync_table = {read.sync_table!r}: there will be a table {pending}, and {keeper} takes names of up to"
                f" {self.longest_table} bytes; choose a shorter one"
            )
        for setting, name, column in _columns(read):
            if objection := self._objection(column):
                raise ConfigError(
                    f"{setting} names {name}, of which {self.kind} can have no column ({objection}): leave it out; its"
                    " values are in CustomVars"
                )


def _columns(read: SourceSettings) -> Iterator[tuple[str, str, str]]:
    """Yield the columns that settings name: setting, name, column."""
    yield from (("extra_fields", name, name) for name in read.extra_fields)
    yield from (("custom_columns", name, column_of(name)) for name in read.custom_columns)
