"""A worker process: does what it is told on standard input, and answers on standard output.

`pool` starts it with a command of its own, so nothing of the program that loads is imported here, let alone run again.
"""

import os
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO

from hauser_dlt.conversion import frames

_work: "queue.SimpleQueue[Any]" = queue.SimpleQueue()


def main() -> None:
    """Do what comes, until the process that sends it has gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the process that sends the work decides when to end
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2 if sys.stderr else os.open(os.devnull, os.O_WRONLY), 1)  # what prints must not do so among the answers
    threading.Thread(target=_receive, args=(sys.stdin.buffer,), daemon=True).start()
    while True:
        frames.send(answers, _work.get().do())


def _receive(source: BinaryIO) -> None:
    """Take work, and end this process in the midst of whatever it does once nobody waits for it."""
    code = 1  # what comes cannot be read, say because the package has been replaced meanwhile: it is waited for
    try:
        while True:
            _work.put(frames.receive(source))
    except (EOFError, OSError):
        code = 0
    finally:
        os._exit(code)
