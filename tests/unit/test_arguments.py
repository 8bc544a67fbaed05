"""The arguments of `fullstory` are the settings of the source, as `inspect` and `help` show them."""

import inspect
import pydoc
import re
from dataclasses import fields
from datetime import datetime, timedelta

import pytest

from hauser_dlt import account, fullstory
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ConfigError

PARAMETERS = inspect.signature(fullstory).parameters
NAMES = [declared.name for declared in fields(SourceSettings)]


def test_arguments_stand_in_the_order_of_the_settings_and_the_end_follows_the_start():
    expected = NAMES.copy()
    expected.insert(NAMES.index("start_time") + 1, "end_time")
    assert list(PARAMETERS) == expected
    assert list(inspect.signature(account("other")).parameters) == expected


def test_an_argument_takes_what_is_meant_and_how_it_is_spelled():
    assert PARAMETERS["segment_id"].annotation is str | str
    assert PARAMETERS["export_delay"].annotation == str | timedelta
    assert PARAMETERS["end_time"].annotation == str | datetime | None
    assert PARAMETERS["drop_fields"].annotation == list[str] | tuple[str, ...]


@pytest.mark.parametrize("declared", fields(SourceSettings), ids=lambda declared: declared.name)
def test_help_explains_each_argument_with_its_default(declared):
    shown = " ".join(pydoc.plain(pydoc.render_doc(fullstory)).split())
    expected = f" {declared.name}: {declared.metadata['help']} Default: {declared.metadata['default']!r}."
    assert expected in shown


def test_help_explains_the_end_and_the_errors_too():
    shown = pydoc.plain(pydoc.render_doc(fullstory))
    assert re.search(r"Args:\n +api_token: ", shown)
    assert re.search(r"\n +end_time: with `start_time`, a backfill", shown)
    assert "Raises:" in shown


@pytest.mark.parametrize(
    ("arguments", "named", "line"),
    [
        (("key", "rest"), {}, "api = 'rest' (from argument"),
        (("key", "segment_export", "", "a b"), {}, "segment_id = 'a b' (from argument"),
        (("key",), {"max_retries": -1}, "max_retries = -1 (from argument"),
        ((), {"api_token": "key", "end_time": "soon"}, "end_time = 'soon' (from argument"),
        (
            (),
            {"api_token": "key", "start_time": "2026-01-02", "end_time": "2026-01-01"},
            "must lie after start_time",
        ),
    ],
)
def test_arguments_may_be_given_by_position_or_by_name(arguments, named, line, monkeypatch):
    monkeypatch.delenv("FULLSTORY_API_TOKEN", raising=False)
    with pytest.raises(ConfigError, match=re.escape(line)):
        fullstory(*arguments, **named)


def test_an_argument_that_is_none_is_refused():
    with pytest.raises(TypeError, match="nonsense"):
        fullstory(nonsense=1)
    with pytest.raises(TypeError, match=r"multiple values.*api_token"):
        fullstory("key", api_token="key")


def test_a_source_can_be_made_of_positional_arguments(monkeypatch):
    monkeypatch.delenv("FULLSTORY_API_TOKEN", raising=False)
    assert set(fullstory("key", "segment_export").resources) == {"fs_export", "fs_sync"}
    assert set(fullstory("key", segments=True, individuals=False).resources) == {"fs_export", "fs_sync", "fs_segments"}
