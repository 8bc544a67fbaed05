"""Places: each spelling of a folder, a bucket or a database means one place, or is refused."""

import os
from pathlib import Path
from urllib.parse import quote

import dlt
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from hauser_dlt.config.configuration import configure, read_run, read_source
from hauser_dlt.config.hauser_toml import read_hauser_toml
from hauser_dlt.config.places import database_file, local_path, place
from hauser_dlt.destinations import adapter_for
from hauser_dlt.destinations.folder import read_text
from hauser_dlt.error_mapping import translated
from hauser_dlt.errors import ConfigError

NAMES = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], codec="utf-8"), min_size=1, max_size=12).filter(
    lambda name: not {"/", "\ufffd"} & set(name) and name.strip() == name and name not in (".", "..")
)


@pytest.fixture(name="here")
def _here(tmp_path, monkeypatch):
    """The current folder; the user's home is its sub-folder `own`."""
    (tmp_path / "own").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "own"))
    return tmp_path


@pytest.mark.parametrize(
    "spelled",
    [
        "out/x", "./out/x", "out//x", "out/x/", "out/x//", " out/x ", "out/./x", "out/y/../x", "HERE/out/x",
        "/HERE/out/x", "//HERE/out/x", "file:out/x", "FILE:out/x", "file:./out/x", "file:HERE/out/x", "file://HERE/out/x",
        "file://localhostHERE/out/x", "File://LOCALHOSTHERE/out/x/", "file:///HERE/out/x", "file:out/%78",
        "file:out%2Fx",
    ],
)  # fmt: skip
def test_all_spellings_of_a_folder_mean_one_place(here, spelled):
    assert place(spelled.replace("HERE", str(here))) == (here / "out" / "x").as_uri()


@pytest.mark.parametrize("spelled", ["~/x", "own/x", "link/x", "file:~/x", "file:link/x", "link/../own/x"])
def test_a_home_and_a_link_are_the_folders_they_stand_for(here, spelled):
    assert local_path(place(spelled)) == here / "own" / "x"


@hypothesis(suppress_health_check=list(HealthCheck), deadline=None)
@given(name=NAMES)
def test_a_path_stands_for_itself_and_a_url_is_escaped(name):
    folder = Path.cwd() / "out" / name
    if any(sign in name for sign in ("$", "%")):
        name = name.replace("$", "").replace("%", "") or "x"
        folder = Path.cwd() / "out" / name
    assert local_path(place(f"out/{name}")) == folder
    assert local_path(place(f"file:out/{quote(name)}")) == folder
    assert local_path(place(folder.as_uri())) == folder
    assert place(place(f"out/{name}")) == place(f"out/{name}")


def test_percent_signs_are_escapes_in_urls_alone(here):
    assert local_path(place("a%20b")) == here / "a%20b"
    assert local_path(place("file:a%20b")) == here / "a b"
    assert local_path(place("file:a%2520b")) == here / "a%20b"
    assert place("s3://bucket/a%20b") == "s3://bucket/a%20b"


@pytest.mark.parametrize(
    ("spelled", "url"),
    [
        ("s3://b/x", "s3://b/x"),
        ("S3://b/x/", "s3://b/x"),
        ("s3a://b//x//y/", "s3://b/x/y"),
        ("s3://b", "s3://b"),
        ("s3://b/", "s3://b"),
        ("GCS://b/x y", "gs://b/x y"),
        ("gs://b/ü/[1]", "gs://b/ü/[1]"),
        ("az://container/x/", "az://container/x"),
        ("azure://container/x", "az://container/x"),
        ("abfss://c@account.dfs.core.windows.net/x", "abfss://c@account.dfs.core.windows.net/x"),
    ],
)
def test_all_spellings_of_a_bucket_mean_one_place(spelled, url):
    assert place(spelled) == url
    assert place(url) == url


@pytest.mark.parametrize(
    "spelled",
    [
        "", " ", "/", "//", "file:", "file:///", "file://", "file://localhost", "file://out/x", "file://~/x", "file://server/x",
        "file:out?x", "file:out#x", "file:a%00b", "file:%ff", "a\x00b", "a\nb", "~nobody-of-this-name/x", "$HOME/x",
        "${HOME}/x", "%USERPROFILE%\\x", "s3:", "s3://", "s3:///x", "s3:b/x", "s3:/b/x", "s3://b/../x", "s3://b/./x",
        "s3://b/x?y", "s3://b/x#y", "s3://b/$X", "s3://b\\x", "memory://x", "http://h/x", "https://h/x", "ftp://h/x",
        "local:x", "s4://b/x", "adl://b/x", "C:\\data", "C:/data", "sftp://me@host/x", "loop/x",
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused(here, spelled):
    (here / "loop").symlink_to("loop")
    if os.name != "nt":
        with pytest.raises(ValueError, match=r"."):
            place(spelled)


@pytest.mark.parametrize(
    ("spelled", "file"),
    [
        ("e.duckdb", "e.duckdb"),
        (" ./e.duckdb", "./e.duckdb"),
        ("~/e.duckdb", "HOME/e.duckdb"),
        ("file:~/e.duckdb", "HOME/e.duckdb"),
        ("file:///x/a%20b.duckdb", "/x/a b.duckdb"),
        ("/x/a%20b.duckdb", "/x/a%20b.duckdb"),
        ("duckdb:///e.duckdb", "e.duckdb"),
        ("DUCKDB:////x/e.duckdb", "/x/e.duckdb"),
        ("duckdb:///~/e.duckdb", "HOME/e.duckdb"),
        (":pipeline:", ":pipeline:"),
    ],
)
def test_a_database_is_found_under_all_spellings(here, spelled, file):
    assert database_file(spelled) == file.replace("HOME", str(here / "own"))


@pytest.mark.parametrize(
    "spelled", ["", ":memory:", "md:db", "motherduck:db", "duckdb:x", "s3://b/x", "$HOME/x", "a\x00"]
)
def test_what_is_no_file_of_duckdb_is_refused(spelled):
    with pytest.raises(ValueError, match=r"."):
        database_file(spelled)


# By way of settings


def targeted(monkeypatch, destination, **given):
    monkeypatch.setenv("FULLSTORY_API_TOKEN", "na1.key")
    configure({"hauser": {"destination": destination}, "destination": given})
    return adapter_for(read_run(), read_source())


@pytest.mark.parametrize("spelled", ["~/x", "file:own/x", "link//x/"])
def test_files_and_storage_only_lie_in_the_same_place(here, monkeypatch, spelled):
    for destination, more in (("filesystem", {}), ("bigquery", {"HAUSER__STORAGE_ONLY": "true"})):
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        found = targeted(monkeypatch, destination, filesystem={"bucket_url": spelled})
        assert found.place == (here / "own" / "x").as_uri()


@pytest.mark.parametrize("given", ["~/e.duckdb", {"database": "~/e.duckdb"}, "duckdb:///~/e.duckdb"])
def test_the_database_of_the_settings_is_the_one_that_dlt_opens(here, monkeypatch, given):
    found = targeted(monkeypatch, "duckdb", duckdb={"credentials": given})
    opened = found.destination.configuration(found.destination.spec()._bind_dataset_name("fs"), accept_partial=True)
    assert opened.credentials.database == str(here / "own" / "e.duckdb")


@pytest.mark.parametrize(
    ("destination", "given", "line"),
    [
        (
            "filesystem",
            {"filesystem": {"bucket_url": "file://out"}},
            r"^bucket_url = 'file://out' \(from command line\): ",
        ),
        (
            "filesystem",
            {"filesystem": {"bucket_url": 5}},
            r"^bucket_url = 5 \(from command line\): allowed is a folder",
        ),
        ("filesystem", {"filesystem": {"bucket_url": "s3://k:s3cret@b"}}, r"^bucket_url = \(hidden\) .* without user"),
        ("duckdb", {"duckdb": {"credentials": "md:x"}}, r"^credentials of DuckDB = 'md:x' .* a file's path"),
        (
            "duckdb",
            {"duckdb": {"credentials": "file:x/Fullstory.db"}},
            "^a DuckDB file must not be named like its dataset",
        ),
    ],
)
def test_what_is_no_place_is_named_with_where_it_stands(here, monkeypatch, destination, given, line):
    with pytest.raises(ConfigError, match=line) as caught:
        targeted(monkeypatch, destination, **given)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("destination", "missing"),
    [
        ("postgres", "database, password, username, host"),
        ("motherduck", "password"),
    ],
)
def test_settings_of_a_destination_that_are_missing_are_named_with_where_they_belong(here, destination, missing):
    pipeline = dlt.pipeline("missing", destination=destination, pipelines_dir=str(here))
    with (
        pytest.raises(
            ConfigError, match=rf"^the destination's {missing} must be set, under \[destination.{destination}.cred"
        ),
        translated(),
    ):
        pipeline.destination_client()


@pytest.mark.parametrize("spelled", ["~/.sync.hauser", "file:own/.sync.hauser", "link//.sync.hauser"])
def test_a_checkpoint_is_found_under_all_spellings(here, spelled):
    (here / "own" / ".sync.hauser").write_text("2026-01-31T00:00:00Z\r\n", "utf-8-sig")
    assert read_text(spelled) == "2026-01-31T00:00:00Z\n"


@pytest.mark.parametrize("folder", ["out/a%20b", "~/out", "out/#1", "out//x/"])
def test_the_folder_of_hausers_configuration_is_the_same(here, monkeypatch, folder):
    (path := here / "hauser.toml").write_text(f'Provider = "local"\n[local]\nSaveDir = "{folder}"\n')
    monkeypatch.setenv("FULLSTORY_API_TOKEN", "na1.key")
    configure({}, read_hauser_toml(path).settings)
    assert adapter_for(read_run(), read_source()).place == Path(folder).expanduser().absolute().as_uri()
    assert [local_path(place(p)) for p in read_run().hauser_sync_file] == [
        Path(folder).expanduser().absolute() / ".sync.hauser"
    ]
