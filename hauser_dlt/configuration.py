"""Where settings are found: command line, environment, hauser's TOML, `.dlt/`; each as a dlt config provider.

So dlt finds the settings of destinations by the same rules, and in the same order, as we find ours.
"""

import difflib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider, EnvironProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from hauser_dlt import settings
from hauser_dlt.errors import ConfigError
from hauser_dlt.redaction import redact
from hauser_dlt.settings import RunSettings, SourceSettings

SOURCE = ("sources", "fullstory")
RUN = ("hauser",)
_ALSO_KNOWN = {"end_time"}  # an argument of the source that may be configured, too

# dlt's own settings without which events would be lost or doubled, whatever the user says.
_REQUIRED: dict[str, Any] = {
    "load": {
        "raise_on_failed_jobs": True,  # otherwise dlt notes a load as complete although a part of it is missing
        "raise_on_max_retries": 1,  # a statement whose answer was lost may have been carried out
    },
}
# dlt's own settings that a run of ours wants, unless the user says otherwise.
_DEFAULTS: dict[str, Any] = {
    "runtime": {
        "dlthub_telemetry": False,  # nothing about our users' runs leaves their machine
        "intercept_signals": False,  # the command line handles signals itself
        "log_level": "CRITICAL",  # errors are reported once, as one line
    },
    "normalize": {"data_writer": {"disable_compression": True}},
    "load": {"delete_completed_jobs": True},
    "schema": {"naming": "sql_cs_v1"},  # names as FullStory spells them, even before our schema is known
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """All settings of a run.

    Raises:
        ConfigError: a setting of the source cannot be kept with those of the run.
    """

    source: SourceSettings
    run: RunSettings

    def __post_init__(self) -> None:
        """Refuse what FullStory's own bytes would not show."""
        if self.run.file_format == "json" and (self.run.storage_only or self.run.destination == "filesystem"):
            touching = ("custom_columns", "session_replay_url", "drop_custom_vars", "drop_fields")
            if given := [name for name in touching if getattr(self.source, name)]:
                raise ConfigError(
                    f'file_format = "json" writes FullStory\'s own bytes, where {" and ".join(given)} can do nothing;'
                    " choose parquet, csv or jsonl"
                )


def configure(options: Mapping[str, Any], hauser: Mapping[str, Any] | None = None, hauser_name: str = "") -> None:
    """Put the providers in their order of strength: options, environment, hauser's TOML, `.dlt/`, defaults.

    Args:
        options: the command line's, nested in dlt's way: {"hauser": {"destination": "duckdb"}}.
        hauser: what hauser's TOML says, likewise.
        hauser_name: how to call that file in messages.
    """
    try:
        context = Container()[PluggableRunContext]
        context.reload()
    except Exception as exc:  # noqa: BLE001 - of whatever kind: dlt, tomlkit, the file system
        raise ConfigError(f".dlt/ cannot be read: {' '.join(str(exc).split())}") from None
    from_files = [p for p in context.providers.providers if not isinstance(p, EnvironProvider)]
    token = os.environ.get("FULLSTORY_API_TOKEN")
    context.providers.providers = [
        _provider("hauser-dlt", _REQUIRED),
        _provider("command line", options),
        _provider("FULLSTORY_API_TOKEN", {"sources": {"fullstory": {"api_token": token}}} if token else {}),
        EnvironProvider(),
        _provider(hauser_name or "hauser's TOML", hauser or {}),
        *from_files,
        _provider("defaults", _DEFAULTS),
    ]
    redact(logging.getLogger("dlt"))
    context.initialize_runtime()  # dlt's log and telemetry have been set up without our defaults


def _provider(name: str, document: Mapping[str, Any]) -> ConfigProvider:
    return CustomLoaderDocProvider(name, lambda: dict(document), locations=[])


def find(key: str, *sections: str) -> tuple[Any, str] | None:
    """Return the strongest value of a key, as spelled, and where it stands."""
    for provider in Container()[PluggableRunContext].providers.providers:
        value, place = provider.get_value(key, str, None, *sections)
        if value is not None:
            inside = place if isinstance(provider, EnvironProvider) else provider.name
            return _plain(value), inside
    return None


def _plain(value: Any) -> Any:
    """Unwrap the values of tomlkit, which remember how they were written."""
    return value.unwrap() if hasattr(value, "unwrap") else value


def read_source(*, keyless: bool = False) -> SourceSettings:
    """Return `[sources.fullstory]`; for what asks FullStory nothing, a missing key is no error.

    Raises:
        ConfigError: a setting is missing, wrong or unknown.
    """
    _refuse_unknown(SourceSettings, SOURCE)
    without: dict[str, tuple[Any, str]] = {"api_token": ("none", "")} if keyless else {}
    return settings.read(SourceSettings, lambda name: find(name, *SOURCE) or without.get(name))


def read_run() -> RunSettings:
    """Return `[hauser]`.

    Raises:
        ConfigError: a setting is wrong or unknown.
    """
    _refuse_unknown(RunSettings, RUN)
    return settings.read(RunSettings, lambda name: find(name, *RUN))


def _refuse_unknown(kind: type[SourceSettings] | type[RunSettings], sections: tuple[str, ...]) -> None:
    known = {declared.name for declared in fields(kind)} | _ALSO_KNOWN
    for provider in Container()[PluggableRunContext].providers.providers:
        if isinstance(provider, EnvironProvider):
            continue
        section, _ = provider.get_value(sections[-1], dict, None, *sections[:-1])
        for name, value in (section or {}).items():
            if name not in known and not isinstance(value, dict):
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else "see .dlt/config.toml for all settings"
                raise ConfigError(f"[{'.'.join(sections)}] {name} (from {provider.name}) is not a setting; {hint}")
