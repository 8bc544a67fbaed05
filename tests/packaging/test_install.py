"""Wheel and source archive, and the wheel in other people's environments."""

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from hauser_dlt.cli import main
from support.clean_venv import ROOT, Environment, built

PROJECT = """\
import dlt
from hauser_dlt import fullstory

pipeline = dlt.pipeline("theirs", destination="duckdb", dataset_name="product")
pipeline.run(fullstory())
with pipeline.sql_client() as client:
    print(client.execute_sql("SELECT count(*) FROM fs_export")[0][0])
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    return built(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory, wheels):
    """An environment where somebody has said `pip install hauser-dlt`."""
    folder = tmp_path_factory.mktemp("stranger")
    environment = Environment.made(folder / "venv", wheels)
    done = environment.run("python", "-m", "pip", "install", "hauser-dlt", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return environment


def test_wheel_and_source_pass_twine(wheels):
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *wheels.iterdir()], check=True)


def test_the_wheel_holds_the_package_and_its_licence_and_the_source_all_that_tests_need(wheels):
    (wheel,), (source,) = wheels.glob("*.whl"), wheels.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"hauser_dlt"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "hauser_dlt/py.typed" in names

    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        assert set(listed.stdout.splitlines()) - inside <= {".ci/run"}
    assert not [name for name in inside if name.endswith((".duckdb", "secrets.toml")) and "example" not in name]


def test_what_is_declared_suffices_for_the_command(stranger, tmp_path):
    assert stranger.run("python", "-m", "pip", "check", cwd=tmp_path).stdout == "No broken requirements found.\n"
    assert "Load FullStory's events" in stranger.run("hauser-dlt", "--help", cwd=tmp_path).stdout

    shown = stranger.run("hauser-dlt", "demo", "--days", "1", "--events-per-hour", "20", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "The most frustrating pages" in shown.stdout


def test_what_is_declared_suffices_for_a_foreign_dlt_project(stranger, sim, tmp_path):
    (tmp_path / "theirs.py").write_text(PROJECT)
    settings = {
        "FULLSTORY_API_TOKEN": sim.token,
        "SOURCES__FULLSTORY__BASE_URL": sim.url,
        "SOURCES__FULLSTORY__START_TIME": (datetime.now(UTC) - timedelta(hours=27)).isoformat(),
    }
    done = stranger.run("python", "theirs.py", cwd=tmp_path, **settings)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == sum(1 for start, end in sim.created() for _ in sim.account.events(start, end))


def test_a_destination_whose_driver_is_missing_is_named_with_what_to_install(stranger, sim, tmp_path):
    settings = {"FULLSTORY_API_TOKEN": sim.token, "SOURCES__FULLSTORY__BASE_URL": sim.url}
    done = stranger.run("hauser-dlt", "run", "--destination", "postgres", cwd=tmp_path, **settings)

    said = "destination = 'postgres': its driver is not installed (no psycopg2); pip install 'hauser-dlt[postgres]'"
    assert (done.returncode, done.stderr) == (2, f"Error: {said}\n")


class TestTheDockerfile:
    """It is linted by hadolint and not built here; what it names must be there."""

    TEXT = (ROOT / "Dockerfile").read_text()

    def lines(self, instruction):
        logical = self.TEXT.replace("\\\n", " ").splitlines()
        return [line.split(maxsplit=1)[1] for line in logical if line.startswith(f"{instruction} ")]

    def test_copies_what_is_in_the_checkout_and_let_through(self):
        let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
        copied = {name for line in self.lines("COPY") if "--from" not in line for name in line.split()[:-1]}
        assert copied == let_through
        assert all((ROOT / name).exists() for name in copied)
        assert "secrets.toml" not in " ".join(copied)

    def test_holds_all_that_the_build_needs(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        copied = " ".join(self.lines("COPY")).split()
        assert {project["readme"], *project["license-files"], "hauser_dlt", "pyproject.toml"} <= set(copied)

    def test_installs_extras_and_starts_a_command_that_are_there(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        (extras,) = re.findall(r"'\.\[(.*)\]'", self.TEXT)
        assert set(extras.split(",")) == set(project["optional-dependencies"])
        assert set(json.loads(*self.lines("ENTRYPOINT"))) == set(project["scripts"])
        assert json.loads(*self.lines("CMD"))[0] in main.commands

    def test_runs_as_a_numbered_user_that_is_not_root_and_holds_no_secret(self):
        (user,) = self.lines("USER")
        assert int(user) > 0
        assert f"--uid {user}" in self.TEXT
        assert not re.search(r"token|secret|password|^ARG", self.TEXT, re.IGNORECASE | re.MULTILINE)
