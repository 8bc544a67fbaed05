"""`hauser-dlt init`: write the files of settings."""

from pathlib import Path

import click

from hauser_dlt.cli.options import read_hauser_settings
from hauser_dlt.streams import say


@click.command()
@click.option(
    "--from",
    "hauser_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Convert the settings of a hauser configuration (TOML).",
)
def init(hauser_file: Path | None) -> None:
    """Write .dlt/config.toml and .dlt/secrets.toml.

    They are written into the current folder. config.toml explains every setting, and shows its default.

    \b
    Example:
      hauser-dlt init --from hauser.toml
    """
    from hauser_dlt.config import init_files

    values = read_hauser_settings(hauser_file) if hauser_file else {}
    for path in init_files.write(Path(".dlt"), values):
        say(f"wrote {path}")
    say("Keep .dlt/secrets.toml out of version control. Next: hauser-dlt check", err=True)
