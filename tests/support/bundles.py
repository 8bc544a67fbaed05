"""Bundles with whatever makes the work of one depend on another: new fields, mismatches, rows of other windows."""

import gzip
import json
from datetime import timedelta

from support.destinations import HOUR, MIDNIGHT

DAY = timedelta(days=1)
STEP = 6 * HOUR
END = MIDNIGHT + 3 * DAY + 12 * HOUR  # two days far behind, each a package and a file; then a file a window
NOW = END + DAY
WINDOWS = [MIDNIGHT + number * STEP for number in range(14)]


def body(start, *rows):
    """Return a bundle of some events, a minute apart."""
    lines = [
        json.dumps({"EventStart": f"{start + number * HOUR / 60:%Y-%m-%dT%H:%M:%SZ}", "EventType": "click", **row})
        for number, row in enumerate(rows)
    ]
    return gzip.compress("\n".join(lines).encode())


def odd_bodies():
    """Return bundles with new fields that come up in several windows, mismatches, and rows that lie outside."""
    odd = {
        1: [{"NewOne": "a"}, {"newone": "b"}, {"plain_str": "c"}],
        2: [{"Zebra": 1, "NewOne": "d"}, {"Apple": {"x": 1.50}}],
        3: [{"EventStart": "2020-01-01T00:00:00Z"}, {"IndvId": "not a number"}],
        4: [{}] * 3,
        5: [{"IndvId": 2**70}, {"NEWONE": "e"}, {"AppName": "phone"}],
        6: [{"AppName": "phone", "Apple": "f"}],
        9: [{"Last": None}, {"Last": True, "Later": 1}],
        10: [{"Later": 2}, {"Earlier": 3}],
        12: [{"evt_x": 1.10}, {"Earlier": "", "Zebra": "z" * 1000}],
    }
    empty = {7: gzip.compress(b""), 13: gzip.compress(b"")}
    return {WINDOWS[number]: body(WINDOWS[number], *rows) for number, rows in odd.items()} | {
        WINDOWS[number]: nothing for number, nothing in empty.items()
    }
