"""Destinations of dlt's that have no tests of their own: which are refused, and what is generated for the others."""

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dlt
import pytest
import sqlglot
from dlt.common.destination import Destination
from dlt.destinations.sql_client import SqlClientBase

from hauser_dlt.config.reading import read
from hauser_dlt.config.run_settings import RunSettings
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.destinations import _ADAPTERS, adapter_for
from hauser_dlt.destinations.names import names_of
from hauser_dlt.destinations.refused import _T_SQL, _TIMES, REASONS
from hauser_dlt.errors import ConfigError
from hauser_dlt.fields import KNOWN
from hauser_dlt.ledger.sql import SqlLedger
from hauser_dlt.records.tables import Table, Tables
from hauser_dlt.windows import Window

ROOT = Path(__file__).parents[3]
TABLES = {"destination", "dummy"}  # which are none: functions of users, and dlt's own tests
UNTRIED = {"databricks", "motherduck"}
NOW = datetime(2024, 5, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def test_each_destination_of_dlts_is_one_of_ours_or_told_of_in_the_docs():
    theirs = {path.parent.name for path in Path(dlt.destinations.impl.__path__[0]).glob("*/factory.py")}
    told = dict(re.findall(r"^\| `(\w+)` \| (\w+)", (ROOT / "docs/other-destinations.md").read_text(), re.MULTILINE))

    assert {name for name, verdict in told.items() if verdict == "refused"} == set(REASONS)
    assert {name for name, verdict in told.items() if verdict == "accepted"} == UNTRIED
    assert theirs == (set(_ADAPTERS) | {"filesystem"} | set(told) | TABLES)


@pytest.mark.parametrize("destination", sorted(REASONS))
def test_what_cannot_be_exact_is_refused_before_a_driver_is_asked_for(destination):
    run = read(RunSettings, {"destination": (destination, "here")}.get)

    with pytest.raises(ConfigError) as told:
        adapter_for(run, _settings())

    assert f"{destination!r}: hauser-dlt cannot be exactly once there: {REASONS[destination]}; choose" in str(
        told.value
    )


def test_a_name_of_its_own_does_not_hide_what_is_refused(monkeypatch):
    monkeypatch.setenv("DESTINATION__LAKE__DESTINATION_TYPE", "clickhouse")
    with pytest.raises(ConfigError, match="'lake': hauser-dlt cannot be exactly once there: its joins"):
        adapter_for(read(RunSettings, {"destination": ("lake", "here")}.get), _settings())


def test_times_would_lose_their_microseconds_where_that_is_the_reason():
    shortest = {name: Destination.from_reference(name).capabilities().max_timestamp_precision for name in REASONS}
    assert {name for name, digits in shortest.items() if digits < 6} == {n for n in REASONS if REASONS[n] == _TIMES}


def _settings():
    return read(SourceSettings, {"api_token": ("x", "here")}.get)


class Recorder(SqlClientBase):
    """Spells names as a destination does, notes statements, and answers as one that has two loads of a window."""

    dbapi = None

    def __init__(self, capabilities):
        super().__init__("main", "fs", "fs_staging", capabilities)
        self.statements = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def execute_sql(self, sql, *arguments, **_):
        assert sql.count("%s") == len(arguments)
        self.statements.append(sql)
        for beginning, answer in _ANSWERS.items():
            if sql.startswith(beginning):
                return answer
        return []


Recorder.__abstractmethods__ = frozenset()  # it opens no connection
_LOADS = [(NOW - DAY, NOW, f"171460000{number}.5", 3, NOW, 1) for number in range(2)]
_ANSWERS = {
    "SELECT SUM(": [(0, 1, NOW, 3, 0, 1, 1)],
    "SELECT COUNT(*)": [(1,)],
    "SELECT MIN(": [(NOW - DAY, NOW)],
    "SELECT p.": [("1714600001.5", NOW - DAY, NOW, "here", NOW, 1, 1)],
    "SELECT CASE": _LOADS,
}


def _statements(destination):
    """Return all that the ledger says to a destination: tables that are ours, then tables without what dlt notes."""
    capabilities = Destination.from_reference(destination).capabilities()
    sql = Recorder(capabilities)
    pipeline = SimpleNamespace(
        sql_client=lambda: sql,
        default_schema=SimpleNamespace(stored_version_hash="x"),
        destination_client=_storage,
    )
    names = (*KNOWN, "_dlt_load_id", "_hauser_window")
    export = Table.of({capabilities.casefold_identifier(name): {} for name in names})
    sync = Table.of(
        {name: {} for name in ("BundleStartTime", "BundleEndTime", "EventCount", "Processed", "_dlt_load_id")}
    )
    for missing in (frozenset(), frozenset({"_dlt_loads"}), frozenset({"_dlt_loads", "fs_sync_pending"})):
        _use(SqlLedger(pipeline, _settings(), Tables(export, sync, missing), NOW))
    return sql.statements


@contextmanager
def _storage():
    yield SimpleNamespace(initialize_storage=lambda: None, update_stored_schema=lambda force: None)


def _use(ledger):
    day = Window(NOW - DAY, NOW)
    ledger.findings()
    ledger.first()
    ledger.last(NOW)
    ledger.legacy_sync_point()
    ledger.owned(day)
    ledger.rows(day)
    ledger.orphaned_loads(day, NOW)
    ledger.newest_load(day)
    ledger.leases.acquire("1714600001.5", day)
    ledger.leases.pending()
    ledger.cleanup.clear([day])
    ledger.cleanup.delete_future_rows()
    ledger.cleanup.delete_legacy_rows(NOW - DAY, NOW)
    ledger.cleanup.finalize("1714600001.5")
    ledger.cleanup.remove(["1714600001.5"])


@pytest.mark.parametrize("destination", sorted(UNTRIED))
def test_what_the_ledger_says_is_sql_of_the_destination(destination):
    capabilities = Destination.from_reference(destination).capabilities()
    statements = set(_statements(destination))

    assert {sql.split()[0] for sql in statements} == {"SELECT", "INSERT", "DELETE"}
    assert len(statements) > 20
    for sql in statements:
        spelled = sql.replace("%s", "'2024-05-01 00:00:00+00:00'")
        parsed = sqlglot.parse_one(spelled, dialect=capabilities.sqlglot_dialect)
        assert not list(parsed.find_all(sqlglot.exp.Command)), sql
        again = parsed.sql(dialect=capabilities.sqlglot_dialect)
        assert sqlglot.parse_one(again, dialect=capabilities.sqlglot_dialect) == parsed
        tables = {table.name for table in parsed.find_all(sqlglot.exp.Table)}
        assert tables <= {"fs_export", "fs_sync", "fs_sync_pending", "_dlt_loads", ""}, sql


def test_t_sql_spells_otherwise_what_the_ledger_says_where_that_is_the_reason():
    spelled = [sql.replace("%s", "'x'") for sql in _statements("motherduck")]
    t_sql = " ".join(sqlglot.transpile(sql, read="duckdb", write="tsql")[0] for sql in spelled)

    assert any(" LIMIT " in sql for sql in spelled)
    assert any(" FALSE)" in sql for sql in spelled)
    assert "LIMIT" not in t_sql
    assert "FALSE" not in t_sql
    dialects = {name: Destination.from_reference(name).capabilities().sqlglot_dialect for name in REASONS}
    of_t_sql = {name for name, dialect in dialects.items() if dialect in ("tsql", "fabric")}
    assert of_t_sql == {name for name, reason in REASONS.items() if reason == _T_SQL}


@pytest.mark.parametrize(
    ("destination", "kinds"),
    [
        (
            "databricks",
            {"text": "STRING", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "timestamp": "TIMESTAMP"},
        ),
        (
            "motherduck",
            {
                "text": "VARCHAR",
                "int": "BIGINT",
                "float": "DOUBLE",
                "bool": "BOOLEAN",
                "timestamp": "TIMESTAMP WITH TIME ZONE",
            },
        ),
    ],
)
def test_types_lose_nothing_and_names_fit(destination, kinds):
    made = Destination.from_reference(destination)
    capabilities = made.capabilities()
    types = capabilities.get_type_mapper()
    of_dlt = {"int": "bigint", "float": "double"}
    for kind, expected in kinds.items():
        column = {"name": "x", "data_type": of_dlt.get(kind, kind), "nullable": True}
        assert types.to_destination_type(column, {"name": "fs_export", "columns": {}}) == expected

    assert capabilities.timestamp_precision >= 6
    assert all(names_of(made).takes(name) for name in KNOWN)
    folded = [capabilities.casefold_identifier(name) for name in KNOWN]
    assert len({name.lower() for name in folded}) == len(KNOWN)


def test_sqlite_keeps_times_as_text_that_compares_otherwise(tmp_path):
    """The reason against `sqlalchemy`, by the one of its databases that is on each machine."""
    made = dlt.destinations.sqlalchemy(f"sqlite:///{tmp_path / 'x.sqlite'}")
    pipeline = dlt.pipeline("times", destination=made, dataset_name="fs", pipelines_dir=str(tmp_path))
    pipeline.run([{"at": NOW}], table_name="t")

    with pipeline.sql_client() as client:
        ((kept,),) = client.execute_sql("SELECT at FROM fs.t")
        assert isinstance(kept, str)
        assert client.execute_sql("SELECT at FROM fs.t WHERE at = %s", NOW.replace(tzinfo=None)) == []
