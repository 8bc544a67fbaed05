"""Settings of dlt's destinations, found once for many steps of a run.

dlt looks them up for each client that it makes and for each question what a destination can do, some thirty times a
load package, each time in the environment and in all files: half of what a small load takes.
"""

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

_KEPT = 60.0  # seconds: the keys of a cloud's role change while a run lasts, and outlast this when they are handed out


@contextmanager
def resolved_once(*destinations: Any) -> Iterator[None]:
    """While inside, have destinations remember their settings for a minute; afterwards they remember nothing.

    All clients that one makes in that time share them, as those of one load do anyway: of DuckDB, a connection, too.

    Args:
        destinations: of dlt's; None is none.
    """
    present = [destination for destination in destinations if destination]
    for destination in present:
        destination.configuration = _remembering(destination.configuration)
    try:
        yield
    finally:
        for destination in present:
            del destination.configuration  # dlt may hold on to its last pipeline, and to its destination


def _remembering(resolve: Callable[..., Any]) -> Callable[..., Any]:
    found: dict[Hashable, tuple[float, Any]] = {}

    def configuration(initial_config: Any, accept_partial: bool = False) -> Any:
        """See `Destination.configuration` in dlt's `dlt/common/destination/reference.py`."""
        given = _partial if accept_partial else _given(initial_config)
        until, config = found.get(given, (0.0, None))
        if time.monotonic() >= until:
            config = resolve(initial_config, accept_partial=accept_partial)
            found[given] = time.monotonic() + _KEPT, config
        return config

    return configuration


_partial = "what dlt knows of capabilities, for which it makes credentials that say nothing"


def _given(initial_config: Any) -> Hashable:
    """Return what tells settings apart that are known beforehand, such as the dataset."""
    plain = (str, int, float, type(None))
    # `initial_config` becomes the settings that are remembered, so what has an identity lives as long as they do
    values = ((name, value if isinstance(value, plain) else id(value)) for name, value in initial_config.items())
    return type(initial_config), *values
