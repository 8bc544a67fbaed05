"""Bundles into load packages, and those into the destination."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import dlt
import pyarrow.compute as pc

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.destinations import DestinationAdapter
from hauser_dlt.destinations.files import WindowFiles
from hauser_dlt.error_mapping import translated
from hauser_dlt.errors import CorruptBundleError, ExportError, TransientError
from hauser_dlt.exports import Exports
from hauser_dlt.exports.prefetch import Deliveries, Delivery
from hauser_dlt.exports.readers import OpenReader, Reader
from hauser_dlt.fields import EVENT_START
from hauser_dlt.ledger import Sent, load_ids, process_id
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.tables import Fitting, Table
from hauser_dlt.source.events import EventReader, comes_in_array, export_resources
from hauser_dlt.source.schema import SCHEMA
from hauser_dlt.source.snapshots import Snapshot, SnapshotReader, fetched, snapshot_resource
from hauser_dlt.sync.heartbeat import heartbeats
from hauser_dlt.sync.model import Failed, Group, LoadedSnapshot, Outcome, Package, Seen
from hauser_dlt.sync.watched import WatchedReader
from hauser_dlt.windows import Window


@dataclass
class _Attempt:
    """One try to load a group: which of its bundles have been handed out, and which have been read to their end."""

    group: Group
    taken: list[Delivery] = field(default_factory=list)
    read: list[Reader] = field(default_factory=list)

    @property
    def is_read(self) -> bool:
        return len(self.read) == len(self.group.bundles)


class Loader:
    """Loads groups of bundles, and snapshots, into one destination.

    Use it as a context manager: some destinations stay connected from one package to the next.

    Args:
        seen: the destination as it was inspected.
        folder: for files of ours.
        pause: raises if the run was asked to stop.
        newest_load: what the ids of loads must exceed.
        replays: what links to sessions begin with.
        note: told of each bundle that has been read.
    """

    def __init__(
        self,
        config: Configuration,
        pipeline: dlt.Pipeline,
        to: DestinationAdapter,
        seen: Seen,
        folder: Path,
        pause: Callable[[float], None],
        *,
        newest_load: float,
        replays: str = "",
        note: Callable[[Window, Tally], None] = lambda window, tally: None,
    ) -> None:
        self._config = config
        self._pipeline = pipeline
        self._to = to
        self._seen = seen
        self._folder = folder
        self._pause = pause
        self._newest_load = newest_load
        self._replays = replays
        self._note = note
        self._at_hand = ExitStack()  # what stays open from one package to the next

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._at_hand.close()

    def load(
        self, group: Group, deliveries: Deliveries, exports: Exports, *, moves_cursor: bool, again: bool
    ) -> Iterator[Outcome]:
        """Load a group; yield the packages that have arrived, and the bundles that could not be had.

        Without such, there is one package. A bundle that fails ends the package before it: what comes after it is
        loaded without moving the cursor, so that the next run tries again.

        Args:
            deliveries: the bundles' files, in order.
            exports: release what has been loaded.
            moves_cursor: the next run goes on from the end of the group.
            again: what is loaded replaces older loads. Files of a load go all together or not at all.

        Raises:
            HauserError: the destination's; what was loaded before stays. Of files that are loaded again, a bundle's.
        """
        rest = group.bundles
        while rest:
            attempt = _Attempt(replace(group, bundles=rest))
            try:
                package = self._package(attempt.group, self._taking(attempt, deliveries), moves_cursor, attempt)
            except (ExportError, TransientError) as exc:
                if attempt.is_read:
                    raise  # the destination's error, and no bundle's
                good = len(attempt.read)
                failed = Failed(rest[good], exc)
                if isinstance(exc, CorruptBundleError):
                    _release(attempt.taken[good:], exports)  # as it is, this export is of no use to the next run
                if again and self._to.reload_unit == "load":
                    raise exc.about(failed.bundle.window) from None
                if good:
                    before = replace(group, bundles=rest[:good])
                    yield self._package(before, iter(attempt.taken[:good]), moves_cursor)
                    _release(attempt.taken[:good], exports)
                yield failed
                moves_cursor = False
                rest = rest[good + 1 :]
            else:
                yield package
                _release(attempt.taken, exports)
                return

    def _taking(self, attempt: _Attempt, deliveries: Deliveries) -> Iterator[Delivery]:
        """Yield the files of a group's bundles, and remember them: they may be read once more."""
        for _ in attempt.group.bundles:
            if not deliveries.is_next_ready():
                self._at_hand.close()  # others may look into DuckDB's file while FullStory prepares an export
            delivery = next(deliveries)
            attempt.taken.append(delivery)
            yield delivery

    def _package(
        self, group: Group, deliveries: Iterator[Delivery], moves_cursor: bool, attempt: _Attempt | None = None
    ) -> Package:
        """Load a package of bundles that can be had.

        Args:
            attempt: notes what has been read. Without it, that is known already, and nobody is told again.
        """
        files = self._files(group)
        total, sent, began = Tally(), Sent(group.span), time.monotonic()
        event_start = self._seen.tables.export.spelled(EVENT_START)

        def note_reach(batch: Any) -> None:
            sent.note(*pc.min_max(batch.column(event_start)).as_py().values())

        def note_end(reader: Reader) -> None:
            window, reader.tally.bytes = reader.delivery.bundle.window, reader.delivery.path.stat().st_size
            total.add(reader.tally)
            sent.windows[window] = reader.tally.rows
            if attempt:
                attempt.read.append(reader)
                self._note(window, reader.tally)

        fit = self._fitting(self._seen.tables.export)
        open_batches = partial(EventReader, self._seen.source, fit, replays=self._replays)
        open_reader = self._opening(open_batches, files, note_reach, note_end)
        source = self._source(deliveries, open_reader, moves_cursor)
        load_id = self._ship(source, group.span, files, self._seen.source.sync_table, sent)
        seconds = time.monotonic() - began
        return Package(load_id, group.span, len(group.bundles), total.rows, total, seconds)

    def _opening(
        self,
        open_batches: OpenReader,
        files: WindowFiles,
        note_batch: Callable[[Any], None],
        note_end: Callable[[Reader], None],
    ) -> OpenReader:
        """Return what opens the readers of a load: of Arrow batches, or of files where the destination holds those."""
        into_files = self._to.holds_files
        open_items = files.opening(open_batches) if into_files else open_batches
        note_item = _note_nothing if into_files else note_batch

        def open_reader(delivery: Delivery, columns: Columns, load_id: str | None) -> Reader:
            return WatchedReader(open_items(delivery, columns, load_id), self._pause, note_item, note_end)

        return open_reader

    def _source(self, deliveries: Iterable[Delivery], open_reader: OpenReader, moves_cursor: bool) -> Any:
        @dlt.source(schema=SCHEMA, section="fullstory")
        def fullstory() -> Any:
            return export_resources(
                lambda cursor: deliveries,
                open_reader,
                self._seen.source,
                moves_cursor=moves_cursor,
                tables=self._seen.tables,
            )

        source = fullstory()
        self._to.prepare(source, self._config, self._seen.tables)
        return source

    def load_snapshot(self, snapshot: Snapshot) -> LoadedSnapshot:
        """Load a table anew that is fetched whole."""
        files = self._files(Group((snapshot.bundle,), by_day=False))
        files.needed = snapshot.key or next(iter(snapshot.kinds))
        files.in_array = False
        total = Tally()
        open_rows = partial(SnapshotReader, snapshot, self._fitting(Table()))
        open_reader = self._opening(open_rows, files, _note_nothing, lambda reader: total.add(reader.tally))

        @dlt.source(schema=SCHEMA, section="fullstory")
        def fullstory() -> Any:
            return snapshot_resource(snapshot, lambda: fetched(snapshot, self._folder), open_reader)

        source = fullstory()
        self._to.prepare(source, self._config, self._seen.tables)
        # of no length, so that it stands in no other run's way
        moment = Window(snapshot.interval.end, snapshot.interval.end)
        try:
            load_id = self._ship(source, moment, files, "")
        except CorruptBundleError:
            snapshot.release()
            raise
        snapshot.release()
        return LoadedSnapshot(load_id, snapshot.table, total)

    def _files(self, group: Group) -> WindowFiles:
        run, in_array = self._config.run, comes_in_array(self._seen.source)
        return WindowFiles(
            self._folder,
            run.file_format,
            run.compress,
            group.span,
            by_day=group.by_day,
            escape_formulas=run.csv_escape_formulas,
            in_array=in_array,
        )

    def _fitting(self, table: Table) -> Fitting:
        return Fitting(table, self._to.text_limit(self._config))

    def _ship(self, source: Any, span: Window, files: WindowFiles, spanning: str, sent: Sent | None = None) -> str:
        """Make a load package of a source and load it; return its id.

        Args:
            span: the interval that the load is to fill.
            files: what the source has written, where the destination holds files.
            spanning: the table whose own file is named after the whole interval.
            sent: what must have arrived before the load is complete.
        """
        to, ledger = self._to, self._seen.ledger
        try:
            with translated():
                load_id = self._packed(source)
                if to.holds_files:
                    files.name_jobs(self._pipeline, load_id, spanning)
                if to.staging:
                    self._pipeline.staging = to.staging.destination(load_id)
                to.make_sure(ledger, load_id, sent)
                self._at_hand.enter_context(to.at_hand(ledger))
                with process_id.at_work(load_id):
                    ledger.leases.acquire(load_id, span)
                    with heartbeats(ledger.leases, load_id, span):
                        self._pipeline.load().raise_on_failed_jobs()
                    with ledger.connected():
                        ledger.cleanup.finalize(load_id)
                if to.staging:
                    to.staging.remove(load_id)
        finally:
            self._pipeline.abort_packages()
            for path in files.made:
                path.unlink(missing_ok=True)
        return load_id

    def _packed(self, source: Any) -> str:
        """Have dlt make a load package of a source; return its id."""
        with load_ids.above(self._newest_load):
            self._pipeline.extract(source)
        self._pipeline.normalize()
        (load_id,) = self._pipeline.list_normalized_load_packages()
        self._newest_load = max(self._newest_load, load_ids.number(load_id))
        return load_id


def _note_nothing(_item: Any) -> None:
    """Note nothing of an item."""


def _release(deliveries: Iterable[Delivery], exports: Exports) -> None:
    """Remove files of bundles, and what was remembered of their exports."""
    for delivery in deliveries:
        delivery.path.unlink(missing_ok=True)
        exports.release(delivery.bundle)
