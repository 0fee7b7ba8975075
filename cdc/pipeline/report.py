"""Report: what a pipeline tells the world, gathered while it runs and written now and then.

Nothing here is needed to go on: the tables' own history is the truth, the status table and the ledger are derived.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import structlog

from cdc.core.progress import Progress
from cdc.core.status import LedgerRow, StatusRow, TableState
from cdc.pipeline.apply import Applied
from cdc.pipeline.table import TableSpec

log = structlog.get_logger()


class StatusStore(Protocol):
    """Where status and ledger are kept; a failed write loses nothing that could not be derived again."""

    def write(self, status: Sequence[StatusRow], ledger: Sequence[LedgerRow]) -> None:
        """Replace the status rows of the pipeline and append to the ledger."""
        ...


class Metrics(Protocol):
    """Counters and gauges of a running service."""

    def batch(
        self,
        pipeline: str,
        table: str,
        *,
        events: int,
        rows: int,
        seconds_by_stage: Mapping[str, float],
    ) -> None:
        """Count one applied batch."""
        ...

    def committed(self, pipeline: str, table: str, *, at: float, newest_change_at: float | None) -> None:
        """Record a published commit; times are Unix seconds."""
        ...

    def behind(self, pipeline: str, table: str, offsets: int) -> None:
        """Record how many offsets the target lacks."""
        ...

    def fresh(self, pipeline: str, table: str, lag: float) -> None:
        """Record the lag, in seconds, of a table that lacks nothing of its topic."""
        ...

    def quarantined(self, pipeline: str, table: str, count: int, *, blocked_keys: int) -> None:
        """Record quarantined messages."""
        ...

    def rule_broken(self, pipeline: str, table: str, rule: str, rows: int) -> None:
        """Count rows of batches that break a rule of quality."""
        ...

    def table_state(self, pipeline: str, table: str, state: str) -> None:
        """Show a table's state."""
        ...

    def table_removed(self, pipeline: str, table: str) -> None:
        """Show nothing more of what a table's state, lag and backlog are."""
        ...

    def lease(self, pipeline: str, *, held: bool) -> None:
        """Show whether this process holds the lease."""
        ...


class Late(NamedTuple):
    """A table that lacks changes for longer than it may; both in seconds."""

    target: str
    seconds: float
    allowed: float


class _Lacking(NamedTuple):
    """Whether a table lacked anything when it was looked at last, and since when that may be."""

    since: datetime
    freshness: float
    lacks: bool


@dataclass
class Report:
    """Gathers what happens to a pipeline's tables; safe to call from the pipeline's threads."""

    pipeline: str
    store: StatusStore
    metrics: Metrics
    interval: timedelta
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _rows: dict[str, StatusRow] = field(default_factory=dict)
    _lacking: dict[str, "_Lacking"] = field(default_factory=dict)
    _ledger: list[LedgerRow] = field(default_factory=list)
    _due_at: float = 0.0
    _dirty: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def remember(self, rows: Iterable[StatusRow]) -> None:
        """Go on from what an earlier run wrote: counts, positions and times of tables that may be idle now."""
        self._rows |= {row.source: row for row in rows}

    def started(self) -> None:
        """Note that the query runs; tables without events wait."""
        self.metrics.lease(self.pipeline, held=True)
        for row in self._rows.values():
            self.metrics.table_state(self.pipeline, row.target, row.state)

    def found(self, spec: TableSpec, progress: Progress) -> None:
        """Note a table as it was found at the start."""
        with self._lock:
            state = TableState.RUNNING if progress.partitions else TableState.WAITING
            offsets = progress.to_json() if progress.partitions else ""
            known = self._rows.get(spec.topic) or self._blank(spec)
            now = self.now()
            self._rows[spec.topic] = replace(known, state=state, offsets=offsets, updated_at=now, last_error="")
            self._dirty = True

    def applied(self, spec: TableSpec, token: int, result: Applied) -> None:
        """Note a batch that is in the table."""
        now = self.now()
        source_at = _instant(result.collapsed.newest_at_ms)
        lag = None if source_at is None else max(0.0, (now - source_at).total_seconds())
        counts = {
            "events": result.collapsed.events - result.collapsed.problems,
            "quarantined": result.collapsed.problems,
            **{name: result.counts.get(name, 0) for name in ("inserted", "updated", "deleted")},
        }
        with self._lock:
            row = self._rows.get(spec.topic) or self._blank(spec)
            self._rows[spec.topic] = _advanced(row, token, result, counts, now, source_at, lag)
            if result.snapshot_id is not None:
                self._ledger.append(_ledger_row(spec, token, result, counts, now, source_at))
            self._dirty = True
        if result.schema:
            added, widened = dict(result.schema.add), dict(result.schema.widen)
            log.info("target evolved", pipeline=self.pipeline, table=str(spec.target), added=added, widened=widened)
        self._measure(str(spec.target), result, counts, now)
        self.metrics.table_state(self.pipeline, str(spec.target), self._rows[spec.topic].state)
        log.info(
            "batch applied",
            pipeline=self.pipeline,
            table=str(spec.target),
            snapshot=result.snapshot_id,
            lag_seconds=lag,
            way=result.way or None,
            seconds={name: round(value, 3) for name, value in result.seconds.items()},
            **counts,
        )

    def _measure(self, table: str, result: Applied, counts: Mapping[str, int], now: datetime) -> None:
        rows = counts["inserted"] + counts["updated"] + counts["deleted"]
        self.metrics.batch(self.pipeline, table, events=counts["events"], rows=rows, seconds_by_stage=result.seconds)
        if result.snapshot_id is not None:
            newest = result.collapsed.newest_at_ms
            at = None if newest is None else newest / 1000
            self.metrics.committed(self.pipeline, table, at=now.timestamp(), newest_change_at=at)
        for name, verdict in result.broken.items():
            self.metrics.rule_broken(self.pipeline, table, name, verdict.broken)
            log.warning("rule broken", pipeline=self.pipeline, table=table, rule=name, rows=verdict.broken)
        if counts["quarantined"]:
            self.metrics.quarantined(self.pipeline, table, counts["quarantined"], blocked_keys=result.blocked)

    def behind(self, spec: TableSpec, offsets: int, alive_at: datetime | None) -> None:
        """Note how many offsets a table lacks; of one that lacks none the lag is the age of the source's heartbeat."""
        self.metrics.behind(self.pipeline, str(spec.target), offsets)
        with self._lock:
            known = self._lacking.get(spec.topic)
            since = known.since if known and offsets else self.now()
            self._lacking[spec.topic] = _Lacking(since, spec.freshness, lacks=offsets > 0)
        if offsets or alive_at is None:
            return
        lag = max(0.0, (self.now() - alive_at).total_seconds())
        self.metrics.fresh(self.pipeline, str(spec.target), lag)
        with self._lock:
            if row := self._rows.get(spec.topic):  # written with the next row that has news: derived, and soon old
                self._rows[spec.topic] = replace(row, lag_seconds=lag)

    def late(self) -> list[Late]:
        """Return the running tables that are later than they may be."""
        now, found = self.now(), []
        with self._lock:
            for topic, lacking in self._lacking.items():
                row = self._rows.get(topic)
                if row and lacking.lacks and row.state == TableState.RUNNING:
                    since = max(lacking.since, row.source_at or lacking.since)
                    found.append(Late(row.target, (now - since).total_seconds(), lacking.freshness))
        return [one for one in found if one.seconds > one.allowed]

    def stopped(self, spec: TableSpec, error: str) -> None:
        """Note a table that cannot go on."""
        self._rests(spec, TableState.STOPPED, error)

    def loading(self, spec: TableSpec) -> None:
        """Note a table whose first rows are not there yet."""
        self._rests(spec, TableState.LOADING, "waits for its load")

    def paused(self, spec: TableSpec, pause: str) -> None:
        """Note a table that an operator paused; ``pause`` tells who, when and why."""
        self._rests(spec, TableState.PAUSED, pause)

    def resting(self) -> list[str]:
        """Return which tables are stopped, and why."""
        with self._lock:
            rows = list(self._rows.values())
        return [f"{row.target}: {row.state}: {row.last_error}" for row in rows if row.state == TableState.STOPPED]

    def running(self) -> frozenset[str]:
        """Return the targets that have had a batch or rows of a load, and are neither paused nor stopped."""
        with self._lock:
            return frozenset(row.target for row in self._rows.values() if row.state == TableState.RUNNING)

    def removed(self, spec: TableSpec) -> None:
        """Forget a table that is in the configuration no more."""
        with self._lock:
            self._rows.pop(spec.topic, None)
            self._lacking.pop(spec.topic, None)
            self._dirty = True
        self.metrics.table_removed(self.pipeline, str(spec.target))

    def _rests(self, spec: TableSpec, state: TableState, why: str) -> None:
        with self._lock:
            row = self._rows.get(spec.topic) or self._blank(spec)
            if (row.state, row.last_error) != (state, why):
                self._rows[spec.topic] = replace(row, state=state, last_error=why, updated_at=self.now())
                self._dirty = True
                self._due_at = 0.0
                log.info("table rests", pipeline=self.pipeline, table=str(spec.target), state=str(state), detail=why)
        self.metrics.table_state(self.pipeline, str(spec.target), state)

    def flush_when_due(self) -> None:
        """Write what there is, at most once per interval."""
        if self._dirty and time.monotonic() >= self._due_at:
            self.flush()

    def flush(self, *, stopping: bool = False) -> None:
        """Write the status and the ledger; a failure is logged, and the rows are kept for the next time."""
        with self._lock:
            rows, ledger = list(self._rows.values()), list(self._ledger)
            self._dirty = False
            self._due_at = time.monotonic() + self.interval.total_seconds()
        try:
            self.store.write(rows, ledger)
        except Exception as error:  # noqa: BLE001 - derived data must never stop the stream
            self._dirty = True
            log.warning("status not written", pipeline=self.pipeline, error=type(error).__name__, stopping=stopping)
            return
        with self._lock:
            self._ledger = self._ledger[len(ledger) :]

    def _blank(self, spec: TableSpec) -> StatusRow:
        return StatusRow(
            pipeline=self.pipeline,
            source=spec.topic,
            target=str(spec.target),
            state=TableState.WAITING,
            position="",
            offsets="",
            table_snapshot=None,
            token=0,
            batches=0,
            events=0,
            inserted=0,
            updated=0,
            deleted=0,
            quarantined=0,
            lag_seconds=None,
            source_at=None,
            committed_at=None,
            updated_at=self.now(),
            last_error="",
        )


def _advanced(
    row: StatusRow,
    token: int,
    result: Applied,
    counts: Mapping[str, int],
    now: datetime,
    source_at: datetime | None,
    lag: float | None,
) -> StatusRow:
    committed = result.snapshot_id is not None
    return replace(
        row,
        state=row.state if row.state == TableState.PAUSED else TableState.RUNNING,  # paused while the batch ran
        position=max(row.position, result.collapsed.last_position),
        offsets=result.progress.to_json(),
        table_snapshot=result.snapshot_id or row.table_snapshot,
        token=token,
        batches=row.batches + 1,
        events=row.events + counts["events"],
        inserted=row.inserted + counts["inserted"],
        updated=row.updated + counts["updated"],
        deleted=row.deleted + counts["deleted"],
        quarantined=row.quarantined + counts["quarantined"],
        lag_seconds=lag if lag is not None else row.lag_seconds,
        source_at=source_at or row.source_at,
        committed_at=now if committed else row.committed_at,
        updated_at=now,
        way=result.way or row.way,
        seconds=round(sum(result.seconds.values()), 3) if result.way else row.seconds,
    )


def _ledger_row(
    spec: TableSpec,
    token: int,
    result: Applied,
    counts: Mapping[str, int],
    now: datetime,
    source_at: datetime | None,
) -> LedgerRow:
    return LedgerRow(
        pipeline=spec.pipeline,
        target=str(spec.target),
        table_snapshot=result.snapshot_id or 0,
        parent_snapshot=result.parent_id or 0,
        token=token,
        first_position=result.collapsed.first_position,
        last_position=result.collapsed.last_position,
        offsets=result.progress.to_json(),
        events=counts["events"],
        inserted=counts["inserted"],
        updated=counts["updated"],
        deleted=counts["deleted"],
        source_at=source_at,
        committed_at=now,
        seconds=sum(result.seconds.values()),
    )


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
