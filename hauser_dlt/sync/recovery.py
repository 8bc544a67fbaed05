"""Before anything is loaded: what interrupted runs left is removed, and loads that are complete are finalized."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from hauser_dlt.destinations.staging import Staging
from hauser_dlt.errors import TransientError
from hauser_dlt.ledger import Ledger, process_id
from hauser_dlt.ledger.lease import EXPIRES_AFTER, Classified, classify
from hauser_dlt.sync.model import Plan
from hauser_dlt.windows import DAY, Window, begins_day, uncovered, united

logger = logging.getLogger("hauser_dlt.sync")


class Recovery:
    """Makes the destination hold the events of complete loads alone.

    Args:
        staging: the bucket by way of which the destination is loaded, if any.
        pause: waits so many seconds, or raises if the run was asked to stop.
    """

    def __init__(self, ledger: Ledger, staging: Staging | None, pause: Callable[[float], None]) -> None:
        self._ledger = ledger
        self._staging = staging
        self._pause = pause

    def reconcile(self, plan: Plan) -> None:
        """Remove orphaned loads, and the events of windows that a plan is going to load.

        Raises:
            TransientError: another run loads into the plan's interval.
        """
        now = datetime.now(UTC)
        until_now = Window(plan.interval.start, max(plan.interval.end, now))
        interval = until_now if plan.moves_cursor else plan.interval
        leases = self._classified(now)
        for under_way in (lease.interval for lease in leases.alive if lease.interval.overlaps(interval)):
            if plan.shard is None or plan.shard.touches(under_way):
                raise TransientError(f"another run is loading {under_way}; run again when it has ended")
        # unregistered loads, which have no lease, are looked for everywhere: that takes longer with the years
        everywhere = any(begins_day(bundle.window) for bundle in plan.bundles)
        orphaned = self._ledger.orphaned_loads(interval, now - DAY if everywhere else None)
        cleanup = self._ledger.cleanup
        if removed := sorted(leases.expired.union(orphaned)):
            logger.info("removing orphaned loads: %s", ", ".join(removed))
            cleanup.remove(removed)
        cleanup.delete_future_rows()
        cleanup.finalize()
        if self._staging:
            self._staging.remove_all_but({lease.load_id for lease in leases.alive})
        if plan.has_legacy_rows:
            cleanup.delete_legacy_rows(plan.interval.start)
        if plan.rewound:
            beyond = Window(plan.interval.start, until_now.end)
            cleanup.clear(uncovered(beyond, self._ledger.owned(beyond)))
        elif not plan.again:  # a sync row may have been deleted, and the events are still there
            cleanup.clear(united(bundle.window for bundle in plan.bundles))

    def _classified(self, now: datetime) -> Classified:
        """Return which loads are alive; wait for their heartbeats, where nothing else can tell."""
        leases = self._ledger.leases.pending()
        working = {lease.load_id: process_id.is_at_work(lease.process, lease.load_id) for lease in leases}
        classified = classify(leases, None, working, now)
        if not classified.unclear:
            return classified
        self._pause(EXPIRES_AFTER.total_seconds())
        return classify(leases, self._ledger.leases.pending(), working, now)
