"""hauser's configuration: every key finds its place, and every mistake is named in one line without a secret."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dlt.common.configuration.specs import AwsCredentials, GcpServiceAccountCredentials
from dlt.destinations.impl.bigquery.configuration import BigQueryClientConfiguration
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration
from dlt.destinations.impl.redshift.configuration import RedshiftClientConfiguration, RedshiftCredentials
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from hauser_dlt.config import hauser_keys, hauser_toml, parsers, reading
from hauser_dlt.config.configuration import configure, read_source
from hauser_dlt.config.hauser_toml import read_hauser_toml
from hauser_dlt.config.init_files import secrets_text
from hauser_dlt.config.run_settings import FORMER, BigQuerySettings, RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ConfigError

NEW_AWS = """
Provider = "aws"
StorageOnly = false
SaveAsJson = false
FilePrefix = "prod"
GroupFilesByDay = true
TmpDir = "tmp"
FsApiToken = "na1.t0ken"
ApiURL = "https://api.eu1.fullstory.com/"
AdditionalHttpHeader = [{ Key = "X-Team", Value = "data" }, { Key = "X-Trace", Value = "on" }]
Backoff = "30s"
BackoffStepsMax = 3
SegmentId = "vips"
IncludeMobileAppsFields = true
StartTime = "2026-01-31T00:00:00Z"
ExportDuration = "6h"
ExportDelay = "3h30m"

[s3]
Bucket = "bucket/sub/dir"
Region = "eu-west-1"
Timeout = "5m"

[redshift]
Host = "cluster.example.com"
Port = "5440"
DB = "events"
User = "loader"
Password = " p4ss "
DatabaseSchema = "search_path"
ExportTable = "fsexport"
SyncTable = "fssync"
VarCharMax = 65535
Credentials = "aws_iam_role=arn:aws:iam::123:role/copy"
"""
OLD_AWS = """
Warehouse = "redshift"
FsApiToken = "na1.t0ken"
ExportURL = "https://export.fullstory.com/api/v1"
CheckInterval = "30m"
ListExportLimit = 20
Backoff = "500ms"
ExportDelay = "24h"
[s3]
Bucket = "bucket"
S3Only = false
Timeout = "5m"
[redshift]
Host = "cluster.example.com"
DB = "events"
User = "loader"
DatabaseSchema = "public"
Credentials = "aws_access_key_id=AKIA1;aws_secret_access_key=s3cr3t/+=="
"""
NEW_GCP = """
Provider = "gcp"
[gcs]
Bucket = "bucket"
[bigquery]
Project = "my-project"
Dataset = "fs"
ExportTable = "fsexport"
SyncTable = "fssync"
PartitionExpiration = "720h"
"""
OLD_GCP = """
Warehouse = "bigquery"
GroupFilesByDay = true
[gcs]
Bucket = "bucket/sub"
GCSOnly = true
"""
LOCAL = """
Provider = "local"
StartTime = "2026-01-31"
[local]
SaveDir = "/data/fs"
SaveAsJson = false
StartTime = ""
UseStartTime = false
"""
SAMPLES = (NEW_AWS, OLD_AWS, NEW_GCP, OLD_GCP, LOCAL)
BUCKET = '[s3]\nBucket = "bucket"\n'
SECRETS = ("t0ken", "p4ss", "AKIA1", "s3cr3t", "header-secret")


@pytest.fixture
def config(tmp_path):
    """Return a function that reads a configuration's text."""

    def read(text):
        (path := tmp_path / "hauser.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_hauser_toml(path)

    return read


@pytest.fixture
def complaint(config, tmp_path):
    """Return a function that returns what is wrong with a configuration's text; its path is shown as PATH."""

    def read(text):
        with pytest.raises(ConfigError) as caught:
            config(text)
        line = str(caught.value)
        assert len(line.splitlines()) == 1
        assert not any(secret in line for secret in SECRETS)
        return line.replace(str(tmp_path / "hauser.toml"), "PATH")

    return read


# What the keys become


def test_the_new_generation_for_redshift(config):
    assert config(NEW_AWS).settings == {
        "sources": {
            "fullstory": {
                "api": "segment_export",
                "api_token": "na1.t0ken",
                "base_url": "https://api.eu1.fullstory.com",
                "http_headers": {"X-Team": "data", "X-Trace": "on"},
                "backoff": "30s",
                "max_retries": 3,
                "segment_id": "vips",
                "include_mobile_fields": True,
                "start_time": "2026-01-31T00:00:00Z",
                "export_duration": "6h",
                "export_delay": "3h30m",
                "export_table": "fsexport",
                "sync_table": "fssync",
            }
        },
        "hauser": {
            "destination": "redshift",
            "staging": "filesystem",
            "dataset_name": "search_path",
            "group_by_day": True,
            "working_dir": "tmp",
        },
        "destination": {
            "filesystem": {"bucket_url": "s3://bucket/sub/dir/prod", "credentials": {"region_name": "eu-west-1"}},
            "redshift": {
                "varchar_max": 65535,
                "staging_iam_role": "arn:aws:iam::123:role/copy",
                "credentials": {
                    "host": "cluster.example.com",
                    "port": 5440,
                    "database": "events",
                    "username": "loader",
                    "password": " p4ss ",
                },
            },
        },
    }


def test_the_old_generation_for_redshift(config):
    assert config(OLD_AWS).settings == {
        "sources": {
            "fullstory": {
                "api": "data_export",
                "api_token": "na1.t0ken",
                "base_url": "https://export.fullstory.com/api/v1",
                "backoff": "500ms",
                "export_duration": "1h",
                "export_delay": "24h",
            }
        },
        "hauser": {
            "destination": "redshift",
            "staging": "filesystem",
            "dataset_name": "public",
            "group_by_day": False,
        },
        "destination": {
            "filesystem": {
                "bucket_url": "s3://bucket",
                "credentials": {"aws_access_key_id": "AKIA1", "aws_secret_access_key": "s3cr3t/+=="},
            },
            "redshift": {
                "credentials": {"host": "cluster.example.com", "database": "events", "username": "loader"},
            },
        },
    }


def test_the_new_generation_for_bigquery(config):
    assert config(NEW_GCP).settings == {
        "sources": {
            "fullstory": {
                "api": "segment_export",
                "export_duration": "1h",
                "export_table": "fsexport",
                "sync_table": "fssync",
            }
        },
        "hauser": {
            "destination": "bigquery",
            "staging": "filesystem",
            "dataset_name": "fs",
            "group_by_day": False,
        },
        "destination": {
            "filesystem": {"bucket_url": "gs://bucket"},
            "bigquery": {"credentials": {"project_id": "my-project"}, "partition_expiration": "720h"},
        },
    }


def test_the_old_generation_for_a_bucket_of_google(config):
    assert config(OLD_GCP).settings == {
        "sources": {"fullstory": {"api": "segment_export", "export_duration": "24h"}},
        "hauser": {
            "destination": "filesystem",
            "file_format": "csv",
            "group_by_day": True,
            "hauser_sync_file": "gs://bucket/sub/.sync.hauser",
        },
        "destination": {"filesystem": {"bucket_url": "gs://bucket/sub"}},
    }


def test_local_files(config):
    assert config(LOCAL) == hauser_toml.HauserConfig(
        settings={
            "sources": {
                "fullstory": {"api": "segment_export", "export_duration": "1h", "start_time": "2026-01-31"},
            },
            "hauser": {
                "destination": "filesystem",
                "file_format": "csv",
                "group_by_day": False,
                "hauser_sync_file": "/data/fs/.sync.hauser",
            },
            "destination": {"filesystem": {"bucket_url": "/data/fs"}},
        },
        warnings=(),
    )


def test_the_samples_above_hold_every_key():
    spelled = {label for sample in SAMPLES for label in labels(sample)}
    assert spelled == {key.label for key in hauser_keys.KEYS}


def labels(sample):
    section = ""
    for line in sample.splitlines():
        if line.startswith("["):
            section = f"{line} "
        elif line:
            yield section + line.split(" ")[0]


@pytest.mark.parametrize("sample", SAMPLES)
def test_our_own_settings_read_what_comes_out(config, sample):
    mapped = config(sample)
    source, run = mapped.settings["sources"]["fullstory"], mapped.settings["hauser"]
    assert set(source) <= set(SourceSettings.__dataclass_fields__)
    assert set(run) <= set(RunSettings.__dataclass_fields__)

    values = reading.read(SourceSettings, lambda name: found({"api_token": "t", **source}, name))
    assert values.export_duration == parsers.duration(source["export_duration"])
    assert reading.read(RunSettings, lambda name: found(run, name)).destination == run["destination"]


def found(table, name):
    return (table[name], "here") if name in table else None


@pytest.mark.parametrize("sample", SAMPLES)
def test_dlt_knows_the_destinations_keys(config, sample):
    known = {
        "filesystem": (FilesystemDestinationClientConfiguration, AwsCredentials),
        "redshift": (RedshiftClientConfiguration, RedshiftCredentials),
        "bigquery": (BigQueryClientConfiguration, GcpServiceAccountCredentials),
    }
    for destination, values in config(sample).settings["destination"].items():
        configuration, credentials = known[destination]
        ours = {path[-1] for path in FORMER}
        assert set(values) - ours <= set(configuration.get_resolvable_fields())
        assert set(values.get("credentials", {})) <= set(credentials.get_resolvable_fields())


# Keys in any case


def recased(sample, change):
    """Return a configuration whose sections and keys went through `change`."""
    return re.sub(r"(?m)^\[?\w+(?=\]| =)|\b(?:Key|Value)(?= =)", lambda match: change(match[0]), sample)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("change", [str.upper, str.lower])
def test_keys_may_be_upper_or_lower_case(config, sample, change):
    assert recased(sample, change) != sample
    assert config(recased(sample, change)) == config(sample)


@hypothesis(deadline=None)
@given(sample=st.sampled_from(SAMPLES), random=st.randoms(use_true_random=False))
def test_the_case_of_keys_changes_nothing(tmp_path_factory, sample, random):
    path = tmp_path_factory.getbasetemp() / "recased.toml"
    path.write_text(sample)
    expected = read_hauser_toml(path)

    path.write_text(recased(sample, lambda key: "".join(random.choice((c.upper(), c.lower())) for c in key)))
    assert read_hauser_toml(path) == expected


def test_errors_spell_a_key_as_hauser_does(complaint):
    assert complaint('provider = "azure"') == "Provider = \"azure\" in PATH: allowed is one of 'local', 'aws', 'gcp'"


def test_a_key_in_two_cases_is_refused(complaint):
    assert complaint('Provider = "aws"\nprovider = "gcp"') == (
        "Provider stands twice in PATH, in different cases: keep one"
    )
    assert complaint('[s3]\nBucket = "a"\n[S3]\nBUCKET = "a"') == (
        "[s3] Bucket stands twice in PATH, in different cases: keep one"
    )


# Which provider


@pytest.mark.parametrize(("old", "new"), [("local", "local"), ("redshift", "aws"), ("bigquery", "gcp")])
def test_the_provider_has_two_spellings_of_which_the_new_one_is_the_stronger(config, tmp_path, old, new):
    sections = NEW_AWS[NEW_AWS.index("[s3]") :] + NEW_GCP[NEW_GCP.index("[gcs]") :] + LOCAL[LOCAL.index("[local]") :]
    one = config(f'Provider = "{new}"\n{sections}')
    assert one == config(f'Warehouse = "{old}"\n{sections}')
    for other in ("local", "redshift", "bigquery"):
        both = config(f'Provider = "{new}"\nWarehouse = "{other}"\n{sections}')
        assert both.settings == one.settings
        assert "Warehouse" in both.warnings[-1]


@pytest.mark.parametrize("text", ["", 'Provider = ""', 'FsApiToken = "t0ken"'])
def test_a_provider_is_needed(complaint, text):
    assert complaint(text) == "Provider is missing in PATH: set it to local, aws or gcp"


@pytest.mark.parametrize(
    ("top", "section", "url"),
    [
        ('Provider = "aws"\nStorageOnly = true', BUCKET, "s3://bucket"),
        ('Warehouse = "redshift"', BUCKET + "S3Only = true", "s3://bucket"),
        ('Provider = "aws"\nStorageOnly = true', BUCKET + "S3Only = true", "s3://bucket"),
        ('Provider = "gcp"\nStorageOnly = true', BUCKET.replace("s3", "gcs"), "gs://bucket"),
        ('Warehouse = "bigquery"', BUCKET.replace("s3", "gcs") + "GCSOnly = true", "gs://bucket"),
    ],
)
def test_storage_only_loads_files_and_needs_no_warehouse(config, top, section, url):
    mapped = config(f"{top}\nSaveAsJson = true\n{section}").settings
    assert mapped["hauser"] == {
        "destination": "filesystem",
        "file_format": "json",
        "group_by_day": False,
        "hauser_sync_file": f"{url}/.sync.hauser",
    }
    assert mapped["destination"] == {"filesystem": {"bucket_url": url}}


@pytest.mark.parametrize(("new", "old"), [("true", "false"), ("false", "true")])
def test_one_of_the_two_spellings_of_storage_only_is_enough(config, new, old):
    read = config(f'Provider = "gcp"\nStorageOnly = {new}\n[gcs]\nBucket = "b"\nGCSOnly = {old}')
    assert read.settings["hauser"]["destination"] == "filesystem"


def test_sections_of_other_providers_are_not_read(config):
    other = '[s3]\nBucket = ""\nTimeout = "1s"\nS3Only = true\n[redshift]\nPort = "<port>"\n[bigquery]\nProject = 5'
    assert config(LOCAL + other) == config(LOCAL)


# Which API


@pytest.mark.parametrize(
    ("urls", "api", "base_url"),
    [
        ("", "segment_export", None),
        ('ApiURL = ""\nExportURL = ""', "segment_export", None),
        ('ApiURL = "https://a.example"', "segment_export", "https://a.example"),
        ('ExportURL = "https://e.example/api/v1"', "data_export", "https://e.example/api/v1"),
        ('ApiURL = ""\nExportURL = "https://e.example"', "data_export", "https://e.example"),
        ('ApiURL = "https://a.example"\nExportURL = "https://e.example"', "segment_export", "https://a.example"),
    ],
)
def test_an_export_url_alone_means_the_legacy_api(config, urls, api, base_url):
    source = config(f"{urls}\n{LOCAL}").settings["sources"]["fullstory"]
    assert (source["api"], source.get("base_url")) == (api, base_url)


@pytest.mark.parametrize("spelled", ["", 'FsApiToken = ""\n'])
def test_the_token_may_come_from_elsewhere(config, spelled):
    assert "api_token" not in config(spelled + LOCAL).settings["sources"]["fullstory"]


# Times


@pytest.mark.parametrize(
    ("keys", "by_day", "duration"),
    [
        ("", False, "1h"),
        ("GroupFilesByDay = false", False, "1h"),
        ("GroupFilesByDay = true", True, "24h"),
        ('GroupFilesByDay = true\nExportDuration = "6h"', True, "6h"),
        ('ExportDuration = ""', False, "1h"),
        ('ExportDuration = "1h30m"', False, "1h30m"),
    ],
)
def test_a_window_is_an_hour_or_a_day_where_files_are_grouped(config, keys, by_day, duration):
    mapped = config(f"{keys}\n{LOCAL}").settings
    assert mapped["hauser"]["group_by_day"] is by_day
    assert mapped["sources"]["fullstory"]["export_duration"] == duration


@pytest.mark.parametrize(
    ("spelled", "start"),
    [
        ('""', None),
        ('"2026-01-31"', "2026-01-31"),
        ('"2026-01-31T06:00:00Z"', "2026-01-31T06:00:00Z"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T06:00:00Z", "2026-01-31T06:00:00+00:00"),
    ],
)
def test_a_start_time_may_be_empty_a_text_or_a_time_of_toml(config, spelled, start):
    mapped = config(LOCAL.replace('"2026-01-31"', spelled)).settings
    assert mapped["sources"]["fullstory"].get("start_time") == start
    json.dumps(mapped)  # nothing but what TOML and JSON have in common


@pytest.mark.parametrize(
    ("top", "local", "used", "start"),
    [
        ("2026-01-01", "2026-02-02", True, "2026-02-02"),
        ("2026-01-01", "", True, "2026-01-01"),
        ("", "2026-02-02", True, "2026-02-02"),
        ("", "", True, None),
        ("2026-01-01", "2026-02-02", False, "2026-01-01"),
        ("", "2026-02-02", False, None),
    ],
)
def test_the_local_start_time_counts_where_it_is_used(config, top, local, used, start):
    text = f'Provider = "local"\nStartTime = "{top}"\n[local]\nSaveDir = "/data"\nStartTime = "{local}"\n'
    mapped = config(f"{text}UseStartTime = {str(used).lower()}").settings
    assert mapped["sources"]["fullstory"].get("start_time") == start
    assert mapped["hauser"].get("hauser_sync_file") == (None if used else "/data/.sync.hauser")


# Places


def local(folder, *keys):
    return "\n".join(('Provider = "local"', *keys, "[local]", f"SaveDir = {json.dumps(str(folder))}"))


def test_a_relative_folder_lies_in_the_current_directory(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mapped = config(local("out")).settings
    assert mapped["destination"]["filesystem"]["bucket_url"] == str(tmp_path / "out")
    assert mapped["hauser"]["hauser_sync_file"] == str(tmp_path / "out" / ".sync.hauser")


@pytest.mark.parametrize(("as_json", "file_format"), [("true", "json"), ("false", "csv")])
def test_files_are_csv_or_json(config, as_json, file_format):
    assert config(f"SaveAsJson = {as_json}\n{LOCAL}").settings["hauser"]["file_format"] == file_format
    below = LOCAL.replace("SaveAsJson = false", f"SaveAsJson = {as_json}")
    assert config(below).settings["hauser"]["file_format"] == file_format


@pytest.mark.parametrize("prefix", ["prod/fs", "/prod/fs/"])
def test_a_file_prefix_is_a_folder(config, prefix):
    def bucket_url(text):
        return config(text).settings["destination"]["filesystem"]["bucket_url"]

    key = f'FilePrefix = "{prefix}"'
    assert bucket_url(local("/data", key)) == "/data/prod/fs"
    assert bucket_url(f'{key}\nProvider = "aws"\nStorageOnly = true\n{BUCKET}') == "s3://bucket/prod/fs"
    assert bucket_url(f"{key}\n{NEW_GCP}") == "gs://bucket/prod/fs"


@pytest.mark.parametrize("prefix", ["prod/fs", "/prod/fs/"])
def test_hausers_checkpoint_may_lie_in_the_folder_or_behind_the_prefix(config, prefix):
    def places(text):
        return config(text).settings["hauser"].get("hauser_sync_file")

    key, tails = f'FilePrefix = "{prefix}"', (".sync.hauser", "prod/fs.sync.hauser", "prod/fs/.sync.hauser")
    assert places(local("/data", key)) == [f"/data/{tail}" for tail in tails]
    assert places(f'{key}\nProvider = "aws"\nStorageOnly = true\n{BUCKET}') == [f"s3://bucket/{tail}" for tail in tails]
    assert places(OLD_GCP) == "gs://bucket/sub/.sync.hauser"
    assert places(NEW_GCP) is None  # BigQuery has a sync table


# Warehouses


@pytest.mark.parametrize(
    ("credentials", "filesystem", "redshift"),
    [
        ("aws_iam_role=arn:aws:iam::1:role/r", {}, {"staging_iam_role": "arn:aws:iam::1:role/r"}),
        (
            "AWS_ACCESS_KEY_ID=a; AWS_SECRET_ACCESS_KEY=b=; token=c;",
            {"credentials": {"aws_access_key_id": "a", "aws_secret_access_key": "b=", "aws_session_token": "c"}},
            {},
        ),
    ],
)
def test_credentials_are_a_role_or_a_key_pair(config, credentials, filesystem, redshift):
    given_pair = OLD_AWS[: OLD_AWS.index("Credentials")]
    destination = config(f'{given_pair}Credentials = "{credentials}"').settings["destination"]
    assert {**destination["filesystem"], "bucket_url": ""} == {"bucket_url": "", **filesystem}
    assert {**destination["redshift"], "credentials": {}} == {"credentials": {}, **redshift}


def test_the_warehouses_secrets_may_come_from_elsewhere(config):
    bare = OLD_AWS[: OLD_AWS.index("Credentials")].replace('FsApiToken = "na1.t0ken"', "")
    assert config(bare).settings["destination"]["redshift"] == {
        "credentials": {"host": "cluster.example.com", "database": "events", "username": "loader"}
    }


def test_partitions_may_live_for_ever(config):
    mapped = config(NEW_GCP.replace("720h", "0")).settings
    assert mapped["destination"]["bigquery"]["partition_expiration"] == "0"


# What is said about it


def test_keys_without_meaning_are_named_in_one_line(config, tmp_path):
    more = 'ApiURL = "https://a.example"\nSaveAsJson = true\n'
    keys = "CheckInterval, ListExportLimit, [s3] Timeout, ExportURL, SaveAsJson"
    assert config(more + OLD_AWS).warnings == (f"without meaning any more, in {tmp_path / 'hauser.toml'}: {keys}",)
    assert config(LOCAL).warnings == ()


def test_the_result_shows_no_secret(config):
    assert not any(secret in repr(config(sample)) for sample in SAMPLES for secret in SECRETS)


# hauser's own example, with what a user must fill in

# the same keys and shapes as in hauser's example-config.toml; it is no TOML before [local] StartTime is filled in
EXAMPLE = """
FsApiToken = "<your key>"
Backoff = "30s"
BackoffStepsMax = 8
TmpDir = "tmp"
ExportDuration = "6h"
ExportDelay = "24h"
StartTime = ""
Provider="local"
StorageOnly = false
SaveAsJson = false
FilePrefix = ""
# IncludeMobileAppsFields = true
[s3]
Bucket = ""
Region = "us-east-2"
Timeout = "5m"
[redshift]
User = "<your user>"
Password = "<password>"
Host = "<details of the host>.redshift.example.com"
Port = "5439"
DB = "dev"
ExportTable = "fsexport"
SyncTable   = "fssync"
Credentials = "aws_iam_role=arn:aws:iam::<...>"
VarCharMax = 65535
DatabaseSchema = "public"
[gcs]
Bucket = "<your bucket>"
[bigquery]
Project = "<your project>"
Dataset = "<your dataset>"
ExportTable = "fs_export"
SyncTable = "fs_sync"
PartitionExpiration = "0"
[local]
SaveDir = "<path to your folder>"
StartTime = <start time in the following format: 2018-12-27T18:30:00Z>
UseStartTime = true
"""
# the older generation says the same with other keys
OLD_EXAMPLE = (
    EXAMPLE.replace('Provider="local"', 'Warehouse="local"\nCheckInterval = "30m"\nGroupFilesByDay = false')
    .replace("StorageOnly = false\n", "")
    .replace("[redshift]", "S3Only = false\n[redshift]")
    .replace("[bigquery]", "GCSOnly = false\n[bigquery]")
)
FILLED = {
    "local": {'"<path to your folder>"': '"/data"'},
    "aws": {
        'Bucket = ""': 'Bucket = "b"',
        "<your user>": "u",
        "<details of the host>": "h",
        "<...>": "1:role/r",
        '="local"': '="aws"',
    },
    "gcp": {"<your bucket>": "b", "<your project>": "p", "<your dataset>": "d", '="local"': '="gcp"'},
}


def filled(example, provider, *but):
    """Return an example with what a user of a provider must fill in."""
    for blank, value in FILLED[provider].items():
        example = example if blank in but else example.replace(blank, value)
    return example.replace('Warehouse="aws"', 'Warehouse="redshift"').replace('Warehouse="gcp"', 'Warehouse="bigquery"')


@pytest.mark.parametrize("example", [EXAMPLE, OLD_EXAMPLE], ids=["new", "old"])
@pytest.mark.parametrize(
    ("provider", "destination"), [("local", "filesystem"), ("aws", "redshift"), ("gcp", "bigquery")]
)
def test_hausers_example_works_with_only_what_a_user_must_fill_in(config, example, provider, destination):
    mapped = config(filled(example, provider)).settings
    assert mapped["hauser"]["destination"] == destination
    source = mapped["sources"]["fullstory"]
    assert not {"api_token", "start_time"} & set(source)
    read = reading.read(SourceSettings, lambda name: found({"api_token": "t", **source}, name))
    assert (read.backoff, read.max_retries) == (parsers.duration("30s"), 8)
    assert (read.export_duration, read.export_delay) == (parsers.duration("6h"), parsers.duration("24h"))
    run = {name: value for name, value in mapped["hauser"].items() if name != "staging"}
    assert reading.read(RunSettings, lambda name: found(run, name)).working_dir == "tmp"


@pytest.mark.parametrize(("provider", "bucket"), [("aws", "s3://b"), ("gcp", "gs://b")])
def test_of_storage_only_no_more_than_the_bucket_must_be_filled_in(config, provider, bucket):
    blanks = [blank for blank in FILLED[provider] if "ucket" not in blank and "=" not in blank]
    mapped = config(filled(EXAMPLE, provider, *blanks).replace("StorageOnly = false", "StorageOnly = true")).settings
    assert mapped["destination"]["filesystem"]["bucket_url"] == bucket


@pytest.mark.parametrize(
    ("provider", "blank", "line"),
    [
        (
            "local",
            '"<path to your folder>"',
            "[local] SaveDir in PATH still holds its placeholder: set it to the folder",
        ),
        ("aws", 'Bucket = ""', "[s3] Bucket is missing in PATH: set it to the bucket"),
        ("aws", "<your user>", "[redshift] User in PATH still holds its placeholder: set it to the database's user"),
        (
            "aws",
            "<details of the host>",
            "[redshift] Host in PATH still holds its placeholder: set it to the cluster's",
        ),
        ("aws", "<...>", "[redshift] Credentials in PATH still holds its placeholder: fill it in, or remove the line"),
        ("gcp", "<your dataset>", "[bigquery] Dataset in PATH still holds its placeholder: set it to the dataset"),
    ],
)
def test_a_placeholder_that_is_left_is_named(complaint, provider, blank, line):
    assert complaint(filled(EXAMPLE, provider, blank)).startswith(line)


@pytest.mark.parametrize("token", ['"<your key>"', '"na1.of-the-file"', '""', '"two words"'])
@pytest.mark.parametrize("name", ["FULLSTORY_API_TOKEN", "SOURCES__FULLSTORY__API_TOKEN"])
def test_the_environments_key_is_stronger_than_what_the_file_holds(config, monkeypatch, tmp_path, name, token):
    monkeypatch.chdir(tmp_path)
    mapped = config(filled(EXAMPLE, "local").replace('"<your key>"', token)).settings
    monkeypatch.setenv(name, "na1.of-the-environment")
    configure({}, mapped, "hauser.toml")
    assert read_source().api_token == "na1.of-the-environment"


def test_a_placeholder_is_no_key(config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    configure({}, config(filled(EXAMPLE, "local")).settings, "hauser.toml")
    with pytest.raises(ConfigError, match=r"^api_token is missing: set FULLSTORY_API_TOKEN, or "):
        read_source()
    assert "your key" not in secrets_text(config(filled(EXAMPLE, "local")).settings)


@pytest.mark.parametrize(
    ("key", "value", "name", "length"),
    [
        ("ExportDuration", '"1h30m0s"', "export_duration", "90m"),
        ("ExportDuration", '".5h"', "export_duration", "30m"),
        ("ExportDuration", '"0"', "export_duration", "1h"),
        ("ExportDuration", "0", "export_duration", "1h"),
        ("ExportDelay", '"1.5h"', "export_delay", "90m"),
        ("ExportDelay", '"0s"', "export_delay", "24h"),
        ("Backoff", '"+1500ms"', "backoff", "1.5s"),
        ("Backoff", '"1500000\u00b5s"', "backoff", "1.5s"),
        ("Backoff", '"1500000\u03bcs"', "backoff", "1.5s"),
    ],
)
def test_durations_are_those_of_go(config, key, value, name, length):
    source = config(with_value(LOCAL, key, value)).settings["sources"]["fullstory"]
    read = reading.read(SourceSettings, lambda name: found({"api_token": "t", **source}, name))
    assert getattr(read, name) == parsers.duration(length)


@pytest.mark.parametrize(("expiration", "hours"), [("100h", 100), ("720h", 720), ("1h30m", 1.5), ("0", 0)])
def test_partitions_may_expire_after_any_time(config, expiration, hours):
    table = config(NEW_GCP.replace("720h", expiration)).settings["destination"]["bigquery"]
    read = reading.read(BigQuerySettings, lambda name: found(table, name))
    assert read.partition_expiration.total_seconds() == hours * 3600


# What is wrong with the file


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^cannot read \S+/nowhere\.toml: No such file or directory$"):
        read_hauser_toml(tmp_path / "nowhere.toml")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"^cannot read \S+: Is a directory$"):
        read_hauser_toml(tmp_path)


def test_a_files_name_cannot_break_the_line(tmp_path):
    (path := tmp_path / "hau\nser\u2028.toml").write_text("x")
    with pytest.raises(ConfigError) as caught:
        read_hauser_toml(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b'# ok\nSegmentId = "\xfc"', "PATH is not UTF-8 (at line 2): save it as UTF-8"),
        ("\nFsApiToken = t0ken", "PATH is not TOML: Invalid value (at line 2, column 14)"),
        ("[s3\n", "PATH is not TOML: Expected ']' at the end of a table declaration (at line 1, column 4)"),
        ("A = 1\nA = 2", "PATH is not TOML: Cannot overwrite a value (at end of document)"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(complaint, text, line):
    assert complaint(text) == line


@pytest.mark.parametrize("text", ["x = " + "[" * 100_000, "x = " + "9" * 5_000], ids=["deep", "long"])
def test_a_monstrous_file_is_refused(complaint, text):
    assert complaint(text).startswith("PATH is not TOML: ")


def test_windows_marks_and_line_ends_do_no_harm(config):
    assert config(b"\xef\xbb\xbf" + LOCAL.replace("\n", "\r\n").encode()) == config(LOCAL)
    assert config(filled(EXAMPLE, "gcp").replace("\n", "\r\n")) == config(filled(EXAMPLE, "gcp"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_what_is_no_utf_8_is_said_to_be_none(complaint, encoding):
    assert complaint(LOCAL.encode(encoding)).startswith(("PATH is not UTF-8 (at line 1)", "PATH is not TOML: "))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('ExportDuratoin = "1h"', "ExportDuratoin (the nearest known is ExportDuration)"),
        ('[s3]\nbukcet = "b"', "[s3] bukcet (the nearest known is [s3] Bucket)"),
        ('[GCS]\nbukcet = "b"', "[gcs] bukcet (the nearest known is [gcs] Bucket)"),
        ('Host = "t0ken"', "Host (the nearest known is [redshift] Host)"),
        ('[redshift]\nStartTimes = "x"', "[redshift] StartTimes (the nearest known is [local] StartTime)"),
        ('StartTimes = "x"', "StartTimes (the nearest known is StartTime)"),
        ('[redshfit]\nHost = "x"', "[redshfit] (the nearest known is [redshift])"),
        ("qqqqqq = 1\nzzzzzz = 2", "qqqqqq (no key of hauser's), zzzzzz (no key of hauser's)"),
        ('"a\\nb\\u2028" = 1', "a\\nb\\u2028 (no key of hauser's)"),
    ],
)
def test_unknown_keys_are_named_in_one_warning_with_the_nearest_known(config, tmp_path, text, line):
    top, sections = LOCAL.split("[local]")
    read = config(f"{top}\n{text}\n[local]{sections}")
    assert read.settings == config(LOCAL).settings
    assert read.warnings == (f"unknown in {tmp_path / 'hauser.toml'}, and not used: {line}",)


def test_a_section_must_be_one(complaint):
    line = "redshift in PATH is not a section: write [redshift] and its keys below"
    assert complaint('Redshift = "p4ss"') == line


REDSHIFT = 'Provider = "aws"\n' + BUCKET + '[redshift]\nHost = "h"\nDB = "d"\nUser = "u"\nDatabaseSchema = "s"\n'
BIGQUERY = 'Provider = "gcp"\n[gcs]\nBucket = "b"\n[bigquery]\nProject = "p"\nDataset = "d"\n'


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        (LOCAL, "SaveDir", "[local] SaveDir is missing in PATH: set it to the folder of the exported files"),
        (REDSHIFT, "Bucket", "[s3] Bucket is missing in PATH: set it to the bucket of the exported files"),
        (REDSHIFT, "Host", "[redshift] Host is missing in PATH: set it to the cluster's host name"),
        (REDSHIFT, "DB", "[redshift] DB is missing in PATH: set it to the database's name"),
        (REDSHIFT, "User", "[redshift] User is missing in PATH: set it to the database's user"),
        (
            REDSHIFT,
            "DatabaseSchema",
            "[redshift] DatabaseSchema is missing in PATH: set it to the schema of the tables, or search_path",
        ),
        (BIGQUERY, "Bucket", "[gcs] Bucket is missing in PATH: set it to the bucket of the exported files"),
        (BIGQUERY, "Project", "[bigquery] Project is missing in PATH: set it to the project of Google Cloud"),
        (BIGQUERY, "Dataset", "[bigquery] Dataset is missing in PATH: set it to the dataset of the tables"),
    ],
)
def test_a_required_key_that_is_missing_or_empty_is_named(config, complaint, text, key, line):
    config(text)
    assert complaint(re.sub(f"(?m)^{key} = .*$", "", text)) == line
    assert complaint(re.sub(f"(?m)^{key} = .*$", f'{key} = ""', text)) == line


DURATION = "a duration such as 15m, 1h30m or 24h"
WINDOW = "15m to 24h, an even fraction of 24h (15m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h, 24h)"
MOMENT = "a date or time such as 2026-01-31 or 2026-01-31T06:00:00Z"
URL = "an address such as https://api.fullstory.com"
HEADERS = (
    "a list of { Key, Value }, without accept-encoding, authorization, connection, content-encoding, content-length,"
    " content-type, host, transfer-encoding"
)
TABLE_NAME = (
    "letters, digits and _, beginning with a letter or _, and not with _dlt or _hauser; 63 at most, and no __ or _ at"
    " the end"
)
COPY = "aws_iam_role=arn:..., or aws_access_key_id=...;aws_secret_access_key=..."


@pytest.mark.parametrize(
    ("sample", "key", "value", "shown", "allowed"),
    [
        (LOCAL, "ExportDuration", '"7h"', '"7h"', WINDOW),
        (LOCAL, "ExportDuration", '"48h"', '"48h"', WINDOW),
        (LOCAL, "ExportDuration", "3600", "3600", DURATION),
        (LOCAL, "ExportDelay", '"30m"', '"30m"', "at least 1h: events are not complete before that"),
        (LOCAL, "Backoff", '"a\\nwhile\\u2028"', '"a\\nwhile\\u2028"', DURATION),
        (LOCAL, "BackoffStepsMax", "101", "101", "a whole number from 0 to 100"),
        (LOCAL, "StartTime", '"gestern, 6 Uhr früh"', '"gestern, 6 Uhr früh"', MOMENT),
        (LOCAL, "StartTime", "1999-01-01", '"1999-01-01"', "a date or time after the year 2000"),
        (LOCAL, "[local] StartTime", "07:00:00", '"07:00:00"', MOMENT),
        (LOCAL, "[local] UseStartTime", '"maybe"', '"maybe"', "true or false"),
        (LOCAL, "[local] SaveDir", "5", "5", "text"),
        (LOCAL, "GroupFilesByDay", "1", "1", "true or false"),
        (LOCAL, "SaveAsJson", '"yes"', '"yes"', "true or false"),
        (LOCAL, "StorageOnly", "[true]", "[true]", "true or false"),
        (LOCAL, "IncludeMobileAppsFields", "0", "0", "true or false"),
        (LOCAL, "SegmentId", "{ Id = 1 }", '{"Id": 1}', "text"),
        (LOCAL, "TmpDir", "false", "false", "text"),
        (LOCAL, "ApiURL", '"api.fullstory.com"', '"api.fullstory.com"', URL),
        (LOCAL, "ApiURL", "false", "false", "text"),
        (LOCAL, "ApiURL", '"https://me:p4ss@host"', "(hidden)", URL),
        (LOCAL, "ExportURL", '"ftp://host"', '"ftp://host"', URL),
        (LOCAL, "FilePrefix", '"a?b"', '"a?b"', "a path without .., ? and #"),
        (LOCAL, "FilePrefix", '"../etc"', '"../etc"', "a path without .., ? and #"),
        (LOCAL, "FsApiToken", '["t0ken"]', "(hidden)", "text"),
        (LOCAL, "AdditionalHttpHeader", '"X-A: header-secret"', "(hidden)", HEADERS),
        (LOCAL, "AdditionalHttpHeader", '{ Key = "X-A", Value = "header-secret" }', "(hidden)", HEADERS),
        (LOCAL, "AdditionalHttpHeader", '[{ Key = "X-A" }]', "(hidden)", HEADERS),
        (LOCAL, "AdditionalHttpHeader", '[{ Key = ["X-A"], Value = "header-secret" }]', "(hidden)", HEADERS),
        (LOCAL, "AdditionalHttpHeader", '[{ Key = "X", Value = "header-secret", V = "" }]', "(hidden)", HEADERS),
        (LOCAL, "AdditionalHttpHeader", '[{ Key = "Host", Value = "header-secret" }]', "(hidden)", HEADERS),
        (LOCAL, "AdditionalHttpHeader", "1", "(hidden)", HEADERS),
        (REDSHIFT, "Warehouse", '"aws"', '"aws"', "one of 'local', 'redshift', 'bigquery'"),
        (REDSHIFT, "[s3] Bucket", '"s3://b"', '"s3://b"', "a bucket such as my-bucket or my-bucket/some/folder"),
        (REDSHIFT, "[s3] Region", "1", "1", "text"),
        (REDSHIFT, "[s3] S3Only", '"no"', '"no"', "true or false"),
        (REDSHIFT, "[redshift] Host", "1", "1", "text"),
        (REDSHIFT, "[redshift] Port", "70000", "70000", "a whole number from 1 to 65535"),
        (REDSHIFT, "[redshift] DB", "1", "1", "text"),
        (REDSHIFT, "[redshift] User", "1", "1", "text"),
        (REDSHIFT, "[redshift] Password", '["p4ss"]', "(hidden)", "text"),
        (REDSHIFT, "[redshift] DatabaseSchema", '"my schema"', '"my schema"', TABLE_NAME),
        (REDSHIFT, "[redshift] ExportTable", '"a.b"', '"a.b"', TABLE_NAME),
        (REDSHIFT, "[redshift] SyncTable", '"1st"', '"1st"', TABLE_NAME),
        (REDSHIFT, "[redshift] VarCharMax", '"max"', '"max"', "a whole number from 1 to 65535"),
        (REDSHIFT, "[redshift] Credentials", '"s3cr3t"', "(hidden)", COPY),
        (REDSHIFT, "[redshift] Credentials", '"aws_secret_access_key=s3cr3t"', "(hidden)", COPY),
        (REDSHIFT, "[redshift] Credentials", '"aws_iam_role="', "(hidden)", COPY),
        (REDSHIFT, "[redshift] Credentials", "5", "(hidden)", "text"),
        (BIGQUERY, "[gcs] Bucket", '"b?"', '"b?"', "a bucket such as my-bucket or my-bucket/some/folder"),
        (BIGQUERY, "[gcs] GCSOnly", "1.5", "1.5", "true or false"),
        (BIGQUERY, "[bigquery] Project", "1", "1", "a project such as my-project-123"),
        (BIGQUERY, "[bigquery] Dataset", '"p.d"', '"p.d"', TABLE_NAME),
        (BIGQUERY, "[bigquery] ExportTable", '"t$1"', '"t$1"', TABLE_NAME),
        (BIGQUERY, "[bigquery] SyncTable", '"t t"', '"t t"', TABLE_NAME),
        (BIGQUERY, "[bigquery] PartitionExpiration", '"30 days"', '"30 days"', DURATION),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed(complaint, sample, key, value, shown, allowed):
    assert complaint(with_value(sample, key, value)) == f"{key} = {shown} in PATH: allowed is {allowed}"


def with_value(sample, label, value):
    """Return a configuration with one more or one other value."""
    section, _, key = label.rpartition(" ")
    at = sample.index("[") if not section else len(sample) if f"{section}\n" not in sample else sample.index(section)
    head, body = sample[:at], sample[at:]
    if not section:
        return re.sub(f"(?m)^{key} = .*\n", "", head) + f"{key} = {value}\n{body}"
    name, _, rest = body.partition("\n")
    return f"{head}{name}\n{key} = {value}\n" + re.sub(f"(?m)^{key} = .*$", "", rest, count=1)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("ExportDelay", '"99999999999999h"', "a duration of at most 100 years"),
        ("StartTime", '"0001-01-01T00:00:00+05:00"', "a date or time after the year 2000"),
    ],
)
def test_a_value_beyond_all_bounds_is_one_line_too(complaint, key, value, allowed):
    assert complaint(with_value(LOCAL, key, value)) == f"{key} = {value} in PATH: allowed is {allowed}"


def test_reading_needs_neither_dlt_nor_arrow_nor_requests():
    code = "import sys, hauser_dlt.config.hauser_toml; print({'dlt', 'pyarrow', 'requests'} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert ran.stdout.strip() == "set()"
