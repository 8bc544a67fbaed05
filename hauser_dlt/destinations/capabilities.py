"""Capabilities of dlt's destinations: what can be told of them."""

from typing import Any


def text_limit(destination: Any) -> int | None:
    """Return how many bytes of text a column of a destination takes at the most; None is any number."""
    limits = destination.capabilities() if destination else None
    return limits.max_text_data_type_length if limits and limits.is_max_text_data_type_length_in_bytes else None
