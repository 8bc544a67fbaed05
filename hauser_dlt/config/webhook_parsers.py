"""Parsers of what the webhook's settings say; see `parsers`."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hauser_dlt.config.lists_and_tables import as_table
from hauser_dlt.config.parsers import has_controls


def address(value: Any) -> str:
    """Read an http or https address of any form, which may hold user, password and query; "" is none."""
    spelled = value.strip() if isinstance(value, str) else "?"
    try:
        parts = urlsplit(spelled)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if spelled and (not good or re.search(r"[\s\\]", spelled) or has_controls(spelled)):
        raise ValueError("an address such as https://example.com/hooks/...")
    return spelled


def tags(value: Any) -> dict[str, str]:
    """Read a table of tags; numbers and flags become text."""
    table = as_table(value)
    if not isinstance(table, Mapping) or not all(isinstance(tag, str | int | float) for tag in table.values()):
        raise ValueError('a table of name = text, such as { team = "growth" }')
    return {name: tag if isinstance(tag, str) else json.dumps(tag) for name, tag in table.items()}
