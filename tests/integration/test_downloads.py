"""Bundles side by side: in order, not too many, errors at their turn; with threads and files, and the simulator."""

import gzip
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from hauser_dlt.config.reading import read
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ExportFailedError, StoppedError, TransientError
from hauser_dlt.exports import Bundle, Client, SegmentExports
from hauser_dlt.exports.prefetch import deliver
from hauser_dlt.simulator import Account, Fault, Simulator
from hauser_dlt.windows import Window

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BUNDLES = [Bundle(Window(NOON + i * HOUR, NOON + (i + 1) * HOUR)) for i in range(12)]
PATIENCE = 10  # seconds that no good run comes near


class Held:
    """Exports that are fetched when the test lets them; those that `fails` names fail instead."""

    def __init__(self, fails=()):
        self.fails = dict(fails)
        self.begun = []
        self.most = 0
        self._gates = {bundle: threading.Event() for bundle in BUNDLES}
        self._running = 0
        self._changed = threading.Condition()

    def fetch(self, bundle, path):
        with self._changed:
            self.begun.append(bundle)
            self._running += 1
            self.most = max(self.most, self._running)
            self._changed.notify_all()
        path.write_text("half")
        opened = self._gates[bundle].wait(PATIENCE)
        with self._changed:
            self._running -= 1
            self._changed.notify_all()
        assert opened
        if bundle in self.fails:
            raise self.fails[bundle]
        path.write_text(f"{bundle.window}")

    def let(self, *bundles):
        """Let bundles be fetched."""
        for bundle in bundles:
            self._gates[bundle].set()

    def until(self, condition):
        """Wait for what the threads do."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE)

    def idle(self):
        """Wait until no thread is in `fetch`."""
        self.until(lambda: self._running == 0)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def eventually(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_bundles_come_in_order_whichever_is_done_first(tmp_path):
    exports = Held()
    deliveries = deliver(exports, BUNDLES, tmp_path, ahead=4)
    exports.let(*reversed(BUNDLES))
    for bundle, delivery in zip(BUNDLES, deliveries, strict=True):
        assert delivery.bundle == bundle
        assert delivery.path.read_text() == f"{bundle.window}"
    assert len(exports.begun) == len(BUNDLES)


@pytest.mark.parametrize("ahead", [1, 3, 20])
def test_no_more_than_some_are_under_way(tmp_path, ahead):
    exports = Held()
    deliveries = deliver(exports, BUNDLES, tmp_path, ahead)
    assert not exports.begun  # nobody has asked yet
    for number, bundle in enumerate(BUNDLES):
        exports.let(bundle)
        assert next(deliveries).bundle == bundle
        expected = min(number + 1 + ahead, len(BUNDLES))
        exports.until(lambda expected=expected: len(exports.begun) == expected)
    assert exports.most <= ahead
    assert set(exports.begun[:ahead]) == set(BUNDLES[:ahead])
    assert list(deliveries) == []


def test_whether_the_next_is_ready_is_known_beforehand(tmp_path):
    exports = Held()
    deliveries = deliver(exports, BUNDLES[:3], tmp_path, ahead=2)
    assert not deliveries.is_next_ready()  # nobody has asked yet
    exports.let(BUNDLES[0])
    next(deliveries)
    assert not deliveries.is_next_ready()
    exports.let(BUNDLES[1], BUNDLES[2])
    eventually(deliveries.is_next_ready)
    assert len(list(deliveries)) == 2
    assert not deliveries.is_next_ready()


def test_the_disk_holds_what_is_under_way_and_no_more(tmp_path):
    exports = Held()
    exports.let(*BUNDLES)
    for delivery in deliver(exports, BUNDLES, tmp_path, ahead=2):
        assert len(names(tmp_path)) <= 3
        delivery.path.unlink()
    assert names(tmp_path) == []


@pytest.mark.parametrize("ready", [1, 4, 20])
def test_while_nobody_takes_any_some_more_are_got_ready_and_no_others(tmp_path, ready):
    exports = Held()
    exports.let(*BUNDLES)
    deliveries = deliver(exports, BUNDLES, tmp_path, 2, ready)
    for taken in range(1, 4):
        next(deliveries)  # and then a package is loaded, which takes its time
        expected = min(taken + 2 + ready, len(BUNDLES))
        exports.until(lambda expected=expected: len(exports.begun) == expected)
        exports.idle()
        assert len(exports.begun) == expected
    assert exports.most <= 2
    assert exports.begun == BUNDLES[: len(exports.begun)]
    assert [delivery.bundle for delivery in deliveries] == BUNDLES[3:]


def test_none_is_begun_that_would_wait_for_others(tmp_path):
    exports, allowed = Held(), 2
    deliveries = deliver(exports, BUNDLES, tmp_path, ahead=8, allowed=lambda: allowed)
    exports.let(BUNDLES[0])
    next(deliveries)
    exports.until(lambda: len(exports.begun) == 3)
    assert exports.most == 2
    allowed = 5
    exports.let(BUNDLES[1])
    next(deliveries)
    exports.until(lambda: len(exports.begun) == 7)
    allowed = 20
    exports.let(BUNDLES[2])
    next(deliveries)
    exports.until(lambda: len(exports.begun) == 11)  # and no more than 8 at once
    exports.let(*BUNDLES)
    assert len(list(deliveries)) == len(BUNDLES) - 3


def test_after_a_failure_no_export_is_asked_for_that_had_no_place_yet(sim, tmp_path):
    sim.faults.add(Fault("failed", "operation", match=NOON.isoformat()))
    sim.faults.add(Fault("never", "operation", times=None))
    exports = segments(sim, lambda _: time.sleep(0.001))
    assert exports.at_once() == 4
    with closing(deliver(exports, BUNDLES, tmp_path, 12, allowed=exports.at_once)) as deliveries:
        with pytest.raises(ExportFailedError):
            next(deliveries)
        asked_for = len(sim.created())
        eventually(lambda: len(sim.created()) >= 4)
    time.sleep(0.05)
    assert asked_for <= len(sim.created()) == 4


def test_after_an_error_none_is_begun_even_if_others_are_taken(tmp_path):
    exports = Held({BUNDLES[1]: ExportFailedError("gave up")})
    deliveries = deliver(exports, BUNDLES, tmp_path, 2, ready=8)
    exports.let(BUNDLES[1])

    def let_the_others():
        exports.until(lambda: len(exports.begun) == 2 and exports._running == 1)
        eventually(lambda: not any(thread.name == f"export {BUNDLES[1].window}" for thread in threading.enumerate()))
        exports.let(*BUNDLES)

    threading.Thread(target=let_the_others).start()
    assert next(deliveries).bundle == BUNDLES[0]
    with pytest.raises(ExportFailedError):
        next(deliveries)
    assert len(exports.begun) == 2


def test_an_error_comes_at_its_bundles_turn_and_after_the_good_ones(tmp_path):
    exports = Held({BUNDLES[2]: ExportFailedError("gave up")})
    exports.let(BUNDLES[2])
    deliveries = deliver(exports, BUNDLES, tmp_path, ahead=4)
    exports.let(*BUNDLES[:2])

    assert [next(deliveries).bundle, next(deliveries).bundle] == BUNDLES[:2]
    with pytest.raises(ExportFailedError, match="gave up"):
        next(deliveries)
    deliveries.close()
    exports.let(*BUNDLES[3:])
    exports.idle()
    assert len(exports.begun) <= 6  # none was begun after the error
    eventually(lambda: len(names(tmp_path)) == 2)  # those that were handed out are the reader's


def test_what_comes_after_an_error_can_still_be_had(tmp_path):
    exports = Held({BUNDLES[0]: ExportFailedError("gave up"), BUNDLES[3]: ExportFailedError("gave up, too")})
    exports.let(*BUNDLES)
    deliveries = deliver(exports, BUNDLES, tmp_path, ahead=4)
    for bundle in BUNDLES:
        if bundle in exports.fails:
            with pytest.raises(ExportFailedError):
                next(deliveries)
        else:
            assert next(deliveries).bundle == bundle
    assert list(deliveries) == []
    assert len(exports.begun) == len(BUNDLES)


def test_an_error_of_the_list_comes_after_the_bundles_before_it(tmp_path):
    def listed():
        yield from BUNDLES[:3]
        raise TransientError("the next page does not come")

    exports = Held()
    exports.let(*BUNDLES)
    deliveries = deliver(exports, listed(), tmp_path, ahead=2)
    assert [next(deliveries).bundle for _ in range(3)] == BUNDLES[:3]
    with pytest.raises(TransientError, match="next page"):
        next(deliveries)


def test_closing_early_begins_nothing_more_and_waits_for_nobody(tmp_path):
    exports = Held()
    exports.let(BUNDLES[0])
    deliveries = deliver(exports, BUNDLES, tmp_path, ahead=3)
    first = next(deliveries)
    deliveries.close()  # returns although three are held
    exports.until(lambda: len(exports.begun) == 4)

    exports.let(*BUNDLES)
    exports.idle()
    eventually(lambda: names(tmp_path) == [first.path.name])  # what nobody will read is removed
    assert len(exports.begun) == 4


def test_a_second_delivery_is_not_disturbed_by_what_the_first_left_under_way(tmp_path):
    before, after = Held(), Held()
    before.let(BUNDLES[0])
    deliveries = deliver(before, BUNDLES[:2], tmp_path, ahead=1)
    next(deliveries)
    before.until(lambda: len(before.begun) == 2)
    deliveries.close()

    after.let(*BUNDLES)
    [again] = deliver(after, BUNDLES[1:2], tmp_path, ahead=1)
    before.let(BUNDLES[1])
    before.idle()
    eventually(lambda: len(names(tmp_path)) == 2)
    assert again.path.read_text() == f"{BUNDLES[1].window}"


def test_what_is_under_way_does_not_keep_a_process_from_ending():
    script = f"""
from datetime import UTC, datetime
from pathlib import Path
import time
from hauser_dlt.exports.prefetch import deliver
from hauser_dlt.errors import TransientError
from hauser_dlt.exports import Bundle
from hauser_dlt.windows import Window

class Slow:
    def fetch(self, bundle, path):
        if bundle.id == 0:
            raise TransientError("broken")
        time.sleep({PATIENCE * 3})

moment = datetime(2024, 5, 1, tzinfo=UTC)
next(deliver(Slow(), [Bundle(Window(moment, moment), i) for i in range(4)], Path(), 4))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.endswith("TransientError: broken\n")


def test_no_bundles_are_no_work(tmp_path):
    assert list(deliver(Held(), [], tmp_path, ahead=4)) == []


# --- with FullStory


@pytest.fixture
def sim():
    with Simulator(Account(events_per_hour=20)) as simulator:
        yield simulator


def segments(sim, pause):
    spelled = {"api_token": sim.token, "backoff": "10ms", "max_retries": 3, "request_timeout": "5s"}
    settings = read(SourceSettings, lambda name: (spelled[name], "test") if name in spelled else None)
    return SegmentExports(Client(settings, sim.url, pause), settings, {})


def test_a_day_with_faults_is_delivered_whole_and_in_order(sim, tmp_path):
    kinds = [("status", "create"), ("reset", "operation"), ("expired", "download"), ("cut", "download")]
    for hour, (kind, on) in enumerate(kinds * 3):
        sim.faults.add(Fault(kind, on, match=(NOON + hour * HOUR).isoformat()))
    sim.prepare = 0.01

    for bundle, delivery in zip(
        BUNDLES, deliver(segments(sim, lambda _: None), BUNDLES, tmp_path, ahead=4), strict=True
    ):
        assert delivery.bundle == bundle
        expected = sum(1 for _ in sim.account.events(bundle.window.start, bundle.window.end))
        assert len(gzip.decompress(delivery.path.read_bytes()).splitlines()) == expected
        delivery.path.unlink()
    assert all(fault.hits for fault in sim.faults)
    assert names(tmp_path) == []


def test_a_stop_reaches_what_is_under_way(sim, tmp_path):
    stopped = threading.Event()

    def pause(seconds):
        if stopped.wait(min(seconds, 0.01)):
            raise StoppedError(15)

    sim.faults.add(Fault("never", "operation", times=None))
    deliveries = deliver(segments(sim, pause), BUNDLES, tmp_path, ahead=4)
    threading.Timer(0.1, stopped.set).start()
    with pytest.raises(StoppedError):
        next(deliveries)
    eventually(lambda: not any(thread.name.startswith("export ") for thread in threading.enumerate()))
    assert names(tmp_path) == []
