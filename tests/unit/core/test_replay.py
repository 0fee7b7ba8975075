"""The plan of a replay: points, ranges, and what cannot be had."""

from datetime import timedelta
from typing import Any

import pytest

from cdc.core.checkpoints import checkpoints_of
from cdc.core.errors import PositionLost, TerminalError
from cdc.core.history import TableHistory
from cdc.core.names import TableName
from cdc.core.progress import Progress
from cdc.core.replay import Known, find_point, plan_copy, plan_replay, plan_retry
from tests.unit.core.histories import START, TOPIC, batch, fence, history, progress, topic, without

NEW = TableName("shop", "copy")


def known(made: TableHistory, *marks: tuple[int, int], full: TableHistory | None = None) -> Known:
    """Return what is known; the ledger remembers the checkpoints of ``full``."""
    return Known(made, list(checkpoints_of(full or made)), TOPIC, topic(*(marks or [(0, 99)])))


def at(number: int, place: str) -> dict[str, str]:
    return batch(number, **{"cdc.last_position": place})


def offsets(found: Progress) -> list[int]:
    return [state.next_offset for _, state in sorted(found.partitions.items())]


THREE = history(fence(), at(3, "b"), at(6, "d"), at(9, "c"), refs={"good": 102})


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("earliest", []),
        ("latest", [9]),
        ("102", [3]),
        ("tag:good", [3]),
        ("101", []),
        ((START + timedelta(minutes=2)).isoformat(), [6]),
        ("offset:0=5", [5]),
        ("offset:0=0", [0]),
        ("position:a", []),
        ("position:c", [3]),
        ("position:d", [3]),
        ("position:e", [9]),
    ],
)
def test_points(reference: str, expected: list[int]) -> None:
    """Behind a position means that nothing at or behind it was in any commit before."""
    assert offsets(find_point(known(THREE), reference)) == expected


def test_an_expired_checkpoint_is_a_point_as_long_as_the_ledger_knows_it() -> None:
    made = known(without(THREE, 101, 102), full=THREE)
    assert offsets(find_point(made, "102")) == [3]
    assert offsets(find_point(made, (START + timedelta(seconds=70)).isoformat())) == [3]


@pytest.mark.parametrize("reference", ["offset:0", "offset:x=1", "offset:5=1", "yesterday", "tag:bad", "999"])
def test_points_that_are_none(reference: str) -> None:
    with pytest.raises(TerminalError):
        find_point(known(THREE), reference)


def test_the_live_table_from_anywhere_to_where_it_is() -> None:
    plan = plan_replay(known(THREE), "offset:0=5", "latest")
    assert (plan.offsets, plan.messages, plan.into, plan.left_out) == ({0: (5, 9)}, 4, None, "")
    assert plan_replay(known(THREE), "earliest", "102").offsets == {0: (0, 3)}
    with pytest.raises(TerminalError, match="ends before"):
        plan_replay(known(THREE), "latest", "102")
    with pytest.raises(TerminalError, match="not that far"):
        plan_replay(known(THREE), "earliest", "offset:0=50")


def test_what_the_topic_no_longer_has_names_what_can_be_had() -> None:
    """K1, X3."""
    with pytest.raises(PositionLost, match=r"offset 2 .* is gone") as refused:
        plan_replay(known(THREE, (4, 99)), "offset:0=2", "latest")
    assert "103" in refused.value.hint
    assert plan_replay(known(THREE, (4, 99)), "earliest", "latest").offsets == {0: (6, 9)}, "the earliest there is"
    with pytest.raises(PositionLost, match="nothing that any checkpoint"):
        plan_replay(known(THREE, (50, 99)), "earliest", "latest")


def loaded(*more: dict[str, Any]) -> TableHistory:
    """Return the history of a table that was loaded at offset 6, in an epoch of its own."""
    load = {**batch(8), "cdc.progress": progress(8, epoch=1).to_json(), "cdc.load": "x"}
    load["cdc.load_offsets"] = progress(6, epoch=1).to_json()
    return history(batch(3), load, {**batch(12), "cdc.progress": progress(12, epoch=1).to_json()}, *more)


def test_in_the_live_table_a_load_covers_what_came_before_it() -> None:
    """Rows that were gone when the table was loaded must not come back, nor take a place in the present epoch."""
    plan = plan_replay(known(loaded()), "earliest", "latest")
    assert plan.start == progress(6, epoch=1)
    assert plan.offsets == {0: (6, 12)}
    assert plan.left_out.startswith("offsets 0: 0 to 6")
    assert plan_replay(known(loaded()), "offset:0=9", "latest").left_out == ""
    assert find_point(known(loaded()), "offset:0=9").of(0).epoch == 1
    assert offsets(find_point(known(loaded()), "offset:0=5")) == [3], "where the epoch begins is not known exactly"


def test_a_new_table_begins_empty_or_with_a_checkpoint() -> None:
    plan = plan_copy(known(THREE), "earliest", "latest", NEW, from_connector=True)
    assert (plan.base, plan.offsets, plan.into) == (None, {0: (0, 9)}, NEW)
    plan = plan_copy(known(THREE), "offset:0=7", "latest", NEW, from_connector=True)
    assert (plan.base, plan.offsets) == (103, {0: (6, 9)}), "the checkpoint before"
    assert plan.entries["cdc.progress"] == progress(6).to_json()
    plan = plan_copy(known(THREE), "earliest", "latest", NEW, from_connector=False)
    assert plan.base == 102, "its first rows are not in the topic"
    plan = plan_copy(known(THREE, (4, 99)), "earliest", "104", NEW, from_connector=True)
    assert (plan.base, plan.offsets) == (103, {0: (6, 9)})


def test_a_new_table_cannot_begin_before_a_load() -> None:
    """What the load set right is in no message."""
    plan = plan_copy(known(loaded()), "earliest", "latest", NEW, from_connector=True)
    assert (plan.base, plan.offsets) == (102, {0: (8, 12)})
    with pytest.raises(PositionLost, match="no checkpoint") as refused:
        plan_copy(known(loaded()), "101", "latest", NEW, from_connector=True)
    assert "102" in refused.value.hint


def test_a_retry_begins_at_the_first_message_that_is_held() -> None:
    plan = plan_retry(known(THREE), [(0, 7), (0, 4), (0, 12)])
    assert plan.offsets == {0: (4, 9)}
    assert plan.into is None


def test_a_retry_of_what_the_table_has_not_come_to_yet_reads_nothing() -> None:
    assert plan_retry(known(THREE), [(0, 9), (0, 12)]).messages == 0


def test_a_retry_of_what_the_topic_has_lost_names_the_way_out() -> None:
    with pytest.raises(PositionLost, match="are in the topic no more") as caught:
        plan_retry(known(THREE, (5, 99)), [(0, 4)])
    assert "cdc tables reset shop.a" in caught.value.hint_for("shop.a")
