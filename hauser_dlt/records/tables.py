"""Existing tables at the destination, and how our rows are made to fit them. No I/O.

Columns are found without regard to case, and under the names that FullStory used before; what the table has of its
own is left alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from hauser_dlt.fields import CUSTOM_VARS, FORMER, KNOWN, LOAD_ID, MOBILE, ROW_WINDOW, SESSION_REPLAY_URL, Kind
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.truncate import truncate_array, truncate_object, truncated

DLT_TYPES: dict[Kind, str] = {
    "text": "text",
    "any": "text",
    "int": "bigint",
    "int32": "bigint",
    "float": "double",
    "bool": "bool",
    "timestamp": "timestamp",
}
PERHAPS_TEXT = "text of some kind"
"""The type of columns that may take texts of ours, or may not; nobody but the destination knows."""

_OURS = {*KNOWN, *MOBILE, CUSTOM_VARS, LOAD_ID, ROW_WINDOW, SESSION_REPLAY_URL}
_USUAL_VARCHAR = 65535  # what Redshift calls VARCHAR(MAX)
_KINDS: dict[str, Kind] = {"bigint": "int", "double": "float", "bool": "bool", "timestamp": "timestamp"}
_KINDS |= {"decimal": "float", "wei": "float"}
_NUMBERS = ("bigint", "double", "decimal", "wei")
_INTEGERS = {8: pa.int8(), 16: pa.int16(), 32: pa.int32()}


@dataclass(frozen=True, slots=True)
class Table:
    """A table at the destination.

    Attributes:
        columns: name in lower case -> dlt's description of the column, with its name as spelled there; empty if there
            is no such table.
        folded: the destination folds the case of all names, so that any spelling will do.
        by_ingestion: BigQuery partitions it by the day of loading, not by a column.
    """

    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folded: bool = False
    by_ingestion: bool = False

    @classmethod
    def of(
        cls, columns: Mapping[str, Mapping[str, Any]], *, folded: bool = False, by_ingestion: bool = False
    ) -> "Table":
        """Return a table with columns as dlt finds them at the destination.

        Where two differ only in case, ours is the one that is spelled as FullStory does.
        """
        ours_last = sorted(columns.items(), key=lambda item: item[0] in _OURS)
        return cls({name.lower(): {**column, "name": name} for name, column in ours_last}, folded, by_ingestion)

    def column(self, name: str) -> Mapping[str, Any] | None:
        """Return the column for one of our names, or for what FullStory called that field before."""
        former = FORMER.get(name, name)
        return self.columns.get(name.lower()) or self.columns.get(former.lower())

    def spelled(self, name: str) -> str:
        """Return one of our names as the table has it; where case is folded, in our own spelling."""
        column = self.column(name)
        if not column:
            return name
        if not self.folded:
            return str(column["name"])
        return name if name.lower() in self.columns else FORMER[name]

    def numbers(self, name: str, kind: Kind) -> pa.DataType | None:
        """Return what the numbers of a column must be to fit the table's; None where it has no numbers, or no column.

        hauser has an integer where FullStory sends a fraction (`EventFirstInputDelay` in its warehouse/schema.go).
        """
        column = self.column(name) or {}
        if DLT_TYPES[kind] not in _NUMBERS or column.get("data_type") not in _NUMBERS:
            return None
        precision, scale = column.get("precision"), column.get("scale")
        if column["data_type"] == "bigint":
            return next((of for bits, of in _INTEGERS.items() if (precision or 64) <= bits), pa.int64())
        if column["data_type"] == "double":
            return pa.float32() if (precision or 53) <= 24 else pa.float64()
        if precision is None:  # BigQuery's own
            return pa.decimal128(38, 9) if column["data_type"] == "decimal" else pa.decimal256(76, 38)
        return (pa.decimal128 if precision <= 38 else pa.decimal256)(precision, scale or 0)

    def kind_of_new(self, name: str) -> Kind:
        """Return the type of a field that we do not know: that of the table's column, should there be one."""
        column = self.column(name) or {}
        return _KINDS.get(str(column.get("data_type")), "any")

    def fits_new(self, name: str) -> bool:
        """Tell whether a field that we do not know can go into the table's column, should there be one."""
        column = self.column(name)
        return column is None or column.get("data_type") in (*_KINDS, "text")

    def narrower(self, name: str) -> dict[str, Any]:
        """Return dlt's hints for a column of numbers or times that takes less than ours would.

        Of a column that takes no NULL, BigQuery takes no Parquet that could hold one; hauser's sync table has such
        columns there, since `bigquery.InferSchema` makes REQUIRED what is no pointer.
        """
        column = self.column(name) or {}
        hints = {} if column.get("nullable", True) else {"nullable": False}
        if column.get("timezone") is False:
            return hints | {"timezone": False}
        kept = ("data_type", "precision", "scale") if column.get("data_type") in _NUMBERS else ()
        return hints | {key: column[key] for key in kept if key in column}

    def conflicts(self, kinds: Mapping[str, Kind]) -> Iterator[str]:
        """Yield what is wrong with each column that cannot take our values."""
        for name, kind in kinds.items():
            column = self.column(name)
            if column and not _takes(column, kind):
                size = f" ({column['precision']})" if (column.get("precision") or 64) < 64 else ""
                yield f"{column['name']} is of type {column.get('data_type')}{size}, and {DLT_TYPES[kind]} is needed"

    def lacks(self, names: Mapping[str, Any]) -> list[str]:
        """Return which of our names have no column."""
        return [name for name in names if not self.column(name)]

    def narrow(self) -> dict[str, int]:
        """Return the text columns that take less than the destination would allow -> how many bytes."""
        texts = {c["name"]: c.get("precision") for c in self.columns.values() if c.get("data_type") == "text"}
        return {name: length for name, length in texts.items() if length and length < _USUAL_VARCHAR}

    def others_that_need_a_value(self, names: Mapping[str, Any]) -> list[str]:
        """Return the columns that are not ours and NOT NULL; only a default lets rows of ours in."""
        ours = {self.spelled(name).lower() for name in names}
        return [c["name"] for name, c in self.columns.items() if c.get("nullable") is False and name not in ours]


def _takes(column: Mapping[str, Any], kind: Kind) -> bool:
    found, needed = column.get("data_type"), DLT_TYPES[kind]
    return found == needed or (found == PERHAPS_TEXT and needed == "text") or (found in _NUMBERS and needed in _NUMBERS)


@dataclass(frozen=True, slots=True)
class Tables:
    """The export and the sync table, as they are at the destination.

    Attributes:
        missing: which of all tables that a load needs are not there, dlt's own included.
    """

    export: Table = field(default_factory=Table)
    sync: Table = field(default_factory=Table)
    missing: frozenset[str] = frozenset()


class Fitting:
    """Makes batches fit the export table as it is: its spellings, its times without a zone, its bounds of text.

    Args:
        table: as it is at the destination.
        limit: how many bytes a text may have at the most; None is any number.
    """

    def __init__(self, table: Table, limit: int | None) -> None:
        self._table = table
        self._limit = limit

    def __call__(self, batch: pa.RecordBatch, tally: Tally) -> pa.RecordBatch:
        """Return the batch with the table's names and types; what had to be truncated is counted."""
        arrays: dict[str, pa.Array] = {}
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            arrays[self._table.spelled(name)] = self._fit(name, array, tally)
        return pa.RecordBatch.from_pydict(arrays)

    def _fit(self, name: str, array: pa.Array, tally: Tally) -> pa.Array:
        column = self._table.column(name) or {}
        if pa.types.is_timestamp(array.type) and column.get("timezone") is False:
            return array.cast(pa.timestamp(array.type.unit))  # its digits stay those of UTC
        if pa.types.is_string(array.type) and (limit := _least(self._limit, column.get("precision"))):
            array, count = truncate_array(array, limit, truncate_object if name == CUSTOM_VARS else truncated)
            tally.truncated.update({name: count} if count else {})
        return array


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
