"""`hauser-dlt check`: inspect the settings and the destination."""

import json
from typing import Any

import click

from hauser_dlt.cli.options import as_json_option, configured, settings_options
from hauser_dlt.cli.output import refuse_lost_output
from hauser_dlt.streams import say


@click.command()
@settings_options
@as_json_option
def check(*, as_json: bool, **settings: Any) -> None:
    """Check settings, API key, destination and tables.

    It shows which tables and columns a run would create, and changes nothing.

    \b
    Example:
      hauser-dlt check -c hauser.toml
    """
    from hauser_dlt.reports.check import check as checks
    from hauser_dlt.shutdown import Stopping

    config = configured(**settings)
    with Stopping() as stopping:
        for subject, found in checks(config, stopping.pause):
            say(json.dumps({"checked": subject, "found": found}) if as_json else f"ok  {subject:<12} {found}")
    refuse_lost_output()
