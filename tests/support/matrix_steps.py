"""The steps of a load at each destination, in the order in which a run takes them."""

_MAKING = ("CREATE TABLE _dlt_version and 5 more", "INSERT _dlt_version")


_MAKING_IN_TRANSACTION = ("CREATE SCHEMA", *_MAKING, "COMMIT of INSERT _dlt_version")


_ENDING = ("INSERT _dlt_loads", "DELETE fs_export", "DELETE fs_sync", "DELETE fs_sync_pending")


_TABLES = ("fs_export", "fs_sync", "_dlt_pipeline_state")


def _with_commit(*names: str) -> tuple[str, ...]:
    return (*names, *(f"COMMIT of {name}" for name in names))


def _in_two_requests(*names: str) -> tuple[str, ...]:
    return (*names, *(f"{name}, its content" for name in names))


def _loading(verb: str) -> tuple[str, ...]:
    return tuple(f"{verb} {table}" for table in _TABLES)


# in the order in which a run takes them, but for those that threads take side by side
STEPS: dict[str, tuple[str, ...]] = {
    "parquet": (
        *("normalize", "make folder fs_sync_pending", "put fs_sync_pending", "put init"),
        *(
            f"make folder {name}"
            for name in ("_dlt_pipeline_state", "_dlt_version", "fs_export", "fs_sync", "_dlt_loads")
        ),
        *("put note", "move _dlt_version", "put fs_export", "move fs_export", "put fs_sync", "move fs_sync"),
        *("move _dlt_pipeline_state", "move _dlt_loads"),
        *("delete fs_sync", "delete fs_export", "delete fs_sync_pending"),
    ),
    "s3-parquet": (
        *("normalize", "put fs_sync_pending", "put init", "put _dlt_version", *_loading("put"), "put _dlt_loads"),
        *("delete fs_sync", "delete fs_export", "delete fs_sync_pending"),
    ),
    "az-parquet": (
        *("normalize", "put fs_sync_pending", "put init", "put _dlt_version", *_loading("put"), "put _dlt_loads"),
        *("delete fs_sync", "delete fs_export", "delete fs_sync_pending"),
    ),
    "gcs-parquet": (
        *("normalize", "put fs_sync_pending", *_in_two_requests("put init"), *_in_two_requests("put _dlt_version")),
        *("put fs_export", "put fs_sync", *_in_two_requests("put _dlt_pipeline_state")),
        *_in_two_requests("put _dlt_loads"),
        *("delete fs_sync", "delete fs_export", "delete fs_sync_pending"),
    ),
    "duckdb": (
        *("normalize", *_MAKING_IN_TRANSACTION, "INSERT fs_sync_pending", "INSERT fs_export"),
        *(*_with_commit("INSERT fs_sync", "INSERT _dlt_pipeline_state"), *_ENDING),
    ),
    "postgres": (
        *("normalize", *_MAKING_IN_TRANSACTION, "INSERT fs_sync_pending", *_with_commit("COPY fs_export")),
        *(*_with_commit("INSERT fs_sync", "INSERT _dlt_pipeline_state"), *_ENDING),
    ),
    "redshift": (
        *("normalize", *_MAKING_IN_TRANSACTION, "INSERT fs_sync_pending", "put staged init", *_loading("put staged")),
        *(*_with_commit(*_loading("COPY")), *_ENDING, "delete staged files"),
    ),
    "snowflake": (
        *("normalize", *_MAKING_IN_TRANSACTION, "INSERT fs_sync_pending", *_loading("put staged")),
        *(*_with_commit(*_loading("COPY")), "delete staged files", *_ENDING),
    ),
    "bigquery": (
        *("normalize", "POST dataset", *_MAKING, "INSERT fs_sync_pending"),
        *(*_in_two_requests(*_loading("load job")), *_ENDING),
    ),
    "bigquery-staged": (
        *(
            "normalize",
            "POST dataset",
            *_MAKING,
            "INSERT fs_sync_pending",
            *_in_two_requests("put staged init"),
            *_loading("put staged"),
        ),
        *(*_loading("load job"), *_ENDING, "delete staged files"),
    ),
    "delta": (
        *("normalize", "make folder fs_sync_pending", "put fs_sync_pending", "put init"),
        *(
            f"make folder {name}"
            for name in ("_dlt_pipeline_state", "_dlt_version", "fs_export", "fs_sync", "_dlt_loads")
        ),
        *("put note", "move _dlt_version", "create fs_sync", "commit fs_sync", "create fs_export", "commit fs_export"),
        *("move _dlt_pipeline_state", "move _dlt_loads", "delete from fs_sync", "delete fs_sync_pending"),
    ),
    "ducklake": ("normalize", *_MAKING_IN_TRANSACTION, "INSERT fs_sync_pending", *_loading("INSERT"), *_ENDING),
    "iceberg": (
        *("normalize", "make folder fs_sync_pending", "put fs_sync_pending", "put init"),
        *(
            f"make folder {name}"
            for name in ("_dlt_pipeline_state", "_dlt_version", "fs_export", "fs_sync", "_dlt_loads")
        ),
        *("put note", "move _dlt_version", "create fs_sync", "commit fs_sync", "create fs_export", "commit fs_export"),
        *("move _dlt_pipeline_state", "move _dlt_loads", "delete fs_sync_pending"),
    ),
}
