"""Metrics of a running pipeline, in a registry of their own."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from cdc.ops import names
from cdc.ops.names import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts and times of the service; methods never raise over a value and are safe to call from any thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._collectors: dict[str, Any] = {metric.name: _collector(metric, self._registry) for metric in names.METRICS}

    def batch_started(self, pipeline: str) -> None:
        """Count a micro-batch."""
        self._of(names.BATCHES, pipeline).inc()

    def batch(
        self,
        pipeline: str,
        table: str,
        *,
        events: int,
        rows: int,
        seconds_by_stage: Mapping[str, float],
    ) -> None:
        """Record one table's share of a micro-batch: events, rows changed, seconds by stage."""
        self._of(names.EVENTS, pipeline, table).inc(events)
        for stage, seconds in seconds_by_stage.items():
            self._of(names.TABLE_BATCH_SECONDS, pipeline, table, stage).observe(seconds)
        self._of(names.ROWS_COMMITTED, pipeline, table).inc(rows)

    def committed(self, pipeline: str, table: str, *, at: float, newest_change_at: float | None) -> None:
        """Record a published commit at ``at``; times are Unix seconds. The lag never shows below zero."""
        self._of(names.COMMITS, pipeline, table).inc()
        self._of(names.LAST_COMMIT, pipeline, table).set(at)
        if newest_change_at is not None:
            self._of(names.LAG, pipeline, table).set(max(0.0, at - newest_change_at))

    def behind(self, pipeline: str, table: str, offsets: int) -> None:
        """Record how many offsets the target lacks."""
        self._of(names.LAG_OFFSETS, pipeline, table).set(offsets)

    def fresh(self, pipeline: str, table: str, lag: float) -> None:
        """Record the lag, in seconds, of a table that lacks nothing of its topic."""
        self._of(names.LAG, pipeline, table).set(lag)

    def quarantined(self, pipeline: str, table: str, count: int, *, blocked_keys: int) -> None:
        """Record messages put into the quarantine, and the keys that wait behind such messages now."""
        self._of(names.QUARANTINED, pipeline, table).inc(count)
        self._of(names.BLOCKED_KEYS, pipeline, table).set(blocked_keys)

    def rule_broken(self, pipeline: str, table: str, rule: str, rows: int) -> None:
        """Count rows of batches that break a rule of quality."""
        self._of(names.RULE_BREAKS, pipeline, table, rule).inc(rows)

    def rule_looked(self, pipeline: str, table: str, rule: str, broken: int) -> None:
        """Record how many rows of a whole table break a rule of quality."""
        self._of(names.RULE_BROKEN_ROWS, pipeline, table, rule).set(broken)

    def schema_changed(self, pipeline: str, table: str, changes: int) -> None:
        """Count changes of the definition of a target's table in the source."""
        self._of(names.SCHEMA_CHANGES, pipeline, table).inc(changes)

    def retried(self, pipeline: str, table: str) -> None:
        """Count an attempt that failed and is repeated."""
        self._of(names.RETRIES, pipeline, table).inc()

    def maintained(self, pipeline: str, table: str, step: str, seconds: float, removed: int, added: int) -> None:
        """Count a step of maintenance that was done, with the files it removed and added."""
        self._of(names.MAINTENANCE_SECONDS, pipeline, table, step).observe(seconds)
        self._of(names.MAINTENANCE_REMOVED, pipeline, table).inc(removed)
        self._of(names.MAINTENANCE_ADDED, pipeline, table).inc(added)

    def expired(self, pipeline: str, table: str, snapshots: int) -> None:
        """Count expired snapshots."""
        self._of(names.MAINTENANCE_EXPIRED, pipeline, table).inc(snapshots)

    def maintenance_failed(self, pipeline: str, table: str, step: str) -> None:
        """Count a step of maintenance that was not done."""
        self._of(names.MAINTENANCE_FAILED, pipeline, table, step).inc()

    def maintenance_over(self, pipeline: str, table: str, *, at: float, left: int) -> None:
        """Record when a table was looked at (Unix time), and how many steps are still due."""
        self._of(names.MAINTENANCE_LAST, pipeline, table).set(at)
        self._of(names.MAINTENANCE_LEFT, pipeline, table).set(left)

    def proved(self, pipeline: str, table: str, *, at: float, rows_read: int, differences: int) -> None:
        """Record a proof of the service that came to its end at a Unix time."""
        self._of(names.PROVED_LAST, pipeline, table).set(at)
        self._of(names.PROVED_DIFFERENCES, pipeline, table).set(differences)
        self._of(names.PROVED_ROWS, pipeline, table).inc(rows_read)

    def proof_failed(self, pipeline: str, table: str) -> None:
        """Count a proof of the service that did not come to its end."""
        self._of(names.PROOFS_FAILED, pipeline, table).inc()

    def table_state(self, pipeline: str, table: str, state: str) -> None:
        """Record the state that a table is in, one of ``names.STATES``."""
        for known in names.STATES:
            self._of(names.TABLE_STATE, pipeline, table, known).set(known == state)

    def load(self, pipeline: str, table: str, rows: int, rows_estimated: int, size: int) -> None:
        """Record how far a table's load is."""
        self._of(names.LOAD_ROWS, pipeline, table).set(rows)
        self._of(names.LOAD_ROWS_ESTIMATED, pipeline, table).set(rows_estimated)
        self._of(names.LOAD_BYTES, pipeline, table).set(size)

    def table_removed(self, pipeline: str, table: str) -> None:
        """Forget the gauges of a table that is in the configuration no more; its counters stay."""
        for metric in names.METRICS:
            if metric.kind == "gauge" and metric.labels[: len(names.TABLE)] == names.TABLE and metric != names.TROUBLE:
                self._forget(metric, pipeline, table)

    def lease(self, pipeline: str, *, held: bool) -> None:
        """Record whether this process holds the lease."""
        self._of(names.LEASE_HELD, pipeline).set(held)

    def log_room(self, pipeline: str, behind_bytes: int | None, left_seconds: float | None) -> None:
        """Show how far a connector is behind its source's log, and in how many seconds its place is lost."""
        for metric, value in ((names.LOG_BEHIND, behind_bytes), (names.LOG_LEFT, left_seconds)):
            if value is None:
                with suppress(KeyError):  # never shown
                    self._collectors[metric.name].remove(pipeline)
            else:
                self._of(metric, pipeline).set(value)

    def trouble(self, pipeline: str, table: str, name: str, *, there: bool) -> None:
        """Show a trouble, of the source itself without a table, or forget it."""
        if there:
            self._of(names.TROUBLE, pipeline, table, name).set(1)
        else:
            with suppress(KeyError):  # never shown
                self._collectors[names.TROUBLE.name].remove(pipeline, table, name)

    def dependency(self, name: str, *, up: bool) -> None:
        """Record whether a dependency answered."""
        self._of(names.DEPENDENCY_UP, name).set(up)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _forget(self, metric: Metric, pipeline: str, table: str) -> None:
        self._collectors[metric.name].remove_by_labels(dict(zip(names.TABLE, (pipeline, table), strict=True)))

    def _of(self, metric: Metric, *labels: str) -> Any:  # noqa: ANN401 - counter, gauge or histogram, by the metric
        return self._collectors[metric.name].labels(*labels)


def _collector(metric: Metric, registry: CollectorRegistry) -> object:
    if metric.kind == "histogram":
        return Histogram(metric.name, metric.meaning, metric.labels, registry=registry, buckets=metric.buckets)
    kind = Counter if metric.kind == "counter" else Gauge
    return kind(metric.name, metric.meaning, metric.labels, registry=registry)
