"""`python -m fuzz [--seconds N] [TARGET...]`: hostile bytes against each target in turn, guided by coverage.

What is found goes into `.fuzz/<target>`, and a way to see a failure again into `.fuzz/`. Without --seconds it goes on
until it is stopped, or something fails.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
CORPUS = Path(__file__).parent / "corpus"
FOUND = ROOT / ".fuzz"
_TURN = 60  # seconds
_NAMES = sorted(path.name for path in CORPUS.iterdir())


def main() -> int:
    """Fuzz; the exit code is that of the first failure."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz hauser-dlt.")
    parser.add_argument("--seconds", type=float, default=0, help="how long altogether; 0 is without end")
    parser.add_argument("target", nargs="*", choices=[[], *_NAMES], help="what to fuzz; all in turn, if none is named")
    options = parser.parse_args()
    names = options.target or _NAMES
    until = time.monotonic() + options.seconds if options.seconds else float("inf")
    turn = min(_TURN, max(1, round(options.seconds / len(names)))) if options.seconds else _TURN
    while time.monotonic() < until:
        for name in names:
            if code := _fuzz(name, turn):
                return code
    return 0


def _fuzz(name: str, seconds: int) -> int:
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=2048"]
    quiet = ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={FOUND}/{name}-"]
    return subprocess.call([sys.executable, "-m", "fuzz.one", name, *limits, *quiet, found, CORPUS / name], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
