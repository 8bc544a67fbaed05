"""What the commands print beside the lines of `Progress`: summaries, plans, and what is not ready."""

import json
from typing import TYPE_CHECKING

from hauser_dlt.errors import HauserError, LoadError
from hauser_dlt.streams import lost, say

if TYPE_CHECKING:
    from hauser_dlt.sync import Plan


def summary(plan: "Plan", packages: int, events: int) -> str:
    """Return what a run has loaded; a backfill says nothing of what lies before or after it.

    Windows that are refreshed follow those of the run itself, whose summary is enough.
    """
    if plan.again:
        return ""
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
    if plan.unready:
        say(str(plan.unready), err=True)
    refuse_lost_output()


def summary_of_reload(plan: "Plan", packages: int, events: int) -> str:
    """Return what a reload has loaded."""
    windows = "1 window" if len(plan.bundles) == 1 else f"{len(plan.bundles):,} windows"
    return f"loaded again {events:,} events of {windows}" if plan.bundles else ""


def refuse_lost_output() -> None:
    """Make sure that the result of a command has been written.

    Raises:
        HauserError: it could not be.
    """
    if reason := lost():
        raise HauserError(f"the result could not be written to stdout: {reason}")
