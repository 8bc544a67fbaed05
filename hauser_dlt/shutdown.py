"""SIGINT and SIGTERM: noted at once, heeded at the next safe point."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

from hauser_dlt.errors import StoppedError

_LOOK_EVERY = 0.2  # seconds


class Stopping:
    """While entered, signals set a flag that `pause` heeds; the same signal again acts as it always does.

    Only the main thread can be told of signals; in another one, `pause` waits and nothing else.
    """

    def __init__(self) -> None:
        self._signal = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        in_main_thread = threading.current_thread() is threading.main_thread()
        for number in (signal.SIGINT, signal.SIGTERM) if in_main_thread else ():
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number
        signal.signal(number, self._before[number])

    def pause(self, seconds: float) -> None:
        """Wait; 0 only looks.

        Raises:
            StoppedError: a signal has arrived.
        """
        until = time.monotonic() + seconds
        while not self._signal and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_EVERY))
        if self._signal:
            raise StoppedError(self._signal)
