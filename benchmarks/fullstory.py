"""A FullStory in a process of its own, so that it takes nothing from what is measured but a share of the machine."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from hauser_dlt.simulator import Account, Simulator


@contextmanager
def fullstory(
    bundles: Mapping[datetime, Path] | None = None,
    *,
    prepare: float = 0.0,
    events_per_hour: int = 10,
    most: int | None = None,
    at_a_time: int | None = None,
    counts: dict[str, int] | None = None,
) -> Iterator[str]:
    """Provide the address of a FullStory.

    Args:
        bundles: start of a window -> the file that is sent for it; other windows have simulated events.
        prepare: how many seconds each export takes.
        most: how many exports may run at once; more are refused.
        at_a_time: on how many it works at a time; the others wait for their turn.
        counts: takes, at the end, how many requests there were, exports asked for, and those of them refused.
    """
    files = {start.isoformat(): str(path) for start, path in (bundles or {}).items()}
    options = {"prepare": prepare, "max_running": most, "workers": at_a_time}
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, json.dumps(files), json.dumps(options), str(events_per_hour)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin
        assert process.stdout
        yield process.stdout.readline().strip()
        process.stdin.close()
        found: dict[str, int] = json.loads(process.stdout.readline())
        if counts is not None:
            counts |= found


def main() -> None:
    """Serve until standard input ends."""
    files, options, events_per_hour = sys.argv[1:]
    account = Account(events_per_hour=int(events_per_hour))
    with Simulator(account, **json.loads(options)) as simulator:
        simulator.bodies |= {start: Path(path).read_bytes() for start, path in json.loads(files).items()}
        print(simulator.url, flush=True)
        sys.stdin.read()
        asked = len(simulator.created())
        refused = asked - len(simulator.operations)
        print(json.dumps({"requests": len(simulator.requests), "asked": asked, "refused": refused}), flush=True)


if __name__ == "__main__":
    main()
