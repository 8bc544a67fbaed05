"""Which loads are alive: judged by their processes where those can be seen, by their heartbeats where not. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hauser_dlt.ledger.model import Lease

EXPIRES_AFTER = timedelta(seconds=35)
"""How long a lease lasts without a heartbeat."""


@dataclass(frozen=True, slots=True)
class Classified:
    """Leases, by what has become of their loads.

    Attributes:
        alive: of processes that load.
        expired: load ids.
        unclear: load ids; only the leases as they are `EXPIRES_AFTER` later can tell.
    """

    alive: tuple[Lease, ...]
    expired: frozenset[str]
    unclear: frozenset[str] = frozenset()


def classify(
    leases: Iterable[Lease], later: Iterable[Lease] | None, working: Mapping[str, bool | None], now: datetime
) -> Classified:
    """Return which leases are alive and which have expired.

    Args:
        leases: as they were at first.
        later: as they were `EXPIRES_AFTER` later; None if nobody has waited.
        working: load id -> whether its process is at work; None for those of other machines, which nobody here sees.
        now: the moment of `leases`.
    """
    first = {lease.load_id: lease for lease in leases}
    ended = {load_id for load_id in first if working[load_id] is False}
    beating = {load_id for load_id, lease in first.items() if abs(now - lease.seen_at) < EXPIRES_AFTER}
    alive = {load_id for load_id in beating if working[load_id]}
    if later is None:
        return Classified(
            tuple(first[load_id] for load_id in alive), frozenset(ended), frozenset(first.keys() - ended - alive)
        )
    second = {lease.load_id: lease for lease in later}
    silent = {load_id for load_id, lease in first.items() if second.get(load_id) == lease} - alive
    expired = ended | silent
    return Classified(tuple(lease for load_id, lease in second.items() if load_id not in expired), frozenset(expired))
