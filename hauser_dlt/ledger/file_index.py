"""What the names of files tell: which loads have brought which windows, which are complete, which are under way.

A file is called `<start>-<end>.<load id>.<format>`, in UTC. Beside the tables stands a folder with the suffix
`_pending`, of leases: a small file for each load that is under way, or whose process died. dlt writes a file into
`_dlt_loads` once all of a load has arrived.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from dlt.destinations.impl.filesystem.filesystem import FILENAME_SEPARATOR

from hauser_dlt.fields import SCHEMA_NAME
from hauser_dlt.ledger.model import LOADS, SyncRow, pending_name
from hauser_dlt.windows import DAY, Window

_STAMP = "%Y%m%dT%H%M%SZ"
_TIME = r"[0-9]{8}T[0-9]{6}Z"
_FILE_NAME = re.compile(
    rf"(?P<dot>\.)?{_TIME}-{_TIME}(?:-[0-9]+)?\.(?P<load>[0-9]+\.[0-9]+)\.[a-z0-9]+(?:\.gz)?(?(dot)\.part)"
)
# the times in a name, which sort as they stand; not so in the one of a file that was being written when its run died
START, END = slice(0, 16), slice(17, 33)

_BEFORE_LOAD_ID = f"{SCHEMA_NAME}{FILENAME_SEPARATOR}"
_ANY = ""  # what every name begins with
_LONGEST = 8 * DAY  # windows have a day at the most, but FullStory chooses those of legacy bundles


def stamp(window: Window) -> str:
    """Return a window as it stands in file names."""
    return f"{window.start:{_STAMP}}-{window.end:{_STAMP}}"


class File(NamedTuple):
    """A file of a load."""

    path: str
    load_id: str
    window: Window


def months(interval: Window | None) -> frozenset[str]:
    """Return what the names begin with of all files of the loads that touch an interval; None is all there are.

    A load's windows begin on one day, and so in one month.
    """
    if interval is None or interval.end - interval.start > 366 * DAY:
        return frozenset({_ANY})
    first, last = interval.start - _LONGEST, interval.end
    numbers = range(12 * first.year + first.month - 1, 12 * last.year + last.month)
    return frozenset(f"{number // 12}{number % 12 + 1:02}" for number in numbers)


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a table. There may be one for each hour of years, so only the months that matter are listed.

    Attributes:
        path: ends in a slash.
        listed: the months that are.
        names: load -> its files, incomplete ones too. Files that are not ours are left out.
    """

    path: str
    listed: frozenset[str] = frozenset()
    # of tuples: Python's garbage collector would go through lists, time and again
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def unlisted(self, interval: Window | None) -> frozenset[str]:
        """Return the months that are to be listed to know all files of the loads that touch an interval."""
        return frozenset() if _ANY in self.listed else months(interval) - self.listed

    def having(self, more: frozenset[str], names: Iterable[str]) -> "Folder":
        """Return the folder with the files of some more months."""
        found = {} if _ANY in more else dict(self.names)
        for name in names:
            if ours := _FILE_NAME.fullmatch(name):
                load_id = ours["load"]
                found[load_id] = (*found.get(load_id, ()), name)
        return replace(self, listed=self.listed | more, names=found)

    def without(self, load_ids: Collection[str]) -> "Folder":
        """Return the folder without the files of some loads."""
        if self.names.keys().isdisjoint(load_ids):
            return self
        return replace(self, names={load: names for load, names in self.names.items() if load not in load_ids})

    def __iter__(self) -> Iterator[File]:
        """Go through all that is listed."""
        return (self._file(load_id, name) for load_id, names in self.names.items() for name in names)

    def of(self, load_id: str) -> list[File]:
        """Return the files of a load."""
        return [self._file(load_id, name) for name in self.names.get(load_id, ())]

    def touching(self, interval: Window) -> list[File]:
        """Return the files whose windows overlap an interval; incomplete ones are found by their load alone."""
        start, end = stamp(interval).split("-")
        near = [(o, n) for o, names in self.names.items() for n in names if n[START] <= end and n[END] >= start]
        files = [self._file(load_id, name) for load_id, name in near]
        return [file for file in files if file.window.overlaps(interval)]

    def _file(self, load_id: str, name: str) -> File:
        times = name.removeprefix(".")
        window = Window(datetime.fromisoformat(times[START]), datetime.fromisoformat(times[END]))
        return File(self.path + name, load_id, window)


@dataclass(frozen=True, slots=True)
class Listing:
    """What has been listed so far. It never changes: a new one takes its place.

    Attributes:
        complete: beginning of load ids -> those among them that dlt has noted as complete.
        owned: what follows from all this, as far as it has been asked for: load -> the sync rows of its windows; None
            where it owns nothing.
    """

    events: Folder
    syncs: Folder
    leases: Folder
    complete: Mapping[str, frozenset[str]] = field(default_factory=dict)
    owned: dict[str, list[SyncRow] | None] = field(default_factory=dict, compare=False)


class FileIndex:
    """Lists what is asked for, once, until it is told that it may have changed.

    Args:
        client: dlt's of files.
    """

    def __init__(self, client: Any, export_table: str, sync_table: str) -> None:
        self.client = client
        self._tables = (export_table, sync_table, pending_name(sync_table))
        self.listing: Listing
        self.invalidate()

    def invalidate(self) -> None:
        """Have everything be listed anew."""
        self._refresh()
        events, syncs, leases = (Folder(self.path(table)) for table in self._tables)
        self.listing = Listing(events, syncs, leases)

    def path(self, table: str) -> str:
        """Return a table's folder. One slash ends it: in a bucket, a second one would make it another folder."""
        return str(self.client.pathlib.join(self.client.get_table_dir(table), ""))

    def inspect(self, interval: Window | None = None) -> Listing:
        """Return a listing that has all files of the loads that touch an interval, or of all.

        Which loads are complete is listed after that: one that has ended in between would seem orphaned.
        """
        events, syncs = self.listing.events, self.listing.syncs
        more = [folder.unlisted(interval) for folder in (events, syncs)]
        if any(more):
            events, syncs = (
                self._having(folder, table, months) if months else folder
                for folder, table, months in zip((events, syncs), self._tables, more, strict=False)
            )
            self._refresh()
            self.listing = Listing(events, syncs, self.listing.leases)
        return self.listing

    def lacks_events(self) -> bool:
        """Tell whether there is no file of events at all."""
        events = self.listing.events
        if not events.names and (more := events.unlisted(None)):
            self.listing = replace(self.listing, events=self._having(events, self._tables[0], more))
        return not self.listing.events.names

    def inspect_load(self, load_id: str) -> Listing:
        """Return a listing that has all files of a load: they are near any that is known, or can be anywhere."""
        leases = self.leases()
        folders = (leases, self.listing.syncs, self.listing.events)
        known: list[Window | None] = [file.window for folder in folders for file in folder.of(load_id)]
        for window in known or [None]:
            self.inspect(window)
        return self.listing

    def leases(self) -> Folder:
        """Return the files of leases."""
        if more := self.listing.leases.unlisted(None):
            self.listing = replace(self.listing, leases=self._having(self.listing.leases, self._tables[2], more))
        return self.listing.leases

    def leases_now(self) -> Folder:
        """Return the files of leases as they are at this moment."""
        self._refresh()
        self.listing = replace(self.listing, leases=Folder(self.path(self._tables[2])))
        return self.leases()

    def release(self, load_ids: Collection[str]) -> None:
        """Leave the leases of some loads out of the listing, since their files have been removed."""
        self.listing = replace(self.listing, leases=self.listing.leases.without(load_ids))

    def without(self, load_ids: Collection[str]) -> None:
        """Leave some loads out of the listing, since their files have been removed."""
        now, gone = self.listing, frozenset(load_ids)
        self.listing = replace(
            now,
            events=now.events.without(gone),
            syncs=now.syncs.without(gone),
            leases=now.leases.without(gone),
            owned={load_id: rows for load_id, rows in now.owned.items() if load_id not in gone},
        )

    def invalidate_complete(self) -> None:
        """Have it be listed anew which loads are complete."""
        self._refresh()
        self.listing = replace(self.listing, complete={}, owned={})

    def is_complete(self, load_id: str) -> bool:
        """Tell whether a load is complete; those that began within the same 11 days are listed together.

        Should somebody have removed dlt's notes, those are complete that have no lease, since it goes last.
        """
        complete = self._complete(load_id[:4])  # of the ten digits of the seconds since 1970
        if load_id in complete:
            return True
        return self.lacks_loads() and load_id in self.listing.syncs.names and load_id not in self.leases().names

    def lacks_loads(self) -> bool:
        """Tell whether dlt has noted no load at all as complete."""
        return not any(self.listing.complete.values()) and not self.inspect_complete()

    def inspect_complete(self) -> frozenset[str]:
        """Return all loads that dlt has noted as complete."""
        return self._complete(_ANY)

    def _complete(self, beginning: str) -> frozenset[str]:
        """Return the complete loads whose ids begin so; there may be others among them."""
        complete = self.listing.complete
        for known in (_ANY, beginning):
            if known in complete:
                return complete[known]
        names = self.names(LOADS, [_BEFORE_LOAD_ID + beginning])
        found = frozenset(name.removeprefix(_BEFORE_LOAD_ID).removesuffix(".jsonl") for name in names)
        self.listing = replace(self.listing, complete={**complete, beginning: found})
        return found

    def names_around(self, interval: Window) -> list[str]:
        """Return the names of the sync files around an interval as they are at this moment."""
        return self.names(self._tables[1], months(interval))

    def names(self, table: str, beginnings: Collection[str]) -> list[str]:
        """Return the names in a folder that begin so; before those of incomplete files stands a dot."""
        folder = self.client.get_table_dir(table)
        if not self.client.is_local_filesystem:
            return [name for start in beginnings for name in self.client.fs_client.starting(folder, start)]
        try:
            names = os.listdir(folder)  # noqa: PTH208 - fsspec looks at each
        except FileNotFoundError:
            return []
        starts = (*beginnings, *(f".{start}" for start in beginnings))
        return [name for name in names if name.startswith(starts)]

    def _having(self, folder: Folder, table: str, more: frozenset[str]) -> Folder:
        return folder.having(more, self.names(table, more))

    def _refresh(self) -> None:
        """Empty fsspec's cache of listings."""
        self.client.fs_client.invalidate_cache()
