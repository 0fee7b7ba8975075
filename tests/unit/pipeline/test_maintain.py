"""Maintenance between batches: in turn, in small steps, and never in the way."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import pytest

from cdc.core.compaction import DataFile
from cdc.core.errors import CommitConflict, Fenced, Yielded
from cdc.core.maintenance import BOUND_METADATA, ORPHANS_AT, Done, Limits, Step, TableShape
from cdc.core.names import TableName
from cdc.core.retention import Keep
from cdc.ops.metrics import Metrics
from cdc.pipeline.maintain import AGAIN, BATCHES, LEAST_BYTES, Kept, Maintenance
from cdc.pipeline.turns import Turns
from tests.unit.core.histories import START, TARGET, batch, history

LIMITS = Limits(Keep(timedelta(days=1), 20, 1000), 64 << 20)
LOOKED = {BOUND_METADATA: "true", ORPHANS_AT: START.isoformat()}
KEPT = Kept(TARGET, LIMITS)


@dataclass
class MemoryMaintainer:
    """Tables in memory; ``failures`` are raised by the steps, in turn."""

    shapes: dict[TableName, TableShape] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    patience: list[float] = field(default_factory=list)
    during: Callable[[], object] = lambda: None

    def look(self, table: TableName, limits: Limits) -> TableShape | None:
        self.asked.append(limits.step_bytes)
        return self.shapes.get(table)

    def do(self, table: TableName, step: Step, wanted: Callable[[], bool], patience: float) -> Done:  # noqa: ARG002
        self.patience.append(patience)
        self.during()
        if self.failures:
            raise self.failures.pop(0)
        self.done.append(step.kind)
        return Done(5, 1)


def small(files: int = 6, *, worn: bool = False, **more: object) -> TableShape:
    found = tuple(DataFile(str(n), 1000, 10, deleted=5 * worn) for n in range(files))
    return TableShape(history(batch(1), properties=LOOKED), found, **more)  # type: ignore[arg-type]


def rig(hands: MemoryMaintainer, **more: object) -> tuple[Maintenance, Metrics]:
    metrics = Metrics()
    made = Maintenance(
        "shop",
        lambda: [KEPT],
        hands,
        metrics,
        timedelta(minutes=5),
        timedelta(seconds=10),
        now=lambda: START,
        **more,  # type: ignore[arg-type]
    )
    return made, metrics


def test_what_is_due_is_done_and_counted() -> None:
    hands = MemoryMaintainer({TARGET: small(resting=True)})
    maintenance, metrics = rig(hands)
    outcomes = maintenance.maintain(KEPT)
    assert hands.done == ["compact", "settle"]
    assert [one.error for one in outcomes] == ["", ""]
    shown = metrics.render().decode()
    assert 'cdc_maintenance_files_removed_total{pipeline="shop",table="shop.customers"} 10.0' in shown
    assert 'cdc_maintenance_steps_due{pipeline="shop",table="shop.customers"} 0.0' in shown
    assert 'cdc_maintenance_last_run_timestamp_seconds{pipeline="shop",table="shop.customers"} 1.7' in shown


def test_a_table_that_is_not_there_is_no_trouble() -> None:
    maintenance, _ = rig(MemoryMaintainer())
    assert maintenance.maintain(KEPT) == []


def test_a_step_that_lost_to_a_commit_is_counted_and_the_others_are_done() -> None:
    hands = MemoryMaintainer({TARGET: small(resting=True)}, [CommitConflict("another writer was first")])
    maintenance, metrics = rig(hands)
    assert [one.error for one in maintenance.maintain(KEPT)] == ["another writer was first", ""]
    assert hands.done == ["settle"]
    shown = metrics.render().decode()
    assert 'cdc_maintenance_failures_total{pipeline="shop",step="compact",table="shop.customers"} 1.0' in shown
    assert 'cdc_maintenance_steps_due{pipeline="shop",table="shop.customers"} 1.0' in shown


def test_what_was_given_up_for_a_batch_is_tried_again_in_smaller_steps() -> None:
    hands = MemoryMaintainer({TARGET: small()}, [Yielded("given up")] * 9)
    maintenance, _ = rig(hands)
    for _ in range(9):
        maintenance.maintain(KEPT)
    assert hands.asked == [64 << 20, 32 << 20, 16 << 20, *[LEAST_BYTES] * 6]
    for _ in range(4):
        maintenance.maintain(KEPT)
    assert hands.asked[-4:] == [8 << 20, 16 << 20, 32 << 20, 64 << 20]


def test_what_cannot_be_smaller_is_waited_for_twice_as_long_each_time() -> None:
    """Otherwise a file that takes longer than the budget would never be rewritten."""
    hands = MemoryMaintainer({TARGET: small(files=1, worn=True)}, [Yielded("given up")] * 8)
    maintenance, _ = rig(hands)
    for _ in range(12):
        maintenance.maintain(KEPT)
    assert hands.patience[:9] == [10, 20, 40, 80, 160, 320, 320, 320, 320]
    assert hands.patience[9:] == [160, 80, 40]


def test_what_can_be_smaller_is_made_smaller_first() -> None:
    hands = MemoryMaintainer({TARGET: small()}, [Yielded("given up")] * 5)
    maintenance, _ = rig(hands)
    for _ in range(7):
        maintenance.maintain(KEPT)
    assert hands.patience == [10, 10, 10, 10, 20, 40, 10]


def test_a_step_of_another_kind_says_nothing_of_one_that_was_given_up() -> None:
    hands = MemoryMaintainer({TARGET: small(resting=True)}, [Yielded("given up")])
    maintenance, _ = rig(hands)
    maintenance.maintain(KEPT)
    assert hands.done == ["settle"]
    maintenance.plan(KEPT)
    assert hands.asked == [64 << 20, 32 << 20]


def test_the_budget_ends_a_look_behind_its_step() -> None:
    hands = MemoryMaintainer({TARGET: small(resting=True, surplus_deletes=500)})
    now = [0.0]
    hands.during = lambda: now.append(now.pop() + 11.0)
    maintenance, _ = rig(hands, clock=lambda: now[0])
    maintenance.maintain(KEPT)
    assert hands.done == ["rewrite_deletes"]
    for _ in range(3):
        maintenance.maintain(KEPT)
    assert hands.done == ["rewrite_deletes", "compact", "settle", "rewrite_deletes"], "what was put off comes first"


def test_whoever_lost_the_lease_does_no_step() -> None:
    def lost() -> None:
        raise Fenced("taken over")

    hands = MemoryMaintainer({TARGET: small()})
    maintenance, _ = rig(hands, still_holder=lost)
    with pytest.raises(Fenced):
        maintenance.maintain(KEPT)
    assert hands.done == []


def test_a_batch_that_runs_keeps_maintenance_out_and_it_goes_on_later() -> None:
    """S7."""
    turns, hands = Turns(), MemoryMaintainer({TARGET: small()})
    maintenance, _ = rig(hands, turns=turns, patience=0.01)
    with turns.batch(str(TARGET)):
        assert maintenance.maintain(KEPT) == []
    assert hands.done == []
    with turns.batch("another"):
        maintenance.maintain(KEPT)
    assert hands.done == ["compact"]


def test_a_batch_waits_for_the_step_at_hand_and_goes_before_the_next() -> None:
    turns, order = Turns(), list[str]()
    running, told = threading.Event(), threading.Event()

    def batch_of_it() -> None:
        with turns.batch("t"):
            order.append("batch")

    other = threading.Thread(target=batch_of_it)
    with turns.maintenance("t", 1.0) as wanted:
        assert wanted is not None
        assert not wanted()
        other.start()
        for _ in range(1000):
            if wanted():
                told.set()
                break
            running.wait(0.01)
        assert told.is_set(), "it is told that a batch waits"
        order.append("step")
    with turns.maintenance("t", 5.0) as wanted:
        assert wanted is not None
        order.append("next step")
    other.join(5)
    assert order == ["step", "batch", "next step"]


def test_it_looks_once_an_interval_and_ends_when_told() -> None:
    hands = MemoryMaintainer({TARGET: small()})
    stop, now = threading.Event(), [0.0]
    seen: list[float] = []

    def clock() -> float:
        now[0] += 20.0
        if now[0] > 1300.0:
            stop.set()
        return now[0]

    hands.during = lambda: seen.append(now[0])
    maintenance, _ = rig(hands, clock=clock)
    maintenance.run(stop, pause=0.0)
    assert 3 <= len(seen) <= 4
    assert all(later - earlier >= 300.0 for earlier, later in pairwise(seen))


def test_many_batches_make_a_table_due_before_its_interval_is_over() -> None:
    hands, turns, stop = MemoryMaintainer({TARGET: small()}), Turns(), threading.Event()
    now = [0.0]

    def clock() -> float:
        now[0] += 0.5
        if now[0] > 80.0:
            stop.set()
        return now[0]

    maintenance, _ = rig(hands, clock=clock, turns=turns)
    for _ in range(BATCHES):
        with turns.batch(str(TARGET)):
            pass
    maintenance.run(stop, pause=0.0)
    assert len(hands.asked) == 1, "none of them counts twice, and the interval is not over"


def test_a_table_that_was_compacted_is_due_again_after_fewer_batches() -> None:
    hands, turns, stop = MemoryMaintainer({TARGET: small()}), Turns(), threading.Event()
    now, looks = [0.0], []

    def clock() -> float:
        now[0] += 0.5
        if now[0] > 200.0:
            stop.set()
        return now[0]

    def one_more_batch() -> list[Kept]:
        with turns.batch(str(TARGET)):
            looks.append(len(hands.asked))
        return [KEPT]

    maintenance, _ = rig(hands, clock=clock, turns=turns)
    maintenance.tables = one_more_batch
    maintenance.run(stop, pause=0.0)
    times = [looks.count(n) for n in range(3)]
    assert times == [BATCHES, AGAIN, AGAIN], "the first look at what nobody knows, and those after a compaction"


def test_a_bug_in_one_step_keeps_none_of_the_others_from_being_done() -> None:
    hands = MemoryMaintainer({TARGET: small(resting=True)}, [RuntimeError("secret value")])
    maintenance, metrics = rig(hands)
    first, second = maintenance.maintain(KEPT)
    assert first.error == "RuntimeError, which is a bug: please report what the log says"
    assert (second.step.kind, second.error) == ("settle", "")
    assert 'step="compact"' in metrics.render().decode()


def test_trouble_with_one_look_does_not_end_the_looking() -> None:
    class Broken(MemoryMaintainer):
        def look(self, table: TableName, limits: Limits) -> TableShape | None:
            super().look(table, limits)
            if len(self.asked) > 2:
                stop.set()
            raise RuntimeError("a bug")

    stop, now = threading.Event(), [0.0]

    def clock() -> float:
        now[0] += 100.0
        return now[0]

    hands = Broken()
    maintenance, metrics = rig(hands, clock=clock)
    maintenance.run(stop, pause=0.0)
    assert len(hands.asked) == 3
    assert 'step="look"' in metrics.render().decode()
