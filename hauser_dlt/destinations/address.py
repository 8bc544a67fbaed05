"""A database's address, driver://user:password@host:port/database, whose parts must be told apart for certain.

Drivers take the first @ for the end of a password; the rest of it they would tell as the host that they cannot find.
"""

import re

from hauser_dlt.config.lookup import find
from hauser_dlt.error_mapping import PERCENT_ENCODED
from hauser_dlt.errors import ConfigError

_HOSTS = r"(?:[\w.:,-]|\[[0-9A-Fa-f:.%]+\])*"
_CLEAR = re.compile(rf"(?:[^:/]*(?::[^@]*)?@)?{_HOSTS}(?:[/?][^@]*)?", re.ASCII)


def refuse_ambiguous(destination: str) -> None:
    """Make sure that a destination's credentials, if they are an address, have a password that is encoded.

    Raises:
        ConfigError: it is not, and how to encode it.
    """
    for sections in (("destination", destination), ("destination",), ()):  # as dlt looks for it
        if found := find("credentials", *sections):
            address, place = found
            if isinstance(address, str) and not is_clear(address):
                raise ConfigError(f"the address in {place}: where its password ends cannot be told; {PERCENT_ENCODED}")
            return


def is_clear(address: str) -> bool:
    """Tell whether it is certain where the password ends. What names no host has none."""
    _, scheme, rest = address.strip().partition("://")
    return not scheme or rest.startswith("/") or _CLEAR.fullmatch(rest) is not None
