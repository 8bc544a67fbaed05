"""What a run is asked for: all that is ready, or an interval once more. The command line and Python ask alike."""

from datetime import UTC, datetime

from hauser_dlt.sync.model import Report
from hauser_dlt.sync.run import Sync
from hauser_dlt.windows import Bound, Shard, Window


def load_ready(sync: Sync, report: Report, start: Bound = None, end: Bound = None, shard: Shard | None = None) -> None:
    """Load what is ready; a backfill leaves the tables alone that are fetched whole.

    Args:
        start: where a backfill starts; None goes on from the sync point.
        end: where to stop at the latest.
        shard: the days of a backfill to load; None is all of them.

    Raises:
        TransientError: nothing is ready of a backfill.
        HauserError: some of it could not be loaded.
    """
    for plan in sync.plans(datetime.now(UTC), start, end, shard):
        sync.run(plan, report)
        plan.refuse_unready(start)
        report.finished(plan)
    if not (start or end):
        sync.load_snapshots(datetime.now(UTC), report)


def load_again(sync: Sync, report: Report, interval: Window) -> None:
    """Load the windows of an interval once more.

    Raises:
        TransientError: nothing of it is ready.
        HauserError: some of it could not be loaded.
    """
    plan = sync.plan_reload(datetime.now(UTC), interval)
    sync.run(plan, report)
    plan.refuse_unready(interval.start)
    report.finished(plan)
