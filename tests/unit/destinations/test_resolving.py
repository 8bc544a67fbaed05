"""Settings of a destination: looked up once for many clients, told apart, and kept no longer than needed."""

import dlt
import pytest
from dlt.common.schema import Schema

from hauser_dlt.destinations import resolving
from hauser_dlt.destinations.resolving import resolved_once


@pytest.fixture(autouse=True)
def somewhere(monkeypatch):
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "/nowhere")


def watched(kind, credentials=None):
    """Return a destination, and the list of the times when its settings are looked up."""
    destination = getattr(dlt.destinations, kind)(credentials=credentials)
    resolve, asked = destination.configuration, []
    destination.configuration = lambda *a, **named: asked.append(named) or resolve(*a, **named)
    return destination, asked


def initial(destination, dataset="events"):
    return destination.spec()._bind_dataset_name(dataset_name=dataset)


@pytest.mark.parametrize("kind", ["duckdb", "postgres", "filesystem"])
def test_settings_are_looked_up_once_for_capabilities(kind):
    expected = getattr(dlt.destinations, kind)().capabilities()
    destination, asked = watched(kind, "duckdb:///x" if kind == "duckdb" else None)

    with resolved_once(destination):
        found = [destination.capabilities(naming=Schema("fullstory").naming) for _ in range(3)]

        assert asked == [{"accept_partial": True}]
        assert {caps.preferred_loader_file_format for caps in found} == {expected.preferred_loader_file_format}
        assert {caps.max_identifier_length for caps in found} == {expected.max_identifier_length}
        found[0].preferred_loader_file_format = "csv"  # dlt changes what it gets
        assert destination.capabilities().preferred_loader_file_format == expected.preferred_loader_file_format


@pytest.mark.parametrize(("kind", "credentials"), [("duckdb", "x.duckdb"), ("postgres", "postgresql://u:p@h/d")])
def test_clients_of_one_dataset_share_settings_and_those_of_another_have_their_own(kind, credentials):
    destination, asked = watched(kind, credentials)

    with resolved_once(destination):
        first, second = (destination.configuration(initial(destination)) for _ in range(2))
        other = destination.configuration(initial(destination, "others"))

    assert first is second
    assert len(asked) == 2
    assert (first.dataset_name, other.dataset_name) == ("events", "others")


def test_clients_that_are_loaded_by_way_of_different_buckets_have_settings_of_their_own():
    destination, _ = watched("redshift", "postgresql://u:p@h/d")
    one, other = (dlt.destinations.filesystem(bucket_url=url) for url in ("/one", "/other"))

    with resolved_once(destination):
        found = []
        for staging in (one, other):
            given = initial(destination)
            given.staging_config = staging.configuration(initial(staging))
            found.append(destination.configuration(given))

    assert [config.staging_config.bucket_url for config in found] == ["file:///one", "file:///other"]


def test_what_is_known_for_a_minute_is_looked_up_again(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(resolving.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://u:first@h/d")
    destination, asked = watched("postgres")

    with resolved_once(destination):
        passwords = []
        for seconds, password in ((0.0, "first"), (59.0, "second"), (2.0, "third"), (59.0, "fourth")):
            now[0] += seconds
            monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", f"postgresql://u:{password}@h/d")
            passwords.append(destination.configuration(initial(destination)).credentials.password)

    assert passwords == ["first", "first", "third", "third"]
    assert len(asked) == 2


def test_nothing_is_remembered_afterwards(monkeypatch):
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://u:first@h/d")
    destination = dlt.destinations.postgres()

    with resolved_once(destination):
        destination.configuration(initial(destination))
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://u:second@h/d")

    assert destination.configuration(initial(destination)).credentials.password == "second"
    assert "configuration" not in vars(destination)


def test_each_destination_has_its_own(monkeypatch):
    one, other = (dlt.destinations.postgres(f"postgresql://u:{name}@h/d") for name in ("one", "other"))

    with resolved_once(one, other):
        found = [each.configuration(initial(each)).credentials.password for each in (one, other)]

    assert found == ["one", "other"]
