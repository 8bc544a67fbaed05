"""How a warehouse writes SQL, as far as the dbt project has to know."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between warehouses.

    Attributes:
        adapter: dbt's name of it.
        in_utc: turns a time with a zone into one without, in UTC; BigQuery's have none.
        zoned, plain: how times are written in SQL, of columns with a zone and without.
        fold: how it stores a name.
        layout: how a table of events is laid out, as arguments of dbt's `config`.
    """

    adapter: str
    quote: str = '"'
    in_utc: str = "{} at time zone 'UTC'"
    zoned: str = "timestamptz '{}+00'"
    plain: str = "timestamp '{}'"
    fold: Callable[[str], str] = str
    layout: str = ""

    def quoted(self, name: str) -> str:
        """Return a name as SQL has it."""
        return f"{self.quote}{self.spelled(name)}{self.quote}"

    def spelled(self, name: str) -> str:
        """Return a name as the warehouse has it."""
        return self.fold(name)
