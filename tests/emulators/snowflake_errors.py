"""What Snowflake answers when it refuses, with its codes; dlt and hauser-dlt tell errors apart by these."""

import re

import psycopg2


class Refused(Exception):  # noqa: N818 - as the server does
    """What Snowflake answers instead of rows."""

    def __init__(self, errno: int, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.errno = errno
        self.sqlstate = sqlstate
        self.message = message


def compilation_error(errno: int, sqlstate: str, message: str) -> Refused:
    """Return an error that is found before anything is done."""
    return Refused(errno, sqlstate, f"SQL compilation error:\n{message}")


def translated(exc: psycopg2.Error) -> Refused:
    """Return an error of Postgres's as Snowflake words it."""
    code, said = exc.pgcode or "08000", str(exc).split("\n", maxsplit=1)[0]
    named = re.search(r'"([^"]+)"', said)
    name = named[1] if named else ""
    if code in ("42P01", "3F000"):
        kind = "Schema" if code == "3F000" else "Object"
        state = "02000" if code == "3F000" else "42S02"
        return compilation_error(2003, state, f"{kind} '{name}' does not exist or not authorized.")
    if code == "42703":
        return compilation_error(904, "42000", f"error line 1 at position 0\ninvalid identifier '{name}'")
    if code in ("42P07", "42P06", "42701"):
        return compilation_error(2002, "42710", f"Object '{name}' already exists.")
    if code == "23502":
        return Refused(100072, "22000", f"NULL result in a non-nullable column {name}")
    if code == "55P03":
        return Refused(625, "57014", "Statement has been aborted: the lock on the table was not released in time")
    if code == "42501":
        message = "SQL access control error:\nInsufficient privileges to operate on"
        return Refused(3001, "42501", f"{message} table '{name}'")
    if code in {"23514", "22001"}:
        return Refused(100078, "22000", "String is too long and would be truncated")
    return Refused(100038 if code.startswith("22") else 604, "22018" if code.startswith("22") else code, said)
