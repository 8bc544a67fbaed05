"""Names of settings that are misspelled, each with what was meant. No I/O.

dlt looks up the names that it knows. One that it does not know changes nothing, without a word: so it is refused here.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import dlt

from hauser_dlt.config.declaration import SettingPath
from hauser_dlt.config.names import KINDS, OF_RUN, OF_SOURCE, RUN, SOURCE, variable
from hauser_dlt.config.run_settings import FORMER

_NAMES: dict[SettingPath, set[str]] = {
    SOURCE: OF_SOURCE | {"end_time"},  # an argument of the source, too
    RUN: OF_RUN,
}
# by what they are called: the settings that stand among those of dlt
_OF_DESTINATIONS = {
    declared.name: (*kind.section, declared.name)
    for kind in KINDS
    if kind.section not in _NAMES
    for declared in fields(kind)
}
_NOW = {former: now for now, former in FORMER.items()}
_DOUBLED = (*SOURCE, "fullstory")  # the module's name and the source's: dlt reads the same settings there
# tables below [sources.fullstory] that dlt reads for itself
_INNER = {"bundles", "fs_export", "fs_sync", "fs_individuals", "fs_segments", "schema", "credentials"}
_OTHERS = {"pipeline_name", "dataset_name"}  # which dlt reads outside of any section, too, for other pipelines
_NEAR = 0.75  # by difflib's measure: as near as hauser_dlt is to hauser


@dataclass(frozen=True, slots=True)
class Misspelled:
    """A name that nobody reads.

    Attributes:
        path: as it is.
        meant: as it was meant; () if that cannot be told.
    """

    path: SettingPath
    meant: SettingPath


def in_document(document: Mapping[str, Any], pipeline: str) -> Iterator[Misspelled]:
    """Yield the misspelled names of a file of settings."""
    yield from filter(None, (_in_pipeline(path, pipeline) for path in _leaves(document)))


def in_environment(names: Iterable[str], pipeline: str) -> Iterator[Misspelled]:
    """Yield the misspelled names of variables: dlt reads those in upper case, with two underscores between sections."""
    for name in names:
        path = tuple(name.lower().split("__"))
        if meant := _WITH_UNDERSCORES.get(re.sub("_+", "_", name.lower())):
            if name != variable(meant):
                yield Misspelled((name,), _NOW.get(meant, meant))
        elif len(path) > 1 and (found := _in_pipeline(path, pipeline.lower())):
            yield found


def _in_pipeline(path: SettingPath, pipeline: str) -> Misspelled | None:
    """Return what is misspelled of a path; below a pipeline's name stands what is for that pipeline alone."""
    if found := _misspelled(path):
        return found
    if path[0] != pipeline or not (found := _misspelled(path[1:])):
        return None
    return Misspelled(path, (pipeline, *found.meant) if found.meant else ())


def _misspelled(path: SettingPath) -> Misspelled | None:
    """Return what is misspelled of a path; what was meant is told by where it stands now."""
    found = _unread(path)
    return found and Misspelled(found.path, _NOW.get(found.meant, found.meant))


def _unread(path: SettingPath) -> Misspelled | None:
    for section, names in _NAMES.items():
        if path == section:
            return Misspelled(path, ())
        if path[: len(section)] == section:
            return _unknown(section, path[len(section) :], names)
    meant = _in_destination(path) or _elsewhere(path)
    return Misspelled(path, meant) if meant and meant != path else None


def _unknown(section: SettingPath, rest: SettingPath, names: set[str]) -> Misspelled | None:
    """Return a name that is none of a section's."""
    name, *below = rest
    if below and (*section, name) == _DOUBLED:
        return _unknown(_DOUBLED, tuple(below), names)
    if name in names or (below and name in _INNER):
        return None
    others = [(*other, name) for other, known in _NAMES.items() if name in known]
    near = [(*section, close) for close in difflib.get_close_matches(name.lower(), names, 1)]
    return Misspelled((*section, name), (*others, *near, ())[0])


def _in_destination(path: SettingPath) -> SettingPath:
    """Return the key that was meant by one of a destination's; () if dlt reads it, or if nothing is near."""
    match path:
        case ("destination", kind, name, *below) if kind in dlt.destinations.__all__:
            ours = {name for name, now in _OF_DESTINATIONS.items() if now[1] == kind}
            known = {*getattr(dlt.destinations, kind)().spec.get_resolvable_fields(), *ours}
            near = difflib.get_close_matches(name.lower(), sorted(known), 1, _NEAR)
            meant = ("destination", kind, *near, *below) if near else _OF_DESTINATIONS.get(name, ())
            return () if name in known else meant
    now = _OF_DESTINATIONS.get(path[-1], ())
    return now if path == now[1:] else ()  # [redshift] varchar_max, say


def _elsewhere(path: SettingPath) -> SettingPath:
    """Return the path that was meant by one in a section that is none; () if it may well be somebody else's."""
    first, *rest = path
    if not rest:
        return next(((*section, first) for section, names in _NAMES.items() if first in names - _OTHERS), ())
    if _is_near(first, "sources") and rest[1:] and _is_near(rest[0], "fullstory"):
        return (*SOURCE, *rest[1:])
    if _is_near(first, "destination") and rest[1:] and rest[0] in dlt.destinations.__all__:
        return ("destination", *rest)
    if _is_near(first, "fullstory") and rest[0] in _NAMES[SOURCE]:
        return (*SOURCE, *rest)
    if _is_near(first, "hauser") and len(rest) == 1 and rest[0] in _NAMES[RUN]:
        return (*RUN, *rest)
    return ()


def _is_near(name: str, known: str) -> bool:
    return bool(difflib.get_close_matches(name.lower(), [known], 1, _NEAR))


def _leaves(document: Mapping[str, Any], above: SettingPath = ()) -> Iterator[SettingPath]:
    """Yield the paths of all values."""
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, str(name)))
        else:
            yield (*above, str(name))


_PATHS = [(*section, name) for section, names in _NAMES.items() for name in names] + list(_OF_DESTINATIONS.values())
_WITH_UNDERSCORES = {"_".join(path): path for path in _PATHS}
