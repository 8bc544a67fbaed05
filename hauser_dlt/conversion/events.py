"""Events as Arrow batches: the reader of one bundle."""

from collections.abc import Callable, Iterable, Iterator
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
from hauser_dlt.records.json_stream import Record
from hauser_dlt.windows import Window

Fit = Callable[[pa.RecordBatch, Tally], pa.RecordBatch]
"""Makes a batch fit the destination's table, and counts what had to be cut."""


class EventReader(Reader):
    """One bundle's events as Arrow batches; an `OpenReader` once the first two arguments are given.

    Args:
        settings: those by which the bundle was asked for.
        fit: makes a batch fit the destination's table.
        replays: what links to sessions begin with.

    Attributes:
        batcher: what makes them.
        in_array: FullStory promises an array.
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
        marks = _marks(load_id, delivery.bundle.window.start)
        window = kept_of(settings, delivery)
        self.batcher = Batcher(columns, window, marks, needed=EVENT_START, replays=replays)
        self.fit = fit
        self.in_array = comes_in_array(settings)
        super().__init__(delivery, self.batcher.tally)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; see `Reader`."""
        with closing(self.delivery.pieces()) as pieces:
            yield from self.batches(json_stream.records(pieces, in_array=self.in_array))
        yield from self.without_rows()

    def batches(self, records: Iterable[Record]) -> Iterator[pa.RecordBatch]:
        """Yield the batches of records of the bundle."""
        for batch in self.batcher.batches(records, BATCH_ROWS):
            yield self.fit(batch, self.tally)

    def without_rows(self) -> Iterator[pa.RecordBatch]:
        """Yield no rows where there are none: the table has all its columns after the first run, events or not."""
        if not self.tally.rows:
            yield self.fit(empty_batch(self.batcher.columns), self.tally)


def comes_in_array(settings: SourceSettings) -> bool:
    """Tell whether FullStory promises an array, as which even an hour without events is not empty."""
    return settings.api == "data_export" or settings.export_format == "json"


def kept_of(settings: SourceSettings, delivery: Delivery) -> Window | None:
    """Return the window whose rows are kept of a bundle; None keeps all."""
    return delivery.bundle.window if settings.keeps_to_windows else None


def _marks(load_id: str | None, window_start: datetime) -> dict[str, pa.Scalar]:
    return {
        LOAD_ID: pa.scalar(load_id, pa.string()),
        ROW_WINDOW: pa.scalar(window_start, ARROW_TYPES["timestamp"]),
    }
