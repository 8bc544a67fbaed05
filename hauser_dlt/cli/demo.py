"""`hauser-dlt demo`: load simulated events, offline."""

from pathlib import Path

import click

from hauser_dlt.streams import say


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="The folder for files and database. An earlier demo in it is replaced.",
)
@click.option(
    "--events-per-hour",
    type=click.IntRange(1, 1_000_000),
    default=1000,
    show_default=True,
    help="About how many events per hour to simulate.",
)
@click.option("--days", type=click.IntRange(1, 30), default=3, show_default=True, help="How many days to load.")
def demo(folder: Path, events_per_hour: int, days: int) -> None:
    """Load simulated events into Parquet files and DuckDB.

    A FullStory simulator on this machine generates them. Then a few queries are run. No account is needed.

    \b
    Example:
      hauser-dlt demo --days 1
    """
    from hauser_dlt.demo import demo as show

    for line in show(folder, events_per_hour, days):
        say(line)
