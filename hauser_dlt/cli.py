"""The command `hauser-dlt`: parse, call, print. Heavy imports happen inside the commands."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauser_dlt.errors import ConfigError, HauserError, LoadError, StatusError, StoppedError, TransientError
from hauser_dlt.streams import guard, lost, say

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from hauser_dlt.configuration import Configuration
    from hauser_dlt.reports.progress import Progress
    from hauser_dlt.stopping import Stopping
    from hauser_dlt.sync import Plan, Sync

PROGRAM = "hauser-dlt"
_TRY_AGAIN = 60.0  # seconds
_DESTINATIONS = ("bigquery", "duckdb", "filesystem", "postgres", "redshift")  # those that README tells of


class ReportingGroup(click.Group):
    """A group whose commands end a HauserError as one line on stderr and its exit code."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command, whatever the standard streams are."""
        guard()
        return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except StoppedError as exc:
            say(f"Stopped: {exc}", err=True)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exc.exit_code)  # threads that wait for FullStory would keep the process alive
        except HauserError as exc:
            say(f"Error: {exc}", err=True)
            _alarm(ctx, exc, exc.exit_code)
            ctx.exit(exc.exit_code)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as exc:
            _alarm(ctx, exc, 1)
            raise


def _alarm(ctx: click.Context, failure: Exception, exit_code: int) -> None:
    """Tell Slack and Sentry, if the settings name them, that events were not loaded."""
    if ctx.invoked_subcommand in ("run", "reload"):
        from hauser_dlt.reports import alerts

        for problem in alerts.send(failure, ctx.invoked_subcommand, exit_code):
            say(f"Warning: {problem}", err=True)


@click.group(cls=ReportingGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name=PROGRAM, message="%(prog)s %(version)s")
def main() -> None:
    """Load FullStory's events into your own warehouse, a window at a time, each event exactly once.

    Settings come from the command line, the environment, and .dlt/config.toml and .dlt/secrets.toml, in this
    order of strength; `hauser-dlt init` writes the files. An existing hauser configuration is read with -c.

    \b
    Example:
      export FULLSTORY_API_TOKEN=...
      hauser-dlt run --destination duckdb
    """


def _option_values(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
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
    from dataclasses import fields

    from hauser_dlt.settings import RunSettings, SourceSettings

    declared = (*fields(SourceSettings), *fields(RunSettings))
    return [f"{each.name}=" for each in declared if each.name.startswith(incomplete) and not each.metadata["hide"]]


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options by which any command is told its settings."""
    for option in (
        click.option("-v", "--verbose", count=True, help="Tell more on stderr (-vv: dlt's own log, too)."),
        click.option(
            "-s",
            "--set",
            "sets",
            multiple=True,
            callback=_option_values,
            metavar="NAME=VALUE",
            shell_complete=_complete_setting,
            help="Any setting, by its name or by its path in .dlt/config.toml. Repeatable.",
        ),
        click.option("--dataset", metavar="NAME", help="Same as --set dataset_name=NAME."),
        click.option(
            "--destination",
            metavar="NAME",
            shell_complete=_complete_destination,
            help="Same as --set destination=NAME.",
        ),
        click.option(
            "-c",
            "--config",
            "config_file",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Read a hauser configuration (TOML) as well; it is stronger than .dlt/.",
        ),
    ):
        command = option(command)
    return command


def configured(
    config_file: Path | None,
    destination: str | None,
    dataset: str | None,
    sets: dict[str, str],
    verbose: int,
    *,
    keyless: bool = False,
) -> "Configuration":
    """Return the settings of one call; without a key where FullStory is not asked anything.

    Raises:
        ConfigError: a setting is missing, wrong or unknown.
    """
    from hauser_dlt import configuration
    from hauser_dlt.reports import alerts

    options: dict[str, Any] = {}
    named = {"destination": destination, "dataset_name": dataset}
    for name, value in {**{k: v for k, v in named.items() if v is not None}, **sets}.items():
        _put(options, name, value)
    hauser: dict[str, Any] = {}
    if config_file:
        hauser = _hauser_settings(config_file)
    _log(verbose, options)
    configuration.configure(options, hauser, str(config_file))
    alerts.restrict_sentry()
    return configuration.Configuration(configuration.read_source(keyless=keyless), configuration.read_run())


def _hauser_settings(file: Path) -> dict[str, Any]:
    from hauser_dlt.hauser_toml import read_hauser_toml

    read = read_hauser_toml(file)
    for warning in read.warnings:
        say(f"Warning: {warning}", err=True)
    return read.settings


def _put(options: dict[str, Any], name: str, value: str) -> None:
    """Put a setting where dlt looks for it; a name without a path is one of ours.

    Raises:
        ConfigError: it is a secret, or no setting.
    """
    if _is_secret(name, value):
        raise ConfigError(
            f"--set {name}: what stands on the command line, others can read; put secrets into the environment,"
            " or into .dlt/secrets.toml"
        )
    *sections, key = _path(name)
    place = options
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ConfigError(f"--set {name}: {section} has got a value already, so nothing can stand below it")
    place[key] = value


def _is_secret(name: str, value: str) -> bool:
    """Tell whether a setting must not stand on the command line; of ours, only a value can tell, not the name."""
    from dataclasses import fields

    from hauser_dlt.redaction import shows_password, shows_secret
    from hauser_dlt.settings import RunSettings, SourceSettings

    declared = {each.name: each for each in (*fields(SourceSettings), *fields(RunSettings))}
    hidden = {each.name for each in declared.values() if each.metadata["hide"]} | {"slack_incoming_hook"}
    if hidden.intersection(name.split(".")):
        return True
    ours = name.removeprefix("sources.fullstory.").removeprefix("hauser.").partition(".")[0] in declared
    return shows_password(value) if ours and not name.startswith("destination.") else shows_secret(f"{name}={value}")


def _path(name: str) -> list[str]:
    """Return the path of a setting; below one of ours stands a name that may hold dots, a custom variable's, say."""
    from dataclasses import fields

    from hauser_dlt.settings import RunSettings, SourceSettings

    first, dot, inner = name.partition(".")
    if first in {declared.name for declared in fields(SourceSettings)}:
        return ["sources", "fullstory", first, *([inner] if dot else [])]
    if dot and all(name.split(".")):
        return name.split(".")
    if first in {declared.name for declared in fields(RunSettings)}:
        return ["hauser", first]
    raise ConfigError(f"--set {name}: there is no such setting; `{PROGRAM} init` writes a file with all of them")


def _log(verbose: int, options: dict[str, Any]) -> None:
    import logging
    import warnings

    # a faster road for large answers, and we ask for small ones
    warnings.filterwarnings("ignore", "Cannot create BigQuery Storage client")
    from hauser_dlt.redaction import redact

    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    redact(*logging.getLogger().handlers)
    logging.getLogger("hauser_dlt").setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    if verbose > 1:
        options.setdefault("runtime", {})["log_level"] = "INFO"
    else:
        for theirs in ("asyncio", "gcsfs", "google.auth"):  # they log what they raise, with all its traceback
            logging.getLogger(theirs).setLevel(logging.CRITICAL)


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> "datetime | None":
    from hauser_dlt.parsers import moment

    try:
        return moment(value or "")
    except ValueError as exc:
        raise click.BadParameter(f"{value!r}: allowed is {exc}") from None


@main.command()
@settings_options
@click.option(
    "--start", callback=_moment, metavar="TIME", help="Back-fill from here (UTC), without moving the sync point."
)
@click.option("--end", callback=_moment, metavar="TIME", help="Stop before this time (UTC).")
@click.option("--follow", is_flag=True, help="Go on: sleep until the next window is ready, load it at once.")
@click.option("--dry-run", is_flag=True, help="Show the windows that would be loaded; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def run(
    start: "datetime | None", end: "datetime | None", *, follow: bool, dry_run: bool, as_json: bool, **settings: Any
) -> None:
    """Load all windows that are ready and not loaded yet, then end.

    \b
    Exit codes: 0 done, 1 the export or the load failed, 2 settings or usage, 75 try again later,
    130 and 143 stopped by a signal. What was loaded before stays loaded; run again to go on.

    \b
    Example:
      hauser-dlt run --destination duckdb --dry-run
      hauser-dlt run --start 2026-01-01 --end 2026-02-01
    """
    from datetime import UTC, datetime

    from hauser_dlt.reports.progress import Progress
    from hauser_dlt.stopping import Stopping
    from hauser_dlt.sync import Sync

    if follow and (start or end or dry_run):
        raise click.UsageError("--follow goes on for ever: it takes no --start, --end or --dry-run")
    config = configured(**settings)
    start, end = _on_the_grid(start, end, config.source.export_duration)
    progress = Progress(as_json=as_json)
    with Stopping() as stopping, Sync.open(config, stopping.pause, reading=dry_run) as sync:
        plans = sync.plans(datetime.now(UTC), start, end)
        if dry_run:
            _show_plan(next(plans), as_json=as_json)
            return
        for plan in plans:
            sync.run(plan, progress)
            if not plan.again:
                say(_summary(progress.packages, progress.events, plan), err=True)
                _tell_unready(plan, asked=start)
        if not (start or end):
            sync.load_snapshots(datetime.now(UTC), progress)
        while follow:
            _follow(sync, stopping, progress)


def _follow(sync: "Sync", stopping: "Stopping", progress: "Progress") -> None:
    """Sleep until the next window is ready, and load it; what may pass by itself is waited for, not given up on."""
    from datetime import UTC, datetime

    wait = (sync.next_ready(datetime.now(UTC)) - datetime.now(UTC)).total_seconds()
    coming = "FullStory is asked for new bundles again" if sync.waits_for_list else "the next window is ready"
    state = "up to date" if progress.reached else "nothing is loaded yet"
    say(f"{state}; {coming} in {max(wait, 0) / 60:.0f} min", err=True)
    stopping.pause(max(wait, 1))
    while True:
        try:
            for plan in sync.plans(datetime.now(UTC)):
                sync.run(plan, progress)
            sync.load_snapshots(datetime.now(UTC), progress)
        except TransientError as exc:
            say(f"Error: {exc}; trying again in {_TRY_AGAIN:.0f} s", err=True)
            stopping.pause(_TRY_AGAIN)
        else:
            return


def _on_the_grid(
    start: "datetime | None", end: "datetime | None", step: "timedelta"
) -> "tuple[datetime | None, datetime | None]":
    """Return a stretch widened to whole windows."""
    from hauser_dlt.windows import floor

    if start and end and start >= end:
        raise click.UsageError("--start must lie before --end")
    past = end - floor(end, step) if end else None
    return start and floor(start, step), end - past + step if end and past else end


def _summary(packages: int, events: int, plan: "Plan") -> str:
    """Return what has been done; a backfill says nothing of what lies before or after it."""
    done = f"{events:,} events in {packages} load package{'s' * (packages != 1)}" if packages else "nothing new to load"
    if plan.reached is None:
        return f"{done}; nothing is loaded yet" if plan.moves_cursor else done
    since = "" if plan.moves_cursor else f" from {plan.interval.start:%Y-%m-%d %H:%M}"
    return f"{done}; loaded{since} up to {plan.reached:%Y-%m-%d %H:%M} UTC"


def _tell_unready(plan: "Plan", *, asked: Any = None) -> None:
    """Say what is not ready, and when it will be.

    Args:
        asked: where a stretch begins that was asked for; if nothing of it is ready, that is an error.

    Raises:
        TransientError: nothing is.
    """
    if plan.unready and asked and asked >= plan.settled:
        raise TransientError(str(plan.unready))
    if plan.unready:
        say(str(plan.unready), err=True)


def _show_plan(plan: "Plan", *, as_json: bool) -> None:
    for warning in plan.warnings:
        say(f"Warning: {warning}", err=True)
    if plan.lost:
        raise LoadError(plan.lost)
    for bundle in plan.bundles:
        window = bundle.window
        document = json.dumps({"start": window.start.isoformat(), "end": window.end.isoformat()})
        say(document if as_json else f"would load {window}")
    say(f"{len(plan.bundles)} windows would be loaded", err=True)
    _tell_unready(plan)
    _refuse_loss()


def _refuse_loss() -> None:
    """Make sure that what a command is there to print has been printed.

    Raises:
        HauserError: it could not be written.
    """
    if reason := lost():
        raise HauserError(f"the result could not be written to stdout: {reason}")


@main.command()
@settings_options
@click.option("--start", callback=_moment, metavar="TIME", required=True, help="Load again from here (UTC).")
@click.option("--end", callback=_moment, metavar="TIME", required=True, help="Stop before this time (UTC).")
@click.option("--dry-run", is_flag=True, help="Show the windows that would be loaded; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def reload(start: "datetime", end: "datetime", *, dry_run: bool, as_json: bool, **settings: Any) -> None:
    """Load the windows of a stretch again: the new events first, then the old ones go.

    \b
    A run that is killed in between is made good by the next one, of whatever kind. The sync point does
    not move. Files can only go with all of their load, so a little more than was asked for may be loaded.

    \b
    Example:
      hauser-dlt reload --start 2026-01-31 --end 2026-02-01
    """
    from datetime import UTC, datetime

    from hauser_dlt.reports.progress import Progress
    from hauser_dlt.stopping import Stopping
    from hauser_dlt.sync import Sync
    from hauser_dlt.windows import Window

    config = configured(**settings)
    begin, until = _on_the_grid(start, end, config.source.export_duration)
    progress = Progress(as_json=as_json)
    with Stopping() as stopping, Sync.open(config, stopping.pause, reading=dry_run) as sync:
        plan = sync.plan_reload(datetime.now(UTC), Window(begin or start, until or end))
        if dry_run:
            _show_plan(plan, as_json=as_json)
            return
        sync.run(plan, progress)
        windows = "1 window" if len(plan.bundles) == 1 else f"{len(plan.bundles):,} windows"
        if plan.bundles:
            say(f"loaded again {progress.events:,} events of {windows}", err=True)
        _tell_unready(plan, asked=begin or start)


def _length(_ctx: click.Context, _param: click.Parameter, value: str | None) -> "timedelta | None":
    from hauser_dlt.parsers import duration

    try:
        return duration(value) if value else None
    except ValueError as exc:
        raise click.BadParameter(f"{value!r}: allowed is {exc}") from None


@main.command()
@settings_options
@click.option("--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="How many days to draw.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the same as one page, too.",
)
@click.option(
    "--max-lag",
    callback=_length,
    metavar="DURATION",
    help="End with exit code 1 if the sync point is longer ago (26h).",
)
@click.option(
    "--exact",
    is_flag=True,
    help="End with exit code 1 if windows are missing or loaded twice, or sync rows are spoiled.",
)
def status(
    *, days: int, as_json: bool, page: Path | None, max_lag: "timedelta | None", exact: bool, **settings: Any
) -> None:
    """Show what is loaded, what is waiting and what is missing.

    FullStory is not asked, but for the list of bundles, if they come from its legacy API.

    \b
    Each sign stands for an hour, in UTC. Where windows are shorter, the worst of them counts.
    For monitors: --max-lag and --exact tell on stderr what is wrong, and end with exit code 1.

    \b
    Example:
      hauser-dlt status --destination duckdb --json
      hauser-dlt status --html status.html --max-lag 26h --exact
    """
    from datetime import UTC, datetime

    from hauser_dlt.reports import status as statuses
    from hauser_dlt.reports import text
    from hauser_dlt.reports.html import write_html
    from hauser_dlt.stopping import Stopping
    from hauser_dlt.sync import Sync

    config = configured(**settings, keyless=True)
    with Stopping() as stopping, Sync.open(config, stopping.pause, reading=True) as sync:
        found = statuses.status(sync, datetime.now(UTC), config.source.export_duration, days)
    if page:
        write_html(found, page)
    if as_json:
        say(json.dumps(statuses.as_document(found), indent=2))
    for line in () if as_json else text.as_lines(found, sys.stdout.encoding or "ascii"):
        say(line, color=False if os.environ.get("NO_COLOR") else None)
    if violations := list(text.violations(found, max_lag, exact=exact)):
        raise StatusError("; ".join(violations))
    _refuse_loss()


@main.command()
@settings_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def check(*, as_json: bool, **settings: Any) -> None:
    """Look at settings, key, destination and tables, and say what a run would create; change nothing.

    \b
    Example:
      hauser-dlt check -c hauser.toml
    """
    from hauser_dlt.check import check as checks

    for subject, found in checks(configured(**settings)):
        say(json.dumps({"checked": subject, "found": found}) if as_json else f"ok  {subject:<12} {found}")
    _refuse_loss()


@main.command()
@click.option(
    "--from",
    "hauser_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Take the settings of a hauser configuration (TOML).",
)
def init(hauser_file: Path | None) -> None:
    """Write .dlt/config.toml, with every setting explained, and .dlt/secrets.toml into the current folder.

    \b
    Example:
      hauser-dlt init --from hauser.toml
    """
    from hauser_dlt import settings_files

    values = _hauser_settings(hauser_file) if hauser_file else {}
    for path in settings_files.write(Path(".dlt"), values):
        say(f"wrote {path}")
    say("Keep .dlt/secrets.toml out of version control. Next: hauser-dlt check", err=True)


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@settings_options
@click.option("--force", is_flag=True, help="Overwrite files that have been changed, too.")
def dbt(folder: Path, *, force: bool, **settings: Any) -> None:
    """Write a dbt project for the tables into DIR: sources, staging models, marts, tests.

    \b
    The destination is asked how the tables are spelled; FullStory is not. Run it again to refresh the
    project; files that you have changed, added or removed are left as they are.

    \b
    Example:
      hauser-dlt dbt analytics
      cd analytics && dbt build
    """
    from hauser_dlt import dbt as projects
    from hauser_dlt.stopping import Stopping
    from hauser_dlt.sync import Sync
    from hauser_dlt.written_files import refresh

    config = configured(**settings, keyless=True)
    with Stopping() as stopping, Sync.open(config, stopping.pause, reading=True) as sync:
        files = projects.project(sync, config, folder)
    done = refresh(folder, files, force=force)
    for path in done.written:
        say(f"wrote {path}")
    for path in done.removed:
        say(f"removed {path}")
    for path in done.kept:
        say(f"left {path} as it is: it has been changed (--force overwrites it)", err=True)
    say(f"Next: cd {folder} && dbt build", err=True)


@main.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where to put files and database; an earlier demo there is replaced.",
)
@click.option(
    "--events-per-hour",
    type=click.IntRange(1, 1_000_000),
    default=1000,
    show_default=True,
    help="How busy the imagined web site is.",
)
@click.option("--days", type=click.IntRange(1, 30), default=3, show_default=True, help="How many days to load.")
def demo(folder: Path, events_per_hour: int, days: int) -> None:
    """Load believable events of a simulated FullStory into Parquet files and DuckDB, and answer a few questions.

    \b
    Example:
      hauser-dlt demo --days 1
    """
    from hauser_dlt.demo import demo as show

    for line in show(folder, events_per_hour, days):
        say(line)
