"""Bundles into load packages, and those into the destination."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import dlt

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.conversion.processors import usable_processors
from hauser_dlt.conversion.window_files import WindowFiles
from hauser_dlt.destinations import DestinationAdapter
from hauser_dlt.destinations.files import ImportingReader, name_jobs
from hauser_dlt.destinations.resolving import resolved_once
from hauser_dlt.dlt_internals import forget_trace
from hauser_dlt.error_mapping import translated
from hauser_dlt.errors import CorruptBundleError, ExportError, TransientError
from hauser_dlt.exports import Exports
from hauser_dlt.exports.disk import Disk
from hauser_dlt.exports.prefetch import Deliveries, Delivery
from hauser_dlt.exports.readers import OpenReader, Reader
from hauser_dlt.ledger import Sent, load_ids, process_id
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.tables import Table
from hauser_dlt.source.events import export_resources
from hauser_dlt.source.schema import SCHEMA
from hauser_dlt.source.snapshots import Snapshot, SnapshotReader, fetched, snapshot_resource
from hauser_dlt.sync.ahead import Ahead
from hauser_dlt.sync.attempt import Attempt, nothing, noting_times
from hauser_dlt.sync.heartbeat import heartbeats
from hauser_dlt.sync.model import Failed, Group, LoadedSnapshot, Outcome, Package, Seen
from hauser_dlt.sync.readers import Readers
from hauser_dlt.sync.watched import WatchedReader
from hauser_dlt.windows import Window


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
        disk: has room for what is worked on ahead, or has not.
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
        disk: Disk | None = None,
    ) -> None:
        self._config = config
        self._pipeline = pipeline
        self._to = to
        self._seen = seen
        self._folder = folder
        self._pause = pause
        self._newest_load = newest_load
        self._workers = config.run.workers or usable_processors()
        ahead = self._workers > 1 and not to.holds_files
        most_bytes = to.destination.capabilities().recommended_file_size if ahead else None
        self._readers = Readers(config, to, seen, folder, most_bytes=most_bytes, replays=replays)
        self._note = note
        self._disk = disk
        self._at_hand = ExitStack()  # what stays open from one package to the next

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._at_hand.close()

    def ahead(self, deliveries: Deliveries, planned: Sequence[Group]) -> Ahead:
        """Return the files of all bundles of a plan, of which some are worked on before it is their turn.

        Close it before the loader.
        """
        return Ahead(deliveries, planned, self._readers, self._workers, self._pause, self._disk)

    def load(
        self, group: Group, deliveries: Ahead, exports: Exports, *, moves_cursor: bool, again: bool
    ) -> Iterator[Outcome]:
        """Load a group; yield the packages that have arrived, and the bundles that could not be had.

        A bundle that fails ends the package before it: what comes after is loaded without moving the cursor.

        Args:
            deliveries: the bundles' files, in order.
            moves_cursor: the next run goes on from the end of the group.
            again: what is loaded replaces older loads. Files of a load go all together or not at all.

        Raises:
            HauserError: the destination's; what was loaded before stays. Of files that are loaded again, a bundle's.
        """
        rest = group.bundles
        while rest:
            attempt = Attempt(replace(group, bundles=rest))
            try:
                package = self._package(attempt, deliveries, moves_cursor)
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
                    before = Attempt(replace(group, bundles=rest[:good]), taken=attempt.taken[:good], again=True)
                    yield self._package(before, deliveries, moves_cursor)
                    _release(before.taken, exports)
                yield failed
                moves_cursor = False
                rest = rest[good + 1 :]
            else:
                yield package
                _release(attempt.taken, exports)
                return

    def _taking(self, attempt: Attempt, deliveries: Ahead) -> Iterator[Delivery]:
        """Yield the files of a group's bundles, and remember them: they may be read once more."""
        if attempt.again:
            yield from attempt.taken
            return
        for _ in attempt.group.bundles:
            if not deliveries.is_next_ready():
                self._at_hand.close()  # others may look into DuckDB's file while FullStory prepares an export
            delivery = next(deliveries)
            attempt.taken.append(delivery)
            yield delivery

    def _package(self, attempt: Attempt, deliveries: Ahead, moves_cursor: bool) -> Package:
        """Load a package of bundles that can be had."""
        group, began = attempt.group, time.monotonic()
        files, sent = self._readers.files(group), Sent(group.span)
        open_items = self._opening(self._readers.batches(), files)
        note_item = nothing if self._to.holds_files else noting_times(sent, self._seen.tables.export)

        def open_reader(delivery: Delivery, columns: Columns, load_id: str | None) -> Reader:
            made = deliveries.reader(group, delivery, columns, load_id, files)
            reader = made or open_items(delivery, columns, load_id)
            return self._watched(reader, files, note_item, attempt.noting_ends(sent, self._note))

        self._readers.begin_package(self._columns_of(self._seen.source.export_table))
        reserved = deliveries.load_id(group, self._newest_load)
        source = self._source(self._taking(attempt, deliveries), open_reader, moves_cursor)
        load_id = self._ship(source, group.span, files, self._seen.source.sync_table, sent, reserved)
        seconds = time.monotonic() - began
        return Package(load_id, group.span, len(group.bundles), attempt.total.rows, attempt.total, seconds)

    def _columns_of(self, table: str) -> Iterable[str]:
        """Return the columns of a table in the order in which dlt's schema has them."""
        known = self._pipeline.default_schema_name
        return self._pipeline.default_schema.tables.get(table, {"columns": {}})["columns"] if known else ()

    def _opening(self, open_batches: OpenReader, files: WindowFiles) -> OpenReader:
        """Return what opens the readers of a load: of Arrow batches, or of files where the destination holds those."""
        return files.opening(open_batches) if self._to.holds_files else open_batches

    def _watched(
        self,
        reader: Reader,
        files: WindowFiles,
        note_item: Callable[[Any], None],
        note_end: Callable[[Reader], None],
    ) -> Reader:
        """Return a reader whose items dlt can take, and that is watched."""
        watched = WatchedReader(reader, self._pause, note_item, note_end)
        return ImportingReader(watched, files, "csv" if self._to.holds_files else "parquet")

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
        files = self._readers.files(Group((snapshot.bundle,), by_day=False))
        files.needed = snapshot.key or next(iter(snapshot.kinds))
        files.in_array = False
        total = Tally()
        open_items = self._opening(partial(SnapshotReader, snapshot, self._readers.fitting(Table())), files)

        def open_reader(delivery: Delivery, columns: Columns, load_id: str | None) -> Reader:
            reader = open_items(delivery, columns, load_id)
            return self._watched(reader, files, nothing, lambda reader: total.add(reader.tally))

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

    def _ship(
        self,
        source: Any,
        span: Window,
        files: WindowFiles,
        spanning: str,
        sent: Sent | None = None,
        reserved: str | None = None,
    ) -> str:
        """Make a load package of a source and load it; return its id.

        Args:
            span: the interval that the load is to fill.
            files: what the source has written, where the destination holds files.
            spanning: the table whose file is named after it.
            sent: what must have arrived before the load is complete.
        """
        to, ledger = self._to, self._seen.ledger
        try:
            with translated():
                load_id = self._packed(source, reserved)
                if to.holds_files:
                    name_jobs(files, self._pipeline, load_id, spanning)
                if to.staging and (bucket := to.staging.destination(load_id)):
                    self._pipeline.staging = bucket
                to.make_sure(ledger, load_id, sent)
                self._at_hand.enter_context(to.at_hand(ledger))
                with process_id.at_work(load_id), resolved_once(self._pipeline.staging):
                    ledger.leases.acquire(load_id, span)
                    with heartbeats(ledger.leases, load_id, span):
                        self._pipeline.load().raise_on_failed_jobs()
                    with ledger.connected():
                        ledger.cleanup.finalize(load_id)
                if to.staging:
                    to.staging.remove(load_id)
        finally:
            for path in files.made:
                path.unlink(missing_ok=True)
            with translated():  # it writes, and the disk may be full
                self._pipeline.abort_packages()
        return load_id

    def _packed(self, source: Any, reserved: str | None) -> str:
        """Have dlt make a load package of a source; return its id."""
        forget_trace(self._pipeline)
        with load_ids.above(self._newest_load, reserved):
            self._pipeline.extract(source)
        self._pipeline.normalize()
        (load_id,) = self._pipeline.list_normalized_load_packages()
        self._newest_load = max(self._newest_load, load_ids.number(load_id))
        return load_id


def _release(deliveries: Iterable[Delivery], exports: Exports) -> None:
    """Remove files of bundles, and what was remembered of their exports."""
    for delivery in deliveries:
        delivery.path.unlink(missing_ok=True)
        exports.release(delivery.bundle)
