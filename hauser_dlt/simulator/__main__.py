"""`python -m hauser_dlt.simulator`: a FullStory on loopback until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import suppress

from hauser_dlt.simulator.events import Account
from hauser_dlt.simulator.server import Simulator


def main() -> None:
    """Serve, having said where and with which key."""
    options = _options()
    account = Account(seed=options.seed, events_per_hour=options.events_per_hour)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also where a parent has it ignored
    with Simulator(account, port=options.port) as simulator, suppress(KeyboardInterrupt):
        sys.stdout.write(f"url {simulator.url}\nexport_url {simulator.export_url}\ntoken {simulator.token}\n")
        sys.stdout.flush()
        threading.Event().wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hauser_dlt.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the API's port (default: any free one)")
    parser.add_argument(
        "--seed", type=int, default=Account.seed, help="another seed, other events (default: %(default)s)"
    )
    parser.add_argument(
        "--events-per-hour", type=int, default=Account.events_per_hour, help="on average (default: %(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
