"""Bundles are asked for ahead and side by side, and handed on in order."""

import secrets
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from hauser_dlt.errors import HauserError
from hauser_dlt.exports import Bundle, Exports


@dataclass(frozen=True, slots=True)
class Delivery:
    """A bundle whose file lies at `path`, as FullStory sent it."""

    bundle: Bundle
    path: Path


def deliver(exports: Exports, bundles: Iterable[Bundle], folder: Path, ahead: int) -> Generator[Delivery, None, None]:
    """Yield the bundles' files in the order of the bundles, while up to `ahead` of them are being prepared.

    Whoever takes a file removes it. Where the generator ends early, nobody waits for what is still under way.

    Raises:
        HauserError: what `Exports.fetch` raises, when it is that bundle's turn; what `bundles` raises, after the last.
    """
    mark = secrets.token_hex(4)  # of this call: a download that was given up may still be writing to its file
    begun = (
        _begun(exports, bundle, folder / f"{bundle.window.start:%Y%m%dT%H%M%S}-{bundle.id}-{mark}")
        for bundle in bundles
    )
    under_way: deque[tuple[Delivery, Future[None]]] = deque()
    failures: list[HauserError] = []

    def ask(count: int) -> None:
        try:
            under_way.extend(islice(begun, count))
        except HauserError as exc:
            failures.append(exc)

    try:
        ask(ahead)
        while under_way:
            delivery, fetched = under_way[0]
            fetched.result()
            under_way.popleft()
            ask(1)
            yield delivery
        if failures:
            raise failures[0]
    finally:
        for given_up, fetched in under_way:
            fetched.add_done_callback(partial(_remove, given_up.path))


def _begun(exports: Exports, bundle: Bundle, path: Path) -> tuple[Delivery, "Future[None]"]:
    """Fetch in a thread of its own, which does not keep the process from ending: an export can take hours."""
    future: Future[None] = Future()

    def fetch() -> None:
        try:
            exports.fetch(bundle, path)
        except BaseException as exc:  # noqa: BLE001 - raised again by result()
            future.set_exception(exc)
        else:
            future.set_result(None)

    threading.Thread(target=fetch, name=f"export {bundle.window}", daemon=True).start()
    return Delivery(bundle, path), future


def _remove(path: Path, _fetched: "Future[None]") -> None:
    path.unlink(missing_ok=True)
