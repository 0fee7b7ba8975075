"""The summary of a long run: what is flat, what grows, and which lines of a log are told."""

import json
import random
from typing import Any

import pytest

from tests.bench.churn import Keys
from tests.bench.fresh import Drawn
from tests.bench.samples import FEWEST, JUDGED, event_names, first_commits, flat, quantiles, quarters, summary

SHAPE = {"data_files": 40, "delete_files": 20, "manifests": 60, "snapshots": 500, "metadata_bytes": 500_000}


def sample(**other: Any) -> dict[str, Any]:
    return {
        "up_seconds": 100.0,
        "pss_mb": 1200,
        "open_files": 300,
        "threads": 90,
        "tables": SHAPE,
        "own": SHAPE,
        "warehouse": {"files": 5000, "mb": 100},
        "checkpoint": {"files": 200, "mb": 1},
        "index": {"files": 0, "mb": 0},
        "lag": {"a": 1.0, "b": 2.0},
        "first_commits": [],
        "log": {},
        **other,
    }


def test_quarters_are_medians_of_four_parts_that_leave_nothing_out() -> None:
    assert quarters([1, 2, 3, 4, 5, 6, 7, 8]) == [1.5, 3.5, 5.5, 7.5]
    assert quarters([1, 1, 9, 2, 2, 2, 3, 3, 3, 4, 4, 4]) == [1, 2, 3, 4]
    assert quarters([1, 2, 3, 4, 5, 6, 7, 8, 9]) == [1.5, 3.5, 5.5, 8]


def test_of_too_few_samples_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="7 samples are too few"):
        flat([1.0] * (FEWEST - 1))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([1, 2, 100, 100, 100, 100, 125, 125], id="a quarter more than in the second quarter"),
        pytest.param([100, 90, 80, 70, 60, 50, 40, 30], id="it shrinks"),
        pytest.param([0, 0, 0, 0, 0, 0, 0, 0], id="nothing"),
        pytest.param([100, 200] * 6, id="a saw of which each quarter has the same"),
        pytest.param([10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 9999], id="one peak at the end"),
    ],
)
def test_flat(values: list[float]) -> None:
    assert flat(values)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([1, 2, 100, 100, 100, 100, 126, 126], id="more than a quarter more"),
        pytest.param(list(range(100, 500, 10)), id="a steady leak"),
        pytest.param([0, 0, 0, 0, 0, 0, 1, 1], id="from nothing to something"),
        pytest.param([999, 999, 10, 10, 10, 10, 20, 20], id="a start that needed much excuses nothing"),
    ],
)
def test_not_flat(values: list[float]) -> None:
    assert not flat(values)


def test_a_steady_run_has_nothing_that_grows() -> None:
    found = summary([sample() for _ in range(12)])
    assert found["growing"] == []
    assert set(found["quarters"]) == set(JUDGED)
    assert found["quarters"]["live_files"] == {"medians": [60.0] * 4, "flat": True}


def test_what_grows_is_named() -> None:
    leak = [sample(pss_mb=1000 + 100 * number, open_files=300 + 30 * number) for number in range(12)]
    assert summary(leak)["growing"] == ["pss_mb", "open_files"]


def test_live_delete_files_that_pile_up_are_seen() -> None:
    piling = [sample(tables={**SHAPE, "delete_files": 20 * number}) for number in range(12)]
    assert summary(piling)["growing"] == ["live_files"]


def test_snapshots_that_are_still_collected_are_no_growth_but_files_beside_them_are() -> None:
    def at(number: int, left: int) -> dict[str, Any]:
        shape = {**SHAPE, "snapshots": 100 * number, "metadata_bytes": 100_000 * number}
        return sample(tables=shape, own=shape, warehouse={"files": 1000 * number + left, "mb": number})

    assert summary([at(number, 0) for number in range(1, 13)])["growing"] == []
    assert summary([at(number, 200 * number**2) for number in range(1, 13)])["growing"] == [
        "warehouse_files_per_snapshot"
    ]


def test_lag_right_behind_a_start_is_told_apart() -> None:
    found = summary([sample(up_seconds=5.0, lag={"a": 40.0, "b": 50.0})] * 2 + [sample()] * 10)
    assert found["lag"] == {"p50": 2.0, "p99": 50.0, "max": 50.0}
    assert found["lag_settled"] == {"p50": 1.5, "p99": 2.0, "max": 2.0}
    assert found["lag_worst_table"] == {"table": "b", "p50": 2.0}


def test_a_run_without_a_settled_sample_has_no_settled_lag() -> None:
    found = summary([sample(up_seconds=5.0)] * 8)
    assert found["lag_settled"] is None
    assert found["lag_worst_table"] is None


def test_starts_and_events_of_all_samples_are_counted() -> None:
    some = [sample(first_commits=[20.0], log={"warning: a": 2}), sample(first_commits=[30.0], log={"warning: a": 1})]
    found = summary(some + [sample()] * 6)
    assert found["first_commit"] == {"p50": 25.0, "p99": 30.0, "max": 30.0}
    assert found["events"] == {"warning: a": 3}


def test_first_commit_is_the_first_behind_its_start_and_never_one_of_a_later_start() -> None:
    assert first_commits([], [1.0]) == {}
    assert first_commits([10.0, 20.0, 30.0], [9.0, 34.0, 33.0, 12.0, 15.0]) == {10.0: 2.0, 30.0: 3.0}
    assert first_commits([10.0, 20.0], [25.0]) == {20.0: 5.0}


def test_quantiles() -> None:
    assert quantiles([]) is None
    assert quantiles(list(range(1, 101))) == {"p50": 50.5, "p99": 100, "max": 100}


def test_only_warnings_and_errors_are_counted_and_by_name_alone() -> None:
    def ours(level: str, event: str, logger: str = "cdc.pipeline.stream") -> str:
        return json.dumps({"level": level, "event": event, "logger": logger, "table": "secret"})

    lines = [
        ours("info", "batch applied"),
        ours("warning", "lease lost"),
        ours("warning", "lease lost"),
        ours("error", "table stopped"),
        ours("warning", "row 17 of somebody", logger="pyiceberg.table"),
        "26/11/27 18:00:00 WARN TaskSetManager: Lost task 0.0 of row 17",
        "26/11/27 18:00:00 INFO SparkContext: Running",
        "Traceback (most recent call last):",
        '  File "x.py", line 1, in <module>',
        "17",
    ]
    assert event_names(lines) == {
        "warning: lease lost": 2,
        "error: table stopped": 1,
        "warning: pyiceberg.table": 1,
        "warn: TaskSetManager": 1,
        "error: Traceback": 1,
    }


def test_keys_of_deleted_rows_come_back_and_no_key_is_there_twice() -> None:
    dice, keys, live, gone, again = random.Random(1), Keys(50), set(range(50)), set[int](), 0
    for _ in range(500):
        old = keys.live(6, dice)
        drawn = Drawn(old[:4], keys.fresh(2, dice), old[4:])
        assert set(old) <= live
        assert not set(drawn.inserted) & live
        again += len(set(drawn.inserted) & gone)
        keys.keep(drawn)
        live = (live | set(drawn.inserted)) - set(drawn.deleted)
        gone = (gone - set(drawn.inserted)) | set(drawn.deleted)
        assert len(live) == 50
    assert 400 < again < 600
