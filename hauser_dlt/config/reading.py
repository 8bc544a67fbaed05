"""How settings are read: spelled values, looked up by name -> a dataclass of settings."""

from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any, TypeVar

from hauser_dlt.config.declaration import Settings
from hauser_dlt.config.names import key
from hauser_dlt.errors import ConfigError

Lookup = Callable[[str], tuple[Any, str] | None]
"""Setting's name -> (its value as spelled, where that was found), or None where it is not set."""

_SHOWN = 200

S = TypeVar("S", bound=Settings)


def read(kind: type[S], lookup: Lookup) -> S:
    """Return the settings of one section.

    Raises:
        ConfigError: names the first setting that is wrong, its value, where it stands, and what is allowed.
    """
    return kind(**{each.name: _value(each, _label(kind, each.name), lookup(each.name)) for each in fields(kind)})


def _label(kind: type[Settings], name: str) -> str:
    """Return how a setting is called in messages: with its section where dlt's own settings stand beside it."""
    return key((*kind.section, name)) if kind.section[0] == "destination" else name


def _value(declared: "Field[Any]", label: str, found: tuple[Any, str] | None) -> Any:
    if declared.name == "api_token" and (found is None or found[0] == ""):
        raise ConfigError(
            "api_token is missing: set FULLSTORY_API_TOKEN, or api_token under [sources.fullstory] in .dlt/secrets.toml"
        )
    spelled, place = found or (declared.metadata["default"], "default")
    try:
        return declared.metadata["parse"](spelled)
    except ValueError as exc:
        raise ConfigError(f"{label} = {_shown(declared, spelled)} (from {place}): allowed is {exc}") from None


def _shown(declared: "Field[Any]", spelled: Any) -> str:
    """Return a value for people, of moderate length; a password may stand in an address."""
    if declared.metadata["hide"] or "@" in str(spelled):
        return "(hidden)"
    shown = repr(spelled)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
