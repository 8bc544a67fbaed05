"""What Kubernetes does with an Indexed Job, as docs/scheduling.md has it: hosts take indices, failed ones come again.

There is no kubelet here: a pod is a process on a host. Its exit code counts as `podFailurePolicy` says.
"""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cluster.network import Host

_BACKOFF = 2.0  # seconds; Kubernetes waits 10, and then twice as long each time


class IndexedJob:
    """A job, whose index is the shard that a pod loads.

    Attributes:
        failed: indices that another try would not help (exit code 2), and the host that said so.
        exits: index -> the exit codes of its pods, in order.
    """

    def __init__(self, command: Callable[[str], list[str | Path]], completions: int, limit: int = 20) -> None:
        self._command = command
        self._completions = completions
        self._limit = limit
        self.failed: dict[int, Host] = {}
        self.exits: dict[int, list[int]] = {}

    def run(
        self,
        hosts: Iterable[Host],
        environ: Callable[[Host], Mapping[str, str]],
        faketime: Path,
        meanwhile: Callable[[], None],
        patience: float = 1800,
    ) -> None:
        """Have each host run a pod at a time, until all indices have succeeded or failed.

        Args:
            meanwhile: called again and again; it may switch hosts off.
        """
        waiting = [(0.0, index) for index in range(self._completions)]
        running: dict[Host, tuple[int, subprocess.Popen[bytes]]] = {}
        free, tries = list(hosts), Counter[int]()
        until = time.monotonic() + patience
        while waiting or running:
            assert time.monotonic() < until, (waiting, self.exits)
            assert free or running, f"no host is left, but {waiting} are to be loaded: {self.exits}"
            meanwhile()
            for host, (index, pod) in list(running.items()):
                if (code := pod.poll()) is None:
                    continue
                del running[host]
                self.exits.setdefault(index, []).append(code)
                tries[index] += 1
                assert tries[index] < self._limit, self.exits
                if code == 2:  # FailIndex; people look at the host, which gets no more pods
                    self.failed[index] = host
                    continue
                if code != 0:
                    waiting.append((time.monotonic() + _BACKOFF, index))
                if code >= 0:  # else it was switched off
                    free.append(host)
            due = [entry for entry in waiting if entry[0] <= time.monotonic()]
            for entry in due[: len(free)]:
                waiting.remove(entry)
                host = free.pop(0)
                shard = f"{entry[1]}/{self._completions}"
                running[host] = (entry[1], host.start(self._command(shard), environ(host), faketime))
            time.sleep(0.1)
