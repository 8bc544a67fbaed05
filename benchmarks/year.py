"""A year of hourly windows with 50 million events, loaded by one command: `python -m benchmarks year`.

`WEEKS` and `EVENTS` in the environment do less: two weeks have as many events an hour, unless EVENTS says how many.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet
from isal import isal_zlib

from benchmarks.events import HOUR, START, events
from hauser_dlt.simulator import Account, Simulator
from hauser_dlt.simulator.messages import Answer, Request

Line = tuple[str, str, str, str]

_HOURS = 8760
_EVENTS = 50_000_000
_TEMPLATES = 6
_BYTES = 250  # on the disk, for each event in Parquet: to see beforehand whether there is room
_OFTEN = 0.2  # seconds between two looks at the run


class _FullStory(Simulator):
    """Sends the events of a few hours for every window, their times moved into it; remembers no more than it must."""

    def __init__(self, start: datetime, hours: int, number: int) -> None:
        super().__init__(Account(), token="simulator-key")  # noqa: S106 - opens nothing but the simulator
        self._start, self._hours, self._number = start, hours, number
        most = -(-number // hours)
        self._templates = [list(events(most, seed=seed)) for seed in range(_TEMPLATES)]
        self.counts: Counter[str] = Counter()

    def literal_body(self, start: datetime) -> bytes:
        """Return the bundle of a window."""
        hour = (start - self._start) // HOUR
        number = (hour + 1) * self._number // self._hours - hour * self._number // self._hours
        lines = self._templates[hour % _TEMPLATES][:number]
        text = b"\n".join((*lines, b"")).replace(_hour(START), _hour(start))
        packed: bytes = isal_zlib.compress(text, 1, wbits=31)
        with self.lock:
            self.counts.update(unpacked=len(text), packed=len(packed))
        return packed

    def _respond(self, request: Request) -> Answer:
        answer = super()._respond(request)
        with self.lock:
            self.counts["requests"] += 1
            self.requests.clear()
            done = self.exports.pop(request.path.rpartition("/")[2], None) if request.listener == "storage" else None
            if done:
                del self.operations[done.id]
        return answer


def _hour(start: datetime) -> bytes:
    """Return what all times of an hour begin with."""
    return f'"EventStart":"{start:%Y-%m-%dT%H}:'.encode()


@dataclass
class _Peaks:
    """The most that was seen of a run: memory of its processes in KiB, and its working folder in bytes."""

    disk: int = 0
    memory: dict[int, int] = field(default_factory=dict)

    def look(self, process: int, folder: Path) -> None:
        """Look once."""
        files = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
        self.disk = max(self.disk, sum(map(_size, files)))
        for one in (process, *_children(process)):
            self.memory[one] = max(self.memory.get(one, 0), _peak(one))


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_blocks * 512


def _children(process: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []


def _peak(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def year(folder: Path) -> Iterator[Line]:
    """Windows of a year from FullStory into Parquet files: time, memory, disk, and whether all arrived once."""
    weeks = os.environ.get("WEEKS")
    hours = round(float(weeks) * 168) if weeks else _HOURS
    number = int(os.environ.get("EVENTS", "0")) or _EVENTS * hours // _HOURS
    room = shutil.disk_usage(folder).free
    if room < number * _BYTES:
        raise SystemExit(f"{folder} has {room / 1e9:.0f} GB free; {number * _BYTES / 1e9:.0f} GB may be needed")
    peaks = _Peaks()
    began = time.perf_counter()
    served = _served(hours, number, lambda url: _run(folder, url, hours, peaks))
    seconds, cpu = served["seconds"], served["cpu"]
    yield "windows; events", f"{hours:,}; {number:,}", "", ""
    yield "time", f"{timedelta(seconds=round(seconds))}, {number / seconds:,.0f} events/s", "", ""
    yield "processor time of the run", f"{cpu:,.0f} s, {number / cpu:,.0f} events/s", "", ""
    yield "... of a week of 168 windows", f"{cpu / hours * 168:.1f} s", "", ""
    yield "... of the simulated FullStory", f"{served['served_cpu']:,.0f} s", "", ""
    (main, *workers) = peaks.memory.values()
    yield "peak memory of the run itself", f"{main / 1024:.0f} MiB", "", "350 MB"
    yield (
        f"... of each of {len(workers)} workers",
        ", ".join(f"{each / 1024:.0f} MiB" for each in workers),
        "",
        "350 MB",
    )
    yield "peak of the working folder", f"{peaks.disk / 1e6:,.0f} MB", "", ""
    yield "bundles, packed; unpacked", f"{served['packed'] / 1e9:.2f} GB; {served['unpacked'] / 1e9:.1f} GB", "", ""
    yield "requests for each window", f"{served['requests'] / hours:.2f}", "", "4"
    yield from _found(folder / "out", hours, number)
    yield "in all, with the making of the events", f"{timedelta(seconds=round(time.perf_counter() - began))}", "", ""


def _served(hours: int, number: int, run: Callable[[str], dict[str, float]]) -> dict[str, float]:
    """Run while a FullStory serves, in a process of its own; return what both took."""
    command = [sys.executable, "-m", __spec__.name, str(hours), str(number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        took = run(server.stdout.readline().strip())
        server.stdin.close()
        found: dict[str, float] = json.loads(server.stdout.readline())
    return found | took


def _run(folder: Path, url: str, hours: int, peaks: _Peaks) -> dict[str, float]:
    """Load all by the command, as users do; return its seconds, and those of the processors."""
    work = folder / "work"
    environment = os.environ | {
        "FULLSTORY_API_TOKEN": "simulator-key",
        "SOURCES__FULLSTORY__BASE_URL": url,
        "HAUSER__DESTINATION": "filesystem",
        "DESTINATION__FILESYSTEM__BUCKET_URL": str(folder / "out"),
        "HAUSER__WORKING_DIR": str(work),
    }
    end = START + hours * HOUR
    command = [sys.executable, "-m", "hauser_dlt", "run", "--start", START.isoformat(), "--end", end.isoformat()]
    began, before = time.perf_counter(), sum(os.times()[2:4])
    process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            peaks.look(process.pid, work)
            time.sleep(_OFTEN)
    finally:
        process.kill()
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"the run has ended with exit code {process.returncode}")
    return {"seconds": seconds, "cpu": sum(os.times()[2:4]) - before}


def _found(out: Path, hours: int, number: int) -> Iterator[Line]:
    """Count what has arrived."""
    files = list((out / "fs_export").rglob("*.parquet"))
    rows = sum(pyarrow.parquet.read_metadata(path).num_rows for path in files)
    starts: Counter[datetime] = Counter()
    for path in (out / "fs_sync").rglob("*.parquet"):
        starts.update(pyarrow.parquet.read_table(path, columns=["BundleStartTime"]).column(0).to_pylist())
    wrong = sum(starts[START + hour * HOUR] != 1 for hour in range(hours)) + len(starts) - hours
    size = sum(path.stat().st_size for path in files)
    yield "files; size", f"{len(files):,}; {size / 1e9:.2f} GB, {size / number:.0f} bytes an event", "", ""
    yield "events that are missing or too many", f"{rows - number:,}", "", "0"
    yield "windows that are not there exactly once", f"{wrong:,}", "", "0"


def main() -> None:
    """Serve until standard input ends."""
    hours, number = map(int, sys.argv[1:])
    with _FullStory(START, hours, number) as simulator:
        before = time.process_time()
        print(simulator.url, flush=True)
        sys.stdin.read()
        print(json.dumps(simulator.counts | {"served_cpu": time.process_time() - before}), flush=True)


if __name__ == "__main__":
    main()
