"""One large bundle, or some in a row, whose lines worker processes convert a block at a time.

A block is given the columns that are known when it is cut. What has come up in it is added to what has come up before
it, and a column that it does not know is NULL in it. Where that cannot be, since two spellings of a new field have met,
and where anything is wrong with a block, the bundle is read on without workers from there. So rows, columns and errors
are the same.
"""

import copy
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pickle import PickleBuffer

import pyarrow as pa

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.conversion.blocks import Block, ConvertedBlock
from hauser_dlt.conversion.events import EventReader, Fit, kept_of
from hauser_dlt.conversion.pool import Pool
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.records import blocks, json_stream
from hauser_dlt.records.batches import BATCH_ROWS, Tally
from hauser_dlt.records.columns import Columns

_MOST = 4  # blocks at the same time: each takes some 30 MB of this process, on its way out and back

Result = ConvertedBlock | None
MakeBlock = Callable[[Delivery, list[PickleBuffer]], Block]
"""(a bundle's file, some of its lines) -> what a worker is to do."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A block that a worker has been given, and how long it is."""

    size: int
    result: "Future[Result]"


class _Division:
    """One bundle that is divided.

    Attributes:
        begun: the blocks that workers have been given and that have not been taken.
        is_whole: all that the bundle has is in blocks.
    """

    def __init__(self, delivery: Delivery, rows: int) -> None:
        self.delivery = delivery
        self.begun: deque[_Begun] = deque()
        self.is_whole = self._ended = False
        self._pieces = delivery.pieces()
        self._blocks = blocks.blocks(blocks.lines_of(self._pieces), rows)

    def begin_next(self, pool: Pool, make: MakeBlock) -> bool:
        """Give workers its next block; False if there is none, or if it cannot be had, which comes up again."""
        if self._ended:
            return False
        try:
            pieces = next(self._blocks, None)
        except Exception:  # noqa: BLE001 - of whatever kind
            self._ended = True
            return False
        if pieces is None:
            self._ended = self.is_whole = True
            return False
        size = sum(map(len, pieces))
        self.begun.append(_Begun(size, pool.submit(make(self.delivery, list(map(PickleBuffer, pieces))))))
        return True

    def close(self) -> None:
        """Begin no more, and have nobody do what nobody will take."""
        self._ended = True
        self._blocks.close()
        self._pieces.close()
        for block in self.begun:
            block.result.cancel()


class Divider:
    """Has workers convert some bundles by blocks, a few ahead of the one that is being read. Use it in one thread.

    Args:
        wait: waits for what a worker makes of a block.
        following: a bundle's file -> that of the bundle which is read after it, if it is there.
        rows: how many lines are a block.
    """

    def __init__(
        self,
        pool: Pool,
        wait: Callable[["Future[Result]"], Result],
        following: Callable[[Delivery], Delivery | None],
        rows: int = BATCH_ROWS,
    ) -> None:
        self._pool = pool
        self._wait = wait
        self._following = following
        self._rows = rows
        self._divisions: deque[_Division] = deque()

    def begin(self, delivery: Delivery) -> _Division:
        """Begin with a bundle, of which blocks may have been begun already."""
        while self._divisions and self._divisions[0].delivery != delivery:
            self._divisions.popleft().close()
        if not self._divisions:
            self._divisions.append(_Division(delivery, self._rows))
        return self._divisions[0]

    def next(self, division: _Division, make: MakeBlock) -> tuple[Result, int] | None:
        """Return what has become of the next block of the bundle that is being read, and its size; None at the end."""
        self._begin_blocks(make)
        if not division.begun:
            return None
        block = division.begun[0]
        result = self._wait(block.result)
        division.begun.popleft()
        return result, block.size

    def _begin_blocks(self, make: MakeBlock) -> None:
        """Give each worker a block, and have one more at hand, as far as memory goes."""
        while sum(len(division.begun) for division in self._divisions) < min(self._pool.size + 1, _MOST):
            if not any(division.begin_next(self._pool, make) for division in self._divisions):
                following = self._following(self._divisions[-1].delivery)
                if not following:
                    return
                self._divisions.append(_Division(following, self._rows))

    def close(self) -> None:
        """Begin no more."""
        while self._divisions:
            self._divisions.popleft().close()


class BlockReader(EventReader):
    """One bundle's events as Arrow batches, of which workers convert some ahead; an `OpenReader` likewise."""

    def __init__(
        self,
        divider: Divider,
        settings: SourceSettings,
        fit: Fit,
        delivery: Delivery,
        columns: Columns,
        load_id: str | None,
        *,
        replays: str = "",
    ) -> None:
        super().__init__(settings, fit, delivery, columns, load_id, replays=replays)
        self._divider = divider
        self._settings = settings
        self._replays = replays
        self._no_values = (0, 0, pa.RecordBatch.from_pydict({}))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; see `Reader`."""
        division = self._divider.begin(self.delivery)
        place = number = 0
        with closing(division):
            while taken := self._divider.next(division, self._block):
                block, size = taken
                if block is None or not self.batcher.add(block.noted):
                    division.is_whole = False
                    break
                for batch in block.batches():
                    yield self._completed(batch)
                place, number = place + size, number + block.records
        if place and division.is_whole:
            self.batcher.end()
        else:
            yield from self._rest(place, number)
        yield from self.without_rows()

    def _rest(self, place: int, number: int) -> Iterator[pa.RecordBatch]:
        """Read on without workers, after so many bytes and records."""
        with closing(self.delivery.pieces()) as pieces:
            if place:
                yield from self.batches(json_stream.Lines(blocks.after(blocks.lines_of(pieces), place), number))
            else:
                yield from self.batches(json_stream.records(pieces, in_array=self.in_array))

    def _block(self, delivery: Delivery, lines: list[PickleBuffer]) -> Block:
        """Return the work of turning some lines into batches, after what has come up so far."""
        columns = copy.copy(self.batcher.columns)
        columns.restore(columns.state())
        return Block(kept_of(self._settings, delivery), self._replays, self.fit, columns, lines)

    def _completed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch with marks, and with the columns that have no value in it."""
        rows, columns, no_values = self._no_values
        if (rows, columns) != (batch.num_rows, len(self.batcher.columns.kinds)):
            rows, columns = batch.num_rows, len(self.batcher.columns.kinds)
            no_values = self.fit(self.batcher.no_values(rows), Tally())
            self._no_values = rows, columns, no_values
        found = dict(zip(batch.schema.names, batch.columns, strict=True))
        arrays = [
            found.get(name, nothing) for name, nothing in zip(no_values.schema.names, no_values.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=no_values.schema)
