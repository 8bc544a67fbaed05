"""The source in somebody else's dlt project: ordinary moves, and dlt's own rules for settings."""

import asyncio
from datetime import UTC, datetime, timedelta

import dlt
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from dlt.common import logger
from dlt.pipeline.exceptions import PipelineStepFailed

from hauser_dlt import account, fullstory
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import CUSTOM_VARS, KNOWN
from hauser_dlt.simulator import Account, Simulator
from support.destinations import as_rows, bare

NOW = datetime.now(UTC)
START = (NOW - timedelta(hours=30)).replace(minute=0, second=0, microsecond=0)
SETTLED = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
DELAY = f"{(NOW - SETTLED) // timedelta(seconds=1)}s"  # as much has settled all the while, whatever hour may strike


@pytest.fixture
def project(sim, tmp_path, monkeypatch):
    """A folder with settings as dlt's users write them."""
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(
        f'[sources.fullstory]\nbase_url = "{sim.url}"\nstart_time = {START.isoformat()}\nbackoff = "10ms"\n'
        f'fields = "default"\nexport_delay = "{DELAY}"\n'
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


def stored(pipeline, table="fs_export"):
    plain = [
        {k: v.astimezone(UTC) if isinstance(v, datetime) else v for k, v in row.items() if v is not None}
        for row in rows(pipeline, table)
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


def test_a_backfill_takes_just_its_stretch_and_leaves_the_cursor(pipeline, sim):
    pipeline.run(fullstory())
    before, windows = cursor(pipeline), len(sim.created())

    pipeline.run(fullstory(start_time="2026-03-01", end_time="2026-03-01T04:00:00Z"))

    assert cursor(pipeline) == before
    assert [start.isoformat()[:13] for start, _ in sorted(sim.created()[windows:])] == [
        f"2026-03-01T0{hour}" for hour in range(4)
    ]


def set_column(batch, name, array):
    return batch.set_column(batch.schema.get_field_index(name), name, array)


def test_events_can_be_mapped_as_arrow(pipeline):
    source = fullstory()
    source.fs_export.add_map(lambda batch: set_column(batch, "EventType", pc.utf8_upper(batch["EventType"])))
    source.fs_export.add_map(lambda batch: batch.append_column("Source", pa.array(["web"] * len(batch), pa.string())))
    source.fs_export.add_map(lambda batch: batch.drop_columns(["UserEmail"]))
    pipeline.run(source)

    types = {row["EventType"] for row in rows(pipeline)}
    assert types
    assert types == {name.upper() for name in types}
    assert {row["Source"] for row in rows(pipeline)} == {"web"}
    assert "UserEmail" not in rows(pipeline)[0]


@pytest.mark.parametrize(
    "wanted",
    [
        lambda batch: pc.equal(batch["EventType"], "click"),
        lambda batch: pc.field("EventType") == "click",
        lambda batch, meta: pc.equal(batch["EventType"], "click"),
    ],
    ids=["mask", "expression", "with meta"],
)
def test_a_filter_is_given_batches_and_keeps_the_rows_of_its_mask(pipeline, sim, wanted):
    source = fullstory()
    source.fs_export.add_filter(wanted)
    pipeline.run(source)

    assert stored(pipeline) == bare(
        as_rows(event for event in sim.rows(START, SETTLED) if event["EventType"] == "click")
    )
    assert len(rows(pipeline, "fs_sync")) == len(sim.created())


def test_a_filter_that_would_drop_all_events_in_silence_is_refused(pipeline):
    source = fullstory()
    source.fs_export.add_filter(lambda batch: batch["EventType"] == "click")

    with pytest.raises(PipelineStepFailed, match=r"returned False; have it return a mask, such as pyarrow\.compute"):
        pipeline.run(source)


@pytest.mark.parametrize(
    ("limit", "windows"), [({"max_items": 3}, 3), ({"max_items": 1, "count_rows": True}, 1), ({"max_items": 0}, 0)]
)
def test_a_limit_counts_whole_windows_and_the_next_run_goes_on(pipeline, sim, limit, windows):
    pipeline.run(fullstory().add_limit(**limit))
    assert ("fs_export" in pipeline.default_schema.tables) == bool(windows)
    if windows:
        assert cursor(pipeline) == START + windows * timedelta(hours=1)
        assert stored(pipeline) == bare(as_rows(sim.rows(START, cursor(pipeline))))

    pipeline.run(fullstory())
    assert stored(pipeline) == bare(as_rows(sim.rows(START, SETTLED)))


def test_many_rows_are_counted_over_windows(pipeline, sim):
    two = len(list(sim.rows(START, START + timedelta(hours=2))))
    pipeline.run(fullstory().add_limit(two, count_rows=True))

    assert cursor(pipeline) == START + timedelta(hours=2)


def test_the_events_alone_move_no_cursor(pipeline, sim):
    pipeline.run(fullstory().with_resources("fs_export"))

    assert stored(pipeline) == bare(as_rows(sim.rows(START, SETTLED)))
    assert "incremental" not in pipeline.state["sources"].get("fullstory", {}).get("resources", {}).get("fs_sync", {})


def test_hints_can_be_applied(pipeline):
    source = fullstory()
    source.fs_export.apply_hints(table_name="events", columns={"UserId": {"description": "yours"}})
    source.fs_sync.apply_hints(table_name="windows")
    pipeline.run(source)

    assert rows(pipeline, "events")
    assert rows(pipeline, "windows")
    assert pipeline.default_schema.tables["events"]["columns"]["UserId"]["description"] == "yours"


class TestASchemaContract:
    """A field comes up that is no column yet."""

    @pytest.fixture
    def first_run(self, pipeline, sim):
        pipeline.run(fullstory(), schema_contract={"columns": "freeze"})
        with pipeline.managed_state() as state:
            incremental = state["sources"]["fullstory"]["resources"]["fs_sync"]["incremental"]["BundleEndTime"]
            incremental.update(last_value=SETTLED - timedelta(hours=1), unique_hashes=[])
        sim.events = lambda start, end: [{"EventStart": start.isoformat(), "EventType": "new", "EventFoo": "bar"}]

    def test_that_freezes_the_columns_fails_the_run_and_names_the_column(self, pipeline, first_run):
        with pytest.raises(PipelineStepFailed, match="Can't add table column `EventFoo`"):
            pipeline.run(fullstory(), schema_contract={"columns": "freeze"})

        pipeline.run(fullstory(new_fields="custom_vars"), schema_contract={"columns": "freeze"})
        (row,) = (row for row in rows(pipeline) if row["EventType"] == "new")
        assert row["CustomVars"] == '{"EventFoo":"bar"}'

    def test_that_discards_values_loses_the_new_column_alone(self, pipeline, first_run):
        pipeline.run(fullstory(), schema_contract={"columns": "discard_value"})

        (row,) = (row for row in rows(pipeline) if row["EventType"] == "new")
        assert "EventFoo" not in row

    def test_that_evolves_appends_the_column(self, pipeline, first_run):
        pipeline.run(fullstory())

        assert [row["EventFoo"] for row in rows(pipeline) if row["EventType"] == "new"] == ["bar"]


def test_two_accounts_in_one_pipeline_keep_their_cursors_and_tables_apart(pipeline, sim, monkeypatch):
    with Simulator(Account(seed=2, events_per_hour=5), token="the-other-key") as other:
        later = START + timedelta(hours=3)
        for name, value in {
            "base_url": other.url,
            "api_token": other.token,
            "start_time": later.isoformat(),
            "export_delay": DELAY,
            "fields": "default",
            "export_table": "eu_export",
            "sync_table": "eu_sync",
        }.items():
            monkeypatch.setenv(f"SOURCES__EU__{name.upper()}", value)
        eu = account("eu")
        for _ in range(2):
            pipeline.run([fullstory(), eu()])

        assert stored(pipeline) == bare(as_rows(sim.rows(START, SETTLED)))
        assert stored(pipeline, "eu_export") == bare(as_rows(other.rows(later, SETTLED)))
        assert len(rows(pipeline, "eu_sync")) == len(other.created())


def test_pipelines_side_by_side_load_unaltered_whichever_is_the_active_one(project, sim, server):
    event = {"EventType": "", "UserEmail": ""}
    sim.events = lambda start, end: [{"EventStart": start.isoformat(), **event}]
    destinations = [dlt.destinations.postgres(server.dsn()), "duckdb", "filesystem", "duckdb"]
    pipelines = [
        dlt.pipeline(f"pipe{n}", destination=to, dataset_name=f"beside{n}", pipelines_dir=str(project / "p"))
        for n, to in enumerate(destinations)
    ]
    ready_made = fullstory()

    async def load_all():
        await asyncio.gather(
            *(asyncio.to_thread(lambda each=each: each.run(fullstory())) for each in pipelines[1:]),
            asyncio.to_thread(pipelines[0].run, ready_made),
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", str(project / "files"))
        asyncio.run(load_all())

    for pipeline in (*pipelines[:2], pipelines[3]):
        loaded = rows(pipeline)
        assert len(loaded) == (SETTLED - START) // timedelta(hours=1)
        assert {(row["EventType"], row["UserEmail"]) for row in loaded} == {("", "")}
    assert list((project / "files" / "beside2" / "fs_export").iterdir())


def test_a_pipeline_that_is_attached_to_goes_on(pipeline, sim, project):
    pipeline.run(fullstory())
    windows = len(sim.created())

    here = dlt.attach("mine", pipelines_dir=str(project / "pipelines"))
    assert here.run(fullstory()).loads_ids == []
    elsewhere = dlt.attach("mine", pipelines_dir=str(project / "elsewhere"), destination="duckdb", dataset_name="fs")
    assert elsewhere.run(fullstory()).loads_ids == []
    assert len(sim.created()) == windows


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
