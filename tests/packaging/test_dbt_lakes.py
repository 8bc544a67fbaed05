"""The dbt project on a DuckLake: its models say what they say on DuckDB."""

import duckdb
import pytest

from hauser_dlt.dbt.generated_files import refresh
from hauser_dlt.dbt.project import project
from support.dbt import dbt
from support.destinations import MIDNIGHT, Target
from support.lakes import installed_extensions
from support.runs import Runs

MODELS = ("stg_fullstory__events", "fullstory_sessions", "fullstory_frustration", "fullstory_page_views")


@pytest.mark.parametrize("target", ["ducklake"], indirect=True)
def test_the_models_of_a_lake_say_what_duckdbs_do(runs, tmp_path, sim):
    (tmp_path / "duckdb").mkdir()
    beside = Runs(sim, Target("duckdb", tmp_path / "duckdb", "fs_beside"), tmp_path / "beside")
    with dbt(tmp_path) as running:
        home = installed_extensions(tmp_path / "home")
        for each in (runs, beside):
            each.load(MIDNIGHT.replace(day=4))
            folder = each.working_dir / "analytics"
            with each.sync() as sync:
                refresh(folder, project(sync, each.configuration(), folder), force=False)
            built = running(folder, "build", environ={"HOME": str(home)})
            assert {node["status"] for node in built.values()} <= {"success", "pass"}
    with runs.target.connected() as lake, duckdb.connect(str(beside.target.database), read_only=True) as plain:
        for model in MODELS:
            columns = "* EXCLUDE (load_id)" if model.startswith("stg") else "*"  # each run has ids of its own
            of_lake = lake.execute(f"SELECT {columns} FROM lake.{runs.target.dataset}_dbt.{model}").fetchall()
            of_duckdb = plain.execute(f"SELECT {columns} FROM fs_beside_dbt.{model}").fetchall()
            assert len(of_lake) > 0
            assert sorted(map(repr, of_lake)) == sorted(map(repr, of_duckdb)), model
