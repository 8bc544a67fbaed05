"""Records to Arrow batches: fields into typed columns, custom variables into one JSON text.

Nothing is altered: what does not fit its column's type leaves NULL there, and goes into CustomVars as it was
written; numbers among the custom variables keep their text to the byte. No I/O.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from hauser_dlt.fields import CUSTOM_VARS, SESSION_REPLAY_URL, Kind
from hauser_dlt.records.columns import Columns, ColumnsState
from hauser_dlt.records.conversion import INTEGER, INTEGERS, NATURAL, TEXT, NaturalColumns, column_of_values
from hauser_dlt.records.custom_vars import altered, as_json
from hauser_dlt.records.json_stream import Record
from hauser_dlt.records.json_text import is_flat, member, members
from hauser_dlt.records.proof import Proof
from hauser_dlt.records.replay_urls import links
from hauser_dlt.records.slices import BATCH_BYTES, inside, joined, taken
from hauser_dlt.windows import Window

_SLICE = 1000  # records on the way from dicts to Arrow: what is read again may still be in the cache
_MEMO = 100_000  # names of custom variables remembered: accounts have hundreds, hostile data any number


@dataclass(slots=True)
class Tally:
    """What was noticed about the rows of one bundle.

    Attributes:
        rows: events that are kept.
        outside: events that FullStory sent although they lie outside the window.
        mismatches: field -> number of values that did not fit its type.
        truncated: column -> number of texts that were longer than the column.
        bytes: how long the bundle is, packed as FullStory sent it.
    """

    rows: int = 0
    outside: int = 0
    mismatches: Counter[str] = field(default_factory=Counter)
    truncated: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

    def add(self, other: "Tally") -> None:
        """Count in what was noticed about another bundle."""
        self.rows += other.rows
        self.outside += other.outside
        self.mismatches += other.mismatches
        self.truncated += other.truncated
        self.bytes += other.bytes


class Noted(NamedTuple):
    """What a `Batcher` has noted of records, for another that reads those before them."""

    tally: Tally
    proof: Proof | None
    columns: ColumnsState


BATCH_ROWS = 10_000
"""How many rows a batch has at the most."""


class Batcher:
    """Turns the records of one window into Arrow batches, and keeps the tally.

    Args:
        columns: grows while records are read.
        window: rows whose `EventStart` lies outside are left out; None keeps all rows.
        marks: columns with one value for all rows (`_dlt_load_id`, say), appended to each batch.
        needed: the field of which each row of FullStory's has a value; without any, they are refused.
        replays: what each link to a session begins with; "" leaves links NULL.
    """

    def __init__(
        self,
        columns: Columns,
        window: Window | None,
        marks: Mapping[str, pa.Scalar],
        *,
        needed: str | None = None,
        replays: str = "",
    ) -> None:
        self.columns = columns
        self._proof = Proof(needed) if needed else None
        self._replays = replays
        self.tally = Tally()
        self._window = window
        self._marks = marks
        self._first = len(columns.kinds)
        self._in_use: dict[str, None] = {}  # columns that some record has had; the others need no look at any record
        self._apart: dict[str, None] = {}  # names of those columns, and of what is dropped
        self._quoted: set[str] = set()  # columns of integers that came in quotes last
        self._natural = NaturalColumns((0, set()), pa.struct([]), set())
        self._classified: set[str] = set()  # names of custom variables

    def batches(self, records: Iterable[Record], size: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of up to `size` rows: columns known at first, CustomVars, those on request, marks, new ones.

        Raises:
            CorruptBundleError: no row is what was asked for, or one is an answer of FullStory's.
        """
        yield from self.part(records, size)
        self.end()

    def noted(self) -> Noted:
        """Return what has been noted so far."""
        return Noted(self.tally, self._proof, self.columns.state())

    def add(self, later: Noted) -> bool:
        """Count in what another has noted of the records that follow.

        False, and nothing is counted in, if they would have other columns after those that have come up here.
        """
        if not self.columns.extend(later.columns):
            return False
        self.tally.add(later.tally)
        if self._proof and later.proof:
            self._proof.add(later.proof)
        return True

    def end(self) -> None:
        """Refuse rows of which none is what was asked for; see `Proof`."""
        if self._proof:
            self._proof.end()

    def part(self, records: Iterable[Record], size: int) -> Iterator[pa.RecordBatch]:
        """Yield the batches of some of the window's records; those before and after are read by others."""
        stream = iter(records)
        while (rows := joined(self._slices(stream, size))) is not None:
            ordered = self._ordered(rows)
            batch = inside(ordered, self._window)
            self.tally.rows += batch.num_rows
            self.tally.outside += ordered.num_rows - batch.num_rows
            if batch.num_rows:
                yield batch

    def no_values(self, rows: int) -> pa.RecordBatch:
        """Return a batch as those of records are, with their marks, and with no value in any other column."""
        custom = {name: self.columns.type_of(name) for name in self.columns.variables.values()}
        nothing = {name: pa.nulls(rows, kind) for name, kind in ({CUSTOM_VARS: pa.string()} | custom).items()}
        return self._ordered(pa.RecordBatch.from_pydict(nothing))

    def _slices(self, records: Iterator[Record], size: int) -> Iterator[pa.RecordBatch]:
        """Yield the next batch in slices; fewer rows where records are of some MB each."""
        room = BATCH_BYTES
        while size and room > 0:
            raws, rows = taken(records, min(size, _SLICE), room)
            if not rows:
                return
            size -= len(rows)
            room -= sum(map(len, raws))
            part = self._slice(raws, rows)
            del raws, rows  # there may be a record of 50 MB among them
            yield part

    def _slice(self, raws: list[bytes], rows: list[dict[str, Any]]) -> pa.RecordBatch:
        """Return CustomVars, and those columns that have come up so far."""
        if len(self._apart) >= _MEMO:  # never between two looks at one record: what is dropped must be so in both
            self._apart = dict(self._in_use)
        variables = self._variables(rows)
        written = self._reader(raws, rows)
        arrays, mismatches = self._columns(rows, written)
        for name, column in self.columns.variables.items():  # which stay in CustomVars anyhow
            kind, into = self.columns.extra[column], self.columns.type_of(column)
            arrays[column], _ = self._converted(name, kind, into, [row.get(name) for row in rows], written)
        if self.columns.unfit:
            self.tally.mismatches.update(key for row in rows for key in self.columns.unfit if row.get(key) is not None)
        if self._proof:
            self._prove(self._proof, arrays, rows)
        mismatches.sort(key=lambda found: list(rows[found[0]]).index(found[1]))  # in no other row's order
        for index, name in (*altered(variables, raws), *mismatches):
            variables[index][name] = msgspec.Raw(written(index, name))
        return pa.RecordBatch.from_arrays([as_json(variables), *arrays.values()], [CUSTOM_VARS, *arrays])

    def _columns(
        self, rows: list[dict[str, Any]], written: Callable[[int, str], bytes]
    ) -> tuple[dict[str, pa.Array], list[tuple[int, str]]]:
        """Return the columns of fields, and the row and the name of each value that does not fit its column."""
        easy = self._easy_columns(rows)
        arrays: dict[str, pa.Array] = {}
        found: list[tuple[int, str]] = []
        for name in self._in_use:
            if name in easy and name in self._natural.finished:
                arrays[name] = easy[name]
                continue
            values = easy[name] if name in easy else [row.get(name) for row in rows]
            kind = self.columns.kinds[name]
            if kind in INTEGERS and name not in easy:
                self._note_quoted(name, values)
            arrays[name], mismatches = self._converted(name, kind, self.columns.type_of(name), values, written)
            found += [(index, name) for index in mismatches]
        return arrays, found

    def _converted(
        self, name: str, kind: Kind, into: pa.DataType, values: Any, written: Callable[[int, str], bytes]
    ) -> tuple[pa.Array, list[int]]:
        """Return the values of a field or variable as an array, and the rows whose value does not fit; count them."""
        array, mismatches = column_of_values(kind, into, values, lambda index: written(index, name))
        if mismatches:
            self.tally.mismatches[name] += len(mismatches)
        return array, mismatches

    def _prove(self, proof: Proof, arrays: Mapping[str, pa.Array], rows: list[dict[str, Any]]) -> None:
        if proof.needed in arrays and not arrays[proof.needed].null_count:
            proof.passed(len(rows))
            return
        for row in rows:
            proof.see(row)

    def _easy_columns(self, rows: list[dict[str, Any]]) -> dict[str, pa.Array]:
        """Return columns at once, twice as fast as one by one; none if one of them has a value of another type."""
        if self._natural.made_for != (len(self._in_use), self._quoted):
            self._natural = self._natural_columns()
        try:
            struct = pa.array(rows, self._natural.struct)
        except (pa.ArrowException, OverflowError):
            return {}
        return dict(zip(self._natural.struct.names, struct.flatten(), strict=True))

    def _natural_columns(self) -> NaturalColumns:
        natural = {name: NATURAL[self.columns.kinds[name]] for name in self._in_use}
        natural |= dict.fromkeys(self._quoted & natural.keys(), TEXT)
        easy = {name: kind for name, kind in natural.items() if kind in (TEXT, INTEGER)}
        finished = {name for name, kind in easy.items() if kind == self.columns.type_of(name)}
        return NaturalColumns((len(self._in_use), set(self._quoted)), pa.struct(list(easy.items())), finished)

    def _note_quoted(self, name: str, values: Iterable[Any]) -> None:
        if str in {*map(type, values)}:
            self._quoted.add(name)
        else:
            self._quoted.discard(name)

    def _variables(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the custom variables of each row, and put its fields under the names of their columns."""
        variables = self._without_fields(rows)
        if self._classified.issuperset(chain.from_iterable(variables)):
            return variables
        for row, names in zip(rows, variables, strict=True):
            self._classify(row, names)
        return self._without_fields(rows)

    def _without_fields(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        apart = self._apart
        return [{key: value for key, value in row.items() if key not in apart} for row in rows]

    def _classify(self, row: dict[str, Any], keys: Iterable[str]) -> None:
        """Put values whose key is spelled in another way under their column's name; the first spelling counts."""
        for key in [key for key in keys if key not in self._classified]:
            if self.columns.drops(key):
                self._apart[key] = None
            elif (name := self.columns.name_of(key)) is None:
                if len(self._classified) >= _MEMO:
                    self._classified.clear()
                self._classified.add(key)
            else:
                self._in_use[name] = self._apart[name] = None
                if name not in row:
                    row[name] = row.pop(key)

    def _reader(self, raws: list[bytes], rows: list[dict[str, Any]]) -> Callable[[int, str], bytes]:
        """Return what reads the text of a row's value, under the name that `_classify` gives it."""
        flat = cache(lambda i: is_flat(raws[i], len(rows[i])))
        texts = cache(lambda i: self._texts(raws[i]))

        def written(i: int, name: str) -> bytes:
            seen = member(raws[i], name) if flat(i) else None
            return seen or texts(i)[name]

        return written

    def _texts(self, raw: bytes) -> dict[str, bytes]:
        texts = members(raw)
        self._classify(texts, [key for key in texts if key not in self._apart])
        return texts

    def _ordered(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        found = dict(zip(rows.schema.names, rows.columns, strict=True))
        kinds = self.columns.kinds
        arrays = {
            name: found[name] if name in found else pa.nulls(len(rows), self.columns.type_of(name)) for name in kinds
        }
        custom = {CUSTOM_VARS: found[CUSTOM_VARS]}
        extra = {column: found[column] for column in self.columns.variables.values()}
        if SESSION_REPLAY_URL in self.columns.extra:
            extra[SESSION_REPLAY_URL] = links(self._replays, arrays["UserId"], arrays["SessionId"])
        marks = {name: pa.repeat(value, len(rows)) for name, value in self._marks.items()}
        first = dict(islice(arrays.items(), self._first))
        return pa.RecordBatch.from_pydict(first | custom | extra | marks | arrays)
