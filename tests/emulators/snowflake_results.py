"""Rows of Postgres as Snowflake's connectors get them: JSON in which all values are text.

What the connector reads: `cursor.py` (`_init_result_and_meta`) and `converter.py` of snowflake-connector-python.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

_BOOL, _INTEGERS, _FLOATS, _NUMERIC = 16, (20, 21, 23, 26), (700, 701), 1700
_DATE, _PLAIN, _ZONED, _JSON = 1082, 1114, 1184, (114, 3802)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def data_of(description: Any, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Return what tells rows and their types."""
    kinds = [_kind(column, [row[n] for row in rows]) for n, column in enumerate(description)]
    return {
        "rowtype": [_described(column.name, *kind) for column, kind in zip(description, kinds, strict=True)],
        "rowset": [[_text(value, *kind) for value, kind in zip(row, kinds, strict=True)] for row in rows],
        "total": len(rows),
        "returned": len(rows),
        "queryResultFormat": "json",
    }


def told(**columns: list[Any]) -> dict[str, Any]:
    """Return rows that no database has: name -> values of texts or integers."""
    kinds = [("FIXED", 0) if all(isinstance(v, int) for v in values) else ("TEXT", None) for values in columns.values()]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return {
        "rowtype": [_described(name, *kind) for name, kind in zip(columns, kinds, strict=True)],
        "rowset": [[None if value is None else str(value) for value in row] for row in rows],
        "total": len(rows),
        "returned": len(rows),
        "queryResultFormat": "json",
    }


def _described(name: str, kind: str, scale: int | None) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind.lower(),
        "nullable": True,
        "scale": 9 if kind.startswith("TIMESTAMP") else scale,
        "precision": 38 if kind == "FIXED" else None,
        "length": None,
        "byteLength": None,
        "database": "",
        "schema": "",
        "table": "",
        "collation": None,
    }


def _kind(column: Any, values: Iterable[Any]) -> tuple[str, int | None]:
    code = column.type_code
    if code == _NUMERIC:
        if column.scale is not None and column.precision not in (None, 65535):
            return "FIXED", column.scale
        places = [-int(value.as_tuple().exponent) for value in values if isinstance(value, Decimal)]
        return "FIXED", max([0, *places])
    if code in _INTEGERS:
        return "FIXED", 0
    if code in _FLOATS:
        return "REAL", None
    if code in _JSON:
        return "VARIANT", None
    return {_BOOL: "BOOLEAN", _DATE: "DATE", _PLAIN: "TIMESTAMP_NTZ", _ZONED: "TIMESTAMP_LTZ"}.get(code, "TEXT"), None


def _text(value: Any, kind: str, _scale: int | None) -> str | None:
    if value is None:
        return None
    if kind == "BOOLEAN":
        return "1" if value else "0"
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        since = moment - _EPOCH
        return f"{since.days * 86400 + since.seconds}.{since.microseconds:06d}000"
    if isinstance(value, date):
        return str((value - _EPOCH.date()).days)
    return format(value, "f") if isinstance(value, Decimal) else str(value)
