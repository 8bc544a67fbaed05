"""Names as Snowflake stores them: in upper case, unless somebody has made them in quotes. No I/O."""

from collections.abc import Iterable

from hauser_dlt.errors import LoadError


def refuse_twins(table: str, columns: Iterable[str]) -> None:
    """Make sure that no two columns of a table differ only in case: COPY would not tell them apart.

    Raises:
        LoadError: two do.
    """
    known: dict[str, str] = {}
    for column in columns:
        if (other := known.setdefault(column.upper(), column)) != column:
            raise LoadError(f"table {table}: columns {other} and {column} differ only in case: rename one of them")


class Folding:
    """Turns a name into what Snowflake stores: upper case, or what existing tables have in another one.

    See https://docs.snowflake.com/en/sql-reference/identifiers-syntax.
    """

    def __init__(self) -> None:
        self._spelled: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """Return a name as it is stored."""
        return self._spelled.get(name.upper(), name.upper())

    def learn_tables(self, found: Iterable[tuple[str, str, str]]) -> None:
        """Take over how a schema and its tables are spelled; what is in upper case counts first.

        Args:
            found: schema, table and column.

        Raises:
            LoadError: a name is spelled in two ways.
        """
        # those in upper case last, as they are found without quotes
        for schema, table, column in sorted(found, key=lambda names: (names[0].isupper(), names[1].isupper())):
            for name in (schema, table):
                self._spelled[name.upper()] = name
            self.learn(table, [column])

    def learn(self, table: str, columns: Iterable[str]) -> None:
        """Take over how the columns of a table are spelled.

        Raises:
            LoadError: one is spelled in two ways.
        """
        for column in columns:
            before = self._spelled.setdefault(column.upper(), column)
            if before != column:
                raise LoadError(
                    f"table {table}: column {column} is called {before} elsewhere in these tables, which for hauser-dlt"
                    " is the same name: rename one of them"
                )
