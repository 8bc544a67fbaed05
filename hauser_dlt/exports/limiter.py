"""How many exports may be under way at the same time: fewer when FullStory objects, more when it does not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WAKE = 0.2  # seconds between two looks at whether the run was asked to stop


class Limiter:
    """A number of places that halves on a 429 and grows by one with each export that goes well."""

    def __init__(self, most: int, pause: Callable[[float], None]) -> None:
        self._most = most
        self._pause = pause
        self._allowed = float(most)
        self._taken = 0
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        """The number of places at present."""
        return int(self._allowed)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place, once there is one."""
        with self._changed:
            while self._taken >= self.allowed:
                self._changed.wait(_WAKE)
                self._pause(0)
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()

    def too_many(self) -> None:
        """FullStory answered 429: halve the places."""
        with self._changed:
            self._allowed = max(1.0, self._allowed / 2)

    def went_well(self) -> None:
        """An export was prepared: one more place, up to the most."""
        with self._changed:
            self._allowed = min(float(self._most), self._allowed + 1)
            self._changed.notify_all()
