"""What FullStory answers instead of rows never becomes any: an error object, or nothing where rows were promised."""

from collections.abc import Mapping
from typing import Any

from hauser_dlt.errors import CorruptBundleError
from hauser_dlt.fields import is_field_name

_SAYS = {"error", "errors", "message", "code"}
_SHOWN = 200  # characters


class Proof:
    """Sees to it that a bundle's rows are what was asked for.

    Args:
        needed: the field that is in each row of FullStory's, and must be in one at the least.

    Attributes:
        rows: how many have been seen.
        found: whether one of them has the field.
        first: the names in the first one that has not.
    """

    def __init__(self, needed: str) -> None:
        self.needed = needed
        self.rows = 0
        self.found = False
        self.first: tuple[str, ...] = ()

    def passed(self, rows: int) -> None:
        """Count rows that have the field."""
        self.rows += rows
        self.found = True

    def see(self, row: Mapping[str, Any]) -> None:
        """Look at a row that may lack the field.

        Raises:
            CorruptBundleError: it is an answer.
        """
        self.rows += 1
        if row.get(self.needed) not in (None, ""):
            self.found = True
            return
        self.first = self.first or tuple(row)  # no values, which are of users
        if _is_answer(row):
            said = {key: value for key, value in row.items() if key.lower() in _SAYS}
            shown = " ".join(str(said or list(row)).split())[:_SHOWN]  # of others no values, which may be of users
            raise CorruptBundleError(
                f"row {self.rows} of the bundle is no event or individual, but an answer of FullStory's: {shown}"
            )

    def add(self, later: "Proof") -> None:
        """Count in what another has seen of the rows that follow."""
        self.rows += later.rows
        self.found |= later.found
        self.first = self.first or later.first

    def end(self) -> None:
        """Refuse rows of which none has the field.

        Raises:
            CorruptBundleError: they are not what was asked for.
        """
        if self.rows and not self.found:
            names = ", ".join(self.first) or "nothing"
            raise CorruptBundleError(
                f"none of the bundle's {self.rows:,} rows has {self.needed}, which was asked for; the first has"
                f" {names[:_SHOWN]}"
            )


def _is_answer(row: Mapping[str, Any]) -> bool:
    """Tell whether a row without the needed field is none: no key of it is FullStory's, nor a custom variable's.

    The latter have an underscore, before their type at the least.
    """
    others = row and not any("_" in name or is_field_name(name) for name in row)
    return bool(others) or not _SAYS.isdisjoint(map(str.lower, row))
