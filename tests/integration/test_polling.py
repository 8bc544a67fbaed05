"""Operations that run side by side are polled by one list, and by id where the list does not show them."""

import gzip
import json
import threading
import time
from dataclasses import replace

import pytest

from hauser_dlt.errors import ExportFailedError, StoppedError
from hauser_dlt.exports.polling import seconds_taken
from hauser_dlt.simulator import Account, Fault, Simulator
from support.exports import asked, bundle, creates, fetch_all, lists, segment_exports

WINDOWS = 40


@pytest.fixture
def sim():
    with Simulator(Account(events_per_hour=50)) as simulator:
        yield simulator


def by_id(sim):
    return [request for request in asked(sim, "/operations/v1/") if request.method == "GET"]


def whole(paths):
    return all(gzip.decompress(path.read_bytes()).endswith(b"}\n") for path in paths)


class Steps:
    """A pause in which the next of some things happens; then FullStory finishes what it does."""

    def __init__(self, sim, *steps):
        self._sim = sim
        self._steps = list(steps)
        self._lock = threading.Lock()

    def __call__(self, seconds):
        if not seconds:
            return
        time.sleep(0.005)
        with self._lock:
            if self._steps:
                self._steps.pop(0)()
            else:
                for job in list(self._sim.operations.values()):
                    job.ready = 0


def nothing():
    pass


def test_many_operations_take_few_requests(sim, tmp_path):
    sim.prepare = 0.3
    exports = segment_exports(sim, time.sleep, concurrent_exports=8)
    assert whole(fetch_all(exports, tmp_path, WINDOWS, threads=8))
    assert len(creates(sim)) == WINDOWS
    assert len(by_id(sim)) <= WINDOWS + 2 * 8  # for what it has become, and before it is known how long they take
    assert len(asked(sim)) < 5 * WINDOWS  # each by itself, they would be 7


def test_one_operation_is_polled_by_its_id(sim, tmp_path):
    sim.prepare = 1000
    segment_exports(sim, Steps(sim, *[nothing] * 5)).fetch(bundle(), tmp_path / "bundle")
    assert len(lists(sim)) == 1  # before the first export of a run: is there one that runs already?
    assert len(by_id(sim)) == 7


def test_what_the_list_does_not_show_is_asked_for_by_its_id_and_the_list_given_up(sim, tmp_path):
    sim.prepare = 1000
    sim.faults.add(Fault("status", "operations", status=200, body={"operations": []}, times=None))
    exports = segment_exports(sim, Steps(sim, *[nothing] * 40), concurrent_exports=4)
    assert whole(fetch_all(exports, tmp_path, 4, threads=4))
    assert 2 <= len(lists(sim)) <= 1 + 3 + 4
    assert len(by_id(sim)) > 20


REFUSED = [{"status": 403}, {"status": 404}, {"status": 200, "body": {"error": "no list today"}}]
WRONG = [
    {"status": 200, "body": json.dumps(body).encode()}
    for body in ([], {"operations": 1}, {"operations": [1]}, {"operations": [{}]}, {"operations": [{"id": None}]})
]


@pytest.mark.parametrize("answer", [*REFUSED, *WRONG], ids=str)
def test_a_list_that_cannot_be_had_costs_requests_and_nothing_else(sim, tmp_path, answer):
    sim.prepare = 1000
    sim.faults.add(Fault("status", "operations", times=None, **answer))
    exports = segment_exports(sim, Steps(sim, *[nothing] * 40), concurrent_exports=4)
    assert whole(fetch_all(exports, tmp_path, 4, threads=4))
    assert len(creates(sim)) == 4
    assert len(lists(sim)) <= 1 + 3 + 4


def test_a_busy_list_is_asked_for_again_after_a_pause(sim, tmp_path):
    sim.prepare = 1000
    sim.faults.add(Fault("status", "operations", status=429, retry_after=2, after=1, times=2))
    waited = []
    steps = Steps(sim, *[nothing] * 20)

    def pause(seconds):
        waited.append(seconds)
        steps(seconds)

    assert whole(fetch_all(segment_exports(sim, pause, concurrent_exports=4), tmp_path, 4, threads=4))
    assert waited.count(2) == 2


def test_other_states_in_the_list_are_not_believed(sim, tmp_path):
    sim.prepare = 1000

    def say_that_all_are_done():
        rows = [{"id": job, "state": "COMPLETED", "results": {"searchExportId": "none"}} for job in sim.operations]
        sim.faults.add(Fault("status", "operations", status=200, body={"operations": rows}, times=None))

    exports = segment_exports(sim, Steps(sim, nothing, say_that_all_are_done, *[nothing] * 20), concurrent_exports=4)
    assert whole(fetch_all(exports, tmp_path, 4, threads=4))


def test_the_list_is_read_until_all_that_is_waited_for_has_come(sim, tmp_path):
    sim.prepare = 1000

    def crowd():
        job = next(iter(sim.operations.values()))
        before = {f"before{n}": replace(job, id=f"before{n}") for n in range(150)}
        after = {f"after{n}": replace(job, id=f"after{n}") for n in range(500)}
        sim.operations = before | sim.operations | after

    steps = [nothing] * 7 + [crowd] + [nothing] * 20
    assert whole(fetch_all(segment_exports(sim, Steps(sim, *steps), concurrent_exports=4), tmp_path, 4, threads=4))
    tokens = {request.query.get("paginationToken") for request in lists(sim)}
    assert {None, "p100"} <= tokens <= {None, "p100", "p200", "p300", "p400"}


def test_one_that_failed_among_many_is_told_with_its_reason(sim, tmp_path):
    sim.prepare = 1000

    def fail():
        next(iter(sim.operations.values())).error = "the search ran out of resources"

    exports = segment_exports(sim, Steps(sim, *[nothing] * 6, fail, *[nothing] * 9), concurrent_exports=4)
    with pytest.raises(ExportFailedError, match="ran out of resources"):
        fetch_all(exports, tmp_path, 4, threads=4)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_stop_reaches_all_who_wait_for_the_same_list(sim, tmp_path):
    stopped = threading.Event()
    sim.prepare = 1000
    sim.faults.add(Fault("status", "operations", status=503, after=1, times=None))

    def pause(seconds):
        if stopped.wait(min(seconds, 0.01)):
            raise StoppedError(15)

    threading.Timer(0.3, stopped.set).start()
    with pytest.raises(StoppedError):
        fetch_all(segment_exports(sim, pause, concurrent_exports=4, max_retries=100), tmp_path, 4, threads=4)


@pytest.mark.parametrize(
    ("row", "seconds"),
    [
        ({"createdAt": "2020-09-22T22:40:52.174736Z", "finishedAt": "2020-09-22T23:30:54.473657Z"}, 3002.298921),
        ({"createdAt": "2020-09-22T22:40:52Z", "finishedAt": "2020-09-22T22:40:51.999999999Z"}, 0),
        ({"createdAt": "2020-09-22T22:40:52Z"}, None),
        ({"createdAt": "2020-09-22T22:40:52Z", "finishedAt": "2020-09-22T22:40:53"}, None),
        ({"createdAt": "yesterday", "finishedAt": None}, None),
        ({"createdAt": 5, "finishedAt": 6}, None),
    ],
)
def test_how_long_an_export_took_is_what_fullstory_tells(row, seconds):
    assert seconds_taken(row) == seconds
