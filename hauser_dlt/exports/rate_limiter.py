"""How many exports may be under way at the same time: fewer when FullStory objects, more when it does not."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_GROWTH = 0.25  # places for each export that goes well
_WAKE = 0.2  # seconds between two looks at whether the run was asked to stop


class Limiter:
    """A number of places that halves on a 429, and grows by one with every few exports that go well.

    Growing by one each time would, at a steady limit of FullStory's, earn a 429 with every second request.
    """

    def __init__(self, most: int, pause: Callable[[float], None]) -> None:
        self._most = most
        self._pause = pause
        self._allowed = float(most)
        self._taken = 0
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        """The number of places at present."""
        return int(self._allowed)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place, once there is one."""
        with self._changed:
            self._wait()
            self._taken += 1
        try:
            yield
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
        """FullStory answered 429: halve the places.

        Args:
            allowed: the number of places when FullStory was asked. Several that were asked at once are refused at
                once; where there are fewer places by now, that refusal has been heeded.
        """
        with self._changed:
            if allowed is None or self.allowed >= allowed:
                self._allowed = max(1.0, self._allowed / 2)

    def went_well(self) -> None:
        """An export was prepared: a part of a place more, up to the most."""
        with self._changed:
            self._allowed = min(float(self._most), self._allowed + _GROWTH)
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
