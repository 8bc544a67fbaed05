"""Each setting means the same wherever it stands: command line, environment, `.dlt/`, hauser's TOML, an argument."""

import inspect
import json
import math
import re
from contextlib import nullcontext
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
import tomlkit
from dlt.common.configuration import resolve_configuration
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from hauser_dlt.cli.options import put_setting
from hauser_dlt.config import field_parsers, parsers, reading, webhook_parsers
from hauser_dlt.config.configuration import configure, read_configuration, read_source
from hauser_dlt.config.hauser_keys import KEYS
from hauser_dlt.config.hauser_toml import read_hauser_toml
from hauser_dlt.config.names import KINDS, RUN, SOURCE
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import CUSTOM_TOKENS, DECLARABLE, KNOWN
from hauser_dlt.source import arguments
from hauser_dlt.source.fullstory import fullstory

DECLARED = {declared.name: (kind.section, declared) for kind in KINDS for declared in fields(kind)}
HIDDEN = {name for name, (_, declared) in DECLARED.items() if declared.metadata["hide"]}
KEY = "na1.key"
TABLES = ("export_table", "sync_table", "individuals_table", "segments_table")

# Values that may be set, as TOML or Python spells them


def words(pattern):
    return st.from_regex(pattern, fullmatch=True)


VARIABLES = words(r"(user|evt|page)_[a-z]{1,5}(\.[a-z]{1,5})?_(str|int)")
DURATIONS = st.sampled_from(["90s", "1h30m", ".5h", "1.5h", "500ms", "2\u00b5s", "2\u03bcs", "0", "720h", "1d", " 1h "])
GOOD = {
    parsers.secret: words(r"(na1|eu1)\.[A-Za-z0-9+/]{4,20}={0,2}"),
    parsers.segment_id: words(r"[A-Za-z0-9][A-Za-z0-9_-]{0,12}")
    | st.sampled_from(["123", "true", "null", "1e5", "0x1"]),
    parsers.url: st.sampled_from(["", "https://api.eu1.fullstory.com", "HTTPS://x.example/v1/", "http://127.0.0.1:80"]),
    field_parsers.field_list: st.sampled_from(["known", "default"])
    | st.lists(st.sampled_from([*KNOWN, *CUSTOM_TOKENS]) | VARIABLES, max_size=4).map(
        lambda found: ["EventStart", *found]
    ),
    field_parsers.typed_fields: st.dictionaries(
        words("Event[A-Z][a-z]{2,6}Xyz"), st.sampled_from(DECLARABLE), max_size=3
    )
    | st.lists(words("Page[A-Z][a-z]{2,6}Xyz"), max_size=3, unique_by=str.lower),
    field_parsers.custom_columns: st.dictionaries(VARIABLES, st.sampled_from(DECLARABLE), max_size=3).filter(
        lambda found: len({name.replace(".", "_") for name in found}) == len(found)
    ),
    field_parsers.variable_patterns: st.lists(words(r"secret_[a-z ,.\xe4*?%]{0,8}z"), max_size=3),
    field_parsers.field_patterns: st.lists(words(r"Req[A-Za-z*?]{0,6}z"), max_size=3),
    parsers.headers: st.dictionaries(words("X-[a-z.]{1,8}"), words(r"[a-z\"'%{} ]{0,10}"), max_size=3),
    webhook_parsers.address: st.sampled_from(["", "http://alerts:9093/x", "https://me:pw@example.com:8443/a?key=b#c"]),
    webhook_parsers.tags: st.dictionaries(
        words("[a-z.]{1,8}"), words(r"[a-z\"'%{} ]{0,10}") | st.integers(), max_size=3
    ),
    parsers.flag: st.booleans() | st.sampled_from(["true", "False", " TRUE "]),
    parsers.by_day: st.booleans() | st.sampled_from(["auto", "true"]),
    parsers.at_once: st.integers(1, 64) | st.sampled_from(["auto", "8"]),
    parsers.size: st.sampled_from(["auto", "20 GB", "1.5gb", " 512MiB ", "1000 kb"]),
    parsers.moment: st.sampled_from(["", "2026-01-31", "2026-01-31T06:00:00Z", "2026-01-31 06:00:00.000001+05:30"])
    | st.dates(date(2001, 1, 1), date(2099, 1, 1))
    | st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.none() | st.just(UTC)),
    parsers.duration: DURATIONS,
    parsers.export_delay: st.sampled_from(["1h", "3h30m", "36h", "1d"]),
    parsers.export_duration: st.sampled_from(["15m", "1h", "1.5h", "0.25h", "24h", "1d"]),
    parsers.name: words("[a-z]x(_?[A-Za-z0-9]){0,20}"),
    parsers.places: words(r"[!-#%-9;-\[\]a-z]{1,8}z") | st.lists(words(r"(s3://b/)?[a-z \xe4%]{1,8}z"), max_size=3),
    parsers.folder: words(r"[a-z \xe4%/.]{0,8}"),
    parsers.text: st.text(st.characters(categories=["L", "N", "S"], codec="utf-8"), max_size=8),
}

# ... and what cannot be meant
ODD = (None, math.nan, 1.5, [[]], "a\x00b", "a\nb", {"a": {"b": 1}})
BAD = {
    parsers.secret: (*ODD, "", 5, "two words", "<your key>", "k\u00e9y"),
    parsers.segment_id: (*ODD, "", 123, True, "two words", "a/b", "../x", "a?b", "a%20b", "a#b"),
    parsers.url: (*ODD, 5, "api.fullstory.com", "http://api.fullstory.com", "https://me:pw@x.example", "https://x/?q"),
    field_parsers.field_list: (
        *ODD,
        "",
        [],
        ["PageUrl"],
        ["EventStart", "no name"],
        ["EventStart", "Pageurl"],
        "EventStart,,",
        ["EventStart", "evt_a", "EVT_A"],
        ["EventStart", "*"],
        ["EventStart", "user*"],
        {"EventStart": "text"},
        '["EventStart"',
    ),
    field_parsers.typed_fields: (
        *ODD,
        "EventFoo",
        {"EventFoo": "varchar"},
        {"Event Foo": "int"},
        {"EventFoo": "int", "EVENTFOO": "int"},
        {"PageUrl": "int"},
        {"pageurl": "text"},
        {"CustomVars": "text"},
        {"_dlt_x": "int"},
        ["a-b"],
        '{"EventFoo": "int", "EventFoo": "int"}',
    ),
    field_parsers.custom_columns: (
        *ODD,
        ["user_a"],
        {"user_a": "json"},
        {"a.b": "int", "a_b": "int"},
        {"PageUrl": "text"},
        {"": "int"},
    ),
    field_parsers.variable_patterns: (*ODD, [""], [5], '["user_a"', "['user_a']"),
    field_parsers.field_patterns: (*ODD, [""], [5], ["Page Url"], '["PageUrl"', "['PageUrl']"),
    parsers.headers: (
        *ODD,
        ["X"],
        {"X": 5},
        {"X y": "z"},
        {"Host": "z"},
        {"X": "a\r\nb"},
        {"X": "1", "x": "2"},
        {"X": "\u00e9"},
    ),
    webhook_parsers.address: (*ODD, 5, "example.com", "ftp://x", "https://", "https://x:0", "https://x/a b"),
    webhook_parsers.tags: (*ODD[:-1], ["x"], {"x": ["y"]}, {"x": None}, '{"x": "y"'),
    parsers.flag: (*ODD, "", "yes", "1", 1, 0, "on"),
    parsers.by_day: (*ODD[1:], "", "yes", 1),
    parsers.at_once: (*ODD[1:], "", 0, 65, -1, "many", 1.5, True),
    parsers.size: (*ODD[1:], "", "20", 20, "1 GBit", "-1 GB", "999 KB", "\uff11 GB", True),
    parsers.moment: (*ODD, "soon", "2026-13-01", "06:00:00", 20260131, "1999-12-31", "99999-01-01", True, "2026-01"),
    parsers.duration: (*ODD, "", "1", 30, "-1h", "1h-5m", "1 h", "1y", "\uff11h", "9999999h", True, timedelta(-1)),
    parsers.name: (*ODD, "", 5, True, "a.b", "a b", "1st", "_dlt_loads", "_hauser_x", "a__b", "a_", "\u00e4", "a" * 64),
    parsers.places: (*ODD, 5, [5], True),
    parsers.folder: (*ODD, 5, True, "~nobody-of-this-name/x"),
    parsers.text: (*ODD, 5, True, ["a"], date(2026, 1, 1)),
}


def inner(declared):
    return inspect.getclosurevars(declared.metadata["parse"]).nonlocals


def good(declared):
    """Return a strategy of values that a setting may have; a new kind of setting needs a line in `GOOD`."""
    read = declared.metadata["parse"]
    made = {
        "between.<locals>.whole": lambda least=0, most=0, **_: st.integers(least, most),
        "one_of.<locals>.choice": lambda choices=(), **_: st.sampled_from(choices),
        "bounded.<locals>.read": lambda least=timedelta(0), **_: st.sampled_from(["5s", "1h30m", "1.5h"]).filter(
            lambda text: parsers.duration(text) >= least
        ),
    }
    return GOOD[read] if read in GOOD else made[read.__qualname__](**inner(declared))


def bad(declared):
    read = declared.metadata["parse"]
    made = {
        "between.<locals>.whole": lambda least=0, most=0, **_: (
            *ODD,
            "",
            least - 1,
            most + 1,
            True,
            "1.0",
            "\u0663",
            "1_0",
        ),
        "one_of.<locals>.choice": lambda **_: (*ODD, 5, "nothing", True),
        "bounded.<locals>.read": lambda **_: (
            *BAD[parsers.duration],
            "36500d" if declared.name != "export_delay" else "59m",
        ),
    }
    found = BAD[parsers.duration] if read is parsers.export_duration else BAD.get(read)
    return found or made[read.__qualname__](**inner(declared))


def meant(name, value):
    return DECLARED[name][1].metadata["parse"](value)


# The sources


def spelled(value):
    """Return how the environment and the command line, which know text only, spell a value."""
    if isinstance(value, str):
        return value
    return value.isoformat() if isinstance(value, date) else json.dumps(value)


def document(values):
    nested = {}
    for name, value in values.items():
        place = nested
        for section in DECLARED[name][0]:
            place = place.setdefault(section, {})
        place[name] = value
    return nested


def from_environment(values, folder, monkeypatch):
    for name, value in values.items():
        monkeypatch.setenv("__".join((*DECLARED[name][0], name)).upper(), spelled(value))
    configure({})


def from_command_line(values, folder, monkeypatch):
    options = {}
    for name, value in values.items():
        short = name if DECLARED[name][0] in (SOURCE, RUN) else ".".join((*DECLARED[name][0], name))
        put_setting(options, short, spelled(value))
    configure(options)


def from_config_toml(values, folder, monkeypatch):
    (folder / ".dlt" / "config.toml").write_text(tomlkit.dumps(document(values)), "utf-8")
    configure({})


def from_secrets_toml_of_windows(values, folder, monkeypatch):
    text = tomlkit.dumps(document(values)).replace("\n", "\r\n")
    (folder / ".dlt" / "secrets.toml").write_text(text, "utf-8-sig", newline="")
    configure({})


PLACES = (from_environment, from_command_line, from_config_toml, from_secrets_toml_of_windows)
MINDFUL = hypothesis(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    """A folder that examples share, one after another."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / ".dlt").mkdir()
    return folder


def read_from(place, values, folder):
    """Return all settings while some values stand in a place, and those that dlt hands over to the source."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        for file in (folder / ".dlt").iterdir():
            file.unlink()
        if "api_token" not in values or place is from_command_line:
            monkeypatch.setenv("FULLSTORY_API_TOKEN", KEY)
        place({name: value for name, value in values.items() if value is not None}, folder, monkeypatch)
        handed = resolve_configuration(fullstory.ref.SPEC(), sections=(*SOURCE, "fullstory"))
        return read_configuration(), reading.read(SourceSettings, partial(arguments.found, dict(handed)))


def setting_of(config, name):
    parts = (config.source, config.run, config.redshift, config.bigquery, config.snowflake)
    kinds = {settings.section: settings for settings in parts}
    return getattr(kinds[DECLARED[name][0]], name)


def everything():
    """Return a strategy of values for all settings at once that agree with each other."""
    some = st.fixed_dictionaries({name: good(declared) for name, (_, declared) in DECLARED.items()})
    return some.map(
        lambda found: (
            found | {name: f"{name}_{found[name][-9:].lstrip('_')}" for name in TABLES} | {"file_format": "csv"}
        )
    )


@pytest.mark.parametrize("place", PLACES)
@MINDFUL
@given(values=everything())
def test_all_settings_mean_the_same_in_all_places(place, values, folder):
    if place is from_command_line:
        values = {name: value for name, value in values.items() if name not in HIDDEN}

    config, embedded = read_from(place, values, folder)

    expected = {name: meant(name, value) for name, value in values.items()}
    assert {name: setting_of(config, name) for name in values} == expected
    assert {name: getattr(embedded, name) for name in values if DECLARED[name][0] == SOURCE} == {
        name: value for name, value in expected.items() if DECLARED[name][0] == SOURCE
    }


@MINDFUL
@given(values=everything())
def test_arguments_mean_the_same_as_settings(values):
    given = {name: value for name, value in values.items() if DECLARED[name][0] == SOURCE}
    as_python = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    times = {name: meant(name, value) for name, value in given.items()}
    as_python |= {name: time for name, time in times.items() if isinstance(time, timedelta | datetime)}
    read = reading.read(SourceSettings, partial(arguments.found, as_python))
    assert {name: getattr(read, name) for name in given} == {name: meant(name, value) for name, value in given.items()}


MAPPED = {
    key.to.rpartition(".")[2]: key.label
    for key in KEYS
    if key.to.startswith(("sources.", "hauser.")) and not key.section
}


@MINDFUL
@given(values=everything())
def test_settings_mean_the_same_in_hausers_toml(values, folder):
    mapped = {name: values[name] for name in MAPPED if name != "group_by_day"} | {"group_by_day": values["segments"]}
    keys = {MAPPED[name]: value for name, value in mapped.items()}
    keys["AdditionalHttpHeader"] = [{"Key": key, "Value": value} for key, value in values["http_headers"].items()]
    (path := folder / "hauser.toml").write_text(tomlkit.dumps({"Provider": "local", **keys, "local": {"SaveDir": "x"}}))

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("FULLSTORY_API_TOKEN", raising=False)
        configure({}, read_hauser_toml(path).settings)
        config = read_configuration()

    found = {name: setting_of(config, name) for name in mapped}
    assert found == {name: meant(name, value) for name, value in mapped.items()}


@pytest.mark.parametrize("name", DECLARED)
def test_what_cannot_be_meant_is_refused(name):
    for value in bad(DECLARED[name][1]):
        for one in (value, spelled(value)) if stays_wrong(name, value) else (value,):
            line = complaint(name, one)
            assert line.startswith(f"{called(name)} "), (name, one, line)
            assert line.isprintable()


def called(name):
    """Return how messages call a setting."""
    path = DECLARED[name][0]
    return name if path in (SOURCE, RUN) else f"[{'.'.join(path)}] {name}"


def complaint(name, value):
    """Return what is said of a wrong value."""
    given = {"api_token": (KEY, ""), name: (value, "a test")}
    try:
        reading.read(next(kind for kind in KINDS if kind.section == DECLARED[name][0]), given.get)
    except ConfigError as exc:
        return str(exc)
    return f"{name!r} was taken"


def stays_wrong(name, value):
    """Tell whether a wrong value is wrong as text, too: 123 is no text, but "123" is."""
    return isinstance(value, dict | list) and DECLARED[name][1].metadata["parse"] not in (
        parsers.folder,
        parsers.secret,
        parsers.text,
    )


def anywhere(name, value):
    """Tell whether a wrong value can stand in all places, and is wrong there."""
    return "\x00" not in str(value) and (isinstance(value, str) or stays_wrong(name, value))


WRONG = [(name, value) for name, (_, each) in DECLARED.items() for value in bad(each) if anywhere(name, value)]


@pytest.mark.parametrize("place", PLACES)
@hypothesis(MINDFUL, max_examples=40)
@given(wrong=st.sampled_from(WRONG))
@example(wrong=("base_url", "https://me:pw@x.example"))
def test_a_wrong_value_is_refused_in_all_places_with_its_name(place, wrong, folder):
    name, value = wrong
    if place is from_command_line and name in HIDDEN:
        return  # refused there, whatever it is
    says = rf"{re.escape(called(name))} (= |is missing)"
    if place is from_command_line:  # where passwords are refused before anything else
        says = rf"({says}|--set {name}: what stands on the command line)"
    with pytest.raises(ConfigError, match=f"^{says}"):
        read_from(place, {name: value}, folder)


def test_names_in_a_table_may_be_set_one_by_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULLSTORY_API_TOKEN", KEY)
    options = {}
    put_setting(options, "custom_columns.evt_order.id_str", "text")
    put_setting(options, "sources.fullstory.custom_columns.user_plan_str", "text")
    configure(options)
    assert read_source().custom_columns == {"evt_order.id_str": "text", "user_plan_str": "text"}


@pytest.mark.parametrize(
    "name", ["http_headers.X", "sources.fullstory.http_headers.X", "x", "a..b", ".x", "segment_id."]
)
def test_what_cannot_be_set_on_the_command_line_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULLSTORY_API_TOKEN", KEY)
    with pytest.raises(ConfigError, match=r"^(--set |segment_id = )"):
        put_and_read(name)


def put_and_read(name):
    options = {}
    put_setting(options, name, "x")
    configure(options)
    read_source()


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("include_selector_tokens", "true", False),
        ("custom_columns", '{"user_token_str": "text"}', False),
        ("sources.fullstory.custom_columns.user_password_str", "text", False),
        ("base_url", "https://me:pw@x.example", True),
        ("destination.postgres.credentials.password", "x", True),
        ("sources.fullstory.api_token", "x", True),
    ],
)
def test_of_our_own_settings_only_a_value_can_be_a_secret_by_its_looks(name, value, hidden):
    refused = pytest.raises(ConfigError, match="what stands on the command line, others can read")
    with refused if hidden else nullcontext():
        put_setting({}, name, value)


def test_a_setting_cannot_have_a_value_and_settings_below_it():
    options = {}
    put_setting(options, "custom_columns", "{}")
    with pytest.raises(ConfigError, match=r"^--set custom_columns.x: custom_columns has got a value already"):
        put_setting(options, "custom_columns.x", "text")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            '[hauser]\ndestinaton = "x"',
            "destinaton (from config.toml) is not a setting; did you mean [hauser] d",
        ),
        ('[hauser]\nsegment_id = "x"', "did you mean [sources.fullstory] segment_id?"),
        ('[sources.fullstory]\nDestination = "x"', "see .dlt/config.toml for all settings"),
        ("[hauser]\nvarcharmax = 9", "did you mean [destination.redshift] varchar_max?"),
        ("[hausr]\nvarchar_max = 9", "did you mean [destination.redshift] varchar_max?"),
        ("varchar_max = 9", "did you mean [destination.redshift] varchar_max?"),
        ("[redshift]\nvarchar_max = 9", "did you mean [destination.redshift] varchar_max?"),
        ("[sources.fullstory]\nvarchar_max = 9", "did you mean [destination.redshift] varchar_max?"),
        ("[destination.redshift]\nvarchar_maximum = 9", "did you mean [destination.redshift] varchar_max?"),
        ("[destination.bigquery]\nvarchar_max = 9", "did you mean [destination.redshift] varchar_max?"),
        (
            '[destination.bigquery]\npartition_expiry = "9h"',
            "did you mean [destination.bigquery] partition_expiration?",
        ),
        ('[hauser_dlt.hauser]\npartition-expiration = "9h"', "mean [hauser_dlt.destination.bigquery] partition_exp"),
        ('[sources.fullstory]\ndestination = "x"', "did you mean [hauser] destination?"),
        ('[sources.fullstory.fullstory]\nsegmentid = "x"', "did you mean [sources.fullstory.fullstory] segment_id?"),
        ('[source.fullstory]\nsegment_id = "x"', "did you mean [sources.fullstory] segment_id?"),
        ('[Sources.FullStory]\nsegment_id = "x"', "did you mean [sources.fullstory] segment_id?"),
        ('[sources.full_story]\nsegment_id = "x"', "did you mean [sources.fullstory] segment_id?"),
        ('[fullstory]\nsegment_id = "x"', "did you mean [sources.fullstory] segment_id?"),
        ('[hauser_dlt]\ndestination = "x"', "did you mean [hauser] destination?"),
        ('[hauser_dlt.hauser]\ndestinaton = "x"', "did you mean [hauser_dlt.hauser] destination?"),
        ('[destinations.duckdb]\ncredentials = "x"', "did you mean [destination.duckdb] credentials?"),
        ('[destination.duckdb]\ncredential = "x"', "did you mean [destination.duckdb] credentials?"),
        ('[destination.postgres]\nCredentials.user = "x"', "did you mean [destination.postgres.credentials] user?"),
        ('[destination.filesystem]\nbucket-url = "x"', "did you mean [destination.filesystem] bucket_url?"),
        ('destination = "x"', "destination (from config.toml) is not a setting; did you mean [hauser] destination?"),
        ('export_delay = "3h"', "did you mean [sources.fullstory] export_delay?"),
        ("hauser = 5", "hauser (from config.toml) is not a setting"),
    ],
)
def test_a_name_in_a_file_that_nobody_would_read_is_refused_with_what_was_meant(written, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(written)

    with pytest.raises(ConfigError) as refused:
        configure({})

    assert meant in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("HAUSER__DESTINATON", "HAUSER__DESTINATION"),
        ("HAUSER__SEGMENT_ID", "SOURCES__FULLSTORY__SEGMENT_ID"),
        ("SOURCES__FULLSTORY__SEGMENTID", "SOURCES__FULLSTORY__SEGMENT_ID"),
        ("SOURCE__FULLSTORY__SEGMENT_ID", "SOURCES__FULLSTORY__SEGMENT_ID"),
        ("FULLSTORY__SEGMENT_ID", "SOURCES__FULLSTORY__SEGMENT_ID"),
        ("HAUSER_DESTINATION", "HAUSER__DESTINATION"),
        ("SOURCES__FULLSTORY_SEGMENT_ID", "SOURCES__FULLSTORY__SEGMENT_ID"),
        ("hauser__destination", "HAUSER__DESTINATION"),
        ("HAUSER_DLT__HAUSER__DESTINATON", "HAUSER_DLT__HAUSER__DESTINATION"),
        ("DESTINATIONS__DUCKDB__CREDENTIALS", "DESTINATION__DUCKDB__CREDENTIALS"),
        ("DESTINATION__DUCKDB__CREDENTIAL", "DESTINATION__DUCKDB__CREDENTIALS"),
        ("HAUSER_VARCHAR_MAX", "DESTINATION__REDSHIFT__VARCHAR_MAX"),
        ("HAUSER__VARCHARMAX", "DESTINATION__REDSHIFT__VARCHAR_MAX"),
        ("DESTINATION_REDSHIFT_VARCHAR_MAX", "DESTINATION__REDSHIFT__VARCHAR_MAX"),
        ("DESTINATION__REDSHIFT__VARCHARMAX", "DESTINATION__REDSHIFT__VARCHAR_MAX"),
        ("DESTINATION__BIGQUERY__PARTITION_EXPIRY", "DESTINATION__BIGQUERY__PARTITION_EXPIRATION"),
    ],
)
def test_a_variable_that_nobody_would_read_is_refused_with_what_was_meant(variable, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "secret-value")

    with pytest.raises(ConfigError) as refused:
        configure({})

    assert str(refused.value).startswith(f"{variable} (from the environment) is not a setting; did you mean {meant}?")


def test_names_of_other_tools_are_let_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(
        'dataset_name = "x"\n'
        '[sources]\nsegment_id = "x"\n[sources.hubspot]\nx = 1\n[source]\ntype = "a"\n[hauser_dlt.destination.duckdb]\n'
        'x = 1\n[house]\nx = 1\n[sources.fullstory.extra_fields]\nEventFoo = "int"\n[sources.fullstory.schema]\nx = 1\n'
    )
    for name in ("HAUSER_PORT", "SOURCE__TYPE", "SOURCES__HUBSPOT__X", "HAUSER", "DESTINATIONS__A__B", "__A__", "a__b"):
        monkeypatch.setenv(name, "x")

    configure({})
