"""Tables that are fetched whole, beside the events: the account's individuals and its segments."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt
import orjson
import pyarrow as pa
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.extract import DltResource

from hauser_dlt.destinations.names import names_of
from hauser_dlt.destinations.traits import traits_of
from hauser_dlt.errors import CorruptBundleError
from hauser_dlt.exports import Bundle
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.exports.readers import OpenReader, Reader
from hauser_dlt.fields import LOAD_ID, USER_VARS, Kind
from hauser_dlt.records import json_stream
from hauser_dlt.records.batches import BATCH_ROWS, Batcher
from hauser_dlt.records.columns import Columns, no_rows
from hauser_dlt.records.deny_list import Denylist
from hauser_dlt.records.json_stream import Record
from hauser_dlt.records.json_text import members
from hauser_dlt.records.tables import Fitting
from hauser_dlt.source.resources import active_destination, arrive_unaltered, note
from hauser_dlt.windows import Window

_UNTIL, _LOAD = "until", "load_id"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table, and how its rows are had.

    Attributes:
        name: of dlt's resource.
        kinds: the fields that FullStory documents.
        key: by which rows are merged with those that are there; None replaces all.
        interval: the time that the rows are about.
        fetch: writes FullStory's answer to a file: records, packed or not.
        release: the rows are loaded: nothing needs to be remembered.
    """

    name: str
    table: str
    kinds: Mapping[str, Kind]
    key: str | None
    grow: bool
    denylist: Denylist
    interval: Window
    fetch: Callable[[Path], None]
    release: Callable[[], None] = lambda: None

    @property
    def bundle(self) -> Bundle:
        """The rows as FullStory prepares them."""
        return Bundle(self.interval)

    def columns(self) -> Columns:
        """Return the table's columns."""
        takes = names_of(active_destination()).takes
        return Columns(self.kinds, grow=self.grow, drops=self.denylist.drops, takes=takes)


class SnapshotReader(Reader):
    """The rows of a snapshot as Arrow batches; an `OpenReader` once the first two arguments are given.

    A row without the key is left out, and counted as being outside.
    """

    def __init__(
        self, snapshot: Snapshot, fit: Fitting, delivery: Delivery, columns: Columns, load_id: str | None
    ) -> None:
        self._key = snapshot.key
        self._fit = fit
        self._batcher = Batcher(columns, None, {LOAD_ID: pa.scalar(load_id, pa.string())}, needed=snapshot.key)
        super().__init__(delivery, self._batcher.tally)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; see `Reader`."""
        key, tally = self._key, self.tally
        with closing(self.delivery.pieces()) as pieces:
            for batch in self._batcher.batches(_flat(json_stream.records(pieces)), BATCH_ROWS):
                kept = batch.filter(batch.column(key).is_valid()) if key else batch
                tally.rows -= batch.num_rows - kept.num_rows
                tally.outside += batch.num_rows - kept.num_rows
                yield _keyed(self._fit(kept, tally), key)
        if tally.outside and not tally.rows:
            raise CorruptBundleError(f"none of the bundle's rows has {key}; it is something else than was asked for")
        if not tally.rows:
            yield _keyed(self._fit(no_rows(self._batcher.columns, {LOAD_ID: "text"}), tally), key)


def _flat(records: Iterable[Record]) -> Iterator[Record]:
    """Put the custom variables, which stand in an object of their own, beside the fields, each as it was written."""
    return json_stream.records(map(_flat_line, records))


def _flat_line(record: Record) -> bytes:
    texts = members(record[0])
    if isinstance(record[1].get(USER_VARS), dict):
        variables = members(texts.pop(USER_VARS))
        texts |= {f"{USER_VARS}.{name}" if name in texts else name: text for name, text in variables.items()}
    return b"{%b}\n" % b",".join(orjson.dumps(name) + b":" + text for name, text in texts.items())


def _keyed(batch: pa.RecordBatch, key: str | None) -> pa.RecordBatch:
    """Return the batch with a key that is never NULL, as dlt's hint for it says."""
    fields = [field.with_nullable(field.name != key) for field in batch.schema]
    return pa.RecordBatch.from_arrays(batch.columns, schema=pa.schema(fields))


def until(resources: Mapping[str, Any], snapshot: Snapshot, complete: Callable[[str], bool]) -> datetime | None:
    """Return the end of the interval that was loaded last.

    Args:
        resources: the states of dlt's resources.
        complete: whether all of a load has arrived.
    """
    last = resources.get(snapshot.name, {})
    return datetime.fromisoformat(last[_UNTIL]) if last and complete(last[_LOAD]) else None


def snapshot_resource(
    snapshot: Snapshot, deliveries: Callable[[], Iterable[Delivery]], open_reader: OpenReader
) -> DltResource:
    """Return dlt's resource of a snapshot.

    Args:
        deliveries: fetches the file.
        open_reader: opens what makes the items of the resource out of it.
    """
    hints: Any = {"write_disposition": "replace"}
    if snapshot.key:
        hints = {"write_disposition": "merge", "primary_key": snapshot.key}

    @dlt.resource(
        name=snapshot.name,
        table_name=snapshot.table,
        columns={LOAD_ID: {"data_type": "text", "nullable": True}},
        **hints,
    )
    def rows() -> Iterator[Any]:
        _suit_destination(dlt.current.source().resources[snapshot.name], snapshot)
        for delivery in deliveries():
            load_id = package_id()
            reader = open_reader(delivery, snapshot.columns(), load_id)
            yield from reader
            note(reader.tally)
            dlt.current.resource_state().update({_UNTIL: snapshot.interval.end.isoformat(), _LOAD: load_id})

    made: DltResource = rows
    return made


def _suit_destination(resource: DltResource, snapshot: Snapshot) -> None:
    """Have files replaced, which cannot be merged, and rows arrive unaltered."""
    if snapshot.key and not traits_of(active_destination()).merges:
        resource.apply_hints(write_disposition="replace")
    arrive_unaltered(resource, of_arrow=True)


def package_id() -> str | None:
    """Return the id of the load package being extracted; None where the resource is only iterated over."""
    try:
        return dlt.current.load_package_state()["load_id"]
    except CurrentLoadPackageStateNotAvailable:
        return None


def fetched(snapshot: Snapshot, folder: Path) -> Iterator[Delivery]:
    """Yield the file of a snapshot, and remove it afterwards."""
    delivery = Delivery(snapshot.bundle, folder / snapshot.name)
    try:
        snapshot.fetch(delivery.path)
        yield delivery
    finally:
        delivery.path.unlink(missing_ok=True)
