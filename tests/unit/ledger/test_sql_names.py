"""Identifiers in the statements of the ledger."""

import dlt

from hauser_dlt.config.reading import read
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.ledger.sql_names import Names
from hauser_dlt.records.tables import Table, Tables


def test_each_column_is_spelled_as_its_own_table_has_it(tmp_path):
    pipeline = dlt.pipeline("names", destination="duckdb", dataset_name="fs", pipelines_dir=str(tmp_path))
    settings = read(SourceSettings, {"api_token": ("x", "here")}.get)
    export = Table.of({"eventstart": {}, "processed": {}, "_dlt_load_id": {}})
    sync = Table.of({"Processed": {}, "BUNDLEENDTIME": {}})

    names = Names.of(pipeline.sql_client(), settings, Tables(export, sync))

    assert names.export.endswith('"fs"."fs_export"')
    assert names.pending.endswith('"fs"."fs_sync_pending"')
    assert (names.event_start, names.event_window) == ('"eventstart"', '"_hauser_window"')
    assert (names.processed, names.end, names.start) == ('"Processed"', '"BUNDLEENDTIME"', '"BundleStartTime"')
