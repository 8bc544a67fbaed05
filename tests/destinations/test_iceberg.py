"""Iceberg tables: each load is one commit that names it, whatever happens around."""

import json
from datetime import timedelta
from importlib.util import find_spec

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from emulators.faulty import Fault
from hauser_dlt.errors import ConfigError, TransientError
from hauser_dlt.ledger.lakehouse import LakehouseLedger
from hauser_dlt.ledger.lakehouse_leases import LakehouseLeases
from support.destinations import HOUR, MIDNIGHT

DAY = timedelta(days=1)
NOW = MIDNIGHT + 2 * DAY  # a day has settled: four windows of six hours

in_iceberg = pytest.mark.parametrize("target", ["iceberg"], indirect=True)


@in_iceberg
def test_duckdb_reads_what_polars_reads(runs):
    runs.load(NOW)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in ("avro", "iceberg"):
            package = find_spec(f"duckdb_extension_{name}")
            assert package, f"there is no extension {name} of DuckDB's to test with"
            folder = f"{package.submodule_search_locations[0]}/extensions/v{duckdb.__version__}"
            connection.execute(f"LOAD '{folder}/{name}.duckdb_extension'")
        place = runs.target.metadata("fs_export")
        found = connection.execute(f"SELECT * FROM iceberg_scan('{place}')").to_arrow_table()
    frame = runs.target.frame("fs_export")
    assert_frame_equal(pl.from_arrow(found).select(frame.columns), frame, check_row_order=False, check_dtypes=False)


@in_iceberg
def test_the_files_of_a_day_become_one_when_the_day_is_complete(runs):
    for n in range(1, 5):
        runs.load(MIDNIGHT + DAY + 6 * n * HOUR)
        files = list(runs.target.table("fs_export").scan().plan_files())
        assert len(files) == (n if n < 4 else 1)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)


@in_iceberg
def test_a_load_that_another_run_took_for_dead_commits_nothing(runs, monkeypatch):
    commit = LakehouseLedger.commit

    def late(ledger, sent, load_id, at):
        for path in runs.target.out.glob("fs_sync_pending/*.json"):
            path.unlink()
        commit(ledger, sent, load_id, at)

    with monkeypatch.context() as slow:
        slow.setattr(LakehouseLedger, "commit", late)
        with pytest.raises(TransientError, match="has expired"):
            runs.load(NOW)
    assert runs.target.rows() == []
    runs.load(NOW)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)


@in_iceberg
def test_a_load_commits_on_the_table_as_it_is_then(runs, monkeypatch):
    """Between its look at the table and its commit another run has replaced the same windows."""
    refuse = LakehouseLedger._refuse_late

    def late(ledger, load_id, windows):
        refuse(ledger, load_id, windows)
        monkeypatch.setattr(LakehouseLedger, "_refuse_late", refuse)
        with monkeypatch.context() as unseeing:
            unseeing.setattr(LakehouseLeases, "pending", lambda leases: [])
            runs.reload(NOW, MIDNIGHT, MIDNIGHT + DAY, working_dir="other")

    monkeypatch.setattr(LakehouseLedger, "_refuse_late", late)
    with pytest.raises(TransientError, match="another run has loaded windows of 2024-05-01 00:00"):
        runs.load(NOW)
    with runs.target.table("fs_export").transaction() as changes:
        changes.remove_properties("commit.retry.num-retries")  # as if others had made the table
    runs.load(NOW + 6 * HOUR)
    runs.expect(MIDNIGHT, MIDNIGHT + 30 * HOUR)
    assert runs.target.table("fs_export").properties["commit.retry.num-retries"] == "0"


@in_iceberg
@pytest.mark.parametrize(
    ("catalog", "said"),
    [
        ({}, "a catalog is missing; set it under"),
        ({"type": "glue", "warehouse": "x"}, "the Iceberg catalog lacks uri: set that under"),
        ({"type": "glue", "uri": "", "warehouse": "x"}, "specify a region.; set glue.region and keys under"),
        ({"type": "none", "uri": "x", "warehouse": "x"}, "not a valid CatalogType; look at"),
        ({"type": "hive", "uri": "thrift://x", "warehouse": "x"}, "Apache Hive support not installed"),
    ],
)
def test_a_catalog_is_needed(runs, catalog, said):
    with pytest.raises(ConfigError, match=said):
        runs.load(NOW, **{"iceberg_catalog.iceberg_catalog_config": json.dumps(catalog)})


@pytest.mark.parametrize("target", ["iceberg-rest"], indirect=True)
def test_a_catalog_that_refuses_a_login_says_so_without_it(runs):
    wrong = runs.target.catalog() | {"credential": "AKIALOADER:s3cret"}
    with pytest.raises(ConfigError, match=r"Invalid client credentials; look at \[iceberg_catalog") as raised:
        runs.load(NOW, **{"iceberg_catalog.iceberg_catalog_config": json.dumps(wrong)})
    assert "s3cret" not in str(raised.value)


@in_iceberg
def test_versions_expire_when_that_is_set(runs):
    runs.load(NOW)
    runs.load(MIDNIGHT + 3 * DAY, expire_snapshots="24h")
    runs.expect(MIDNIGHT, MIDNIGHT + 2 * DAY)


@pytest.mark.parametrize("target", ["iceberg-glue"], indirect=True)
def test_a_commit_that_boto_sends_again_is_not_taken_for_refused(runs, glue):
    """Its answer was lost. Glue refuses the second one, since the table has another version by now."""
    glue.faults.extend([Fault("UpdateTable", "drop", "after"), Fault("UpdateTable", "drop", "after", skip=1)])
    runs.load(NOW)
    assert [fault.hits for fault in glue.faults] == [1, 1]
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)
    assert len(runs.target.table("fs_export").snapshots()) == 1


@pytest.mark.parametrize("target", ["iceberg-rest"], indirect=True)
def test_a_commit_whose_answer_was_lost_is_not_made_again(runs, s3):
    s3.catalog.faults.append(Fault("POST .*/tables/fs_export$", "error", "after", status=504, times=2))  # made, filled
    runs.load(NOW)
    assert [fault.hits for fault in s3.catalog.faults] == [2]
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)
    assert len(runs.target.table("fs_export").snapshots()) == 1
