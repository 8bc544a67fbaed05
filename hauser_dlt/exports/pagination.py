"""FullStory's lists, which come a page at a time."""

from collections.abc import Callable, Iterator
from typing import Any

from hauser_dlt.errors import ExportError

_MOST_PAGES = 1000  # of 100 rows


def pages(
    ask: Callable[[dict[str, str]], dict[str, Any]], query: dict[str, str], name: str
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a list.

    Args:
        ask: a query -> FullStory's answer.
        name: under which an answer has its rows.

    Raises:
        ExportError: it is no list of objects, or has no end.
    """
    seen: set[str] = set()
    for _ in range(_MOST_PAGES):
        page = ask(query)
        rows = page.get(name) or []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ExportError(f"FullStory's list of {name} is not what was expected")
        yield from rows
        token = page.get("nextPaginationToken")
        if not token:
            return
        if not isinstance(token, str) or token in seen:
            break
        seen.add(token)
        query = query | {"paginationToken": token}
    raise ExportError(f"FullStory's list of {name} does not come to an end")
