"""The loop: what the destination lacks -> bundles -> load packages, one a day; recovery comes first."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import dlt
import pyarrow.compute as pc

from hauser_dlt import load_ids, runners
from hauser_dlt.batches import Columns, Tally
from hauser_dlt.configuration import Configuration
from hauser_dlt.destinations import Target, target
from hauser_dlt.destinations.capabilities import resolve_once
from hauser_dlt.destinations.files import WindowFiles
from hauser_dlt.destinations.folder import read_text
from hauser_dlt.downloads import Deliveries, Delivery, deliver
from hauser_dlt.errors import (
    ConfigError,
    CorruptBundleError,
    ExportError,
    ExportFailedError,
    HauserError,
    LinkError,
    LoadError,
    StoppedError,
    TransientError,
    UnfinishedError,
)
from hauser_dlt.exports import Bundle, Exports
from hauser_dlt.fields import EVENT_START
from hauser_dlt.fitness import Fitness, refuse_conflicts
from hauser_dlt.ledger import CLOCKS_DIFFER, Findings, Ledger, Sent, SyncRow
from hauser_dlt.machine import notes_of_dlt, root_folder
from hauser_dlt.parsers import moment
from hauser_dlt.readers import OpenReader, Reader
from hauser_dlt.resources import text_limit
from hauser_dlt.snapshots import Snapshot, SnapshotReader, fetched, snapshot_resource, until
from hauser_dlt.source import (
    CURSOR,
    SCHEMA,
    SYNC_KINDS,
    EventReader,
    ahead,
    as_table_has,
    comes_in_array,
    connect,
    cursor_in,
    export_resources,
    first_start,
    ready,
    replays_begin,
    snapshots,
)
from hauser_dlt.tables import Fitting, Table, Tables
from hauser_dlt.translation import translated
from hauser_dlt.windows import DAY, Group, Window, begins_day, floor, groups, uncovered, united
from hauser_dlt.workdir import Operations, private_folder

logger = logging.getLogger(__name__)

_OF_ONE_WINDOW = (CorruptBundleError, ExportFailedError, LinkError, UnfinishedError)
_MOST_BAD = 5  # windows that cannot be had, until it seems that none can: each costs an export


@dataclass(frozen=True, slots=True)
class Package:
    """A load package that has arrived at the destination.

    Attributes:
        seconds: how long that took, waiting for FullStory included.
    """

    load_id: str
    span: Window
    windows: int
    events: int
    tally: Tally
    seconds: float


@dataclass(frozen=True, slots=True)
class LoadedSnapshot:
    """A table that has been loaded anew."""

    load_id: str
    table: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class Unready:
    """What was asked for and is not ready: when its first window will be, and all of it."""

    interval: Window
    first: datetime
    last: datetime

    def __str__(self) -> str:
        first, last = (f"{moment:%Y-%m-%d %H:%M} UTC" for moment in (self.first, self.last))
        when = f"at {first}" if first == last else f"from {first} to {last}, part by part"
        return f"{self.interval} is not ready yet; it will be {when}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Attributes:
        stretch: what it is responsible for: from the sync point, or the back-fill asked for.
        bundles: what is ready and not loaded, oldest first.
        settled: the moment up to which events have settled.
        rewound: the sync table ends before dlt's cursor, because users took rows away.
        inherits: a Go hauser has loaded what lies before the stretch.
        again: windows that are loaded already are to be loaded once more.
        warnings: what is wrong with the sync table, without standing in the way.
        lost: why nothing may be loaded: events are gone that the sync table tells of.
        begun: runs, or a Go hauser's, have loaded what lies before the stretch.
        reached: up to where events are loaded once the plan is carried out; None if there are none before the bundles.
        unready: what was asked for and is not ready.
    """

    stretch: Window
    bundles: list[Bundle]
    settled: datetime
    moves_cursor: bool
    rewound: bool = False
    inherits: bool = False
    again: bool = False
    warnings: tuple[str, ...] = ()
    lost: str = ""
    begun: bool = False
    reached: datetime | None = None
    unready: Unready | None = None

    @property
    def hangs_on_clock(self) -> bool:
        """Whether a wrong clock may have made this plan what it is; not so for a run that is up to date."""
        first_run = self.moves_cursor and not self.begun
        starts_later = self.stretch.start > self.settled
        return bool(self.bundles or self.again or self.rewound or self.warnings or first_run or starts_later)


class Report(Protocol):
    """Told how a run goes."""

    def planned(self, plan: Plan) -> None:
        """The windows to load are known."""

    def read(self, window: Window, tally: Tally) -> None:
        """All events of a window have been read."""

    def loaded(self, package: Package) -> None:
        """A package has arrived."""

    def loaded_snapshot(self, snapshot: LoadedSnapshot) -> None:
        """A table that is fetched whole has arrived anew."""

    def done(self) -> None:
        """The run has ended, well or not."""


class Sync:
    """Brings one destination up to date with one FullStory account.

    Use `Sync.open`, which sees to the working folder.

    Attributes:
        tables, ledger: the destination as it was when last looked at, by `look` or `plan`.
    """

    tables: Tables
    ledger: Ledger

    def __init__(
        self,
        config: Configuration,
        pipeline: dlt.Pipeline,
        to: Target,
        exports: Exports,
        operations: Operations,
        folder: Path,
        pause: Callable[[float], None],
    ) -> None:
        self._config = config
        self._given = config.source  # the settings as they are, whatever the table has
        self.pipeline = pipeline
        self.target = to
        self._exports = exports
        self._operations = operations
        self._newest_load = 0.0  # of the destination; those of ours come after it
        self._replays = ""  # what links to sessions begin with, while a plan is carried out
        self._at_hand = ExitStack()  # what stays open from one package to the next
        self._folder = folder
        self._pause = pause
        with translated():
            pipeline.sync_destination()

    @classmethod
    @contextmanager
    def open(cls, config: Configuration, pause: Callable[[float], None], *, reading: bool = False) -> Iterator["Sync"]:
        """Provide a Sync whose state is the destination's: nothing that lies on this machine is relied on.

        Args:
            reading: nothing is changed, neither there nor here.
        """
        with translated():
            to = target(config.run, config.source, reading=reading)
        with (
            root_folder(config.run.working_dir, config.run.pipeline_name, reading=reading) as root,
            private_folder(root) as folder,
            notes_of_dlt(folder),
        ):
            operations = Operations(root / "operations")
            exports = connect(config.source, pause, operations)
            staging = to.staging.destination() if to.staging else None
            for destination in filter(None, (to.destination, staging)):
                resolve_once(destination)
            pipeline = dlt.pipeline(
                config.run.pipeline_name,
                pipelines_dir=str(folder / "dlt"),
                destination=to.destination,
                staging=staging,
                dataset_name=to.dataset_name,
            )
            downloads = folder / "downloads"
            downloads.mkdir()
            yield cls(config, pipeline, to, exports, operations, downloads, pause)

    def plan(self, now: datetime, start: datetime | None = None, end: datetime | None = None) -> Plan:
        """Return what there is to do; nothing is changed.

        Args:
            start: begin of a back-fill; None goes on from the sync point.
            end: where to stop at the latest.
        """
        with translated():
            self._look_at_rows(now)
            settled = self._exports.settled(now)
            unit = self._config.source.export_duration
            if self._config.run.group_by_day and start is None and not self._exports.final:
                settled, unit = floor(settled, DAY), DAY  # whole days only
            with self.ledger.connected():
                begin, begun, rewound, inherits = (start, False, False, False) if start else self._sync_point(now)
                stretch = self.ledger.widened(Window(begin, max(begin, min(end or settled, settled))))
                owned = self.ledger.owned(stretch)
                findings = self.ledger.findings()
            bundles = [b for b in self._exports.bundles(stretch, owned, now) if b.window.end <= now + CLOCKS_DIFFER]
            stretch = self._exports.covered(stretch, (*owned, *(bundle.window for bundle in bundles)))
        ends = [window.end for window in (*owned, *(bundle.window for bundle in bundles)) if window.end <= stretch.end]
        plan = Plan(
            stretch,
            bundles,
            settled,
            start is None,
            rewound,
            inherits,
            begun=begun,
            reached=max([*ends, *([stretch.start] if begun else [])], default=None),
            unready=self._unready(Window(begin, end or settled), settled, unit, goes_on=bool(end) or begun),
        )
        return self._with_findings(plan, findings)

    def _unready(self, asked: Window, settled: datetime, unit: timedelta, *, goes_on: bool) -> Unready | None:
        """Return what is not ready of what was asked for.

        Args:
            unit: what is loaded at a time, windows or days.
            goes_on: it has an end or has begun. Of what has neither, the first unit is told of.
        """
        end = asked.end if goes_on or asked.start < settled else floor(asked.start, unit) + unit
        interval = Window(max(asked.start, settled), end)
        if interval.start >= interval.end:
            return None
        first = min(floor(interval.start, unit) + unit, interval.end)
        return Unready(interval, self._exports.ready_at(first), self._exports.ready_at(interval.end))

    def warnings(self) -> tuple[str, ...]:
        """Return what has been found wrong with the sync table."""
        return tuple(self.ledger.findings().warnings(self._config.source.sync_table))

    def _with_findings(self, plan: Plan, findings: Findings) -> Plan:
        source = self._config.source
        expired = self.tables.export.columns and self._config.run.partition_expiration
        lost = ""
        if findings.lost and not expired:
            gone = "has no rows" if self.tables.export.columns or self.target.into_files else "is not there"
            lost = (
                f"{source.export_table} {gone}, while {source.sync_table} tells of {findings.lost:,} events that are"
                f" loaded; delete the rows of {source.sync_table} to have them loaded again, or set their EventCount"
                " to 0 if the events are gone on purpose"
            )
        return replace(plan, warnings=tuple(findings.warnings(source.sync_table)), lost=lost)

    def plans(self, now: datetime, start: datetime | None = None, end: datetime | None = None) -> Iterator[Plan]:
        """Yield what there is to do, each plan once the one before it is carried out: new windows, then young ones."""
        yield self.plan(now, start, end)
        refreshes = self._config.run.refresh_for and not self._exports.final
        if refreshes and start is None and (again := self.plan_refresh(now)).bundles:
            yield again

    def plan_reload(self, now: datetime, *stretches: Window) -> Plan:
        """Return what loads some stretches again; nothing is changed.

        They are widened to whole windows (of files: to whole loads), since those are what can be taken away.
        """
        with translated():
            self._look_at_rows(now)
            settled = self._exports.settled(now)
            with self.ledger.connected():
                whole = [
                    self.ledger.whole(Window(s.start, min(s.end, settled))) for s in stretches if s.start < settled
                ]
                findings = self.ledger.findings()
            again = [Window(s.start, min(s.end, settled)) for s in united(whole)]
            bundles = [bundle for stretch in again for bundle in self._exports.bundles(stretch, (), now)]
        span = Window(again[0].start, again[-1].end) if again else Window(settled, settled)
        asked = Window(min(s.start for s in stretches), max(s.end for s in stretches)) if stretches else span
        unready = self._unready(asked, settled, self._config.source.export_duration, goes_on=True)
        plan = Plan(span, bundles, settled, moves_cursor=False, again=True, unready=unready)
        return self._with_findings(plan, findings)

    def plan_refresh(self, now: datetime) -> Plan:
        """Return what loads windows again whose events were young when they were loaded, and are not any more."""
        age = self._config.run.refresh_for
        with translated():
            self._look_at_rows(now)
            reach = Window(now - age - _REFRESH_REACHES_BACK, now)
            with self.ledger.connected():
                rows = [row for row in self.ledger.rows(reach) if row.owns and row.load_id]
        due = [row for row in rows if _is_due(row, age, now)]
        if self.target.into_files:  # which go with all of their load
            waiting = {row.load_id for row in rows if row not in due}
            due = [row for row in due if row.load_id not in waiting]
        return self.plan_reload(now, *united(row.window for row in due))

    def newest_load(self, plan: Plan) -> float:
        """Return what the ids of a plan's loads must exceed.

        Raises:
            LoadError: no id can.
        """
        return load_ids.refuse_last(self.ledger.newest_load(plan.stretch))

    def next_ready(self, now: datetime) -> datetime:
        """Return the moment at which one more window may be ready."""
        return self._exports.next_ready(now)

    @property
    def waits_for_list(self) -> bool:
        """Whether new windows are there when FullStory lists them, which no clock tells."""
        return self._exports.final

    def run(self, plan: Plan, report: Report) -> None:
        """Remove what dead loads left, then load the plan's windows, a package a day.

        Raises:
            ClockError: this machine's clock is wrong; nothing has been done.
            LoadError: events are gone that the sync table tells of; nothing has been done.
            HauserError: what was loaded before it stays, and is known to be loaded.
        """
        if plan.bundles:  # before FullStory is asked for any; `check` judges in the same order
            with translated():
                self.fitness().refuse()
        if plan.hangs_on_clock:
            self._exports.compare_clocks()
        if plan.lost:
            raise LoadError(plan.lost)
        report.planned(plan)
        try:
            with translated():
                with self.ledger.connected():
                    self._reconcile(plan)
                    if plan.bundles:
                        self._newest_load = self.newest_load(plan)
                self.target.keep_days(self.pipeline, self._config)
            windows = (bundle.window for bundle in plan.bundles)
            read = self._config.source
            self._replays = replays_begin(read, self._exports.account) if plan.bundles else ""
            fetching = deliver(self._exports, plan.bundles, self._folder, ahead(read), ready(read))
            with closing(fetching) as deliveries, self._at_hand:
                bad: list[HauserError] = []
                for group in groups(windows, plan.settled, self._config.run.group_by_day):
                    rest = group
                    while rest.windows:
                        rest = self._load_group(rest, deliveries, plan, report, bad)
            if bad:
                raise _told_together(bad)
        finally:
            report.done()

    def look(self, now: datetime | None = None) -> None:
        """See what the destination has at this moment."""
        self.tables = self.target.tables(self.pipeline, self._config.source)
        read = as_table_has(self._given, self.tables.export)
        if read != self._config.source:
            self._config = replace(self._config, source=read)
            self._exports = connect(read, self._pause, self._operations)
        self.ledger = self.target.ledger(self.pipeline, self._config.source, self.tables, now or datetime.now(UTC))

    def _look_at_rows(self, now: datetime) -> None:
        """See what the destination has, and that the sync table's times are times, since they are compared."""
        self.look(now)
        refuse_conflicts(self._config.source.sync_table, SYNC_KINDS, self.tables.sync)

    def fitness(self) -> Fitness:
        """Return whether the destination, as it was when last looked at, can take what a run loads."""
        return Fitness.found(self.target, self.pipeline, self._config.source, self.tables)

    def _sync_point(self, now: datetime) -> tuple[datetime, bool, bool, bool]:
        """Return where to go on, and whether runs came there, dlt's cursor lies beyond it, a Go hauser came there.

        The sync table is the truth, since users edit it; the cursor tells which of its rows were loaded by going
        on (back-fills add rows of later stretches, too).
        """
        cursor = self._cursor()
        if cursor is None:
            inherited = self.ledger.inherited()
            came = inherited is not None
            return inherited or self._first_start_or_before(now), came, False, came
        last = self.ledger.last(cursor)
        return (last, True, last < cursor, False) if last else (self._first_start(now), False, True, False)

    def _first_start_or_before(self, now: datetime) -> datetime:
        """Return where to start without a cursor. It may be lost, with windows loaded long before a usual start."""
        start = self._first_start(now)
        loaded = self.ledger.first() if self.pipeline.first_run and not self._config.source.start_time else None
        return min(start, loaded or start)

    def _first_start(self, now: datetime) -> datetime:
        found = [time for place in self._config.run.hauser_sync_file if (time := read_checkpoint(place))]
        return max(found, default=None) or first_start(self._config.source, now)

    def _cursor(self) -> datetime | None:
        return cursor_in(self._states().get("fs_sync", {}))

    def _states(self) -> Mapping[str, Any]:
        """Return the states of dlt's resources, as the destination has them."""
        found: Mapping[str, Any] = self.pipeline.state.get("sources", {}).get(SCHEMA.name, {}).get("resources", {})
        return found

    def _reconcile(self, plan: Plan) -> None:
        now = datetime.now(UTC)
        reach = Window(plan.stretch.start, max(plan.stretch.end, now))
        new_day = any(begins_day(bundle.window) for bundle in plan.bundles)
        dead, alive = self._judged(reach if plan.moves_cursor else plan.stretch, now, thorough=new_day)
        if dead:
            logger.info("removing what dead loads left: %s", ", ".join(dead))
            self.ledger.remove(dead)
        self.ledger.forget_future()
        self.ledger.settle()
        if self.target.staging:
            self.target.staging.remove_all_but(alive)
        if plan.inherits:
            self.ledger.disinherit(plan.stretch.start)
        if plan.rewound:
            beyond = Window(plan.stretch.start, reach.end)
            self.ledger.clear(uncovered(beyond, self.ledger.owned(beyond)))
        elif not plan.again:  # a sync row may have been deleted, and the events are still there
            self.ledger.clear(united(bundle.window for bundle in plan.bundles))
        if plan.rewound:
            self._rewind(plan.stretch.start)

    def _judged(self, scope: Window, now: datetime, *, thorough: bool) -> tuple[set[str], set[str]]:
        """Return which of the loads that are not complete are dead, and which are alive.

        Args:
            thorough: dead ones are looked for everywhere, also where no note leads; that takes longer with the years.

        Raises:
            TransientError: one that is alive loads into `scope`.
        """
        begun = {load.load_id: load for load in self.ledger.announced()}
        here = {load_id: runners.is_at_work(load.runner, load_id) for load_id, load in begun.items()}
        dead = {load_id for load_id, works in here.items() if works is False}
        alive = {load_id for load_id, works in here.items() if works and abs(now - begun[load_id].seen) < _PATIENCE}
        if begun.keys() - dead - alive:
            self._pause(_PATIENCE.total_seconds())
            later = {load.load_id: load for load in self.ledger.announced()}
            silent = {load_id for load_id, load in begun.items() if later.get(load_id) == load}
            dead |= silent - alive
            begun, alive = later, later.keys() - dead
        if under_way := [begun[load_id].span for load_id in alive if begun[load_id].span.overlaps(scope)]:
            raise TransientError(f"another run is loading {under_way[0]}; run again when it has ended")
        return dead | set(self.ledger.orphans(scope, now - DAY if thorough else None)), set(alive)

    def _rewind(self, to: datetime) -> None:
        with self.pipeline.managed_state() as state:
            incremental = state["sources"][SCHEMA.name]["resources"]["fs_sync"]["incremental"]
            incremental[self.tables.sync.spelled(CURSOR)].update(last_value=to, unique_hashes=[])

    def _load_group(
        self, group: Group, deliveries: Deliveries, plan: Plan, report: Report, bad: list[HauserError]
    ) -> Group:
        """Load one package; if a window cannot be had, only those before it. Return what is left to load of the group.

        Args:
            bad: takes the error of that window, where it says nothing of other windows; all others are raised.
        """
        # as back-fills after a bad window: the sync point stays before it, and the next run tries again
        moves_cursor = plan.moves_cursor and not bad
        taken: list[Delivery] = []
        read: list[Window] = []

        def noting(window: Window, tally: Tally) -> None:
            read.append(window)
            report.read(window, tally)

        failure: HauserError | None = None
        try:
            package = self._load(group, self._kept(deliveries, taken), moves_cursor, noting)
        except (ExportError, TransientError) as exc:
            if len(read) == len(group.windows):
                raise  # the destination's error, and no window's
            exc.args = (f"{group.windows[len(read)]}: {exc}", *exc.args[1:])
            if isinstance(exc, CorruptBundleError):
                self._forget(taken[len(read) :])  # as it is, this export is of no use to the next run
            if plan.again and self.target.into_files:  # files of a load go all together or not at all
                raise
            failure = exc
            if read:
                good = replace(group, windows=tuple(read))
                package = self._load(good, iter(taken), moves_cursor, lambda window, tally: None)
        if read:
            report.loaded(package)
        self._forget(taken[: len(read)])
        if failure:
            _note(failure, bad)
        return replace(group, windows=group.windows[len(read) + bool(failure) :])

    def _kept(self, deliveries: Deliveries, taken: list[Delivery]) -> Iterator[Delivery]:
        """Pass deliveries on, and remember them: their files may be read once more."""
        while True:
            if not deliveries.is_next_ready():
                self._at_hand.close()  # others may look into DuckDB's file while FullStory prepares an export
            try:
                delivery = next(deliveries)
            except StopIteration:
                return
            taken.append(delivery)
            yield delivery

    def _forget(self, loaded: list[Delivery]) -> None:
        for delivery in loaded:
            delivery.path.unlink(missing_ok=True)
            self._exports.forget(delivery.bundle)

    def _load(
        self,
        group: Group,
        deliveries: Iterator[Delivery],
        moves_cursor: bool,
        noting: Callable[[Window, Tally], None],
    ) -> Package:
        files = self._files(group)
        total, sent, began = Tally(), Sent(group.span), time.monotonic()
        event_start = self.tables.export.spelled(EVENT_START)

        def note_reach(batch: Any) -> None:
            sent.note(*pc.min_max(batch.column(event_start)).as_py().values())

        def note_window(reader: Reader) -> None:
            window, reader.tally.bytes = reader.delivery.bundle.window, reader.delivery.path.stat().st_size
            total.add(reader.tally)
            sent.windows[window] = reader.tally.rows
            noting(window, reader.tally)

        fit = self._fitting(self.tables.export)
        open_batches = partial(EventReader, self._config.source, fit, replays=self._replays)
        open_items, note_item = (
            (files.opening(open_batches), _nothing) if self.target.into_files else (open_batches, note_reach)
        )

        def open_reader(delivery: Delivery, columns: Columns, load_id: str | None) -> Reader:
            return _Watched(open_items(delivery, columns, load_id), self._pause, note_item, note_window)

        source = self._source(islice(deliveries, len(group.windows)), open_reader, moves_cursor)
        load_id = self._ship(source, group.span, files, self._config.source.sync_table, sent)
        return Package(load_id, group.span, len(group.windows), total.rows, total, time.monotonic() - began)

    def _files(self, group: Group) -> WindowFiles:
        to = self._config.run
        in_array = comes_in_array(self._config.source)
        return WindowFiles(self._folder, to.file_format, to.compress, group, to.csv_escape_formulas, in_array=in_array)

    def _fitting(self, table: Table) -> Fitting:
        limit = text_limit()
        if isinstance(self.target.destination, dlt.destinations.redshift):
            limit = min(limit or self._config.run.varchar_max, self._config.run.varchar_max)
        return Fitting(table, limit)

    def _ship(self, source: Any, span: Window, files: WindowFiles, spanning: str, sent: Sent | None = None) -> str:
        """Make a load package of a source and load it; return its id.

        Args:
            span: the stretch that the load is to fill.
            files: what the source has written, where the destination holds files.
            spanning: the table whose own file is named after the whole stretch.
            sent: what must have arrived before the load is complete.
        """
        try:
            with translated():
                with load_ids.above(self._newest_load):
                    self.pipeline.extract(source)
                self.pipeline.normalize()
                (load_id,) = self.pipeline.list_normalized_load_packages()
                self._newest_load = max(self._newest_load, load_ids.number(load_id))
                if self.target.into_files:
                    files.name_jobs(self.pipeline, load_id, spanning)
                if self.target.staging:
                    self.pipeline.staging = self.target.staging.destination(load_id)
                self.target.make_sure(self.ledger, load_id, sent)
                self._at_hand.enter_context(self.target.at_hand(self.ledger))
                with runners.at_work(load_id):
                    self.ledger.announce(load_id, span)
                    with self._signs_of_life(load_id, span):
                        self.pipeline.load().raise_on_failed_jobs()
                    with self.ledger.connected():
                        self.ledger.settle(load_id)
                if self.target.staging:
                    self.target.staging.remove(load_id)
        finally:
            self.pipeline.abort_packages()
            for path in files.made:
                path.unlink(missing_ok=True)
        return load_id

    def load_snapshots(self, now: datetime, report: Report) -> None:
        """Load anew what is fetched whole, individuals and segments, if it is time to; each as a package of its own.

        Raises:
            HauserError: of the first that could not be loaded; its rows stay as they were.
        """
        failures: list[HauserError] = []
        resources = self._states()
        for snapshot in snapshots(self._config.source, self._pause, self._operations, now):
            with translated():
                last = until(resources, snapshot, self.ledger.is_complete)
            is_there = snapshot.table not in self.tables.missing
            if is_there and last and timedelta(0) <= snapshot.stretch.end - last < self._config.run.snapshots_every:
                continue
            try:
                with translated():
                    self.look()
                    self.fitness().refuse()
                    self._newest_load = load_ids.refuse_last(self.ledger.newest_load(snapshot.stretch))
                with self._at_hand:
                    loaded = self._load_snapshot(snapshot)
                report.loaded_snapshot(loaded)
            except StoppedError:
                raise
            except HauserError as exc:
                exc.args = (f"{snapshot.table}: {exc}", *exc.args[1:])
                failures.append(exc)
        if failures:
            raise _told_together(failures)

    def _load_snapshot(self, snapshot: Snapshot) -> LoadedSnapshot:
        files = self._files(Group((snapshot.stretch,), whole=False))
        files.needed = snapshot.key or next(iter(snapshot.kinds))
        files.in_array = False
        open_rows = partial(SnapshotReader, snapshot, self._fitting(Table()))
        open_items = files.opening(open_rows) if self.target.into_files else open_rows
        total = Tally()

        def open_reader(delivery: Delivery, columns: Columns, load_id: str | None) -> Reader:
            reader = open_items(delivery, columns, load_id)
            return _Watched(reader, self._pause, _nothing, lambda read: total.add(read.tally))

        @dlt.source(schema=SCHEMA, section="fullstory")
        def fullstory() -> Any:
            return snapshot_resource(snapshot, lambda: fetched(snapshot, self._folder), open_reader)

        source = fullstory()
        self.target.adapt(source, self._config, self.tables)
        # of no length, so that it stands in no other run's way
        moment = Window(snapshot.stretch.end, snapshot.stretch.end)
        try:
            load_id = self._ship(source, moment, files, "")
        except CorruptBundleError:
            snapshot.forget()
            raise
        snapshot.forget()
        return LoadedSnapshot(load_id, snapshot.table, total)

    @contextmanager
    def _signs_of_life(self, load_id: str, span: Window) -> Iterator[None]:
        """While inside, tell other runs from time to time that the load is under way."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(_HEARTBEAT):
                try:
                    self.ledger.announce(load_id, span)
                except Exception as exc:  # noqa: BLE001 - of whatever kind; the load itself will tell
                    logger.info("load %s: no sign of life could be given (%s)", load_id, type(exc).__name__)

        thread = threading.Thread(target=beat, name=f"load {load_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _source(self, deliveries: Iterator[Delivery], open_reader: OpenReader, moves_cursor: bool) -> Any:
        @dlt.source(schema=SCHEMA, section="fullstory")
        def fullstory() -> Any:
            return export_resources(
                lambda cursor: deliveries,
                open_reader,
                self._config.source,
                moves_cursor=moves_cursor,
                tables=self.tables,
            )

        source = fullstory()
        self.target.adapt(source, self._config, self.tables)
        return source


class _Watched(Reader):
    """A reader that notes what it reads, and between items looks whether the run was asked to stop."""

    def __init__(
        self,
        reader: Reader,
        pause: Callable[[float], None],
        note_item: Callable[[Any], None],
        note_end: Callable[[Reader], None],
    ) -> None:
        super().__init__(reader.delivery, reader.tally)
        self._reader = reader
        self._pause = pause
        self._note_item = note_item
        self._note_end = note_end

    def __iter__(self) -> Iterator[Any]:
        """Yield the items; see `Reader`."""
        self._pause(0)
        for item in self._reader:
            self._note_item(item)
            yield item
            self._pause(0)
        self._note_end(self)


def _nothing(_item: Any) -> None:
    """Note nothing of an item."""


def _note(failure: HauserError, bad: list[HauserError]) -> None:
    """Add the error of a window to others; raise them all where it does not look as if other windows could be had."""
    bad.append(failure)
    if not isinstance(failure, _OF_ONE_WINDOW) or len(bad) == _MOST_BAD:
        raise _told_together(bad)


def _told_together(bad: list[HauserError]) -> HauserError:
    """Return the first error, with the others in its one line."""
    first = bad[0]
    first.args = ("; ".join(map(str, bad)), *first.args[1:])
    return first


_HEARTBEAT = 10.0  # seconds between two signs of life of a load
_PATIENCE = timedelta(seconds=35)  # without any, and a load is taken for dead
_REFRESH_REACHES_BACK = 30 * DAY  # runs may have paused for a while


def _is_due(row: SyncRow, age: timedelta, now: datetime) -> bool:
    """Tell whether a window's events were younger than `age` when they were loaded, and have come of age."""
    ripe = row.end + age
    return row.processed is not None and row.processed < ripe <= now


def read_checkpoint(place: str) -> datetime | None:
    """Return the time in a Go hauser's checkpoint file, a path or URL; None if there is no such file.

    Raises:
        ConfigError: the file does not hold one RFC 3339 time.
    """
    text = read_text(place)
    if text is None:
        return None
    with suppress(ValueError):
        if time := moment(text):
            return time.replace(microsecond=0)  # bundles end on whole seconds
    raise ConfigError(f"{place} holds no time; put hauser's last sync point there, such as 2024-05-01T00:00:00Z")
