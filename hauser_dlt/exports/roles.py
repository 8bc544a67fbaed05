"""What a key's role allows (`GET /me`, https://developer.fullstory.com/server/v1/authentication/me/).

FullStory maps USER to the permission Standard, ARCHITECT to Architect and ADMIN to Admin; to create an export and to
fetch its results take Architect. It lists VIEW_ONLY, UMBRELLA_MANAGER and UNKNOWN without saying what they may do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hauser_dlt.errors import AccessError, HauserError, StoppedError
from hauser_dlt.exports.client import Client
from hauser_dlt.exports.http_errors import ForbiddenError

EXPORTING = ("ARCHITECT", "ADMIN")
_TOO_LOW = ("USER", "VIEW_ONLY")
_NEEDED = "exports need a key of the Architect role or above"


def role_of(account: dict[str, Any]) -> str:
    """Return the role that FullStory tells; "" if it tells none."""
    return str(account.get("role") or "")


def refuse_too_low(account: dict[str, Any]) -> None:
    """Refuse a key that cannot export.

    Raises:
        AccessError: names the role.
    """
    if (role := role_of(account)).upper() in _TOO_LOW:
        raise AccessError(f"the key's role is {role}; {_NEEDED}")


def doubt(account: dict[str, Any]) -> str:
    """Return what to warn of, where it is not known whether the key can export; "" where it can."""
    role = role_of(account)
    return "" if role.upper() in EXPORTING else f"whether a key of role {role or '(none)'} can export is not known"


@contextmanager
def naming_role(client: Client) -> Iterator[None]:
    """Inside, tell the key's role with the error where FullStory refuses the key."""
    try:
        yield
    except ForbiddenError as exc:
        raise _with_role(exc, client) from None


def _with_role(refused: AccessError, client: Client) -> AccessError:
    try:
        role = role_of(client.me(retry=False))
    except StoppedError:
        raise
    except HauserError:
        return refused
    return AccessError(f"{refused}; its role is {role}") if role else refused
