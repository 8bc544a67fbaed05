"""A run from end to end: one destination is brought up to date with one FullStory account."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dlt

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.destinations import DestinationAdapter, adapter_for
from hauser_dlt.destinations.resolving import resolved_once
from hauser_dlt.dlt_internals import global_folder
from hauser_dlt.error_mapping import translated
from hauser_dlt.errors import (
    CorruptBundleError,
    ExportFailedError,
    HauserError,
    LinkError,
    LoadError,
    StoppedError,
    UnfinishedError,
    together,
)
from hauser_dlt.exports import Exports
from hauser_dlt.exports.disk import Disk
from hauser_dlt.fields import SYNC_KINDS
from hauser_dlt.ledger import Ledger, load_ids
from hauser_dlt.machine import root_folder
from hauser_dlt.records.tables import Tables
from hauser_dlt.source.connections import connect, fetched_ahead, replays_begin, snapshots
from hauser_dlt.source.events import CURSOR
from hauser_dlt.source.schema import as_table_has
from hauser_dlt.source.snapshots import Snapshot, until
from hauser_dlt.sync.cursor import rewind, states
from hauser_dlt.sync.fitness import Fitness, refuse_conflicts
from hauser_dlt.sync.loader import Loader
from hauser_dlt.sync.model import Failed, LoadedSnapshot, Outcome, Plan, Report, Seen, groups
from hauser_dlt.sync.planner import Planner
from hauser_dlt.sync.recovery import Recovery
from hauser_dlt.sync.workdir import Operations, private_folder
from hauser_dlt.windows import Bound, Shard, Window

_OF_ONE_WINDOW = (CorruptBundleError, ExportFailedError, LinkError, UnfinishedError)
_MOST_BAD = 5  # windows that cannot be had, until it seems that none can: each costs an export


class Sync:
    """Brings one destination up to date with one FullStory account.

    Use `Sync.open`, which sees to the working folder.

    Attributes:
        pipeline: dlt's, to the destination.
        target: the destination.
        disk: what lies in the working folder.
    """

    def __init__(
        self,
        config: Configuration,
        pipeline: dlt.Pipeline,
        to: DestinationAdapter,
        operations: Operations,
        folder: Path,
        pause: Callable[[float], None],
    ) -> None:
        self._config = config
        self.pipeline = pipeline
        self.target = to
        self._operations = operations
        self._folder = folder
        self._pause = pause
        self._read = config.source  # the settings by which FullStory is asked
        self.disk = Disk(folder.parent, config.run.max_disk)
        self._exports: Exports = connect(config.source, pause, operations)
        self._seen: Seen
        with translated(), to.kept_open(pipeline):
            pipeline.sync_destination()

    @classmethod
    @contextmanager
    def open(
        cls, config: Configuration, pause: Callable[[float], None], *, reading: bool = False, shared: bool = False
    ) -> Iterator["Sync"]:
        """Provide a Sync whose state is the destination's: nothing that lies on this machine is relied on.

        Args:
            pause: waits so many seconds, or raises if the run was asked to stop.
            reading: nothing is changed, neither there nor here.
            shared: others may use dlt in this process, so its own folder stays where it is.
        """
        with translated():
            to = adapter_for(config.run, config.source, reading=reading)
        staging = to.staging.destination() if to.staging else None
        with (
            root_folder(config.run.working_dir, config.run.pipeline_name, reading=reading) as root,
            private_folder(root) as folder,
            nullcontext() if shared else global_folder(folder),
            resolved_once(to.destination, staging),
        ):
            pipeline = dlt.pipeline(
                config.run.pipeline_name,
                pipelines_dir=str(folder / "dlt"),
                destination=to.destination,
                staging=staging,
                dataset_name=to.dataset_name,
            )
            downloads = folder / "downloads"
            downloads.mkdir()
            yield cls(config, pipeline, to, Operations(root / "operations"), downloads, pause)

    @property
    def tables(self) -> Tables:
        """The tables as they were when last inspected, by `inspect` or a plan."""
        return self._seen.tables

    @property
    def ledger(self) -> Ledger:
        """The ledger as of then."""
        return self._seen.ledger

    def inspect(self, now: datetime | None = None) -> None:
        """Inspect what the destination has at this moment."""
        tables = self.target.inspect(self.pipeline, self._config.source)
        read = as_table_has(self._config.source, tables.export)
        ledger = self.target.ledger(self.pipeline, read, tables, now or datetime.now(UTC))
        if read != self._read:
            self._read, self._exports = read, connect(read, self._pause, self._operations)
        self._seen = Seen(tables, ledger, read)

    def fitness(self) -> Fitness:
        """Return whether the destination, as it was last inspected, can take what a run loads."""
        return Fitness.found(self.target, self.pipeline, self._seen.source, self.tables)

    def warnings(self) -> tuple[str, ...]:
        """Return what has been found wrong with the sync table."""
        return tuple(self.ledger.findings().warnings(self._config.source.sync_table))

    def newest_load(self, interval: Window) -> float:
        """Return what the ids of loads into an interval must exceed.

        Raises:
            LoadError: no id can.
        """
        return load_ids.refuse_last(self.ledger.newest_load(interval))

    def next_ready(self, now: datetime) -> datetime:
        """Return the moment at which one more window may be ready."""
        return self._exports.next_ready(now)

    @property
    def waits_for_list(self) -> bool:
        """Whether new windows are there when FullStory lists them, which no clock tells."""
        return self._exports.final

    def plan(self, now: datetime, start: Bound = None, end: Bound = None, shard: Shard | None = None) -> Plan:
        """Return what there is to do at a moment, see `Planner.go_on`; nothing is changed."""
        with translated():
            return self._planner(now).go_on(start, end, shard)

    def plans(
        self, now: datetime, start: Bound = None, end: Bound = None, shard: Shard | None = None
    ) -> Iterator[Plan]:
        """Yield what there is to do, each plan once the one before it is carried out: new windows, then young ones."""
        yield self.plan(now, start, end, shard)
        refreshes = self._config.run.refresh_for and not self._exports.final
        if refreshes and start is None and (again := self.plan_refresh(now)).bundles:
            yield again

    def plan_reload(self, now: datetime, *intervals: Window) -> Plan:
        """Return what loads some intervals again; nothing is changed."""
        with translated():
            return self._planner(now).load_again(intervals)

    def plan_refresh(self, now: datetime) -> Plan:
        """Return what loads windows again whose events were young when they were loaded, and are not any more."""
        with translated():
            return self._planner(now).refresh()

    def _planner(self, now: datetime) -> Planner:
        """Inspect the destination, and see that the sync table's times are times, since they are compared."""
        self.inspect(now)
        refuse_conflicts(self._config.source.sync_table, SYNC_KINDS, self.tables.sync)
        return Planner(self._config, self._exports, self.pipeline, self.target, self._seen, now)

    def run(self, plan: Plan, report: Report) -> None:
        """Remove what interrupted loads left, then load the plan's windows, a package a day.

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
            with translated(), self.target.kept_open(self.pipeline):
                self._recover(plan)
                newest = self.newest_load(plan.interval) if plan.bundles else 0.0
            if plan.bundles:
                self._load(plan, report, newest)
        finally:
            report.done()

    def _recover(self, plan: Plan) -> None:
        with self.ledger.connected():
            Recovery(self.ledger, self.target.staging, self._pause).reconcile(plan)
            if plan.rewound:
                rewind(self.pipeline, plan.interval.start, self.tables.sync.spelled(CURSOR))
        self.target.keep_days(self.pipeline, self._config)

    def _load(self, plan: Plan, report: Report, newest_load: float) -> None:
        read = self._seen.source
        loader = Loader(
            self._config,
            self.pipeline,
            self.target,
            self._seen,
            self._folder,
            self._pause,
            newest_load=newest_load,
            replays=replays_begin(read, self._exports.account),
            note=report.read,
            disk=self.disk,
        )
        bad: list[HauserError] = []
        planned = list(groups(plan.bundles, plan.ready_until, self._config.run.group_by_day))
        fetching = fetched_ahead(self._exports, plan.bundles, self._folder, read, self.disk)
        with self.disk.measured(), closing(fetching), loader, closing(loader.ahead(fetching, planned)) as deliveries:
            for group in planned:
                goes_on = plan.moves_cursor and not bad  # a bad window keeps the sync point before it
                for outcome in loader.load(group, deliveries, self._exports, moves_cursor=goes_on, again=plan.again):
                    _tell(outcome, report, bad)
        if bad:
            raise together(bad)

    def load_snapshots(self, now: datetime, report: Report) -> None:
        """Load anew what is fetched whole, individuals and segments, if it is time to; each as a package of its own.

        Raises:
            HauserError: of the first that could not be loaded; its rows stay as they were.
        """
        failures: list[HauserError] = []
        for snapshot in snapshots(self._config.source, self._pause, self._operations, now):
            if not self._is_time_for(snapshot):
                continue
            try:
                report.loaded_snapshot(self._load_snapshot(snapshot))
            except StoppedError:
                raise
            except HauserError as exc:
                failures.append(exc.about(snapshot.table))
        if failures:
            raise together(failures)

    def _is_time_for(self, snapshot: Snapshot) -> bool:
        with translated():
            last = until(states(self.pipeline), snapshot, self.ledger.is_complete)
        if snapshot.table in self.tables.missing or not last:
            return True
        return not timedelta(0) <= snapshot.interval.end - last < self._config.run.snapshots_every

    def _load_snapshot(self, snapshot: Snapshot) -> LoadedSnapshot:
        with translated():
            self.inspect()
            self.fitness().refuse()
            newest = self.newest_load(snapshot.interval)
        loader = Loader(
            self._config, self.pipeline, self.target, self._seen, self._folder, self._pause, newest_load=newest
        )
        with loader:
            return loader.load_snapshot(snapshot)


def _tell(outcome: Outcome, report: Report, bad: list[HauserError]) -> None:
    """Report a package, or note a bundle that failed.

    Raises:
        HauserError: all that have failed, where it does not look as if other windows could be had.
    """
    if not isinstance(outcome, Failed):
        report.loaded(outcome)
        return
    bad.append(outcome.error.about(outcome.bundle.window))
    report.failed(outcome.bundle.window, outcome.error)
    if not isinstance(outcome.error, _OF_ONE_WINDOW) or len(bad) == _MOST_BAD:
        raise together(bad)
