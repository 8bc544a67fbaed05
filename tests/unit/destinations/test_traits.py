"""What is known of destinations is found by their class, without their drivers."""

import subprocess
import sys

import dlt
import pytest

from hauser_dlt.destinations.bigquery import ExactBigQuery
from hauser_dlt.destinations.duckdb_file import ExactDuckDbClient
from hauser_dlt.destinations.guarded import guard, with_client
from hauser_dlt.destinations.postgres import ExactPostgres
from hauser_dlt.destinations.redshift import ExactRedshift
from hauser_dlt.destinations.traits import ANY, BIGQUERY, POSTGRES, REDSHIFT, traits_of


class Theirs(dlt.destinations.postgres):
    """A destination that a user has made of dlt's."""


@pytest.mark.parametrize(
    ("destination", "traits"),
    [
        (dlt.destinations.redshift, REDSHIFT),
        (ExactRedshift, REDSHIFT),
        (ExactBigQuery, BIGQUERY),
        (dlt.destinations.postgres, POSTGRES),
        (Theirs, POSTGRES),
    ],
)
def test_subclasses_have_the_traits_of_dlts_destination(destination, traits):
    assert traits_of(destination()) is traits


def test_a_class_may_have_traits_of_its_own():
    assert (traits_of(ExactPostgres()).kind, traits_of(ExactPostgres()).batches_as) == ("postgres", "parquet")
    assert POSTGRES.batches_as == "insert_values"


def test_a_destination_keeps_its_traits_with_another_client():
    destination = dlt.destinations.duckdb("events.db")
    with_client(destination, ExactDuckDbClient)
    guard(destination, {})
    assert traits_of(destination).kind == "duckdb"
    assert traits_of(destination).dialect.adapter == "duckdb"


def test_of_others_only_the_name_is_known():
    assert traits_of(dlt.destinations.databricks()).kind == "databricks"
    assert traits_of(dlt.destinations.databricks()).dialect is None
    assert traits_of(None) is ANY


def test_the_source_needs_no_driver():
    code = "import sys, hauser_dlt.source.fullstory; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"psycopg2", "google.cloud.bigquery", "botocore", "gcsfs", "snowflake"} & set(out.split())
