"""Runs from Python: exactly once, as the command `hauser-dlt` does them, with what was done as the value.

Several may run in one process, also in threads beside each other. They leave the process as it is: its signals, its
logging, its environment and dlt's configuration.
"""

import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from hauser_dlt.config import configuration, parsers
from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.hauser_toml import read_hauser_toml
from hauser_dlt.errors import ConfigError, HauserError, StoppedError
from hauser_dlt.records.batches import Tally
from hauser_dlt.reports import check as checks
from hauser_dlt.reports import status as statuses
from hauser_dlt.reports.progress import as_line, snapshot_as_line, window_warnings
from hauser_dlt.reports.status import Status
from hauser_dlt.sync import LoadedSnapshot, Package, Plan, Sync, load_again, load_ready
from hauser_dlt.windows import Shard, Window, whole

logger = logging.getLogger(__name__)

Settings = Mapping[str, Any]
"""Name or path of a setting -> its value: {"destination": "postgres", "destination.postgres.credentials": "..."}."""


@dataclass(slots=True)
class Summary:
    """What a run has done.

    Attributes:
        packages: the load packages that have arrived, in order.
        tables: the tables that were fetched whole and have arrived anew, individuals and segments.
        failed: windows that could not be had -> why. The next run tries them again.
        reached: up to where events are loaded without a gap, as far as the run knows; None if nothing is loaded.
        unready: what was asked for and is not ready yet, and when it will be; "" if all was.
        warnings: what is wrong with the sync table, and what to do about it.
        peak_disk: the most bytes that lay in the working folder at once, measured a few times a second.
    """

    packages: list[Package] = field(default_factory=list)
    tables: list[LoadedSnapshot] = field(default_factory=list)
    failed: dict[Window, HauserError] = field(default_factory=dict)
    reached: datetime | None = None
    unready: str = ""
    warnings: tuple[str, ...] = ()
    peak_disk: int = 0

    @property
    def events(self) -> int:
        """How many events were loaded."""
        return sum(package.events for package in self.packages)

    @property
    def windows(self) -> int:
        """How many windows were loaded, empty ones included."""
        return sum(package.windows for package in self.packages)

    @property
    def mismatches(self) -> Counter[str]:
        """Field -> number of values that did not fit their column, and stand in `CustomVars` instead."""
        return sum((package.tally.mismatches for package in self.packages), Counter())


class _Collecting:
    """A `Report` that fills a summary, and logs each package as it arrives."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary

    def planned(self, plan: Plan) -> None:
        """See `Report`."""
        self._summary.warnings = plan.warnings
        for warning in plan.warnings:
            logger.warning("%s", warning)
        if not plan.again or not self._summary.reached:
            self._summary.reached = plan.reached
            self._summary.unready = str(plan.unready or "")

    def read(self, window: Window, tally: Tally) -> None:
        """See `Report`."""
        for line in window_warnings(window, tally):
            logger.info("%s", line)

    def loaded(self, package: Package) -> None:
        """See `Report`."""
        self._summary.packages.append(package)
        logger.info("%s", as_line(package))

    def failed(self, window: Window, error: HauserError) -> None:
        """See `Report`."""
        self._summary.failed[window] = error

    def loaded_snapshot(self, snapshot: LoadedSnapshot) -> None:
        """See `Report`."""
        self._summary.tables.append(snapshot)
        logger.info("%s", snapshot_as_line(snapshot))

    def done(self) -> None:
        """See `Report`."""

    def finished(self, plan: Plan) -> None:
        """See `Report`."""


def run(
    settings: Settings | None = None,
    *,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    shard: str | None = None,
    hauser_config: str | PathLike[str] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Summary:
    """Load all windows that are ready and not loaded yet, each event exactly once; see `hauser-dlt run`.

    Args:
        settings: stronger than the environment and `.dlt/`, where all others are found.
        start: backfill from here (UTC), without moving the sync point; whole windows are loaded.
        end: stop before this time (UTC).
        shard: of a backfill on several machines, the days of this one: "0/3", "1/3" or "2/3", say.
        hauser_config: a hauser configuration (TOML) to read as well; it is stronger than `.dlt/`.
        pause: waits so many seconds; with 0, it is asked often whether to go on. What it raises ends the run, and the
            next run makes good what that left.

    Raises:
        ConfigError: a setting is missing or wrong, or the destination or FullStory refuses what it says.
        TransientError: it may work later; nothing of an interval that was asked for is ready, say.
        HauserError: some of it could not be loaded. What was loaded before stays, and the next run goes on. The
            attribute `summary` tells what was done.
    """
    begin, until = _interval(start, end)
    share = _shard(shard) if shard is not None else None
    if share and not begin:
        raise ConfigError("shard shares out a backfill: it needs a start")
    with _opened(settings, hauser_config, pause) as (config, sync), _summarized(sync) as summary:
        begin, until = whole(begin, until, config.source.export_duration)
        load_ready(sync, _Collecting(summary), begin, until, share)
        return summary


def reload(
    start: datetime | str,
    end: datetime | str,
    settings: Settings | None = None,
    *,
    hauser_config: str | PathLike[str] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Summary:
    """Load the windows of an interval again: the new events first, then the old ones go; see `hauser-dlt reload`.

    Args and errors are those of `run`.
    """
    asked = _interval(start, end)
    with _opened(settings, hauser_config, pause) as (config, sync), _summarized(sync) as summary:
        begin, until = whole(*asked, config.source.export_duration)
        if not begin or not until:
            raise ConfigError("reload needs a start and an end")
        load_again(sync, _Collecting(summary), Window(begin, until))
        return summary


def status(
    settings: Settings | None = None, *, days: int = 30, hauser_config: str | PathLike[str] | None = None
) -> Status:
    """Return what is loaded, what is waiting and what is missing; see `hauser-dlt status`.

    Args:
        days: how many days are told one by one.

    Raises:
        HauserError: the destination cannot be read. No key of FullStory's is needed.
    """
    with _opened(settings, hauser_config, time.sleep, reading=True) as (config, sync):
        return statuses.status(sync, datetime.now(UTC), config.source.export_duration, days)


def check(
    settings: Settings | None = None, *, hauser_config: str | PathLike[str] | None = None
) -> list[tuple[str, str]]:
    """Return (what was looked at, what was found): settings, key, destination, tables; see `hauser-dlt check`.

    Raises:
        HauserError: the first thing that a run would refuse. Nothing is changed.
    """
    with _configured(settings, hauser_config) as config:
        return list(checks.check(config, time.sleep, shared=True))


@contextmanager
def _opened(
    settings: Settings | None,
    hauser_config: str | PathLike[str] | None,
    pause: Callable[[float], None],
    *,
    reading: bool = False,
) -> Iterator[tuple[Configuration, Sync]]:
    with (
        _configured(settings, hauser_config, keyless=reading) as config,
        _passed_on(pause) as passing,
        Sync.open(config, passing, reading=reading, shared=True) as sync,
    ):
        yield config, sync


class _EndedError(StoppedError):
    """The caller's `pause` has raised."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(signal.SIGINT)
        self.cause = cause


@contextmanager
def _passed_on(pause: Callable[[float], None]) -> Iterator[Callable[[float], None]]:
    """Provide a pause whose exceptions come out as they are, although dlt makes errors of its own of them."""

    def passing(seconds: float) -> None:
        try:
            pause(seconds)
        except BaseException as exc:  # noqa: BLE001 - of whatever kind, it is raised again
            raise _EndedError(exc) from None

    try:
        yield passing
    except _EndedError as exc:
        raise exc.cause from None


@contextmanager
def _configured(
    settings: Settings | None, hauser_config: str | PathLike[str] | None, *, keyless: bool = False
) -> Iterator[Configuration]:
    hauser = read_hauser_toml(Path(hauser_config)) if hauser_config else None
    for warning in hauser.warnings if hauser else ():
        logger.warning("%s", warning)
    found = hauser.settings if hauser else {}
    with configuration.scoped(settings or {}, found, str(hauser_config), keyless=keyless) as config:
        for warning in config.warnings:
            logger.warning("%s", warning)
        yield config


@contextmanager
def _summarized(sync: Sync) -> Iterator[Summary]:
    """Provide a summary, which hangs on the error, too, should there be one."""
    summary = Summary()
    try:
        yield summary
    except HauserError as exc:
        exc.summary = summary
        raise
    finally:
        summary.peak_disk = sync.disk.peak


def _interval(start: datetime | str | None, end: datetime | str | None) -> tuple[datetime | None, datetime | None]:
    begin, until = _moment("start", start), _moment("end", end)
    if begin and until and begin >= until:
        raise ConfigError(f"start must lie before end, and {begin} does not lie before {until}")
    return begin, until


def _shard(value: str) -> Shard:
    try:
        return parsers.shard(value)
    except ValueError as exc:
        raise ConfigError(f"shard = {value!r}: allowed is {exc}") from None


def _moment(name: str, value: datetime | str | None) -> datetime | None:
    try:
        return parsers.moment(value or "")
    except ValueError as exc:
        raise ConfigError(f"{name} = {value!r}: allowed is {exc}") from None
