"""`hauser-dlt reload`: load windows again."""

from datetime import UTC, datetime
from typing import Any

import click

from hauser_dlt.cli.alerts import watch
from hauser_dlt.cli.options import (
    as_json_option,
    configured,
    dry_run_option,
    parse_time,
    settings_options,
    whole_windows,
)
from hauser_dlt.cli.output import show_plan, summary_of_reload


@click.command()
@settings_options
@click.option("--start", callback=parse_time, metavar="TIME", required=True, help="Load again from this time (UTC).")
@click.option("--end", callback=parse_time, metavar="TIME", required=True, help="Stop before this time (UTC).")
@dry_run_option
@as_json_option
def reload(start: datetime, end: datetime, *, dry_run: bool, as_json: bool, **settings: Any) -> None:
    """Load the windows of an interval again.

    \b
    The new events are loaded first, then the old ones are deleted. If this is interrupted, the next run
    or reload completes it. The sync point does not move. With the filesystem destination, whole load
    packages are replaced, so adjacent windows may be loaded again, too.

    \b
    Example:
      hauser-dlt reload --start 2026-01-31 --end 2026-02-01
    """
    from hauser_dlt.reports.progress import Progress
    from hauser_dlt.shutdown import Stopping
    from hauser_dlt.sync import Sync, load_again
    from hauser_dlt.windows import Window

    config = configured(**settings)
    begin, until = whole_windows(start, end, config.source.export_duration)
    progress = Progress(as_json=as_json, summary=summary_of_reload)
    with Stopping() as stopping, Sync.open(config, stopping.pause, reading=dry_run) as sync:
        interval = Window(begin or start, until or end)
        if dry_run:
            show_plan(sync.plan_reload(datetime.now(UTC), interval), as_json=as_json)
            return
        watch(progress)
        load_again(sync, progress, interval)
