"""Where FullStory's APIs are. The key tells the region by its prefix, `eu1.` or `na1.`.

Sources: FullStory's SDK (fullstory-anywhere-activation, `utils.ts`) reads the prefix so, and takes every other key for
one of the default region; "Data Residency" (https://developer.fullstory.com/server/v1/getting-started) says that
`api.fullstory.com` passes requests on to the account's region. Of the legacy API, only `export.fullstory.com` is
documented, for accounts of all regions.
"""

import re

API = "https://api.fullstory.com"
DATA_EXPORT = "https://export.fullstory.com/api/v1"
_REGION = re.compile(r"([0-9a-z]+)\.")
_OWN_HOST = {"eu1"}


def region(key: str) -> str:
    """Return the region of an API key; "" for the default one, and where the key names none that we know."""
    named = _REGION.match(key)
    return named[1] if named and named[1] in _OWN_HOST else ""


def api(key: str) -> str:
    """Return the address of today's API for a key."""
    return f"https://api.{found}.fullstory.com" if (found := region(key)) else API


def api_beside(data_export: str) -> str:
    """Return the address of today's API that belongs to one of data exports; "" for FullStory's usual one."""
    scheme, _, rest = data_export.removesuffix("/api/v1").partition("://")
    host = f"api.{rest.removeprefix('export.')}" if rest.startswith("export.") else rest
    return "" if host == "api.fullstory.com" else f"{scheme}://{host}" if host else ""
