"""The group of all commands. It reports each error once: one line on stderr, an exit code, and an alert."""

import os
import sys
from typing import Any

import click

from hauser_dlt.cli.alerts import tell_failure, tell_success
from hauser_dlt.errors import HauserError, StoppedError
from hauser_dlt.streams import guard, say

PROGRAM = "hauser-dlt"


class ReportingGroup(click.Group):
    """A group whose commands end a HauserError as one line on stderr and its exit code."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command, whatever the standard streams are."""
        guard()
        return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            done = super().invoke(ctx)
        except StoppedError as exc:
            say(f"Stopped: {exc}", err=True)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exc.exit_code)  # threads that wait for FullStory would keep the process alive
        except HauserError as exc:
            say(f"Error: {exc}", err=True)
            tell_failure(ctx, exc, exc.exit_code)
            ctx.exit(exc.exit_code)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as exc:
            tell_failure(ctx, exc, 1)
            raise
        tell_success(ctx)
        return done


@click.group(cls=ReportingGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name=PROGRAM, message="%(prog)s %(version)s")
def main() -> None:
    """Load FullStory's events into your own warehouse or files, each event exactly once.

    Settings are read from the command line, the environment, a hauser configuration (-c), .dlt/config.toml and
    .dlt/secrets.toml. The first one found wins. `hauser-dlt init` writes the .dlt/ files.

    \b
    Example:
      export FULLSTORY_API_TOKEN=...
      hauser-dlt run --destination duckdb
    """
