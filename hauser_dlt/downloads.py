"""Bundles are asked for ahead and side by side, and handed on in order."""

import secrets
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hauser_dlt.exports import Bundle, Exports


@dataclass(frozen=True, slots=True)
class Delivery:
    """A bundle whose file lies at `path`, as FullStory sent it."""

    bundle: Bundle
    path: Path


def deliver(
    exports: Exports, bundles: Iterable[Bundle], folder: Path, ahead: int, ready: int = 0
) -> Generator[Delivery, None, None]:
    """Yield the bundles' files in the order of the bundles, while up to `ahead` of them are being prepared.

    Whoever takes a file removes it. Where the generator ends early, nobody waits for what is still under way.

    Args:
        ready: how many more may lie there until they are taken: preparation goes on while others are loaded.

    Raises:
        HauserError: what `Exports.fetch` raises, when it is that bundle's turn; what `bundles` raises, after the last.
    """
    fetching = _Fetching(exports, bundles, folder, ahead, ahead + ready)
    try:
        fetching.begin()
        while under_way := fetching.first():
            delivery, fetched = under_way
            fetched.result()
            fetching.take()
            yield delivery
        if fetching.failure:
            raise fetching.failure
    finally:
        fetching.give_up()


class _Fetching:
    """Fetches side by side, each in a thread that does not keep the process from ending: an export can take hours.

    Args:
        most: how many are fetched at the same time.
        held: how many are begun and not yet taken.
    """

    def __init__(self, exports: Exports, bundles: Iterable[Bundle], folder: Path, most: int, held: int) -> None:
        self.failure: BaseException | None = None
        self._exports = exports
        self._bundles = iter(bundles)
        self._folder = folder
        self._most = most
        self._held = held
        self._mark = secrets.token_hex(4)  # of this call: a download that was given up may still be writing to its file
        self._running = 0
        self._ended = False
        self._begun: deque[tuple[Delivery, Future[None]]] = deque()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Begin as many as may run, unless one has failed: what failed one would fail the others, too."""
        with self._lock:
            while not self._ended and self._running < self._most and len(self._begun) < self._held:
                try:
                    bundle = next(self._bundles, None)
                except BaseException as exc:  # noqa: BLE001 - raised again after the last bundle
                    self.failure, bundle = exc, None
                if bundle is None:
                    self._ended = True
                    return
                name = f"{bundle.window.start:%Y%m%dT%H%M%S}-{bundle.id}-{self._mark}"
                begun = Delivery(bundle, self._folder / name), Future[None]()
                self._running += 1
                self._begun.append(begun)
                threading.Thread(target=self._fetch, args=begun, name=f"export {bundle.window}", daemon=True).start()

    def first(self) -> tuple[Delivery, "Future[None]"] | None:
        """Return the oldest that is begun."""
        with self._lock:
            return self._begun[0] if self._begun else None

    def take(self) -> None:
        """The oldest is taken: there is room for another one."""
        with self._lock:
            self._begun.popleft()
        self.begin()

    def give_up(self) -> None:
        """Begin no more, and remove the files that nobody will take."""
        with self._lock:
            self._ended = True
            given_up = list(self._begun)
        for delivery, fetched in given_up:
            fetched.add_done_callback(partial(_remove, delivery.path))

    def _fetch(self, delivery: Delivery, future: "Future[None]") -> None:
        try:
            self._exports.fetch(delivery.bundle, delivery.path)
        except BaseException as exc:  # noqa: BLE001 - raised again by result()
            with self._lock:
                self._ended = True
            future.set_exception(exc)
        else:
            with self._lock:
                self._running -= 1
            future.set_result(None)
            self.begin()


def _remove(path: Path, _fetched: "Future[None]") -> None:
    path.unlink(missing_ok=True)
