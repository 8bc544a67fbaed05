"""Capabilities of a destination: resolved once, and those of dlt."""

import dlt
import pytest
from dlt.common.schema import Schema

from hauser_dlt.destinations.capabilities import resolve_once


@pytest.mark.parametrize("kind", ["duckdb", "postgres", "filesystem"])
def test_settings_are_looked_up_once_for_capabilities_and_anew_for_each_client(kind, monkeypatch):
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "/nowhere")
    expected = getattr(dlt.destinations, kind)().capabilities()
    destination = getattr(dlt.destinations, kind)(credentials="duckdb:///x" if kind == "duckdb" else None)
    resolve, asked = destination.configuration, []
    destination.configuration = lambda *a, **named: asked.append(named) or resolve(*a, **named)

    resolve_once(destination)
    found = [destination.capabilities(naming=Schema("fullstory").naming) for _ in range(3)]

    assert asked == [{"accept_partial": True}]
    assert {caps.preferred_loader_file_format for caps in found} == {expected.preferred_loader_file_format}
    assert {caps.max_identifier_length for caps in found} == {expected.max_identifier_length}
    found[0].preferred_loader_file_format = "csv"  # dlt changes what it gets
    assert destination.capabilities().preferred_loader_file_format == expected.preferred_loader_file_format
    if kind != "postgres":  # which has no credentials here
        destination.configuration(destination.spec()._bind_dataset_name(dataset_name="events"))
        assert asked == [{"accept_partial": True}, {}]
