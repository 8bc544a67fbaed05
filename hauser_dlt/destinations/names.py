"""Which names a destination can hold: neither too long, nor its own, nor taken by another of our columns.

dlt would shorten what is too long without a word, and a system column ends a load in its midst. So a field that comes
up by itself goes into CustomVars instead, and what the settings name is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations.traits import ANY, Traits, traits_of
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import column_of


@dataclass(frozen=True, slots=True)
class Names:
    """What a destination can hold.

    Attributes:
        traits: what the destination keeps for itself.
        longest_column: in bytes.
        longest_table: in bytes.
    """

    traits: Traits = ANY
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
        own = name in self.traits.columns or name.startswith(self.traits.column_prefixes)
        return "that is a name of its own" if own else ""

    def refuse(self, settings: SourceSettings, dataset: str = "") -> None:
        """Refuse what the settings name.

        Raises:
            ConfigError: names the setting and the name, and says what is wrong.
        """
        keeper = self.traits.kind or "SQL"
        if dataset.lower() == "information_schema" or dataset.lower().startswith(self.traits.schema_prefixes):
            raise ConfigError(f"dataset_name = {dataset!r}: {keeper} keeps such names for itself; choose another")
        if len(pending := f"{settings.sync_table}_pending") > self.longest_table:
            raise ConfigError(
                f"sync_table = {settings.sync_table!r}: there will be a table {pending}, and {keeper} takes names of up"
                f" to {self.longest_table} bytes; choose a shorter one"
            )
        for setting, name, column in _columns(settings):
            if objection := self._objection(column):
                raise ConfigError(
                    f"{setting} names {name}, of which {self.traits.kind} can have no column ({objection}): leave it"
                    " out; its values are in CustomVars"
                )


def _columns(settings: SourceSettings) -> Iterator[tuple[str, str, str]]:
    """Yield the columns that settings name: setting, name, column."""
    yield from (("extra_fields", name, name) for name in settings.extra_fields)
    yield from (("custom_columns", name, column_of(name)) for name in settings.custom_columns)


def names_of(destination: Any) -> Names:
    """Return what names a destination can hold; of none, those that any can."""
    if destination is None:
        return Names()
    limits = destination.capabilities()
    longest_column = limits.max_column_identifier_length or limits.max_identifier_length
    return Names(traits_of(destination), longest_column, limits.max_identifier_length)
