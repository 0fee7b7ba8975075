"""The names, labels and meanings of all metrics; docs/metrics.md is generated from here."""

from typing import NamedTuple

from cdc.core.status import TableState


class Metric(NamedTuple):
    """A metric; labels have few values: never a key, a value or a message."""

    name: str
    kind: str
    unit: str
    meaning: str
    labels: tuple[str, ...] = ("pipeline", "table")
    buckets: tuple[float, ...] = ()


TABLE = ("pipeline", "table")
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

EVENTS = Metric(
    "cdc_events_total",
    "counter",
    "change events",
    "Change events in published batches, those of no effect included.",
)
ROWS_COMMITTED = Metric(
    "cdc_rows_committed_total", "counter", "rows", "Rows inserted, updated or deleted in the target."
)
COMMITS = Metric("cdc_commits_total", "counter", "commits", "Published commits.")
QUARANTINED = Metric("cdc_quarantined_total", "counter", "messages", "Messages put into the quarantine table.")
RULE_BREAKS = Metric(
    "cdc_rule_breaks_total", "counter", "rows", "Rows of batches that break a rule of quality.", (*TABLE, "rule")
)
RULE_BROKEN_ROWS = Metric(
    "cdc_rule_broken_rows",
    "gauge",
    "rows",
    "Rows that break a rule of quality, as of the last look at the whole table.",
    (*TABLE, "rule"),
)
SCHEMA_CHANGES = Metric(
    "cdc_schema_changes_total", "counter", "changes", "Changes of the table's definition in the source."
)
BLOCKED_KEYS = Metric("cdc_blocked_keys", "gauge", "keys", "Keys whose events wait behind a quarantined message.")
TABLE_BATCH_SECONDS = Metric(
    "cdc_batch_seconds",
    "histogram",
    "seconds",
    "Time of one table's share of a micro-batch, by stage.",
    (*TABLE, "stage"),
    SECONDS,
)
LAG = Metric(
    "cdc_lag_seconds",
    "gauge",
    "seconds",
    "Time between the newest published change's commit in the source and its publication; of a table that lacks nothing"
    " of its topic, the age of the source's newest heartbeat.",
)
LAG_OFFSETS = Metric(
    "cdc_lag_offsets",
    "gauge",
    "offsets",
    "Offsets in Kafka that the target does not hold yet, markers of transactions included.",
)
MAINTENANCE_SECONDS = Metric(
    "cdc_maintenance_seconds",
    "histogram",
    "seconds",
    "Time of one step of a table's maintenance, by step.",
    (*TABLE, "step"),
    SECONDS,
)
MAINTENANCE_REMOVED = Metric(
    "cdc_maintenance_files_removed_total",
    "counter",
    "files",
    "Data files, delete files and manifests that maintenance put together with others, and orphans it removed.",
)
MAINTENANCE_ADDED = Metric(
    "cdc_maintenance_files_added_total", "counter", "files", "Files that maintenance wrote in their place."
)
MAINTENANCE_EXPIRED = Metric(
    "cdc_maintenance_snapshots_expired_total", "counter", "snapshots", "Snapshots that maintenance expired."
)
MAINTENANCE_FAILED = Metric(
    "cdc_maintenance_failures_total",
    "counter",
    "steps",
    "Steps of maintenance that failed, lost to a commit or were given up for a batch; they are tried again.",
    (*TABLE, "step"),
)
MAINTENANCE_LAST = Metric(
    "cdc_maintenance_last_run_timestamp_seconds", "gauge", "Unix time", "When maintenance last looked at the table."
)
MAINTENANCE_LEFT = Metric(
    "cdc_maintenance_steps_due", "gauge", "steps", "Steps that were due and not done when maintenance last looked."
)
PROVED_LAST = Metric(
    "cdc_proved_timestamp_seconds",
    "gauge",
    "Unix time",
    "When a proof of the service last compared all rows of the table with the source's, equal or not.",
)
PROVED_DIFFERENCES = Metric(
    "cdc_proved_differences", "gauge", "rows", "Rows that were found not to be the source's in the last such proof."
)
PROVED_ROWS = Metric(
    "cdc_proved_rows_read_total", "counter", "rows", "Rows of the source that proofs of the service have read."
)
PROOFS_FAILED = Metric(
    "cdc_proofs_failed_total", "counter", "proofs", "Proofs of the service that did not come to their end."
)
LAST_COMMIT = Metric(
    "cdc_last_commit_timestamp_seconds", "gauge", "Unix time", "When the target was last committed to."
)
TABLE_STATE = Metric(
    "cdc_table_state",
    "gauge",
    "0 or 1",
    f"1 for the state that the table is in, 0 for the others: {', '.join(TableState)}.",
    (*TABLE, "state"),
)
LOAD_ROWS = Metric("cdc_load_rows", "gauge", "rows", "Rows of the table that its load has read so far.")
LOAD_ROWS_ESTIMATED = Metric(
    "cdc_load_rows_estimated", "gauge", "rows", "Rows that the table has by the estimate of its database."
)
LOAD_BYTES = Metric("cdc_load_bytes", "gauge", "bytes", "What its load has read so far, as Arrow holds it.")
RETRIES = Metric(
    "cdc_retries_total", "counter", "attempts", "Attempts that failed with a transient error and were repeated."
)
BATCHES = Metric("cdc_batches_total", "counter", "batches", "Micro-batches that were worked on.", ("pipeline",))
LEASE_HELD = Metric(
    "cdc_lease_held", "gauge", "0 or 1", "1 while this process holds the pipeline's lease.", ("pipeline",)
)
DEPENDENCY_UP = Metric(
    "cdc_dependency_up",
    "gauge",
    "0 or 1",
    "1 if the dependency answered the last readiness check; so for each of its other lines that says ok.",
    ("dependency",),
)

LOG_BEHIND = Metric(
    "cdc_log_behind_bytes",
    "gauge",
    "bytes",
    "Bytes of the source's log between the connector's place and its end.",
    ("pipeline",),
)
LOG_LEFT = Metric(
    "cdc_log_left_seconds",
    "gauge",
    "seconds",
    "Seconds until the source drops the connector's place in its log, at the rate of late; absent where it never does.",
    ("pipeline",),
)
TROUBLE = Metric(
    "cdc_trouble",
    "gauge",
    "1",
    "1 while something is wrong with the source, or with the table of the source that `table` names.",
    ("pipeline", "table", "trouble"),
)

METRICS = (
    EVENTS,
    ROWS_COMMITTED,
    COMMITS,
    QUARANTINED,
    RULE_BREAKS,
    RULE_BROKEN_ROWS,
    SCHEMA_CHANGES,
    BLOCKED_KEYS,
    TABLE_BATCH_SECONDS,
    LAG,
    LAG_OFFSETS,
    LAST_COMMIT,
    MAINTENANCE_SECONDS,
    MAINTENANCE_REMOVED,
    MAINTENANCE_ADDED,
    MAINTENANCE_EXPIRED,
    MAINTENANCE_FAILED,
    MAINTENANCE_LAST,
    MAINTENANCE_LEFT,
    PROVED_LAST,
    PROVED_DIFFERENCES,
    PROVED_ROWS,
    PROOFS_FAILED,
    TABLE_STATE,
    LOAD_ROWS,
    LOAD_ROWS_ESTIMATED,
    LOAD_BYTES,
    RETRIES,
    BATCHES,
    LEASE_HELD,
    DEPENDENCY_UP,
    LOG_BEHIND,
    LOG_LEFT,
    TROUBLE,
)

STATES = tuple(state.value for state in TableState)

_INTRODUCTION = """\
<!-- Generated by `make docs` from cdc/ops/names.py; do not edit. -->

# Metrics

`cdc stream` serves them at `/metrics` in Prometheus' text format, on `operations.http_host` and `operations.http_port`.
Labels: `pipeline` is the source's name, `table` the target's name. A histogram adds `_bucket`, `_sum` and `_count`.

| metric | kind | unit | labels | meaning |
|---|---|---|---|---|
"""

_HEALTH = """
# Health

| path | answers | status |
|---|---|---|
| `/health/live` | whether the process works on its batches | 200 or 503 |
| `/health/ready` | a line each: source, kafka, registry, connect, catalog, troubles, tables | 200 or 503 |
| `/health` | both | 200 or 503 |

With `Accept: application/json` the answer is JSON.
"""


def render_metrics() -> str:
    """Return docs/metrics.md."""
    return _INTRODUCTION + "".join(map(_row, METRICS)) + _HEALTH


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {metric.meaning} |\n"
