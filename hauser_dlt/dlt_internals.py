"""The private names of dlt, and of pyiceberg, that we use: all of them, and why no public interface does.

Both may change in any release what begins with an underscore. `tests/unit/test_dlt_internals.py` compares INTERNALS
with what is installed, and makes sure that no other module uses such a name. Nothing of dlt is imported until it is
needed: `hauser-dlt --help` does without.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Internal:
    """A private name of dlt's.

    Attributes:
        owner: module and class, or function, that has it, as "module:Class".
        use: what it is for here.
        reason: why dlt's public interface does not do.
        kind: what it is; an attribute is one that `__init__` sets.
        parameters: of a method or function.
        caller: what in dlt calls it, or reads it, where we put something else in its place.
        ours: our class that overrides it.
    """

    owner: str
    name: str
    use: str
    reason: str
    kind: Literal["attribute", "method", "function", "parameter"] = "attribute"
    parameters: tuple[str, ...] = ()
    caller: str = ""
    ours: str = ""


INTERNALS = (
    Internal(
        "dlt.common.runtime.run_context:RunContext",
        "_global_dir",
        use="the folder of the telemetry's id",
        reason="what else sets it is the environment variable DLT_DATA_DIR, which is the user's",
        caller="dlt.common.runtime.run_context:RunContext.global_dir",
    ),
    Internal(
        "dlt.common.configuration.providers.doc:BaseDocProvider",
        "_config_doc",
        use="finding misspelled settings",
        reason="a provider can be asked for the value of a name, but does not list its names",
    ),
    Internal(
        "dlt.common.configuration.providers.toml:SettingsTomlProvider",
        "_read_toml_file",
        use="reading .dlt/*.toml as Windows' editors save it, with a byte order mark",
        reason="providers read their files themselves, before anybody can put another in their place",
        kind="method",
        parameters=("self", "toml_path"),
        caller="dlt.common.configuration.providers.toml:SettingsTomlProvider._read_toml_files",
    ),
    Internal(
        "dlt.extract.storage",
        "create_load_id",
        use="load ids above those of the destination, whatever the clock says",
        reason="dlt makes a load id for each package it extracts, and takes none",
        kind="function",
        caller="dlt.extract.storage:ExtractStorage.create_load_package",
    ),
    Internal(
        "dlt:transformer",
        "_impl_cls",
        use="resources with filters of Arrow batches and limits of windows",
        reason="a transformer made without it is of dlt's own class",
        kind="parameter",
    ),
    Internal(
        "dlt.extract.resource:DltResource",
        "_pipe",
        use="limiting windows where they come from",
        reason="a resource can be given another parent, but does not tell the one it has",
    ),
    Internal(
        "dlt.pipeline.pipeline:Pipeline",
        "_last_trace",
        use="keeping the trace of one load package, where dlt keeps that of 33, and writes all of it at each step",
        reason="a trace begins anew with `Pipeline.run` alone, which extracts, normalizes and loads in one",
        caller="dlt.pipeline.pipeline:Pipeline.last_trace",
    ),
    Internal(
        "dlt.common.destination.client:LoadJob",
        "_file_path",
        use="reading the file of a load job",
        reason="`file_name()` is the name without its folder",
    ),
    Internal(
        "dlt.common.destination.client:RunnableLoadJob",
        "_job_client",
        use="the connection of a load job",
        reason="`run`, the method that is ours to write, is not given it",
    ),
    Internal(
        "dlt.common.destination.client:RunnableLoadJob",
        "_load_table",
        use="loading a day's events into the day's partition",
        reason="`load_table_name` can be read, but not be changed",
        caller="dlt.destinations.impl.bigquery.bigquery:BigQueryLoadJob.run",
    ),
    Internal(
        "dlt.destinations.impl.duckdb.configuration:DuckDbCredentials",
        "_conn_str",
        use="reading a DuckDB file that is not there as an empty one, without making it",
        reason="dlt opens `database`, which also names the file in messages, and refuses `:memory:` there",
        kind="method",
        parameters=("self",),
        caller="dlt.destinations.impl.duckdb.configuration:DuckDbConnectionPool.borrow_conn",
    ),
    Internal(
        "dlt.destinations.impl.ducklake.configuration:DuckLakeCredentials",
        "_conn_str",
        use="one database in memory for all connections of a lake",
        reason="dlt opens one for each connection, and DuckDB checks the extensions anew in each",
        kind="method",
        parameters=("self",),
        caller="dlt.destinations.impl.duckdb.configuration:DuckDbConnectionPool.borrow_conn",
    ),
    Internal(
        "dlt.destinations.impl.bigquery.bigquery:BigQueryClient",
        "_create_table_update",
        use="finding columns whatever their case",
        reason="the capability for it holds for tables and datasets, too, whose case BigQuery does tell apart",
        kind="method",
        parameters=("self", "table_name", "storage_columns"),
        caller="dlt.destinations.job_client_impl:SqlJobClientBase._build_schema_update_sql",
        ours="hauser_dlt.destinations.bigquery:ExactBigQueryClient",
    ),
    Internal(
        "dlt.destinations.impl.redshift.redshift:RedshiftClient",
        "_get_storage_table_query_columns",
        use="the length of VARCHAR columns",
        reason="`get_storage_tables` asks for the precision of numbers only",
        kind="method",
        parameters=("self",),
        caller="dlt.destinations.job_client_impl:SqlJobClientBase._get_info_schema_columns_query",
        ours="hauser_dlt.destinations.redshift:ExactRedshiftClient",
    ),
    Internal(
        "dlt.destinations.impl.snowflake.snowflake:SnowflakeClient",
        "_add_cluster_sql",
        use="clustering by the day of a column, and leaving that of existing tables",
        reason="hints cluster by columns as they are, and a table without them loses what it has",
        kind="method",
        parameters=("self", "sql", "table_name", "generate_alter"),
        caller="dlt.destinations.impl.snowflake.snowflake:SnowflakeClient._get_table_update_sql",
        ours="hauser_dlt.destinations.snowflake_client:ExactSnowflakeClient",
    ),
    Internal(
        "dlt.destinations.job_client_impl:SqlJobClientBase",
        "_get_storage_table_query_columns",
        use="the length of Snowflake's VARCHAR columns",
        reason="of texts, `get_storage_tables` tells nothing but that they are texts",
        kind="method",
        parameters=("self",),
        caller="dlt.destinations.job_client_impl:SqlJobClientBase._get_info_schema_columns_query",
        ours="hauser_dlt.destinations.snowflake_client:ExactSnowflakeClient",
    ),
    Internal(
        "dlt.destinations.impl.snowflake.snowflake:SnowflakeClient",
        "_from_db_type",
        use="the precision of NUMBER columns",
        reason="the type mapper is asked nowhere else, and calls NUMBER(38, 0) wei",
        kind="method",
        parameters=("self", "bq_t", "precision", "scale"),
        caller="dlt.destinations.job_client_impl:SqlJobClientBase.get_storage_tables",
        ours="hauser_dlt.destinations.snowflake_client:ExactSnowflakeClient",
    ),
    Internal(
        "dlt.destinations.impl.filesystem.filesystem:FilesystemClient",
        "_write_to_json_file",
        use="writing dlt's notes on a disk whole or not at all",
        reason="`fs_client.write_text` knows no folder where an unfinished file is taken for nothing else",
        kind="method",
        parameters=("self", "filepath", "data"),
        caller="dlt.destinations.impl.filesystem.filesystem:FilesystemClient._store_load",
        ours="hauser_dlt.destinations.folder:FolderClient",
    ),
    Internal(
        "pyiceberg.table:Transaction",
        "_snapshot_producers",
        use="keeping the files of a commit whose answer was lost",
        reason="`commit_transaction` always cleans up after a commit that seems to have failed",
        caller="pyiceberg.table:Transaction.commit_transaction",
    ),
)


@contextmanager
def global_folder(folder: Path) -> Iterator[None]:
    """While inside, dlt keeps in a folder of ours what is not of one project: the id of its telemetry.

    dlt makes one even if telemetry is off.
    """
    from dlt.common.runtime import run_context

    context: Any = run_context.active()
    before = context._global_dir
    context._global_dir = str(folder)
    try:
        yield
    finally:
        context._global_dir = before


def document_of(provider: Any) -> Any:
    """Return all settings of a config provider; none of a vault of secrets, which does not list its names."""
    return getattr(provider, "_config_doc", {})


def read_toml_files_by(read: Callable[[Any, str], Any]) -> None:
    """Have dlt read its TOML files by a function.

    Args:
        read: (the provider, a path) -> the document of tomlkit, or None if there is no file.
    """
    from dlt.common.configuration.providers.toml import SettingsTomlProvider

    provider: Any = SettingsTomlProvider
    provider._read_toml_file = read


def make_load_ids_by(make: Callable[[], str]) -> Callable[[], str]:
    """Have dlt make the ids of load packages by a function of ours; return dlt's own."""
    import dlt.extract.storage

    storage: Any = dlt.extract.storage
    theirs: Callable[[], str] = storage.create_load_id
    storage.create_load_id = make
    return theirs


def transformer_of(resource: type[Any], **hints: Any) -> Any:
    """Return dlt's decorator of transformers that are of a class of ours."""
    import dlt

    decorator: Any = dlt.transformer  # which takes a class, but does not say so to type checkers
    return decorator(_impl_cls=resource, **hints)


def parent_pipe(resource: Any) -> Any:
    """Return the pipe that feeds a transformer."""
    return resource._pipe.parent


def client_of(job: Any) -> Any:
    """Return the client by which a load job runs; None until it runs."""
    return job._job_client


def file_of(job: Any) -> Path:
    """Return the file of a load job."""
    return Path(job._file_path)


def table_of(job: Any) -> Any:
    """Return the schema of a load job's table."""
    return job._load_table


def redirect(job: Any, table: Any, file: Path) -> None:
    """Have a load job load another file into another table."""
    job._load_table = table
    job._file_path = str(file)


def connect_to(credentials: Any, database: str) -> None:
    """Have DuckDB's credentials open a database in memory; they go on naming their file."""
    credentials._conn_str = lambda: database


def connect_to_file(credentials: Any) -> None:
    """Have DuckDB's credentials open their file again, which is there by now."""
    vars(credentials).pop("_conn_str", None)


def forget_trace(pipeline: Any) -> None:
    """Have a pipeline begin a trace with its next step."""
    pipeline._last_trace = None


def keep_written(transaction: Any) -> None:
    """Have a transaction of pyiceberg's remove no file, whatever becomes of its commit.

    A catalog's client may send a commit again whose answer was lost, and be told that the table has changed since:
    pyiceberg would then remove what it takes for uncommitted, and what the table consists of by now.
    """
    transaction._snapshot_producers.clear()
