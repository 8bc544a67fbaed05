"""FullStory's events by Prefect 3: run it as it is, or `python prefect_flow.py serve` for a run each hour.

Settings: as for `hauser-dlt run`, from the environment and from `.dlt/`.
"""

import sys
from typing import Any

from prefect import flow, task

import hauser_dlt


def passes_by_itself(_task: Any, _run: Any, state: Any) -> bool:
    """Tell whether a task that has failed should be tried again."""
    return isinstance(state.result(raise_on_failure=False), hauser_dlt.TransientError)


@task(retries=3, retry_delay_seconds=600, retry_condition_fn=passes_by_itself)
def load(start: str | None = None, end: str | None = None) -> dict[str, int | str]:
    """Load what is ready, or of an interval what is not loaded yet; return what was done."""
    done = hauser_dlt.run(start=start, end=end)
    return {"events": done.events, "windows": done.windows, "reached": str(done.reached)}


@flow
def fullstory(start: str | None = None, end: str | None = None) -> dict[str, int | str]:
    """Load FullStory's events, each exactly once; with a start and an end, backfill."""
    done: dict[str, int | str] = load(start, end)
    return done


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        fullstory.serve("hourly", cron="17 * * * *", limit=1)
    else:
        fullstory(*sys.argv[1:])
