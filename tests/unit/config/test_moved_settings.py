"""Settings of destinations that stood under `[hauser]` in earlier versions: both places work, and the new one wins."""

import json

import pytest

from hauser_dlt.cli.options import put_setting
from hauser_dlt.config.configuration import configure, read_configuration, scoped
from hauser_dlt.config.init_files import config_text
from hauser_dlt.errors import ConfigError

MOVED = [
    ("varchar_max", "destination.redshift", 100, 200),
    ("partition_expiration", "destination.bigquery", "9h", "10h"),
]
each_setting = pytest.mark.parametrize(("name", "section", "old", "new"), MOVED)


def from_file(settings, folder, monkeypatch):
    tables = {}
    for path, value in settings.items():
        section, _, name = path.rpartition(".")
        tables.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
    (folder / ".dlt").mkdir()
    (folder / ".dlt" / "config.toml").write_text(
        "\n".join(f"[{section}]\n" + "\n".join(lines) for section, lines in tables.items())
    )
    configure({})
    return read_configuration(keyless=True)


def from_environment(settings, folder, monkeypatch):
    for path, value in settings.items():
        monkeypatch.setenv(path.replace(".", "__").upper(), str(value))
    configure({})
    return read_configuration(keyless=True)


def from_command_line(settings, folder, monkeypatch):
    options = {}
    for path, value in settings.items():
        put_setting(options, path, str(value))
    configure(options)
    return read_configuration(keyless=True)


def from_python(settings, folder, monkeypatch):
    with scoped(settings, keyless=True) as read:
        return read()


PLACES = (from_file, from_environment, from_command_line, from_python)
each_place = pytest.mark.parametrize("place", PLACES)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FULLSTORY_API_TOKEN", raising=False)


def value_of(config, section, name):
    value = getattr(getattr(config, section.rpartition(".")[2]), name)
    return value if isinstance(value, int) else f"{value.total_seconds() / 3600:g}h"


@each_setting
@each_place
def test_a_setting_stands_under_its_destination(place, name, section, old, new, tmp_path, monkeypatch):
    config = place({f"{section}.{name}": new}, tmp_path, monkeypatch)
    assert value_of(config, section, name) == new
    assert config.warnings == ()


@each_setting
@each_place
def test_the_former_place_still_works_with_a_warning(place, name, section, old, new, tmp_path, monkeypatch):
    config = place({f"hauser.{name}": old}, tmp_path, monkeypatch)
    assert value_of(config, section, name) == old
    (warning,) = config.warnings
    assert warning.startswith(f"[hauser] {name} (from ")
    assert warning.endswith(f" is deprecated: set [{section}] {name} instead")


@each_setting
@each_place
def test_of_two_places_the_new_one_wins_and_the_warning_says_so(place, name, section, old, new, tmp_path, monkeypatch):
    config = place({f"{section}.{name}": new, f"hauser.{name}": old}, tmp_path, monkeypatch)
    assert value_of(config, section, name) == new
    (warning,) = config.warnings
    assert warning.startswith(f"[hauser] {name} (from ")
    assert f" is ignored, since [{section}] {name} (from " in warning


@each_setting
def test_the_new_place_wins_even_where_it_is_weaker(name, section, old, new, tmp_path, monkeypatch):
    monkeypatch.setenv(f"HAUSER__{name}".upper(), str(old))
    config = from_file({f"{section}.{name}": new}, tmp_path, monkeypatch)
    assert value_of(config, section, name) == new


@each_setting
@pytest.mark.parametrize("place", [from_command_line, from_python])
def test_a_bare_name_is_that_of_the_former_place(place, name, section, old, new, tmp_path, monkeypatch):
    config = place({name: old}, tmp_path, monkeypatch)
    assert value_of(config, section, name) == old
    assert f"set [{section}] {name} instead" in config.warnings[0]


@each_setting
def test_what_stands_under_the_pipelines_name_wins(name, section, old, new, tmp_path, monkeypatch):
    config = from_file({f"hauser_dlt.{section}.{name}": new, f"{section}.{name}": old}, tmp_path, monkeypatch)
    assert value_of(config, section, name) == new


def test_a_destination_of_another_name_has_a_section_of_its_own(tmp_path, monkeypatch):
    settings = {"hauser.destination": "ours", "destination.ours.varchar_max": 5, "destination.redshift.varchar_max": 6}
    assert from_file(settings, tmp_path, monkeypatch).redshift.varchar_max == 5


@each_setting
@each_place
@pytest.mark.parametrize("former", [False, True])
def test_a_wrong_value_is_named_by_the_new_place(place, former, name, section, old, new, tmp_path, monkeypatch):
    with pytest.raises(ConfigError) as refused:
        place({f"{'hauser' if former else section}.{name}": "none"}, tmp_path, monkeypatch)
    line = str(refused.value)
    assert line.startswith(f"[{section}] {name} = 'none' (from ")
    assert (f", as [hauser] {name}): allowed is " in line) == former
    assert "\n" not in line


def test_init_writes_what_a_hauser_says_below_the_destination(tmp_path, monkeypatch):
    text = config_text({"destination": {"redshift": {"varchar_max": 500, "staging_iam_role": "arn:x"}}})
    assert text.count("[destination.redshift]") == 1
    section = text.partition("[destination.redshift]\n")[2].partition("[")[0]
    assert "\nvarchar_max = 500\n" in section
    assert 'staging_iam_role = "arn:x"' in section
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(text)
    configure({})
    assert read_configuration(keyless=True).redshift.varchar_max == 500
