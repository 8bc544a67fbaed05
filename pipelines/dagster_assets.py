"""FullStory's events as an asset of Dagster with a partition for each UTC day: `dagster dev -f dagster_assets.py`.

A backfill of a year is a backfill of its partitions; they may run side by side. Settings: as for `hauser-dlt run`.
"""

import dagster as dg

import hauser_dlt

PAUSE = 600  # seconds

# A day has settled a day after its end (export_delay), so the newest partition is the day before yesterday.
DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_offset=-1)


class Load(dg.Config):
    """How to load a partition."""

    again: bool = False
    """Load days once more that are loaded already; they are left alone otherwise."""


@dg.asset(partitions_def=DAYS, kinds={"dlt"}, group_name="fullstory")
def fs_export(context: dg.AssetExecutionContext, config: Load) -> dg.MaterializeResult[None]:
    """FullStory's events, each exactly once."""
    days = context.partition_time_window
    load = hauser_dlt.reload if config.again else hauser_dlt.run
    try:
        done = load(start=days.start, end=days.end)
    except hauser_dlt.TransientError as exc:  # it may pass by itself
        raise dg.RetryRequested(max_retries=3, seconds_to_wait=PAUSE) from exc
    except hauser_dlt.HauserError as exc:
        raise dg.Failure(str(exc)) from exc
    for warning in done.warnings:
        context.log.warning(warning)
    return dg.MaterializeResult(metadata={"loaded": done.events, "windows": done.windows})


daily = dg.define_asset_job("fullstory_daily", selection=[fs_export])
defs = dg.Definitions(assets=[fs_export], jobs=[daily], schedules=[dg.build_schedule_from_partitioned_job(daily)])
