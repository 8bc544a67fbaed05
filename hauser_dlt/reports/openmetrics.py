"""The status as OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/), for Prometheus and others.

All metrics are gauges without timestamps: so the text is one of Prometheus' older format, too, which is what
node_exporter reads from files.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from hauser_dlt.reports.status import Status


class _Gauge(NamedTuple):
    """A metric: its name, which ends with its unit, what it means, and its value; None is not known, and left out."""

    name: str
    unit: str
    help: str
    value: float | None


def as_openmetrics(found: Status, labels: Mapping[str, str]) -> str:
    """Return a status as OpenMetrics; each sample has the labels."""
    marks = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    lines = [line for gauge in _gauges(found) if gauge.value is not None for line in _lines(gauge, marks)]
    return "\n".join([*lines, "# EOF"])


def _lines(gauge: _Gauge, marks: str) -> Iterator[str]:
    name = f"hauser_{gauge.name}"
    yield f"# TYPE {name} gauge"
    if gauge.unit:
        yield f"# UNIT {name} {gauge.unit}"
    yield f"# HELP {name} {gauge.help}"
    yield f"{name}{{{marks}}} {gauge.value}"


def _gauges(found: Status) -> Iterator[_Gauge]:
    lag = None if found.lag is None else round(found.lag.total_seconds())
    loaded_at = max((load["processed"] for load in found.loads if load["processed"]), default=None)
    yield _Gauge("status_timestamp_seconds", "seconds", "When the destination was asked.", _seconds(found.now))
    yield _Gauge("sync_point_timestamp_seconds", "seconds", "Where the next run goes on.", _seconds(found.sync_point))
    yield _Gauge("lag_seconds", "seconds", "How long ago the sync point is.", lag)
    yield _Gauge(
        "next_ready_timestamp_seconds", "seconds", "When the next window will be ready.", _seconds(found.next_ready)
    )
    yield _Gauge(
        "last_load_timestamp_seconds",
        "seconds",
        "When a load last arrived. A run that finds nothing to load leaves no trace.",
        _seconds(loaded_at and datetime.fromisoformat(loaded_at)),
    )
    yield _Gauge("loaded_windows", "windows", "Windows that complete loads have brought.", found.windows)
    yield _Gauge("empty_windows", "windows", "Loaded windows that had no events.", found.empty)
    yield _Gauge("loaded_events", "events", "Events of all loaded windows.", found.events)
    yield _Gauge("waiting_windows", "windows", "Windows that are ready and not loaded.", len(found.waiting))
    yield _Gauge("missing_windows", "windows", "Windows before the sync point that are not loaded.", len(found.missing))
    yield _Gauge(
        "duplicate_intervals", "intervals", "Intervals that more than one load has loaded.", len(found.duplicates)
    )
    yield _Gauge(
        "incomplete_rows",
        "rows",
        "Sync rows of loads that did not finish; the next run removes them.",
        found.incomplete,
    )
    yield _Gauge("problems", "", "What is wrong with the sync table; `status` says what.", len(found.problems))


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else round(moment.timestamp(), 3)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
