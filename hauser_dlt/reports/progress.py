"""The progress of a run: results on stdout, messages on stderr, a progress bar on a terminal only."""

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from hauser_dlt.records.batches import Tally
from hauser_dlt.reports.summary import Collecting
from hauser_dlt.streams import say
from hauser_dlt.sync import LoadedSnapshot, Package, Plan
from hauser_dlt.windows import Window


class Progress(Collecting):
    """A `Report` for the command line: one line per load package, and a bar on a terminal.

    Args:
        as_json: packages as one JSON object a line.
        summary: a plan, numbers of packages and of events -> the line that ends it; "" is none.
    """

    def __init__(self, *, as_json: bool, summary: Callable[[Plan, int, int], str] = lambda *_: "") -> None:
        super().__init__()
        self._as_json = as_json
        self.summary = summary
        self._bar: Any = None
        self._began = time.monotonic()
        self._events = 0
        self.reached: datetime | None = None

    def planned(self, plan: Plan) -> None:
        """See `Report`."""
        super().planned(plan)
        self._began, self._events = time.monotonic(), 0
        self.reached = plan.reached or self.reached
        for warning in plan.warnings:
            self._say(f"Warning: {warning}", err=True)
        if plan.bundles and sys.stderr.isatty():
            self._bar = click.progressbar(
                length=len(plan.bundles),
                label="windows",
                show_pos=True,
                show_eta=True,
                file=sys.stderr,
                item_show_func=lambda _: self._rate(),
            )
            self._bar.render_progress()

    def read(self, window: Window, tally: Tally) -> None:
        """See `Report`."""
        self._events += tally.rows
        if self._bar:
            self._bar.update(1, window)
        for line in window_warnings(window, tally):
            self._say(line, err=True)

    def loaded(self, package: Package) -> None:
        """See `Report`."""
        super().loaded(package)
        self._say(json.dumps(as_document(package)) if self._as_json else as_line(package))

    def loaded_snapshot(self, snapshot: LoadedSnapshot) -> None:
        """See `Report`."""
        super().loaded_snapshot(snapshot)
        table, rows = snapshot.table, snapshot.tally.rows
        for line in snapshot_warnings(table, snapshot.tally):
            self._say(line, err=True)
        document = {"load_id": snapshot.load_id, "table": table, "rows": rows}
        self._say(json.dumps(document) if self._as_json else snapshot_as_line(snapshot))

    def done(self) -> None:
        """See `Report`."""
        if self._bar:
            self._bar.render_finish()
            self._bar = None

    def finished(self, plan: Plan) -> None:
        """See `Report`."""
        if line := self.summary(plan, len(self.so_far.packages), self.so_far.events):
            say(line, err=True)
        if plan.unready:
            say(str(plan.unready), err=True)

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._began, 0.001)
        return f"{self._events:,} events, {self._events / seconds:,.0f}/s"

    def _say(self, line: str, *, err: bool = False) -> None:
        if self._bar:
            say("\r\033[K", nl=False, err=True)
        say(line, err=err)
        if self._bar:
            self._bar.render_progress()


def window_warnings(window: Window, tally: Tally) -> list[str]:
    """Return the warnings about one window."""
    lines = _value_warnings(str(window), tally)
    if tally.outside:
        lines.append(f"Warning: {window}: left out {tally.outside} events from outside the window")
    return lines


def snapshot_warnings(table: str, tally: Tally) -> list[str]:
    """Return the warnings about a table that was replaced."""
    lines = _value_warnings(table, tally)
    if tally.outside:
        lines.append(f"Warning: {table}: left out {tally.outside} rows without a key")
    return lines


def _value_warnings(subject: str, tally: Tally) -> list[str]:
    lines = []
    if tally.mismatches:
        fields = ", ".join(f"{name} ({count})" for name, count in sorted(tally.mismatches.items()))
        lines.append(f"Warning: {subject}: values that do not fit their column are in CustomVars instead: {fields}")
    if tally.truncated:
        columns = ", ".join(f"{name} ({count})" for name, count in sorted(tally.truncated.items()))
        lines.append(f"Warning: {subject}: texts that are longer than their column are truncated: {columns}")
    return lines


def as_line(package: Package) -> str:
    """Return a package as a line for people."""
    windows = "1 window" if package.windows == 1 else f"{package.windows} windows"
    events = "1 event" if package.events == 1 else f"{package.events:,} events"
    return f"loaded {package.span}: {events} in {windows} (load {package.load_id})"


def snapshot_as_line(snapshot: LoadedSnapshot) -> str:
    """Return a table that was replaced as a line for people."""
    return f"loaded {snapshot.table}: {snapshot.tally.rows:,} rows (load {snapshot.load_id})"


def as_document(package: Package) -> dict[str, Any]:
    """Return a package as JSON."""
    return {
        "load_id": package.load_id,
        "start": package.span.start.isoformat(),
        "end": package.span.end.isoformat(),
        "windows": package.windows,
        "events": package.events,
        "bytes": package.tally.bytes,
        "seconds": round(package.seconds, 3),
        "outside": package.tally.outside,
        "misfits": dict(package.tally.mismatches),
        "cut": dict(package.tally.truncated),
    }
