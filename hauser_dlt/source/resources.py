"""What dlt's resources need to know here: events come as Arrow batches, windows are whole, destinations differ."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.extract import DltResource
from dlt.extract.items_transform import FilterItem, LimitItem, MapItem

from hauser_dlt.destinations import capabilities
from hauser_dlt.destinations.layouts import is_laid_out
from hauser_dlt.destinations.traits import traits_of
from hauser_dlt.dlt_internals import parent_pipe, transformer_of
from hauser_dlt.errors import ConfigError
from hauser_dlt.exports import Bundle
from hauser_dlt.records.batches import Tally


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


def note(tally: Tally) -> None:
    """Count what was noticed about some rows into the metrics of the resource that is running, for dlt's trace."""
    metrics = dlt.current.resource_metrics()
    metrics["outside"] = metrics.get("outside", 0) + tally.outside
    for name, counts in (("misfits", tally.mismatches), ("cut", tally.truncated)):
        metrics[name] = dict(Counter(metrics.get(name, {})) + counts)


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

        A window is never split: its events would be there without its row in the sync table, and come again.
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

    What its user has said of either holds. This must wait until extraction: which pipeline runs a source, is not
    known before.
    """
    for name in {"fs_export", "fs_sync"} & resources.keys():
        arrive_unaltered(resources[name], of_arrow=name == "fs_export")
    lay_out = traits_of(active_destination()).lay_out
    if is_new and lay_out and "fs_export" in resources and not is_laid_out(resources["fs_export"]):
        lay_out(resources["fs_export"])


def arrive_unaltered(resource: DltResource, *, of_arrow: bool) -> None:
    """Have rows travel to the active pipeline's destination in a format that loses nothing, unless its user chose one.

    Args:
        of_arrow: the rows are Arrow batches, not dicts.
    """
    traits = traits_of(active_destination())
    file_format: Any = traits.batches_as if of_arrow else traits.rows_as
    if file_format and not resource.compute_table_schema().get("file_format"):
        resource.apply_hints(file_format=file_format)


def active_destination() -> Any:
    """Return the destination of the pipeline that is running, if any."""
    active = Container()[PipelineContext]
    return active.pipeline().destination if active.is_active() else None


def text_limit() -> int | None:
    """Return how many bytes of text the active pipeline's destination takes at the most; None is any number."""
    return capabilities.text_limit(active_destination())
