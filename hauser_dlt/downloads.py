"""Bundles are asked for ahead and side by side, and handed on in order."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hauser_dlt.exports import Bundle, Exports


@dataclass(frozen=True, slots=True)
class Delivery:
    """A bundle whose file lies at `path`, as FullStory sent it."""

    bundle: Bundle
    path: Path


def deliver(exports: Exports, bundles: Iterable[Bundle], folder: Path, ahead: int) -> Generator[Delivery, None, None]:
    """Yield the bundles' files in the order of the bundles, while up to `ahead` of them are being prepared.

    Raises:
        HauserError: what `Exports.fetch` raises, when it is that bundle's turn.
    """
    waiting = iter(bundles)
    under_way: deque[tuple[Delivery, Future[None]]] = deque()
    pool = ThreadPoolExecutor(ahead, thread_name_prefix="export")

    def ask(count: int) -> None:
        for bundle in islice(waiting, count):
            delivery = Delivery(bundle, folder / f"{bundle.window.start:%Y%m%dT%H%M%S}-{bundle.id}")
            under_way.append((delivery, pool.submit(exports.fetch, bundle, delivery.path)))

    try:
        ask(ahead)
        while under_way:
            delivery, fetched = under_way.popleft()
            fetched.result()
            ask(1)
            yield delivery
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
