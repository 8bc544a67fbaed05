"""Snowflake's stages: where files lie before COPY, and the statements that put, list and remove them.

https://docs.snowflake.com/en/user-guide/data-load-local-file-system-create-stage
"""

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from emulators.snowflake_errors import Refused, compilation_error
from emulators.snowflake_sql import identifiers

_LITERAL = r"'(?:[^'\\]|\\.|'')*'"
_PUT = re.compile(
    rf"PUT\s+(?P<file>{_LITERAL}|\S+)\s+(?P<stage>{_LITERAL}|@\S+)(?P<options>.*)", re.IGNORECASE | re.DOTALL
)
_REMOVE = re.compile(rf"(?:REMOVE|RM)\s+(?P<stage>{_LITERAL}|@\S+)", re.IGNORECASE)
_LIST = re.compile(rf"(?:LIST|LS)\s+(?P<stage>{_LITERAL}|@\S+)", re.IGNORECASE)
_CREATE = re.compile(rf"CREATE\s+STAGE\s+(?P<name>\S+)(?:\s+URL\s*=\s*(?P<url>{_LITERAL}))?", re.IGNORECASE)
_LOCATION = re.compile(r'@(?P<stage>~|(?:(?:"[^"]+"|[\w$%]+)\.)*(?:"[^"]+"|[\w$%]+))(?:/(?P<path>.*))?', re.DOTALL)


class Buckets(Protocol):
    """What external stages read from."""

    def read(self, url: str, credentials: dict[str, str] | None) -> dict[str, bytes]:
        """Return the objects below a URL, by their path in the bucket.

        Args:
            credentials: as COPY has them; None is what an integration of the account may.
        """


@dataclass
class Stages:
    """All stages of an account.

    Attributes:
        root: the folder of what lies in internal stages.
        external: name of a stage -> URL.
        removed: what has been removed, in order.
    """

    root: Path
    buckets: Buckets
    external: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    def handle(self, sql: str, schema: str, user: str) -> dict[str, Any] | list[tuple[Any, ...]] | None:
        """Carry out a statement about stages; return what PUT is told, or rows; None if it is another statement."""
        if found := _PUT.match(sql):
            return self._put(found, schema, user)
        if found := _REMOVE.match(sql):
            files = list(self._files(unquoted(found["stage"]), schema, user))
            for file in files:
                self.removed.append(str(file.relative_to(self.root)))
                file.unlink()
            return [(str(file.name), "removed") for file in files]
        if found := _LIST.match(sql):
            return [self._listed(file, user) for file in self._files(unquoted(found["stage"]), schema, user)]
        if found := _CREATE.match(sql):
            name = identifiers(found["name"])[-1]
            if found["url"]:
                self.external[name] = unquoted(found["url"])
            (self.root / "named" / name).mkdir(parents=True, exist_ok=True)
            return []
        return None

    def read(self, location: str, schema: str, user: str, credentials: dict[str, str] | None) -> dict[str, bytes]:
        """Return the files at a place: path -> content."""
        if not location.startswith("@"):
            return self.buckets.read(location, credentials)
        name, path = parsed(location)
        if url := self.external.get(identifiers(name)[-1]):
            return self.buckets.read(f"{url.rstrip('/')}/{path}", None)
        return {
            str(file.relative_to(self.root)): file.read_bytes() for file in sorted(self._files(location, schema, user))
        }

    def everything(self) -> list[Path]:
        """Return all files in internal stages."""
        return [path for path in self.root.rglob("*") if path.is_file()]

    def _put(self, found: "re.Match[str]", schema: str, user: str) -> dict[str, Any]:
        name, path = parsed(unquoted(found["stage"]))
        options = found["options"].upper()
        folder = self._folder(name, schema, user) / path
        folder.mkdir(parents=True, exist_ok=True)
        return {
            "src_locations": [unquoted(found["file"]).removeprefix("file://")],
            "stageInfo": {"locationType": "LOCAL_FS", "location": str(folder), "creds": {}},
            "autoCompress": not re.search(r"AUTO_COMPRESS\s*=\s*FALSE", options),
            "overwrite": bool(re.search(r"OVERWRITE\s*=\s*TRUE", options)),
            "sourceCompression": "auto_detect",
            "parallel": 4,
            "threshold": 200 << 20,
            "command": "UPLOAD",
            "encryptionMaterial": None,
            "kind": None,
            "operation": "Node",
        }

    def _files(self, location: str, schema: str, user: str) -> Iterator[Path]:
        """Yield what begins as a location does: a path is no folder, but a prefix."""
        name, path = parsed(location)
        folder = self._folder(name, schema, user)
        yield from (file for file in folder.rglob("*") if file.is_file() and self._key(file, folder).startswith(path))

    def _key(self, file: Path, folder: Path) -> str:
        return file.relative_to(folder).as_posix()

    def _folder(self, name: str, schema: str, user: str) -> Path:
        if name == "~":
            return self.root / "user" / user
        *above, last = identifiers(name)
        if last.startswith("%"):
            return self.root / "table" / (above[-1] if above else schema) / last[1:]
        folder = self.root / "named" / last
        if not folder.exists():
            raise compilation_error(2003, "02000", f"Stage '{last}' does not exist or not authorized.")
        return folder

    def _listed(self, file: Path, user: str) -> tuple[Any, ...]:
        name = file.relative_to(self.root).as_posix().removeprefix(f"user/{user}/").removeprefix("named/")
        return name, file.stat().st_size, etag(file.read_bytes()), "Wed, 1 May 2024 00:00:00 GMT"

    def clear(self) -> None:
        """Remove all files."""
        shutil.rmtree(self.root, ignore_errors=True)


def parsed(location: str) -> tuple[str, str]:
    """Return the stage and the path of a location; a path may be quoted in parts."""
    found = _LOCATION.fullmatch(location)
    if not found:
        raise Refused(1003, "42000", f"SQL compilation error: syntax error: {location}")
    return found["stage"], (found["path"] or "").replace('"', "")


def unquoted(literal: str) -> str:
    """Return what a literal stands for."""
    if not literal.startswith("'"):
        return literal
    return re.sub(r"\\(.)", r"\1", literal[1:-1].replace("''", "'"))


def etag(content: bytes) -> str:
    """Return by what COPY knows a file again."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
