"""A destination of dlt's that resolves its settings once for its capabilities.

dlt asks for the capabilities at each step of a load, and looks up all settings for them each time, in the environment
and in all files: a third of what a small load takes. They do not change while a run lasts.
"""

from typing import Any


def resolve_once(destination: Any) -> None:
    """Have a destination remember what it resolves partially, which dlt does for its capabilities alone.

    See `Destination.capabilities` in dlt's `dlt/common/destination/reference.py`.
    """
    resolve = destination.configuration
    found: list[Any] = []

    def configuration(initial_config: Any, accept_partial: bool = False) -> Any:
        if not accept_partial:
            return resolve(initial_config)
        if not found:
            found.append(resolve(initial_config, accept_partial=True))
        return found[0]

    destination.configuration = configuration
