"""Folders, buckets and files of databases: each spelling means one place, or is refused.

A path stands for itself, character by character; in a `file:` URL, percent signs are escapes. What is relative lies
in the current directory, and `~` is a home directory. A `ValueError` says what is allowed.
"""

import os
import re
from pathlib import Path
from urllib.request import url2pathname

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)  # of two letters or more: C: is a drive
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROLS = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffd]")
_VARIABLE = re.compile(r"\$\{?[A-Za-z_]|%[A-Za-z_]+%[/\\]")
_AZURE = ("abfs", "abfss", "az")  # adlfs knows no azure://, and adl:// was another service, which is gone
AZURE = tuple(f"{scheme}://" for scheme in _AZURE)
"""What the URLs of Azure's containers begin with."""
_OF_ONE_KIND = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "azure": "az"}
_BUCKETS = ("s3", "gs", *_AZURE, "gdrive", "hf", "sftp")
_ALLOWED = "a folder, or a bucket such as s3://name/path, gs://name/path or az://name/path"


def place(spelled: str) -> str:
    """Return the one URL of a folder, of a bucket or of something in it, without a slash at the end."""
    scheme, rest = _parts(spelled)
    if scheme in ("", "file"):
        folder = _path(spelled.strip() if not scheme else _path_in_url(rest))
        if folder == folder.parent:
            raise ValueError(f"{_ALLOWED}; this is the root of all folders")
        return folder.as_uri()
    return _bucket(_OF_ONE_KIND.get(scheme, scheme), rest)


def local_path(url: str) -> Path | None:
    """Return the path of what `place` has returned, or None of a bucket."""
    return Path(url2pathname(url.removeprefix("file://"))) if url.startswith("file:") else None


def database_file(spelled: str) -> str:
    """Return the path of a DuckDB database; `duckdb:///` may stand before it, and dlt's `:pipeline:` stays."""
    text = spelled.strip()
    scheme, rest = _parts(text)
    if text in (":pipeline:", ":external:") or (scheme == "duckdb" and rest.startswith("///") and "?" in rest):
        return text
    if scheme == "duckdb" and rest.startswith("///"):
        return _relative(url2pathname(rest[3:]))
    if scheme == "file":
        return _relative(_path_in_url(rest))
    if scheme or text.startswith(":"):
        raise ValueError('a file\'s path, or duckdb:///path; databases of MotherDuck are destination = "motherduck"')
    return _relative(text)


def home(spelled: str) -> str:
    """Return a path where ~ is a home directory."""
    if _CONTROLS.search(spelled):
        raise ValueError("a path without control characters")
    try:
        return os.fspath(Path(spelled).expanduser()) if spelled.startswith("~") else spelled
    except RuntimeError:
        raise ValueError(f"a path; there is no home directory {spelled.partition('/')[0]}") from None


def _parts(spelled: str) -> tuple[str, str]:
    """Return the scheme in lower case, "" of a path, and what follows it."""
    text = spelled.strip()
    if not text or _CONTROLS.search(text):
        raise ValueError(_ALLOWED)
    if _DRIVE.match(text) and os.name != "nt" and not _SCHEME.fullmatch(text):
        raise ValueError(f"{_ALLOWED}; drives are of Windows")
    found = _SCHEME.fullmatch(text)
    return (found[1].lower(), found[2]) if found else ("", text)


def _path(text: str) -> Path:
    """Return the absolute path, with all symbolic links followed."""
    try:
        return Path(_relative(text)).resolve()
    except (OSError, RuntimeError):
        raise ValueError(f"{_ALLOWED}; this path leads nowhere") from None


def _relative(text: str) -> str:
    """Return a path as it is, but for ~ and slashes at its beginning."""
    if _VARIABLE.search(text):
        raise ValueError("a path without variables: nobody puts in their values here")
    path = home(text)
    return re.sub("^/{2,}", "/", path) if os.name != "nt" else path


def _path_in_url(rest: str) -> str:
    """Return the path in a URL, after `file:`."""
    if re.search(r"[?#]", rest):
        raise ValueError("a file: URL without ? and #, which are %3F and %23 in names")
    if rest.startswith("//"):
        host, _, path = rest[2:].partition("/")
        if host.lower() not in ("", "localhost"):
            raise ValueError(f"file:///... for a path from the root, or file:{host} for one in the current directory")
        rest = f"/{path}"
    path = url2pathname(rest)
    if not path or _CONTROLS.search(path):
        raise ValueError(_ALLOWED)
    return path


def _bucket(scheme: str, rest: str) -> str:
    bucket, _, path = rest.removeprefix("//").partition("/")
    if scheme not in _BUCKETS or not rest.startswith("//") or not bucket:
        raise ValueError(_ALLOWED)
    if "@" in bucket and (scheme not in _AZURE or ":" in bucket):
        raise ValueError("an address without user and password: these stand under [destination.filesystem.credentials]")
    names = [name for name in path.split("/") if name]
    if re.search(r"[?#\\]", rest) or {".", ".."}.intersection(names) or _VARIABLE.search(rest):
        raise ValueError(f"{_ALLOWED}, without . and .., ?, #, \\ and variables")
    return "/".join((f"{scheme}://{bucket}", *names))
