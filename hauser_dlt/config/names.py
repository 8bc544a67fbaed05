"""Where each setting stands: its name on the command line, in the environment and in TOML -> its path. No I/O."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hauser_dlt.config.declaration import SettingPath, Settings
from hauser_dlt.config.run_settings import FORMER, BigQuerySettings, RedshiftSettings, RunSettings, SnowflakeSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ConfigError

SOURCE = SourceSettings.section
RUN = RunSettings.section
KINDS: tuple[type[Settings], ...] = (
    SourceSettings,
    RunSettings,
    RedshiftSettings,
    BigQuerySettings,
    SnowflakeSettings,
)
"""All dataclasses of settings."""

OF_SOURCE = {declared.name for declared in fields(SourceSettings)}
OF_RUN = {declared.name for declared in fields(RunSettings)} | {former[-1] for former in FORMER.values()}


def variable(path: SettingPath) -> str:
    """Return the environment's name of a setting."""
    return "__".join(path).upper() if len(path) > 1 else path[0]


def key(path: SettingPath) -> str:
    """Return the name of a setting in TOML, behind its section."""
    section = ".".join(path[:-1])
    return f"[{section}] {path[-1]}" if section else path[-1]


def short_name(kind: type[Settings], name: str) -> str:
    """Return the shortest name of a setting; those of destinations need their path."""
    return name if kind.section in (SOURCE, RUN) else ".".join((*kind.section, name))


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
    if first in OF_SOURCE:
        return [*SOURCE, first, *([inner] if dot else [])]
    if dot and all(name.split(".")):
        return name.split(".")
    if first in OF_RUN:
        return [*RUN, first]
    raise ConfigError(f"{label}: there is no such setting; `hauser-dlt init` writes a file with all of them")
