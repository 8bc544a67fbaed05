"""Places for exports that are under way at the same time: who wants to begin one more waits in line for a place."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hauser_dlt.exports.concurrency import Limit

_WAKE = 0.2  # seconds between two looks at whether the run was asked to stop


@dataclass
class Place:
    """A place that somebody holds.

    Attributes:
        rank: how many were taken when it was, this one included.
    """

    rank: int


class Limiter:
    """As many places as a limit allows at the time."""

    def __init__(self, limit: Limit, pause: Callable[[float], None]) -> None:
        self._limit = limit
        self._pause = pause
        self._taken = 0
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        """The number of places at present."""
        return self._limit.allowed

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Hold one place, once there is one."""
        with self._changed:
            self._wait()
            self._taken += 1
            place = Place(self._taken)
        try:
            yield place
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()

    def step_back(self) -> None:
        """Before another try: where more places are taken than allowed by now, give this one back and wait."""
        with self._changed:
            if self._taken > self.allowed:
                self._taken -= 1
                self._changed.notify_all()
                try:
                    self._wait()
                finally:
                    self._taken += 1

    def too_many(self, allowed: int | None = None) -> None:
        """FullStory answered 429.

        Args:
            allowed: the number of places when FullStory was asked; None is the present one.
        """
        with self._changed:
            self._limit.refused(self.allowed if allowed is None else allowed)

    def went_well(self, place: Place, seconds: float | None) -> None:
        """The export of a place was prepared.

        Args:
            seconds: how long FullStory took; None if that is not known.
        """
        with self._changed:
            self._limit.went_well(self._taken, place.rank, seconds)
            self._changed.notify_all()

    def _wait(self) -> None:
        """Wait in line: otherwise who has just given a place back takes it again, and some get none for long."""
        me = object()
        self._line.append(me)
        try:
            while self._taken >= self.allowed or self._line[0] is not me:
                self._changed.wait(_WAKE)
                self._pause(0)
        finally:
            self._line.remove(me)
            self._changed.notify_all()
