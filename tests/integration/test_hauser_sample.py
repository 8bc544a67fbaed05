"""A sample export of the shape of FullStory's own, and the cells that hauser makes of it in its three kinds of tables.

`hauser_sample/` holds the events of two days, and a table for each kind: one that hauser made, one of the old
generation, and one with a user's own column. They were written by hand-made code that knows nothing of hauser-dlt, with
NULL as nothing and "" as a pair of quotes. What hauser alters (newlines, `null`, lists) stands there unaltered.
"""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hauser_dlt.simulator import Simulator
from support.destinations import LOAD_ID, ROW_WINDOW, csv_rows, in_order
from support.hauser_tables import HAUSERS, make_tables
from support.shell import Shell

SAMPLE = Path(__file__).with_name("hauser_sample")
EVENTS = json.loads((SAMPLE / "events.json").read_bytes())
START = datetime(2021, 3, 4, tzinfo=UTC)
DAY = timedelta(days=1)
SPAN = ("--start", "2021-03-04", "--end", "2021-03-07")
CONFIG = """
FsApiToken = "hausers-key"
{api}
{more}
[local]
SaveDir = "saved"
"""
APIS = {
    "segment_export": 'ApiURL = "{sim.url}"\nProvider = "local"',
    "data_export": 'ExportURL = "{sim.export_url}"\nWarehouse = "local"',
}
BOOKKEEPING = (LOAD_ID, ROW_WINDOW)


def events(start, end, *, old_names=False):
    for event in EVENTS:
        if start <= datetime.fromisoformat(event["EventStart"]) < end:
            yield {"PageAgent" if old_names and name == "PageUserAgent" else name: v for name, v in event.items()}


@pytest.fixture
def shell(tmp_path):
    with Simulator(token="hausers-key") as sim:
        sim.now, sim.since, sim.bundle, sim.downloads = START + 9 * DAY, START, DAY, None
        shell = Shell(tmp_path, sim)
        shell.environ = {k: v for k, v in shell.environ.items() if not k.startswith(("FULLSTORY", "SOURCES"))}
        yield shell


def load(shell, api, more="", **environ):
    shell.sim.events = lambda start, end: events(start, end, old_names=api == "data_export")
    config = CONFIG.format(api=APIS[api].format(sim=shell.sim), more=more)
    (shell.folder / "hauser.toml").write_text(config)
    shell("run", "-c", "hauser.toml", *SPAN, **environ)
    return sorted((shell.folder / "saved" / "fs_export").glob("*"))


def cells(kind):
    return list(csv_rows(SAMPLE / f"{kind}-table.csv"))


def bare(rows):
    return in_order({name: value for name, value in row.items() if name not in BOOKKEEPING} for row in rows)


@pytest.mark.parametrize("more", ['ExportDuration = "24h"', 'GroupFilesByDay = true\nExportDuration = "12h"'])
def test_files_of_segment_exports_have_hausers_cells(shell, more):
    files = load(shell, "segment_export", more)

    assert [path.name[:15] for path in files] == ["20210304T000000", "20210306T000000"]  # none for a quiet day
    assert bare(row for path in files for row in csv_rows(path)) == bare(cells("new"))


def test_files_of_legacy_bundles_have_hausers_cells_and_the_selectors_that_only_old_tables_had(shell):
    files = load(shell, "data_export")

    tokens = [{"EventTargetSelectorTok": row.get("EventTargetSelectorTok")} for row in EVENTS]
    expected = [row | {k: v for k, v in more.items() if v} for row, more in zip(cells("new"), tokens, strict=True)]
    assert bare(row for path in files for row in csv_rows(path)) == bare(expected)


def test_files_of_json_hold_fullstorys_own_rows(shell):
    files = load(shell, "segment_export", 'SaveAsJson = true\nExportDuration = "24h"')

    asked = [{k: v for k, v in event.items() if k != "EventTargetSelectorTok"} for event in EVENTS]
    assert [json.loads(line) for path in files for line in path.read_bytes().splitlines()] == asked


@pytest.mark.parametrize(
    ("target", "api"), [("duckdb", "data_export"), ("postgres", "segment_export")], indirect=["target"]
)
@pytest.mark.parametrize("kind", ["old", "user"])
def test_tables_that_hauser_has_made_get_hausers_cells(shell, target, api, kind):
    with (SAMPLE / f"{kind}-table.csv").open(newline="") as file:
        header = next(csv.reader(file))
    columns = [f"{name} {HAUSERS.get(name, 'TEXT')}" for name in header]
    sync = "ID BIGINT, Processed TIMESTAMP, BundleEndTime TIMESTAMP"
    make_tables(target, f"CREATE TABLE fs_export ({', '.join(columns)})", f"CREATE TABLE fs_sync ({sync})")
    credentials = {f"DESTINATION__{target.kind.upper()}__CREDENTIALS": target.dsn or str(target.database)}

    load(shell, api, HAUSER__DESTINATION=target.kind, HAUSER__DATASET_NAME=target.dataset, **credentials)

    names = [f'"{name}"' if target.kind == "duckdb" else f'{name} AS "{name}"' for name in header]
    assert bare(_in_utc(target.query(f"SELECT {', '.join(names)} FROM fs_export"))) == bare(cells(kind))
    assert [name.lower() for name in target.columns()][: len(header)] == [name.lower() for name in header]


def _in_utc(rows):
    for row in rows:
        yield {name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for name, value in row.items()}
