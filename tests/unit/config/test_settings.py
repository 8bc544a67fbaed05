"""Settings: what is spelled -> what is meant; what is wrong is said in one line."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauser_dlt.config import reading
from hauser_dlt.config.names import KINDS
from hauser_dlt.config.parsers import duration, export_duration, moment, size
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ConfigError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
DECLARED = [(kind, declared) for kind in KINDS for declared in fields(kind)]


def read(**given):
    return reading.read(SourceSettings, lambda name: (given[name], "a test") if name in given else None)


def complaint(**given):
    with pytest.raises(ConfigError) as caught:
        read(**{"api_token": "key", **given})
    return str(caught.value)


def test_defaults_are_readable_and_typed():
    found = read(api_token="key")
    assert found.export_duration == timedelta(hours=1)
    assert found.export_delay == timedelta(hours=24)
    assert found.start_time is None
    assert reading.read(RunSettings, lambda name: None).group_by_day is None


@pytest.mark.parametrize(("kind", "declared"), DECLARED, ids=lambda value: getattr(value, "name", ""))
@given(value=JSON)
def test_no_value_at_all_leads_to_another_error_than_ours(kind, declared, value):
    try:
        reading.read(kind, lambda name: (value, "a test") if name == declared.name else ("key", ""))
    except ConfigError as exc:
        assert "\n" not in str(exc)


@given(hours=st.integers(0, 99), minutes=st.integers(0, 59), seconds=st.integers(0, 59), ms=st.integers(0, 999))
def test_durations_add_up(hours, minutes, seconds, ms):
    text = f"{hours}h{minutes}m{seconds}s{ms}ms"
    assert duration(text) == timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=ms)


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [("20 GB", 20 * 10**9), ("1.5gb", 1_500_000_000), ("512MiB", 512 << 20), ("1 TiB", 1 << 40), ("1000 KB", 10**6)],
)
def test_sizes_are_read_as_people_write_them(spelled, meant):
    assert size(spelled) == meant


@pytest.mark.parametrize(
    "spelled", ["", "20", 20, "20 GBit", "-1 GB", "1 KB", "0 GB", "1e3 GB", "9" * 10 + " TB", True]
)
def test_what_is_no_size_is_refused_with_what_is_one(spelled):
    with pytest.raises(ValueError, match="'auto', or a size such as '500 MB' or '20 GB', at least 1 MB"):
        size(spelled)


@given(minutes=st.integers(1, 3000))
def test_a_window_is_an_even_fraction_of_a_day(minutes):
    good = 15 <= minutes <= 1440 and 1440 % minutes == 0
    try:
        assert export_duration(f"{minutes}m") == timedelta(minutes=minutes)
    except ValueError:
        assert not good
    else:
        assert good


@given(st.datetimes(min_value=datetime(2000, 1, 2), max_value=datetime(2100, 1, 1)), st.integers(-14, 14))
def test_moments_are_utc_whatever_zone_they_name(naive, offset):
    there = naive.replace(tzinfo=timezone(timedelta(hours=offset)))
    assert moment(there.isoformat()) == there
    assert moment(there.isoformat()).tzinfo is UTC
    assert moment(naive.isoformat()) == naive.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("export_duration", "7h", "15m to 24h, an even fraction of 24h"),
        ("export_delay", "59m", "at least 1h"),
        ("start_time", "soon", "a date or time such as 2026-01-31"),
        ("api", "rest", "one of 'segment_export', 'data_export'"),
        ("base_url", "api.fullstory.com", "an address such as https://api.fullstory.com"),
        ("base_url", "http://api.fullstory.com", "an address such as https://api.fullstory.com"),
        ("base_url", "http://127.0.0.1.example.com", "an address such as https://api.fullstory.com"),
        ("fields", ["EventStart", 7], "'known', 'default', or a list of field names"),
        ("extra_fields", {"EventFoo": "varchar"}, "with types text, int, int32, float, bool, timestamp"),
        ("concurrent_exports", 0, "a whole number from 1 to 64"),
        ("include_mobile_fields", "yes", "true or false"),
        ("export_table", "public.events", "letters, digits and _"),
        ("backoff", "30", "a duration such as"),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_what_is_allowed(name, value, allowed):
    assert complaint(**{name: value}).startswith(f"{name} = {value!r} (from a test): allowed is ")
    assert allowed in complaint(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_token", "s3cret with blank"),
        ("http_headers", {"X": "s3cret\n"}),
        ("http_headers", {"Authorization": "s3cret"}),
        ("base_url", "https://me:s3cret@example.com"),
    ],
)
def test_no_complaint_shows_a_secret(name, value):
    assert f"{name} = (hidden) (from a test)" in complaint(**{name: value})
    assert "s3cret" not in complaint(**{name: value})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3:8080", "localhost", "[::1]:80"])
def test_only_on_this_machine_a_key_may_travel_in_clear(host):
    assert read(api_token="key", base_url=f"http://{host}").base_url == f"http://{host}"


def test_settings_do_not_show_their_secrets():
    assert "s3cret" not in repr(read(api_token="s3cret", http_headers={"X": "s3cret"}))


def test_tables_and_lists_may_be_spelled_as_json():
    found = read(
        api_token="key", extra_fields='{"EventFoo": "int"}', http_headers='{"X": "y"}', fields="EventStart, PageUrl"
    )
    assert found.extra_fields == {"EventFoo": "int"}
    assert found.http_headers == {"X": "y"}
    assert found.fields == ("EventStart", "PageUrl")
