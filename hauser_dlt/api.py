"""Runs from Python: exactly once, as the command `hauser-dlt` does them, with what was done as the value.

Several may run in one process, also in threads beside each other. They leave the process as it is: its signals, its
logging, its environment and dlt's configuration.
"""

import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
from hauser_dlt.reports import webhook
from hauser_dlt.reports.progress import as_line, snapshot_as_line, window_warnings
from hauser_dlt.reports.status import Status
from hauser_dlt.reports.summary import Collecting, Summary
from hauser_dlt.sync import LoadedSnapshot, Package, Plan, Sync, load_again, load_ready
from hauser_dlt.windows import Shard, Window, whole

logger = logging.getLogger(__name__)

Settings = Mapping[str, Any]
"""Name or path of a setting -> its value: {"destination": "postgres", "destination.postgres.credentials": "..."}."""


class _Logging(Collecting):
    """A `Report` that fills a summary, and logs each package as it arrives."""

    def planned(self, plan: Plan) -> None:
        """See `Report`."""
        super().planned(plan)
        for warning in plan.warnings:
            logger.warning("%s", warning)

    def read(self, window: Window, tally: Tally) -> None:
        """See `Report`."""
        for line in window_warnings(window, tally):
            logger.info("%s", line)

    def loaded(self, package: Package) -> None:
        """See `Report`."""
        super().loaded(package)
        logger.info("%s", as_line(package))

    def loaded_snapshot(self, snapshot: LoadedSnapshot) -> None:
        """See `Report`."""
        super().loaded_snapshot(snapshot)
        logger.info("%s", snapshot_as_line(snapshot))


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
    with _loading("run", settings, hauser_config, pause) as (config, sync, report):
        begin, until = whole(begin, until, config.source.export_duration)
        load_ready(sync, report, begin, until, share)
        return report.so_far


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
    with _loading("reload", settings, hauser_config, pause) as (config, sync, report):
        begin, until = whole(*asked, config.source.export_duration)
        if not begin or not until:
            raise ConfigError("reload needs a start and an end")
        load_again(sync, report, Window(begin, until))
        return report.so_far


def status(
    settings: Settings | None = None, *, days: int = 30, hauser_config: str | PathLike[str] | None = None
) -> Status:
    """Return what is loaded, what is waiting and what is missing; see `hauser-dlt status`.

    Args:
        days: how many days are told one by one.

    Raises:
        HauserError: the destination cannot be read. No key of FullStory's is needed.
    """
    with (
        _scoped(settings, hauser_config, keyless=True) as read,
        Sync.open(config := read(), time.sleep, reading=True, shared=True) as sync,
    ):
        return statuses.status(sync, datetime.now(UTC), config.source.export_duration, days)


def check(
    settings: Settings | None = None, *, hauser_config: str | PathLike[str] | None = None
) -> list[tuple[str, str]]:
    """Return (what was looked at, what was found): settings, key, destination, tables; see `hauser-dlt check`.

    Raises:
        HauserError: the first thing that a run would refuse. Nothing is changed.
    """
    with _scoped(settings, hauser_config) as read:
        return list(checks.check(read(), time.sleep, shared=True))


@contextmanager
def _loading(
    command: str,
    settings: Settings | None,
    hauser_config: str | PathLike[str] | None,
    pause: Callable[[float], None],
) -> Iterator[tuple[Configuration, Sync, Collecting]]:
    """Provide what loads, and the report whose summary hangs on the error, too, should there be one."""
    report = _Logging()
    with (
        _scoped(settings, hauser_config) as read,
        _passed_on(pause) as passing,
        webhook.told(command, report.so_far, logger.warning),
        Sync.open(config := read(), passing, shared=True) as sync,
        _summarized(sync, report.so_far),
    ):
        yield config, sync, report


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
def _scoped(
    settings: Settings | None, hauser_config: str | PathLike[str] | None, *, keyless: bool = False
) -> Iterator[Callable[[], Configuration]]:
    """Provide what reads the settings, and logs what it warns of."""
    hauser = read_hauser_toml(Path(hauser_config)) if hauser_config else None
    for warning in hauser.warnings if hauser else ():
        logger.warning("%s", warning)
    found = hauser.settings if hauser else {}
    with configuration.scoped(settings or {}, found, str(hauser_config), keyless=keyless) as read:
        yield lambda: _warned(read())


def _warned(config: Configuration) -> Configuration:
    for warning in config.warnings:
        logger.warning("%s", warning)
    return config


@contextmanager
def _summarized(sync: Sync, summary: Summary) -> Iterator[None]:
    """Have a summary hang on the error, should there be one."""
    try:
        yield
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
