"""`.dlt/*.toml` as dlt reads them, also with the byte-order mark that Windows' editors write."""

import os
from pathlib import Path
from typing import Any

import tomlkit

from hauser_dlt import dlt_internals


def skip_byte_order_marks() -> None:
    """Have dlt read its TOML files as Windows' editors write them, too; it would take the mark for a key's name."""
    dlt_internals.read_toml_files_by(_read_toml)


def _read_toml(_provider: Any, path: str) -> Any:
    """Return a file of settings; None if there is none."""
    if not os.path.isfile(path):  # noqa: PTH113 - no error where a folder may not be searched
        return None
    try:
        return tomlkit.parse(Path(path).read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8: save it as UTF-8") from None
