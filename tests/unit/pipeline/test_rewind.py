"""The use cases of rewinds and checkpoints, with everything in memory."""

from dataclasses import replace
from typing import Any

import pytest

from cdc.core.checkpoints import Reach
from cdc.core.errors import CommitConflict, CommitStateUnknown, PositionLost, TerminalError, TransientError
from cdc.core.history import TableHistory
from cdc.pipeline.checkpoints import list_checkpoints, rebuild_ledger, show_checkpoint
from cdc.pipeline.rewind import Operations, rewind, rewind_plan, wait_until_back
from tests.fakes.control import MemoryControl
from tests.fakes.operations import MemoryAudit, MemoryHistories, MemoryLedger, MemoryRewinder, MemoryTopics
from tests.unit.core.histories import TARGET, TOPIC, batch, fence, history, topic, without


class Operator:
    """A table with three batches, and an operator's parts."""

    def __init__(self) -> None:
        self.histories = MemoryHistories({TARGET: history(batch(1), batch(3), batch(6))})
        self.control, self.audit = MemoryControl(), MemoryAudit()
        self.topics = MemoryTopics({TOPIC: topic((0, 9))})
        self.operations = Operations(self.histories, self.topics, self.control, self.audit)
        self.rewinder = MemoryRewinder(self.histories)

    def rewind(self, to: str) -> Any:
        plan = rewind_plan(self.operations, TARGET, TOPIC, to)
        return rewind(self.operations, self.rewinder, plan, TOPIC, "a bad deploy")


def test_a_rewind_moves_tells_the_stream_and_is_written_down() -> None:
    operator = Operator()
    done = operator.rewind("101")
    assert operator.rewinder.moved == [done]
    assert set(operator.control.moves) == {str(TARGET)}
    ((command, target, what, why, outcome),) = operator.audit.entries
    assert (command, target, why, outcome) == ("rewind", str(TARGET), "a bad deploy", "done")
    assert "from snapshot 103 to 101; offsets 0: 6 to 1" in what


def test_a_stream_that_publishes_meanwhile_makes_it_plan_anew() -> None:
    operator = Operator()
    plan = rewind_plan(operator.operations, TARGET, TOPIC, "101")
    operator.histories.histories[TARGET] = history(batch(1), batch(3), batch(6), batch(8))
    done = rewind(operator.operations, operator.rewinder, plan, TOPIC, "")
    assert (done.from_snapshot, done.messages) == (104, 7)
    operator.rewinder.failures = [CommitConflict("first"), CommitConflict("second")]
    operator.histories.histories[TARGET] = history(batch(1), batch(3))
    assert operator.rewind("101").messages == 2


def test_a_lost_answer_is_told_to_the_stream_and_written_down() -> None:
    """S4: the table may have moved, so whoever writes it has to look."""
    operator = Operator()
    operator.rewinder.failures = [CommitStateUnknown("the answer was lost")]
    with pytest.raises(CommitStateUnknown):
        operator.rewind("101")
    assert set(operator.control.moves) == {str(TARGET)}
    assert operator.audit.entries[0][4] == "failed: the answer was lost"


def test_without_a_topic_nothing_can_be_applied_again() -> None:
    operator = Operator()
    operator.topics.topics.clear()
    with pytest.raises(PositionLost, match="does not exist"):
        operator.rewind("101")


def test_waiting_until_the_stream_is_back() -> None:
    operator = Operator()
    done = operator.rewind("101")
    shown: list[tuple[int, int]] = []
    ahead = iter([history(batch(1), batch(2)), history(batch(1), batch(4), fence()), history(batch(1), batch(7))])

    def pause() -> None:
        operator.histories.histories[TARGET] = next(ahead)

    def wait(seconds: float) -> bool:
        return wait_until_back(
            operator.histories, done, seconds=seconds, pause=pause, show=lambda *counts: shown.append(counts)
        )

    assert wait(60)
    assert shown == [(0, 5), (1, 5), (3, 5), (5, 5)]
    operator.histories.histories[TARGET] = history(batch(1))
    assert not wait(0)


def found_ids(history_: TableHistory, ledger: MemoryLedger, watermarks: tuple[int, int]) -> list[tuple[int, Reach]]:
    found = list_checkpoints(history_, ledger.read(TARGET), topic(watermarks))
    return [(one.checkpoint.table_snapshot, one.reach) for one in found]


def test_the_ledger_is_rebuilt_and_remembers_what_was_expired() -> None:
    made, ledger = history(batch(1), fence(), batch(3), batch(6)), MemoryLedger()
    assert rebuild_ledger(made, ledger, dry_run=True) == 3
    assert ledger.rows == []
    assert rebuild_ledger(made, ledger, dry_run=False) == 3
    assert [row.table_snapshot for row in ledger.rows] == [101, 103, 104]
    assert rebuild_ledger(made, ledger, dry_run=False) == 0, "idempotent"
    expected = [(104, Reach.REWIND), (103, Reach.REWIND), (101, Reach.REWIND)]
    assert found_ids(made, ledger, (0, 9)) == expected
    expected[2] = (101, Reach.REPLAY)
    assert found_ids(without(made, 101, 102), ledger, (0, 9)) == expected
    assert found_ids(without(made, 101, 102), ledger, (2, 9))[2] == (101, Reach.GONE)


def test_show_finds_a_checkpoint_and_says_what_is_none() -> None:
    made = history(batch(1), batch(3), fence(), refs={"good": 101})
    found = list_checkpoints(made, [], None)
    assert show_checkpoint(found, made, "latest").checkpoint.table_snapshot == 102
    assert show_checkpoint(found, made, "tag:good").reach is Reach.UNKNOWN
    with pytest.raises(TerminalError, match=r"103 .* is no checkpoint"):
        show_checkpoint(found, made, "103")
    gone = replace(found[1], checkpoint=replace(found[1].checkpoint, table_snapshot=7))
    assert show_checkpoint([gone], made, "7") == gone, "the ledger may know it still"


def test_a_log_of_operations_that_cannot_be_written_does_not_hide_what_was_done() -> None:
    operator = Operator()

    def away(*_: Any) -> None:
        raise TransientError("the catalog is away")

    operator.audit.write = away  # type: ignore[method-assign]
    assert operator.rewind("101").to_snapshot == 101
    operator.rewinder.failures = [CommitStateUnknown("the answer was lost")]
    with pytest.raises(CommitStateUnknown):
        operator.rewind("102")
