"""Links to session replays in FullStory's app. Pure.

FullStory's SDK (fullstory-anywhere-activation, `segment-export.ts`) makes them of the account's id, which tells the
region by its end, and of the user and the session, of which the latter is unique for its user only.
A session is found under its account, its user and its number: `/ui/<orgId>/session/<UserId>%3A<SessionId>`.
"""

import re
from typing import Any
from urllib.parse import quote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from hauser_dlt.errors import ExportError

_API = re.compile(r"(?:api|export)\.((?:\w+\.)?fullstory\.com)")


def beginning(account: dict[str, Any], base_url: str) -> str:
    """Return what the links of an account begin with.

    Args:
        account: FullStory's answer to GET /me.
        base_url: the API's address, which tells the region where the account's id does not.

    Raises:
        ExportError: the answer does not name the account.
    """
    org = account.get("orgId")
    if not org or not isinstance(org, str):
        raise ExportError("GET /me: FullStory names no orgId, and session_replay_url needs it")
    own = _API.fullmatch(urlsplit(base_url).hostname or "")
    host = "eu1.fullstory.com" if org.endswith("-eu1") else own[1] if own else "fullstory.com"
    return f"https://app.{host}/ui/{quote(org, safe='')}/session/"


def links(start: str, users: pa.Array, sessions: pa.Array) -> pa.Array:
    """Return a link for each event; NULL where its user or its session is not known."""
    if not start:
        return pa.nulls(len(users), pa.string())
    texts = (users.cast(pa.string()), sessions.cast(pa.string()))
    return pc.binary_join_element_wise(start, texts[0], "%3A", texts[1], "", null_handling="emit_null")
