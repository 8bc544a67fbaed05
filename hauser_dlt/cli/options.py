"""The options that several commands share, and the settings that they give."""

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauser_dlt.errors import ConfigError
from hauser_dlt.streams import say

if TYPE_CHECKING:
    from dataclasses import Field

    from hauser_dlt.config.configuration import Configuration
    from hauser_dlt.windows import Shard

_DESTINATIONS = ("bigquery", "duckdb", "filesystem", "postgres", "redshift", "snowflake")  # those that README names


def _parse_sets(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE")
        values[name.strip()] = value
    return values


def _complete_destination(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in _DESTINATIONS if name.startswith(incomplete)]


def _complete_setting(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the settings that may stand on the command line."""
    declared = _declared().items()
    return [f"{name}=" for name, each in declared if name.startswith(incomplete) and not each.metadata["hide"]]


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that set the settings; `configured` takes what they give."""
    for option in (
        click.option("-v", "--verbose", count=True, help="Log more to stderr; -vv includes dlt's log."),
        click.option(
            "-s",
            "--set",
            "sets",
            multiple=True,
            callback=_parse_sets,
            metavar="NAME=VALUE",
            shell_complete=_complete_setting,
            help="Set any setting, by its name or its path in .dlt/config.toml. Repeatable.",
        ),
        click.option("--dataset", metavar="NAME", help="Short for --set dataset_name=NAME."),
        click.option(
            "--destination",
            metavar="NAME",
            shell_complete=_complete_destination,
            help="Short for --set destination=NAME.",
        ),
        click.option(
            "-c",
            "--config",
            "config_file",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Also read a hauser configuration (TOML). It overrides .dlt/.",
        ),
    ):
        command = option(command)
    return command


dry_run_option = click.option("--dry-run", is_flag=True, help="Show the windows that would be loaded; change nothing.")
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")


def parse_time(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """Return an option's value as a time in UTC."""
    from hauser_dlt.config.parsers import moment

    try:
        return moment(value or "")
    except ValueError as exc:
        raise click.BadParameter(f"{value!r}: allowed is {exc}") from None


def parse_shard(_ctx: click.Context, _param: click.Parameter, value: str | None) -> "Shard | None":
    """Return an option's value as a shard."""
    from hauser_dlt.config.parsers import shard

    try:
        return shard(value) if value is not None else None
    except ValueError as exc:
        raise click.BadParameter(f"{value!r}: allowed is {exc}") from None


def parse_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> timedelta | None:
    """Return an option's value as a duration."""
    from hauser_dlt.config.parsers import duration

    try:
        return duration(value) if value else None
    except ValueError as exc:
        raise click.BadParameter(f"{value!r}: allowed is {exc}") from None


def whole_windows(
    start: datetime | None, end: datetime | None, step: timedelta
) -> tuple[datetime | None, datetime | None]:
    """Return an interval expanded to window boundaries."""
    from hauser_dlt.windows import whole

    if start and end and start >= end:
        raise click.UsageError("--start must lie before --end")
    return whole(start, end, step)


def configured(
    config_file: Path | None,
    destination: str | None,
    dataset: str | None,
    sets: dict[str, str],
    verbose: int,
    *,
    keyless: bool = False,
) -> "Configuration":
    """Return the settings of one command; without a key where FullStory is not asked anything.

    Raises:
        ConfigError: a setting is missing, wrong or unknown.
    """
    from hauser_dlt.config import configuration
    from hauser_dlt.reports import alerts

    options: dict[str, Any] = {}
    named = {"destination": destination, "dataset_name": dataset}
    for name, value in {**{k: v for k, v in named.items() if v is not None}, **sets}.items():
        put_setting(options, name, value)
    hauser = read_hauser_settings(config_file) if config_file else {}
    set_up_logging(verbose, options)
    configuration.configure(options, hauser, str(config_file))
    alerts.restrict_sentry()
    config = configuration.read_configuration(keyless=keyless)
    for warning in config.warnings:
        say(f"Warning: {warning}", err=True)
    return config


def read_hauser_settings(file: Path) -> dict[str, Any]:
    """Return the settings in a hauser configuration; print what it warns of."""
    from hauser_dlt.config.hauser_toml import read_hauser_toml

    read = read_hauser_toml(file)
    for warning in read.warnings:
        say(f"Warning: {warning}", err=True)
    return read.settings


def put_setting(options: dict[str, Any], name: str, value: str) -> None:
    """Put a setting where dlt looks for it; a name without a path is one of ours.

    Raises:
        ConfigError: it is a secret, or no setting.
    """
    if _is_secret(name, value):
        raise ConfigError(
            f"--set {name}: what stands on the command line, others can read; put secrets into the environment,"
            " or into .dlt/secrets.toml"
        )
    from hauser_dlt.config.names import put

    put(options, name, value, f"--set {name}")


def _is_secret(name: str, value: str) -> bool:
    """Tell whether a setting must not stand on the command line; of ours, only a value can tell, not the name."""
    from hauser_dlt.redaction import shows_password, shows_secret

    declared = _declared()
    hidden = {each.name for each in declared.values() if each.metadata["hide"]} | {"slack_incoming_hook"}
    if hidden.intersection(name.split(".")):
        return True
    ours = name.removeprefix("sources.fullstory.").removeprefix("hauser.").partition(".")[0] in declared
    return shows_password(value) if ours and not name.startswith("destination.") else shows_secret(f"{name}={value}")


def _declared() -> "dict[str, Field[Any]]":
    """Return all settings by the names that `--set` takes."""
    from dataclasses import fields

    from hauser_dlt.config.names import KINDS, short_name

    return {short_name(kind, each.name): each for kind in KINDS for each in fields(kind)}


def set_up_logging(verbose: int, options: dict[str, Any]) -> None:
    """Have logs written to stderr, without secrets: warnings, or more; from the second -v on, dlt's own as well."""
    import logging
    import warnings

    from hauser_dlt.redaction import redact

    # a faster road for large answers, and we ask for small ones
    warnings.filterwarnings("ignore", "Cannot create BigQuery Storage client")
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    redact(*logging.getLogger().handlers)
    logging.getLogger("hauser_dlt").setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    if verbose > 1:
        options.setdefault("runtime", {})["log_level"] = "INFO"
    else:
        for theirs in ("asyncio", "azure", "gcsfs", "google.auth"):  # they log what they raise, with all its traceback
            logging.getLogger(theirs).setLevel(logging.CRITICAL)
