"""Records to Arrow batches: fields into typed columns, custom variables into one JSON text.

Nothing is altered: what does not fit its column's type leaves NULL there, and goes into CustomVars as it was
written; numbers among the custom variables keep their text to the byte. No I/O.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import repeat
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from hauser_dlt.decode import Record, is_flat, member, members
from hauser_dlt.fields import CUSTOM_VARS, EVENT_START, Kind, todays
from hauser_dlt.windows import Window

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "int": pa.int64(),
    "int32": pa.int32(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "any": pa.string(),
}
_BATCH_BYTES = 1 << 24  # records of some MB each make smaller batches
_MEMO = 100_000  # names of custom variables remembered: accounts have hundreds, hostile data any number


@dataclass(slots=True)
class Tally:
    """What was noticed about the rows of one bundle.

    Attributes:
        rows: events that are kept.
        outside: events that FullStory sent although they lie outside the window.
        misfits: field -> number of values that did not fit its type.
        cut: column -> number of texts that were longer than the column.
    """

    rows: int = 0
    outside: int = 0
    misfits: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count in what was noticed about another bundle."""
        self.rows += other.rows
        self.outside += other.outside
        self.misfits += other.misfits
        self.cut += other.cut


class Columns:
    """The columns of the export table: those that are known, and new ones as they come up.

    Args:
        kinds: column -> type, in the table's order.
        grow: whether an unknown name in FullStory's form (PascalCase) becomes a column.
        new: the type of such a column.
    """

    def __init__(
        self, kinds: Mapping[str, Kind], *, grow: bool = True, new: Callable[[str], Kind] = lambda name: "any"
    ) -> None:
        self.kinds: dict[str, Kind] = dict(kinds)
        self._known = {name.lower(): name for name in kinds}
        self._new = {CUSTOM_VARS.lower(): ""}  # warehouses fold case, so of two spellings one becomes a column
        self._grow = grow
        self._kind_of_new = new

    def name_of(self, key: str) -> str | None:
        """Return the column that a record's key belongs to, or None for a custom variable; never changes its mind."""
        key = todays(key)
        lower = key.lower()
        if lower in self._known or not self._grow or not _FIELD_NAME.fullmatch(key):
            return self._known.get(lower)
        if self._new.setdefault(lower, key) != key:
            return None
        self.kinds[key] = self._kind_of_new(key)
        return key


_FIELD_NAME = re.compile(r"(?=.*[a-z])[A-Z][A-Za-z0-9]{0,127}")


class Batcher:
    """Turns the records of one window into Arrow batches, and keeps the tally.

    Args:
        columns: grows while records are read.
        window: rows whose `EventStart` lies outside are left out; None keeps all rows.
        marks: columns with one value for all rows (`_dlt_load_id`, say), appended to each batch.
    """

    def __init__(self, columns: Columns, window: Window | None, marks: Mapping[str, pa.Scalar]) -> None:
        self.columns = columns
        self.tally = Tally()
        self._window = window
        self._marks = marks
        self._first = len(columns.kinds)
        self._settled: set[str] = set()

    def batches(self, records: Iterable[Record], size: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of up to `size` rows: the columns known at first, CustomVars, the marks, new columns."""
        for part in _parts(records, size):
            batch = self._batch([raw for raw, _ in part], [row for _, row in part])
            self.tally.rows += batch.num_rows
            if batch.num_rows:
                yield batch

    def _batch(self, raws: list[bytes], rows: list[dict[str, Any]]) -> pa.RecordBatch:
        for row in rows:
            self._settle(row)
        written = self._reader(raws, [len(row) for row in rows])
        has_nul = any(b"\\u0000" in raw for raw in raws)
        odd: dict[int, list[str]] = {}
        arrays: dict[str, pa.Array] = {}
        for (name, kind), values in zip(self.columns.kinds.items(), self._columns(rows), strict=True):
            arrays[name], misfits = _column(kind, values, lambda i: written(i, name), has_nul=has_nul)  # noqa: B023
            for index in misfits:
                odd.setdefault(index, []).append(name)
            self.tally.misfits.update({name: len(misfits)} if misfits else {})
        custom = [
            _custom_vars(row, raw, partial(written, i), odd.get(i, ()))
            for i, (row, raw) in enumerate(zip(rows, raws, strict=True))
        ]
        return self._inside(self._ordered(arrays, pa.array(custom, pa.string())))

    def _settle(self, row: dict[str, Any]) -> None:
        """Put values whose key is spelled in another way under their column's name; the first spelling counts."""
        if not (strange := row.keys() - self._settled):
            return
        if len(self._settled) > _MEMO:
            self._settled.clear()
        for key in [key for key in row if key in strange]:
            name = self.columns.name_of(key)
            if name is None or name == key:
                self._settled.add(key)
            elif name not in row:
                row[name] = row.pop(key)

    def _columns(self, rows: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
        """Take the columns' values out of the rows, so that the custom variables are left there."""
        names = list(self.columns.kinds)
        return zip(*([*map(row.pop, names, repeat(None))] for row in rows), strict=True)

    def _reader(self, raws: list[bytes], keys: list[int]) -> Callable[[int, str], bytes]:
        """Return what reads the text of a row's value, under the name that `_settle` gives it."""
        flat = cache(lambda i: is_flat(raws[i], keys[i]))
        texts = cache(lambda i: self._texts(raws[i]))

        def written(i: int, name: str) -> bytes:
            seen = member(raws[i], name) if flat(i) else None
            return seen or texts(i)[name]

        return written

    def _texts(self, raw: bytes) -> dict[str, bytes]:
        texts = members(raw)
        self._settle(texts)
        return texts

    def _ordered(self, arrays: dict[str, pa.Array], custom: pa.Array) -> pa.RecordBatch:
        names = list(arrays)
        marks = {name: pa.repeat(value, len(custom)) for name, value in self._marks.items()}
        first = {name: arrays[name] for name in names[: self._first]}
        new = {name: arrays[name] for name in names[self._first :]}
        return pa.RecordBatch.from_pydict(first | {CUSTOM_VARS: custom} | marks | new)

    def _inside(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self._window is None:
            return batch
        moments = batch.column(EVENT_START)
        start, end = (pa.scalar(moment, moments.type) for moment in (self._window.start, self._window.end))
        inside = pc.and_(pc.greater_equal(moments, start), pc.less(moments, end)).fill_null(True)
        kept = batch.filter(inside)
        self.tally.outside += batch.num_rows - kept.num_rows
        return kept


def _parts(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    part: list[Record] = []
    held = 0
    for record in records:
        part.append(record)
        held += len(record[0])
        if len(part) >= size or held >= _BATCH_BYTES:
            yield part
            part, held = [], 0
    if part:
        yield part


_MINUS_ZERO = re.compile(rb":\s*-0\s*[,}]")
_KEPT = {str, bool, type(None)}


def _is_kept(value: Any, raw: bytes) -> bool:
    """Tell whether orjson writes the value of a record as it stands there."""
    kind = type(value)
    if kind is int:
        return value != 0 or not _MINUS_ZERO.search(raw)
    return kind in _KEPT or (kind is list and all(type(item) in _KEPT for item in value))


def _custom_vars(row: dict[str, Any], raw: bytes, written: Callable[[str], bytes], misfits: Collection[str]) -> bytes:
    """Return the JSON of a row's custom variables and misfits; what orjson would alter stands as it was written."""
    altered = [name for name, value in row.items() if not _is_kept(value, raw)]
    if not altered and not misfits:
        return orjson.dumps(row)
    return orjson.dumps(row | {name: orjson.Fragment(written(name)) for name in (*altered, *misfits)})


_NATURAL: dict[Kind, set[type]] = {
    "text": {str},
    "any": {str},
    "int": {int},
    "int32": {int},
    "float": {int, float},
    "bool": {bool},
    "timestamp": {str},
}


def _column(
    kind: Kind, values: Sequence[Any], written: Callable[[int], bytes], *, has_nul: bool
) -> tuple[pa.Array, list[int]]:
    """Return the values as one array, and the rows whose value does not fit (NULL stands there)."""
    types = set(map(type, values)) - {type(None)}
    if types <= _NATURAL[kind] and not (has_nul and str in types):
        try:
            return _array(kind, values), []
        except (pa.ArrowInvalid, OverflowError):
            pass
    misfits = []
    fitted: list[Any] = [None] * len(values)
    for index, value in enumerate(values):
        if value is not None:
            try:
                fitted[index] = _fit(kind, value, lambda: written(index))  # noqa: B023
            except (ValueError, OverflowError):
                misfits.append(index)
    return pa.array(fitted, ARROW_TYPES[kind]), misfits


_INTEGERS_END = 2.0**63  # beyond it, orjson reads integers as floats, too


def _array(kind: Kind, values: Sequence[Any]) -> pa.Array:
    """Return values of their column's natural types as an array; refuse those that may not fit."""
    if kind == "timestamp":
        return _times(values)
    array = pa.array(values, ARROW_TYPES[kind])
    if kind == "float" and pc.any(pc.greater_equal(pc.abs(array), _INTEGERS_END)).as_py():
        raise pa.ArrowInvalid("perhaps an integer that lost digits, or beyond any double")
    return array


_TOO_FINE = re.compile(r"(\.[0-9]{6})[0-9]+")


def _times(values: Sequence[str | None]) -> pa.Array:
    """Parse ISO 8601 times, which must name their zone; what is finer than microseconds is dropped."""
    try:
        times = pa.array(values, pa.string()).cast(ARROW_TYPES["timestamp"])
    except pa.ArrowInvalid:
        plain = [value and _TOO_FINE.sub(r"\1", value.upper()) for value in values]
        times = pa.array(plain, pa.string()).cast(ARROW_TYPES["timestamp"])
    pc.min_max(times).as_py()  # an OverflowError outside the years 1 to 9999, which no warehouse takes
    return times


def _fit(kind: Kind, value: Any, written: Callable[[], bytes]) -> Any:
    """Return one value as its column takes it.

    Raises:
        ValueError: it does not fit, and is not guessed at; so do Arrow's errors say.
    """
    if kind == "any" and not isinstance(value, str):
        return written().decode()
    if type(value) not in _NATURAL[kind]:
        raise ValueError(f"{type(value).__name__} in a column of {kind}")
    if isinstance(value, str) and kind != "timestamp":
        return value.replace("\0", "")  # no warehouse takes NUL in text
    if kind == "float":
        return _double(value, written)
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
