"""What a run has to do: the windows that are ready and not loaded. Nothing is changed, neither here nor there."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import dlt

from hauser_dlt.config.configuration import Configuration
from hauser_dlt.config.parsers import moment
from hauser_dlt.destinations import DestinationAdapter
from hauser_dlt.destinations.folder import read_text
from hauser_dlt.errors import ConfigError
from hauser_dlt.exports import Exports
from hauser_dlt.ledger import CLOCKS_DIFFER, Findings, SyncRow
from hauser_dlt.source.connections import first_start
from hauser_dlt.sync.cursor import cursor
from hauser_dlt.sync.model import Plan, Seen, Unready
from hauser_dlt.windows import DAY, Shard, Window, floor, united

_REFRESH_REACHES_BACK = 30 * DAY  # runs may have paused for a while


class Planner:
    """Plans one run, from the destination as it was inspected and what FullStory has."""

    def __init__(
        self,
        config: Configuration,
        exports: Exports,
        pipeline: dlt.Pipeline,
        to: DestinationAdapter,
        seen: Seen,
        now: datetime,
    ) -> None:
        self._config = config
        self._exports = exports
        self._pipeline = pipeline
        self._to = to
        self._seen = seen
        self._ledger = seen.ledger
        self._now = now

    def go_on(self, start: datetime | None, end: datetime | None, shard: Shard | None = None) -> Plan:
        """Return what there is to load.

        Args:
            start: begin of a backfill; None goes on from the sync point.
            end: where to stop at the latest.
            shard: the days of a backfill to load; None is all of them.
        """
        now, exports = self._now, self._exports
        ready_until, unit = exports.ready_until(now), self._seen.source.export_duration
        if self._config.run.group_by_day and start is None and not exports.final:
            ready_until, unit = floor(ready_until, DAY), DAY  # whole days only
        with self._ledger.connected():
            begin, begun, rewound, has_legacy_rows = (start, False, False, False) if start else self._sync_point()
            interval = self._ledger.expand_to_damaged_loads(
                Window(begin, max(begin, min(end or ready_until, ready_until)))
            )
            owned = self._ledger.owned(interval)
            findings = self._ledger.findings()
        bundles = [b for b in exports.bundles(interval, owned, now) if b.window.end <= now + CLOCKS_DIFFER]
        there = (*owned, *(bundle.window for bundle in bundles))
        interval = exports.covered(interval, there)
        ends = [window.end for window in there if window.end <= interval.end and not shard]
        bundles = [bundle for bundle in bundles if shard is None or shard.takes(bundle.window)]
        plan = Plan(
            interval,
            bundles,
            ready_until,
            start is None,
            rewound,
            has_legacy_rows,
            begun=begun,
            reached=max([*ends, *([interval.start] if begun else [])], default=None),
            unready=self._unready(Window(begin, end or ready_until), ready_until, unit, goes_on=bool(end) or begun),
            shard=shard,
        )
        return self._with_findings(plan, findings)

    def load_again(self, intervals: Iterable[Window]) -> Plan:
        """Return what loads some intervals again.

        They are expanded to whole windows (of files: to whole loads), since those are what can be taken away.
        """
        asked = list(intervals)
        ready_until = self._exports.ready_until(self._now)
        with self._ledger.connected():
            whole = [
                self._ledger.expand_to_boundaries(Window(i.start, min(i.end, ready_until)))
                for i in asked
                if i.start < ready_until
            ]
            findings = self._ledger.findings()
        again = [Window(i.start, min(i.end, ready_until)) for i in united(whole)]
        bundles = [bundle for interval in again for bundle in self._exports.bundles(interval, (), self._now)]
        span = Window(again[0].start, again[-1].end) if again else Window(ready_until, ready_until)
        in_all = Window(min(i.start for i in asked), max(i.end for i in asked)) if asked else span
        unready = self._unready(in_all, ready_until, self._seen.source.export_duration, goes_on=True)
        plan = Plan(span, bundles, ready_until, moves_cursor=False, again=True, unready=unready)
        return self._with_findings(plan, findings)

    def refresh(self) -> Plan:
        """Return what loads windows again whose events were young when they were loaded, and are not any more."""
        age = self._config.run.refresh_for
        with self._ledger.connected():
            reach = Window(self._now - age - _REFRESH_REACHES_BACK, self._now)
            rows = [row for row in self._ledger.rows(reach) if row.owns and row.load_id]
        due = [row for row in rows if _is_due(row, age, self._now)]
        if self._to.reload_unit == "load":
            waiting = {row.load_id for row in rows if row not in due}
            due = [row for row in due if row.load_id not in waiting]
        return self.load_again(united(row.window for row in due))

    def _unready(self, asked: Window, ready_until: datetime, unit: timedelta, *, goes_on: bool) -> Unready | None:
        """Return what is not ready of what was asked for.

        Args:
            unit: what is loaded at a time, windows or days.
            goes_on: it has an end or has begun. Of what has neither, the first unit is told of.
        """
        end = asked.end if goes_on or asked.start < ready_until else floor(asked.start, unit) + unit
        interval = Window(max(asked.start, ready_until), end)
        if interval.start >= interval.end:
            return None
        first = min(floor(interval.start, unit) + unit, interval.end)
        return Unready(interval, self._exports.ready_at(first), self._exports.ready_at(interval.end))

    def _with_findings(self, plan: Plan, findings: Findings) -> Plan:
        source, export = self._seen.source, self._seen.tables.export
        expired = export.columns and self._config.bigquery.partition_expiration
        lost = ""
        if findings.lost and not expired:
            gone = "has no rows" if export.columns or self._to.holds_files else "is not there"
            lost = (
                f"{source.export_table} {gone}, while {source.sync_table} tells of {findings.lost:,} events that are"
                f" loaded; delete the rows of {source.sync_table} to have them loaded again, or set their EventCount"
                " to 0 if the events are gone on purpose"
            )
        return replace(plan, warnings=tuple(findings.warnings(source.sync_table)), lost=lost)

    def _sync_point(self) -> tuple[datetime, bool, bool, bool]:
        """Return where to go on, and whether runs came there, dlt's cursor lies beyond it, a Go hauser came there.

        The sync table is the truth, since users edit it; the cursor tells which of its rows were loaded by going
        on (backfills add rows of later intervals, too).
        """
        until = cursor(self._pipeline)
        if until is None:
            legacy = self._ledger.legacy_sync_point()
            came = legacy is not None
            return legacy or self._first_start_or_before(), came, False, came
        last = self._ledger.last(until)
        return (last, True, last < until, False) if last else (self._first_start(), False, True, False)

    def _first_start_or_before(self) -> datetime:
        """Return where to start without a cursor. It may be lost, with windows loaded long before a usual start."""
        start = self._first_start()
        loaded = self._ledger.first() if self._pipeline.first_run and not self._seen.source.start_time else None
        return min(start, loaded or start)

    def _first_start(self) -> datetime:
        found = [time for place in self._config.run.hauser_sync_file if (time := read_checkpoint(place))]
        return max(found, default=None) or first_start(self._seen.source, self._now)


def _is_due(row: SyncRow, age: timedelta, now: datetime) -> bool:
    """Tell whether a window's events were younger than `age` when they were loaded, and have come of age."""
    ripe = row.end + age
    return row.processed is not None and row.processed < ripe <= now


def read_checkpoint(place: str) -> datetime | None:
    """Return the time in a Go hauser's checkpoint file, a path or URL; None if there is no such file.

    Raises:
        ConfigError: the file does not hold one RFC 3339 time.
    """
    text = read_text(place)
    if text is None:
        return None
    with suppress(ValueError):
        if time := moment(text):
            return time.replace(microsecond=0)  # bundles end on whole seconds
    raise ConfigError(f"{place} holds no time; put hauser's last sync point there, such as 2024-05-01T00:00:00Z")
