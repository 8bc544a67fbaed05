"""Files as Redshift's COPY reads them, and their rows in the text that PostgreSQL's COPY FROM STDIN takes."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from emulators.redshift_ddl import MAX_BYTES
from emulators.redshift_lexer import Refused
from emulators.redshift_s3 import trouble
from emulators.redshift_sql import Copy

_FOR_COLUMNAR = {"ACCEPTINVCHARS", "FILLRECORD", "STATUPDATE", "MANIFEST", "EXPLICIT_IDS", "SERIALIZETOJSON", "PARQUET"}
_CREDENTIALS = {"IAM_ROLE", "CREDENTIALS", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"}
_FOR_JSON = {
    *("JSON", "GZIP", "REGION", "TRUNCATECOLUMNS", "DATEFORMAT", "TIMEFORMAT", "MAXERROR", "COMPUPDATE", "STATUPDATE"),
    *("ACCEPTINVCHARS", "BLANKSASNULL", "EMPTYASNULL", "TRIMBLANKS", "ROUNDEC", "ACCEPTANYDATE", "ENCODING"),
}
_MAX_OBJECT = 4 * 1024 * 1024  # bytes that one JSON object may have


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table that is loaded.

    Attributes:
        kind: PostgreSQL's name of the type, without length.
        limit: bytes, in a text.
    """

    name: str
    kind: str
    limit: int
    required: bool


def load_error(table: str) -> Refused:
    """Return what COPY says of a row that cannot be loaded."""
    return Refused(
        "XX000", f"Load into table '{table}' failed.  Check 'sys_load_error_detail' system table for details."
    )


def check_options(copy: Copy) -> None:
    """Make sure that a statement says nothing that its format does not take.

    Raises:
        Refused: it does.
    """
    if "PARQUET" in copy.options:
        allowed = _FOR_COLUMNAR | _CREDENTIALS
        for name, value in copy.options.items():
            # dlt says MAXERROR 0, and Redshift takes that
            if name not in allowed and (name, value) != ("MAXERROR", 0):
                raise Refused("0A000", f"{name} argument is not supported for PARQUET based COPY")
    elif copy.options.get("JSON") in ("auto", "auto ignorecase"):
        for name in copy.options.keys() - _FOR_JSON - _CREDENTIALS:
            raise Refused("0A000", f"the emulator does not know {name} for JSON")
    else:
        raise Refused("0A000", "the emulator loads PARQUET and JSON 'auto' only")


def chosen(copy: Copy, columns: list[Column], table: str) -> list[Column]:
    """Return the columns that are to be loaded, in the order of the statement.

    Raises:
        Refused: one does not exist, or is named twice.
    """
    if copy.columns is None:
        return columns
    by_name = {column.name: column for column in columns}
    for at, name in enumerate(copy.columns):
        if name not in by_name:
            raise Refused("42703", f'column "{name}" of relation "{table}" does not exist')
        if name in copy.columns[:at]:
            raise Refused("42701", f'column "{name}" specified more than once')
    return [by_name[name] for name in copy.columns]


def parquet_rows(copy: Copy, content: bytes, columns: list[Column], table: str) -> Iterator[list[Any]]:
    """Yield the rows of a Parquet file, which go into the columns by position.

    Raises:
        Refused: they do not fit.
    """
    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
    except pa.ArrowInvalid as exc:
        raise trouble("Spectrum Scan Error", 15001, f"{copy.url} is not a Parquet file") from exc
    fields = list(file.schema_arrow)
    missing = len(columns) - len(fields)
    if missing < 0 or (missing and "FILLRECORD" not in copy.options):
        counts = f"Table columns: {len(columns)}, Data columns: {len(fields)}"
        message = f"Unmatched number of columns between table and file. {counts}, Table name: {table}"
        raise trouble("Spectrum Scan Error", 15001, message)
    converters = []
    for at, (column, field) in enumerate(zip(columns, fields, strict=False)):
        converter = _converter(column, field, "SERIALIZETOJSON" in copy.options)
        if converter is None:
            raise trouble("Spectrum Scan Error", 15001, _incompatible(copy, column, field, at))
        converters.append(converter)
    for batch in file.iter_batches():
        cells = [
            [None if value is None else convert(value) for value in values.to_pylist()]
            for convert, values in zip(converters, batch.columns, strict=True)
        ]
        for row in zip(*cells, strict=True):
            yield _spectrum_checked([*row, *[None] * missing], columns)


def json_rows(copy: Copy, content: bytes, columns: list[Column], table: str) -> Iterator[list[Any]]:
    """Yield the rows of a file of JSON objects, whose keys are columns.

    Raises:
        Refused: they do not fit.
    """
    if "GZIP" in copy.options:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as exc:
            raise trouble("failed to inflate with zlib: inflate exited with -3", 9001, copy.url) from exc
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        raise load_error(table) from exc
    decoder = json.JSONDecoder(parse_int=_Number, parse_float=_Number)
    at = _after_space(text, 0)
    while at < len(text):
        try:
            found, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as exc:
            raise load_error(table) from exc
        if not isinstance(found, dict) or end - at > _MAX_OBJECT:
            raise load_error(table)
        at = _after_space(text, end)
        if copy.options["JSON"] == "auto ignorecase":
            found = {key.lower(): value for key, value in found.items()}
        cut = "TRUNCATECOLUMNS" in copy.options
        row = [_from_json(found.get(column.name), column, cut) for column in columns]
        for column, value in zip(columns, row, strict=True):
            if (value is None and column.required) or (isinstance(value, str) and not _fits(value, column)):
                raise load_error(table)
        yield row


def encoded(rows: Iterator[list[Any]]) -> bytes:
    """Return rows as COPY FROM STDIN takes them."""
    return b"".join(("\t".join(map(_cell, row)) + "\n").encode() for row in rows)


class _Number(str):
    """A number as it is spelled."""

    __slots__ = ()


_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def _cell(value: str | None) -> str:
    return "\\N" if value is None else value.translate(_ESCAPES)


def _after_space(text: str, at: int) -> int:
    return re.compile(r"\s*").match(text, at).end()


def _spectrum_checked(row: list[Any], columns: list[Column]) -> list[Any]:
    for value, column in zip(row, columns, strict=True):
        if value is None:
            if column.required:
                raise trouble(f"Cannot insert a NULL value into column {column.name}", 15007, "Spectrum Scan Error")
        elif column.limit and len(value.encode()) > column.limit:
            lengths = f"Table: {column.limit}, Data: {len(value.encode())}"
            message = f"The length of the data column {column.name} is longer than the length defined in the table."
            raise trouble("Spectrum Scan Error", 15001, f"{message} {lengths}")
        elif "\0" in value:
            message = "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: 00 (error 4)"
            raise trouble(message, 8001, column.name)
    return row


def _fits(value: str, column: Column) -> bool:
    return "\0" not in value and (not column.limit or len(value.encode()) <= column.limit)


def _from_json(value: Any, column: Column, cut: bool) -> str | None:
    if value is None:
        return None
    if column.kind == "super" or isinstance(value, (dict, list)):
        text = _spelled(value)
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    if cut and column.limit:
        return text.encode()[: column.limit].decode(errors="ignore")
    return text


def _spelled(value: Any) -> str:
    """Return JSON with its numbers as they were."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_spelled(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_spelled, value)) + "]"
    return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


def _converter(column: Column, field: pa.Field, to_json: bool) -> Callable[[Any], str] | None:
    """Return how values get into a column; `None` if they do not."""
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind):
        return str
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        return _timestamp if column.kind in ("timestamp without time zone", "timestamp with time zone") else None
    if pa.types.is_decimal(kind):
        return str if column.kind == "numeric" else None
    if column.kind == "super":
        return _spelled if to_json and not pa.types.is_binary(kind) else None
    allowed, convert = _PHYSICAL.get(str(kind), ((), str))
    return convert if column.kind in allowed else None


def _timestamp(value: Any) -> str:
    return (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def _boolean(value: Any) -> str:
    return "t" if value else "f"


def _bytes(value: Any) -> str:
    return "\\x" + value.hex() if isinstance(value, bytes) else value


_TEXTS = ("character varying", "character", "text")
_PHYSICAL: dict[str, tuple[tuple[str, ...], Callable[[Any], str]]] = {
    "bool": (("boolean",), _boolean),
    "int8": (("smallint",), str),
    "int16": (("smallint",), str),
    "int32": (("integer",), str),
    "int64": (("bigint",), str),
    "float": (("real",), repr),
    "double": (("double precision",), repr),
    "date32[day]": (("date",), str),
    "string": (_TEXTS, str),
    "large_string": (_TEXTS, str),
    "binary": (("bytea",), _bytes),
    "large_binary": (("bytea",), _bytes),
}
_NAMES = {
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
    "character varying": "VARCHAR",
    "text": f"VARCHAR({MAX_BYTES})",
    "bytea": "VARBYTE",
}


def _incompatible(copy: Copy, column: Column, field: pa.Field, at: int) -> str:
    kind = _NAMES.get(column.kind, column.kind.upper())
    if kind == "VARCHAR":
        kind += f"({column.limit})"
    optional = "optional" if field.nullable else "required"
    return (
        f"File '{copy.url}' has an incompatible Parquet schema for column '{copy.url}.{column.name}'."
        f" Column type: {kind}, Parquet schema:\n{optional} {field.type} {field.name} [i:{at} d:1 r:0]"
    )
