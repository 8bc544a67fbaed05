"""How the files of loads are called: by their window, in UTC, and by their load."""

from hauser_dlt.windows import Window

_STAMP = "%Y%m%dT%H%M%SZ"


def stamp(window: Window) -> str:
    """Return a window as it stands in file names."""
    return f"{window.start:{_STAMP}}-{window.end:{_STAMP}}"
