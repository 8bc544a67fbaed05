"""Delta tables: each load is one commit that names it, whatever happens around."""

import os
import time
from datetime import timedelta
from importlib.util import find_spec

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from polars.testing import assert_frame_equal

from hauser_dlt.errors import ConfigError, TransientError
from hauser_dlt.ledger import delta_tables
from hauser_dlt.ledger.delta_tables import DeltaLakeTable
from hauser_dlt.ledger.lakehouse import LakehouseLedger
from hauser_dlt.ledger.lakehouse_leases import LakehouseLeases
from support.destinations import HOUR, MIDNIGHT, in_order

DAY = timedelta(days=1)
NOW = MIDNIGHT + 2 * DAY  # a day has settled: four windows of six hours

in_delta = pytest.mark.parametrize("target", ["delta"], indirect=True)


@in_delta
def test_duckdb_reads_what_polars_reads(runs):
    runs.load(NOW)
    package = find_spec("duckdb_extension_delta")
    assert package, "there is no extension delta of DuckDB's to test with"
    file = f"{package.submodule_search_locations[0]}/extensions/v{duckdb.__version__}/delta.duckdb_extension"
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{file}'; SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT * FROM delta_scan('{runs.target.url}/fs_export')").to_arrow_table()
    by_polars = pl.from_arrow(found).select(runs.target.frame("fs_export").columns)
    assert_frame_equal(by_polars, runs.target.frame("fs_export"), check_row_order=False, check_dtypes=False)


@in_delta
def test_the_commit_of_a_load_names_it_and_replaces_what_its_windows_had(runs):
    (first,) = runs.load(NOW).packages
    (second,) = runs.reload(NOW, MIDNIGHT, MIDNIGHT + DAY).packages
    history = DeltaTable(f"{runs.target.url}/fs_export").history()
    loads = [commit["hauser_dlt_load_id"] for commit in history if "hauser_dlt_load_id" in commit]
    assert loads == [second.load_id, first.load_id]
    assert {row["_dlt_load_id"] for row in runs.target.rows()} == {second.load_id}


@in_delta
def test_the_files_of_a_day_become_one_when_the_day_is_complete(runs):
    for n in range(1, 5):
        runs.load(MIDNIGHT + DAY + 6 * n * HOUR)
        files = DeltaTable(f"{runs.target.url}/fs_export").file_uris()
        assert len(files) == (n if n < 4 else 1)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)


@in_delta
def test_a_load_that_another_run_took_for_dead_commits_nothing(runs, monkeypatch):
    """Its lease is gone before its events are committed: whoever removed it loads its windows."""
    commit = LakehouseLedger.commit

    def late(ledger, sent, load_id, at):
        for path in runs.target.out.glob("fs_sync_pending/*.json"):
            path.unlink()
        commit(ledger, sent, load_id, at)

    monkeypatch.setattr(LakehouseLedger, "commit", late)
    with pytest.raises(TransientError, match="has expired"):
        runs.load(NOW)
    assert runs.target.rows() == []
    monkeypatch.undo()
    runs.load(NOW)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)


@in_delta
def test_a_load_that_writes_its_lease_once_more_after_it_was_taken_for_dead_commits_nothing(runs, monkeypatch):
    write = DeltaLakeTable.commit

    def late(table, load_id, *arguments, **named):
        if table.name == "fs_export":
            DeltaTable(f"{runs.target.url}/fs_sync").delete(f"_dlt_load_id = '{load_id}'")
        write(table, load_id, *arguments, **named)

    monkeypatch.setattr(DeltaLakeTable, "commit", late)
    with pytest.raises(TransientError, match="has expired"):
        runs.load(NOW)
    monkeypatch.undo()
    runs.load(NOW)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)


@in_delta
def test_a_load_whose_windows_a_newer_one_has_loaded_meanwhile_commits_nothing(runs, monkeypatch):
    commit = LakehouseLedger.commit

    def late(ledger, sent, load_id, at):
        monkeypatch.setattr(LakehouseLedger, "commit", commit)
        with monkeypatch.context() as unseeing:
            unseeing.setattr(LakehouseLeases, "pending", lambda leases: [])  # as if both had begun at the same moment
            runs.reload(NOW, MIDNIGHT, MIDNIGHT + DAY, working_dir="other")
        commit(ledger, sent, load_id, at)

    monkeypatch.setattr(LakehouseLedger, "commit", late)
    with pytest.raises(TransientError, match="another run has loaded windows of 2024-05-01 00:00"):
        runs.load(NOW)
    runs.load(NOW)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)


@in_delta
def test_a_commit_whose_answer_was_lost_is_not_made_again(runs, monkeypatch):
    write = delta_tables.write_deltalake

    def answerless(table, *arguments, **named):
        write(table, *arguments, **named)
        raise CommitFailedError("no answer")

    monkeypatch.setattr(delta_tables, "write_deltalake", answerless)
    runs.load(NOW)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)
    assert len(DeltaTable(f"{runs.target.url}/fs_export").history()) == 2


@in_delta
def test_snapshots_are_refused(runs):
    with pytest.raises(ConfigError, match="individuals = true: not with table_format"):
        runs.load(NOW, individuals=True)


@in_delta
def test_files_that_no_version_needs_go_once_they_are_old_enough(runs):
    """Files of dead runs: what reloads have replaced is of a version that is not old yet."""
    runs.load(NOW)
    day = runs.target.out / "fs_export" / "_hauser_day=2024-05-01"
    for name, age in (("old", 49), ("young", 1)):
        (day / f"part-{name}.parquet").write_bytes(b"PAR1")
        os.utime(day / f"part-{name}.parquet", times=(time.time() - age * 3600,) * 2)
    runs.load(MIDNIGHT + 3 * DAY, expire_snapshots="48h")
    assert not (day / "part-old.parquet").exists()
    assert (day / "part-young.parquet").exists()
    runs.expect(MIDNIGHT, MIDNIGHT + 2 * DAY)
    with pytest.raises(ConfigError, match='expire_snapshots: at least "24h"'):
        runs.load(NOW, expire_snapshots="2h")


@in_delta
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
    runs.load(NOW)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)


@in_delta
def test_files_that_are_there_already_are_not_mixed_with_tables(runs):
    runs.load(NOW, table_format="")
    with pytest.raises(ConfigError, match="holds files of another table_format"):
        runs.load(NOW)


@in_delta
def test_of_two_compactions_at_the_same_time_one_gives_way(runs, monkeypatch):
    for n in range(1, 4):
        runs.load(MIDNIGHT + DAY + 6 * n * HOUR)
    with runs.sync() as sync:
        sync.inspect()
        tables = sync.ledger.export, sync.ledger.sync
    monkeypatch.setattr(delta_tables, "_MANY_FILES", 2)
    for table, day, rows in zip(tables, (MIDNIGHT, None), (runs.target.rows, runs.target.sync), strict=True):
        before, late = rows(), table.open()
        assert len(late.file_uris()) == 3
        table.compact(day)
        monkeypatch.setattr(table, "open", lambda late=late: late)
        table.compact(day)
        assert in_order(rows()) == in_order(before)
        assert len(DeltaTable(f"{runs.target.url}/{table.name}").file_uris()) == 1
