"""An engine for clusters that we did not write, Sail, answers from lakehouse tables what DuckDB does from its own.

Sail runs Spark's SQL, and has an environment of its own (`make slow`); sqlglot translates the cookbook's recipes.
"""

import json
import re
import subprocess
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlglot

from hauser_dlt.simulator import Account, Simulator
from support.destinations import MIDNIGHT, Target
from support.doc_runner import ROOT, blocks
from support.runs import Runs

PAGE = ROOT / "docs" / "cookbook.md"
SAIL = ROOT / ".venv-sail" / "bin" / "python"
SECTIONS = ("Visits", "Frustration")
DAY = timedelta(days=1)
NOW = MIDNIGHT + 4 * DAY
REFUSED = 2  # Sail 0.7.2 orders by no aggregate that is not selected
EXACT = {
    r"EXTRACT\(EPOCH FROM (.*) - (.*\))\)": r"(unix_micros(\1) - unix_micros(\2)) / 1e6",
    r"percentile_cont\((.*?)\) WITHIN GROUP \(ORDER BY (.*?)\)": r"percentile(\2, \1)",
    r"3600000.0": "3.6e6",
    r"100.0": "1e2",
}

pytestmark = pytest.mark.slow


@pytest.fixture
def sim():
    with Simulator(Account(events_per_hour=20, zeros=True, shared_ids=True)) as simulator:
        yield simulator


def recipes():
    """Return the SQL of the sections, by what stands above it."""
    lines, found = PAGE.read_text().split("\n"), {}
    for block in blocks(PAGE):
        above = lines[: block.line - 1]
        section = next((line[3:] for line in reversed(above) if line.startswith("## ")), "")
        if block.language == "sql" and not block.not_run and section in SECTIONS:
            found[next(line for line in reversed(above) if line)] = block.text
    return found


def in_spark(sql):
    """Translate a recipe. Spark's seconds of an interval are whole, its means of decimals have four digits."""
    for pattern, exact in EXACT.items():
        sql = re.sub(pattern, exact, sql)
    return sqlglot.transpile(sql, read="duckdb", write="spark")[0]


def plain(value):
    if isinstance(value, int | float | Decimal):
        return float(f"{value:.9g}")
    return value if value is None else str(value).removesuffix("+00:00")


@pytest.mark.parametrize("target", ["delta", "iceberg"], indirect=True)
def test_sail_answers_as_duckdb_does(runs, sim, tmp_path):
    (tmp_path / "duckdb").mkdir()
    beside = Runs(sim, Target("duckdb", tmp_path / "duckdb", "fs_beside"), tmp_path / "beside")
    for each in (runs, beside):
        each.load(NOW)
        each.reload(NOW, MIDNIGHT, MIDNIGHT + DAY)
    if not SAIL.exists():
        pytest.fail("there is no Sail in .venv-sail; `make slow` installs it")
    queries = {name: in_spark(sql) for name, sql in recipes().items()}
    asked = {"format": runs.target.kind, "place": f"{runs.target.out}/fs_export", "queries": queries}
    command = [SAIL, ROOT / "tests" / "support" / "ask_sail.py"]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    refused = {name: answers.pop(name) for name, answer in list(answers.items()) if isinstance(answer, str)}
    assert len(refused) == REFUSED, refused
    assert len(answers) == 10
    for name in answers:
        found = [list(map(plain, row.values())) for row in beside.target.query(recipes()[name])]
        assert answers[name] == found, name
