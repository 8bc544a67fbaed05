"""Before anything is loaded: what interrupted runs left is removed, and what they have brought whole is kept."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hauser_dlt.destinations.staging import Staging
from hauser_dlt.errors import TransientError
from hauser_dlt.ledger import Ledger, process_id
from hauser_dlt.sync.model import Plan
from hauser_dlt.windows import DAY, Window, begins_day, uncovered, united

logger = logging.getLogger("hauser_dlt.sync")

_PATIENCE = timedelta(seconds=35)  # without a heartbeat, and a load is taken for dead


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
        """Remove what dead loads left, and the events of windows that a plan is going to load.

        Raises:
            TransientError: another run loads into the plan's interval.
        """
        now = datetime.now(UTC)
        reach = Window(plan.interval.start, max(plan.interval.end, now))
        new_day = any(begins_day(bundle.window) for bundle in plan.bundles)
        dead, alive = self._judged(reach if plan.moves_cursor else plan.interval, now, thorough=new_day)
        if dead:
            logger.info("removing what dead loads left: %s", ", ".join(dead))
            self._ledger.remove(dead)
        self._ledger.forget_future()
        self._ledger.settle()
        if self._staging:
            self._staging.remove_all_but(alive)
        if plan.inherits:
            self._ledger.disinherit(plan.interval.start)
        if plan.rewound:
            beyond = Window(plan.interval.start, reach.end)
            self._ledger.clear(uncovered(beyond, self._ledger.owned(beyond)))
        elif not plan.again:  # a sync row may have been deleted, and the events are still there
            self._ledger.clear(united(bundle.window for bundle in plan.bundles))

    def _judged(self, interval: Window, now: datetime, *, thorough: bool) -> tuple[set[str], set[str]]:
        """Return which of the loads that are not complete are dead, and which are alive.

        Args:
            thorough: dead ones are looked for everywhere, also where no note leads; that takes longer with the years.

        Raises:
            TransientError: one that is alive loads into `interval`.
        """
        begun = {load.load_id: load for load in self._ledger.announced()}
        here = {load_id: process_id.is_at_work(load.runner, load_id) for load_id, load in begun.items()}
        dead = {load_id for load_id, works in here.items() if works is False}
        alive = {load_id for load_id, works in here.items() if works and abs(now - begun[load_id].seen) < _PATIENCE}
        if begun.keys() - dead - alive:
            self._pause(_PATIENCE.total_seconds())
            later = {load.load_id: load for load in self._ledger.announced()}
            silent = {load_id for load_id, load in begun.items() if later.get(load_id) == load}
            dead |= silent - alive
            begun, alive = later, later.keys() - dead
        if under_way := [begun[load_id].span for load_id in alive if begun[load_id].span.overlaps(interval)]:
            raise TransientError(f"another run is loading {under_way[0]}; run again when it has ended")
        return dead | set(self._ledger.orphans(interval, now - DAY if thorough else None)), set(alive)
