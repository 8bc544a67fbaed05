"""Looking settings up: the strongest value of a name, and where it stands, by the rules of dlt."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import EnvironProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.typing import TSecretValue

from hauser_dlt.config.names import RUN, SOURCE
from hauser_dlt.config.providers import Relay
from hauser_dlt.config.run_settings import RunSettings

_SHARED = (("sources",), ("destination",))
_PIPELINE = next(each.metadata["default"] for each in fields(RunSettings) if each.name == "pipeline_name")


def find(key: str, *sections: str, hide: bool = False) -> tuple[Any, str] | None:
    """Return the strongest value of a key, as spelled, and where it stands; dlt would find the same one.

    What stands under the pipeline's name is stronger than all that does not, wherever it is found.

    Args:
        key: its name.
        sections: its path.
        hide: a secret, which may lie in a file of Docker's or Kubernetes' own, too.
    """
    hint: Any = TSecretValue if hide else str
    paths = tuple(_paths(sections))
    return _value_of(key, hint, pipeline_name(), *paths) or _value_of(key, hint, None, *paths)


def pipeline_name() -> str:
    """Return the pipeline's name, wherever it stands."""
    found = _value_of("pipeline_name", str, None, RUN)
    return str(found[0]) if found else _PIPELINE


def _paths(sections: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield where dlt looks for a key: a source's may stand one level deeper, and all may share a value."""
    if sections == SOURCE:
        yield (*SOURCE, SOURCE[-1])
    yield sections
    yield from [sections[:1]] if sections[:1] in _SHARED and sections[1:] else []


def _value_of(key: str, hint: Any, pipeline: str | None, *paths: tuple[str, ...]) -> tuple[Any, str] | None:
    for provider in providers():
        for path in paths:
            value, place = provider.get_value(key, hint, pipeline, *path)
            other = isinstance(value, Mapping) and path in _SHARED  # [sources.segments], say
            if value is not None and not other:
                return _plain(value), place if isinstance(provider, EnvironProvider) else provider.name
    return None


def _plain(value: Any) -> Any:
    """Unwrap the values of tomlkit, which remember how they were written."""
    return value.unwrap() if hasattr(value, "unwrap") else value


def providers() -> Iterator[ConfigProvider]:
    """Yield all that this thread's settings come from, strongest first."""
    for provider in Container()[PluggableRunContext].providers.providers:
        yield from provider.inner() if isinstance(provider, Relay) else [provider]
