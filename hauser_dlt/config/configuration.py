"""Where settings are found: command line, environment, hauser's TOML, `.dlt/`; each as a dlt config provider.

So dlt finds the settings of destinations by the same rules, and in the same order, as we find ours.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import (
    ConfigTomlProvider,
    CustomLoaderDocProvider,
    EnvironProvider,
    SecretsTomlProvider,
)
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.runtime.telemetry import stop_telemetry

from hauser_dlt.config import misspelled, names, reading, toml_files
from hauser_dlt.config.declaration import Settings
from hauser_dlt.config.deprecated import deprecations, read_of_destination
from hauser_dlt.config.lookup import find, pipeline_name, providers
from hauser_dlt.config.names import RUN, SOURCE, nested
from hauser_dlt.config.providers import ABOVE, BELOW, LAST, of_run
from hauser_dlt.config.run_settings import BigQuerySettings, RedshiftSettings, RunSettings, SnowflakeSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.dlt_internals import document_of
from hauser_dlt.errors import ConfigError
from hauser_dlt.machine import is_shared
from hauser_dlt.redaction import redact

_CHARACTER = re.compile(r"(?<=character): '.+?'(?= at line)")  # of what may be a password without its quotes

# dlt's own settings without which events would be lost or duplicated, whatever the user says.
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

    Attributes:
        source: what to export.
        run: where to load it, and how.
        redshift: what only Redshift knows.
        bigquery: what only BigQuery knows.
        snowflake: what only Snowflake knows.
        warnings: which settings stand where they stood in earlier versions.

    Raises:
        ConfigError: a setting of the source cannot be kept with those of the run.
    """

    source: SourceSettings
    run: RunSettings
    redshift: RedshiftSettings
    bigquery: BigQuerySettings
    snowflake: SnowflakeSettings
    warnings: tuple[str, ...] = ()

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

    Raises:
        ConfigError: a file cannot be read, or nobody would read a setting, since its name is misspelled.
    """
    toml_files.skip_byte_order_marks()
    try:
        context = Container()[PluggableRunContext]
        context.reload()
    except Exception as exc:  # noqa: BLE001 - of whatever kind: dlt, tomlkit, the file system
        raise ConfigError(f".dlt/ cannot be read: {_CHARACTER.sub('', ' '.join(str(exc).split()))}") from None
    from_files = [p for p in context.providers.providers if not isinstance(p, EnvironProvider)]
    if is_shared(Path(context.context.global_dir)):  # where another user may have put settings for us
        own = context.context.settings_dir
        from_files = [SecretsTomlProvider(own), ConfigTomlProvider(own)]
    token = os.environ.get("FULLSTORY_API_TOKEN")
    context.providers.providers = [
        _provider("hauser-dlt", _REQUIRED),
        _provider("command line", options),
        _provider("FULLSTORY_API_TOKEN", _keyed(token) if token else {}),
        EnvironProvider(),
        _provider(hauser_name or "hauser's TOML", hauser or {}),
        *from_files,
        _provider("defaults", _DEFAULTS),
    ]
    _refuse_misspelled()
    redact(logging.getLogger("dlt"))
    stop_telemetry()  # what has been started without our defaults would go on
    context.initialize_runtime()


@contextmanager
def scoped(
    given: Mapping[str, Any], hauser: Mapping[str, Any] | None = None, hauser_name: str = "", *, keyless: bool = False
) -> Iterator[Callable[[], Configuration]]:
    """Provide what reads the settings of one run among others: this thread alone sees what is given.

    Args:
        given: name or path of a setting -> value, stronger than all else.
        hauser: what hauser's TOML says, nested in dlt's way.
        hauser_name: how to call that file in messages.
        keyless: FullStory is not asked for anything, so no key is needed.

    Raises:
        ConfigError: there is no such setting as one that is given. Reading raises what is missing or wrong.
    """
    token = os.environ.get("FULLSTORY_API_TOKEN")
    ranks = {
        ABOVE: (
            _provider("hauser-dlt", _REQUIRED),
            _provider("argument", nested(given)),
            _provider("FULLSTORY_API_TOKEN", _keyed(token) if token else {}),
        ),
        BELOW: (_provider(hauser_name or "hauser's TOML", hauser or {}),),
        LAST: (_provider("defaults", _DEFAULTS),),
    }

    def read() -> Configuration:
        _refuse_misspelled()
        return read_configuration(keyless=keyless)

    with of_run(ranks):
        yield read


def _keyed(token: str) -> dict[str, Any]:
    return {"sources": {"fullstory": {"api_token": token}}}


def _provider(name: str, document: Mapping[str, Any]) -> ConfigProvider:
    return CustomLoaderDocProvider(name, lambda: dict(document), locations=[])


def read_configuration(*, keyless: bool = False) -> Configuration:
    """Return all settings; for what asks FullStory nothing, a missing key is no error.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    source, run = read_source(keyless=keyless), read_run()
    return Configuration(
        source,
        run,
        read_of_destination(RedshiftSettings, run.destination),
        read_of_destination(BigQuerySettings, run.destination),
        read_of_destination(SnowflakeSettings, run.destination),
        tuple(deprecations(run.destination)),
    )


def read_source(*, keyless: bool = False) -> SourceSettings:
    """Return `[sources.fullstory]`; for what asks FullStory nothing, a missing key is no error.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    without: dict[str, tuple[Any, str]] = {"api_token": ("none", "")} if keyless else {}
    hidden = _hidden(SourceSettings)
    return reading.read(SourceSettings, lambda name: find(name, *SOURCE, hide=name in hidden) or without.get(name))


def read_run() -> RunSettings:
    """Return `[hauser]`.

    Raises:
        ConfigError: a setting is wrong.
    """
    hidden = _hidden(RunSettings)
    return reading.read(RunSettings, lambda name: find(name, *RUN, hide=name in hidden))


def _hidden(kind: type[Settings]) -> set[str]:
    return {declared.name for declared in fields(kind) if declared.metadata["hide"]}


def _refuse_misspelled() -> None:
    """Refuse a name that nobody would read, in the environment or a file.

    Raises:
        ConfigError: the first of them, and what may have been meant.
    """
    pipeline = pipeline_name()
    for provider in providers():
        if isinstance(provider, EnvironProvider):
            found = next(misspelled.in_environment(os.environ, pipeline), None)
            place, spell = "the environment", names.variable
        else:
            found = next(misspelled.in_document(document_of(provider), pipeline), None)
            place, spell = provider.name, names.key
        if found:
            hint = f"did you mean {spell(found.meant)}?" if found.meant else "see .dlt/config.toml for all settings"
            raise ConfigError(f"{spell(found.path)} (from {place}) is not a setting; {hint}")
