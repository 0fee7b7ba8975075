import re

import pytest

from cdc.ops import names
from cdc.ops.metrics import Metrics
from cdc.ops.names import METRICS, Metric, render_metrics


def value(metrics: Metrics, line: str) -> float:
    found = [text for text in metrics.render().decode().splitlines() if text.startswith(line + " ")]
    assert found, f"{line} is not among the metrics"
    return float(found[0].rpartition(" ")[2])


@pytest.mark.parametrize("metric", METRICS)
def test_names_labels_and_documentation_follow_the_rules(metric: Metric) -> None:
    assert re.fullmatch(r"cdc_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    known = {"pipeline", "table", "operation", "stage", "state", "dependency", "trouble", "step", "rule"}
    assert set(metric.labels) <= known
    assert metric.meaning.endswith(".")
    assert f"`{metric.name}`" in render_metrics()


def test_every_constant_is_registered() -> None:
    assert {item for item in vars(names).values() if isinstance(item, Metric)} == set(METRICS)


def test_a_batch_is_counted_and_timed_by_stage() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.batch_started("shop")
        metrics.batch("shop", "t", events=4, rows=4, seconds_by_stage={"merge": 0.2})
    assert value(metrics, 'cdc_events_total{pipeline="shop",table="t"}') == 8
    assert value(metrics, 'cdc_rows_committed_total{pipeline="shop",table="t"}') == 8
    assert value(metrics, 'cdc_batch_seconds_count{pipeline="shop",stage="merge",table="t"}') == 2
    assert value(metrics, 'cdc_batches_total{pipeline="shop"}') == 2


def test_lag_is_from_source_commit_to_publication_and_never_negative() -> None:
    metrics = Metrics()
    metrics.committed("shop", "t", at=100.0, newest_change_at=97.5)
    assert value(metrics, 'cdc_lag_seconds{pipeline="shop",table="t"}') == 2.5
    metrics.committed("shop", "t", at=100.0, newest_change_at=105.0)
    assert value(metrics, 'cdc_lag_seconds{pipeline="shop",table="t"}') == 0
    metrics.committed("shop", "t", at=110.0, newest_change_at=None)
    assert value(metrics, 'cdc_last_commit_timestamp_seconds{pipeline="shop",table="t"}') == 110


def test_exactly_one_state_is_shown() -> None:
    metrics = Metrics()
    metrics.table_state("shop", "t", "running")
    metrics.table_state("shop", "t", "stopped")
    shown = {s: value(metrics, f'cdc_table_state{{pipeline="shop",state="{s}",table="t"}}') for s in names.STATES}
    assert shown == {"waiting": 0, "loading": 0, "running": 0, "paused": 0, "stopped": 1}


def test_a_removed_table_shows_no_gauges_any_more() -> None:
    metrics = Metrics()
    for table in ("t", "u"):
        metrics.table_state("shop", table, "running")
        metrics.behind("shop", table, 42)
        metrics.committed("shop", table, at=100.0, newest_change_at=97.5)
    metrics.table_removed("shop", "t")
    metrics.table_removed("shop", "never seen")
    lines = [line for line in metrics.render().decode().splitlines() if 'table="t"' in line]
    assert lines
    assert all(line.startswith("cdc_commits_") for line in lines), "counters stay"
    assert value(metrics, 'cdc_lag_offsets{pipeline="shop",table="u"}') == 42


def test_quarantine_backlog_lease_and_dependencies() -> None:
    metrics = Metrics()
    metrics.quarantined("shop", "t", 2, blocked_keys=1)
    metrics.behind("shop", "t", 42)
    metrics.retried("shop", "t")
    metrics.lease("shop", held=True)
    metrics.dependency("kafka", up=False)
    assert value(metrics, 'cdc_quarantined_total{pipeline="shop",table="t"}') == 2
    assert value(metrics, 'cdc_blocked_keys{pipeline="shop",table="t"}') == 1
    assert value(metrics, 'cdc_lag_offsets{pipeline="shop",table="t"}') == 42
    assert value(metrics, 'cdc_retries_total{pipeline="shop",table="t"}') == 1
    assert value(metrics, 'cdc_lease_held{pipeline="shop"}') == 1
    assert value(metrics, 'cdc_dependency_up{dependency="kafka"}') == 0
