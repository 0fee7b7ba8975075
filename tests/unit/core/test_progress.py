from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.core.errors import PositionLost
from cdc.core.progress import (
    PartitionEvents,
    PartitionProgress,
    Progress,
    TopicState,
    after,
    backlog,
    check_continuity,
    epochs,
    further,
    past_markers,
)

PARTITION = st.builds(PartitionProgress, st.integers(0, 2**63 - 1), st.integers(0, 2**31), st.booleans())
PARTITIONS = st.dictionaries(st.integers(0, 999), PARTITION)
PROGRESS = st.builds(Progress, st.text(min_size=1), st.text(), PARTITIONS, st.text())


@settings(deadline=None, max_examples=60)
@given(PROGRESS)
def test_progress_survives_json(progress: Progress) -> None:
    assert Progress.from_json(progress.to_json()) == progress


def test_a_partition_not_seen_starts_at_its_beginning() -> None:
    assert Progress("t", "id").of(3) == PartitionProgress(0)


def test_the_highest_epoch_holds_for_all_partitions() -> None:
    before = Progress("t", "id", {0: PartitionProgress(5), 1: PartitionProgress(7, streaming=True)})
    advanced = before.advanced({1: PartitionProgress(9, 1)})
    assert {p: (s.next_offset, s.epoch) for p, s in advanced.partitions.items()} == {0: (5, 1), 1: (9, 1)}


def test_progress_never_goes_back() -> None:
    with pytest.raises(ValueError, match="go back"):
        Progress("t", "id", {0: PartitionProgress(5)}).advanced({0: PartitionProgress(4)})


def progress(next_offset: int, topic_id: str = "one") -> Progress:
    return Progress("shop.public.t", topic_id, {0: PartitionProgress(next_offset)})


@pytest.mark.parametrize("next_offset", [3, 5, 8])
def test_offsets_that_are_there_continue(next_offset: int) -> None:
    check_continuity(progress(next_offset), TopicState("one", {0: (3, 8)}))


@pytest.mark.parametrize("next_offset", [2, 9])
def test_offsets_that_are_gone_stop_the_table(next_offset: int) -> None:
    """K1, K23: retention removed what comes next, or the topic is shorter than what was read."""
    with pytest.raises(PositionLost, match=rf"offset {next_offset} of shop.public.t\[0\] is not there: it has 3 to 8"):
        check_continuity(progress(next_offset), TopicState("one", {0: (3, 8)}))


def test_a_recreated_topic_stops_the_table() -> None:
    """K3, M45: the same name and fitting offsets, but another topic."""
    with pytest.raises(PositionLost, match="created anew"):
        check_continuity(progress(5), TopicState("two", {0: (0, 9)}))


def test_a_partition_that_is_gone_stops_the_table() -> None:
    """K23."""
    with pytest.raises(PositionLost):
        check_continuity(progress(5), TopicState("one", {}))


def test_an_idle_table_whose_messages_have_all_expired_goes_on_behind_the_last_marker() -> None:
    """K1: after a week without changes a restart found `offset 5 is not there: it has 6 to 6`; 5 was a marker."""
    emptied = TopicState("one", {0: (6, 6)})
    assert past_markers(progress(5), emptied) == progress(6)
    check_continuity(past_markers(progress(5), emptied), emptied)


@pytest.mark.parametrize("marks", [(7, 7), (6, 7), (5, 6), (0, 5)])
def test_a_gap_that_may_have_been_a_message_stays_one(marks: tuple[int, int]) -> None:
    assert past_markers(progress(5), TopicState("one", {0: marks, 1: (1, 1)})) == progress(5)


@pytest.mark.parametrize(
    ("marks", "transactional", "left"),
    [
        ((0, 5), True, 0),
        ((0, 6), True, 0),  # a marker, and no message before it
        ((0, 6), False, 1),
        ((0, 7), True, 2),
        ((9, 12), True, 3),  # what came before is gone
    ],
)
def test_what_is_left_to_read(marks: tuple[int, int], transactional: bool, left: int) -> None:
    """K8."""
    assert backlog(progress(5), TopicState("one", {0: marks}), transactional=transactional) == left
    both = TopicState("one", {0: marks, 1: (0, 40)})
    assert backlog(progress(5), both, transactional=transactional) == left + 40


def test_a_table_not_begun_takes_a_topic_from_its_beginning() -> None:
    check_continuity(Progress("t", ""), TopicState("two", {0: (0, 200), 1: (0, 0)}))


def test_a_table_not_begun_stops_when_its_topic_has_lost_its_beginning() -> None:
    """T9: 5 of 500 rows were in the lake, and the state was `running`: the target had been renamed after retention."""
    with pytest.raises(PositionLost, match=r"offset 0 of t\[1\] is not there: it has 100 to 200"):
        check_continuity(Progress("t", ""), TopicState("two", {0: (0, 5), 1: (100, 200)}))


def test_a_partition_that_was_never_read_stops_the_table_when_its_beginning_is_gone() -> None:
    with pytest.raises(PositionLost, match=r"\[1\]"):
        check_continuity(progress(5), TopicState("one", {0: (0, 9), 1: (1, 1)}))


@pytest.mark.parametrize(("loaded", "now"), [("a", "a"), ("", "a"), ("a", "")])
def test_a_loaded_table_goes_on_while_its_connector_does(loaded: str, now: str) -> None:
    table = replace(progress(5), capture=loaded)
    assert Progress.from_json(table.to_json()).advanced({}).capture == loaded
    check_continuity(table, TopicState("one", {0: (0, 9)}), now)


def test_a_loaded_table_stops_when_its_connector_began_anew_without_offsets() -> None:
    """P18, P19: after a lost slot only new changes came, and the state was `running`."""
    with pytest.raises(PositionLost, match="has begun anew without its offsets") as caught:
        check_continuity(replace(progress(5), capture="a"), TopicState("one", {0: (0, 9)}), "b")
    assert "cdc tables reset" in caught.value.hint


def test_snapshot_then_stream_is_one_epoch() -> None:
    events = PartitionEvents(0, 9, first_is_read=True, last_is_read=False)
    assert epochs(PartitionProgress(0), events) == ((0, 0),)
    assert after(PartitionProgress(0), events) == PartitionProgress(10, 0, streaming=True)


def test_a_snapshot_over_several_batches_is_one_epoch() -> None:
    """P30."""
    first = after(PartitionProgress(0), PartitionEvents(0, 9, first_is_read=True, last_is_read=True))
    assert first == PartitionProgress(10, 0, streaming=False)
    assert after(first, PartitionEvents(10, 19, first_is_read=True, last_is_read=True)).epoch == 0


def test_a_snapshot_after_the_stream_began_opens_an_epoch() -> None:
    """Re-snapshot: its rows must win over everything before, although their positions are smaller."""
    state = PartitionProgress(10, 0, streaming=True)
    events = PartitionEvents(10, 19, first_is_read=True, last_is_read=True)
    assert epochs(state, events) == ((0, 0), (10, 1))
    assert after(state, events) == PartitionProgress(20, 1, streaming=False)


def test_every_restart_inside_a_batch_opens_an_epoch() -> None:
    state = PartitionProgress(0, 4)
    events = PartitionEvents(0, 30, first_is_read=True, last_is_read=False, restarts=(10, 20))
    assert epochs(state, events) == ((0, 4), (10, 5), (20, 6))
    assert after(state, events) == PartitionProgress(31, 6, streaming=True)


def test_a_batch_without_reads_keeps_the_epoch() -> None:
    state = PartitionProgress(10, 3, streaming=True)
    assert after(state, PartitionEvents(10, 12)) == PartitionProgress(13, 3, streaming=True)


def test_a_table_whose_topic_was_made_anew_was_never_swapped_in():
    """It had offsets of the old topic, beyond all of the new one, so its load caught up for ever."""
    here = Progress("t", "new", {0: PartitionProgress(4)})
    there = Progress("t", "new", {0: PartitionProgress(5), 1: PartitionProgress(0)})
    assert further(there, here)
    assert not further(here, there)
    assert not further(here, here)
    assert not further(Progress("t", "old", {0: PartitionProgress(500)}), here)
