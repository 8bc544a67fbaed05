"""Tables that the Go hauser has made, of either generation, and the fields that only some of them have."""

import duckdb
import pytest
from targets import HOUR, MIDNIGHT

NOW = MIDNIGHT + 30 * HOUR  # one window has settled
TOKENS = ".no%2Djs div .home%2Dfeatures"


def click(start, **more):
    return {
        "EventStart": start.isoformat(),
        "EventType": "click",
        "EventTargetSelector": "div.home-features",
        "EventTargetSelectorTok": TOKENS,
        **more,
    }


def make(target, *statements):
    """Make a schema and tables on DuckDB."""
    with duckdb.connect(str(target.database)) as connection:
        for statement in (f'CREATE SCHEMA "{target.dataset}"', f'USE "{target.dataset}"', *statements):
            connection.execute(statement)


def selectors(runs):
    return [(row.get("EventTargetSelector"), row.get("EventTargetSelectorTok")) for row in runs.target.rows()]


@pytest.mark.parametrize(
    ("columns", "settings", "found"),
    [
        ('"EventTargetSelectorTok" VARCHAR', {}, ("div.home-features", TOKENS)),
        ('"EventTargetSelectorTok" VARCHAR', {"drop_fields": ["*Tok"]}, ("div.home-features", None)),
        ('"EventType" VARCHAR', {}, ("div.home-features", None)),
        ('"EventType" VARCHAR', {"include_selector_tokens": True}, ("div.home-features", TOKENS)),
    ],
)
def test_selectors_in_tokens_are_asked_for_where_the_table_or_a_setting_has_them(runs, columns, settings, found):
    runs.sim.events = lambda start, end: [click(start)]
    make(runs.target, f'CREATE TABLE "fs_export" ({columns})')

    runs.load(NOW, fields="known", **settings)

    assert selectors(runs) == [found]

    bodies = [request.json() for request in runs.sim.requests if request.path == "/segments/v1/exports"]
    assert ["EventTargetSelectorTok" in body["fields"] for body in bodies] == [found[1] is not None]


@pytest.mark.parametrize("new_fields", ["columns", "custom_vars"])
def test_selectors_in_tokens_of_legacy_bundles_are_a_field_like_any_that_comes_unasked(runs, new_fields):
    runs.sim.events = lambda start, end: [
        click(start),
        {"EventStart": start.isoformat(), "EventTargetSelectorTok": "a"},
    ]
    runs.sim.now, runs.sim.since, runs.sim.bundle, runs.sim.downloads = NOW, MIDNIGHT, 6 * HOUR, None

    runs.load(
        NOW,
        api="data_export",
        base_url=runs.sim.export_url,
        new_fields=new_fields,
        end=MIDNIGHT + 6 * HOUR,
        start=MIDNIGHT,
    )

    kept = [row["CustomVars"] for row in runs.target.rows()]
    if new_fields == "columns":
        assert sorted(selectors(runs), key=str) == [("div.home-features", TOKENS), (None, "a")]
        assert kept == ["{}", "{}"]
    else:
        assert sorted(selectors(runs), key=str) == [("div.home-features", None), (None, None)]
        assert kept == [f'{{"EventTargetSelectorTok":"{TOKENS}"}}', '{"EventTargetSelectorTok":"a"}']
