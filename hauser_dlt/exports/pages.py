"""FullStory's lists, which come a page at a time."""

from collections.abc import Callable, Iterator
from typing import Any

_MOST_PAGES = 100  # of 100 rows


def pages(ask: Callable[[dict[str, str]], Any], query: dict[str, str], name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a list, as far as they are objects.

    Args:
        ask: a query -> FullStory's answer.
        name: under which an answer has its rows.
    """
    seen: set[str] = set()
    for _ in range(_MOST_PAGES):
        answer = ask(query)
        page = answer if isinstance(answer, dict) else {}
        rows = page.get(name)
        yield from (row for row in (rows if isinstance(rows, list) else ()) if isinstance(row, dict))
        token = page.get("nextPaginationToken")
        if not token or not isinstance(token, str) or token in seen:
            return
        seen.add(token)
        query = query | {"paginationToken": token}
