"""Sixty days loaded by hosts of which one dies, one loses its network for a minute and one has a wrong clock."""

import os
import re
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from cluster.dagster import Dagster
from cluster.kubernetes import IndexedJob
from cluster.network import WAREHOUSE, Unavailable, cluster
from support.destinations import MIDNIGHT
from support.runs import Runs, flat

ROOT = Path(__file__).parents[2]
SCHEDULERS = ROOT / ".venv-schedulers"
FAKETIME = next(SCHEDULERS.glob("lib/*/site-packages/libfaketime/vendor/libfaketime/src/libfaketime.so.1"), Path())
PROGRAM = Path(sys.executable).with_name("hauser-dlt")
DAYS = 60
END = MIDNIGHT + timedelta(days=DAYS)
CUT_FOR = 60.0  # seconds

pytestmark = pytest.mark.slow


@pytest.fixture
def runs(sim, target, tmp_path):
    sim.prepare = 0.5
    return Runs(
        sim, target, tmp_path / "unused", {"max_retries": 4, "backoff": "1s", "workers": 1, "export_duration": "24h"}
    )


@pytest.fixture
def hosts(runs, server, tmp_path):
    """Four hosts."""
    fullstory = {port_of(runs.sim.url), port_of(runs.sim.storage_url)}
    try:
        office = [server.port]
        with cluster(tmp_path, 4, fullstory=fullstory, office=office, warehouse=ports_of(runs) - fullstory) as made:
            yield made
    except Unavailable as exc:
        pytest.skip(str(exc))


def port_of(url):
    return int(url.rpartition(":")[2])


def ports_of(runs):
    said = " ".join(str(value) for value in environ_of(runs).values())
    return {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", said)}


def environ_of(runs):
    return dict(flat(runs.nested())) | (runs.target.environ() if hasattr(runs.target, "environ") else {})


def environ_on(host, runs):
    """Return the settings of a host: its own working folder, and the addresses that it finds the servers at."""
    found = environ_of(runs) | {"HAUSER__WORKING_DIR": str(host.disk / "work")}
    path = f"{SCHEDULERS / 'bin'}:{os.environ['PATH']}"
    at_home = {"SOURCES__FULLSTORY__BASE_URL": runs.sim.url, "PATH": path}
    return {name: value.replace("127.0.0.1", WAREHOUSE) for name, value in found.items()} | at_home


class Trouble:
    """Kills one host in the middle of a load, and cuts off another one for a while, once they have loaded something."""

    def __init__(self, dies, cut_off, target):
        self.dies, self.cut_off, self.target = dies, cut_off, target
        self.dead = self.cut = self.over = 0.0

    def __call__(self):
        if not self.dead and self.dies.share and self.is_loading(self.dies):
            self.dies.kill()
            self.dead = time.monotonic()
        if not self.cut and self.cut_off.share:
            self.cut_off.cut_off()
            self.cut = time.monotonic()
        if self.cut and not self.over and time.monotonic() - self.cut > CUT_FOR:
            self.cut_off.connect()
            self.over = time.monotonic()

    def is_loading(self, host):
        """Tell whether a load of a host's is under way; of Iceberg tables, whose leases are files, nothing is known."""
        if self.target.kind == "iceberg":
            return True
        leases = self.target.query('SELECT * FROM "fs_sync_pending"')
        return any(str(value).startswith(f"{host.name}/") for lease in leases for value in lease.values())


@pytest.mark.parametrize("target", ["postgres", "bigquery", "iceberg-s3"], indirect=True)
def test_shards_of_an_indexed_job_load_each_event_once_whatever_happens_to_the_hosts(runs, hosts, record_property):
    dies, cut_off, wrong, healthy = hosts.hosts
    wrong.clock = "+1h"
    trouble = Trouble(dies, cut_off, runs.target)

    def pod(shard):
        return [PROGRAM, "run", "--start", f"{MIDNIGHT:%Y-%m-%d}", "--end", f"{END:%Y-%m-%d}", "--shard", shard]

    begun = time.monotonic()
    job = IndexedJob(pod, 6)
    job.run(hosts.hosts, lambda host: environ_on(host, runs), FAKETIME, trouble)
    assert trouble.over, "the job had ended before the network came back"
    assert set(job.failed.values()) == {wrong}
    assert re.search("the clock of this machine|request time and the server's time", wrong.log)  # the latter by S3
    assert wrong.share == 0

    again = IndexedJob(pod, 6)  # as people do who have set the clock
    again.run([cut_off, healthy], lambda host: environ_on(host, runs), FAKETIME, trouble)
    assert {code for codes in again.exits.values() for code in codes} <= {0, 75}
    runs.expect(MIDNIGHT, END)
    tell(hosts.hosts, len(runs.target.rows()), time.monotonic() - begun, record_property, job.exits)


def tell(hosts, events, seconds, record_property, *others):
    shares = {host.name.rpartition("-")[2]: host.share for host in hosts}
    print(f"\n{events} events in {seconds:.0f} s; shares of the hosts: {shares}", *others)  # noqa: T201
    record_property("shares", shares)
    assert sum(shares.values()) >= events - max(shares.values())  # a host may die before it has said what it has loaded


@pytest.mark.parametrize("target", ["postgres"], indirect=True)
def test_a_backfill_of_dagster_loads_each_event_once_whatever_happens_to_celerys_workers(
    runs, hosts, server, tmp_path, record_property
):
    dies, cut_off, wrong, _ = hosts.hosts
    wrong.clock = "+3m"  # no more than is allowed
    trouble = Trouble(dies, cut_off, runs.target)
    dagster = Dagster(hosts, tmp_path / "dagster", SCHEDULERS / "bin", server)
    dagster.prepare(f"{MIDNIGHT:%Y-%m-%d}", visible_for=90)

    begun = time.monotonic()
    with dagster.running(lambda host: environ_on(host, runs), FAKETIME):
        dagster.backfill(f"{MIDNIGHT + timedelta(days=day):%Y-%m-%d}" for day in range(DAYS))
        ended = dagster.until_done(trouble)
    assert (ended, dagster.runs()) == ("COMPLETED_SUCCESS", [("SUCCESS", 9)])
    assert trouble.over, "the backfill had ended before the network came back"
    assert wrong.share > 0
    runs.expect(MIDNIGHT, END)
    tell(hosts.hosts, len(runs.target.rows()), time.monotonic() - begun, record_property)
