"""Bundles are asked for ahead and side by side, and handed on in order."""

import secrets
import threading
from collections import deque
from collections.abc import Iterable, Iterator
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


class Deliveries(Iterator[Delivery]):
    """The bundles' files, in the order of the bundles, while up to `ahead` of them are being prepared.

    Whoever takes a file removes it. An error comes when it is its bundle's turn, and what comes after it can still be
    had: this is no generator, which would be at its end. After `close`, nobody waits for what is still under way.
    """

    def __init__(self, exports: Exports, bundles: Iterable[Bundle], folder: Path, ahead: int) -> None:
        mark = secrets.token_hex(4)  # of this call: a download that was given up may still be writing to its file
        self._begun = (
            _begun(exports, bundle, folder / f"{bundle.window.start:%Y%m%dT%H%M%S}-{bundle.id}-{mark}")
            for bundle in bundles
        )
        self._ahead = ahead
        self._under_way: deque[tuple[Delivery, Future[None]]] = deque()
        self._end: HauserError | None = None

    def __next__(self) -> Delivery:
        """Return the next bundle's file.

        Raises:
            HauserError: what `Exports.fetch` raises, when it is that bundle's turn; what `bundles` raises, at the end.
        """
        self._ask()
        if not self._under_way:
            if self._end:
                raise self._end
            raise StopIteration
        delivery, fetched = self._under_way[0]
        failure = fetched.exception()  # waits; should that be interrupted, the bundle is still under way
        self._under_way.popleft()
        if failure:
            delivery.path.unlink(missing_ok=True)
            raise failure
        self._ask()
        return delivery

    def close(self) -> None:
        """Give up what is under way."""
        self._begun.close()
        for given_up, fetched in self._under_way:
            fetched.add_done_callback(partial(_remove, given_up.path))
        self._under_way.clear()

    def _ask(self) -> None:
        try:
            self._under_way.extend(islice(self._begun, self._ahead - len(self._under_way)))
        except HauserError as exc:
            self._end = exc


def deliver(exports: Exports, bundles: Iterable[Bundle], folder: Path, ahead: int) -> Deliveries:
    """Return the files of bundles, which are asked for ahead and side by side."""
    return Deliveries(exports, bundles, folder, ahead)


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
