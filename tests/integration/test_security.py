"""What strangers cannot do: read along, pose as FullStory, or have their text taken for anything else."""

import csv
import io
import json
import logging
import re
import stat
import traceback
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.runtime import anon_tracker, telemetry
from hypothesis import example, given
from hypothesis import strategies as st

from emulators import redshift
from hauser_dlt.cli import main
from hauser_dlt.config.configuration import configure
from hauser_dlt.config.init_files import config_text
from hauser_dlt.config.lookup import find
from hauser_dlt.config.reading import read
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.error_mapping import translated
from hauser_dlt.errors import ConfigError, ExportError, HauserError, LoadError
from hauser_dlt.redaction import redact
from hauser_dlt.simulator import Fault
from support.destinations import KINDS, MIDNIGHT
from support.encrypted import TOKEN, client, encrypted

# --- nobody poses as FullStory


@pytest.mark.parametrize("names", [("localhost",), ("api.example.com",)], ids=["unknown authority", "another's name"])
def test_a_certificate_that_proves_nothing_is_refused_at_once_and_sees_no_key(tmp_path, monkeypatch, names):
    pauses = []
    with encrypted(names=names) as server:
        if names != ("localhost",):
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.trusted(tmp_path))
        with pytest.raises(ConfigError, match=r"^localhost shows a certificate that is not trusted \(.*REQUESTS_CA"):
            client(server.url, pauses).me()
    assert server.heard == []
    assert not any(pauses)  # no second try makes it any better


def test_a_certificate_of_an_authority_that_the_user_trusts_is_accepted(tmp_path, monkeypatch):
    with encrypted() as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.trusted(tmp_path))
        assert client(server.url).request("GET", "/me", promised="") == {}
    assert f"Authorization: Basic {TOKEN}".encode() in server.heard[0]


def test_the_storages_certificate_is_looked_at_too(tmp_path):
    with encrypted() as server, pytest.raises(ConfigError, match="not trusted"):
        client("https://api.example.com").download(f"{server.url}/x?X-Signature=1", tmp_path / "bundle")
    assert server.heard == []


def test_what_was_asked_for_with_encryption_does_not_come_without(tmp_path):
    with pytest.raises(ExportError, match="not one of https"):
        client("https://api.example.com").download("http://127.0.0.1:9/x?X-Signature=1", tmp_path / "bundle")


def test_storage_cannot_lead_away_from_encryption(tmp_path, monkeypatch):
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/y?X-Signature=2\r\nContent-Length: 0\r\n\r\n"
    with encrypted(answer=answer) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.trusted(tmp_path))
        with pytest.raises(HauserError, match="not a web address") as caught:
            client("https://api.example.com").download(f"{server.url}/x", tmp_path / "bundle")
    assert "X-Signature" not in str(caught.value)
    assert len(server.heard) == 1
    assert TOKEN.encode() not in server.heard[0]


# --- secrets stay where they are


HIDDEN = [
    ("postgresql://loader:s3cret@host/db is down", "://loader:***@host"),
    ("password=s3cret host=x", "password=***"),
    ("aws_secret_access_key=s3cret;token=s3cret", "aws_secret_access_key=***;token=***"),
    ('{"private_key": "s3cret", "a": 1}', '{"…": 1}'),
    ('{"refresh_token":"s3cret","client_secret":"s3cret"}', '{"…"}'),
    ("-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----", "***"),
    ("GET https://x.s3.amazonaws.com/a?X-Amz-Signature=s3cret&b=1", "X-Amz-Signature=***&b=1"),
    ("Authorization: Bearer s3cret", "Bearer ***"),
    (
        "LINE 1: COPY t FROM 's3://b' CREDENTIALS 'aws_access_key_id=A;aws_secret_access_key=s3cret'",
        "LINE 1: COPY t FROM '…'",
    ),
]


@pytest.mark.parametrize(("said", "shown"), HIDDEN, ids=lambda value: value[:20])
def test_what_a_driver_says_is_told_without_its_secrets(said, shown):
    def fail():
        try:
            raise ValueError(said)
        except ValueError as exc:
            raise RuntimeError("it failed") from exc

    with pytest.raises(HauserError) as caught, translated():
        fail()
    assert shown in str(caught.value)
    told = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in told


def test_what_others_log_is_told_without_its_secrets():
    logger, told = logging.getLogger("of a driver"), io.StringIO()
    handler = logging.StreamHandler(told)
    logger.addHandler(handler)
    redact(handler)
    try:
        raise ValueError("token=s3cret")
    except ValueError:
        logger.exception("%s at %s", "password=s3cret", "host")
    assert "s3cret" not in told.getvalue()
    assert told.getvalue().startswith("password=*** at host\nTraceback")
    assert "ValueError: token=***" in told.getvalue()


def test_an_error_of_ours_keeps_the_traceback_of_what_led_to_it_without_the_values():
    def fail():
        raise KeyError("jane@example.com")

    with pytest.raises(HauserError) as caught, translated():
        fail()
    told = "".join(traceback.format_exception(caught.value))
    assert "in fail" in told
    assert "RedactedError: KeyError: '…'" in told


@pytest.mark.parametrize(
    "option",
    [
        "api_token=s3cret", "sources.fullstory.api_token=s3cret", 'http_headers={"X": "s3cret"}',
        "destination.redshift.credentials.password=s3cret",
        "destination.filesystem.credentials.aws_secret_access_key=s3cret",
        "destination.postgres.credentials=postgresql://me:s3cret@host/db",
        'destination.bigquery.credentials={"private_key":"s3cret"}',
    ],
)  # fmt: skip
def test_a_secret_on_the_command_line_is_refused_since_others_can_read_it(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(main, ["run", "--dry-run", "--set", option])
    assert told.exit_code == 2
    assert "put secrets into the environment" in told.stderr
    assert "s3cret" not in told.output


@pytest.mark.parametrize("target", ["redshift", pytest.param("snowflake-s3", marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize("fails", [False, True])
def test_a_warehouses_secrets_are_in_no_file_log_or_traceback(runs, monkeypatch, caplog, capfd, fails):
    """What lies in the working folder while it is at work stays there for this test."""
    monkeypatch.setattr("hauser_dlt.sync.workdir.shutil", SimpleNamespace(rmtree=lambda path, **_: None))
    server, bucket = runs.target.server, runs.target.s3
    if fails:
        quoted = f"syntax error LINE 1: COPY x CREDENTIALS 'aws_secret_access_key={bucket.secret_key}'"
        server.faults.append(redshift.Fault("^COPY.*fs_export", what="error", sqlstate="42601", message=quoted))
    told = ""
    try:
        with caplog.at_level(logging.INFO):
            runs.load(MIDNIGHT + timedelta(days=1, hours=12), **{"runtime.log_level": "INFO"})
        assert not fails
    except LoadError as exc:
        told = "".join(traceback.format_exception(exc))
        assert fails
    out = capfd.readouterr()
    texts = [told, caplog.text, out.out, out.err, repr(runs.configuration())]
    files = [file.read_bytes().decode(errors="replace") for file in runs.working_dir.rglob("*") if file.is_file()]
    assert len(files) > 3
    for secret in (server.password, bucket.secret_key, runs.sim.token):
        assert not [text for text in (*texts, *files) if secret in text]


def test_no_process_shows_a_secret_in_its_arguments_and_nobody_else_may_look_into_its_folder(runs):
    runs.sim.faults.add(Fault("never", "operation", times=None))
    running = runs.command("run")
    folder = runs.working_dir / "hauser_dlt" / "0"
    while not folder.exists() or not runs.sim.operations:
        assert running.poll() is None
    shown = [Path(f"/proc/{running.pid}/cmdline").read_bytes()]
    shown += [Path(f"/proc/{child}/cmdline").read_bytes() for child in _children(running.pid)]
    mode = stat.S_IMODE(folder.stat().st_mode)
    running.kill()
    running.communicate()
    assert not [line for line in shown if runs.sim.token.encode() in line]
    assert mode == 0o700


def _children(process):
    for task in Path(f"/proc/{process}/task").iterdir():
        yield from (task / "children").read_text().split() if (task / "children").exists() else ()


def test_dlts_telemetry_is_off_unless_it_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNTIME__DLTHUB_TELEMETRY")
    telemetry.stop_telemetry()  # as in a process that has just begun
    configure({})
    assert anon_tracker._ANON_TRACKER_ENDPOINT is None
    assert find("dlthub_telemetry", "runtime") == (False, "defaults")
    assert not resolve_configuration(RuntimeConfiguration()).dlthub_telemetry
    configure({"runtime": {"dlthub_telemetry": True}})
    assert find("dlthub_telemetry", "runtime") == (True, "command line")
    telemetry.stop_telemetry()
    assert "dlthub_telemetry = false" in config_text({})


# --- names from settings are names and nothing more


@example("_dlt_loads")
@example("_DLT_version")
@given(st.text() | st.from_regex(r"[A-Za-z_\"'`;./\\ -]{1,20}"))
def test_a_name_from_settings_cannot_be_anything_but_a_name(text):
    for kind, names in (
        (SourceSettings, ("export_table", "sync_table")),
        (RunSettings, ("dataset_name", "pipeline_name")),
    ):
        for name in names:
            given_ = {"api_token": "key", name: text}
            try:
                value = getattr(read(kind, lambda key, g=given_: (g[key], "test") if key in g else None), name)
            except ConfigError:
                continue
            assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value, re.ASCII)
            assert not value.lower().startswith("_dlt")


def test_an_address_of_a_bucket_holds_no_password(runs):
    with pytest.raises(ConfigError, match="without user and password") as caught:
        runs.load(
            MIDNIGHT, destination="filesystem", **{"destination.filesystem.bucket_url": "s3://me:s3cret@bucket/x"}
        )
    assert "s3cret" not in str(caught.value)


# --- events are hostile


HOSTILE = [
    "'; DROP TABLE fs_export; --", '"; DROP TABLE "fs_export"; --', "\\'; DROP TABLE fs_export; --", "$$; DROP",
    "E'\\x27'", "{0} {export} {{", "%s %(a)s", "\\N", "\\.", '","', '"\r\n"injected","row', "'),('", "a\tb", '{"a":1}',
    '"}', "\\u0000", "</script><script>", "$(id)", "`id`",
    '=HYPERLINK("http://evil")', "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1",
    "\uff1d1", "\uff0b1", "\uff0d1", "\uff20a",
]  # fmt: skip
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
KEYS = [
    "evt_'; DROP TABLE x; --", 'evt_"quoted"', "evt_\\", "evt_\n\r", "evt_`", "evt_%s", "evt_{export}", "evt_,", "=evt",
    "_dlt_load_id",
]  # fmt: skip


def hostile_events(start, _end):
    for number, text in enumerate(HOSTILE):
        moment = (start + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
        yield {
            "EventStart": moment,
            "EventType": text,
            "PageUrl": text,
            "evt_a_str": text,
            KEYS[number % len(KEYS)]: text,
        }


@pytest.mark.parametrize(
    "target",
    [*KINDS, "redshift", "bigquery-staged", pytest.param("snowflake", marks=pytest.mark.slow)],
    indirect=True,
)
def test_hostile_text_arrives_as_text_and_nothing_else_happens(runs):
    runs.sim.events = hostile_events
    runs.load(MIDNIGHT + timedelta(days=1, hours=6))

    runs.expect(MIDNIGHT, MIDNIGHT + timedelta(hours=6))


@pytest.mark.parametrize("target", ["csv"], indirect=True)
def test_a_spreadsheet_runs_nothing_of_a_csv_whose_formulas_are_escaped(runs):
    runs.sim.events = hostile_events
    runs.load(MIDNIGHT + timedelta(days=1, hours=6), csv_escape_formulas="true")

    rows = {row["EventType"]: row for row in runs.target.rows()}
    for text in HOSTILE:
        escaped = f"'{text}" if text.startswith(FORMULA) else text
        assert rows[escaped]["PageUrl"] == escaped
        assert json.loads(rows[escaped]["CustomVars"])["evt_a_str"] == text  # inside of JSON, which begins with {
    [file] = runs.target.files()
    with file.open(newline="") as lines:
        cells = [cell for line in csv.reader(lines) for cell in line]
    assert not [cell for cell in cells if cell.startswith(FORMULA)]
