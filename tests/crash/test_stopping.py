"""Signals, sent to real processes: heeded at the next pause, and what was before is put back."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hauser_dlt.errors import StoppedError
from hauser_dlt.shutdown import Stopping

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
BEGIN = """
import signal, sys, time
from hauser_dlt.errors import StoppedError
from hauser_dlt.shutdown import Stopping
signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background, it is ignored
def say(word):
    sys.stdout.write(word + "\\n")
    sys.stdout.flush()
"""


class Child:
    """A Python process that takes its script's lines; `heard` is the next line it says."""

    def __init__(self, script):
        self.process = subprocess.Popen(
            [sys.executable, "-c", BEGIN + script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def heard(self):
        return self.process.stdout.readline().strip()

    def send(self, number):
        self.process.send_signal(number)


PAUSING = """
try:
    with Stopping() as stopping:
        say("ready")
        stopping.pause(60)
except StoppedError as exc:
    sys.exit(exc.exit_code)
"""


@pytest.mark.parametrize(("number", "code"), SIGNALS.items())
def test_a_signal_ends_a_pause_with_its_exit_code(number, code):
    with Child(PAUSING) as child:
        assert child.heard() == "ready"
        child.send(number)
        assert child.process.wait(10) == code


WORKING = """
with Stopping() as stopping:
    say("ready")
    sys.stdin.readline()  # goes on in spite of the signal
    say("still at work")
    try:
        stopping.pause(0)
    except StoppedError as exc:
        say(str(exc.exit_code))
    try:
        stopping.pause(5)
    except StoppedError:
        say("and no pause after that")
say("done")
"""


@pytest.mark.parametrize(("number", "code"), SIGNALS.items())
def test_a_signal_is_heeded_at_the_next_pause_and_not_before(number, code):
    with Child(WORKING) as child:
        assert child.heard() == "ready"
        child.send(number)
        child.process.stdin.write("go\n")
        child.process.stdin.flush()
        assert [child.heard() for _ in range(4)] == ["still at work", str(code), "and no pause after that", "done"]
        assert child.process.wait(10) == 0


BUSY = """
try:
    with Stopping() as stopping:
        say("ready")
        while not stopping._signal:
            time.sleep(0.01)
        say("noted")
        time.sleep(60)
except KeyboardInterrupt:
    say("interrupted")
"""


def test_a_second_sigterm_ends_the_process():
    with Child(BUSY) as child:
        assert child.heard() == "ready"
        child.send(signal.SIGTERM)
        assert child.heard() == "noted"
        child.send(signal.SIGTERM)
        assert child.process.wait(10) == -signal.SIGTERM


def test_a_second_sigint_interrupts():
    with Child(BUSY) as child:
        assert child.heard() == "ready"
        child.send(signal.SIGINT)
        assert child.heard() == "noted"
        child.send(signal.SIGINT)
        assert child.heard() == "interrupted"


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("signalled", [False, True])
def test_handlers_are_put_back(number, signalled):
    seen = []

    def own(number, _frame):
        seen.append(number)

    def work():
        with Stopping():
            assert signal.getsignal(number) != own
            if signalled:
                os.kill(os.getpid(), number)
            raise ZeroDivisionError

    before = signal.signal(number, own)
    try:
        with pytest.raises(ZeroDivisionError):
            work()
        assert signal.getsignal(number) is own
        assert seen == []
    finally:
        signal.signal(number, before)


def test_a_pause_without_a_signal_is_just_that(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    now = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: next(now) / 10)
    stopping = Stopping()
    stopping.pause(0)
    assert slept == []
    stopping.pause(0.95)
    assert slept
    assert max(slept) <= 0.2


def test_a_stop_says_what_it_is():
    assert str(StoppedError(15)) == "stopped by a signal"
    assert StoppedError(2).exit_code == 130


def test_in_a_thread_it_waits_and_leaves_signals_alone():
    def paused():
        with Stopping() as stopping:
            stopping.pause(0)
            return [signal.getsignal(number) for number in SIGNALS]

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(paused).result() == [signal.getsignal(number) for number in SIGNALS]
