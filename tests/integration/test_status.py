"""What is loaded, at a glance: facts, day grid, and what monitors are told."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from hauser_dlt.cli import main
from hauser_dlt.reports import text
from hauser_dlt.reports.day_grid import Day, IntervalState, State, day_grid
from hauser_dlt.reports.status import Status, as_document, status
from hauser_dlt.windows import Window
from support.destinations import HOUR, MIDNIGHT

DAY = timedelta(days=1)
STEP = 6 * HOUR
NOW = MIDNIGHT + 3 * DAY + STEP  # with the delay of a day, two days and a quarter have settled
SYMBOLS = "".join(text.SYMBOLS.values())

here_and_in_files = pytest.mark.parametrize("target", ["duckdb", "parquet"], indirect=True)


def inspect(runs, **options):
    with runs.sync() as sync:
        return status(sync, NOW, STEP, **options)


def symbols(day):
    return "".join(text.SYMBOLS[state] for state in day.hours)


def drawn(found, **options):
    return [click.unstyle(line) for line in text.as_lines(found, **options)]


def load(runs):
    """Load a day and three quarters, in two packages; the second window has no events."""
    runs.sim.events = lambda start, end: () if start == MIDNIGHT + STEP else runs.sim.account.events(start, end)
    runs.load(NOW, end=MIDNIGHT + DAY + 3 * STEP)


def add_row(target, start, end, load_id="1700000000.25"):
    """Have a load that is complete say that it has brought a window with 7 events."""
    if target.into_files:
        row = {"ID": 0, "Processed": NOW, "BundleStartTime": start, "BundleEndTime": end, "EventCount": 7}
        name = f"{start:%Y%m%dT%H%M%SZ}-{end:%Y%m%dT%H%M%SZ}.{load_id}.jsonl"
        (target.out / "fs_sync" / name).write_text(json.dumps(row | {"_dlt_load_id": load_id}, default=str) + "\n")
        (target.out / "_dlt_loads" / f"fullstory__{load_id}.jsonl").write_text("{}\n")
        return
    target.query(
        'INSERT INTO "fs_sync" ("Processed", "BundleStartTime", "BundleEndTime", "EventCount", "_dlt_load_id")'
        f" VALUES ('{NOW}', '{start}', '{end}', 7, '{load_id}')"
    )
    target.query(f"INSERT INTO \"_dlt_loads\" (load_id, status, inserted_at) VALUES ('{load_id}', 0, '{NOW}')")


@here_and_in_files
def test_the_day_grid_tells_loaded_empty_waiting_and_not_ready(runs):
    load(runs)
    found = inspect(runs)

    assert [f"{day.start:%d}" for day in found.days] == ["01", "02", "03", "04"]
    assert [symbols(day) for day in found.days] == [
        "■" * 6 + "□" * 6 + "■" * 12,
        "■" * 18 + ">" * 6,
        ">" * 6 + "·" * 18,
        "·" * 6 + " " * 18,
    ]
    rows = runs.target.sync()
    assert found.days[0].events == sum(row["EventCount"] for row in rows if row["BundleStartTime"] < MIDNIGHT + DAY) > 0
    assert sum(day.events for day in found.days) == found.events
    assert (found.empty, found.missing, found.duplicates) == (1, [], [])
    assert found.lag == NOW - MIDNIGHT - DAY - 3 * STEP
    document = json.loads(json.dumps(as_document(found)))
    assert [day["day"] for day in document["days"]] == ["2024-05-01", "2024-05-02", "2024-05-03", "2024-05-04"]
    assert document["days"][3]["hours"] == ["settling"] * 6 + ["none"] * 18
    assert document["as_of"] == "2024-05-04T06:00:00+00:00"


@here_and_in_files
def test_what_two_loads_have_brought_is_shown_and_reload_puts_it_right(runs):
    load(runs)
    add_row(runs.target, MIDNIGHT + 3 * HOUR, MIDNIGHT + 9 * HOUR)
    found = inspect(runs)

    assert found.duplicates == [Window(MIDNIGHT + 3 * HOUR, MIDNIGHT + 9 * HOUR)]
    assert symbols(found.days[0]) == "■■■222222□□□" + "■" * 12
    assert as_document(found)["days"][0]["hours"][2:9] == ["loaded"] + ["twice"] * 6
    assert "twice        2024-05-01 03:00 to 2024-05-01 09:00; hauser-dlt reload" in "\n".join(drawn(found))
    runs.reload(NOW, MIDNIGHT + 3 * HOUR, MIDNIGHT + 9 * HOUR)
    assert inspect(runs).duplicates == []
    runs.target.expect_order()


def test_windows_of_the_go_hauser_reach_back_to_its_row_before(runs):
    load(runs)
    target = runs.target
    for end in (MIDNIGHT - 3 * DAY, MIDNIGHT - 2 * DAY, MIDNIGHT):  # of two days before the last, it is not known
        target.query(f"""INSERT INTO "fs_sync" ("Processed", "BundleEndTime") VALUES ('{NOW}', '{end}')""")
    found = inspect(runs)

    assert [symbols(day) for day in found.days[:4]] == [" " * 23 + "■", "■" * 24, " " * 24, " " * 23 + "■"]
    assert found.days[0].start == MIDNIGHT - 4 * DAY
    assert (found.missing, found.duplicates) == ([], [])


def test_an_hour_has_the_worst_state_of_its_windows():
    quarter = HOUR / 4
    states = [State.EMPTY, State.LOADED, State.WAITING, State.LOADED]
    parts = [
        IntervalState(Window(MIDNIGHT + n * quarter, MIDNIGHT + (n + 1) * quarter), s, 5) for n, s in enumerate(states)
    ]
    (day,) = day_grid(parts, MIDNIGHT + HOUR, 30)

    assert symbols(day) == ">" + " " * 23
    assert day.events == 20
    assert sorted(State) == [State(n) for n in range(7)]
    assert State.DUPLICATE > State.MISSING > State.WAITING > State.SETTLING > State.LOADED > State.EMPTY


def test_only_the_last_days_are_drawn_and_none_before_anything_was_loaded():
    parts = [IntervalState(Window(MIDNIGHT - 9 * DAY, MIDNIGHT - 7 * DAY), State.LOADED, 1)]

    assert [day.start for day in day_grid(parts, MIDNIGHT + HOUR, 9)] == [MIDNIGHT - n * DAY for n in range(8, -1, -1)]
    assert [day.start for day in day_grid([], MIDNIGHT + HOUR, 9)] == [MIDNIGHT]


def of(days):
    return Status(NOW, "here", None, None, NOW, 0, 0, 0, [], [], [], 0, [], days)


@pytest.mark.parametrize("events", [0, 7, 123_456_789_012])
def test_days_fit_into_80_columns_and_their_bars_compare(events):
    full = [State.LOADED] * 24
    days = [
        Day(MIDNIGHT, events, full),
        Day(MIDNIGHT, 1, full),
        Day(MIDNIGHT, 0, full),
        Day(MIDNIGHT, events // 2, full),
    ]
    lines = drawn(of(days))[:6]

    assert max(map(len, lines)) <= 80
    most, one, none, half = (line.count("█") for line in lines[1:5])
    assert none == 0
    assert one >= 1
    assert abs(most - 2 * half) <= 1 or events < 8
    assert len({line.index("█") for line in lines[1:5] if "█" in line}) == 1


def test_the_symbols_differ_without_colours_and_in_ascii():
    assert len(set(SYMBOLS)) == len(text.SYMBOLS)
    day = Day(MIDNIGHT, 3, [State(n % 7) for n in range(24)])
    lines = drawn(of([day]), encoding="ascii")
    assert "".join(lines).isascii()
    row = lines[1][16:43].replace(" ", "")
    assert len(set(row)) == 6
    assert "=" in lines[1]


@pytest.fixture
def ask(runs, monkeypatch):
    """Ask for a status, by command, of what `runs` load."""
    for name, value in runs.nested()["sources"]["fullstory"].items():
        monkeypatch.setenv(f"SOURCES__FULLSTORY__{name}".upper(), str(value))
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(runs.target.database))
    monkeypatch.setenv("HAUSER__WORKING_DIR", str(runs.working_dir))
    monkeypatch.setenv("HAUSER__DATASET_NAME", runs.target.dataset)
    return lambda *arguments, **how: CliRunner().invoke(main, ["status", *arguments], **how)


def test_a_monitor_gets_exit_code_1_and_one_line_beside_what_there_is_to_see(runs, ask):
    load(runs)
    runs.target.query(f"""DELETE FROM "fs_sync" WHERE "BundleStartTime" = '{MIDNIGHT + 2 * STEP}'""")
    found = inspect(runs)
    assert found.missing == [Window(MIDNIGHT + 2 * STEP, MIDNIGHT + 3 * STEP)]
    assert symbols(found.days[0]) == "■" * 6 + "□" * 6 + "!" * 6 + "■" * 6

    late, missing = (
        r"the sync point is \d+ h \d+ min ago, and 3 h 0 min are allowed",
        "missing: 1 window: 2024-05-01 12:00 ",
    )
    for arguments, line in {
        (): None,
        ("--max-lag", "800000h"): None,
        ("--max-lag", "3h"): f"Error: {late}\n",
        ("--exact",): f"Error: {missing}to 2024-05-01 18:00\n",
        ("--max-lag", "3h", "--exact"): f"Error: {late}; {missing}to 2024-05-01 18:00\n",
    }.items():
        answer = ask("--json", *arguments)
        assert answer.exit_code == (1 if line else 0)
        assert re.fullmatch(line or "", answer.stderr)
        assert json.loads(answer.stdout)["missing"][0]["start"] == "2024-05-01T12:00:00+00:00"


def test_openmetrics_say_what_json_says(runs, ask):
    """Read by the parser of Prometheus' own client."""
    load(runs)
    runs.target.query(f"""DELETE FROM "fs_sync" WHERE "BundleStartTime" = '{MIDNIGHT + 2 * STEP}'""")
    add_row(runs.target, MIDNIGHT + 3 * HOUR, MIDNIGHT + 9 * HOUR)
    document = json.loads(ask("--json").stdout)
    answer = ask("--openmetrics", "--exact")

    assert answer.exit_code == 1
    assert answer.stdout.endswith("\n# EOF\n")
    metrics = {metric.name: metric for metric in text_string_to_metric_families(answer.stdout)}
    values = {}
    for name, metric in metrics.items():
        (sample,) = metric.samples
        assert sample.labels == {"pipeline": "hauser_dlt", "dataset": runs.target.dataset, "destination": "duckdb"}
        assert (metric.type, name.endswith(metric.unit), bool(metric.documentation)) == ("gauge", True, True)
        values[name.removeprefix("hauser_")] = sample.value

    lag = values.pop("lag_seconds")
    assert document["lag_seconds"] <= lag < document["lag_seconds"] + 300
    moments = {name: values.pop(f"{name}_timestamp_seconds") for name in ("status", "sync_point", "next_ready")}
    assert moments["sync_point"] == (MIDNIGHT + DAY + 3 * STEP).timestamp()
    assert lag == pytest.approx(moments["status"] - moments["sync_point"], abs=1)
    assert moments["next_ready"] == datetime.fromisoformat(document["next_ready"]).timestamp()
    processed = max(datetime.fromisoformat(each["processed"]) for each in document["last_loads"])
    assert values.pop("last_load_timestamp_seconds") == round(processed.timestamp(), 3)
    assert values == {
        "loaded_windows": document["windows"],
        "empty_windows": document["empty_windows"],
        "loaded_events": document["events"],
        "waiting_windows": len(document["waiting"]),
        "missing_windows": len(document["missing"]),
        "duplicate_intervals": len(document["twice"]),
        "incomplete_rows": document["incomplete_rows"],
        "problems": len(document["problems"]),
    }
    assert values["missing_windows"] == values["duplicate_intervals"] == 1
    page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    assert metrics.keys() == set(re.findall(r"\bhauser_(?!dlt)\w+", page))


def test_what_is_not_known_is_no_metric(ask):
    answer = ask("--openmetrics")
    assert answer.exit_code == 0
    found = {metric.name for metric in text_string_to_metric_families(answer.stdout)}
    assert (
        not {"hauser_lag_seconds", "hauser_sync_point_timestamp_seconds", "hauser_last_load_timestamp_seconds"} & found
    )
    assert "hauser_loaded_windows" in found
    assert ask("--openmetrics", "--json").exit_code == 2


def test_nothing_loaded_is_more_than_any_lag(ask):
    answer = ask("--max-lag", "800000h")
    assert (answer.exit_code, answer.stderr) == (1, "Error: nothing is loaded yet\n")
    answer = ask("--max-lag", "soon")
    assert answer.exit_code == 2
    assert "'soon': allowed is a duration such as 15m, 1h30m or 24h" in answer.stderr


def test_colours_are_for_terminals_that_want_them(ask, monkeypatch):
    assert "\x1b[" in ask("--days", "1", color=True).stdout
    assert "\x1b[" not in ask("--days", "1").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in ask("--days", "1", color=True).stdout
