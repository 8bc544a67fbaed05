"""One run, as `hauser-dlt run` does it, in a fresh process; prints what it took as JSON.

`python -m benchmarks.load SETTINGS NOW [status]`: the settings are JSON, nested in dlt's way.
"""

import json
import resource
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from hauser_dlt.config.configuration import configure, read_configuration
from hauser_dlt.errors import HauserError
from hauser_dlt.records.batches import Tally
from hauser_dlt.reports import status
from hauser_dlt.sync import LoadedSnapshot, Package, Plan, Sync
from hauser_dlt.windows import Window


class _Counts:
    """A `Report` that counts."""

    def __init__(self) -> None:
        self.events = self.windows = self.packages = 0

    def planned(self, plan: Plan) -> None:
        """See `Report`."""

    def read(self, window: Window, tally: Tally) -> None:
        """See `Report`."""

    def loaded(self, package: Package) -> None:
        """See `Report`."""
        self.packages += 1
        self.windows += package.windows
        self.events += package.events

    def failed(self, window: Window, error: HauserError) -> None:
        """See `Report`."""

    def loaded_snapshot(self, snapshot: LoadedSnapshot) -> None:
        """See `Report`."""

    def done(self) -> None:
        """See `Report`."""

    def finished(self, plan: Plan) -> None:
        """See `Report`."""


def main() -> None:
    """Run once."""
    configure(json.loads(sys.argv[1]))
    config = read_configuration()
    now, counts, statements = datetime.fromisoformat(sys.argv[2]), _Counts(), 0
    execute = DuckDbSqlClient.execute_query

    def counting(*arguments: Any, **options: Any) -> Any:
        nonlocal statements
        statements += 1
        return execute(*arguments, **options)

    began, cpu = time.perf_counter(), time.process_time()
    with (
        patch.object(DuckDbSqlClient, "execute_query", counting),
        Sync.open(config, lambda seconds: time.sleep(seconds) if seconds else None) as sync,
    ):
        if "status" in sys.argv:
            status.status(sync, now, timedelta(hours=1))
        else:
            sync.run(sync.plan(now), counts)
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "statements": statements}
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps(vars(counts) | took | {"peak_mib": _peak_mib(), "children_mib": children}))


def _peak_mib() -> float:
    """Return this process's peak of memory; ru_maxrss would count in the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    main()
