"""README and the pages of docs/ as programs: what their blocks say is done, top to bottom, in one folder.

`sh` is run by bash, `python` by Python, and `sql` by DuckDB on the newest database in the folder; a page that has
loaded nothing itself is given one. `toml`, `yaml`, `ini` and `json` must be what they say. `text` is for people. A
comment on the line above a fence says what else there is to know of a block:

* `<!-- file: NAME -->`: it is a file of that name, and not run by itself,
* `<!-- not run: reason -->`: it is only shown,
* `<!-- output: of what -->`: the last program that was run has printed it, but for numbers, spaces and `...`.
"""

import configparser
import json
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PATIENCE = 300  # seconds that a block may take

Ask = Callable[[str], object]

_FENCE = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<mark>file|not run|output): (?P<said>[^\n]+) -->\n *)?"
    r"(?P<fence>```+)(?P<language>\w*)\n(?P<text>.*?)^ *(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it begins, what it is, and what the comment above it says."""

    page: Path
    line: int
    language: str
    text: str
    file: str = ""
    not_run: str = ""
    output: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    text = page.read_text()
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start("fence")) + 1
        said = {found["mark"].replace(" ", "_"): found["said"]} if found["mark"] else {}
        yield Block(page, line, found["language"], textwrap.dedent(found["text"]), **said)


def prose(page: Path) -> str:
    """Return a page without its blocks."""
    return _FENCE.sub("", page.read_text())


def code(page: Path) -> list[str]:
    """Return the commands of a page: the lines of its blocks for the shell, and what stands in backticks."""
    text = "".join(block.text for block in blocks(page) if block.language == "sh").replace("\\\n", " ")
    return [*text.splitlines(), *re.findall(r"`([^`]+)`", prose(page))]


def run(page: Path, folder: Path, environ: Mapping[str, str], ask: Ask | None = None) -> None:
    """Do what a page says, in an empty folder.

    Args:
        ask: takes DuckDB's place.

    Raises:
        AssertionError: names the block, and says what came of it.
    """
    printed = ""
    ask = ask or (lambda sql: query(sql, database(folder, environ)))
    for block in blocks(page):
        try:
            if block.output:
                assert is_like(block.text, printed), f"it was not this that was printed, but\n{printed}"
            else:
                printed = _do(block, folder, environ, ask) or printed
        except Exception as exc:  # noqa: BLE001 - whatever it is, the page is to blame
            raise AssertionError(f"{block.place}: {exc}\n{getattr(exc, 'output', None) or ''}") from None


def is_like(shown: str, printed: str) -> bool:
    """Tell whether a page shows what was printed; a line of `...` stands for any lines."""
    lines = _without_chance(shown).splitlines()
    pattern = "".join(r"(?:.*\n)*" if line == "..." else f"{re.escape(line)}\n" for line in lines)
    return re.fullmatch(pattern, _without_chance(printed)) is not None


def _without_chance(text: str) -> str:
    """Return an output without what differs from run to run: numbers, widths, and the signs of a day in a calendar."""
    text = re.sub(r"^\w{3} \d{4}-\d\d-\d\d  .*$", "a day", text, flags=re.MULTILINE)
    text = re.sub(r"\d(?:[\d.,:-]*\d)?", "0", text)
    return re.sub(r"[ \t]+", "", re.sub(r"─+", "─", text))


def _do(block: Block, folder: Path, environ: Mapping[str, str], ask: Ask) -> str:
    """Return what a block has printed, if it is a program."""
    if block.language not in (*_READERS, *_PROGRAMS, "sql", "text") and not (block.file or block.not_run):
        raise ValueError(f"a block of {block.language or 'no language'}, with which nothing is done")
    if read := _READERS.get(block.language):
        read(block.text)
    if block.file:
        path = folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
    elif block.language in _PROGRAMS and not block.not_run:
        return command([*_PROGRAMS[block.language], block.text], folder, environ)
    elif block.language == "sql" and not block.not_run:
        ask(block.text)
    return ""


def command(program: list[str], folder: Path, environ: Mapping[str, str]) -> str:
    """Return what a program shows.

    Raises:
        CalledProcessError: it fails; `output` is all that it has shown.
    """
    return subprocess.run(
        program,
        cwd=folder,
        env=environ,
        timeout=PATIENCE,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ).stdout


def database(folder: Path, environ: Mapping[str, str]) -> Path:
    """Return the newest DuckDB file of a folder; where there is none, one is loaded."""
    if not list(folder.rglob("*.duckdb")):
        command(["hauser-dlt", "run"], folder, environ)
    return max(folder.rglob("*.duckdb"), key=lambda path: path.stat().st_mtime)


def query(sql: str, path: Path) -> list[tuple[object, ...]]:
    """Return the rows of the last statement; tables are looked for in the schema `fullstory`, too."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET search_path = 'fullstory,main'")
        return connection.execute(sql).fetchall()


def _ini(text: str) -> None:
    configparser.RawConfigParser(strict=False, allow_no_value=True).read_string(text)


_READERS: dict[str, Callable[[str], object]] = {
    "toml": tomllib.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "json": json.loads,
    "ini": _ini,
}
_PROGRAMS = {"sh": ["bash", "-euc"], "python": [sys.executable, "-c"]}
