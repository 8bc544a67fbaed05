"""Fixtures for all tests: a simulated FullStory, a real Postgres, destinations, and runs between them."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from buckets import BucketTarget
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from servers.bigquery import BigQuery, Unavailable, bigquery
from servers.faulty import Faulty
from servers.gcs import GCS, gcs
from servers.postgres import Postgres, postgres
from servers.redshift import Redshift, redshift
from servers.s3 import S3, s3
from targets import MIDNIGHT, Target, as_rows, bare
from warehouses import BigQueryTarget, RedshiftTarget

from hauser_dlt.config.configuration import Configuration, configure, read_run, read_source
from hauser_dlt.config.settings import RunSettings
from hauser_dlt.errors import HauserError
from hauser_dlt.records.batches import Tally
from hauser_dlt.simulator import Account, Simulator
from hauser_dlt.sync import LoadedSnapshot, Package, Plan, Sync
from hauser_dlt.windows import Window

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("untimed")

PATIENCE = 60  # seconds that a command may take
_READ_BY_US = ("FULLSTORY_", "SOURCES__", "HAUSER__", "DESTINATION__", "DLT_")
_READ_BY_CLOUDS = ("AWS_", "BOTO_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_", "BIGQUERY_EMULATOR_")


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing that this machine happens to have set reaches a test, and no test writes into its home."""
    for name in os.environ:
        if name.startswith((*_READ_BY_US, *_READ_BY_CLOUDS)):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "nobody"))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A FullStory with few events, and some in every hour."""
    with Simulator(Account(events_per_hour=10)) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """One Postgres for all tests."""
    with postgres() as running:
        yield running


@pytest.fixture(name="s3", scope="session")
def _s3() -> Iterator[S3]:
    """One S3 for all tests, which share its bucket: each writes below a prefix of its own."""
    with s3() as running:
        yield running


@pytest.fixture(name="gcs", scope="session")
def _gcs() -> Iterator[GCS]:
    """One Google Cloud Storage for all tests, which share its bucket: each writes below a prefix of its own."""
    with gcs() as running:
        yield running


@pytest.fixture(scope="session")
def redshift_server(server: Postgres, s3: S3) -> Iterator[Redshift]:
    """One Redshift for all tests, which each have a schema of their own."""
    with redshift(server, s3.endpoint) as running:
        yield running


@pytest.fixture(name="bigquery", scope="session")
def _bigquery(gcs: GCS) -> Iterator[BigQuery]:
    """One BigQuery for all tests, each of which takes a dataset of its own; it reads the buckets of `gcs`."""
    try:
        with bigquery(gcs.root) as running:
            yield running
    except Unavailable as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(exc))


@pytest.fixture(autouse=True)
def healthy_servers() -> Iterator[None]:
    """No fault of a server outlives its test."""
    yield
    for proxy in Faulty.running:
        proxy.clear()


_numbers = count(1)


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """An empty destination; `indirect` parametrization says of which kind."""
    made = _target(request, tmp_path, monkeypatch)
    yield made
    if isinstance(made, BigQueryTarget):
        made.remove()  # the more the stand-in holds, the slower it gets


def _target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    kind = getattr(request, "param", "duckdb")
    if kind == "redshift":
        backend = request.getfixturevalue("server").dsn().rpartition("/")[0]
        at, s3 = (request.getfixturevalue(name) for name in ("redshift_server", "s3"))
        return RedshiftTarget(kind, tmp_path, f"fs{next(_numbers)}", backend, server=at, s3=s3)
    if kind.startswith("bigquery"):
        at, gcs = (request.getfixturevalue(name) for name in ("bigquery", "gcs"))
        for name, value in (at.environ() | gcs.environ()).items():
            monkeypatch.setenv(name, value)
        staged = kind == "bigquery-staged"
        return BigQueryTarget("bigquery", tmp_path, f"fs{next(_numbers)}", server=at, gcs=gcs, by_bucket=staged)
    if kind.startswith(("s3-", "gcs-")):
        store, _, file_format = kind.partition("-")
        at = request.getfixturevalue(store)
        for name, value in at.environ().items() if store == "gcs" else ():
            monkeypatch.setenv(name, value)
        return BucketTarget(file_format, tmp_path, f"fs{next(_numbers)}", server=at)
    dsn = request.getfixturevalue("server").dsn() if kind == "postgres" else ""
    folder = tmp_path / "destination"
    folder.mkdir()
    return Target(kind, folder, f"fs{next(_numbers)}", dsn)


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
        """Load a stretch again, in this process."""
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
        return Configuration(read_source(), read_run())

    def command(
        self, *arguments: str, program: tuple[str, ...] = ("-m", "hauser_dlt"), **settings: Any
    ) -> subprocess.Popen[str]:
        """Start `hauser-dlt ...` as a process of its own, with settings from the environment."""
        environ = {**os.environ, **dict(_flat(self.nested(settings)))}
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def expect(self, start: datetime, end: datetime) -> None:
        """Make sure that the target holds just the events of a stretch, each once, and nothing half-done."""
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


def _flat(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}__".upper())
        else:
            yield f"{prefix}{name}".upper(), str(value)


@pytest.fixture
def runs(sim: Simulator, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """Runs in an empty folder, without settings from files."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield Runs(sim, target, tmp_path / "work")
    Container()[PluggableRunContext].reload()  # the providers of settings are dlt's own again


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the cells of the crash matrix, a line for each step of a destination."""
    reports = [report for found in terminalreporter.stats.values() for report in found if hasattr(report, "nodeid")]
    table: dict[tuple[str, str, str], dict[str, str]] = {}
    for report in reports:
        if getattr(report, "when", "") == "call":
            for destination, scenario, at, disk, good in (v for k, v in report.user_properties if k == "cell"):
                table.setdefault((destination, scenario, at), {})[disk] = "ok" if good else "FAILED"
    if not table:
        return
    terminalreporter.section("crash matrix: destination x step x disk")
    for (destination, scenario, at), cells in sorted(table.items(), key=lambda item: item[0][:2]):
        disks = "  ".join(f"disk {disk}: {good}" for disk, good in sorted(cells.items()))
        terminalreporter.write_line(f"{destination:16}{scenario:13}{at:45}{disks}")
    results = [good for cells in table.values() for good in cells.values()]
    failed = results.count("FAILED")
    terminalreporter.write_line(f"{len(results)} cells, {f'{failed} FAILED' if failed else 'all green'}")
