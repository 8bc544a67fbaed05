"""Settings that stand where they stood in earlier versions: they are still read, with a warning."""

from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

from hauser_dlt.config.declaration import SettingPath, Settings
from hauser_dlt.config.lookup import find
from hauser_dlt.config.names import key
from hauser_dlt.config.reading import read
from hauser_dlt.config.run_settings import FORMER

S = TypeVar("S", bound=Settings)


def read_of_destination(kind: type[S], destination: str) -> S:
    """Return the settings of one type of destination.

    Args:
        destination: what the settings call theirs: dlt's name of a type, or one that has a section of its own.

    Raises:
        ConfigError: a setting is wrong.
    """
    return read(kind, partial(_found, kind.section, destination))


def deprecations(destination: str) -> Iterator[str]:
    """Yield a warning for each setting that stands where it stood in earlier versions."""
    for (*section, name), former in FORMER.items():
        if old := find(former[-1], *former[:-1]):
            new, place = key((*section, name)), f"{key(former)} (from {old[1]})"
            if found := _current(tuple(section), destination, name):
                yield f"{place} is ignored, since {new} (from {found[1]}) is set: remove it"
            else:
                yield f"{place} is deprecated: set {new} instead"


def _found(section: SettingPath, destination: str, name: str) -> tuple[Any, str] | None:
    if found := _current(section, destination, name):
        return found
    former = FORMER.get((*section, name), ())
    old = find(former[-1], *former[:-1]) if former else None
    return old and (old[0], f"{old[1]}, as {key(former)}")


def _current(section: SettingPath, destination: str, name: str) -> tuple[Any, str] | None:
    return find(name, "destination", destination) or find(name, *section)
