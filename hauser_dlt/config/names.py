"""Where each setting stands: its name on the command line, in the environment and in TOML -> its path. No I/O."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hauser_dlt.config.settings import RunSettings, SourceSettings
from hauser_dlt.errors import ConfigError

SettingPath = tuple[str, ...]
"""Where a setting stands: its sections, and its name."""

SOURCE = ("sources", "fullstory")
RUN = ("hauser",)


def variable(path: SettingPath) -> str:
    """Return the environment's name of a setting."""
    return "__".join(path).upper() if len(path) > 1 else path[0]


def key(path: SettingPath) -> str:
    """Return the name of a setting in TOML, behind its section."""
    section = ".".join(path[:-1])
    return f"[{section}] {path[-1]}" if section else path[-1]


def nested(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings where dlt looks for them; a name without a path is one of ours.

    Raises:
        ConfigError: there is no such setting, or one stands below the value of another.
    """
    document: dict[str, Any] = {}
    for name, value in given.items():
        put(document, name, value, name)
    return document


def put(document: dict[str, Any], name: str, value: Any, label: str) -> None:
    """Put one setting where dlt looks for it.

    Args:
        label: how to call it in messages.

    Raises:
        ConfigError: there is no such setting, or one stands below the value of another.
    """
    *sections, key = path_of(name, label)
    place = document
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ConfigError(f"{label}: {section} has got a value already, so nothing can stand below it")
    place[key] = value


def path_of(name: str, label: str) -> list[str]:
    """Return the path of a setting; below one of ours stands a name that may hold dots, a custom variable's, say."""
    first, dot, inner = name.partition(".")
    if first in {declared.name for declared in fields(SourceSettings)}:
        return [*SOURCE, first, *([inner] if dot else [])]
    if dot and all(name.split(".")):
        return name.split(".")
    if first in {declared.name for declared in fields(RunSettings)}:
        return [*RUN, first]
    raise ConfigError(f"{label}: there is no such setting; `hauser-dlt init` writes a file with all of them")
