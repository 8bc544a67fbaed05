"""FullStory's events by Airflow 3: `fullstory_hourly` loads what is ready, `fullstory_backfill` the days you name.

Copy it into your folder of DAGs. Settings: as for `hauser-dlt run`, from the environment of Airflow's workers.
"""

from datetime import UTC, date, datetime, timedelta

from airflow.sdk import Asset, Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

import hauser_dlt

EVENTS = Asset("fullstory_events")
"""Updated by each run that loads events; a DAG with `schedule=[EVENTS]`, for dbt say, follows it."""

RETRIES = {"retries": 3, "retry_delay": timedelta(minutes=10)}


def load(**interval: str) -> dict[str, int | str]:
    """Load what is ready, or of an interval what is not loaded yet; return what was done."""
    try:
        done = hauser_dlt.run(**interval)
    except hauser_dlt.HauserError as exc:
        if exc.exit_code == 2:  # settings, key or tables: no retry will help
            raise AirflowFailException(str(exc)) from exc
        raise
    return {"events": done.events, "windows": done.windows, "reached": str(done.reached)}


@dag(
    schedule="17 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,  # a run loads all that is ready
    max_active_runs=1,
    tags=["fullstory"],
)
def fullstory_hourly() -> None:
    """Load what has become ready since the last run, however long ago that was."""

    @task(outlets=[EVENTS], **RETRIES)
    def load_ready() -> dict[str, int | str]:
        return load()

    load_ready()


@dag(
    schedule=None,
    params={
        "first_day": Param("2026-01-01", type="string", format="date", description="UTC"),
        "end": Param("2026-01-08", type="string", format="date", description="The day after the last one"),
    },
    tags=["fullstory"],
)
def fullstory_backfill() -> None:
    """Load days, several side by side; those that are loaded already are left alone."""

    @task
    def days(params: dict[str, str]) -> list[str]:
        first, end = (date.fromisoformat(params[name]) for name in ("first_day", "end"))
        return [str(first + timedelta(days=number)) for number in range((end - first).days)]

    @task(outlets=[EVENTS], max_active_tis_per_dag=4, map_index_template="{{ task.op_kwargs['day'] }}", **RETRIES)
    def load_day(day: str) -> dict[str, int | str]:
        return load(start=day, end=str(date.fromisoformat(day) + timedelta(days=1)))

    load_day.expand(day=days())


fullstory_hourly()
fullstory_backfill()
