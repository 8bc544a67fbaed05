"""FullStory's events as an asset of Dagster with a partition for each UTC day: `dagster dev -f dagster_assets.py`.

A backfill of a year is a backfill of its partitions, a week in each run; the runs may go on side by side. Settings: as
for `hauser-dlt run`.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg

import hauser_dlt
from hauser_dlt.errors import StoppedError
from hauser_dlt.shutdown import Stopping

PAUSE = 600  # seconds
DAY = timedelta(days=1)
LOGGER = logging.getLogger("hauser_dlt")
LATE = timedelta(hours=6)  # after a partition has come up: then it should be loaded

# A day has settled a day after its end (export_delay), so the newest partition is the day before yesterday.
DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_offset=-1)


class Load(dg.Config):
    """How to load a partition."""

    again: bool = False
    """Load days once more that are loaded already; they are left alone otherwise."""


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=7),
    pool="fullstory",  # its limit is how many runs load at once
    kinds={"dlt"},
    group_name="fullstory",
)
def fs_export(context: dg.AssetExecutionContext, config: Load) -> dg.MaterializeResult[None]:
    """FullStory's events, each exactly once."""
    days = context.partition_time_window
    load = hauser_dlt.reload if config.again else hauser_dlt.run
    with logged_by(context.log), errors_of_dagster(), Stopping() as stopping:
        done = load(start=days.start, end=days.end, pause=stopping.pause)
        there = There(datetime.now(UTC))
    for key in context.partition_keys:
        context.add_asset_metadata({"dagster/partition_row_count": there.events.get(key, 0)}, partition_key=key)
    metadata = {"loaded": done.events, "windows": done.windows, "dagster/row_count": there.status.events}
    return dg.MaterializeResult(metadata=metadata | there.lag)


class There:
    """What the destination has, by days.

    Attributes:
        events: day -> number of events, of the days that are loaded.
        newest: the end of the newest of them; None if there is none.
    """

    def __init__(self, now: datetime) -> None:
        self.status = hauser_dlt.status(days=(now - DAYS.start).days + 1)
        self._now = now
        loaded = [day for day in self.status.days if day.is_loaded]
        self.events = {f"{day.start:%Y-%m-%d}": day.events for day in loaded}
        self.newest = loaded[-1].start + DAY if loaded else None

    @property
    def lag(self) -> dict[str, float]:
        """How long ago the newest day has ended; a day has settled for a day when it becomes a partition."""
        return {"lag_hours": round((self._now - self.newest) / timedelta(hours=1), 1)} if self.newest else {}

    def missing(self) -> list[str]:
        """Return the partitions before the newest day that are not loaded."""
        return [key for key in DAYS.get_partition_keys(self._now) if key not in self.events and self._is_before(key)]

    def is_fresh(self) -> bool:
        """Tell whether the newest partition is loaded, or has just come up."""
        return self.newest is not None and self._now - self.newest < 2 * DAY + LATE

    def _is_before(self, key: str) -> bool:
        return self.newest is not None and datetime.fromisoformat(key).replace(tzinfo=UTC) < self.newest


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec("freshness", asset=fs_export, description="The newest partition is loaded"),
        dg.AssetCheckSpec("completeness", asset=fs_export, description="So are all partitions before it"),
        dg.AssetCheckSpec("duplicates", asset=fs_export, description="No window is loaded twice"),
    ],
    retry_policy=dg.RetryPolicy(max_retries=3, delay=60),
)
def health() -> Iterator[dg.AssetCheckResult]:
    """What `hauser-dlt status` says of the destination; neither FullStory is asked nor are events read."""
    there = There(datetime.now(UTC))
    missing, twice = there.missing(), [str(window) for window in there.status.duplicates]
    yield dg.AssetCheckResult(passed=there.is_fresh(), check_name="freshness", metadata=there.lag)
    yield dg.AssetCheckResult(
        passed=not missing,
        check_name="completeness",
        severity=dg.AssetCheckSeverity.WARN,  # a backfill may be under way
        metadata={"missing": missing},
    )
    yield dg.AssetCheckResult(passed=not twice, check_name="duplicates", metadata={"twice": twice})


@contextmanager
def errors_of_dagster() -> Iterator[None]:
    """Have Dagster try again what may pass by itself, tell of what does not, and know when it has stopped a run."""
    try:
        yield
    except StoppedError as exc:
        raise dg.DagsterExecutionInterruptedError from exc
    except hauser_dlt.TransientError as exc:
        raise dg.RetryRequested(max_retries=3, seconds_to_wait=PAUSE) from exc
    except hauser_dlt.HauserError as exc:
        raise dg.Failure(str(exc)) from exc


@contextmanager
def logged_by(log: logging.Logger) -> Iterator[None]:
    """Have each load package, and each warning, appear in a run's log when it comes."""
    forward = logging.Handler(logging.INFO)
    forward.emit = lambda record: log.log(record.levelno, record.getMessage())  # type: ignore[method-assign]
    LOGGER.addHandler(forward)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(forward)


daily = dg.define_asset_job("fullstory_daily", selection=[fs_export])
hourly = dg.ScheduleDefinition(
    job=dg.define_asset_job("fullstory_health", selection=dg.AssetSelection.checks_for_assets(fs_export)),
    cron_schedule="17 * * * *",
)
defs = dg.Definitions(
    assets=[fs_export],
    asset_checks=[health],
    jobs=[daily],
    schedules=[dg.build_schedule_from_partitioned_job(daily), hourly],
)
