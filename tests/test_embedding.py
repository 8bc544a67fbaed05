"""The source in somebody else's dlt project: ordinary moves, and dlt's own rules for settings."""

from datetime import UTC, datetime, timedelta

import dlt
import pyarrow.compute as pc
import pytest
from dlt.common import logger
from targets import as_rows, bare

from hauser_dlt import fullstory
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import CUSTOM_VARS, KNOWN

NOW = datetime.now(UTC)
START = (NOW - timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
SETTLED = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(days=1)


@pytest.fixture
def project(sim, tmp_path, monkeypatch):
    """A folder with settings as dlt's users write them."""
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(
        f'[sources.fullstory]\nbase_url = "{sim.url}"\nstart_time = {START.isoformat()}\nbackoff = "10ms"\n'
        'fields = "default"\n'
    )
    (tmp_path / ".dlt" / "secrets.toml").write_text(f'[sources.fullstory]\napi_token = "{sim.token}"\n')
    monkeypatch.chdir(tmp_path)
    dlt.current.run_context().reload()
    return tmp_path


@pytest.fixture
def pipeline(project):
    return dlt.pipeline("mine", destination="duckdb", dataset_name="fs", pipelines_dir=str(project / "pipelines"))


def rows(pipeline, table="fs_export"):
    with pipeline.sql_client() as client, client.execute_query(f'SELECT * FROM "{table}"') as cursor:
        return cursor.arrow().to_pylist()


def stored(pipeline):
    plain = [
        {k: v.astimezone(UTC) if isinstance(v, datetime) else v for k, v in row.items() if v is not None}
        for row in rows(pipeline)
    ]
    return bare(plain)


def cursor(pipeline):
    return pipeline.state["sources"]["fullstory"]["resources"]["fs_sync"]["incremental"]["BundleEndTime"]["last_value"]


def test_it_loads_what_is_ready_and_goes_on_from_there(pipeline, sim):
    pipeline.run(fullstory())
    assert stored(pipeline) == bare(as_rows(sim.rows(START, SETTLED)))
    assert cursor(pipeline) == SETTLED
    windows = len(sim.created())
    assert len(rows(pipeline, "fs_sync")) == windows

    assert pipeline.run(fullstory()).loads_ids == []
    assert len(sim.created()) == windows

    with pipeline.managed_state() as state:
        incremental = state["sources"]["fullstory"]["resources"]["fs_sync"]["incremental"]["BundleEndTime"]
        incremental.update(last_value=SETTLED - timedelta(hours=3), unique_hashes=[])
    pipeline.run(fullstory())
    assert len(sim.created()) == windows + 3


def test_it_goes_on_from_a_machine_that_only_has_the_destination(pipeline, sim, project):
    pipeline.run(fullstory())
    windows = len(sim.created())

    again = dlt.pipeline("mine", destination="duckdb", dataset_name="fs", pipelines_dir=str(project / "elsewhere"))
    again.run(fullstory())

    assert len(sim.created()) == windows


def test_its_resources_and_columns_have_the_promised_names(pipeline):
    assert list(fullstory().resources) == ["fs_export", "fs_sync"]
    pipeline.run(fullstory())

    columns = pipeline.default_schema.tables["fs_export"]["columns"]
    assert {*KNOWN, CUSTOM_VARS, "_dlt_load_id", "_hauser_window"} <= set(columns)
    assert all(column.get("nullable", True) for column in columns.values())
    sync = pipeline.default_schema.tables["fs_sync"]["columns"]
    assert {"ID", "Processed", "BundleEndTime", "BundleStartTime", "EventCount"} <= set(sync)
    (load_id,) = {row["_dlt_load_id"] for row in rows(pipeline)}
    assert {row["_dlt_load_id"] for row in rows(pipeline, "fs_sync")} == {load_id}


def test_table_names_are_settings(pipeline):
    pipeline.run(fullstory(export_table="events", sync_table="windows"))

    assert rows(pipeline, "events")
    assert rows(pipeline, "windows")


def test_a_back_fill_takes_just_its_stretch_and_leaves_the_cursor(pipeline, sim):
    pipeline.run(fullstory())
    before, windows = cursor(pipeline), len(sim.created())

    pipeline.run(fullstory(start_time="2026-03-01", end_time="2026-03-01T04:00:00Z"))

    assert cursor(pipeline) == before
    assert [start.isoformat()[:13] for start, _ in sorted(sim.created()[windows:])] == [
        f"2026-03-01T0{hour}" for hour in range(4)
    ]


def test_events_can_be_filtered_and_mapped_as_arrow(pipeline):
    source = fullstory()
    source.fs_export.add_map(lambda batch: batch.filter(pc.equal(batch["EventType"], "click")))
    pipeline.run(source)

    assert {row["EventType"] for row in rows(pipeline)} == {"click"}


def test_it_can_be_iterated_over_without_a_pipeline(project, sim):
    source = fullstory(start_time="2026-03-01", end_time="2026-03-01T02:00:00Z")
    batches = list(source.with_resources("fs_export"))

    events = sim.account.events(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, 2, tzinfo=UTC))
    assert sum(batch.num_rows for batch in batches) == len(list(events))


def test_settings_follow_dlts_order_of_strength(project, sim, monkeypatch):
    monkeypatch.setenv("SOURCES__FULLSTORY__SEGMENT_ID", "from-the-environment")
    sim.segments |= {"from-the-environment": "one", "argument": "two"}
    list(fullstory(end_time=START + timedelta(hours=1)))
    list(fullstory(end_time=START + timedelta(hours=1), segment_id="argument"))

    creates = [request.json()["segmentId"] for request in sim.requests if request.path == "/segments/v1/exports"]
    assert creates == ["from-the-environment", "argument"]


def test_the_key_may_stand_in_fullstorys_own_variable(project, sim, monkeypatch):
    (project / ".dlt" / "secrets.toml").unlink()
    dlt.current.run_context().reload()
    monkeypatch.setenv("FULLSTORY_API_TOKEN", sim.token)

    assert list(fullstory(end_time=START + timedelta(hours=1)))


def test_a_wrong_setting_is_a_config_error_in_one_line(project):
    with pytest.raises(ConfigError, match=r"^export_duration = '7h' .*allowed is 15m to 24h.*$"):
        fullstory(export_duration="7h")


def test_dlts_own_load_id_setting_does_no_harm(pipeline, monkeypatch):
    monkeypatch.setenv("NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID", "true")
    pipeline.run(fullstory())

    assert all(row["_dlt_load_id"] for row in rows(pipeline))


def test_dlt_has_nothing_to_warn_of(pipeline, caplog, monkeypatch):
    warnings = []
    monkeypatch.setattr(logger, "warning", lambda text, *_, **__: warnings.append(text), raising=False)
    pipeline.run(fullstory())

    assert warnings == []
