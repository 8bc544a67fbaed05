"""A run tells a webhook how it ended: a JSON document to a server on loopback."""

import json
import socket
import threading
import time
from datetime import datetime, timedelta
from importlib.metadata import version

import pytest
from click.testing import CliRunner

from hauser_dlt import api
from hauser_dlt.cli import main
from hauser_dlt.errors import ConfigError, CorruptBundleError
from hauser_dlt.reports import posting
from support.destinations import HOUR, MIDNIGHT
from support.encrypted import encrypted

SECRET = "/hooks/s3cret-token?key=s3cret-key"
END = MIDNIGHT + 12 * HOUR


@pytest.fixture
def given(runs, listener):
    """Settings of a run that tells the listener."""
    settings = runs.nested()
    return {
        **settings["sources"]["fullstory"],
        **settings["hauser"],
        "destination.duckdb.credentials": str(runs.target.database),
        "pipeline_name": "shop",
        "webhook_url": f"http://{listener.address}{SECRET}",
        "webhook_tags": {"team": "growth", "tier": 1},
    }


@pytest.fixture
def command(given, monkeypatch):
    """Give the environment in which commands tell the listener."""
    for name, value in given.items():
        section = "DESTINATION__DUCKDB__" if name.startswith("destination.") else "HAUSER__"
        if name in ("api_token", "base_url", "start_time", "export_duration", "backoff", "max_retries", "fields"):
            section = "SOURCES__FULLSTORY__"
        spelled = json.dumps(value) if isinstance(value, dict) else str(value)
        monkeypatch.setenv(f"{section}{name.rpartition('.')[2]}".upper(), spelled)
    monkeypatch.setattr(posting, "_PAUSES", (0.01, 0.01))
    return lambda *arguments: CliRunner().invoke(main, arguments)


def documents(listener):
    return [json.loads(body) for path, body in listener.heard if path == SECRET]


def test_a_failed_run_is_a_document_that_says_what_was_loaded_and_shows_no_secret(runs, listener, command):
    runs.sim.bodies["2024-05-01T06:00:00Z"] = b"<!channel> <html>"
    failed = command("run", "--end", END.isoformat())

    assert failed.exit_code == 1
    (document,) = documents(listener)
    assert len(document.pop("id")) == 32
    assert datetime.fromisoformat(document.pop("time")).utcoffset() == timedelta(0)
    error = failed.stderr.splitlines()[-1].removeprefix("Error: ")
    (window,) = document.pop("failed_windows")
    assert window.pop("error") in error
    assert window == {"start": (MIDNIGHT + 6 * HOUR).isoformat(), "end": END.isoformat()}
    loaded = document.pop("loaded")
    assert loaded.pop("bytes") > 0
    assert loaded == {
        "packages": 1,
        "windows": 1,
        "events": len(runs.target.rows()),
        "outside": 0,
        "misfits": {},
        "cut": {},
        "reached": None,
    }
    line = f"hauser-dlt run of shop ended with exit code 1: {error}"
    assert document == {
        "version": 1,
        "status": "failed",
        "text": line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        "command": "run",
        "exit_code": 1,
        "error": error,
        "pipeline": "shop",
        "dataset": runs.target.dataset,
        "destination": "duckdb",
        "tags": {"team": "growth", "tier": "1"},
        "hauser_dlt": version("hauser-dlt"),
    }
    assert not [secret for secret in (runs.sim.token, "s3cret") if secret in str(listener.heard[0][1]) + failed.output]


def test_what_ends_well_is_told_on_request_alone(listener, command, monkeypatch):
    until = ("--end", END.isoformat())
    assert command("run", *until).exit_code == 0
    assert documents(listener) == []
    monkeypatch.setenv("HAUSER__WEBHOOK_ON_SUCCESS", "true")
    for arguments in (("run", *until), ("reload", "--start", MIDNIGHT.isoformat(), *until), ("run", "--dry-run")):
        assert command(*arguments).exit_code == 0
    assert command("status").exit_code == 0

    assert [each["loaded"]["reached"] for each in documents(listener)] == [END.isoformat(), None]
    told = [(each["status"], each["text"], each["loaded"]["windows"]) for each in documents(listener)]
    events = documents(listener)[1]["loaded"]["events"]
    assert told == [
        ("succeeded", "hauser-dlt run of shop ended well: nothing new to load", 0),
        ("succeeded", f"hauser-dlt reload of shop ended well: {events} events in 2 windows", 2),
    ]


def test_settings_that_are_wrong_are_told_too_and_the_address_is_refused_on_the_command_line(listener, command):
    refused = command("run", "--set", "export_duration=<!channel>")
    assert refused.exit_code == 2
    assert "&lt;!channel&gt;" in documents(listener)[0]["text"]
    assert "<!channel>" in documents(listener)[0]["error"]
    assert [(each["exit_code"], each["tags"]) for each in documents(listener)] == [(2, {"team": "growth", "tier": "1"})]
    assert "others can read" in command("run", "--set", "webhook_url=http://127.0.0.1:9/s3cret").stderr


@pytest.mark.parametrize("address", ["http://[s3cret", "http://a/ s3cret"])
def test_an_address_that_is_none_is_refused_and_not_shown(command, monkeypatch, address):
    monkeypatch.setenv("HAUSER__WEBHOOK_URL", address)
    refused = command("run")
    said = "allowed is an address such as https://example.com/hooks/..."
    line = f"Error: webhook_url = (hidden) (from HAUSER__WEBHOOK_URL): {said}\n"
    assert (refused.exit_code, refused.stderr) == (2, line)


def test_a_webhook_that_fails_is_one_warning_and_the_exit_code_stays(listener, command, monkeypatch):
    listener.status = 500
    failed = command("run", "--set", "segment=x")
    assert failed.exit_code == 2
    (_, warning) = failed.stderr.splitlines()
    assert warning == "Warning: the webhook could not be told of it: it answered with status 500"
    monkeypatch.setenv("HAUSER__WEBHOOK_ON_SUCCESS", "true")
    done = command("run", "--end", END.isoformat())
    assert done.exit_code == 0
    assert done.stderr.splitlines()[-1].startswith("Warning: the webhook")


def test_a_run_from_python_tells_the_webhook_as_well(runs, given, listener):
    runs.sim.bodies["2024-05-01T06:00:00Z"] = b"nothing"
    with pytest.raises(CorruptBundleError):
        api.run(given, end=END)
    with pytest.raises(ConfigError):
        api.run({**given, "fields": "few"}, end=END)
    runs.sim.bodies.clear()
    assert api.run(given, end=END).windows == 1
    api.reload(MIDNIGHT, END, {**given, "webhook_on_success": True})

    told = [(each["command"], each["exit_code"], each["loaded"]["windows"]) for each in documents(listener)]
    assert told == [("run", 1, 1), ("run", 2, 0), ("reload", 0, 2)]


def test_a_run_that_its_caller_ends_has_not_failed(given, listener):
    def stop(seconds):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        api.run({**given, "webhook_on_success": True}, end=END, pause=stop)
    assert listener.heard == []


@pytest.mark.parametrize(
    ("answers", "tries", "problem"),
    [
        ([204], 1, ""),
        ([503, 429, 200], 3, ""),
        ([503, 503, 503], 3, "it answered with status 503"),
        ([404], 1, "it answered with status 404"),
        ([302], 1, "it answered with status 302"),
    ],
)
def test_what_passes_is_tried_again_with_the_same_document(listener, monkeypatch, answers, tries, problem):
    monkeypatch.setattr(posting, "_PAUSES", (0.01, 0.01))
    listener.answers = answers
    assert posting.post(f"http://{listener.address}/s3cret", {"id": "1"}) == problem
    assert [path for path, _ in listener.heard] == ["/s3cret"] * tries


def dripping(connection):
    connection.recv(1 << 16)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100:
        connection.send(bytes([byte]))
        time.sleep(0.05)


@pytest.mark.parametrize("serve", [dripping, lambda connection: time.sleep(5)], ids=["drips", "says nothing"])
def test_a_server_that_is_slow_holds_nobody_up(monkeypatch, serve):
    monkeypatch.setattr(posting, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as slow:
        threading.Thread(target=lambda: serve(slow.accept()[0]), daemon=True).start()
        began = time.monotonic()
        problem = posting.post(f"http://127.0.0.1:{slow.getsockname()[1]}/", {})
    assert problem == "it did not answer in time"
    assert time.monotonic() - began < 4


def test_who_is_not_there_or_not_trusted_is_told_without_the_address(monkeypatch, tmp_path):
    monkeypatch.setattr(posting, "_PAUSES", (0.01, 0.01))
    assert posting.post("http://127.0.0.1:9/s3cret", {}) == "ConnectionError"
    with encrypted(names=["elsewhere"]) as server:
        problem = posting.post(f"{server.url}/s3cret", {})
        assert problem.startswith("its host shows a certificate that is not trusted (unable to get local issuer")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.trusted(tmp_path))
        problem = posting.post(f"{server.url}/s3cret", {})
    assert "not trusted (Hostname mismatch, certificate is not valid for 'its host'.)" in problem
    assert "localhost" not in problem
