"""What is not to leave FullStory's files: names of custom variables and fields whose values are dropped. No I/O."""

import re
from collections.abc import Collection, Iterable
from fnmatch import translate

from hauser_dlt.fields import canonical, is_field_name


class Denylist:
    """Tells which keys of a record are dropped, before anything is made of it.

    Args:
        variables: patterns of custom variables: of whatever is none of the fields that are `declared`.
        fields: patterns of FullStory's fields, those that nobody has declared included.
        declared: the fields that have a column from the first run on.
    """

    def __init__(self, variables: Iterable[str], fields: Iterable[str], declared: Collection[str]) -> None:
        self._variables = _pattern(variables)
        self._fields = _pattern(fields)
        self._declared = {name.lower() for name in declared}

    def drops(self, key: str) -> bool:
        """Tell whether a key's value is dropped; its case does not matter."""
        name = canonical(key)
        is_declared = name.lower() in self._declared
        if (is_declared or is_field_name(name)) and self._fields.fullmatch(name.casefold()):
            return True
        return not is_declared and self._variables.fullmatch(key.casefold()) is not None


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Return what matches any of some names, which may hold `*`, `?` and `[...]` as in names of files."""
    return re.compile("|".join(translate(name.casefold()) for name in names) or r"(?!)")
