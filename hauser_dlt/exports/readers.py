"""Readers: the file of one bundle as items for a dlt resource, with a tally of what was noticed on the way."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.records.batches import Tally
from hauser_dlt.records.columns import Columns


class Reader(ABC, Iterable[Any]):
    """The items of one bundle: Arrow batches, or files for dlt to import. They can be taken once.

    Attributes:
        delivery: the bundle and its file.
        tally: what was noticed; it is complete once all items have been taken.
    """

    def __init__(self, delivery: Delivery, tally: Tally) -> None:
        self.delivery = delivery
        self.tally = tally

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yield the items.

        Raises:
            CorruptBundleError: the file is not what FullStory promises.
        """


OpenReader = Callable[[Delivery, Columns, str | None], Reader]
"""(a bundle's file, the table's columns, the load id) -> its reader."""
