"""`hauser-dlt status`: show what is loaded, waiting and missing."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauser_dlt.cli.options import configured, parse_duration, settings_options
from hauser_dlt.cli.output import refuse_lost_output
from hauser_dlt.errors import StatusError
from hauser_dlt.streams import say

if TYPE_CHECKING:
    from hauser_dlt.config.configuration import Configuration
    from hauser_dlt.reports.status import Status


@click.command()
@settings_options
@click.option("--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="How many days to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--openmetrics", is_flag=True, help="Print OpenMetrics, for Prometheus.")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the status to FILE, as an HTML page.",
)
@click.option(
    "--max-lag",
    callback=parse_duration,
    metavar="DURATION",
    help="Exit with code 1 if the sync point is older than this, such as 26h.",
)
@click.option(
    "--exact",
    is_flag=True,
    help="Exit with code 1 if windows are missing or loaded twice, or if sync rows are invalid.",
)
def status(
    *,
    days: int,
    as_json: bool,
    openmetrics: bool,
    page: Path | None,
    max_lag: timedelta | None,
    exact: bool,
    **settings: Any,
) -> None:
    """Show which windows are loaded, waiting or missing.

    Only the destination is read. With the legacy data exports, FullStory is asked for its list of bundles, too.

    \b
    Each character is an hour (UTC). If windows are shorter than that, it shows the worst of them.
    For monitoring: --max-lag and --exact write what is wrong to stderr, and exit with code 1.

    \b
    Example:
      hauser-dlt status --destination duckdb --json
      hauser-dlt status --html status.html --max-lag 26h --exact
      hauser-dlt status --openmetrics
    """
    from hauser_dlt.reports.html import write_html
    from hauser_dlt.reports.text import violations

    if as_json and openmetrics:
        raise click.UsageError("--json and --openmetrics exclude each other")
    config = configured(**settings, keyless=True)
    found = _status(config, days)
    if page:
        write_html(found, page)
    if openmetrics:
        _show_metrics(found, config)
    else:
        _show(found, as_json=as_json)
    if violated := list(violations(found, max_lag, exact=exact)):
        raise StatusError("; ".join(violated))
    refuse_lost_output()


def _status(config: "Configuration", days: int) -> "Status":
    from hauser_dlt.reports.status import status
    from hauser_dlt.shutdown import Stopping
    from hauser_dlt.sync import Sync

    with Stopping() as stopping, Sync.open(config, stopping.pause, reading=True) as sync:
        return status(sync, datetime.now(UTC), config.source.export_duration, days)


def _show(found: "Status", *, as_json: bool) -> None:
    from hauser_dlt.reports.status import as_document
    from hauser_dlt.reports.text import as_lines

    if as_json:
        say(json.dumps(as_document(found), indent=2))
        return
    for line in as_lines(found, sys.stdout.encoding or "ascii"):
        say(line, color=False if os.environ.get("NO_COLOR") else None)


def _show_metrics(found: "Status", config: "Configuration") -> None:
    from hauser_dlt.reports.openmetrics import as_openmetrics

    run = config.run
    labels = {"pipeline": run.pipeline_name, "dataset": run.dataset_name, "destination": run.destination}
    say(as_openmetrics(found, labels))
