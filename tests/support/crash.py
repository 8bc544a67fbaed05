"""Runs that die: in a process of their own, which kills itself before or after one of its steps.

What runs is the product as it is; see `steps` for what is seen of it.
"""

import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import dlt.destinations.impl.bigquery.bigquery

from hauser_dlt.config.configuration import configure, read_configuration
from hauser_dlt.ledger import process_id
from hauser_dlt.sync import Sync
from hauser_dlt.windows import Window
from support import steps
from support.commands import PROCESSES, ensure_running

PATIENCE = 120  # seconds
_MANY = 3  # of steps of one name, the first ones will do


@dataclass(frozen=True, slots=True)
class Moment:
    """When a run dies: at the n-th step of a name, since threads take turns as they like.

    Attributes:
        time: seconds after the beginning, instead of a step.
    """

    step: str = ""
    nth: int = 1
    when: Literal["before", "after"] = "before"
    time: float | None = None

    def __str__(self) -> str:
        nth = f" #{self.nth}" if self.nth > 1 else ""
        return f"{self.when} {self.step}{nth}" if self.step else f"after {self.time} s"


NEVER = Moment()


@dataclass(frozen=True, slots=True)
class CrashScenario:
    """What a run is to do.

    Attributes:
        span: of a backfill.
        reload: the interval that is loaded again.
        elsewhere: the process is on a machine that nobody here knows.
    """

    settings: Mapping[str, Any]
    now: datetime
    span: tuple[datetime | None, datetime | None] = (None, None)
    reload: tuple[datetime, datetime] | None = None
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Death:
    """What became of a run.

    Attributes:
        killed: it came so far; otherwise it has done all that it was to do.
        steps: those that it took, each with its thread.
    """

    killed: bool
    steps: list[tuple[str, int]]


def crash_at(scenario: CrashScenario, at: Moment = NEVER) -> Death:
    """Run in a process of its own until that moment."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "steps"
        process = start(scenario, at, log)
        process.join(PATIENCE)
        assert process.exitcode != steps.UNNAMED, "a step has no name, see stderr"
        assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
        lines = log.read_text().splitlines() if log.exists() else []
    taken = [(name, int(thread)) for name, _, thread in (line.rpartition("\t") for line in lines)]
    return Death(process.exitcode != 0, taken)


def start(scenario: CrashScenario, at: Moment = NEVER, log: Path | None = None) -> Any:
    """Begin a run in a process of its own, which is to be waited for."""
    ensure_running()
    process = PROCESSES.Process(target=_run, args=(scenario, at, log, dict(os.environ)))
    process.start()
    return process


def moments(taken: Iterable[tuple[str, int]]) -> Iterator[Moment]:
    """Yield the moments before and after each step.

    After a step and before the next one of the same thread is the same moment, of which the first is yielded.
    """
    counts: Counter[str] = Counter()
    before = None
    for name, thread in taken:
        counts[name] += 1
        if counts[name] <= _MANY:
            at = Moment(name, counts[name])
            if thread != before:
                yield at
            yield replace(at, when="after")
        before = thread


@dataclass
class _Killer:
    at: Moment
    log: int | None
    _counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        with self._lock:
            self._counts[name] += 1
            nth = self._counts[name]
            if self.log is not None:
                os.write(self.log, f"{name}\t{threading.get_ident()}\n".encode())
        self._look(name, nth, "before")
        yield
        self._look(name, nth, "after")

    def _look(self, *now: Any) -> None:
        if now == (self.at.step, self.at.nth, self.at.when):
            os.kill(os.getpid(), signal.SIGKILL)


def _run(scenario: CrashScenario, at: Moment, log: Path | None, environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    fast_polling()
    killer = _Killer(at, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if log else None)
    configure(scenario.settings)
    place = scenario.settings["destination"].get("filesystem", {}).get("bucket_url", "/nowhere")
    steps.watch(killer.around, Path(place), scenario.settings["sources"]["fullstory"]["base_url"])
    if scenario.settings["hauser"]["destination"] == "snowflake":
        from support import snowflake_steps  # noqa: PLC0415 - its driver takes a while

        snowflake_steps.watch(killer.around)
    if scenario.elsewhere:
        process_id._machine = lambda: "elsewhere"
    if at.time is not None:
        threading.Timer(at.time, os.kill, (os.getpid(), signal.SIGKILL)).start()
    with Sync.open(read_configuration(), lambda _: None) as sync:
        again = scenario.reload and Window(*scenario.reload)
        sync.run(sync.plan_reload(scenario.now, again) if again else sync.plan(scenario.now, *scenario.span), _Silent())
        sync.load_snapshots(scenario.now, _Silent())  # nothing, unless the settings say so
    os._exit(0)  # threads of libraries may take their time


class _Silent:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def fast_polling() -> None:
    """Have dlt look each moment whether BigQuery has done a job, where it would wait for a second."""
    dlt.destinations.impl.bigquery.bigquery.sleep = lambda _: time.sleep(0.01)
