"""Whom a command tells how it ended: Slack, Sentry and the webhook, where the settings name them."""

from typing import TYPE_CHECKING

import click

from hauser_dlt.streams import say

if TYPE_CHECKING:
    from hauser_dlt.reports.progress import Progress

_LOADING = ("run", "reload")  # the commands whose end is worth an alert
_PROGRESS = "hauser_dlt.progress"


def watch(progress: "Progress") -> None:
    """Have the end of this command told, and what it has done up to then."""
    click.get_current_context().meta[_PROGRESS] = progress


def tell_failure(ctx: click.Context, failure: Exception, exit_code: int) -> None:
    """Tell all that a command has failed, if it was to load events."""
    if (command := ctx.invoked_subcommand) not in _LOADING:
        return
    from hauser_dlt.reports import alerts, webhook
    from hauser_dlt.reports.summary import Summary

    progress: Progress | None = ctx.meta.get(_PROGRESS)
    so_far = progress.so_far if progress else Summary()
    for problem in (
        *alerts.send(failure, command, exit_code),
        *webhook.tell_failure(command, failure, exit_code, so_far),
    ):
        say(f"Warning: {problem}", err=True)


def tell_success(ctx: click.Context) -> None:
    """Tell the webhook, if it wants to know, that a command has done what it was to do."""
    progress: Progress | None = ctx.meta.get(_PROGRESS)
    if progress and ctx.invoked_subcommand:
        tell_loaded(ctx.invoked_subcommand, progress)


def tell_loaded(command: str, progress: "Progress") -> None:
    """Tell the webhook, if it wants to know, what has been loaded."""
    from hauser_dlt.reports import webhook

    for problem in webhook.tell_success(command, progress.so_far):
        say(f"Warning: {problem}", err=True)
