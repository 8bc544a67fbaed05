"""Capabilities of dlt's destinations: what can be told of them, and that they are found once.

dlt asks for them at each step of a load, and looks up all settings for them each time, in the environment
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


def text_limit(destination: Any) -> int | None:
    """Return how many bytes of text a column of a destination takes at the most; None is any number."""
    limits = destination.capabilities() if destination else None
    return limits.max_text_data_type_length if limits and limits.is_max_text_data_type_length_in_bytes else None
