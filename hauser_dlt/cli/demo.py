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
