"""Events as Arrow batches: the reader of one bundle."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime

import pyarrow as pa

from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.exports.readers import Reader
from hauser_dlt.fields import EVENT_START, LOAD_ID, ROW_WINDOW
from hauser_dlt.records import json_stream
from hauser_dlt.records.batches import BATCH_ROWS, Batcher, Tally
from hauser_dlt.records.columns import ARROW_TYPES, Columns, empty_batch

Fit = Callable[[pa.RecordBatch, Tally], pa.RecordBatch]
"""Makes a batch fit the destination's table, and counts what had to be cut."""


class EventReader(Reader):
    """One bundle's events as Arrow batches; an `OpenReader` once the first two arguments are given.

    Args:
        settings: those by which the bundle was asked for.
        fit: makes a batch fit the destination's table.
        replays: what links to sessions begin with.
    """

    def __init__(
        self,
        settings: SourceSettings,
        fit: Fit,
        delivery: Delivery,
        columns: Columns,
        load_id: str | None,
        *,
        replays: str = "",
    ) -> None:
        window = delivery.bundle.window
        strict = window if settings.keeps_to_windows else None
        marks = _marks(load_id, window.start)
        self._batcher = Batcher(columns, strict, marks, needed=EVENT_START, replays=replays)
        self._fit = fit
        self._in_array = comes_in_array(settings)
        super().__init__(delivery, self._batcher.tally)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; see `Reader`."""
        with closing(self.delivery.pieces()) as pieces:
            records = json_stream.records(pieces, in_array=self._in_array)
            for batch in self._batcher.batches(records, BATCH_ROWS):
                yield self._fit(batch, self.tally)
        if not self.tally.rows:
            # the table has all its columns after the first run, events or not
            yield self._fit(empty_batch(self._batcher.columns), self.tally)


def comes_in_array(settings: SourceSettings) -> bool:
    """Tell whether FullStory promises an array, as which even an hour without events is not empty."""
    return settings.api == "data_export" or settings.export_format == "json"


def _marks(load_id: str | None, window_start: datetime) -> dict[str, pa.Scalar]:
    return {
        LOAD_ID: pa.scalar(load_id, pa.string()),
        ROW_WINDOW: pa.scalar(window_start, ARROW_TYPES["timestamp"]),
    }
