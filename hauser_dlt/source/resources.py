"""What dlt's resources need to know here: events come as Arrow batches, windows are whole, destinations differ."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.destinations.adapters import bigquery_adapter
from dlt.destinations.impl.bigquery.bigquery_adapter import CLUSTER_COLUMNS_HINT, CLUSTER_HINT, PARTITION_HINT
from dlt.extract import DltResource
from dlt.extract.items_transform import FilterItem, LimitItem, MapItem

from hauser_dlt.dlt_internals import parent_pipe, transformer_of
from hauser_dlt.errors import ConfigError
from hauser_dlt.exports import Bundle
from hauser_dlt.fields import EVENT_START
from hauser_dlt.records.batches import Tally
from hauser_dlt.source.names import Names

_CLUSTERED = ["EventType", "UserId", "SessionId"]  # what events are mostly filtered and grouped by
_LAYOUTS = {"sort", "cluster", "partition", PARTITION_HINT, CLUSTER_HINT, CLUSTER_COLUMNS_HINT}


@dataclass(frozen=True, slots=True)
class Loaded:
    """All events of a bundle have been read."""

    bundle: Bundle
    tally: Tally

    def row(self) -> dict[str, Any]:
        """Return the bundle's row in the sync table: hauser's columns, and two of ours."""
        return {
            "ID": self.bundle.id,
            "Processed": datetime.now(UTC),
            "BundleEndTime": self.bundle.window.end,
            "BundleStartTime": self.bundle.window.start,
            "EventCount": self.tally.rows,
        }


class WindowResource(DltResource):
    """A resource fed by whole windows, whose items are Arrow batches."""

    def add_filter(self, item_filter: Any, insert_at: Any = None) -> Self:
        """Keep the rows for which a mask is true: `lambda batch: pc.equal(batch["EventType"], "click")`.

        Args:
            item_filter: a batch -> its mask, or an Arrow expression.
            insert_at: before which step; None is after the last one.
        """
        return self.add_step(_Masked(item_filter), insert_at)

    def add_limit(
        self, max_items: int | None = None, max_time: float | None = None, count_rows: bool | None = False
    ) -> Self:
        """Stop after so many windows, or, with `count_rows`, after the window with which so many events are reached.

        A window is never cut: its events would be there without its row in the sync table, and come again.
        """
        windows = parent_pipe(self)
        windows.remove_by_type(_Windows)
        windows.append_step(_Windows(max_items, max_time, bool(count_rows)))
        return self


def windowed(**hints: Any) -> Callable[[Callable[[Any], Any]], WindowResource]:
    """Return dlt's decorator of transformers for functions that are fed by whole windows."""
    made: Callable[[Callable[[Any], Any]], WindowResource] = transformer_of(WindowResource, **hints)
    return made


class _Masked(FilterItem):
    def __init__(self, item_filter: Any) -> None:
        super().__init__(item_filter)
        self._mask = MapItem(item_filter)

    def __call__(self, item: Any, meta: Any = None) -> Any:
        if not isinstance(item, pa.RecordBatch | pa.Table):
            return super().__call__(item, meta)
        mask = self._mask(item, meta)
        if not isinstance(mask, pa.Array | pa.ChunkedArray | pc.Expression):
            # `batch["EventType"] == "click"` is False, and would drop all events without a word
            raise ConfigError(
                f"a filter of Arrow batches returned {mask!r}; have it return a mask, such as"
                ' pyarrow.compute.equal(batch["EventType"], "click")'
            )
        return item.filter(mask)


class _Windows(LimitItem):
    """Counts windows, at their ends, instead of items."""

    def __init__(self, max_items: int | None, max_time: float | None, of_rows: bool) -> None:
        super().__init__(max_items, max_time, count_rows=False)
        self._of_rows = of_rows

    def __call__(self, item: Any, meta: Any = None) -> Any:
        if isinstance(item, Loaded):
            self.count += item.tally.rows - 1 if self._of_rows else 0  # dlt counts 1 itself
        elif self.max_items and not self.exhausted:
            return item
        return super().__call__(item, meta)


def suit_destination(resources: Mapping[str, DltResource], *, is_new: bool) -> None:
    """Have events and windows arrive unaltered at the active pipeline's destination, and a new table laid out by time.

    This must wait until extraction: which pipeline runs a source, is not known before.
    """
    destination = active_destination()
    for name in {"fs_export", "fs_sync"} & resources.keys():
        arrive_unaltered(resources[name], of_arrow=name == "fs_export")
    if is_new and "fs_export" in resources:
        _lay_out(resources["fs_export"], destination)


def arrive_unaltered(resource: DltResource, *, of_arrow: bool) -> None:
    """Have rows travel to the active pipeline's destination in a format that loses nothing, unless its user chose one.

    Args:
        of_arrow: the rows are Arrow batches, not dicts.
    """
    destination = active_destination()
    # Redshift matches the keys of JSON in lower case, and says nothing of those that it does not find
    is_staged = isinstance(destination, dlt.destinations.redshift | dlt.destinations.bigquery)
    # dlt would choose CSV for Postgres, and have each "" read as NULL
    is_postgres = of_arrow and destination and destination.destination_type.endswith(".postgres")
    file_format: Any = "insert_values" if is_postgres else "parquet" if is_staged else None
    if file_format and not resource.compute_table_schema().get("file_format"):
        resource.apply_hints(file_format=file_format)


def _lay_out(events: DltResource, destination: Any) -> None:
    """Have a new export table laid out by time, unless its user has said how: events are asked for by day."""
    table: Any = events.compute_table_schema()
    if _LAYOUTS & {*table, *(hint for column in table["columns"].values() for hint in column)}:
        return
    if isinstance(destination, dlt.destinations.redshift):
        events.apply_hints(columns={EVENT_START: {"data_type": "timestamp", "sort": True}})
    if isinstance(destination, dlt.destinations.bigquery):
        bigquery_adapter(events, partition=EVENT_START, cluster=_CLUSTERED)


def active_destination() -> Any:
    """Return the destination of the pipeline that is running, if any."""
    active = Container()[PipelineContext]
    return active.pipeline().destination if active.is_active() else None


def text_limit() -> int | None:
    """Return how many bytes of text the active pipeline's destination takes at the most; None is any number."""
    destination = active_destination()
    limits = destination.capabilities() if destination else None
    return limits.max_text_data_type_length if limits and limits.is_max_text_data_type_length_in_bytes else None


def names_of(destination: Any) -> Names:
    """Return what names a destination can hold."""
    if destination is None:
        return Names()
    kinds = ("redshift", "postgres", "bigquery")
    kind = next((kind for kind in kinds if isinstance(destination, getattr(dlt.destinations, kind))), "")
    limits = destination.capabilities()
    return Names(
        kind or destination.destination_type.rpartition(".")[2],
        limits.max_column_identifier_length or limits.max_identifier_length,
        limits.max_identifier_length,
    )
