"""Dropped tables, where a warehouse is asked in its own way."""

from datetime import timedelta

import pytest

from support.destinations import HOUR, MIDNIGHT

NOW = MIDNIGHT + timedelta(days=1) + 12 * HOUR


@pytest.mark.slow
@pytest.mark.parametrize("target", ["redshift", "postgres", "bigquery", "snowflake"], indirect=True)
def test_tables_that_a_warehouse_has_lost_are_made_again(runs):
    runs.load(NOW)
    for number, gone in enumerate((("_dlt_loads",), ("_dlt_loads", "fs_sync_pending", "_dlt_version")), 1):
        for table in gone:
            runs.target.query(f'DROP TABLE "{table}"')
        runs.load(NOW + number * 6 * HOUR)
        runs.expect(MIDNIGHT, NOW - timedelta(days=1) + number * 6 * HOUR)
