"""The floor: what nobody who reads gzipped JSON in Python and writes Parquet comes below, in a fresh process.

`python -m benchmarks.floor BUNDLE TABLE` prints the seconds of each step as JSON: gunzip by zlib, `orjson.loads` of
every record, pyarrow writing the finished table, writing the unpacked bytes; and the processor time of the first three.
"""

import json
import sys
import tempfile
import time
import zlib
from pathlib import Path

import orjson
import pyarrow.parquet


def main() -> None:
    """Measure each step once."""
    bundle, table = Path(sys.argv[1]).read_bytes(), pyarrow.parquet.read_table(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        moments, cpu = [time.perf_counter()], time.process_time()
        plain = zlib.decompress(bundle, wbits=31)
        moments.append(time.perf_counter())
        for line in plain.splitlines():
            orjson.loads(line)
        moments.append(time.perf_counter())
        pyarrow.parquet.write_table(table, f"{folder}/floor.parquet")
        moments.append(time.perf_counter())
        cpu = time.process_time() - cpu
        Path(folder, "floor.json").write_bytes(plain)
        moments.append(time.perf_counter())
    steps = ("gunzip", "parse", "parquet", "write")
    print(json.dumps({step: moments[i + 1] - moments[i] for i, step in enumerate(steps)} | {"cpu": cpu}))


if __name__ == "__main__":
    main()
