"""What a batch is made of: records as they are taken, slices as they are joined, rows as they are kept. Pure."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hauser_dlt.fields import EVENT_START
from hauser_dlt.records.json_stream import Record
from hauser_dlt.windows import Window

BATCH_BYTES = 1 << 24
"""How many bytes of records fill a batch; those of some MB each make smaller ones."""


def taken(records: Iterator[Record], number: int, room: int) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Return the next records, their texts and they themselves, as many as there is room for."""
    raws: list[bytes] = []
    rows: list[dict[str, Any]] = []
    for raw, row in islice(records, number):
        raws.append(raw)
        rows.append(row)
        room -= len(raw)
        if room <= 0:
            break
    return raws, rows


def joined(slices: Iterable[pa.RecordBatch]) -> pa.RecordBatch | None:
    """Return the rows of all slices, or None; columns that came up in a later one are NULL in those before it."""
    tables = [pa.Table.from_batches([part]) for part in slices]
    return pa.concat_tables(tables, promote_options="default").combine_chunks().to_batches()[0] if tables else None


def inside(batch: pa.RecordBatch, window: Window | None) -> pa.RecordBatch:
    """Return the rows whose `EventStart` does not lie outside of the window; None keeps all."""
    if window is None:
        return batch
    moments = batch.column(EVENT_START)
    start, end = (pa.scalar(moment, moments.type) for moment in (window.start, window.end))
    is_inside = pc.and_(pc.greater_equal(moments, start), pc.less(moments, end)).fill_null(True)
    if pc.all(is_inside).as_py():
        return batch  # without a copy
    return batch.filter(is_inside)
