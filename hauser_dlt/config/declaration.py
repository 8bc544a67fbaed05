"""How a setting is declared: a field of a dataclass, with its default, its parser and its explanation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

SettingPath = tuple[str, ...]
"""Where a setting stands: its sections, and its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one section."""

    section: ClassVar[SettingPath]


def setting(default: Any, parse: Callable[[Any], Any], help: str, *, hide: bool = False) -> Any:
    """Declare a setting: its default as a user would spell it, its parser, its explanation; `hide` its value."""
    return field(metadata={"default": default, "parse": parse, "help": help, "hide": hide}, repr=not hide)
