"""A run that failed is told to Slack and to Sentry, both played by a server on loopback."""

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from hauser_dlt.cli import main
from hauser_dlt.simulator import Fault

DAY = "2024-05-01"
HOOK = "/services/T0/B0/s3cret-hook"


@pytest.fixture
def command(runs, listener, monkeypatch):
    """Give the environment in which hauser-dlt tells the listener, by Slack's hook and as Sentry."""
    for name, value in {
        "FULLSTORY_API_TOKEN": runs.sim.token,
        "SOURCES__FULLSTORY__BASE_URL": runs.sim.url,
        "SOURCES__FULLSTORY__START_TIME": DAY,
        "SOURCES__FULLSTORY__BACKOFF": "10ms",
        "SOURCES__FULLSTORY__MAX_RETRIES": "1",
        "HAUSER__WORKING_DIR": str(runs.working_dir),
        "HAUSER__PIPELINE_NAME": "shop",
        "RUNTIME__SLACK_INCOMING_HOOK": f"http://{listener.address}{HOOK}",
    }.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(main, arguments)


def start(*arguments, cwd=None):
    return subprocess.Popen(
        [sys.executable, "-m", "hauser_dlt", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_failed_run_is_one_line_in_slack_and_one_event_in_sentry_and_shows_no_secret(
    runs, listener, command, monkeypatch
):
    monkeypatch.setenv("RUNTIME__SENTRY_DSN", f"http://public@{listener.address}/7")
    runs.sim.bodies[f"{DAY}T01:00:00Z"] = b"<!channel> <html>"
    process = start("run", "--end", f"{DAY}T02:00:00Z")
    _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    said = err.removeprefix("Error: ").rstrip("\n")
    line = f"hauser-dlt run of shop ended with exit code 1: {said}"
    (message,) = listener.posted(HOOK)
    assert json.loads(message) == {"text": line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
    (envelope,) = listener.posted("/api/7/envelope/")  # dlt's own traces are not sent
    _, kind, event = map(json.loads, envelope.strip().splitlines())
    assert kind["type"] == "event"
    assert event["message"] == line
    assert event["tags"]["pipeline"] == "shop"
    assert not {"exception", "extra", "modules", "threads", "user"} & set(event)
    everything = message + envelope + err
    assert not [secret for secret in (runs.sim.token, "X-Signature", "s3cret-hook") if secret in everything]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "--set", "segment=x"), 2, "--set segment: there is no such setting"),
        (("reload", "--start", DAY, "--end", f"{DAY}T01:00:00Z"), 75, "503"),
    ],
)
def test_whatever_the_error_it_is_told(runs, listener, command, arguments, code, said):
    runs.sim.faults.add(Fault("status", "create", times=None, status=503))
    assert command(*arguments).exit_code == code

    ((path, message),) = listener.heard
    assert path == HOOK
    assert f"hauser-dlt {arguments[0]} of shop ended with exit code {code}: " in json.loads(message)["text"]
    assert said in json.loads(message)["text"]


def test_settings_that_cannot_be_read_are_told_too(listener, command, tmp_path):
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text("[hauser\n")
    process = start("run", cwd=tmp_path)
    process.communicate(timeout=60)

    assert process.returncode == 2
    assert ".dlt/ cannot be read" in listener.posted(HOOK)[0]


def test_what_is_well_or_no_run_or_a_slip_of_the_hand_is_not_told(listener, command):
    assert command("run", "--end", f"{DAY}T01:00:00Z").exit_code == 0
    assert command("status", "--max-lag", "1h").exit_code == 1
    assert command("run", "--ende", DAY).exit_code == 2
    assert listener.heard == []


def test_a_run_that_is_stopped_has_not_failed(runs, listener, command):
    runs.sim.faults.add(Fault("never", "operation", times=None))
    process = start("run")
    while not runs.sim.created():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == 130
    assert listener.heard == []


@pytest.mark.parametrize("away", [False, True], ids=["refuses", "is away"])
def test_a_hook_that_fails_is_one_warning_and_changes_nothing(listener, command, monkeypatch, away):
    listener.status = 403
    if away:
        monkeypatch.setenv("RUNTIME__SLACK_INCOMING_HOOK", f"http://127.0.0.1:9{HOOK}")
    failed = command("run", "--set", "segment=x")

    assert failed.exit_code == 2
    error, warning = failed.stderr.splitlines()
    assert error.startswith("Error: --set segment")
    why = "ConnectionError" if away else "it answered with status 403"
    assert warning == f"Warning: Slack could not be told of it: {why}"


def test_an_error_of_ours_is_told_and_still_shows_where_it_is(listener, command, monkeypatch):
    monkeypatch.setattr("hauser_dlt.cli.run.configured", lambda **settings: 1 / 0)
    assert isinstance(command("run").exception, ZeroDivisionError)
    assert "exit code 1: division by zero" in listener.posted(HOOK)[0]


def test_the_hook_is_refused_on_the_command_line(listener, command):
    refused = command("run", "--dry-run", "--set", f"runtime.slack_incoming_hook=http://127.0.0.1:9{HOOK}")
    assert refused.exit_code == 2
    assert "others can read" in refused.stderr
    assert "s3cret-hook" not in refused.output + listener.heard[0][1]
