"""Other libraries for our innermost loop, side by side on one core: `python -m benchmarks one_core`.

Each makes a table of the same unpacked NDJSON: the known fields in typed columns, all else in `CustomVars` as JSON.
Those that read no unknown fields are joined by msgspec, which reads each record once more, and keeps
the texts of values.
`python -m benchmarks.one_core CANDIDATE FILE` prints as JSON what one of them takes, and where it is not exact.
"""

import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"  # read when polars is imported

import duckdb
import msgspec
import orjson
import pyarrow as pa
import pyarrow.json

from benchmarks import reference
from benchmarks.events import events
from benchmarks.measuring import EVENTS, RUNS, Line, child, line, over
from hauser_dlt.fields import CUSTOM_VARS, KNOWN, Kind
from hauser_dlt.records import json_stream
from hauser_dlt.records.batches import BATCH_ROWS, Batcher
from hauser_dlt.records.columns import ARROW_TYPES, Columns

_ARROW = {"text": pa.string(), "int": pa.int64(), "int32": pa.int32(), "float": pa.float64()}
_SCHEMA = pa.schema([(name, _ARROW.get(kind, pa.string())) for name, kind in KNOWN.items()])  # times stay text
_TYPED = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in KNOWN.items()])
_COMPARED, _MEASURED = 5_000, 50_000  # events
_LIKE = b'{"EventStart":"2024-05-01T00:00:00.000Z","IndvId":1,'
HARD = [
    _LIKE + rest + b"}"
    for rest in (
        b'"evt_price_real":1.10',
        b'"evt_exponent_real":1e2',
        b'"evt_zero_int":-0',
        b'"evt_large_int":123456789012345678901234567890',
        b'"evt_list":[1.50,{"a":2.0}]',
        b'"UserId":"18446744073709551616"',
        b'"PageDuration":"soon"',
        b'"PageDuration":1.5',
        b'"pageurl":"https://example.com"',
    )
]
"""Records that are easily altered: numbers, values of another type, a field's name in another case."""

Convert = Callable[[bytes], pa.Table]


def hauser(text: bytes) -> pa.Table:
    """Convert as hauser-dlt does."""
    records = json_stream.records(text[place : place + (1 << 18)] for place in range(0, len(text), 1 << 18))
    batches = Batcher(Columns(KNOWN, grow=False), None, {}).batches(records, BATCH_ROWS)
    return pa.Table.from_batches(list(batches))


def orjson_dicts(text: bytes) -> pa.Table:
    """Parse by orjson, have Arrow make the columns of the dicts."""
    return _of_dicts(text, orjson.loads, orjson.dumps)


def simdjson_dicts(text: bytes) -> pa.Table:
    """Parse by simdjson, have Arrow make the columns of the dicts."""
    import simdjson

    parser = simdjson.Parser()
    return _of_dicts(text, lambda line: parser.parse(line, True), orjson.dumps)


def _of_dicts(text: bytes, parse: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> pa.Table:
    fields = pa.struct(list(_SCHEMA))
    arrays, custom = [], []
    lines = text.splitlines()
    for place in range(0, len(lines), 1000):
        rows = list(map(parse, lines[place : place + 1000]))
        custom += [write({key: value for key, value in row.items() if key not in KNOWN}) for row in rows]
        arrays.append(pa.array(rows, fields))
    known = pa.Table.from_batches([pa.RecordBatch.from_struct_array(array) for array in arrays])
    return _finished(known, pa.array(custom, pa.string()))


def msgspec_structs(text: bytes) -> pa.Table:
    """Decode each record into a Struct of the known fields, and once more for the others."""
    types: dict[str, Any] = {"int": int | None, "int32": int | None, "float": float | None}
    record = msgspec.defstruct("Known", [(name, types.get(kind, str | None), None) for name, kind in KNOWN.items()])
    decode, parts = msgspec.json.Decoder(record).decode, []
    lines = text.splitlines()
    for place in range(0, len(lines), 1000):
        columns = zip(*map(msgspec.structs.astuple, map(decode, lines[place : place + 1000])), strict=True)
        arrays = [pa.array(values, kind) for values, kind in zip(columns, _SCHEMA.types, strict=True)]
        parts.append(pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA))
    return _finished(pa.Table.from_batches(parts), _others(text))


def arrow_json(text: bytes) -> pa.Table:
    """Read the known fields by pyarrow.json."""
    known = pyarrow.json.read_json(
        io.BytesIO(text),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=1 << 20),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore"),
    )
    return _finished(known, _others(text))


def arrow_rust(text: bytes) -> pa.Table:
    """Read the known fields by Rust's Arrow."""
    import arro3.io

    known = pa.table(arro3.io.read_json(io.BytesIO(text), _SCHEMA))
    return _finished(known, _others(text))


def polars(text: bytes) -> pa.Table:
    """Read the known fields by polars."""
    import polars as pl

    types = {"int": pl.Int64, "int32": pl.Int32, "float": pl.Float64}
    schema = {name: types.get(kind, pl.String) for name, kind in KNOWN.items()}
    known = pl.read_ndjson(io.BytesIO(text), schema=schema)
    return _finished(known.to_arrow(), _others(text))


def duckdb_json(text: bytes) -> pa.Table:
    """Read the known fields by DuckDB, from a file."""
    types: dict[Kind, str] = {"int": "BIGINT", "int32": "INTEGER", "float": "DOUBLE"}
    columns = {name: types.get(kind, "VARCHAR") for name, kind in KNOWN.items()}
    file = Path(sys.argv[2] + ".duckdb.ndjson")
    file.write_bytes(text)
    with duckdb.connect(config={"threads": 1}) as connection:
        known = connection.read_json(str(file), columns=columns, format="newline_delimited").to_arrow_table()
    return _finished(known, _others(text))


def _finished(known: pa.Table, custom: pa.Array) -> pa.Table:
    """Return a table of known fields, in which times were left as text, with CustomVars."""
    return known.select(_TYPED.names).cast(_TYPED).append_column(CUSTOM_VARS, custom)


def _others(text: bytes) -> pa.Array:
    """Return the JSON of all but the known fields, values as they are written."""
    decode, write = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode, msgspec.json.Encoder().encode
    rows = map(decode, text.splitlines())
    return pa.array([write({k: v for k, v in row.items() if k not in KNOWN}) for row in rows], pa.string())


CANDIDATES: dict[str, Convert] = {
    convert.__name__: convert
    for convert in (
        *(hauser, msgspec_structs, orjson_dicts, simdjson_dicts),
        *(arrow_json, arrow_rust, polars, duckdb_json),
    )
}


def _differ(found: pa.Table, expected: Iterable[dict[str, Any]]) -> int:
    return sum(one != reference.as_found(row) for one, row in zip(expected, found.to_pylist(), strict=True))


def _hard(convert: Convert) -> Iterator[str]:
    """Yield for each hard record whether it is exact, refused (so that something slower could read it), or altered."""
    for record in HARD:
        expected = [reference.as_found(row) for row in hauser(record).to_pylist()]
        try:
            found = convert(record)
        except Exception:  # noqa: BLE001 - each library has its own errors
            yield "refused"
        else:
            yield "altered" if _differ(found, expected) else "exact"


def one_core(folder: Path) -> Iterator[Line]:
    """Each candidate on the same bundle, in turns."""
    file = folder / "bundle.ndjson"
    file.write_bytes(b"".join(text + b"\n" for text in events(min(EVENTS, _MEASURED))))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CANDIDATES}
    for _ in range(RUNS):
        for name, runs in found.items():
            runs.append(child(__spec__.name, name, str(file)))
    ours = [run["micros"] for run in found["hauser"]]
    for name, runs in found.items():
        if lacks := runs[0].get("lacks"):
            yield line(name, f"left out: {lacks} is not installed")
            continue
        micros = [run["micros"] for run in runs]
        hard = ", ".join(f"{number} {verdict}" for verdict, number in sorted(runs[0]["hard"].items()))
        yield line(
            f"{name}: {(CANDIDATES[name].__doc__ or '').rstrip('.')}",
            f"{median(micros):.1f} µs an event; of {_COMPARED:,} rows {runs[0]['altered']} altered; hard ones: {hard}",
            over(micros, ours),
            "exact",
        )


def main() -> None:
    """Measure one candidate, and compare its rows with those that are right."""
    convert, text = CANDIDATES[sys.argv[1]], Path(sys.argv[2]).read_bytes()
    lines = text.splitlines(keepends=True)
    try:
        altered = _differ(convert(b"".join(lines[:_COMPARED])), reference.rows(lines[:_COMPARED]))
    except ImportError as exc:
        print(json.dumps({"lacks": exc.name}))
        return
    began = time.process_time()
    convert(text)
    micros = (time.process_time() - began) / len(lines) * 1e6
    print(json.dumps({"micros": micros, "altered": altered, "hard": Counter(_hard(convert))}))


if __name__ == "__main__":
    main()
