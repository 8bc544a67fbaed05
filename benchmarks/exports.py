"""Exports alone: `python -m benchmarks.exports URL NUMBER AT_ONCE` fetches windows, and prints how that went as JSON.

AT_ONCE is `concurrent_exports`: a number, or auto.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.events import HOUR, START
from hauser_dlt.config.reading import read
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.exports import Bundle, Client, SegmentExports
from hauser_dlt.exports.prefetch import deliver
from hauser_dlt.source.connections import ahead, ready
from hauser_dlt.windows import Window


def main() -> None:
    """Fetch all, and do nothing with them."""
    url, number, at_once = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    spelled = {"api_token": "simulator-key", "base_url": url, "concurrent_exports": at_once}
    settings = read(SourceSettings, lambda name: (spelled[name], "benchmark") if name in spelled else None)
    exports = SegmentExports(
        Client(settings, url, lambda seconds: time.sleep(seconds) if seconds else None), settings, {}
    )
    bundles = [Bundle(Window(START + hour * HOUR, START + (hour + 1) * HOUR)) for hour in range(number)]
    numbers = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for delivery in deliver(exports, bundles, Path(folder), ahead(settings), ready(settings), exports.at_once):
            numbers.append(exports.at_once())
            delivery.path.unlink()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "settled": median(numbers[number // 2 :])}))


if __name__ == "__main__":
    main()
