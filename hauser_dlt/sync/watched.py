"""A reader that is watched while a load reads it."""

from collections.abc import Callable, Iterator
from typing import Any

from hauser_dlt.exports.readers import Reader


class WatchedReader(Reader):
    """A reader that notes what it reads, and between items looks whether the run was asked to stop."""

    def __init__(
        self,
        reader: Reader,
        pause: Callable[[float], None],
        note_item: Callable[[Any], None],
        note_end: Callable[[Reader], None],
    ) -> None:
        super().__init__(reader.delivery, reader.tally)
        self._reader = reader
        self._pause = pause
        self._note_item = note_item
        self._note_end = note_end

    def __iter__(self) -> Iterator[Any]:
        """Yield the items; see `Reader`."""
        self._pause(0)
        for item in self._reader:
            self._note_item(item)
            yield item
            self._pause(0)
        self._note_end(self)
