"""How many exports run at once, found out from the simulator: counted in requests, never in seconds."""

import time
from statistics import median

import pytest

from hauser_dlt.config.reading import read
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.simulator import Account, Fault, Simulator
from hauser_dlt.source.connections import ahead, ready
from support.exports import asked, creates, fetch_all, segment_exports

FASTER = 100  # by which the simulator's time passes faster than ours


@pytest.fixture
def sim():
    begin = time.time()
    with Simulator(Account(events_per_hour=2), clock=lambda: begin + FASTER * (time.time() - begin)) as simulator:
        simulator.prepare, simulator.link_ttl = 2.0, 1e6
        yield simulator


def hasty(seconds):
    """Wait, by the simulator's time where that is longer: who waits less than it should is refused again."""
    time.sleep(max(min(seconds, 0.01), seconds / FASTER))


def beside(sim):
    """How many exports ran when each was begun, itself included."""
    jobs = sorted(sim.operations.values(), key=lambda job: job.created)
    return [sum(other.created <= job.created < other.ready for other in jobs) for job in jobs]


def test_where_nothing_is_refused_there_are_soon_16_at_once(sim, tmp_path):
    sim.prepare = 50.0
    fetch_all(segment_exports(sim, hasty), tmp_path, 80, threads=20)
    numbers = beside(sim)
    assert len(creates(sim)) == len(sim.operations) == 80
    assert max(numbers[:4]) <= 4
    assert 8 < max(numbers) <= 16


@pytest.mark.parametrize("most", [1, 3])
def test_at_most_5_percent_of_all_requests_are_refused(sim, tmp_path, most):
    sim.max_running, sim.prepare = most, 10.0  # longer than a busy machine keeps a thread waiting
    fetch_all(segment_exports(sim, hasty), tmp_path, 60, threads=16)
    refused = len(creates(sim)) - len(sim.operations)
    assert len(sim.operations) == 60
    assert 1 <= refused <= 0.05 * len(asked(sim))
    assert refused <= 0.05 * 3 * 60  # of the fewest requests that 60 exports could take, too
    assert max(beside(sim)) == most


def test_refusals_end_no_run_that_has_no_retries_left_but_a_few(sim, tmp_path):
    sim.max_running = 2
    fetch_all(segment_exports(sim, hasty, max_retries=2), tmp_path, 40, threads=16)
    assert len(sim.operations) == 40


def test_where_exports_queue_there_are_fewer_at_once(sim, tmp_path):
    sim.workers, sim.prepare = 2, 5.0
    numbers = []

    def pause(seconds):
        numbers.append(exports.at_once())
        hasty(seconds)

    exports = segment_exports(sim, pause)
    fetch_all(exports, tmp_path, 100, threads=16)
    assert max(numbers) > 8
    assert median(numbers[len(numbers) // 2 :]) <= 9
    assert len(creates(sim)) == 100  # nothing was refused


def test_a_refusal_for_their_rate_is_heeded_too(sim, tmp_path):
    sim.faults.add(Fault("status", "create", status=429, retry_after=1, after=20, times=1))
    fetch_all(segment_exports(sim, hasty), tmp_path, 40, threads=16)
    assert len(creates(sim)) == 41


def settings(**spelled):
    spelled["api_token"] = "key"
    return read(SourceSettings, lambda name: (spelled[name], "test") if name in spelled else None)


@pytest.mark.parametrize(
    ("duration", "at_once", "on_disk"), [("15m", 16, 28), ("1h", 16, 28), ("2h", 16, 16), ("6h", 8, 8), ("24h", 5, 5)]
)
def test_the_disk_holds_no_more_than_with_4_at_once(duration, at_once, on_disk):
    found_out = settings(export_duration=duration)
    fixed = settings(export_duration=duration, concurrent_exports=4)
    assert ahead(found_out) == at_once
    assert ahead(found_out) + ready(found_out) == ahead(fixed) + ready(fixed) == on_disk


@pytest.mark.parametrize("number", [1, 8, 64])
def test_a_number_is_as_many_at_once_beside_a_day_that_waits(number):
    assert ahead(settings(concurrent_exports=number)) == number
    assert ready(settings(concurrent_exports=number)) == 24


@pytest.mark.parametrize("number", ["auto", 8])
def test_legacy_bundles_come_one_by_one(number):
    legacy = settings(api="data_export", concurrent_exports=number)
    assert (ahead(legacy), ready(legacy)) == (1, 24)
