"""Runs from a simulated FullStory into a destination, in this process or as a command."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from hauser_dlt.config.configuration import Configuration, configure, read_configuration
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.errors import HauserError
from hauser_dlt.records.batches import Tally
from hauser_dlt.simulator import Simulator
from hauser_dlt.sync import LoadedSnapshot, Package, Plan, Sync
from hauser_dlt.windows import Window
from support.commands import Command
from support.destinations import MIDNIGHT, Target, as_rows, bare

PATIENCE = 60  # seconds that a command may take


@dataclass
class Told:
    """What a run tells."""

    plans: list[Plan] = field(default_factory=list)
    tallies: dict[Window, Tally] = field(default_factory=dict)
    packages: list[Package] = field(default_factory=list)
    tables: list[LoadedSnapshot] = field(default_factory=list)

    def planned(self, plan: Plan) -> None:
        """See `Report`."""
        self.plans.append(plan)

    def read(self, window: Window, tally: Tally) -> None:
        """See `Report`."""
        self.tallies[window] = tally

    def loaded(self, package: Package) -> None:
        """See `Report`."""
        self.packages.append(package)

    def failed(self, window: Window, error: HauserError) -> None:
        """See `Report`."""

    def loaded_snapshot(self, snapshot: LoadedSnapshot) -> None:
        """See `Report`."""
        self.tables.append(snapshot)

    def done(self) -> None:
        """See `Report`."""

    def finished(self, plan: Plan) -> None:
        """See `Report`."""


@dataclass
class Runs:
    """Runs from a simulated FullStory into a target, with windows of six hours unless said otherwise.

    Attributes:
        settings: names of settings -> values, for all runs.
    """

    sim: Simulator
    target: Target
    working_dir: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def load(self, now: datetime, start: datetime | None = None, end: datetime | None = None, **settings: Any) -> Told:
        """Load what is ready at `now`, in this process."""
        told = Told()
        with self.sync(**settings) as sync:
            for plan in sync.plans(now, start, end):
                sync.run(plan, told)
            if not (start or end):
                sync.load_snapshots(now, told)
        return told

    def reload(self, now: datetime, start: datetime, end: datetime, **settings: Any) -> Told:
        """Load an interval again, in this process."""
        told = Told()
        with self.sync(**settings) as sync:
            sync.run(sync.plan_reload(now, Window(start, end)), told)
        return told

    @contextmanager
    def sync(self, **settings: Any) -> Iterator[Sync]:
        """Open a `Sync`."""
        with Sync.open(self.configuration(**settings), lambda _: None) as sync:
            yield sync

    def configuration(self, **settings: Any) -> Configuration:
        """Return all settings, found in the way that a command finds them."""
        configure(self.nested(settings))
        return read_configuration()

    def command(self, *arguments: str, **settings: Any) -> Command:
        """Start `hauser-dlt ...` as a process of its own, with settings from the environment."""
        return Command(arguments, {**os.environ, **dict(flat(self.nested(settings)))})

    def expect(self, start: datetime, end: datetime) -> None:
        """Make sure that the target holds just the events of an interval, each once, and nothing half-done."""
        assert bare(self.target.rows()) == bare(as_rows(self.sim.rows(start, end)))
        self.target.expect_order()

    def nested(self, settings: Mapping[str, Any] = {}) -> dict[str, Any]:
        usual = {
            "start_time": MIDNIGHT.isoformat(),
            "export_duration": "6h",
            "backoff": "10ms",
            "max_retries": 2,
            "fields": "default",
        }
        source: dict[str, Any] = {"api_token": self.sim.token, "base_url": self.sim.url, **usual}
        document = self.target.settings()
        run = document["hauser"] | {"working_dir": str(self.working_dir)}
        of_runs = {declared.name for declared in fields(RunSettings)}
        for name, value in (self.settings | settings).items():
            *sections, key = name.split(".")
            place = run if name in of_runs else source
            if sections:
                place = document
            for section in sections:
                place = place.setdefault(section, {})
            place[key] = value
        return document | {"hauser": run, "sources": {"fullstory": source}}


def flat(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}__".upper())
        else:
            yield f"{prefix}{name}".upper(), str(value)
