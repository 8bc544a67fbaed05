"""A FullStory with ready-made bundles, in a process of its own, so that it takes nothing from what is measured."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from hauser_dlt.simulator import Simulator


@contextmanager
def serving(bundles: Mapping[datetime, Path], prepare: float = 0.0) -> Iterator[str]:
    """Provide the address of a FullStory that serves these files for the windows that start then."""
    arguments = [str(prepare), *(f"{start.isoformat()}={path}" for start, path in bundles.items())]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fullstory", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin and process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


def main() -> None:
    """Serve until standard input ends."""
    prepare, *files = sys.argv[1:]
    with Simulator(prepare=float(prepare)) as fullstory:
        for start, path in (file.split("=", 1) for file in files):
            fullstory.bodies[start] = Path(path).read_bytes()
        print(fullstory.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
