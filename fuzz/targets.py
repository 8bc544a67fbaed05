"""What is fuzzed: functions of bytes, which raise nothing, however hostile the bytes are.

What comes out is compared with the slow and exact accounts that the tests have of it.
"""

import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hauser_dlt.config import reading
from hauser_dlt.config.hauser_toml import read_hauser_toml
from hauser_dlt.config.names import KINDS
from hauser_dlt.conversion.events import EventReader
from hauser_dlt.errors import ConfigError, CorruptBundleError
from hauser_dlt.exports import Bundle
from hauser_dlt.exports.prefetch import Delivery
from hauser_dlt.fields import CUSTOM_VARS, KNOWN, LOAD_ID, ROW_WINDOW
from hauser_dlt.records import json_stream, truncate
from hauser_dlt.records.columns import Columns
from hauser_dlt.records.gzip_stream import gunzip
from hauser_dlt.windows import Window
from support import reference
from support.exact_rows import as_found, expected
from support.slow_json import plain as with_floats
from support.slow_json import read_slowly

_MARKS = (LOAD_ID, ROW_WINDOW)
_WINDOW = Window(datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC))
_DEEP = 400  # levels that Python's own parser reads wherever it stands


def bundle(data: bytes) -> None:
    """A bundle is read as the standard library reads it, or refused: plain, or in gzip members, in any pieces."""
    size, packing, plain = data[0] if data else 0, data[1] if len(data) > 1 else 0, data[2:]
    file = _packed(plain, packing)
    try:
        found = [with_floats(row) for _, row in json_stream.records(gunzip(_pieces(file, size)))]
    except CorruptBundleError:
        found = None
    if packing % 3 < 2 and not plain.startswith(b"\x1f\x8b") and _is_shallow(plain):
        assert found == read_slowly(plain)


def gzipped(data: bytes) -> None:
    """Bytes behind gzip's magic are inflated as the standard library does it, or refused."""
    file = b"\x1f\x8b" + data
    try:
        found = b"".join(gunzip([file]))
    except CorruptBundleError:
        return
    assert found == gzip.decompress(file)


def events(data: bytes) -> None:
    """Each value stands in its column, or as it was written among the custom variables, or the bundle is refused."""
    try:
        records = [raw for raw, _ in json_stream.records(gunzip([data]))]
    except CorruptBundleError:
        records = None
    for new_fields in ("columns", "custom_vars"):
        try:
            rows = list(_rows(data, new_fields))
        except CorruptBundleError:
            # FullStory's events have a start; what is an answer, or has none, is refused
            assert records is None or not all(b'"EventStart":' in raw for raw in records)
            return
        assert records is not None
        assert len(rows) == len(records)
    if not data.startswith(b"\x1f\x8b") and _is_shallow(data):
        for raw, row in zip(records, rows, strict=True):
            columns, variables, _ = expected(reference.read(raw), KNOWN)
            assert as_found(row) == (columns, variables), raw


def cut(data: bytes) -> None:
    """Text is cut at a character; an object stays one, fits, and names what was touched."""
    limit, raw = int.from_bytes(data[:2], "big"), data[2:]
    text = raw.decode(errors="ignore")
    assert text.startswith(short := truncate.truncated(text, limit))
    assert len(short.encode()) <= limit
    try:
        [(record, row)] = json_stream.records([raw])
    except (CorruptBundleError, ValueError):
        return
    text = truncate.truncate_object(record.decode(), limit)
    kept = json.loads(text)
    assert isinstance(kept, dict)
    assert len(text.encode()) <= max(limit, len("{}"))
    assert set(kept) - {truncate.TRUNCATED} <= set(row)


def setting(data: bytes) -> None:
    """Whatever a setting is, it is read or refused in one line."""
    text = data.decode(errors="replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    table = value if isinstance(value, dict) else {}
    for kind in KINDS:
        for name in (declared.name for declared in fields(kind)):
            for spelled in (text, value, table.get(name)):
                one_line(lambda name=name, spelled=spelled: reading.read(kind, _finder({name: spelled})))  # noqa: B023


def hauser_toml(data: bytes) -> None:
    """Whatever a hauser's configuration says, it is read or refused in one line, and so is what comes out."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        found = one_line(lambda: read_hauser_toml(Path(file.name)))
    if found:
        for kind in KINDS:
            section = found.settings
            for name in kind.section:
                section = section.get(name, {})
            one_line(lambda kind=kind, section=section: reading.read(kind, _finder(section)))


def one_line(reading: Callable[[], Any]) -> Any:
    """Return what is read, or None where it is refused; the refusal must be a ConfigError of one line."""
    try:
        return reading()
    except ConfigError as exc:
        refusal = str(exc)
    assert "\n" not in refusal
    return None


def _finder(table: dict[str, Any]) -> reading.Lookup:
    values = {"api_token": "key"} | {name: value for name, value in table.items() if value is not None}
    return lambda name: (values[name], "a fuzzer") if name in values else None


def _rows(data: bytes, new_fields: str) -> Iterator[dict[str, Any]]:
    """Yield the rows that come of a bundle, by way of all that reads one."""
    read = SimpleNamespace(api="segment_export", keeps_to_windows=False, export_format="ndjson")
    columns = Columns(KNOWN, grow=new_fields == "columns")
    in_memory: Any = SimpleNamespace(open=lambda mode: io.BytesIO(data))
    delivery = Delivery(Bundle(_WINDOW), in_memory)
    for batch in EventReader(read, lambda batch, tally: batch, delivery, columns, "1.0"):  # type: ignore[arg-type]
        for row in batch.to_pylist():
            assert isinstance(json.loads(row[CUSTOM_VARS]), dict)
            yield {name: value for name, value in row.items() if name not in _MARKS}


def _packed(plain: bytes, packing: int) -> bytes:
    if packing % 3 == 1:
        return b"".join(gzip.compress(piece, 1, mtime=0) for piece in _pieces(plain, packing // 3)) or gzip.compress(
            b""
        )
    return plain


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Yield data in pieces of a size; 0 is all at once."""
    size = size or max(len(data), 1)
    return (data[place : place + size] for place in range(0, len(data), size))


def _is_shallow(data: bytes) -> bool:
    """Tell whether the standard library's parser certainly gets through: its depth is bounded."""
    return data.count(b"[") + data.count(b"{") < _DEEP


TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function for function in (bundle, gzipped, events, cut, setting, hauser_toml)
}
