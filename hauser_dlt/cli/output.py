"""What the commands print beside the lines of `Progress`: summaries, plans, and what is not ready."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

from hauser_dlt.errors import HauserError, LoadError
from hauser_dlt.streams import lost, say

if TYPE_CHECKING:
    from hauser_dlt.sync import Plan


def summary(packages: int, events: int, plan: "Plan") -> str:
    """Return what a run has loaded; a backfill says nothing of what lies before or after it."""
    done = f"{events:,} events in {packages} load package{'s' * (packages != 1)}" if packages else "nothing new to load"
    if plan.reached is None:
        return f"{done}; nothing is loaded yet" if plan.moves_cursor else done
    since = "" if plan.moves_cursor else f" from {plan.interval.start:%Y-%m-%d %H:%M}"
    return f"{done}; loaded{since} up to {plan.reached:%Y-%m-%d %H:%M} UTC"


def show_plan(plan: "Plan", *, as_json: bool) -> None:
    """Print the windows that a plan would load.

    Raises:
        LoadError: it would load none, since events are gone that the sync table tells of.
    """
    for warning in plan.warnings:
        say(f"Warning: {warning}", err=True)
    if plan.lost:
        raise LoadError(plan.lost)
    for bundle in plan.bundles:
        window = bundle.window
        document = json.dumps({"start": window.start.isoformat(), "end": window.end.isoformat()})
        say(document if as_json else f"would load {window}")
    say(f"{len(plan.bundles)} windows would be loaded", err=True)
    say_unready(plan)
    refuse_lost_output()


def say_unready(plan: "Plan", *, asked: datetime | None = None) -> None:
    """Print what is not ready, and when it will be.

    Args:
        asked: the start of an interval that was asked for; if nothing of it is ready, that is an error.

    Raises:
        TransientError: nothing is.
    """
    plan.refuse_unready(asked)
    if plan.unready:
        say(str(plan.unready), err=True)


def refuse_lost_output() -> None:
    """Make sure that the result of a command has been written.

    Raises:
        HauserError: it could not be.
    """
    if reason := lost():
        raise HauserError(f"the result could not be written to stdout: {reason}")
