"""CSS selectors in FullStory's two spellings: as CSS (`EventTargetSelector`), and in tokens (`EventTargetSelectorTok`).

Tokens are as in the sample export that FullStory published (hauser's `testing/testdata/raw.json`): a tag, class or id
each, `=name=value` for attributes, a blank in between, and what is no letter and no digit percent-encoded.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

SELECTOR = "EventTargetSelector"
SELECTOR_TOKENS = "EventTargetSelectorTok"
_PART = re.compile(r"(?P<kind>[.#]?)(?P<name>[\w-]+)|\[(?P<attribute>[\w-]+)=\"?(?P<value>[^\"\]]*)\"?\]")


def with_tokens(row: dict[str, Any]) -> dict[str, Any]:
    """Return an event with its selector in tokens, too, if it has one."""
    if SELECTOR not in row or SELECTOR_TOKENS in row:
        return row
    return row | {SELECTOR_TOKENS: tokens(row[SELECTOR])}


@cache
def tokens(selector: str) -> str:
    """Return a descendant selector in tokens."""
    return " ".join(_token(part) for part in _PART.finditer(selector))


def _token(part: re.Match[str]) -> str:
    if part["attribute"]:
        return f"={_encoded(part['attribute'])}={_encoded(part['value'])}"
    return part["kind"] + _encoded(part["name"])


def _encoded(text: str) -> str:
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}" for byte in text.encode())
