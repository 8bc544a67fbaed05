"""`hauser-dlt dbt`: write a dbt project for the tables."""

from pathlib import Path
from typing import Any

import click

from hauser_dlt.cli.options import configured, settings_options
from hauser_dlt.streams import say


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@settings_options
@click.option("--force", is_flag=True, help="Also overwrite files that you have changed.")
def dbt(folder: Path, *, force: bool, **settings: Any) -> None:
    """Write a dbt project for the tables into DIR.

    \b
    It has sources, staging models, marts and tests. The names of tables and columns are read from the
    destination; FullStory is not contacted. Run it again to update the project: files that you have
    changed, added or removed are left as they are.

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
