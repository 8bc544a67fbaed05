"""A worker process: converts bundles that it is told of on standard input, and answers on standard output.

`pool` starts it with a command of its own, so nothing of the program that loads is imported here, let alone run again.
"""

import os
import pickle
import queue
import signal
import sys
import threading
from typing import BinaryIO

from hauser_dlt.conversion.work import Conversion, Converted, convert

_work: "queue.SimpleQueue[Conversion]" = queue.SimpleQueue()


def main() -> None:
    """Convert what comes, until the process that sends it has gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the process that sends the work decides when to end
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2 if sys.stderr else os.open(os.devnull, os.O_WRONLY), 1)  # what prints must not do so among the answers
    threading.Thread(target=_receive, args=(sys.stdin.buffer,), daemon=True).start()
    while True:
        answers.write(_answer(convert(_work.get())))
        answers.flush()


def _receive(source: BinaryIO) -> None:
    """Take work, and end this process in the midst of whatever it does once nobody waits for it."""
    try:
        while True:
            _work.put(pickle.load(source))  # noqa: S301 - of the process that started this one
    except (EOFError, OSError):
        os._exit(0)


def _answer(done: Converted) -> bytes:
    try:
        answer = pickle.dumps(done)
        pickle.loads(answer)  # noqa: S301 - some errors can be written, and not be read
    except Exception:  # noqa: BLE001 - of whatever kind
        done.error = RuntimeError(f"{type(done.error).__name__}: {done.error}")
        answer = pickle.dumps(done)
    return answer
