"""README and docs/: what they tell people to do works, what they name is there, and what is there they name.

The cookbook has tests of its own.
"""

import os
import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg2
import pytest

from hauser_dlt import cli
from hauser_dlt.config.hauser_keys import KEYS
from hauser_dlt.config.names import KINDS
from hauser_dlt.reports.text import LABELS, SYMBOLS
from hauser_dlt.simulator import Account, Simulator
from support import doc_runner
from support.dbt import HOME as DBT
from support.doc_runner import PAGES, ROOT, blocks, code, prose
from support.matrix_steps import STEPS
from support.snowflake import SnowflakeTarget, key_pair

KEY = "..."  # what people are shown in the place of their key, this FullStory takes
OF_DLT = {"bucket_url", "dlthub_telemetry", "end_time"}
SETTINGS = {declared.name for kind in KINDS for declared in fields(kind)}


@dataclass(frozen=True)
class Place:
    """What a page finds that speaks of more than this machine, and what it must leave.

    Attributes:
        environ: by which commands find the emulators.
        ask: takes the page's SQL.
    """

    environ: dict[str, str] = field(default_factory=dict)
    ask: doc_runner.Ask | None = None
    expect: Callable[[], None] = lambda: None


def files(places):
    s3, gcs = places("s3"), places("gcs")
    s3.make_bucket("my-bucket")
    gcs.make_bucket("my-bucket")
    return Place(s3.environ() | gcs.environ())


def azure(places):
    az = places("az")
    az.make_bucket("my-container")
    return Place(az.environ())


def redshift(places, bucket="my-staging"):
    s3, at = places("s3"), places("redshift_server")
    at.roles["arn:aws:iam::123456789012:role/redshift-copy"] = (s3.access_key, s3.secret_key)
    s3.make_bucket(bucket)
    keys = {f"DESTINATION__FILESYSTEM__CREDENTIALS__{name.upper()}": key for name, key in s3.credentials().items()}
    return Place(keys | {"DESTINATION__REDSHIFT__CREDENTIALS": at.dsn()}, partial(in_redshift, at))


def in_redshift(at, sql):
    connection = psycopg2.connect(at.dsn())
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def hausers(places):
    """A Redshift with what the Go hauser has loaded; it must be found as it was, after the way back."""
    place = redshift(places, "my-hauser-bucket")
    until = datetime.now(UTC).replace(tzinfo=None, minute=0, second=0, microsecond=0) - timedelta(hours=26)
    for statement in (
        "CREATE SCHEMA hauser",
        "CREATE TABLE hauser.fs_export (eventstart TIMESTAMP, eventtype VARCHAR(MAX), customvars VARCHAR(MAX))",
        "CREATE TABLE hauser.fs_sync (id INTEGER, processed TIMESTAMP, bundleendtime TIMESTAMP)",
        f"INSERT INTO hauser.fs_export VALUES (TIMESTAMP '{until}' - INTERVAL '1 second', 'click', '{{}}')",
        f"INSERT INTO hauser.fs_sync VALUES (-1, '{until}', '{until}')",
    ):
        place.ask(statement)

    def expect():
        assert place.ask("SELECT eventtype, customvars FROM hauser.fs_export") == [("click", "{}")]
        assert place.ask("SELECT id, bundleendtime FROM hauser.fs_sync") == [(-1, until)]
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'hauser' ORDER BY 1"
        assert place.ask(tables) == [("fs_export",), ("fs_sync",)]

    return replace(place, expect=expect)


def bigquery(places):
    at, gcs = places("bigquery"), places("gcs")
    environ = at.environ() | gcs.environ() | {"DESTINATION__BIGQUERY__PROJECT_ID": at.project}
    return Place(environ, lambda sql: list(at.client().query_and_wait(sql)))


def snowflake(places):
    at, key = places("snowflake_server"), places("tmp_path") / "hauser_loader.p8"
    private, at.public_key = key_pair("...")
    key.write_text(private)
    where = f"host=127.0.0.1&port={at.port}&protocol=http&warehouse={at.warehouse or ''}&role={at.role}"
    dsn = f"snowflake://{at.user}@emulated/{at.database}?{where}"
    target = SnowflakeTarget("snowflake", Path(), "fullstory", server=at)
    credentials = {"DESTINATION__SNOWFLAKE__CREDENTIALS": dsn}
    return Place(credentials | {"DESTINATION__SNOWFLAKE__CREDENTIALS__PRIVATE_KEY_PATH": str(key)}, target.query)


def in_postgres(places):
    """A database of its own: the page loads into the schema that is named in settings by default."""
    server = places("server")
    dsn = f"{server.dsn().rpartition('/')[0]}/choosing"
    run_in(server.dsn(), "CREATE DATABASE choosing")
    return Place({"DESTINATION__POSTGRES__CREDENTIALS": dsn}, partial(run_in, dsn))


def run_in(dsn, sql):
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


PLACES = {
    "azure.md": azure,
    "bigquery.md": bigquery,
    "choosing.md": in_postgres,
    "files.md": files,
    "migrating-from-hauser.md": hausers,
    "redshift.md": redshift,
    "snowflake.md": snowflake,
}


def shown(page):
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=shown)


@pytest.fixture
def environ(tmp_path, programs):
    """What a page's commands find: a FullStory with a few hours that are ready, a home and programs of their own."""
    home = tmp_path / "home"
    home.mkdir()
    start = (datetime.now(UTC) - timedelta(hours=27)).replace(minute=0, second=0, microsecond=0)
    with Simulator(Account(events_per_hour=100), token=KEY) as simulator:
        yield {
            **os.environ,
            "HOME": str(home),
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}:{DBT / 'bin'}",
            "PIP_NO_INDEX": "1",  # what a page installs is there already
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_QUIET": "1",
            "PYTHONPATH": "",
            "FULLSTORY_API_TOKEN": simulator.token,
            "SOURCES__FULLSTORY__BASE_URL": simulator.url,
            "SOURCES__FULLSTORY__START_TIME": start.isoformat(),
        }


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "cookbook.md"], ids=shown)
def test_what_a_page_says_works(page, environ, request, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    place = PLACES.get(page.name, lambda _: Place())(request.getfixturevalue)
    doc_runner.run(page, folder, environ | place.environ, place.ask)
    place.expect()


@each_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), f"{target}: there is no such file"
            assert there.is_relative_to(ROOT)
            assert not anchor or anchor in anchors(there), f"{target}: there is no such heading"


def anchors(page):
    """The names that headings get on GitHub."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_commands_and_options_that_a_page_names_are_there(page):
    for line in code(page):
        for name, rest in re.findall(r"(?:^|[\s/])hauser-dlt ([a-z]+)\b([^#|;&]*)", line):
            assert name in cli.main.commands, line
            known = {option for param in cli.main.commands[name].params for option in param.opts} | {"--help"}
            assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest)) <= known, line


@each_page
def test_settings_that_a_page_names_are_there(page):
    text = page.read_text()
    named = {name.lower() for name in re.findall(r"\b(?:SOURCES__FULLSTORY|HAUSER)__([A-Z_]+)\b", text)}
    named |= set(re.findall(r"(?:--set|-s) ([a-z_]+)=", text))
    for block in blocks(page):
        if block.language == "toml":
            written = tomllib.loads(block.text)
            named |= {*written.get("hauser", {}), *written.get("sources", {}).get("fullstory", {})}
    named |= {name for line in code(page) for name in re.findall(r"^([a-z_]+) = (?:[\"{\[\d]|true|false)", line)}
    assert named <= SETTINGS | OF_DLT


@pytest.mark.parametrize("name", sorted(cli.main.commands))
def test_each_command_is_shown_on_a_page(name):
    shown = [block.text for page in PAGES for block in blocks(page) if block.language == "sh"]
    assert any(re.search(rf"\bhauser-dlt {name}\b", text) for text in shown)


@each_page
def test_extras_that_a_page_names_are_there(page):
    named = {extra for line in code(page) for extra in re.findall(r"(?:'\.|hauser-dlt)\[(\w+)\]", line)}
    assert named <= set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


@each_page
def test_the_first_line_of_a_page_says_whom_it_serves(page):
    _, _, below_the_title = page.read_text().partition("\n\n")
    assert page.name == "README.md" or below_the_title.startswith("For "), below_the_title[:80]


def test_outputs_are_like_each_other_but_for_numbers_and_spaces():
    assert doc_runner.is_like("1 window\n...\nend: 7.5 s\n", "2  window\nany\nline\nend: 12 s\n")
    assert not doc_runner.is_like("1 window\nend\n", "1 window\nof another\nend\n")
    assert not doc_runner.is_like("1 window\n", "1 windows\n")


@each_page
def test_files_of_ours_that_a_page_names_are_there(page):
    for name in re.findall(r"`((?:hauser_dlt|tests|fuzz|pipelines|docs|benchmarks)/[\w./-]*[\w/])", page.read_text()):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(?:tests/)?(test_\w+\.py)`", page.read_text()):
        assert list((ROOT / "tests").rglob(name)), name


def test_the_steps_at_which_runs_are_killed_are_listed():
    page = (ROOT / "docs" / "guarantees.md").read_text()
    listed = [
        re.findall("`([^`]+)`", row) for row in re.findall(r"^\| [\w ,]+ \| (`normalize`.*) \|$", page, re.MULTILINE)
    ]
    assert listed == [list(steps) for steps in STEPS.values()]


def test_the_symbols_of_the_day_grid_are_explained_as_status_draws_them():
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert "  ".join(f"{SYMBOLS[state]} {label}" for state, label in LABELS.items()) in page
    for label in LABELS.values():
        assert f"| {label} |" in page


def test_each_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", index.read_text()))
    assert listed == {page.name for page in PAGES} - {"README.md"}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.label)
def test_each_key_of_hauser_is_in_the_table_for_those_who_move_over(key):
    page = ROOT / "docs" / "migrating-from-hauser.md"
    rows = re.findall(r"^\| `(.+?)` \| (.*?) \|", page.read_text(), re.MULTILINE)
    ((_, path),) = [row for row in rows if row[0] == key.label]
    assert not key.to or path == f"`{key.to}`"
