"""Bundles into files, as a piece of work that another process can do: what it needs, and what comes back, is plain."""

import pickle
from dataclasses import dataclass, field

import pyarrow as pa

from hauser_dlt.conversion.events import Fit
from hauser_dlt.conversion.window_files import WindowFiles, WrittenFile
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.exports.readers import OpenReader
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.columns import Columns, ColumnsState


@dataclass(slots=True)
class InOrder:
    """Makes batches fit a table, and puts their columns into its order; to that, new ones are appended."""

    fit: Fit
    names: tuple[str, ...]

    def __call__(self, batch: pa.RecordBatch, tally: Tally) -> pa.RecordBatch:
        """Return the batch with the table's columns."""
        fitted = self.fit(batch, tally)
        self.names = tuple(dict.fromkeys((*self.names, *fitted.schema.names)))
        return fitted.select([name for name in self.names if name in fitted.schema.names])


@dataclass(frozen=True, slots=True)
class Conversion:
    """Bundles that become files: those of a load package, or a single one.

    Attributes:
        columns: the table's columns before the first of the bundles.
        load_id: the id of the load package.
        open_batches: opens the Arrow batches of a bundle.
        files: where they are written to, and how.
    """

    deliveries: tuple[Delivery, ...]
    columns: Columns
    load_id: str | None
    open_batches: OpenReader
    files: WindowFiles

    def do(self) -> "Converted":
        """Return what becomes of it: a worker process can do it."""
        return convert(self)

    def is_for(self, columns: Columns, load_id: str | None) -> bool:
        """Tell whether it makes what is needed where these columns have come up before, in this load package."""
        return self.load_id == load_id and self.columns.state() == columns.state()


@dataclass(frozen=True, slots=True)
class Part:
    """What has become of one bundle.

    Attributes:
        files: those that were finished with it.
        columns: the table's columns after it.
    """

    files: list[WrittenFile]
    tally: Tally
    columns: ColumnsState


@dataclass(slots=True)
class Converted:
    """What has become of the bundles of a conversion.

    Attributes:
        parts: of each bundle, up to the one that could not be read.
        error: why that could not be read.
    """

    parts: list[Part] = field(default_factory=list)
    error: Exception | None = None


def convert(work: Conversion) -> Converted:
    """Write the files of some bundles, up to the first that cannot be read."""
    done, columns = Converted(), work.columns
    open_files = work.files.opening(work.open_batches)
    try:
        for delivery in work.deliveries:
            reader = open_files(delivery, columns, work.load_id)
            done.parts.append(Part(list(reader), reader.tally, columns.state()))
    except Exception as exc:  # noqa: BLE001 - of whatever kind, it is raised again when it is the bundle's turn
        work.files.abandon()
        done.error = _portable(exc)
    return done


def _portable(error: Exception) -> Exception:
    """Return an error that another process can be told; some can be pickled, and not be read."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what stands here
    except Exception:  # noqa: BLE001 - of whatever kind
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
