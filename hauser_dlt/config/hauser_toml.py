"""The TOML configuration of the Go hauser, both generations -> the same settings as ours.

`KEYS` (in `hauser_keys`) says which setting takes a key's value over, in dlt's naming. Other keys are joined by rules:

* Provider (before: Warehouse) and StorageOnly (before: S3Only, GCSOnly) choose `hauser.destination`: `filesystem`,
  or `redshift` or `bigquery` with `hauser.staging = "filesystem"`.
* SaveDir or Bucket, and FilePrefix as a folder below it, make `destination.filesystem.bucket_url`.
* ApiURL or ExportURL choose `sources.fullstory.api` and are its `base_url`; SaveAsJson chooses `hauser.file_format`.
* Credentials become `destination.redshift.staging_iam_role`, or keys under `destination.filesystem.credentials`.
* For files, `hauser.hauser_sync_file` says where hauser's checkpoint may lie, unless UseStartTime says where to start.

An empty text counts as left out, and so does a duration of 0 where hauser has a default. Of sections that the provider
does not use, only the keys' names are looked at. Secrets may be left out, since dlt has its own places for them; in
hauser's example they are placeholders in angle brackets, which count as left out, too.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hauser_dlt.config.hauser_keys import KEYS, ROLE, Key, idle
from hauser_dlt.errors import ConfigError

CHECKPOINT = ".sync.hauser"


@dataclass(frozen=True, slots=True)
class HauserConfig:
    """What a hauser's configuration says, in our words."""

    settings: dict[str, Any] = field(repr=False)  # holds secrets
    warnings: tuple[str, ...]


_MAY_BE_PLACEHOLDERS = ("FsApiToken", "StartTime", "[local] StartTime", "[redshift] Password")
# of hauser's example, which is no TOML before that line is filled in
_BARE_PLACEHOLDER = re.compile(r"(?m)^([ \t]*\w+[ \t]*=[ \t]*)<[^\"'<>\n\r]*>(?=[ \t]*(?:#.*)?\r?$)")
_KNOWN = {key.label.lower(): key for key in KEYS}
_SECTIONS = {key.section for key in KEYS} - {""}
_SCHEMES = {"s3": "s3", "gcs": "gs"}
_PROVIDERS: dict[Any, str] = {"redshift": "aws", "bigquery": "gcp", "local": "local"}


@dataclass(frozen=True, slots=True)
class _File:
    """A configuration file: what it spells out, by the labels of `KEYS`."""

    path: Path
    spelled: dict[str, Any]

    def value(self, label: str) -> Any:
        """Return a key's value as read, or None where the file leaves it out."""
        if label not in self.spelled:
            return None
        try:
            return _KNOWN[label.lower()].parse(self.spelled[label])
        except ValueError as exc:
            raise _error(f"{self.shown(label)} in {self.path}: allowed is {exc}") from None

    def shown(self, label: str) -> str:
        """Return `key = value` for people; an @ may mean that an address holds a password."""
        value = json.dumps(self.spelled[label], ensure_ascii=False, default=str)
        return f"{label} = {'(hidden)' if _KNOWN[label.lower()].hide or '@' in value else value}"


def read_hauser_toml(path: Path) -> HauserConfig:
    """Return the settings that a hauser's configuration file means.

    Raises:
        ConfigError: names the file, and the first key that is wrong or missing.
    """
    spelled, unknown = _spelled(path, _load(path))
    file = _File(path, spelled)
    storage, destination = _target(file)
    keys = [key for key in KEYS if key.section in ("", storage, destination)]
    for key in keys:
        _refuse_placeholder(file, key)
    values = {key.label: file.value(key.label) for key in keys if key.label in file.spelled}
    if missing := [key for key in keys if key.need and key.label not in values]:
        raise _error(f"{missing[0].label} is missing in {path}: set it to {missing[0].need}")

    flat = _defaults(values) | {key.to: values[key.label] for key in keys if key.to and key.label in values}
    flat |= _api(values) | _place(storage, destination, values) | values.get("[redshift] Credentials", {})
    flat |= _start(storage, values) if destination == "filesystem" else {}
    warnings = (*unknown, *_warnings(path, values, flat))
    return HauserConfig(_nested(flat), tuple(map(_printable, warnings)))


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_BARE_PLACEHOLDER.sub(r'\1""', path.read_bytes().decode("utf-8-sig")))
    except OSError as exc:
        raise _error(f"cannot read {path}: {exc.strerror}") from None
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise _error(f"{path} is not UTF-8 (at line {line}): save it as UTF-8") from None
    except (ValueError, RecursionError) as exc:
        raise _error(f"{path} is not TOML: {exc}") from None


def _spelled(path: Path, tables: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the file's values by the labels of `KEYS`, whatever the case of its own, and a warning of other keys."""
    spelled: dict[str, Any] = {}
    unknown: list[str] = []
    for found, value in _entries(path, tables):
        if found.lower() not in _KNOWN:
            unknown.append(f"{found} ({_nearest(found)})")
            continue
        label = _KNOWN[found.lower()].label
        if label in spelled:
            raise _error(f"{label} stands twice in {path}, in different cases: keep one")
        spelled[label] = value
    left_out = {label for label, value in spelled.items() if value == "" or _stands_for_default(label, value)}
    warning = [f"unknown in {path}, and not used: {', '.join(unknown)}"] if unknown else []
    return {label: value for label, value in spelled.items() if label not in left_out}, warning


def _stands_for_default(label: str, value: Any) -> bool:
    """Tell whether hauser takes its default for a value: a duration of 0, or what others fill in for the example's."""
    if label in ("ExportDuration", "ExportDelay"):
        return re.fullmatch(r"0+(\.0*)?[a-z\u00b5\u03bc]*", str(value).strip()) is not None
    return label in _MAY_BE_PLACEHOLDERS and re.fullmatch(r"\s*<[^<>]*>\s*", str(value)) is not None


def _refuse_placeholder(file: _File, key: Key) -> None:
    """Refuse what the example's author left for users to fill in."""
    value = file.spelled.get(key.label)
    if isinstance(value, str) and not (key.hide and key.label != ROLE) and re.search(r"<[^<>]*>", value):
        raise _error(f"{key.label} in {file.path} still holds its placeholder: {_fill(key)}")


def _fill(key: Key) -> str:
    return f"set it to {key.need}" if key.need else "fill it in, or remove the line"


def _entries(path: Path, tables: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for found, value in tables.items():
        if (section := found.lower()) not in _SECTIONS:
            yield (f"[{section}]" if isinstance(value, dict) and section not in _KNOWN else found), value
        elif isinstance(value, dict):
            yield from ((f"[{section}] {inner}", item) for inner, item in value.items())
        else:
            raise _error(f"{section} in {path} is not a section: write [{section}] and its keys below")


def _nearest(found: str) -> str:
    """Return what to do about an unknown key; where a name stands in several sections, its own section's is meant."""
    section, _, bare = found.lower().rpartition(" ")
    names = {section: f"[{section}]" for section in _SECTIONS}
    for label in sorted(_KNOWN, key=lambda label: label.rpartition(" ")[0] == section):
        names[label.split()[-1]] = _KNOWN[label].label
    close = get_close_matches(bare, names, n=1)
    return f"the nearest known is {names[close[0]]}" if close else "no key of hauser's"


def _printable(line: str) -> str:
    """Return one line, whatever the file's keys and its name hold."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


def _error(line: str) -> ConfigError:
    return ConfigError(_printable(line))


def _target(file: _File) -> tuple[str, str]:
    """Return the section of the storage, and dlt's destination."""
    provider = file.value("Provider") or _PROVIDERS.get(file.value("Warehouse"))
    if provider is None:
        raise _error(f"Provider is missing in {file.path}: set it to local, aws or gcp")
    if provider == "local":
        return "local", "filesystem"
    storage, warehouse, old = ("s3", "redshift", "S3Only") if provider == "aws" else ("gcs", "bigquery", "GCSOnly")
    storage_only = file.value("StorageOnly") or file.value(f"[{storage}] {old}")
    return storage, "filesystem" if storage_only else warehouse


def _defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Return hauser's defaults that differ from ours or hang on other keys."""
    by_day = values.get("GroupFilesByDay", False)
    return {"hauser.group_by_day": by_day, "sources.fullstory.export_duration": "24h" if by_day else "1h"}


def _api(values: dict[str, Any]) -> dict[str, Any]:
    for key, api in (("ApiURL", "segment_export"), ("ExportURL", "data_export")):
        if key in values:
            return {"sources.fullstory.api": api, "sources.fullstory.base_url": values[key]}
    return {"sources.fullstory.api": "segment_export"}


def _place(storage: str, destination: str, values: dict[str, Any]) -> dict[str, Any]:
    place = f"{_root(storage, values)}/{values.get('FilePrefix', '')}".rstrip("/")
    flat = {"destination.filesystem.bucket_url": place, "hauser.destination": destination}
    if destination == "filesystem":
        as_json = values.get("SaveAsJson", values.get("[local] SaveAsJson"))
        return flat | {"hauser.file_format": "json" if as_json else "csv"}
    return flat | {"hauser.staging": "filesystem"}


def _root(storage: str, values: dict[str, Any]) -> str:
    """Return the folder or bucket, without FilePrefix."""
    if storage == "local":
        return str(values["[local] SaveDir"])
    return f"{_SCHEMES[storage]}://{values[f'[{storage}] Bucket']}"


def _start(storage: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return where the first run starts: the time that hauser was told to use, or its newest checkpoint."""
    if storage == "local" and values.get("[local] UseStartTime"):
        start = values.get("[local] StartTime")
        return {"sources.fullstory.start_time": start} if start else {}
    root, prefix = _root(storage, values), values.get("FilePrefix", "")
    # hauser looks for its checkpoint in the folder, and writes it behind the prefix
    places = [f"{root}/{CHECKPOINT}", f"{root}/{prefix}{CHECKPOINT}", f"{root}/{prefix}/{CHECKPOINT}"]
    return {"hauser.hauser_sync_file": places if prefix else places[0]}


def _warnings(path: Path, values: dict[str, Any], flat: dict[str, Any]) -> Iterator[str]:
    unused = [label for label in values if _KNOWN[label.lower()].parse is idle]
    unused += ["ExportURL"] if {"ApiURL", "ExportURL"} <= set(values) else []
    unused += ["Warehouse"] if {"Provider", "Warehouse"} <= set(values) else []
    unused += ["SaveAsJson"] if values.get("SaveAsJson") and "hauser.staging" in flat else []
    if unused:
        yield f"without meaning any more, in {path}: {', '.join(unused)}"


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Return dicts of dicts for dotted names."""
    tree: dict[str, Any] = {}
    for dotted, value in flat.items():
        *parents, last = dotted.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = value
    return tree
