"""Some lines of a bundle, as a piece of work that another process can do."""

from collections.abc import Iterator
from dataclasses import dataclass
from pickle import PickleBuffer

import pyarrow as pa
import pyarrow.ipc

from hauser_dlt.conversion.events import Fit
from hauser_dlt.fields import EVENT_START
from hauser_dlt.records.batches import BATCH_ROWS, Batcher, Noted
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.json_stream import Lines
from hauser_dlt.windows import Window


@dataclass(frozen=True, slots=True)
class ConvertedBlock:
    """What has become of a block.

    Attributes:
        records: how many it has.
        packed: its batches, each with its schema: the columns that have values, without marks.
    """

    records: int
    noted: Noted
    packed: list[tuple[PickleBuffer, PickleBuffer]]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches."""
        for schema, batch in self.packed:
            yield pa.ipc.read_record_batch(pa.py_buffer(batch), pa.ipc.read_schema(pa.py_buffer(schema)))


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of a bundle, to become batches.

    Attributes:
        window: rows outside are left out; None keeps all.
        replays: what links to sessions begin with.
        fit: makes a batch fit the destination's table.
        columns: the table's columns as far as they are known.
        lines: their bytes, in pieces.
    """

    window: Window | None
    replays: str
    fit: Fit
    columns: Columns
    lines: list[PickleBuffer]

    def do(self) -> ConvertedBlock | None:
        """Return what becomes of it; None if something is wrong with it, which comes up again when it is read again."""
        batcher = Batcher(self.columns, self.window, {}, needed=EVENT_START, replays=self.replays)
        lines = Lines(map(bytes, self.lines))
        try:
            packed = [_packed(self.fit(batch, batcher.tally)) for batch in batcher.part(lines, BATCH_ROWS)]
        except Exception:  # noqa: BLE001 - of whatever kind
            return None
        return ConvertedBlock(lines.number, batcher.noted(), packed)


def _packed(batch: pa.RecordBatch) -> tuple[PickleBuffer, PickleBuffer]:
    """Return a batch for `ConvertedBlock`; there are many columns that no event of an account has a value for."""
    names = [name for name in batch.schema.names if batch.column(name).null_count < len(batch)]
    kept = batch.select(names)
    return PickleBuffer(kept.schema.serialize()), PickleBuffer(kept.serialize())
