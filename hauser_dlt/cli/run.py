"""`hauser-dlt run`: load what is ready."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Never

import click

from hauser_dlt.cli.alerts import tell_loaded, watch
from hauser_dlt.cli.options import (
    as_json_option,
    configured,
    dry_run_option,
    parse_shard,
    parse_time,
    settings_options,
    whole_windows,
)
from hauser_dlt.cli.output import show_plan, summary
from hauser_dlt.errors import TransientError
from hauser_dlt.streams import say

if TYPE_CHECKING:
    from hauser_dlt.reports.progress import Progress
    from hauser_dlt.shutdown import Stopping
    from hauser_dlt.sync import Sync
    from hauser_dlt.windows import Shard

_RETRY_AFTER = 60.0  # seconds


@click.command()
@settings_options
@click.option(
    "--start", callback=parse_time, metavar="TIME", help="Backfill from this time (UTC). The sync point does not move."
)
@click.option("--end", callback=parse_time, metavar="TIME", help="Stop before this time (UTC).")
@click.option(
    "--shard",
    callback=parse_shard,
    metavar="I/N",
    help="Of a backfill on N machines, load the days of machine I, from 0.",
)
@click.option("--follow", is_flag=True, help="Keep running, and load each window as soon as it is ready.")
@dry_run_option
@as_json_option
def run(
    start: datetime | None,
    end: datetime | None,
    shard: "Shard | None",
    *,
    follow: bool,
    dry_run: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Load all windows that are ready and not loaded yet.

    \b
    Exit codes: 0 done, 1 an export or a load failed, 2 wrong settings or usage, 75 try again later,
    130 or 143 stopped by a signal. Windows that are loaded stay loaded; run again to continue.

    \b
    Example:
      hauser-dlt run --destination duckdb --dry-run
      hauser-dlt run --start 2026-01-01 --end 2026-02-01
      hauser-dlt run --start 2025-01-01 --end 2026-01-01 --shard 0/3
    """
    from hauser_dlt.reports.progress import Progress
    from hauser_dlt.shutdown import Stopping
    from hauser_dlt.sync import Sync, load_ready

    if follow and (start or end or dry_run):
        raise click.UsageError("--follow goes on for ever: it takes no --start, --end or --dry-run")
    if shard and not start:
        raise click.UsageError("--shard shares out a backfill: it needs a --start")
    config = configured(**settings)
    start, end = whole_windows(start, end, config.source.export_duration)
    progress = Progress(as_json=as_json, summary=summary)
    with Stopping() as stopping, Sync.open(config, stopping.pause, reading=dry_run) as sync:
        if dry_run:
            show_plan(sync.plan(datetime.now(UTC), start, end, shard), as_json=as_json)
            return
        watch(progress)
        load_ready(sync, progress, start, end, shard)
        if follow:
            progress.summary = lambda *_: ""  # the lines of the packages say enough
            _follow(sync, stopping, progress)


def _follow(sync: "Sync", stopping: "Stopping", progress: "Progress") -> Never:
    """Load each window as soon as it is ready, until a signal ends the run."""
    while True:
        _tell_loaded(progress)
        _wait_for_next_window(sync, stopping, progress)
        while not _load_next(sync, progress):
            stopping.pause(_RETRY_AFTER)


def _tell_loaded(progress: "Progress") -> None:
    """Tell the webhook, if it wants to know, what has been loaded since it was told last."""
    from hauser_dlt.reports.summary import Summary

    if progress.so_far.packages:
        tell_loaded("run", progress)
    progress.so_far = Summary()


def _wait_for_next_window(sync: "Sync", stopping: "Stopping", progress: "Progress") -> None:
    wait = (sync.next_ready(datetime.now(UTC)) - datetime.now(UTC)).total_seconds()
    event = "FullStory is asked for new bundles again" if sync.waits_for_list else "the next window is ready"
    state = "up to date" if progress.reached else "nothing is loaded yet"
    say(f"{state}; {event} in {max(wait, 0) / 60:.0f} min", err=True)
    stopping.pause(max(wait, 1))


def _load_next(sync: "Sync", progress: "Progress") -> bool:
    """Load what has become ready; return False, and say why, if that failed and is worth another try."""
    from hauser_dlt.sync import load_ready

    try:
        load_ready(sync, progress)
    except TransientError as exc:
        say(f"Error: {exc}; trying again in {_RETRY_AFTER:.0f} s", err=True)
        return False
    return True
