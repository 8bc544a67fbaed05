"""A status as one self-contained HTML page: no script, no picture, no network."""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from html import escape
from pathlib import Path

from hauser_dlt.machine import unusable
from hauser_dlt.reports.day_grid import Day, State
from hauser_dlt.reports.status import Status
from hauser_dlt.reports.text import LABELS, SYMBOLS, bar_length, facts

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --back: #fff; --line: #6e7781;
  --loaded: #1a7f37; --settling: #59636e; --waiting: #0969da; --missing: #cf222e; --duplicate: #8250df; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --back: #0d1117; --line: #8b949e;
  --loaded: #3fb950; --settling: #9198a1; --waiting: #58a6ff; --missing: #ff7b72; --duplicate: #d2a8ff; } }
body { margin: 1.5rem auto; padding: 0 1rem; max-width: 60rem; color: var(--text); background: var(--back);
  font: 1rem/1.4 system-ui, sans-serif; }
h1 { font-size: 1.4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; overflow-wrap: anywhere; }
dt { font-weight: 600; } dd { margin: 0; }
.scroll { overflow-x: auto; position: relative; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
caption { text-align: left; padding-bottom: .5rem; }
th { font-weight: 400; text-align: left; }
thead th { font-size: .75rem; color: var(--settling); }
td { padding: 0; text-align: center; min-width: 1.05rem; }
tbody th { padding-right: .75rem; }
td.events { text-align: right; padding: 0 .6rem; }
td:nth-of-type(6n + 1) { padding-left: .35rem; }
svg { width: 10rem; height: .7rem; fill: var(--loaded); }
.empty, .loaded { color: var(--loaded); } .settling { color: var(--settling); } .waiting { color: var(--waiting); }
.missing { color: var(--missing); } .duplicate { color: var(--duplicate); } .missing, .duplicate { font-weight: 700; }
.key { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media (max-width: 44rem) { td { min-width: .55rem; font-size: .7rem; } .wide { display: none; }
  tbody th { padding-right: .25rem; } td.events { padding: 0 .25rem; } th, td.events { font-size: .75rem; } }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"


def as_html(found: Status) -> str:
    """Return a status as a page. Whatever comes from settings or the destination is escaped."""
    title = f"hauser-dlt: {escape(found.place)}"
    listed = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts(found))
    key = "\n".join(
        f'<li><span class="{state.name.lower()}" aria-hidden="true">{SYMBOLS[state]}</span> {label}</li>'
        for state, label in LABELS.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>What is loaded</h1>
<p>As of <time datetime="{found.now:%Y-%m-%dT%H:%M:%SZ}">{found.now:%Y-%m-%d %H:%M} UTC</time></p>
<div class="scroll" role="region" aria-labelledby="day-grid" tabindex="0">
<table>
<caption id="day-grid">Hours of each day, in UTC, newest day first</caption>
<thead><tr><th scope="col">day</th>{_hour_headings()}<th scope="col">events</th><td class="wide"></td></tr></thead>
<tbody>
{"".join(_rows(found.days))}</tbody>
</table>
</div>
<ul class="key" aria-label="Signs">
{key}
</ul>
<dl>
{listed}
</dl>
</main>
</body>
</html>
"""


def _hour_headings() -> str:
    return "".join(
        f'<th scope="col">{hour:02}</th>'
        if hour % 6 == 0
        else f'<th scope="col"><span class="said">{hour:02}</span></th>'
        for hour in range(24)
    )


def _rows(days: list[Day]) -> Iterator[str]:
    most = max(day.events for day in days)
    for day in reversed(days):
        hours = "".join(map(_cell, day.hours))
        rect = f'<rect width="{bar_length(day.events, most, 100)}" height="1"/>'
        bar = f'<svg viewBox="0 0 100 1" preserveAspectRatio="none">{rect}</svg>'
        yield (
            f'<tr><th scope="row"><span class="wide">{day.start:%a} </span>{day.start:%Y-%m-%d}</th>{hours}'
            f'<td class="events">{day.events:,}</td><td class="wide" aria-hidden="true">{bar}</td></tr>\n'
        )


def _cell(state: State) -> str:
    if state is State.NONE:
        return "<td></td>"
    label = LABELS[state]
    return (
        f'<td class="{state.name.lower()}" title="{label}">'
        f'<span aria-hidden="true">{SYMBOLS[state]}</span><span class="said">{label}</span></td>'
    )


def write_html(found: Status, path: Path) -> None:
    """Write the page atomically: whoever reads the file meanwhile has the old page or the new one.

    Raises:
        HauserError: it cannot be written there.
    """
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, say, which must not be replaced
            path.write_text(as_html(found), encoding="utf-8")
        else:
            _replace(path.resolve(), as_html(found))
    except OSError as exc:
        raise unusable(f"--html {path}", exc, "name a file that can be written") from None


def _replace(path: Path, text: str) -> None:
    """Write a new file in the place of the old one; others cannot guess its name and put a link there meanwhile."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with fresh.open("x", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
