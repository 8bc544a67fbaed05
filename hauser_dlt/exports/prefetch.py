"""Bundles are asked for ahead and side by side, and handed on in order."""

import secrets
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hauser_dlt.exports import Bundle, Exports
from hauser_dlt.exports.disk import Disk
from hauser_dlt.records.gzip_stream import gunzip

_PACKED = 1 << 18  # bytes that are read at a time


@dataclass(frozen=True, slots=True)
class Delivery:
    """A bundle whose file lies at `path`, as FullStory sent it."""

    bundle: Bundle
    path: Path

    def pieces(self) -> Generator[bytes, None, None]:
        """Yield what the file holds, unpacked, a piece at a time; close it if that is not waited for."""
        with self.path.open("rb") as packed:
            yield from gunzip(iter(partial(packed.read, _PACKED), b""))


class Deliveries(Iterator[Delivery]):
    """The bundles' files, in the order of the bundles, while up to `most` of them are being fetched side by side.

    Whoever takes a file removes it. An error comes when it is its bundle's turn, and what comes after it can still be
    had: this is no generator, which would be at its end. After `close`, nobody waits for what is still under way.
    Each is fetched in a thread that does not keep the process from ending: an export can take hours.

    Args:
        most: how many are fetched at the same time, at present.
        held: how many are begun and not yet taken.
        disk: has room for more, or has not; the one that is waited for is begun all the same.
    """

    def __init__(
        self,
        exports: Exports,
        bundles: Iterable[Bundle],
        folder: Path,
        most: Callable[[], int],
        held: int,
        disk: Disk | None = None,
    ) -> None:
        self._exports = exports
        self._bundles = iter(bundles)
        self._folder = folder
        self._most = most
        self._most_held = held
        self._disk = disk
        self._mark = secrets.token_hex(4)  # of this call: a download that was given up may still be writing to its file
        self._running = 0
        self._failed = 0  # and not yet told
        self._listed = False
        self._end: BaseException | None = None
        self._begun: deque[tuple[Delivery, Future[None]]] = deque()
        self._lock = threading.Lock()

    def __next__(self) -> Delivery:
        """Return the next bundle's file.

        Raises:
            HauserError: what `Exports.fetch` raises, when it is that bundle's turn; what `bundles` raises, at the end.
        """
        self._begin(wanted=True)
        if not self._begun:
            raise self._end or StopIteration
        delivery, fetched = self._begun[0]
        failure = fetched.exception()  # waits; should that be interrupted, the bundle is still under way
        with self._lock:
            self._begun.popleft()
            self._failed -= bool(failure)
        if failure:
            delivery.path.unlink(missing_ok=True)
            raise failure
        self._begin()
        return delivery

    @property
    def held(self) -> int:
        """How many are begun and not yet taken."""
        with self._lock:
            return len(self._begun)

    def is_next_ready(self) -> bool:
        """Tell whether the next bundle's file is there, so that nobody would wait for it."""
        with self._lock:
            return bool(self._begun) and self._begun[0][1].done()

    def close(self) -> None:
        """Begin no more, and remove the files that nobody will take."""
        with self._lock:
            self._listed = True
            given_up = list(self._begun)
            self._begun.clear()
        for delivery, fetched in given_up:
            fetched.add_done_callback(partial(_remove, delivery.path))

    def _begin(self, *, wanted: bool = False) -> None:
        """Begin as many as may run, unless one has failed: until that is told, what failed it may fail others, too.

        Args:
            wanted: the next is waited for.
        """
        with self._lock:
            while (
                not (self._listed or self._failed)
                and self._running < self._most()
                and len(self._begun) < self._most_held
            ):
                if not (wanted and not self._begun) and self._disk and not self._disk.has_room():
                    return
                try:
                    bundle = next(self._bundles, None)
                except BaseException as exc:  # noqa: BLE001 - raised again after the last bundle
                    self._end, bundle = exc, None
                if bundle is None:
                    self._listed = True
                    return
                name = f"{bundle.window.start:%Y%m%dT%H%M%S}-{bundle.id}-{self._mark}"
                begun = Delivery(bundle, self._folder / name), Future[None]()
                self._running += 1
                self._begun.append(begun)
                if self._disk:
                    self._disk.begun(begun[0].path)
                threading.Thread(target=self._fetch, args=begun, name=f"export {bundle.window}", daemon=True).start()

    def _fetch(self, delivery: Delivery, future: "Future[None]") -> None:
        failure: BaseException | None = None
        try:
            self._exports.fetch(delivery.bundle, delivery.path)
        except BaseException as exc:  # noqa: BLE001 - raised again at its turn
            failure = exc
        if self._disk:
            self._disk.ended(delivery.path)
        with self._lock:
            self._running -= 1
            self._failed += bool(failure)
        if failure:
            future.set_exception(failure)
        else:
            future.set_result(None)
            self._begin()


def deliver(
    exports: Exports,
    bundles: Iterable[Bundle],
    folder: Path,
    ahead: int,
    ready: int = 0,
    allowed: Callable[[], int] | None = None,
    disk: Disk | None = None,
) -> Deliveries:
    """Return the files of bundles, which are asked for ahead and side by side.

    Args:
        ahead: how many are being prepared at the same time, at most.
        ready: how many more may lie there until they are taken: preparation goes on while others are loaded.
        allowed: how many may be prepared at present. None that would wait for others is begun: after a failure, it
            would be asked for all the same.
        disk: see `Deliveries`.
    """
    most = partial(_least, ahead, allowed)
    return Deliveries(exports, bundles, folder, most, ahead + ready, disk)


def _least(ahead: int, allowed: Callable[[], int] | None) -> int:
    return min(ahead, allowed() if allowed else ahead)


def _remove(path: Path, _fetched: "Future[None]") -> None:
    path.unlink(missing_ok=True)
