"""The settings of one run as dlt config providers, seen by the thread that runs it and by nobody else.

dlt has one list of providers for the whole process. While runs of ours are under way, three more stand in it, which
know nothing unless the thread that asks belongs to a run (https://dlthub.com/docs/general-usage/credentials/setup).
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import EnvironProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.base_configuration import ContainerInjectableContext, configspec
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import PipelineContext

from hauser_dlt.redaction import SecretRedactingFilter

ABOVE, BELOW, LAST = "stronger than the environment", "weaker than the environment", "weakest"


@configspec
class RunProviders(ContainerInjectableContext):
    """What a run brings along: providers of each rank, strongest first.

    dlt keeps such a context for each thread, and shares it with the threads of its own pools.
    """

    can_create_default: ClassVar[bool] = False

    ranks: Any = None


class Relay(ConfigProvider):
    """Answers for the providers of the run that the asking thread belongs to."""

    def __init__(self, rank: str) -> None:
        self._rank = rank

    def inner(self) -> Sequence[ConfigProvider]:
        """Return the run's providers of this rank; none outside of a run."""
        container = Container()
        found: Sequence[ConfigProvider] = container[RunProviders].ranks[self._rank] if RunProviders in container else ()
        return found

    def get_value(self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str) -> tuple[Any, str]:
        """Return the first value that is found; see dlt."""
        name = key
        for provider in self.inner():
            value, name = provider.get_value(key, hint, pipeline_name, *sections)
            if value is not None:
                return value, name
        return None, name

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to look for."""
        return all(provider.is_empty for provider in self.inner())

    @property
    def name(self) -> str:
        """How dlt calls it in messages."""
        return f"hauser-dlt ({self._rank})"

    @property
    def supports_secrets(self) -> bool:
        """Whether secrets may stand there."""
        return True

    @property
    def supports_sections(self) -> bool:
        """Whether keys have paths."""
        return True


_FILTER = SecretRedactingFilter()  # of runs alone: another one may stay in dlt's log when they end
_lock = threading.Lock()
_runs = 0


@contextmanager
def of_run(ranks: Mapping[str, Sequence[ConfigProvider]]) -> Iterator[None]:
    """While inside, this thread's settings are those of a run, and its pipeline is nobody else's active one."""
    with _relayed():
        container = Container()
        with container.injectable_context(RunProviders(ranks)), container.injectable_context(PipelineContext()):
            yield


@contextmanager
def _relayed() -> Iterator[None]:
    """While a run is inside, dlt asks for the settings of runs, and its log keeps their secrets."""
    global _runs  # noqa: PLW0603 - counts the runs of the process, whose list of providers it is
    with _lock:
        _runs += 1
        if _runs == 1:
            _set_providers(_with_relays)
            logging.getLogger("dlt").addFilter(_FILTER)
    try:
        yield
    finally:
        with _lock:
            _runs -= 1
            if not _runs:
                _set_providers(_without_relays)
                logging.getLogger("dlt").removeFilter(_FILTER)


def _set_providers(change: Callable[[Sequence[ConfigProvider]], Iterable[ConfigProvider]]) -> None:
    container = Container()[PluggableRunContext].providers
    container.providers = list(change(container.providers))


def _without_relays(providers: Sequence[ConfigProvider]) -> Iterator[ConfigProvider]:
    return (provider for provider in providers if not isinstance(provider, Relay))


def _with_relays(providers: Sequence[ConfigProvider]) -> Iterator[ConfigProvider]:
    yield Relay(ABOVE)
    for provider in providers:
        yield provider
        if isinstance(provider, EnvironProvider):
            yield Relay(BELOW)
    yield Relay(LAST)
