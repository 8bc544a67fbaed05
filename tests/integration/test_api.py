"""Runs from Python: what they return, and that they leave the process as it was."""

import logging
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import PipelineContext

from hauser_dlt import api
from hauser_dlt.config.configuration import configure
from hauser_dlt.errors import AccessError, ConfigError, CorruptBundleError, TransientError
from hauser_dlt.simulator import Account, Fault, Simulator
from hauser_dlt.sync import heartbeat
from support.destinations import Target

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START, END = TODAY - timedelta(days=4), TODAY - timedelta(days=2)
STEP = timedelta(hours=6)


@pytest.fixture
def sim():
    with Simulator(Account(events_per_hour=10)) as sim:
        yield sim


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No settings but those that are given, and the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAUSER__WORKING_DIR", str(tmp_path / "work"))
    Container()[PluggableRunContext].reload()


def settings(sim, target, **more):
    places = {
        "duckdb": {"destination.duckdb.credentials": str(target.database)},
        "postgres": {"destination.postgres.credentials": target.dsn},
        "parquet": {"destination.filesystem.bucket_url": str(target.out), "file_format": "parquet"},
    }
    return {
        "api_token": sim.token,
        "base_url": sim.url,
        "backoff": "10ms",
        "start_time": START,
        "export_duration": STEP,
        "destination": "filesystem" if target.kind == "parquet" else target.kind,
        "dataset_name": target.dataset,
        **places[target.kind],
        **more,
    }


def as_it_is():
    """What a run must leave alone."""
    providers = Container()[PluggableRunContext].providers.providers
    return {
        "providers": list(providers),
        "active pipeline": Container()[PipelineContext]._pipeline,
        "filters": list(logging.getLogger("dlt").filters),
        "levels": {name: logging.getLogger(name).level for name in ("", "dlt", "hauser_dlt")},
        "handlers": list(logging.getLogger().handlers),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "dlt's folder": Container()[PluggableRunContext].context.global_dir,
    }


@pytest.mark.parametrize("target", ["duckdb", "postgres", "parquet"], indirect=True)
def test_a_run_loads_each_event_once_and_tells_what_it_did(sim, target):
    before = as_it_is()
    given = settings(sim, target)

    done = api.run(given, end=END)

    assert as_it_is() == before
    expected = list(sim.rows(START, END))
    assert Counter(row["EventStart"] for row in target.rows()) == Counter(
        datetime.fromisoformat(row["EventStart"]) for row in expected
    )
    assert (done.events, done.windows, done.failed, done.mismatches) == (len(expected), 8, {}, Counter())
    assert [package.events for package in done.packages] == [
        len(list(sim.rows(day, day + timedelta(days=1)))) for day in (START, START + timedelta(days=1))
    ]
    assert (done.reached, done.unready) == (END, "")
    assert api.run(given, end=END).packages == []

    again = api.reload(START, START + STEP, given)
    end = START + (timedelta(days=1) if target.kind == "parquet" else STEP)  # files go with all of their load
    assert (again.windows, again.events) == ((end - START) // STEP, len(list(sim.rows(START, end))))
    assert len(target.rows()) == len(expected)

    found = api.status(given | {"api_token": None})
    assert (found.windows, found.events, found.missing, found.sync_point) == (8, len(expected), [], END)
    assert dict(api.check(given))["destination"].startswith(("reachable", target.kind, "file:"))
    assert as_it_is() == before


def test_runs_beside_each_other_and_beside_a_host_of_dlt_do_not_see_each_other(sim, tmp_path):
    hosts = dlt.pipeline("hosts", destination=dlt.destinations.duckdb(str(tmp_path / "h.duckdb")), dataset_name="own")
    before = as_it_is()
    targets = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        targets.append(Target("duckdb", folder, f"fs{number}", ""))
    steps = [timedelta(hours=hours) for hours in (6, 12, 24)]

    def load(target, step):
        done = api.run(settings(sim, target, export_duration=step, pipeline_name=target.dataset), end=END)
        return done.windows, done.events, len(target.rows())

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(load, *both) for both in zip(targets, steps, strict=True)]
        own = pool.submit(hosts.run, [{"a": 1}], table_name="t")
        found = [each.result() for each in runs]
        own.result().raise_on_failed_jobs()

    events = len(list(sim.rows(START, END)))
    assert found == [(windows, events, events) for windows in (8, 4, 2)]
    assert as_it_is() == before
    assert dlt.current.pipeline() is hosts
    assert not (tmp_path / "h.duckdb").with_name("own").exists()


def test_a_run_beside_the_command_leaves_its_settings_and_its_log_alone(sim, target):
    configure({"runtime": {"log_level": "ERROR"}})
    before = as_it_is()

    assert api.run(settings(sim, target), end=START + STEP).windows == 1

    assert as_it_is() == before


def test_what_failed_is_told_and_what_was_loaded_stays(sim, target):
    sim.faults.add(Fault("truncate", on="download", match=(START + STEP).isoformat(), times=None))
    given = settings(sim, target)

    with pytest.raises(CorruptBundleError) as raised:
        api.run(given, end=END)

    done = raised.value.summary
    assert [window.start for window in done.failed] == [START + STEP]
    assert done.windows == 7
    assert (
        done.events
        == len(target.rows())
        == len(list(sim.rows(START, END))) - len(list(sim.rows(START + STEP, START + 2 * STEP)))
    )
    sim.faults.clear()
    assert api.run(given, end=END).windows >= 1
    assert len(target.rows()) == len(list(sim.rows(START, END)))


def test_values_that_do_not_fit_are_told_by_field(sim, target):
    event = {"EventStart": START.isoformat(), "EventDuration": "long", "UserId": 7}
    sim.events = lambda start, end: [event, event] if start == START else ()

    assert api.run(settings(sim, target), end=START + STEP).mismatches == {"EventDuration": 2}


@pytest.mark.parametrize(
    ("given", "interval", "error", "line"),
    [
        ({"segmentid": "x"}, {}, ConfigError, "segmentid: there is no such setting"),
        ({"export_duration": "7h"}, {}, ConfigError, r"export_duration = '7h' \(from argument\): allowed is 15m"),
        ({"sources.fullstory.segmentid": "x"}, {}, ConfigError, r"from argument\) is not a setting; did you mean"),
        ({"api_token": "wrong"}, {}, AccessError, "refuses the API key"),
        ({}, {"start": "yesterday"}, ConfigError, "start = 'yesterday': allowed is a date or time"),
        ({}, {"start": END, "end": START}, ConfigError, "start must lie before end"),
        ({}, {"start": TODAY + timedelta(days=9)}, TransientError, "is not ready yet; it will be"),
    ],
)
def test_what_cannot_be_done_is_one_line(sim, target, given, interval, error, line):
    before = as_it_is()
    with pytest.raises(error, match=line) as raised:
        api.run(settings(sim, target, **given), **interval)

    assert "\n" not in str(raised.value)
    assert sim.token not in str(raised.value)
    assert as_it_is() == before


def test_hausers_configuration_is_read(sim, tmp_path, caplog):
    (tmp_path / "hauser.toml").write_text(
        f'FsApiToken = "{sim.token}"\nApiURL = "{sim.url}"\nProvider = "local"\nExportDuration = "6h"\n'
        f"StartTime = {START:%Y-%m-%dT%H:%M:%SZ}\nTmpDir = 'x'\nNonsense = 1\n[local]\nSaveDir = 'saved'\n"
    )
    done = api.run(hauser_config="hauser.toml", end=END)

    assert done.windows == 8
    assert "Nonsense" in caplog.text
    assert len(list((tmp_path / "saved" / "fs_export").iterdir())) == 8


def test_a_setting_that_has_moved_is_taken_and_logged_once(sim, target, caplog):
    api.status(settings(sim, target, varchar_max=100))

    assert [record.getMessage() for record in caplog.records if record.name.startswith("hauser_dlt")] == [
        "[hauser] varchar_max (from argument) is deprecated: set [destination.redshift] varchar_max instead"
    ]


def test_a_pause_that_raises_ends_the_run_at_a_safe_point(sim, target):
    def pause(_seconds):
        if sim.created():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.run(settings(sim, target), end=END, pause=pause)

    assert api.run(settings(sim, target), end=END).windows == 8
    assert len(target.rows()) == len(list(sim.rows(START, END)))


@pytest.mark.parametrize("target", ["duckdb", "parquet"], indirect=True)
def test_heartbeats_know_the_settings_that_were_given(sim, target, monkeypatch, caplog):
    monkeypatch.setattr(heartbeat, "_EVERY", 0.01)
    caplog.set_level(logging.INFO, "hauser_dlt")

    assert api.run(settings(sim, target), end=START + STEP).windows == 1

    assert [line for line in caplog.messages if "heartbeat" in line] == []
