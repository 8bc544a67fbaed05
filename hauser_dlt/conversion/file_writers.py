"""Writers of files of events: Parquet, CSV and JSONL, of Arrow batches."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from hauser_dlt.fields import CUSTOM_VARS


class _ParquetWriter(pyarrow.parquet.ParquetWriter):  # type: ignore[misc]
    def __init__(self, path: Path, schema: pa.Schema, compress: bool) -> None:
        # Rows are in the order of time, so the least and the greatest text of a row group let no reader skip it;
        # CustomVars differ from row to row. Both would cost time, and several copies of a text of 50 MB.
        repeating = [name for name in schema.names if name != CUSTOM_VARS]
        ordered = [column.name for column in schema if not pa.types.is_string(column.type)]
        super().__init__(str(path), schema, compression="snappy", use_dictionary=repeating, write_statistics=ordered)


class _CsvWriter:
    """CSV by RFC 4180 with a header; NULL is nothing at all, "" is a pair of quotes."""

    def __init__(self, path: Path, schema: pa.Schema, compress: bool) -> None:
        self._stream = open_stream(path, compress)
        self._writer = pyarrow.csv.CSVWriter(self._stream, schema)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()
        self._stream.close()


# What spreadsheets take for a formula; the wide forms, too, which some of them narrow
# (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA = r"\A([=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}])"


class _EscapingCsvWriter(_CsvWriter):
    """CSV in which no text is a formula to a spreadsheet."""

    def write_batch(self, batch: pa.RecordBatch) -> None:
        arrays = [
            pc.replace_substring_regex(array, _FORMULA, r"'\1") if pa.types.is_string(array.type) else array
            for array in batch.columns
        ]
        super().write_batch(pa.RecordBatch.from_arrays(arrays, schema=batch.schema))


class _JsonlWriter:
    """One object a line with all columns; times as RFC 3339."""

    def __init__(self, path: Path, schema: pa.Schema, compress: bool) -> None:
        self._stream = open_stream(path, compress)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            self._stream.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))

    def close(self) -> None:
        self._stream.close()


class BackgroundWriter:
    """Has Arrow write in a thread: it needs no lock of Python's, so what comes next is decoded in the meantime."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, "writer")
        self._writing: Future[None] | None = None

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Begin to write a batch."""
        self._begin(self._writer.write_batch, batch)

    def write(self, piece: bytes) -> None:
        """Begin to write bytes."""
        self._begin(self._writer.write, piece)

    def close(self) -> None:
        """Wait until all is written."""
        try:
            self._wait()
        finally:
            self._thread.shutdown()
            self._writer.close()

    def _begin(self, write: Callable[[Any], None], what: Any) -> None:
        """Write once what came before is written: no more than two are held."""
        self._wait()
        self._writing = self._thread.submit(write, what)

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()


def open_stream(path: Path, compress: bool) -> Any:
    """Open a file for bytes."""
    return pa.output_stream(str(path), compression="gzip" if compress else None)


def open_writer(file_format: str, path: Path, schema: pa.Schema, *, compress: bool, escape_formulas: bool) -> Any:
    """Open a file for Arrow batches: what is returned has `write_batch` and `close`.

    Args:
        file_format: parquet, csv or jsonl.
        compress: by gzip; Parquet always is, by itself.
        escape_formulas: CSV holds nothing that a spreadsheet would run.
    """
    if file_format == "jsonl":
        return _JsonlWriter(path, schema, compress)
    csv = _EscapingCsvWriter if escape_formulas else _CsvWriter
    return BackgroundWriter((csv if file_format == "csv" else _ParquetWriter)(path, schema, compress))
