r"""Snowflake's COPY INTO of Parquet, with its rules.

https://docs.snowflake.com/en/sql-reference/sql/copy-into-table:

* MATCH_BY_COLUMN_NAME: order does not matter; columns that the file lacks get NULL, not their default; fields that the
  table lacks are left out; one at least must match.
* A file that the table has loaded, by its name and its checksum, is skipped, unless FORCE = TRUE.
* NULL_IF, for Parquet as well, is `\N` unless said otherwise; without USE_LOGICAL_TYPE a moment is a number.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from emulators.snowflake_errors import Refused, compilation_error
from emulators.snowflake_sql import LONGEST
from emulators.snowflake_stages import unquoted

_HEAD = re.compile(
    r"\s*COPY\s+INTO\s+(?P<table>(?:\"[^\"]+\"|[\w$.])+)\s+FROM\s+(?P<location>'(?:[^'\\]|\\.|'')*'|@\S+)",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(\w+)\s*=\s*('(?:[^'\\]|\\.|'')*'|\((?:[^()']|'(?:[^'\\]|\\.|'')*'|\([^()]*\))*\)|[\w$]+)")
_KNOWN = {"FILES", "FILE_FORMAT", "CREDENTIALS", "MATCH_BY_COLUMN_NAME", "ON_ERROR", "PURGE", "FORCE"}
_KNOWN |= {"TRUNCATECOLUMNS", "ENFORCE_LENGTH"}
_FORMAT = {"TYPE", "USE_LOGICAL_TYPE", "BINARY_AS_TEXT", "NULL_IF", "TRIM_SPACE", "USE_VECTORIZED_SCANNER"}
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_MOST_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table; `limit` is of texts, in characters."""

    name: str
    kind: str
    limit: int = LONGEST
    mandatory: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """A statement that has been read."""

    table: str
    location: str
    options: dict[str, str]
    format: dict[str, str]
    files: list[str] = field(default_factory=list)

    @property
    def credentials(self) -> dict[str, str] | None:
        """Those that it has for a bucket."""
        given = self.options.get("CREDENTIALS")
        return {name: unquoted(value) for name, value in _OPTION.findall(given[1:-1])} if given else None

    def says(self, name: str) -> str:
        """Return the value of an option in upper case, "" without it."""
        return unquoted(self.options.get(name, "")).upper()


def read(sql: str) -> Copy | None:
    """Return a COPY INTO a table; None if it is another statement.

    Raises:
        Refused: it has options that do not exist.
    """
    head = _HEAD.match(sql)
    if not head:
        return None
    options = {name.upper(): value for name, value in _OPTION.findall(sql[head.end() :])}
    shape = {name.upper(): value for name, value in _OPTION.findall(options.get("FILE_FORMAT", "()")[1:-1])}
    if wrong := (options.keys() - _KNOWN) | (shape.keys() - _FORMAT):
        raise compilation_error(1003, "42000", f"syntax error: unexpected '{wrong.pop()}'.")
    if unquoted(shape.get("TYPE", "CSV")).upper() != "PARQUET":
        raise compilation_error(2, "0A000", "this emulator loads Parquet only")
    files = [unquoted(name) for name in re.findall(r"'(?:[^'\\]|\\.|'')*'", options.get("FILES", ""))]
    return Copy(head["table"], unquoted(head["location"]), options, shape, files)


def rows(copy: Copy, content: bytes, columns: list[Column]) -> Iterator[list[Any]]:
    """Yield the rows of a file, for all columns of the table.

    Raises:
        Refused: a value does not fit.
    """
    table = pyarrow.parquet.read_table(io.BytesIO(content))
    if unquoted(copy.format.get("USE_LOGICAL_TYPE", "FALSE")).upper() != "TRUE" and any(
        pa.types.is_timestamp(each.type) for each in table.schema
    ):
        raise Refused(100035, "22007", "Timestamp is not recognized: without USE_LOGICAL_TYPE it is a number")
    taken = _matched(copy, columns, table.schema.names)
    nulls = _nulls(copy)
    values = {name: table.column(source).to_pylist() for name, source in taken.items()}
    for number in range(table.num_rows):
        row = [values[column.name][number] if column.name in values else None for column in columns]
        yield [_value(value, column, nulls, copy) for value, column in zip(row, columns, strict=True)]


def _nulls(copy: Copy) -> set[str]:
    said = copy.format.get("NULL_IF")
    return {"\\N"} if said is None else {unquoted(part) for part in re.findall(r"'(?:[^'\\]|\\.|'')*'", said)}


def _matched(copy: Copy, columns: list[Column], fields: list[str]) -> dict[str, str]:
    """Return column -> field."""
    mode = copy.says("MATCH_BY_COLUMN_NAME")
    if mode not in ("CASE_SENSITIVE", "CASE_INSENSITIVE"):
        message = "PARQUET file format can produce one and only one column of type variant, object, or array."
        raise compilation_error(2, "0A000", f"{message} Use CSV file format if you want to load more than one column.")
    spelled = {name.upper(): name for name in fields} if mode == "CASE_INSENSITIVE" else {name: name for name in fields}
    found = {}
    for column in columns:
        key = column.name.upper() if mode == "CASE_INSENSITIVE" else column.name
        if key in spelled:
            found[column.name] = spelled[key]
    if not found:
        raise Refused(100080, "22000", "No column of the file matches any column in the target table")
    if len(set(found.values())) < len(found):
        raise Refused(100080, "22000", "Two columns of the table match one column of the file")
    return found


def _value(value: Any, column: Column, nulls: set[str], copy: Copy) -> str | None:
    if isinstance(value, str):
        value = _text(value, column, nulls, copy)
    if value is None:
        if column.mandatory:
            raise Refused(100072, "22000", f"NULL result in a non-nullable column\n  column {column.name}")
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        if not column.kind.startswith("timestamp"):
            raise _cast("TIMESTAMP", column)
        return value.isoformat(" ")
    if isinstance(value, int | float | Decimal) and column.kind not in ("numeric", "double precision"):
        raise _cast("NUMBER", column)
    return str(value)


def _text(value: str, column: Column, nulls: set[str], copy: Copy) -> str | None:
    if value in nulls:
        return None
    if column.kind == "json":
        return json.dumps(value)  # a text, whatever stands in it
    if column.kind in ("numeric", "double precision", "boolean"):
        raise Refused(100038, "22018", f"Numeric value '{value[:20]}' is not recognized\n  column {column.name}")
    if len(value) > column.limit or len(value.encode()) > _MOST_BYTES:
        if copy.says("TRUNCATECOLUMNS") == "TRUE" or copy.says("ENFORCE_LENGTH") == "FALSE":
            return value[: column.limit]
        message = f"User character length limit ({column.limit}) exceeded by string '{value[:20]}'"
        raise Refused(100074, "54000", f"{message}\n  File '{copy.location}', column {column.name}")
    return value


def _cast(kind: str, column: Column) -> Refused:
    return Refused(
        2023, "22000", f"Expression type does not match column data type, got {kind} for column {column.name}"
    )


def encoded(made: Iterable[list[str | None]]) -> bytes:
    """Return rows as COPY FROM STDIN takes them."""
    return b"".join(("\t".join(map(_cell, row)) + "\n").encode() for row in made)


def _cell(value: str | None) -> str:
    return "\\N" if value is None else value.translate(_ESCAPES)
