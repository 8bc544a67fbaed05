"""Files in buckets: every row exact, nothing kept on this machine, and failures without loss and with plain words."""

import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from urllib.parse import unquote

import pytest
import s3fs

from emulators.faulty import Fault
from hauser_dlt.destinations.bucket import Bucket, bucket_of
from hauser_dlt.errors import ConfigError, LoadError, TransientError
from hauser_dlt.reports import status
from hauser_dlt.windows import floor
from support.destinations import HOUR, MIDNIGHT
from support.shell import Shell

DAY = timedelta(days=1)
NOW = MIDNIGHT + 2 * DAY + 12 * HOUR  # with the delay of a day, a day and a half has settled: two packages
SETTLED = NOW - DAY
WRITING = "^(PUT|POST) "

in_s3 = pytest.mark.parametrize("target", ["s3-parquet"], indirect=True)
in_gcs = pytest.mark.parametrize("target", ["gcs-json"], indirect=True)


@pytest.fixture
def impatient(monkeypatch):
    """The client of S3 gives up at once, where it would try for half a minute."""
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)


@pytest.mark.parametrize(
    "target",
    [
        "s3-parquet",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("s3-csv", "gcs-json")),
        "gcs-parquet",
        "az-csv",
    ],
    indirect=True,
)
def test_every_row_is_exact_and_nothing_is_asked_for_twice_from_any_machine(runs):
    runs.load(NOW)
    runs.expect(MIDNIGHT, SETTLED)

    shutil.rmtree(runs.working_dir)
    asked = len(runs.sim.requests)
    runs.load(NOW)
    assert len(runs.sim.requests) == asked

    # "30 days ago" may be later than what is loaded: no start opens a gap
    runs.load(NOW + DAY, start_time=(NOW - 6 * HOUR).isoformat())
    runs.expect(MIDNIGHT, SETTLED + DAY)


@pytest.mark.parametrize("target", ["s3-parquet", "gcs-json", "az-parquet"], indirect=True)
def test_of_what_years_have_left_a_run_lists_the_months_around_it_alone(runs):
    today = floor(datetime.now(UTC), DAY)
    runs.load(today - 6 * HOUR, start_time=(today - 2 * DAY).isoformat())
    server = runs.target.server
    server.proxy.clear()
    told = runs.load(today)

    listings = (unquote(request.path) for request in server.proxy.asked("^GET .*prefix="))
    began = {found[1] for path in listings if (found := re.search("(?:fs_export|fs_sync|_dlt_loads)/([^&]*)", path))}
    assert len(told.tallies) == 1
    assert {f"{today - 2 * DAY:%Y%m}"} <= began
    assert all(re.fullmatch("[0-9]{6}|fullstory__[0-9]{4}", beginning) for beginning in began)


@pytest.mark.parametrize(
    "target", ["s3-parquet", "gcs-json", pytest.param("az-jsonl", marks=pytest.mark.slow)], indirect=True
)
def test_files_in_folders_within_are_not_looked_at(runs):
    runs.load(NOW)
    load_and_kind = runs.target.files()[-1].name.partition(".")[2]
    of_another = runs.target.out / "fs_export" / "202405 kept"
    (of_another / f"20240601T000000Z-20240602T000000Z.{load_and_kind}").write_bytes(b"")
    dead = runs.target.out / "fs_sync" / "202405 kept"
    (dead / "20240501T000000Z-20240501T060000Z.1700000000.5.jsonl").write_bytes(b"")

    with runs.sync() as sync:
        assert sync.plan(NOW).bundles == []
        assert status.status(sync, NOW, 6 * HOUR).incomplete == 0


@in_s3
def test_keys_may_stand_in_the_environment_and_a_bucket_needs_no_folder(runs, s3, monkeypatch):
    for name, value in s3.environ().items():
        monkeypatch.setenv(name, value)
    bucket = s3.make_bucket("bare")
    s3.fs().pipe_file("bare/.profile", b"of another")
    s3.proxy.clear()

    runs.load(NOW, **{"destination.filesystem": {"bucket_url": f"s3://{bucket}"}})

    found = {path.split("/")[1] for path in s3.fs().find(bucket)}
    assert {"fs_export", "fs_sync", "_dlt_loads", ".profile"} <= found
    assert "fullstory" not in found
    assert not s3.proxy.asked("^(HEAD|PUT) /bare/?$")  # which takes rights that loaders may lack


@pytest.mark.parametrize(
    ("target", "warehouse"), [("s3-parquet", "redshift"), ("gcs-json", "bigquery")], indirect=["target"]
)
def test_storage_only_writes_the_files_and_loads_nothing(runs, warehouse):
    runs.load(NOW, destination=warehouse, storage_only="true")

    runs.expect(MIDNIGHT, SETTLED)


@in_s3
def test_what_users_take_away_is_seen_even_if_listings_are_remembered(runs):
    runs.settings["destination.filesystem.kwargs"] = {"use_listings_cache": True}
    runs.load(NOW)
    asked = len(runs.sim.created())
    runs.target.forget_newest(2)

    runs.load(NOW)

    assert len(runs.sim.created()) > asked
    runs.expect(MIDNIGHT, SETTLED)


@in_s3
def test_a_bucket_that_fails_at_any_request_loses_and_doubles_nothing(runs, s3, impatient):
    """One bucket that gives out at one request after the other, so that each run gets a bit further."""
    now, ours = MIDNIGHT + DAY + 12 * HOUR, f"/{runs.target.dataset}/|prefix={runs.target.dataset}"
    ways = cycle([("error", "before"), ("drop", "after"), ("error", "after"), ("drop", "before")])
    for spared, (what, when) in zip(count(0, 3), ways, strict=False):
        s3.proxy.clear()
        s3.faults.append(fault := Fault(ours, what, when=when, reason="SlowDown", skip=spared, times=None))
        with suppress(TransientError):
            runs.load(now)
        if not fault.hits:
            break

    assert spared > 20
    s3.proxy.clear()
    runs.expect(MIDNIGHT, now - DAY)


@in_s3
def test_a_file_cut_off_in_mid_upload_is_sent_again(runs, s3):
    s3.faults.append(fault := Fault("^PUT .*fs_export", "drop", when="during", skip=1))
    runs.load(NOW)

    assert fault.hits
    runs.expect(MIDNIGHT, SETTLED)


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("s3-parquet", "_dlt_pipeline_state"),
        ("gcs-json", "_dlt_pipeline_state"),
        ("gcs-json", "init"),
        ("s3-csv", "fs_sync"),
        pytest.param("az-json", "_dlt_pipeline_state", marks=pytest.mark.slow),
    ],
    indirect=["target"],
)
def test_a_look_that_is_refused_is_never_taken_for_nothing(runs, what):
    runs.load(NOW)
    asked = len(runs.sim.created())
    at = runs.target.server
    at.faults.append(Fault(f"^(GET|HEAD) .*{what}", "error", status=403, reason="AccessDenied", times=None))

    with pytest.raises(LoadError, match="allow the owner of the keys to list, read, write and delete there"):
        runs.load(NOW + 6 * HOUR)

    assert len(runs.sim.created()) - asked in (0, 1)  # nothing but the new window


@in_gcs
def test_a_file_that_its_user_takes_away_while_it_is_looked_at_is_missing(runs, gcs):
    runs.load(NOW)
    asked = len(runs.sim.created())
    newest = runs.target.files("fs_sync")[-1].name
    gcs.faults.append(Fault(f"^GET .*fs_sync%2F{newest}.*alt=media", "error", status=404, times=None))
    gcs.faults.append(Fault("^DELETE .*fs_sync%2F", "error", when="after", status=404))

    runs.load(NOW)

    assert len(runs.sim.created()) > asked
    runs.expect(MIDNIGHT, SETTLED)


@in_gcs
def test_files_that_may_not_be_written_are_written_by_the_next_run(runs):
    at = runs.target.server
    at.faults.append(Fault(WRITING, "error", status=403, reason="AccessDenied", message="no", skip=3, times=None))
    with pytest.raises(LoadError, match=r"refuses: .*allow the owner of the keys"):
        runs.load(NOW)
    at.proxy.clear()

    runs.load(NOW)

    runs.expect(MIDNIGHT, SETTLED)


@in_s3
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"bucket_url": "s3://nowhere/x"}, "there is no bucket nowhere: make it, or look at bucket_url"),
        ({"bucket_url": "s3://No where!"}, "has a name that no bucket can have: look at bucket_url"),
        ({"credentials": {"aws_secret_access_key": "Wr0ng"}}, "signature .* does not match.*look at the keys"),
        ({"credentials": {"aws_access_key_id": "AKIANOBODY"}}, "does not exist in our records; look at the keys"),
        ({"credentials": None}, "keys are missing: set them under .destination.filesystem.credentials. or in the"),
    ],
)
def test_settings_that_no_bucket_takes_are_named_before_anything_is_exported(runs, settings, says):
    place = runs.target.settings()["destination"]["filesystem"]
    if keys := settings.get("credentials"):
        settings = {"credentials": place["credentials"] | keys}

    with pytest.raises(ConfigError, match=says) as raised:
        runs.load(NOW, **{"destination.filesystem": place | settings})

    assert runs.sim.requests == []
    assert "Wr0ng" not in str(raised.value)


@in_gcs
def test_a_bucket_of_googles_that_is_missing_is_named(runs, gcs):
    with pytest.raises(ConfigError, match="there is no bucket nowhere"):
        runs.load(NOW, **{"destination.filesystem.bucket_url": "gs://nowhere/x"})
    assert not (gcs.root / "nowhere").exists()


@pytest.fixture
def shell(tmp_path, sim):
    found = Shell(tmp_path, sim)
    found.environ |= {"HAUSER__DESTINATION": "filesystem", "AWS_MAX_ATTEMPTS": "1"}
    return found


def test_check_finds_what_a_bucket_refuses_and_puts_nothing_into_it(shell, s3, gcs):
    place = {"DESTINATION__FILESYSTEM__BUCKET_URL": "s3://events/checked"}
    s3.requests.clear()
    gcs.requests.clear()
    assert "s3://events/checked: reachable and writable; nothing is there yet" in shell(
        "check", **place, **s3.environ()
    )
    keys = s3.read_only()
    only_reading = {name.upper(): keys[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    shell("check", **place, **s3.environ() | only_reading, code=1)
    assert shell.err.startswith("Error: bucket events refuses: Access Denied; allow the owner of the keys")
    assert len(shell.err.splitlines()) == 1

    place = {"DESTINATION__FILESYSTEM__BUCKET_URL": "gs://events/checked"}
    assert "reachable and writable; nothing is there yet" in shell("check", **place, **gcs.environ())
    gcs.faults.append(Fault(WRITING, "error", status=401, reason="authError", message="Invalid grant", times=None))
    shell("check", **place, **gcs.environ(), code=2)
    assert shell.err.startswith("Error: bucket events does not take these keys: Invalid grant, 401; look at the keys")
    assert len(shell.err.splitlines()) == 1
    put = [request for at in (s3, gcs) for request in at.proxy.asked(WRITING)]
    assert [one.line for one in put if "uploadId=" not in one.path and "uploadType=resumable" not in one.path] == []
    left = [path for fs in (s3.fs(), gcs.fs()) for path in fs.find("events/checked")]
    assert [path for path in left if "/checked/" in path] == []


REQUESTS = [
    ("s3", "^GET .*list-type"), ("s3", "^HEAD .*check"), ("s3", "^PUT .*uploadId"), ("s3", "^DELETE .*check"),
    ("az", "^GET .*maxresults"), ("az", "^HEAD .*check"), ("az", "^PUT .*check"), ("az", "^DELETE .*check"),
    ("gcs", "^GET .*maxResults"), ("gcs", "^GET .*check"), ("gcs", "^POST .*resumable"), ("gcs", "^DELETE .*/o/"),
]  # fmt: skip


@pytest.mark.parametrize(("store", "what"), REQUESTS)
def test_each_right_in_a_bucket_is_tried_by_a_request_of_its_own(request, store, what):
    at = request.getfixturevalue(store)
    bucket = bucket_of(at.fs(), "events/tried")
    assert bucket.may_be_changed("events/tried")
    at.faults.append(Fault(what, "error", status=403, reason="AccessDenied", message="no", times=None))
    with pytest.raises(LoadError, match=r"^\w+ events refuses: .*to list, read, write and delete there$"):
        bucket.may_be_changed("events/tried")


def test_a_wrong_clock_is_not_taken_for_wrong_keys(s3):
    s3.faults.append(
        Fault("^GET ", "error", status=403, reason="RequestTimeTooSkewed", message="too large", times=None)
    )
    with pytest.raises(ConfigError, match="bucket events refuses: the clock of this machine is wrong"):
        Bucket(s3.fs(), "events/late").refuse_missing()


def test_what_a_store_does_not_know_is_not_taken_for_a_refusal(s3):
    s3.faults.append(Fault("^PUT ", "error", status=501, reason="NotImplemented", message="no parts", times=None))
    assert not Bucket(s3.fs(), "events/plain").may_be_changed("events/plain")


OLD_S3 = """
Warehouse = "redshift"
FilePrefix = "prod"
ExportDuration = "6h"
[s3]
Bucket = "events/{folder}"
S3Only = true
"""
NEW_GCS = """
Provider = "gcp"
StorageOnly = true
SaveAsJson = true
FilePrefix = "prod/"
ExportDuration = "6h"
[gcs]
Bucket = "events/{folder}"
"""


@pytest.mark.parametrize(("store", "config", "ends"), [("s3", OLD_S3, ".csv"), ("gcs", NEW_GCS, ".json")])
def test_hauser_that_only_stored_is_continued_from_its_checkpoint(request, shell, tmp_path, store, config, ends):
    at = request.getfixturevalue(store)
    folder, fs = f"{tmp_path.name}-{store}", at.fs()
    started = MIDNIGHT + 7 * HOUR  # not on the grid of 6 h
    fs.pipe_file(f"events/{folder}/.sync.hauser", f"{MIDNIGHT:%Y-%m-%dT%H:%M:%SZ}".encode())
    fs.pipe_file(f"events/{folder}/prod.sync.hauser", f"{started:%Y-%m-%dT%H:%M:%S.123456789Z}\n".encode())
    (tmp_path / "hauser.toml").write_text(config.format(folder=folder))

    shell.environ.pop("HAUSER__DESTINATION")
    out = shell("run", "-c", "hauser.toml", "--dry-run", **at.environ())

    assert out.splitlines()[0] == "would load 2024-05-01 07:00 to 2024-05-01 12:00 UTC"


@in_s3
def test_a_checkpoint_that_holds_no_time_is_named(runs, s3):
    s3.fs().pipe_file("events/odd/.sync.hauser", b"soon")
    with pytest.raises(ConfigError, match=r"s3://events/odd/.sync.hauser holds no time; put"):
        runs.load(NOW, hauser_sync_file=["s3://events/nowhere/.sync.hauser", "s3://events/odd/.sync.hauser"])
