"""Connections that have a lake attached."""

import pytest
from dlt.common.configuration import resolve_configuration
from dlt.destinations import ducklake
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.impl.ducklake.configuration import DuckLakeCredentials

from hauser_dlt.destinations.ducklake import LakeSqlClient


@pytest.fixture
def connect(tmp_path):
    """What makes a client of one and the same lake."""

    def client():
        lake = DuckLakeCredentials("lake", catalog=f"sqlite:///{tmp_path}/lake.sqlite", storage=f"{tmp_path}/files")
        return LakeSqlClient("events", "events_staging", resolve_configuration(lake), ducklake().capabilities())

    return client


def test_a_connection_that_failed_takes_the_lake_from_no_other(connect):
    failing, first, second = connect(), connect(), connect()
    failing.capabilities.escape_identifier = "{}_of_another".format
    with pytest.raises(DatabaseUndefinedRelation, match="lake_of_another"):
        failing.open_connection()
    with first, second:
        second.close_connection()
        assert first.execute_sql("SELECT current_catalog()") == [("lake",)]
