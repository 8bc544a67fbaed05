"""One try to load a group of bundles, and what is noted of it on the way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from hauser_dlt.conversion.window_files import WrittenFile
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.exports.readers import Reader
from hauser_dlt.fields import EVENT_START
from hauser_dlt.ledger import Sent
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.tables import Table
from hauser_dlt.sync.model import Group
from hauser_dlt.windows import Window


@dataclass
class Attempt:
    """One try to load a group.

    Attributes:
        taken: the bundles that have been handed out.
        again: all have been, and it is known what is in them; nobody is told once more.
        read: those that have been read to their end.
        total: what was noticed in these.
    """

    group: Group
    taken: list[Delivery] = field(default_factory=list)
    again: bool = False
    read: list[Reader] = field(default_factory=list)
    total: Tally = field(default_factory=Tally)

    @property
    def is_read(self) -> bool:
        """Whether all bundles have been read to their end."""
        return len(self.read) == len(self.group.bundles)

    def noting_ends(self, sent: Sent, tell: Callable[[Window, Tally], None]) -> Callable[[Reader], None]:
        """Return what notes that a bundle has been read, and tells of it."""

        def note(reader: Reader) -> None:
            window, reader.tally.bytes = reader.delivery.bundle.window, reader.delivery.path.stat().st_size
            self.total.add(reader.tally)
            sent.windows[window] = reader.tally.rows
            if not self.again:
                self.read.append(reader)
                tell(window, reader.tally)

        return note


def noting_times(sent: Sent, table: Table) -> Callable[[Any], None]:
    """Return what notes when the events of a batch or file happened."""
    event_start = table.spelled(EVENT_START)

    def note(item: Any) -> None:
        if isinstance(item, WrittenFile):
            for least, greatest in item.ranges(event_start):
                sent.note(least, greatest)
        else:
            sent.note(*pc.min_max(item.column(event_start)).as_py().values())

    return note


def nothing(_item: Any) -> None:
    """Note nothing of an item."""
