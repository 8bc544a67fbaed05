"""The columns of the export table, as they come up in records."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pyarrow as pa

from hauser_dlt.fields import (
    CUSTOM_VARS,
    LOAD_ID,
    MOBILE,
    ROW_WINDOW,
    SESSION_REPLAY_URL,
    USER_VARS,
    Kind,
    canonical,
    column_of,
    is_field_name,
)

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "int": pa.int64(),
    "int32": pa.int32(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "any": pa.string(),
}


class ColumnsState(NamedTuple):
    """What makes two `Columns` of one table differ; see there."""

    kinds: tuple[tuple[str, Kind], ...]
    known: tuple[tuple[str, str], ...]
    new: tuple[tuple[str, str], ...]
    unfit: frozenset[str]


class Columns:
    """The columns of the export table: those that are known, and new ones as they come up.

    Args:
        kinds: column -> type, in the table's order.
        grow: whether an unknown name in FullStory's form (PascalCase) becomes a column.
        new: the type of such a column.
        custom: custom variable -> type, of those that get a column of their own besides.
        replays: whether there is a column of links to sessions.
        drops: whether the value of a record's key is dropped.
        takes: whether the destination can hold a new column of this name.
        fits: whether a column of the user's own with this name, should there be one, takes such values.
        numbers: (a column, its type) -> what its numbers must be to fit the table, where that is something else.

    Attributes:
        kinds: the columns of fields.
        extra: the other columns that are made from events: those of custom variables, and links.
        variables: custom variable -> its column.
        unfit: unknown fields that stay among the custom variables since the user's column takes no such values.
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        *,
        grow: bool = True,
        new: Callable[[str], Kind] = lambda name: "any",
        custom: Mapping[str, Kind] = {},
        replays: bool = False,
        drops: Callable[[str], bool] = lambda key: False,
        takes: Callable[[str], bool] = lambda name: True,
        fits: Callable[[str], bool] = lambda name: True,
        numbers: Callable[[str, Kind], pa.DataType | None] = lambda name, kind: None,
    ) -> None:
        self.kinds: dict[str, Kind] = dict(kinds)
        self.variables = {name: column_of(name) for name in custom}
        self.extra: dict[str, Kind] = {self.variables[name]: kind for name, kind in custom.items()}
        self.extra |= {SESSION_REPLAY_URL: "text"} if replays else {}
        self.drops = drops
        self._numbers = numbers
        self._known = {name.lower(): name for name in kinds}
        self._new = self._taken()
        self._grow = grow
        self._kind_of_new = new
        self._takes = takes
        self._fits = fits
        self.unfit: set[str] = set()

    def _taken(self) -> dict[str, str]:
        """Return the names that no new column can have; warehouses fold case, so of two spellings one becomes one."""
        return dict.fromkeys((name.lower() for name in (CUSTOM_VARS, USER_VARS, *self.extra)), "")

    def state(self) -> ColumnsState:
        """Return what has come up so far."""
        return ColumnsState(
            tuple(self.kinds.items()), tuple(self._known.items()), tuple(self._new.items()), frozenset(self.unfit)
        )

    def restore(self, state: ColumnsState) -> None:
        """Have just those columns that had come up then."""
        self.kinds, self._known, self._new = dict(state.kinds), dict(state.known), dict(state.new)
        self.unfit = set(state.unfit)

    def extend(self, later: ColumnsState) -> bool:
        """Add what has come up in later records; False if it would not have done so after what has come up here.

        That is so where two spellings of a name meet, of which the first becomes the column.
        """
        if any(self._new.get(lower, name) != name for lower, name in later.new):
            return False
        kinds = dict(later.kinds)
        for lower, name in later.new:
            if lower not in self._new:
                self._new[lower] = name
                self.kinds |= {name: kinds[name]} if name in kinds else {}
        self.unfit |= later.unfit
        return True

    def begin_package(self) -> None:
        """Be as at the start of the next load package: what has come up in the one before is known by then."""
        came_up = set(self._new.values())
        self.kinds = {name: MOBILE.get(name, kind) if name in came_up else kind for name, kind in self.kinds.items()}
        self._known = {name.lower(): name for name in self.kinds}
        self._new, self.unfit = self._taken(), set()

    def type_of(self, name: str) -> pa.DataType:
        """Return what a column of fields or custom variables holds."""
        kind = self.kinds.get(name) or self.extra[name]
        return self._numbers(name, kind) or ARROW_TYPES[kind]

    def name_of(self, key: str) -> str | None:
        """Return the column that a record's key belongs to, or None for a custom variable; never changes its mind."""
        key = canonical(key)
        lower = key.lower()
        if lower in self._known or not self._grow or not is_field_name(key):
            return self._known.get(lower)
        if not self._takes(key) or self._new.setdefault(lower, key) != key:
            return None
        if not self._fits(key):
            self.unfit.add(key)
            return None
        self.kinds[key] = self._kind_of_new(key)
        return key


def no_rows(columns: Columns, marks: Mapping[str, Kind]) -> pa.RecordBatch:
    """Return a batch without rows, with the columns that a `Batcher` gives its batches."""
    types = {name: columns.type_of(name) for name in columns.kinds} | {CUSTOM_VARS: pa.string()}
    types |= {name: columns.type_of(name) for name in columns.extra}
    types |= {name: ARROW_TYPES[kind] for name, kind in marks.items()}
    return pa.RecordBatch.from_pydict({name: pa.array([], kind) for name, kind in types.items()})


def empty_batch(columns: Columns) -> pa.RecordBatch:
    """Return no rows, with the columns of the export table."""
    return no_rows(columns, {LOAD_ID: "text", ROW_WINDOW: "timestamp"})
