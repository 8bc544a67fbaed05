"""The loop: what the destination lacks -> bundles -> load packages, one a day; recovery comes first."""

import logging
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import dlt
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.exceptions import MissingDependencyException
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.destinations.exceptions import DestinationConnectionError

from hauser_dlt.batches import Columns, Tally
from hauser_dlt.configuration import Configuration
from hauser_dlt.destinations import Target, target
from hauser_dlt.destinations.files import WindowFiles
from hauser_dlt.destinations.sql import pending_table
from hauser_dlt.downloads import Delivery, deliver
from hauser_dlt.errors import ConfigError, CorruptBundleError, ExportError, HauserError, LoadError, TransientError
from hauser_dlt.exports import Bundle, Exports
from hauser_dlt.ledger import Ledger
from hauser_dlt.source import (
    CURSOR,
    SCHEMA,
    ahead,
    connect,
    cursor_in,
    export_resources,
    first_start,
    read_batches,
    ready,
)
from hauser_dlt.windows import DAY, Group, Window, floor, groups, uncovered
from hauser_dlt.workdir import Operations, private_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Package:
    """A load package that has arrived at the destination."""

    load_id: str
    span: Window
    windows: int
    events: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Attributes:
        stretch: what it is responsible for: from the sync point, or the back-fill asked for.
        bundles: what is ready and not loaded, oldest first.
        settled: the moment up to which events have settled.
        rewound: the sync table ends before dlt's cursor, because users took rows away.
    """

    stretch: Window
    bundles: list[Bundle]
    settled: datetime
    moves_cursor: bool
    rewound: bool


class Report(Protocol):
    """Told how a run goes."""

    def planned(self, plan: Plan) -> None:
        """The windows to load are known."""

    def read(self, window: Window, tally: Tally) -> None:
        """All events of a window have been read."""

    def loaded(self, package: Package) -> None:
        """A package has arrived."""

    def done(self) -> None:
        """The run has ended, well or not."""


class Sync:
    """Brings one destination up to date with one FullStory account.

    Use `Sync.open`, which sees to the working folder.
    """

    def __init__(
        self,
        config: Configuration,
        pipeline: dlt.Pipeline,
        to: Target,
        exports: Exports,
        folder: Path,
        pause: Callable[[float], None],
    ) -> None:
        self._config = config
        self.pipeline = pipeline
        self.target = to
        self._exports = exports
        self._folder = folder
        self._pause = pause
        with translated():
            pipeline.sync_destination()
            self.ledger: Ledger = to.ledger(pipeline, config.source)

    @classmethod
    @contextmanager
    def open(cls, config: Configuration, pause: Callable[[float], None]) -> Iterator["Sync"]:
        """Provide a Sync whose state is the destination's: nothing that lies on this machine is relied on."""
        with translated():
            to = target(config.run)
        root = Path(config.run.working_dir or Path(get_dlt_pipelines_dir()) / "hauser-dlt") / config.run.pipeline_name
        exports = connect(config.source, pause, Operations(root / "operations"))
        with private_folder(root) as folder:
            pipeline = dlt.pipeline(
                config.run.pipeline_name,
                pipelines_dir=str(folder / "dlt"),
                destination=to.destination,
                dataset_name=to.dataset_name,
            )
            downloads = folder / "downloads"
            downloads.mkdir()
            yield cls(config, pipeline, to, exports, downloads, pause)

    def plan(self, now: datetime, start: datetime | None = None, end: datetime | None = None) -> Plan:
        """Return what there is to do; nothing is changed.

        Args:
            start: begin of a back-fill; None goes on from the sync point.
            end: where to stop at the latest.
        """
        with translated():
            self.ledger = self.target.ledger(self.pipeline, self._config.source)  # as things are now
            rewound = False
            settled = self._exports.settled(now)
            if self._config.run.group_by_day and start is None:
                settled = floor(settled, DAY)  # whole days only
            if start is None:
                begin, rewound = self._sync_point(now)
            else:
                begin = start
            stretch = self.ledger.widened(Window(begin, max(begin, min(end or settled, settled))))
            bundles = list(self._exports.bundles(stretch, self.ledger.owned(stretch.start), now))
        return Plan(stretch, bundles, settled, start is None, rewound)

    def next_ready(self, now: datetime) -> datetime:
        """Return the moment at which one more window may be ready."""
        return self._exports.next_ready(now)

    def run(self, plan: Plan, report: Report) -> None:
        """Remove what dead loads left, then load the plan's windows, a package a day.

        Raises:
            HauserError: what was loaded before it stays, and is known to be loaded.
        """
        report.planned(plan)
        try:
            with translated():
                self._reconcile(plan)
            windows = (bundle.window for bundle in plan.bundles)
            read = self._config.source
            fetching = deliver(self._exports, plan.bundles, self._folder, ahead(read), ready(read))
            with closing(fetching) as deliveries:
                for group in groups(windows, plan.settled, self._config.run.group_by_day):
                    self._load_group(group, deliveries, plan.moves_cursor, report)
        finally:
            report.done()

    def _sync_point(self, now: datetime) -> tuple[datetime, bool]:
        """Return where to go on, and whether that is before dlt's cursor.

        The sync table is the truth, since users edit it; the cursor tells which of its rows were loaded by going
        on (back-fills add rows of later stretches, too).
        """
        cursor = self._cursor()
        if cursor is None:
            return self.ledger.inherited() or self._first_start(now), False
        last = self.ledger.last(cursor)
        return (last, last < cursor) if last else (self._first_start(now), True)

    def _first_start(self, now: datetime) -> datetime:
        checkpoint = self._config.run.hauser_sync_file
        if checkpoint and Path(checkpoint).is_file():
            return read_checkpoint(Path(checkpoint))
        return first_start(self._config.source, now)

    def _cursor(self) -> datetime | None:
        resources = self.pipeline.state.get("sources", {}).get(SCHEMA.name, {}).get("resources", {})
        return cursor_in(resources.get("fs_sync", {}))

    def _reconcile(self, plan: Plan) -> None:
        now = datetime.now(UTC)
        reach = Window(plan.stretch.start, max(plan.stretch.end, now))
        if dead := self.ledger.dead(reach if plan.moves_cursor else plan.stretch, now):
            logger.info("removing what dead loads left: %s", ", ".join(dead))
            self.ledger.remove(dead)
        self.ledger.settle()
        if plan.rewound or not plan.moves_cursor:
            whole = Window(plan.stretch.start, reach.end) if plan.rewound else plan.stretch
            self.ledger.clear(uncovered(whole, self.ledger.owned(whole.start)))
        if plan.rewound:
            self._rewind(plan.stretch.start)

    def _rewind(self, to: datetime) -> None:
        with self.pipeline.managed_state() as state:
            incremental = state["sources"][SCHEMA.name]["resources"]["fs_sync"]["incremental"][CURSOR]
            incremental.update(last_value=to, unique_hashes=[])

    def _load_group(self, group: Group, deliveries: Iterator[Delivery], moves_cursor: bool, report: Report) -> None:
        """Load one package. If a window cannot be had, those before it are loaded, and then its error is raised."""
        taken: list[Delivery] = []
        read: list[Window] = []

        def noting(window: Window, tally: Tally) -> None:
            read.append(window)
            report.read(window, tally)

        failure: HauserError | None = None
        try:
            package = self._load(group, _kept(deliveries, taken), moves_cursor, noting)
        except (ExportError, TransientError) as exc:
            if len(read) == len(group.windows):
                raise  # the destination's error, and no window's
            exc.args = (f"{group.windows[len(read)]}: {exc}", *exc.args[1:])
            if isinstance(exc, CorruptBundleError):
                self._exports.forget(taken[-1].bundle)  # as it is, this export is of no use to the next run
            if not read:
                raise
            failure = exc
            good = replace(group, windows=tuple(read))
            package = self._load(good, iter(taken), moves_cursor, lambda window, tally: None)
        report.loaded(package)
        for delivery in taken:
            delivery.path.unlink(missing_ok=True)
        for delivery in taken[: len(read)]:
            self._exports.forget(delivery.bundle)
        if failure:
            raise failure

    def _load(
        self,
        group: Group,
        deliveries: Iterator[Delivery],
        moves_cursor: bool,
        noting: Callable[[Window, Tally], None],
    ) -> Package:
        files = WindowFiles(self._folder, self._config.run.file_format, self._config.run.compress, group)
        read = partial(read_batches, self._config.source)
        total = Tally()

        def reader(delivery: Delivery, columns: Columns, load_id: str | None) -> Generator[Any, None, Tally]:
            inner = files.reader(read) if self.target.into_files else read
            tally = yield from self._checking(inner(delivery, columns, load_id))
            total.rows += tally.rows
            total.outside += tally.outside
            total.misfits += tally.misfits
            noting(delivery.bundle.window, tally)
            return tally

        source = self._source(islice(deliveries, len(group.windows)), reader, moves_cursor)
        try:
            with translated():
                self.pipeline.extract(source)
                self.pipeline.normalize()
                (load_id,) = self.pipeline.list_normalized_load_packages()
                if self.target.into_files:
                    files.name_jobs(self.pipeline, load_id, self._config.source.sync_table)
                self.ledger.announce(load_id, group.span)
                self.pipeline.load().raise_on_failed_jobs()
                self.ledger.settle()
        finally:
            self.pipeline.abort_packages()
            for path in files.made:
                path.unlink(missing_ok=True)
        return Package(load_id, group.span, len(group.windows), total.rows, total)

    def _checking(self, items: Generator[Any, None, Tally]) -> Generator[Any, None, Tally]:
        """Pass items on, and look between them whether the run was asked to stop."""
        while True:
            self._pause(0)
            try:
                item = next(items)
            except StopIteration as stop:
                tally: Tally = stop.value
                return tally
            yield item

    def _source(self, deliveries: Iterator[Delivery], reader: Any, moves_cursor: bool) -> Any:
        @dlt.source(schema=SCHEMA, section="fullstory")
        def fullstory() -> Any:
            return export_resources(lambda cursor: deliveries, reader, self._config.source, moves_cursor=moves_cursor)

        source = fullstory()
        if self.target.into_files:
            source.resources["fs_sync"].apply_hints(file_format="jsonl")
        else:
            source.schema.update_table(pending_table(self._config.source.sync_table))
        return source


def _kept(deliveries: Iterator[Delivery], taken: list[Delivery]) -> Iterator[Delivery]:
    """Pass deliveries on, and remember them: their files may be read once more."""
    for delivery in deliveries:
        taken.append(delivery)
        yield delivery


def read_checkpoint(path: Path) -> datetime:
    """Return the time in a Go hauser's checkpoint file.

    Raises:
        ConfigError: the file does not hold one RFC 3339 time.
    """
    text = path.read_text(errors="replace").strip()
    try:
        time = datetime.fromisoformat(text).replace(microsecond=0)  # bundles end on whole seconds
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(f"{path} holds {text[:40]!r}, not a time; put hauser's last sync point there") from None


@contextmanager
def translated() -> Iterator[None]:
    """Raise what dlt and the drivers raise as an error of ours, in one line and without their secrets."""
    try:
        yield
    except HauserError:
        raise
    except Exception as exc:
        raise _translate(exc) from exc


_PASSES = re.compile(r"\b(dead)?lock(ed)?\b|\bconnection\b|\bhost name\b|timed? ?out", re.IGNORECASE)
_LASTS = re.compile(r"authentication failed|does not exist|no such file|not a valid", re.IGNORECASE)


def _translate(exc: BaseException) -> HauserError:
    chain: list[BaseException] = [exc]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    for error in chain:
        if isinstance(error, HauserError):
            return error
        if isinstance(error, ConfigFieldMissingException):
            return ConfigError(_lacking(error))
        if isinstance(error, (ConfigurationException, MissingDependencyException)):
            return ConfigError(_line(error))
    text = _line(chain[-1])
    unreachable = any(isinstance(error, DestinationConnectionError) for error in chain) or _PASSES.search(text)
    if unreachable and _LASTS.search(text):
        return ConfigError(f"the destination cannot be used with these settings: {text}")
    if unreachable:
        return TransientError(f"the destination cannot be used at present: {text}")
    return LoadError(f"the destination refuses: {text}")


def _lacking(error: ConfigFieldMissingException) -> str:
    """Say what is missing. dlt's own message runs to a page, and fails on providers of settings without a file."""
    return f"the destination's {', '.join(error.fields)} must be set, under [destination.<name>] in .dlt/secrets.toml"


_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+@|(password\W{0,3}[=:]\s*)\S+", re.IGNORECASE)


def _line(exc: BaseException) -> str:
    hidden = _PASSWORD.sub(lambda match: f"{match[1]}***@" if match[1] else f"{match[2]}***", str(exc))
    return " ".join(hidden.split())[:400] or type(exc).__name__
