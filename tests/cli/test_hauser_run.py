"""hauser's users: their configuration file, as it is, from the first run on."""

import csv
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow.parquet
import pytest

from hauser_dlt.fields import CUSTOM_TOKENS, KNOWN
from hauser_dlt.simulator import Account, Simulator
from hauser_dlt.simulator.events import RawNumber, encode
from support.shell import Shell

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
START = (NOW - 3 * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
CONFIG = """
fsapitoken = "{token}"
Provider = "local"
StartTime = {start:%Y-%m-%dT%H:%M:%SZ}
ExportDuration = "6h"
Backoff = "10ms"
BackoffStepsMax = 3
ApiURL = "{url}"
{more}
[local]
SaveDir = "saved"
"""


@pytest.fixture
def shell(tmp_path):
    with Simulator(Account(events_per_hour=20), token="hausers-key") as sim:
        shell = Shell(tmp_path, sim)
        shell.environ = {k: v for k, v in shell.environ.items() if not k.startswith(("FULLSTORY", "SOURCES"))}
        yield shell


def configure(shell, more="", start=START, local=""):
    text = CONFIG.format(token=shell.sim.token, start=start, url=shell.sim.url, more=more) + local
    (shell.folder / "hauser.toml").write_text(text)


def exported(shell):
    """Return what the simulator has for the windows that were asked for, as text -> number of events."""
    windows = sorted({(op.start, op.end) for op in shell.sim.operations.values()})
    assert windows[0][0] == START
    assert all(a[1] == b[0] for a, b in pairwise(windows))
    return [event for start, end in windows for event in shell.sim.account.events(start, end)]


def files(shell, ending):
    return sorted((shell.folder / "saved" / "fs_export").glob(f"*.{ending}"))


def moment(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def exact(text):
    """Read JSON with each number as it is written."""
    return json.loads(text, parse_float=RawNumber, parse_int=RawNumber)


def expected(event):
    """Return an event as (fields, custom variables), told from its own JSON."""
    values = exact(encode(event))
    fields = {}
    for name, value in values.items():
        if name in KNOWN:
            kind = KNOWN[name]
            fields[name] = {"timestamp": moment, "float": float, "text": str}.get(kind, int)(value)
    custom = {k: v for k, v in values.items() if k not in KNOWN and k.startswith(("user_", "evt_", "page_"))}
    return fields, custom


def from_csv(path):
    """Yield the rows of a CSV as (fields, custom variables); NULL is told from "" by its missing quotes."""
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            fields = {}
            for name in KNOWN:
                kind, text = KNOWN[name], row[name]
                if text or (kind == "text" and text is not None and name in ("UserAppKey", "UserEmail", "PageIp")):
                    fields[name] = {"timestamp": moment, "float": float, "text": str}.get(kind, int)(text)
            yield fields, exact(row["CustomVars"])


def comparable(rows, *, empty_is_null=False):
    def one(fields, custom):
        kept = {k: v for k, v in fields.items() if not (empty_is_null and v == "")}
        return json.dumps([{k: str(v) for k, v in kept.items()}, custom], sort_keys=True)

    return sorted(one(*row) for row in rows)


def test_csv_by_window_holds_every_event_field_by_field(shell):
    configure(shell)
    shell("run", "-c", "hauser.toml")

    events = exported(shell)
    paths = files(shell, "csv")
    rows = [row for path in paths for row in from_csv(path)]
    # Python's csv reader cannot tell NULL from ""; test_files looks at the bytes
    assert comparable(rows, empty_is_null=True) == comparable(map(expected, events), empty_is_null=True)
    assert all(path.name.split("-")[0].endswith(("T000000Z", "T060000Z", "T120000Z", "T180000Z")) for path in paths)
    assert len(paths) > 4


def test_csv_by_day_waits_for_whole_days(shell):
    configure(shell, "GroupFilesByDay = true")
    shell("run", "-c", "hauser.toml")

    paths = files(shell, "csv")
    days = [START + n * DAY for n in range(len(paths))]
    assert [path.name.split(".")[0] for path in paths] == [
        f"{day:%Y%m%dT%H%M%SZ}-{day + DAY:%Y%m%dT%H%M%SZ}" for day in days
    ]
    assert comparable((row for path in paths for row in from_csv(path)), empty_is_null=True) == comparable(
        map(expected, exported(shell)), empty_is_null=True
    )


def test_raw_json_is_fullstorys_own_bytes(shell):
    configure(shell, "SaveAsJson = true")
    shell("run", "-c", "hauser.toml")

    paths = files(shell, "json")
    records = [exact(line) for path in paths for line in path.read_bytes().splitlines()]
    allowed = {*KNOWN}
    sent = [
        {k: v for k, v in exact(encode(e)).items() if k in allowed or k.startswith(("user_", "evt_", "page_"))}
        for e in exported(shell)
    ]
    assert records == sent


def test_parquet_holds_every_event_field_by_field(shell):
    configure(shell)
    shell("run", "-c", "hauser.toml", HAUSER__FILE_FORMAT="parquet")

    rows = []
    for path in files(shell, "parquet"):
        for row in pyarrow.parquet.read_table(path).to_pylist():
            fields = {
                k: v.astimezone(UTC) if KNOWN[k] == "timestamp" else v
                for k, v in row.items()
                if k in KNOWN and v is not None
            }
            rows.append((fields, exact(row["CustomVars"])))
    assert comparable(rows) == comparable(map(expected, exported(shell)))


@pytest.mark.parametrize(
    "more",
    [
        "",
        pytest.param("GroupFilesByDay = true", marks=pytest.mark.slow),
        pytest.param("SaveAsJson = true", marks=pytest.mark.slow),
    ],
)
def test_a_second_run_asks_for_nothing_even_with_the_machine_lost(shell, more):
    configure(shell, more)
    shell("run", "-c", "hauser.toml")
    asked, saved = len(shell.sim.requests), sorted(shell.folder.rglob("saved/**/*"))

    shell("run", "-c", "hauser.toml")
    shell("run", "-c", "hauser.toml", HAUSER__WORKING_DIR=str(shell.folder / "elsewhere"))

    assert len(shell.sim.requests) == asked
    assert sorted(shell.folder.rglob("saved/**/*")) == saved


def test_the_first_run_starts_at_hausers_checkpoint(shell):
    configure(shell, start=START - 9 * DAY)
    (shell.folder / "saved").mkdir()
    checkpoint = START + timedelta(hours=7)  # not on the grid of 6 h
    (shell.folder / "saved" / ".sync.hauser").write_text(checkpoint.isoformat())

    shell("run", "-c", "hauser.toml")

    first = min(shell.sim.created())
    assert first == (checkpoint, START + timedelta(hours=12))
    assert (shell.folder / "saved" / ".sync.hauser").read_text() == checkpoint.isoformat()


def test_use_start_time_starts_there_once_and_forgets_nothing(shell):
    configure(shell, local=f"UseStartTime = true\nStartTime = {START:%Y-%m-%dT%H:%M:%SZ}\n", start=START - 9 * DAY)
    (shell.folder / "saved").mkdir()
    (shell.folder / "saved" / ".sync.hauser").write_text((START + DAY).isoformat())

    shell("run", "-c", "hauser.toml")
    assert min(shell.sim.created())[0] == START
    asked = len(shell.sim.created())

    shell("run", "-c", "hauser.toml")
    assert len(shell.sim.created()) == asked


def test_the_old_generation_with_only_an_export_url_uses_data_exports(shell):
    shell.sim.downloads = None
    (shell.folder / "hauser.toml").write_text(
        f'FsApiToken = "{shell.sim.token}"\nWarehouse = "local"\nExportURL = "{shell.sim.export_url}"\n'
        f'StartTime = {NOW - 2 * DAY:%Y-%m-%dT%H:%M:%SZ}\nCheckInterval = "30m"\n[local]\nSaveDir = "saved"\n'
    )
    shell("run", "-c", "hauser.toml")

    assert "CheckInterval" in shell.err
    assert shell.sim.created() == []
    rows = [row for path in files(shell, "csv") for row in from_csv(path)]
    assert len(rows) > 100
    assert any("PageUserAgent" in fields for fields, _ in rows)
    asked = sum(request.path.endswith("/get") for request in shell.sim.requests)
    shell("run", "-c", "hauser.toml")
    assert sum(request.path.endswith("/get") for request in shell.sim.requests) == asked


def test_a_wrong_file_is_one_line_that_names_key_value_and_what_is_allowed(shell):
    configure(shell, 'ExportDelay = "5m"')
    shell("run", "-c", "hauser.toml", code=2)

    assert (
        shell.err
        == 'Error: ExportDelay = "5m" in hauser.toml: allowed is at least 1h: events are not complete before that\n'
    )


def test_the_environments_key_wins_over_the_files(shell):
    configure(shell)
    shell.sim.token = "the-environments"
    shell("run", "-c", "hauser.toml", code=2)
    shell("check", "-c", "hauser.toml", FULLSTORY_API_TOKEN="the-environments")


def test_the_request_names_all_known_fields_and_custom_variables_once(shell):
    configure(shell)
    shell("run", "-c", "hauser.toml")

    create = next(request for request in shell.sim.requests if request.path == "/segments/v1/exports")
    body = create.json()
    assert body["fields"] == [*KNOWN, *CUSTOM_TOKENS]
    assert body["segmentTimeRange"] == body["timeRange"]
