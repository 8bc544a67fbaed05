"""Exports alone: `python -m benchmarks.exports URL NUMBER` fetches windows, eight at once, and prints the seconds."""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.events import HOUR, START
from hauser_dlt.config.reading import read
from hauser_dlt.config.source_settings import SourceSettings
from hauser_dlt.exports import Bundle, Client, SegmentExports
from hauser_dlt.exports.prefetch import deliver
from hauser_dlt.windows import Window


def main() -> None:
    """Fetch all, and do nothing with them."""
    url, number = sys.argv[1], int(sys.argv[2])
    spelled = {"api_token": "simulator-key", "base_url": url, "concurrent_exports": 8}
    settings = read(SourceSettings, lambda name: (spelled[name], "benchmark") if name in spelled else None)
    exports = SegmentExports(
        Client(settings, url, lambda seconds: time.sleep(seconds) if seconds else None), settings, {}
    )
    bundles = [Bundle(Window(START + hour * HOUR, START + (hour + 1) * HOUR)) for hour in range(number)]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for delivery in deliver(exports, bundles, Path(folder), 8):
            delivery.path.unlink()
    print(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
