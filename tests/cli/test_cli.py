"""The command as its users meet it: a process of its own, in a folder of its own."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from hauser_dlt.simulator import Account, Fault, Simulator
from support.shell import END, START, Shell


@pytest.fixture
def shell(tmp_path):
    with Simulator(Account(events_per_hour=20)) as sim:
        yield Shell(tmp_path, sim)


def test_run_loads_all_that_is_ready_and_says_so_once_a_package(shell):
    lines = shell("run", "--end", END).splitlines()

    assert all(line.startswith("loaded ") for line in lines)
    assert lines[0].startswith(f"loaded {START} 00:00 to ")
    assert "\r" not in shell.err  # no progress bar where nobody looks on
    (count,) = shell.rows("select count(*) from fullstory.fs_export")[0]
    assert f"{count:,} events in {len(lines)} load packages" in shell.err
    windows = len(shell.sim.created())
    assert shell.rows("select count(*) from fullstory.fs_sync") == [(windows,)]

    assert shell("run", "--end", END) == ""
    assert "nothing new to load" in shell.err
    assert len(shell.sim.created()) == windows


def test_run_json_is_one_document_a_package(shell):
    documents = [json.loads(line) for line in shell("run", "--json").splitlines()]

    told = {"load_id", "start", "end", "windows", "events", "bytes", "seconds", "outside", "misfits", "cut"}
    assert told == set(documents[0])
    assert all(d["bytes"] > 100 * d["windows"] and d["seconds"] > 0 for d in documents)
    assert sum(d["windows"] for d in documents) == len(shell.sim.created())


def test_a_dry_run_shows_the_windows_and_changes_nothing(shell):
    lines = shell("run", "--dry-run").splitlines()

    assert lines[0] == f"would load {START} 00:00 to {START} 01:00 UTC"
    assert shell.sim.created() == []
    assert not list(shell.folder.iterdir())
    assert len([json.loads(line) for line in shell("run", "--dry-run", "--json").splitlines()]) == len(lines)


def test_a_backfill_takes_what_is_asked_for_and_leaves_the_sync_point(shell):
    shell("run", "--start", "2026-01-05T06:30:00Z", "--end", "2026-01-05T08:10:00Z")

    day = datetime(2026, 1, 5, tzinfo=UTC)
    assert sorted(shell.sim.created()) == [(day.replace(hour=h), day.replace(hour=h + 1)) for h in (6, 7, 8)]
    assert "sync point   none yet, only backfills are loaded\n" in shell("status")
    assert shell("run", "--dry-run").startswith(f"would load {START} 00:00")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("run", "--follow", "--end", "2026-01-01"), "--follow goes on for ever"),
        (("run", "--start", "2026-01-02", "--end", "2026-01-01"), "--start must lie before --end"),
        (("run", "--start", "yesterday"), "'yesterday': allowed is a date or time such as 2026-01-31"),
        (("run", "--set", "segment"), "'segment' is not NAME=VALUE"),
        (("run", "--set", "segment=x"), "--set segment: there is no such setting"),
        (("run", "--set", "export_duration=7h"), "export_duration = '7h' (from command line): allowed is 15m to 24h"),
        (("run", "--set", "export_table=a; drop"), "export_table = 'a; drop' (from command line): allowed is letters"),
        (("run", "--destination", "oracel"), "destination = 'oracel': dlt has no such destination"),
        (("run", "--destination", "filesystem"), "bucket_url is missing"),
        (("run", "-c", "nothing.toml"), "nothing.toml"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(shell, arguments, complaint):
    shell(*arguments, code=2)

    assert complaint in shell.err
    assert shell.sim.requests == []


def test_settings_are_told_apart_by_where_they_stand(shell):
    (shell.folder / ".dlt").mkdir()
    (shell.folder / ".dlt" / "config.toml").write_text('[hauser]\ndestination = "oracel"\n')
    shell("run", code=2)
    assert "destination = 'oracel'" in shell.err
    shell("run", "--dry-run", HAUSER__DESTINATION="duckdb")  # the environment is stronger
    shell("run", "--dry-run", "--destination", "oracle", code=2, HAUSER__DESTINATION="duckdb")  # and options, stronger
    assert "destination = 'oracle'" in shell.err

    (shell.folder / ".dlt" / "config.toml").write_text('[hauser]\ndestinaton = "duckdb"\n')
    shell("run", code=2)
    assert "[hauser] destinaton (from config.toml) is not a setting; did you mean [hauser] destination?" in shell.err
    (shell.folder / ".dlt" / "config.toml").write_text("[hauser\n")
    shell("run", code=2)
    assert shell.err.startswith("Error: .dlt/ cannot be read: ")
    assert shell.err.count("\n") == 1


def test_a_setting_that_has_moved_still_works_with_one_line_that_names_its_place(shell):
    shell("run", "--dry-run", HAUSER__VARCHAR_MAX="100")
    (warning,) = [line for line in shell.err.splitlines() if "varchar_max" in line]
    assert warning.startswith("Warning: [hauser] varchar_max (from HAUSER__VARCHAR_MAX) is deprecated: ")
    assert warning.endswith(" set [destination.redshift] varchar_max instead")

    shell("run", "--dry-run", "--set", "destination.redshift.varchar_max=9", HAUSER__VARCHAR_MAX="none")
    assert "is ignored, since [destination.redshift] varchar_max (from command line) is set" in shell.err

    shell("run", "--dry-run", DESTINATION__BIGQUERY__PARTITION_EXPIRATION="9h")
    assert "partition_expiration" not in shell.err


@pytest.mark.parametrize("name", ["varchar_max", "hauser.varchar_max", "destination.redshift.varchar_max"])
def test_a_wrong_value_of_a_moved_setting_is_one_line_that_names_its_place(shell, name):
    shell("run", "--set", f"{name}=0", code=2)
    assert shell.err.startswith("Error: [destination.redshift] varchar_max = '0' (from command line")
    assert shell.err.count("\n") == 1
    assert shell.sim.requests == []


def test_a_missing_key_is_said_to_be_missing(shell):
    shell("run", code=2, FULLSTORY_API_TOKEN="")

    assert "Error: api_token is missing: set FULLSTORY_API_TOKEN" in shell.err


def test_a_refused_key_ends_at_once_with_fullstorys_reason(shell):
    shell("run", code=2, FULLSTORY_API_TOKEN="wrong-key")

    assert "FullStory refuses the API key" in shell.err
    assert "401" in shell.err
    assert "wrong-key" not in shell.err
    assert len(shell.sim.created()) <= 4  # what was asked for side by side, none of it again


def test_fullstory_being_away_is_exit_code_75(shell):
    shell("run", "--set", "max_retries=1", code=75, SOURCES__FULLSTORY__BASE_URL="http://127.0.0.1:9")


def test_check_goes_from_key_to_tables(shell):
    lines = shell("check").splitlines()
    assert [line.split()[1] for line in lines] == [
        "settings",
        "fullstory",
        "destination",
        "fs_export",
        "fs_sync",
        "next",
    ]
    assert "ARCHITECT" in lines[1]
    assert "would be created" in lines[2]
    assert shell.sim.created() == []

    shell("run", "--end", f"{START}T02:00:00Z")
    text = shell("check")
    assert "reachable and writable" in text
    assert "fs_export    fits\n" in text
    with duckdb.connect(str(shell.folder / "hauser_dlt.duckdb")) as connection:
        connection.sql('alter table fullstory.fs_export drop column "PageUrl"')
        connection.sql("alter table fullstory.fs_export add column mine integer")
    assert "fits; would get the columns PageUrl" in shell("check")
    with duckdb.connect(str(shell.folder / "hauser_dlt.duckdb")) as connection:
        connection.sql('alter table fullstory.fs_export alter "PageNumErrors" type varchar')
    shell("check", code=1)
    assert "table fs_export: column PageNumErrors is of type text, and bigint is needed" in shell.err


def test_check_warns_of_a_role_that_fullstory_does_not_explain(shell):
    shell.sim.role = "UMBRELLA_MANAGER"

    assert "key of role UMBRELLA_MANAGER; whether a key of role UMBRELLA_MANAGER can export is not known" in shell(
        "check"
    )


def test_check_refuses_a_key_of_too_low_a_role(shell):
    shell.sim.role = "USER"
    shell("check", code=2)

    assert "exports need a key of the Architect role" in shell.err


def test_status_asks_fullstory_nothing_and_needs_no_key(shell):
    assert "nothing is loaded yet" in shell("status", FULLSTORY_API_TOKEN="")
    shell("run", "--end", f"{START}T03:00:00Z")
    shell("run", "--start", f"{START}T05:00:00Z", "--end", f"{START}T06:00:00Z")
    asked = len(shell.sim.requests)

    found = json.loads(shell("status", "--json", FULLSTORY_API_TOKEN=""))

    assert len(shell.sim.requests) == asked
    assert found["sync_point"] == f"{START}T03:00:00+00:00"
    assert found["windows"] == 4
    assert found["waiting"][0]["start"] == f"{START}T03:00:00+00:00"
    assert f"{START}T05:00:00+00:00" not in {window["start"] for window in found["waiting"]}
    assert found["missing"] == []
    assert [load["windows"] for load in found["last_loads"]] == [1, 3]


def test_bash_completes_commands_destinations_and_settings(shell):
    bin_folder = shell.folder / "bin"
    bin_folder.mkdir()
    command = bin_folder / "hauser-dlt"
    command.write_text(f"#!{sys.executable}\nfrom hauser_dlt.cli import main\nmain(prog_name='hauser-dlt')\n")
    command.chmod(0o755)
    script = """
        eval "$(_HAUSER_DLT_COMPLETE=bash_source hauser-dlt)"
        for line in rel "run --destination d" "run --set file_" "run -s api_t"; do
            COMP_WORDS=(hauser-dlt $line) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            COMPREPLY=()
            _hauser_dlt_completion hauser-dlt
            echo "${COMPREPLY[*]}"
        done
    """
    path = os.pathsep.join([str(bin_folder), os.environ["PATH"]])
    environ = {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(["bash", "-euc", script], env=environ, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["reload", "duckdb", "file_format=", ""]  # a secret is none for --set


def test_init_writes_files_that_work_and_keeps_those_that_are_there(shell):
    shell("init")
    secrets = shell.folder / ".dlt" / "secrets.toml"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    shell("run", "--dry-run")
    shell("init", code=2)
    assert "is there already" in shell.err


def test_init_takes_over_a_hauser_configuration(shell):
    (shell.folder / "hauser.toml").write_text(
        'FsApiToken = "from-hauser"\nProvider = "local"\nExportDuration = "6h"\n'
        f'ApiURL = "{shell.sim.url}"\n[local]\nSaveDir = "saved"\n'
    )
    shell.sim.token = "from-hauser"
    del shell.environ["SOURCES__FULLSTORY__BASE_URL"], shell.environ["FULLSTORY_API_TOKEN"]

    shell("init", "--from", "hauser.toml")

    assert "from-hauser" in (shell.folder / ".dlt" / "secrets.toml").read_text()
    assert "from-hauser" not in (shell.folder / ".dlt" / "config.toml").read_text()
    lines = shell("run", "--dry-run").splitlines()
    assert lines[0] == f"would load {START} 00:00 to {START} 06:00 UTC"
    assert "windows from" in shell("check")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_at_the_next_safe_point(shell, number, code):
    shell.sim.faults.add(Fault("never", on="operation", match=f"{START}T02:00:00Z", times=None))
    process = shell.start("run")
    while len(shell.sim.created()) < 4:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)

    assert process.returncode == code, err
    assert "Stopped" in err
    assert "Traceback" not in err
    assert out == ""
    shell.sim.faults.clear()
    shell.sim.operations.clear()
    shell("run")
    assert shell.rows('select count(*), count(distinct "BundleStartTime") from fullstory.fs_sync')[0][0] > 24


def test_follow_goes_on_until_it_is_stopped_and_tells_the_webhook_what_it_has_loaded(shell, listener):
    hook = {"HAUSER__WEBHOOK_URL": f"http://{listener.address}/", "HAUSER__WEBHOOK_ON_SUCCESS": "true"}
    process = shell.start("run", "--follow", **hook)
    line = process.stderr.readline()
    while "up to date" not in line:
        assert line, process.stdout.read()
        line = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert process.returncode == 143
    assert "the next window is ready in" in line
    ((_, document),) = listener.heard
    assert json.loads(document)["loaded"]["events"] == shell.rows("select count(*) from fullstory.fs_export")[0][0]


def test_follow_looks_for_new_legacy_bundles_and_says_what_is_loaded(shell):
    now = datetime.now(UTC)
    shell.sim.downloads, shell.sim.since, shell.sim.bundle = None, now - timedelta(minutes=50), timedelta(minutes=10)
    legacy = {"SOURCES__FULLSTORY__API": "data_export", "SOURCES__FULLSTORY__BASE_URL": shell.sim.export_url}
    process = shell.start("run", "--follow", **legacy)
    lines = [line := process.stderr.readline()]
    while line and "up to date" not in line:
        lines.append(line := process.stderr.readline())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    (last,) = shell.rows(
        "select strftime(max(\"BundleEndTime\") at time zone 'UTC', '%Y-%m-%d %H:%M') from fullstory.fs_sync"
    )
    assert f"loaded up to {last[0]} UTC" in "".join(lines)
    assert now - datetime.strptime(f"{last[0]} +0000", "%Y-%m-%d %H:%M %z") < timedelta(minutes=12)
    assert lines[-1] == "up to date; FullStory is asked for new bundles again in 5 min\n"
    shown = shell("status", **legacy)
    assert "next ready   once FullStory lists it" in shown
    assert json.loads(shell("status", "--json", **legacy))["next_ready"] is None


def test_no_output_log_or_file_holds_the_key_or_a_links_signature(shell):
    shell.sim.faults.add(Fault("cut", on="download", times=2))
    shell.sim.faults.add(Fault("expired", on="download", times=1, after=2))
    out = shell("run", "-vv", SOURCES__FULLSTORY__HTTP_HEADERS='{"X-Extra": "s3cret-header"}')

    hidden = [shell.sim.token, "s3cret-header", "X-Signature"]
    texts = [out, shell.err, *(p.read_bytes().decode(errors="replace") for p in shell.folder.rglob("*") if p.is_file())]
    assert not [word for word in hidden for text in texts if word in text]
    storage = [request for request in shell.sim.requests if request.listener == "storage"]
    assert storage
    assert not [r for r in storage if "authorization" in r.headers or "x-extra" in r.headers]


def test_the_demo_shows_tables_rows_and_three_answers(shell):
    out = shell("demo", "--days", "1", "--events-per-hour", "50")

    for word in ("fs_export", "fs_sync", "Events per day", "frustrating pages", "users by plan", "rows"):
        assert word in out
    assert list((shell.folder / "demo" / "files" / "fs_export").glob("*.parquet"))
    shell("demo", "--days", "1", "--events-per-hour", "50")  # an earlier demo is replaced
    (shell.folder / "mine").mkdir()
    (shell.folder / "mine" / "precious").touch()
    shell("demo", "--folder", "mine", code=2)
    assert "is not empty" in shell.err


def test_dbt_writes_a_project_and_leaves_what_its_user_has_changed(shell):
    written = shell("dbt", "analytics", FULLSTORY_API_TOKEN="").splitlines()
    assert "wrote analytics/models/marts/fullstory_sessions.sql" in written
    assert "cd analytics && dbt build" in shell.err
    project = shell.folder / "analytics"
    assert "../hauser_dlt.duckdb" in (project / "profiles.yml").read_text()
    assert "new_stretch" in (project / "models/staging/stg_fullstory__events.sql").read_text()
    (project / "models/mine.sql").write_text("select 1 as one")
    (project / "profiles.yml").write_text("mine")

    refreshed = shell("dbt", "analytics", "--set", "event_scope=sessions").splitlines()
    assert refreshed == ["wrote analytics/models/staging/stg_fullstory__events.sql"]
    assert "left analytics/profiles.yml as it is" in shell.err
    # events of other days come in with such a scope
    assert "new_stretch" not in (project / "models/staging/stg_fullstory__events.sql").read_text()
    assert (project / "profiles.yml").read_text() == "mine"

    shell("dbt", "analytics", "--force")
    assert "../hauser_dlt.duckdb" in (project / "profiles.yml").read_text()
    assert (project / "models/mine.sql").exists()


def test_dbt_says_in_one_line_what_stands_in_the_way(shell):
    (shell.folder / "notes.txt").touch()
    shell("dbt", ".", code=2)
    assert shell.err == "Error: . is not empty, and nothing of ours; choose another folder\n"

    shell("dbt", "analytics", "--destination", "filesystem", DESTINATION__FILESYSTEM__BUCKET_URL="out", code=2)
    assert shell.err.startswith("Error: destination = 'filesystem': a dbt project is written for duckdb")
    assert shell.err.count("\n") == 1
    assert not (shell.folder / "analytics").exists()
