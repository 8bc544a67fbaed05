"""The settings of the source as arguments of a function: the signature is made from the settings' declarations."""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from functools import partial, wraps
from inspect import Parameter, Signature
from textwrap import TextWrapper
from typing import Any, TypeVar

from dlt.common.configuration.specs.base_configuration import BaseConfiguration, configspec

from hauser_dlt.config import parsers, reading
from hauser_dlt.config.lookup import find
from hauser_dlt.config.names import SOURCE
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ConfigError

END_TIME = "end_time"
"""The one argument that is no setting of a run; it stands behind `start_time`."""

_SPELLED: dict[type, Any] = {dict: dict[str, str], list: list[str]}

R = TypeVar("R")


def takes_settings(source: Callable[[SourceSettings, datetime | None], R]) -> Callable[..., R]:
    """Make of a function of (settings, end of the interval) one that has an argument for each setting.

    Its signature shows each with its default, and its documentation explains each.

    Raises:
        ConfigError: when it is called, and a setting is missing or wrong.
    """
    signature = Signature(list(_parameters()), return_annotation=inspect.signature(source).return_annotation)

    @wraps(source)
    def with_arguments(*args: Any, **kwargs: Any) -> R:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return source(*_read(bound.arguments))

    setattr(with_arguments, "__signature__", signature)  # noqa: B010 - mypy knows no such attribute of functions
    with_arguments.__doc__ = inspect.cleandoc(source.__doc__ or "").replace("Args:\n", f"Args:\n{_explained()}\n", 1)
    return with_arguments


def as_found() -> type[BaseConfiguration]:
    """Return a specification by which dlt hands over what it finds; by defaults, it would make text of lists.

    None is what dlt finds nowhere, and stands for the default.
    """
    names = [parameter.name for parameter in _parameters()]
    body = {"__module__": __name__, "__annotations__": dict.fromkeys(names, Any | None), **dict.fromkeys(names)}
    return configspec(type("Arguments", (BaseConfiguration,), body))


def found(given: Mapping[str, Any], name: str) -> tuple[Any, str] | None:
    """Return a setting as an argument or dlt gives it, and where it stands; None stands for the default."""
    value = _key(given[name]) if name == "api_token" else given[name]
    return None if value is None else (value, "argument or dlt's configuration")


def _parameters() -> Iterator[Parameter]:
    for declared in fields(SourceSettings):
        yield _parameter(declared.name, declared.metadata["default"], declared.type)
        if declared.name == "start_time":
            yield _parameter(END_TIME, "", datetime | None)


def _parameter(name: str, default: Any, meant: Any) -> Parameter:
    """Return an argument that takes what is meant, or how it is spelled."""
    spelled = _SPELLED.get(type(default), type(default))
    taken = spelled if isinstance(default, dict) else spelled | meant
    return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=taken)


def _explained() -> str:
    lines = (
        f"{each.name}: {each.metadata['help']} Default: {each.metadata['default']!r}."
        for each in fields(SourceSettings)
    )
    wrap = TextWrapper(110, initial_indent=" " * 4, subsequent_indent=" " * 8, break_on_hyphens=False)
    return "\n".join(map(wrap.fill, lines))


def _read(given: Mapping[str, Any]) -> tuple[SourceSettings, datetime | None]:
    settings = reading.read(SourceSettings, partial(found, given))
    spelled = given[END_TIME]
    try:
        end = parsers.moment("" if spelled is None else spelled)
    except ValueError as exc:
        raise ConfigError(f"end_time = {spelled!r} (from argument or dlt's configuration): allowed is {exc}") from None
    if end and settings.start_time and end <= settings.start_time:
        raise ConfigError(f"end_time = {spelled!r}: it must lie after start_time, {settings.start_time.isoformat()}")
    return settings, end


def _key(given: Any) -> Any:
    """Return the API key: FULLSTORY_API_TOKEN is stronger than all that stands in files, but not than an argument."""
    configured = find("api_token", *SOURCE, hide=True)
    if given and (configured is None or given != configured[0]):
        return given
    return os.environ.get("FULLSTORY_API_TOKEN") or given or (configured and configured[0])
