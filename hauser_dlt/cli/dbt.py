"""`hauser-dlt dbt`: write a dbt project for the tables."""

from pathlib import Path
from typing import Any

import click

from hauser_dlt.cli.options import configured, settings_options
from hauser_dlt.streams import say


@click.command()
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
    from hauser_dlt.dbt.generated_files import refresh
    from hauser_dlt.dbt.project import project
    from hauser_dlt.shutdown import Stopping
    from hauser_dlt.sync import Sync

    config = configured(**settings, keyless=True)
    with Stopping() as stopping, Sync.open(config, stopping.pause, reading=True) as sync:
        files = project(sync, config, folder)
    done = refresh(folder, files, force=force)
    for path in done.written:
        say(f"wrote {path}")
    for path in done.removed:
        say(f"removed {path}")
    for path in done.kept:
        say(f"left {path} as it is: it has been changed (--force overwrites it)", err=True)
    say(f"Next: cd {folder} && dbt build", err=True)
