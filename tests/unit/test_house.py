"""The house keeps its own rules: floors, public names, documents that say what the code says."""

import ast
import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest

import hauser_dlt
from hauser_dlt import cli
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.source.fullstory import fullstory
from support import settings_docs

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hauser_dlt"

# A module may import from its own floor and from those below.
FLOORS = [
    {"errors"},
    {
        "windows",
        "fields",
        "machine",
        "network",
        "redaction",
        "streams",
        "shutdown",
        "error_codes",
        "error_mapping",
        "dlt_internals",
    },
    {"records"},
    {"config"},
    {"exports"},
    {"conversion", "ledger"},
    {"destinations"},
    {"source"},
    {"sync"},
    {"reports", "dbt", "demo"},
    {"api"},
    {"cli", "__main__", "__init__"},
]


def floor_of(module: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if module in names)


def imported(path: Path) -> set[str]:
    """Return the modules and sub-packages of ours that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hauser_dlt":
            parts = (node.module or "").split(".")[1:]
            names |= {parts[0]} if parts else {alias.name for alias in node.names}
    return names


def modules() -> list[tuple[str, Path]]:
    return [
        (path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path)
        for path in sorted(PACKAGE.rglob("*.py"))
        if "simulator" not in path.parts
    ]


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: getattr(value, "name", value))
def test_imports_point_down_only(module, path):
    for name in imported(path) - {module, "simulator"}:
        if (PACKAGE / name).exists() or (PACKAGE / f"{name}.py").exists():
            assert floor_of(name) <= floor_of(module), f"{module} imports {name}"


def test_the_map_of_the_house_is_true():
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", (ROOT / "docs" / "contributing.md").read_text(), re.MULTILINE)
    mapped = {int(number): set(re.findall(r"`(\w+)`", names)) for number, names in rows}
    assert mapped == {number: names - {"__main__", "__init__"} for number, names in enumerate(FLOORS)}


def test_the_simulator_stands_apart():
    for path in (PACKAGE / "simulator").glob("*.py"):
        assert imported(path) <= {"simulator"}


def test_only_the_demo_and_tests_use_the_simulator():
    assert {module for module, path in modules() if "simulator" in imported(path)} == {"demo"}


def test_the_public_names_are_sorted_and_there():
    assert hauser_dlt.__all__ == sorted(hauser_dlt.__all__)
    assert all(getattr(hauser_dlt, name) for name in hauser_dlt.__all__)


def test_each_setting_of_the_source_is_an_argument_with_the_same_default():
    arguments = {name: argument.default for name, argument in inspect.signature(fullstory).parameters.items()}
    assert arguments.pop("end_time") == ""
    assert arguments == {f.name: f.metadata["default"] for f in fields(SourceSettings)}


def test_no_setting_has_two_homes():
    assert not {f.name for f in fields(SourceSettings)} & {f.name for f in fields(RunSettings)}


@pytest.mark.parametrize(
    ("path", "text"), settings_docs.documents().items(), ids=lambda value: getattr(value, "name", "")
)
def test_documents_say_what_the_settings_say(path, text):
    assert path.read_text() == text, "run `make docs`"


@pytest.mark.parametrize("name", sorted(cli.main.commands))
def test_each_command_is_explained_shown_and_in_the_readme(name):
    command = cli.main.commands[name]
    assert "Example:" in (command.help or "")
    assert f"| `hauser-dlt {name}` |" in (ROOT / "README.md").read_text()


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def test_the_readme_names_no_option_that_is_not_there():
    known = {option for command in cli.main.commands.values() for p in command.params for option in p.opts}
    assert options_in((ROOT / "README.md").read_text()) - known - {"--help"} == set()


def test_the_readme_promises_only_targets_that_make_has():
    promised = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= promised
    assert promised <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_help_imports_nothing_heavy():
    code = "import sys; from hauser_dlt.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not {"dlt", "pyarrow", "requests", "duckdb", "sqlglot", "orjson", "tomlkit"} & set(
        out.splitlines()[-1].split()
    )


def test_every_command_has_help_of_its_own():
    for name, command in cli.main.commands.items():
        with click.Context(command, info_name=name) as context:
            assert "--help" in command.get_help(context)


def test_no_file_names_a_registry_or_a_folder_of_a_machine():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    pattern = re.compile(r"(?:pypi\.org|pythonhosted|registry\.npmjs)|/(?:root|home)/\w")
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        text = (ROOT / name).read_text(errors="replace") if (ROOT / name).is_file() else ""
        assert name == "tests/unit/test_house.py" or not pattern.search(text), name
