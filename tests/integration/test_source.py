"""The source in a dlt project, on its less ordinary days; `test_embedding.py` shows the ordinary ones."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.pipeline.exceptions import PipelineStepFailed

from hauser_dlt import fullstory
from hauser_dlt.errors import ConfigError, ExportFailedError
from hauser_dlt.fields import CUSTOM_VARS, KNOWN, LOAD_ID, ROW_WINDOW
from hauser_dlt.simulator import Fault, Simulator
from hauser_dlt.windows import floor
from support.destinations import HOUR, as_rows, bare

STEP = 6 * HOUR
NOW = datetime.now(UTC)
SETTLED = floor(NOW - 30 * HOUR, STEP)
START = SETTLED - 4 * STEP


def delay(ready_until: datetime) -> str:
    """Return the delay by which all before `ready_until` has settled now, and for three hours to come."""
    return f"{(NOW - ready_until - STEP / 2).total_seconds():.0f}s"


CONFIG = f"""
[runtime]
dlthub_telemetry = false

[sources.fullstory]
base_url = "%s"
start_time = {START.isoformat()}
export_duration = "6h"
export_delay = "{delay(SETTLED)}"
backoff = "10ms"
fields = "default"
"""


@pytest.fixture
def project(tmp_path: Path, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dlt project: a folder with settings and secrets, in which Python runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt/config.toml").write_text(CONFIG % sim.url)
    (tmp_path / ".dlt/secrets.toml").write_text(f'[sources.fullstory]\napi_token = "{sim.token}"\n')
    Container()[PluggableRunContext].reload()
    return tmp_path


def configure(project: Path, more: str) -> None:
    """Add settings to the project's."""
    with (project / ".dlt/config.toml").open("a") as config:
        config.write(more)
    Container()[PluggableRunContext].reload()


@pytest.fixture
def pipeline(project: Path) -> dlt.Pipeline:
    return dlt.pipeline("mine", destination="duckdb", dataset_name="fs", pipelines_dir=str(project / "pipelines"))


@pytest.fixture
def overheard(pipeline: dlt.Pipeline, caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What dlt warns about."""
    logger = logging.getLogger("dlt")
    level = logger.level
    logger.setLevel("WARNING")
    logger.addHandler(caplog.handler)
    yield caplog.messages
    logger.removeHandler(caplog.handler)
    logger.setLevel(level)


def load(pipeline: dlt.Pipeline, source: Any, *, packages: int = 1) -> None:
    """Run, and make sure that so many load packages came of it."""
    info = pipeline.run(source)
    info.raise_on_failed_jobs()
    assert len(info.loads_ids) == packages


def rows(pipeline: dlt.Pipeline, table: str = "fs_export") -> list[dict[str, Any]]:
    """Return a table's rows, without NULLs."""
    with pipeline.sql_client() as client:
        client.execute_sql("SET TimeZone = 'UTC'")
        with client.execute_query(f"SELECT * FROM {client.make_qualified_table_name(table)}") as cursor:
            names = [column[0] for column in cursor.description]
            return [
                {name: value for name, value in zip(names, values, strict=True) if value is not None}
                for values in cursor.fetchall()
            ]


def windows(pipeline: dlt.Pipeline) -> list[datetime]:
    """Return the starts of the windows that the sync table names."""
    return sorted(row["BundleStartTime"] for row in rows(pipeline, "fs_sync"))


def events(sim: Simulator, start: datetime = START, end: datetime = SETTLED) -> list[dict[str, Any]]:
    """Return the rows that FullStory's events of an interval must become."""
    return bare(as_rows(sim.rows(start, end)))


def test_all_that_has_settled_is_loaded_once(pipeline, sim, overheard):
    load(pipeline, fullstory())
    load(pipeline, fullstory(), packages=0)

    assert bare(rows(pipeline)) == events(sim)
    assert windows(pipeline) == [START + n * STEP for n in range(4)]
    assert len(sim.created()) == 4
    assert {row[LOAD_ID] for row in rows(pipeline)} == {row[LOAD_ID] for row in rows(pipeline, "fs_sync")}
    assert {row[ROW_WINDOW] for row in rows(pipeline)} == set(windows(pipeline))
    assert overheard == []


def test_what_has_settled_since_is_loaded_next(pipeline, sim):
    load(pipeline, fullstory(export_delay=delay(SETTLED - STEP)))
    load(pipeline, fullstory())

    assert bare(rows(pipeline)) == events(sim)
    assert len(sim.created()) == 4


def test_a_quiet_time_moves_the_cursor_and_makes_the_tables(pipeline, sim, overheard):
    sim.events = lambda start, end: []
    load(pipeline, fullstory())
    load(pipeline, fullstory(), packages=0)

    assert rows(pipeline) == []
    assert len(windows(pipeline)) == 4
    columns = pipeline.dataset().fs_export.columns
    assert {*KNOWN, CUSTOM_VARS, LOAD_ID, ROW_WINDOW} <= set(columns)
    assert overheard == []


def test_a_window_that_cannot_be_had_fails_the_run_and_is_loaded_by_the_next(pipeline, sim):
    sim.faults.add(Fault("failed", "operation", match=(START + STEP).isoformat()))
    with pytest.raises(PipelineStepFailed) as failed:
        pipeline.run(fullstory())
    load(pipeline, fullstory())

    assert isinstance(failed.value.__cause__.__cause__, ExportFailedError)
    assert bare(rows(pipeline)) == events(sim)


def test_arrow_batches_can_be_mapped_and_filtered(pipeline, sim):
    source = fullstory()
    clicks = pc.field("EventType") == "click"
    source.fs_export.add_map(lambda batch: pa.Table.from_batches([batch]).filter(clicks))
    source.fs_export.add_map(_without_addresses)
    load(pipeline, source)

    expected = [row for row in events(sim) if row["EventType"] == "click"]
    for row in expected:
        row.pop("PageIp", None)
    assert bare(rows(pipeline)) == bare(expected)


def _without_addresses(table: pa.Table) -> pa.Table:
    nothing = pa.nulls(table.num_rows, pa.string())
    return table.set_column(table.column_names.index("PageIp"), "PageIp", nothing)


def test_all_events_can_be_filtered_out(pipeline, sim):
    source = fullstory()
    source.fs_export.add_filter(lambda batch: pc.is_null(batch["EventStart"]))
    load(pipeline, source)

    assert len(windows(pipeline)) == 4


def test_the_events_alone_can_be_taken(pipeline, sim):
    load(pipeline, fullstory(start_time=START, end_time=SETTLED).with_resources("fs_export"))

    assert bare(rows(pipeline)) == events(sim)


def test_a_load_id_asked_of_dlt_as_well_does_no_harm(pipeline, sim, project, overheard):
    configure(project, "[normalize.parquet_normalizer]\nadd_dlt_load_id = true\n")
    load(pipeline, fullstory(export_delay=delay(SETTLED - STEP)))
    load(pipeline, fullstory())

    assert bare(rows(pipeline)) == events(sim)
    assert {row[LOAD_ID] for row in rows(pipeline)} == {row[LOAD_ID] for row in rows(pipeline, "fs_sync")}
    assert overheard == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"export_duration": "7h"},
        {"end_time": "tomorrow"},
        {"start_time": "1999-01-01"},
        {"api": "rest"},
        {"fields": []},
        {"export_table": "a table"},
        {"api_token": "two words"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_setting_is_named_in_one_line(project, wrong):
    with pytest.raises(ConfigError) as refused:
        fullstory(**wrong)

    (name, value) = next(iter(wrong.items()))
    assert name in str(refused.value)
    assert "allowed is" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (repr(value) in str(refused.value)) == (name != "api_token")


def test_dlts_trace_tells_what_did_not_fit_what_was_cut_and_what_lay_outside(project, sim):
    """Of each load package, under the names of `run --json`."""
    event = {"EventStart": START.isoformat(), "EventDuration": "long", "PageUrl": "x" * 70_000}
    late = {"EventStart": START.isoformat()}
    sim.events = lambda start, end: {START: [event, event], START + STEP: [late]}.get(start, ())
    short = dlt.destinations.duckdb("mine.duckdb", max_text_data_type_length=65535)
    pipeline = dlt.pipeline("mine", destination=short, dataset_name="fs", pipelines_dir=str(project / "pipelines"))
    load(pipeline, fullstory())

    ((first, *_),) = pipeline.last_trace.last_extract_info.metrics.values()
    assert first["resource_metrics"]["fs_export"].custom_metrics == {
        "outside": 1,
        "misfits": {"EventDuration": 2},
        "cut": {"PageUrl": 2},
    }
