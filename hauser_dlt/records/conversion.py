"""Values of one column into an Arrow array, and those that do not fit its type. Nothing is guessed at."""

import re
from collections.abc import Callable
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from hauser_dlt.fields import Kind
from hauser_dlt.records.columns import ARROW_TYPES

TEXT, INTEGER = pa.string(), pa.int64()
INTEGERS = ("int", "int32")
_CANONICAL = r"\A(?:0|-?[1-9][0-9]{0,18})\z"
NATURAL: dict[Kind, pa.DataType] = {
    "text": TEXT,
    "any": TEXT,
    "int": INTEGER,
    "int32": INTEGER,
    "float": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": TEXT,
}
"""What Arrow makes of a column's values by itself if all of them are of the right JSON type."""


class NaturalColumns(NamedTuple):
    """The columns that Arrow makes of rows at once.

    Attributes:
        made_for: how many columns were in use, and which of them came in quotes.
        struct: what Arrow is to make.
        finished: those that then are what the table's column holds.
    """

    made_for: tuple[int, set[str]]
    struct: pa.StructType
    finished: set[str]


def column_of_values(
    kind: Kind, into: pa.DataType, values: pa.Array | list[Any], written: Callable[[int], bytes]
) -> tuple[pa.Array, list[int]]:
    """Return the values as one array, and the rows whose value does not fit (NULL stands there)."""
    try:
        return _fitting(_array(kind, values), into), []
    except (pa.ArrowException, OverflowError):
        pass
    mismatches = []
    fitted: list[Any] = [None] * len(values)
    for index, value in enumerate(values.to_pylist() if isinstance(values, pa.Array) else values):
        if value is not None:
            try:
                fits = "int" if pa.types.is_integer(into) and type(value) in (int, str) else kind
                fit = _fit(fits, value, lambda: written(index))  # noqa: B023
                same = into == ARROW_TYPES[fits]
                fitted[index] = fit if same else _fitting(pa.array([fit], ARROW_TYPES[fits]), into)[0].as_py()
            except (ValueError, OverflowError, pa.ArrowException):
                mismatches.append(index)
    return pa.array(fitted, into), mismatches


def _fitting(array: pa.Array, into: pa.DataType) -> pa.Array:
    """Return numbers as the table's column holds them.

    Raises:
        ArrowException: one of them cannot be held there as it is.
    """
    if array.type == into:
        return array
    if pa.types.is_decimal(into):  # cast, a float would be rounded
        return pa.array([None if value is None else Decimal(str(value)) for value in array.to_pylist()], into)
    found = array.cast(into)
    if into == pa.float32() and pc.all(pc.equal(found.cast(TEXT).cast(pa.float64()), array)).as_py() is False:
        raise pa.ArrowInvalid("more digits than a float of 32 bits keeps")
    return found


_INTEGERS_END = 2.0**63  # beyond it, orjson reads integers as floats, too


def _array(kind: Kind, values: pa.Array | list[Any]) -> pa.Array:
    """Return values of their column's natural type as an array; refuse those that may not fit."""
    if kind == "float":
        return _doubles(values)
    # told the type, Arrow would take 1.0 for an integer
    array = values if isinstance(values, pa.Array) else pa.array(values)
    if kind in INTEGERS and array.type == TEXT:
        array = _unquoted(array)
    if array.type not in (NATURAL[kind], pa.null()):
        raise pa.ArrowInvalid(f"{array.type} in a column of {kind}")
    if kind == "timestamp":
        return _times(array)
    return array if array.type == ARROW_TYPES[kind] else array.cast(ARROW_TYPES[kind])


def _doubles(values: list[Any]) -> pa.Array:
    if not {*map(type, values)} <= {int, float, msgspec.Raw, NoneType}:
        raise pa.ArrowInvalid("not numbers alone")
    array = pa.array([float(bytes(value)) if type(value) is msgspec.Raw else value for value in values], pa.float64())
    if pc.any(pc.greater_equal(pc.abs(array), _INTEGERS_END)).as_py():
        raise pa.ArrowInvalid("perhaps an integer that lost digits, or beyond any double")
    return array


def _unquoted(texts: pa.Array) -> pa.Array:
    """Return integers that stand in quotes: FullStory's SDK declares ids as strings, its samples have numbers."""
    if not pc.all(pc.match_substring_regex(texts, _CANONICAL)).as_py():
        raise pa.ArrowInvalid("not integers alone, each in its one form")
    return texts.cast(INTEGER)


_TOO_FINE = re.compile(r"(\.[0-9]{6})[0-9]+")


def _times(texts: pa.Array) -> pa.Array:
    """Parse ISO 8601 times, which must name their zone; what is finer than microseconds is dropped."""
    try:
        times = texts.cast(ARROW_TYPES["timestamp"])
    except pa.ArrowInvalid:
        plain = [text and _TOO_FINE.sub(r"\1", text.upper()) for text in texts.to_pylist()]
        times = pa.array(plain, pa.string()).cast(ARROW_TYPES["timestamp"])
    pc.min_max(times).as_py()  # an OverflowError outside the years 1 to 9999, which no warehouse takes
    return times


def _fit(kind: Kind, value: Any, written: Callable[[], bytes]) -> Any:
    """Return one value as its column takes it.

    Raises:
        ValueError: it does not fit, and is not guessed at.
        ArrowException: likewise.
    """
    if kind == "any" and not isinstance(value, str):
        return written().decode()
    if isinstance(value, str) and kind in ("text", "any"):
        return value
    if kind == "float" and type(value) in (int, float, msgspec.Raw):
        return _double(float(bytes(value)) if type(value) is msgspec.Raw else value, written)
    return _array(kind, [value])[0].as_py()


def _double(value: float, written: Callable[[], bytes]) -> float:
    """Return a number as a double; an integer must be exactly that double, and nothing be infinite."""
    exact: int | float = value
    if isinstance(value, float) and _INTEGERS_END <= abs(value) < float("inf"):
        text = written()
        exact = int(text) if text.lstrip(b"-").isdigit() else value
    if float(value) != exact or abs(value) == float("inf"):
        raise ValueError(f"{value} is not what was written")
    return float(value)
