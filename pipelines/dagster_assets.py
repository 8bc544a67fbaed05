"""FullStory's events as an asset of Dagster with a partition for each UTC day: `dagster dev -f dagster_assets.py`.

A back-fill of a year is a back-fill of its partitions; they may run side by side. Settings: as for `hauser-dlt run`.
"""

import json
import subprocess

import dagster as dg

TRY_AGAIN = 75  # hauser-dlt's exit code for what may pass by itself
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
    command = ["hauser-dlt", "reload" if config.again else "run", "--json"]
    stretch = ["--start", days.start.isoformat(), "--end", days.end.isoformat()]
    done = subprocess.run([*command, *stretch], capture_output=True, text=True, check=False)
    context.log.info(done.stderr)
    if done.returncode == TRY_AGAIN:
        raise dg.RetryRequested(max_retries=3, seconds_to_wait=PAUSE)
    if done.returncode:
        raise dg.Failure(done.stderr)
    packages = [json.loads(line) for line in done.stdout.splitlines()]
    return dg.MaterializeResult(metadata={"loaded": sum(package["events"] for package in packages)})


daily = dg.define_asset_job("fullstory_daily", selection=[fs_export])
defs = dg.Definitions(assets=[fs_export], jobs=[daily], schedules=[dg.build_schedule_from_partitioned_job(daily)])
