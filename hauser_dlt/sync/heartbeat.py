"""Heartbeats: while a load is under way, its lease is renewed from time to time."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dlt.common.configuration.container import Container

from hauser_dlt.ledger.model import Leases
from hauser_dlt.windows import Window

logger = logging.getLogger("hauser_dlt.sync")

_EVERY = 10.0  # seconds


@contextmanager
def heartbeats(leases: Leases, load_id: str, interval: Window) -> Iterator[None]:
    """While inside, tell other runs that the load into an interval is under way."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_EVERY):
            try:
                leases.renew(load_id, interval)
            except Exception as exc:  # noqa: BLE001 - of whatever kind; the load itself will tell
                logger.info("load %s: no heartbeat could be sent (%s)", load_id, type(exc).__name__)

    # named like dlt's own, which see the settings of the thread that began them
    name = f"{Container.thread_pool_prefix()}load {load_id}"
    thread = threading.Thread(target=beat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
