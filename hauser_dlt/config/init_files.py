"""The files `.dlt/config.toml` and `.dlt/secrets.toml`, written from the settings' declarations."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from textwrap import TextWrapper
from typing import Any

import tomlkit

from hauser_dlt.config.declaration import Settings
from hauser_dlt.config.names import KINDS
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ConfigError
from hauser_dlt.machine import unusable

_FILESYSTEM = """
[destination.filesystem]
# The folder or bucket that holds the tables, each as a folder: exports, s3://name/path,
# gs://name/path or az://container/path (which needs the extra "azure").
# bucket_url = "exports"
"""
_DESTINATIONS = """
# For dlt's own settings of each destination, see https://dlthub.com/docs/dlt-ecosystem/destinations/
"""
_RUNTIME = """
[runtime]
# Whether dlt sends usage statistics to its makers.
dlthub_telemetry = false
# Report failed runs to this Sentry project (`pip install 'hauser-dlt[sentry]'`). For Slack, see secrets.toml.
# sentry_dsn = ""
"""
_SECRETS = """# Keep this file secret, and out of version control.

[sources.fullstory]
# The API key, of the Architect role or above.
api_token = ""
# Headers to add to each request to FullStory.
# http_headers = {}

[hauser]
# Post a JSON document to this address when a run fails.
# webhook_url = ""

[runtime]
# Report failed runs to this Slack webhook.
# slack_incoming_hook = ""

# Credentials of destinations: dlt reads them from this file or the environment, but not from config.toml.
[destination.duckdb]
# The database file; by default <pipeline_name>.duckdb in the current folder. Its name must not be the dataset's.
# credentials = "events.duckdb"
"""

_OF_DESTINATIONS = {kind.section[1]: kind for kind in KINDS if kind.section[0] == "destination"}

_COMMENT = TextWrapper(110, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)

Document = Mapping[str, Any]


def config_text(values: Document) -> str:
    """Return `.dlt/config.toml` with every setting: as a comment where it has its default, else with its value.

    Args:
        values: nested in dlt's way, as `hauser_toml` gives them.
    """
    destinations = _public(values.get("destination", {}))
    names = dict.fromkeys(("filesystem", *_OF_DESTINATIONS, *destinations))
    return "".join(
        (
            "# Settings of hauser-dlt. Those that are commented out show their default.\n",
            *(_section_text(kind, _section(values, kind.section)) for kind in (SourceSettings, RunSettings)),
            *(_destination_text(name, destinations.get(name, {})) for name in names),
            _DESTINATIONS,
            _RUNTIME,
        )
    )


def secrets_text(values: Document) -> str:
    """Return `.dlt/secrets.toml` with what must stay secret."""
    source = _section(values, ("sources", "fullstory"))
    hidden = {f.name: source[f.name] for f in fields(SourceSettings) if f.metadata["hide"] and f.name in source}
    if not hidden and not _secret(values.get("destination", {})):
        return _SECRETS
    document: dict[str, Any] = {"sources": {"fullstory": {"api_token": "", **hidden}}}
    if secret := _secret(values.get("destination", {})):
        document["destination"] = secret
    return _SECRETS.splitlines(keepends=True)[0] + "\n" + tomlkit.dumps(document)


def write(folder: Path, values: Document) -> list[Path]:
    """Write both files below `folder`, the secrets for the owner's eyes only; return their paths.

    Raises:
        HauserError: one of them is there already, or cannot be written; none is there then.
    """
    files = {folder / "config.toml": config_text(values), folder / "secrets.toml": secrets_text(values)}
    if os.path.lexists(folder) and not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; move it away first")
    try:
        for path in files:
            if os.path.lexists(path):
                raise ConfigError(f"{path} is there already; move it away first")
        folder.mkdir(parents=True, exist_ok=True)
        _write_all(files)
    except OSError as exc:
        raise unusable(exc.filename or folder, exc, "start the command in a folder that you can write to") from None
    return list(files)


def _write_all(files: Mapping[Path, str]) -> None:
    """Write all files or none."""
    made: list[Path] = []
    try:
        for path, text in files.items():
            mode = 0o600 if path.name == "secrets.toml" else 0o644
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(path)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
    except OSError:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _section_text(kind: type[Settings], values: Document) -> str:
    return f"\n[{'.'.join(kind.section)}]\n{''.join(_declared(kind, values))}"


def _destination_text(name: str, values: Document) -> str:
    """Return a destination's section: our settings, then those of dlt that have a value."""
    if name == "filesystem" and not values:
        return _FILESYSTEM
    kind = _OF_DESTINATIONS.get(name)
    ours = {declared.name for declared in fields(kind)} if kind else set()
    text = tomlkit.dumps({"destination": {name: {key: value for key, value in values.items() if key not in ours}}})
    return _section_text(kind, values) + text.removeprefix(f"[destination.{name}]\n") if kind else f"\n{text}"


def _declared(kind: type[Settings], values: Document) -> Iterator[str]:
    for declared in fields(kind):
        if declared.metadata["hide"]:
            continue
        yield _COMMENT.fill(declared.metadata["help"]) + "\n"
        given = declared.name in values
        value = values[declared.name] if given else declared.metadata["default"]
        yield f"{'' if given else '# '}{declared.name} = {_toml(value)}\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update(value)
        return table.as_string()
    return str(tomlkit.item(value).as_string())


def _section(values: Document, path: tuple[str, ...]) -> Document:
    for name in path:
        values = values.get(name, {})
    return values


def _public(destinations: Document) -> dict[str, Any]:
    found = {name: {k: v for k, v in table.items() if k != "credentials"} for name, table in destinations.items()}
    return {name: table for name, table in found.items() if table}


def _secret(destinations: Document) -> dict[str, Any]:
    return {name: {"credentials": t["credentials"]} for name, t in destinations.items() if "credentials" in t}
