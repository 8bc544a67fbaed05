"""Fixtures for all tests: a simulated FullStory, real servers, destinations, and runs between them.

Emulators and drivers are imported by the fixtures that need them, so that tests without a server start at once.
"""

import logging
import os
import sys
from itertools import count

import hypothesis
import pytest

pytest_plugins = ["support.matrix_report"]

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("untimed")

_READ_BY_US = ("FULLSTORY_", "SOURCES__", "HAUSER__", "DESTINATION__", "DLT_")
_READ_BY_CLOUDS = ("AWS_", "AZURE_", "BOTO_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_", "BIGQUERY_EMULATOR_")


_SERVERS = {"server", "s3", "gcs", "az", "glue", "redshift_server", "bigquery", "snowflake_server"}
_SERVED = ("postgres", "redshift", "bigquery", "snowflake", "s3-", "gcs-", "az-", "ducklake", "delta-", "iceberg-")
_FILES = ("parquet", "csv", "jsonl", "json")


def pytest_collection_modifyitems(items):
    """Mark the tests that start a server besides FullStory's simulator, and those that write files."""
    for item in items:
        at = str(item.callspec.params.get("target", "")) if hasattr(item, "callspec") else ""
        if _SERVERS & set(item.fixturenames) or at.startswith(_SERVED):
            item.add_marker("server")
        if at in _FILES:
            item.add_marker("files")


def _providers():
    """Return what dlt's settings come from; nothing while no test has needed dlt."""
    if "dlt.common.configuration.container" not in sys.modules:
        return []
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

    return list(Container()[PluggableRunContext].providers.providers)


@pytest.fixture
def own_settings():
    """The settings that a test has configured in this process, or in a folder, are not those of the next one."""
    before = _providers()
    yield
    if _providers() != before:
        from dlt.common.configuration.container import Container
        from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

        Container()[PluggableRunContext].reload()


@pytest.fixture(autouse=True)
def clean_environ(own_settings, monkeypatch, tmp_path):
    """Nothing that this machine happens to have set reaches a test, and no test writes into its home."""
    for name in os.environ:
        if name.startswith((*_READ_BY_US, *_READ_BY_CLOUDS)):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "nobody"))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")


@pytest.fixture
def sim():
    """A FullStory with few events, and some in every hour."""
    from hauser_dlt.simulator import Account, Simulator

    with Simulator(Account(events_per_hour=10)) as simulator:
        yield simulator


@pytest.fixture
def listener():
    """A server that takes what alerts post."""
    from support.listener import listening

    with listening() as running:
        yield running


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """A folder with `hauser-dlt`, which starts at once; to be put into PATH."""
    from support.commands import quick_program

    with quick_program(tmp_path_factory.mktemp("programs")) as folder:
        yield folder


@pytest.fixture(scope="session")
def server():
    """One Postgres for all tests."""
    from emulators.postgres import postgres

    with postgres() as running:
        yield running


@pytest.fixture(name="s3", scope="session")
def _s3():
    """One S3 for all tests, which share its bucket: each writes below a prefix of its own."""
    from emulators.s3 import s3

    with s3() as running:
        yield running


@pytest.fixture(name="gcs", scope="session")
def _gcs():
    """One Google Cloud Storage for all tests, which share its bucket: each writes below a prefix of its own."""
    from emulators.gcs import gcs

    with gcs() as running:
        yield running


@pytest.fixture(name="az", scope="session")
def _az():
    """One Azure Blob Storage for all tests, which share its container: each writes below a prefix of its own."""
    from emulators.azurite import Unavailable, azurite

    try:
        with azurite() as running:
            yield running
    except Unavailable as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(exc))


@pytest.fixture(name="glue", scope="session")
def _glue():
    """One Glue for all tests, each of which takes a database of its own."""
    from emulators.glue import glue

    with glue() as running:
        yield running


@pytest.fixture(scope="session")
def redshift_server(server, s3):
    """One Redshift for all tests, which each have a schema of their own."""
    from emulators.redshift import redshift

    with redshift(server, s3.endpoint) as running:
        yield running


@pytest.fixture(scope="session")
def snowflake_server(server, request):
    """One Snowflake for all tests, which each have a schema of their own."""
    from emulators.snowflake import snowflake

    with snowflake(server) as running:
        yield running


@pytest.fixture(name="bigquery", scope="session")
def _bigquery(gcs):
    """One BigQuery for all tests, each of which takes a dataset of its own; it reads the buckets of `gcs`."""
    from emulators.bigquery import Unavailable, bigquery

    try:
        with bigquery(gcs.root) as running:
            yield running
    except Unavailable as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(exc))


@pytest.fixture(autouse=True)
def untouched_logging():
    """No level that a command has set in this process outlives its test."""
    yield
    logging.getLogger("hauser_dlt").setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def healthy_servers():
    """No fault of a server outlives its test."""
    yield
    if "emulators.faulty" in sys.modules:
        for proxy in sys.modules["emulators.faulty"].Faulty.running:
            proxy.clear()


_numbers = count(1)


@pytest.fixture
def target(request, tmp_path, monkeypatch):
    """An empty destination; `indirect` parametrization says of which kind."""
    made = _target(request, tmp_path, monkeypatch)
    yield made
    if made.kind == "bigquery":
        made.remove()  # the more the emulator holds, the slower it gets


def _target(request, tmp_path, monkeypatch):
    kind = getattr(request, "param", "duckdb")
    from support.destinations import Target

    if kind == "redshift":
        from support.warehouses import RedshiftTarget

        backend = request.getfixturevalue("server").dsn().rpartition("/")[0]
        at, s3 = (request.getfixturevalue(name) for name in ("redshift_server", "s3"))
        return RedshiftTarget(kind, tmp_path, f"fs{next(_numbers)}", backend, server=at, s3=s3)
    if kind.startswith("bigquery"):
        from support.warehouses import BigQueryTarget

        at, gcs = (request.getfixturevalue(name) for name in ("bigquery", "gcs"))
        for name, value in (at.environ() | gcs.environ()).items():
            monkeypatch.setenv(name, value)
        staged = kind == "bigquery-staged"
        return BigQueryTarget("bigquery", tmp_path, f"fs{next(_numbers)}", server=at, gcs=gcs, by_bucket=staged)
    if kind.startswith("snowflake"):
        return _snowflake_target(kind, request, tmp_path, monkeypatch)
    if kind.startswith(("s3-", "gcs-", "az-")):
        from support.buckets import BucketTarget

        store, _, file_format = kind.partition("-")
        at = request.getfixturevalue(store)
        for name, value in at.environ().items() if store == "gcs" else ():
            monkeypatch.setenv(name, value)
        return BucketTarget(file_format, tmp_path, f"fs{next(_numbers)}", server=at)
    if kind.startswith("ducklake"):
        from support.lakes import LakeTarget

        (folder := tmp_path / "destination").mkdir()
        s3 = request.getfixturevalue("s3") if kind == "ducklake-s3" else None
        return LakeTarget("ducklake", folder, f"fs{next(_numbers)}", request.getfixturevalue("server").dsn(), s3=s3)
    if kind.startswith(("delta", "iceberg")):
        return _lakehouse_target(kind, request, tmp_path, monkeypatch)
    dsn = request.getfixturevalue("server").dsn() if kind == "postgres" else ""
    folder = tmp_path / "destination"
    folder.mkdir()
    return Target(kind, folder, f"fs{next(_numbers)}", dsn)


def _lakehouse_target(kind, request, tmp_path, monkeypatch):
    from support.lakehouses import DeltaTarget, IcebergTarget

    table_format, _, of = kind.partition("-")
    (folder := tmp_path / "destination").mkdir()
    store = request.getfixturevalue(of if of in ("gcs", "az") else "s3") if of else None
    for name, value in store.environ().items() if of in ("gcs", "az") else ():
        monkeypatch.setenv(name, value)
    named = table_format, folder, f"fs{next(_numbers)}"
    if table_format == "delta":
        return DeltaTarget(*named, store=store)
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")  # its own is another package, which it would miss
    dsn = request.getfixturevalue("server").dsn() if of in ("s3", "gcs") else ""
    glue = request.getfixturevalue("glue") if of == "glue" else None
    return IcebergTarget(*named, dsn, store=store, glue=glue, by_rest=of == "rest")


def _snowflake_target(kind, request, tmp_path, monkeypatch):
    from support.snowflake import SnowflakeTarget

    at, name = request.getfixturevalue("snowflake_server"), f"fs{next(_numbers)}"
    if kind == "snowflake":
        return SnowflakeTarget(kind, tmp_path, name, server=at)
    store = request.getfixturevalue(kind.rpartition("-")[2])
    if kind == "snowflake-s3":
        at.places.s3_endpoint = store.endpoint
        return SnowflakeTarget("snowflake", tmp_path, name, server=at, s3=store)
    at.places.gcs_root = store.root
    for variable, value in store.environ().items():
        monkeypatch.setenv(variable, value)
    target = SnowflakeTarget("snowflake", tmp_path, name, server=at, gcs=store, stage=f"{name}_stage")
    at.stages.external[target.stage.upper()] = target.bucket_url.replace("gs://", "gcs://")
    return target


@pytest.fixture
def runs(sim, target, tmp_path, monkeypatch):
    """Runs in an empty folder, without settings from files."""
    from support.runs import Runs

    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Runs(sim, target, tmp_path / "work")
