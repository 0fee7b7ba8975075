"""Checkpoints and how they can be had."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cdc.core.checkpoints import (
    Reach,
    checkpoint_of_row,
    checkpoints_of,
    earliest,
    find_snapshot,
    ledger_row,
    missing,
    reachable,
)
from cdc.core.errors import PositionLost, TerminalError
from cdc.core.history import part_of_batch
from cdc.core.progress import Progress
from tests.unit.core.histories import START, TOPIC, batch, fence, history, progress, topic, without

FOREIGN = {"operation": "replace"}


def test_commits_of_the_service_are_checkpoints_fences_and_foreign_ones_are_not() -> None:
    made = history(fence(), batch(3, 1), FOREIGN, batch(5, 2, token=8), fence(9))
    newest, first = checkpoints_of(made)
    assert (newest.table_snapshot, newest.parent, newest.token, newest.kind) == (104, 103, 8, "batch")
    assert (newest.events, newest.inserted, newest.updated, newest.deleted) == (3, 2, 1, 0)
    assert newest.progress == progress(5, 2)
    assert first.table_snapshot == 102


def test_a_part_of_a_batch_is_no_checkpoint() -> None:
    """Of the deletes of a truncate and what was merged then: before, both had the batch's entries."""
    halves = history(batch(1), batch(3, 1), batch(3, 1), batch(5, 2))
    assert [one.table_snapshot for one in checkpoints_of(halves)] == [104, 103, 101]
    marked = history(batch(1), part_of_batch(batch(3, 1)), batch(3, 1), batch(5, 2))
    assert [one.table_snapshot for one in checkpoints_of(marked)] == [104, 103, 101]
    assert marked.progress(102) == progress(1), "of the batch nothing counts yet"


def test_what_a_rewind_has_gone_to_stays_no_checkpoint() -> None:
    """Its other part is no ancestor of main any more."""
    made = history(batch(1), batch(3, 1), batch(3, 1), fence())
    rewound = replace(made, versions={**made.versions, 104: replace(made.versions[104], parent=102)})
    assert [one.table_snapshot for one in checkpoints_of(rewound)] == [101]


def test_kinds() -> None:
    commits = [batch(1), batch(2, **{"cdc.load": "7"}), batch(3, **{"cdc.kind": "replay"})]
    made = history(*commits, {**fence(), "cdc.rewound_from": "9"})
    assert [one.kind for one in checkpoints_of(made)] == ["rewind", "replay", "load", "batch"]
    assert next(checkpoints_of(made)).progress == progress(3), "a rewind is where the snapshot below it is"


def test_the_ledgers_row_tells_the_same() -> None:
    (one,) = checkpoints_of(history(batch(3, 1, **{"cdc.source_ts_ms": "1700000000000"})))
    assert checkpoint_of_row(ledger_row(one)) == one
    assert ledger_row(one).seconds is None


def test_what_is_recorded_at_a_snapshot_follows_its_own_ancestry() -> None:
    made = history(batch(1), fence(8), batch(2), FOREIGN, properties={"cdc.progress": progress(9).to_json()})
    assert made.progress(101) == progress(1)
    assert made.progress(102) == progress(1)
    assert (made.recorded(102) or {})["cdc.token"] == "8"
    assert made.progress(104) == progress(2)
    assert made.progress(None) is None


def test_properties_count_at_the_head_alone_and_only_where_history_was_expired() -> None:
    made = history(batch(1), FOREIGN, FOREIGN, properties={"cdc.progress": progress(9).to_json(), "other": "x"})
    expired = without(made, 101)
    assert expired.progress(103) == progress(9)
    assert expired.recorded(102) is None, "what was there then nobody knows"
    assert "other" not in (expired.recorded(103) or {})


@pytest.mark.parametrize(
    ("marks", "snapshots", "reach"),
    [
        ([(0, 9)], {101}, Reach.REWIND),
        ([(3, 3)], {101}, Reach.REWIND),
        ([(0, 9)], set(), Reach.REPLAY),
        ([(4, 9)], {101}, Reach.GONE),
        ([(0, 2)], {101}, Reach.GONE),
        ([(0, 9), (0, 5)], {101}, Reach.REWIND),
        ([(0, 9), (1, 5)], {101}, Reach.GONE),
        ([], {101}, Reach.GONE),
    ],
)
def test_reach(marks: list[tuple[int, int]], snapshots: set[int], reach: Reach) -> None:
    """A partition that is new since has to begin at its first message; K1."""
    (one,) = checkpoints_of(history(batch(3)))
    assert reachable(one, snapshots, topic(*marks)) is reach


def test_another_topic_of_the_same_name_reaches_nothing() -> None:
    """K3."""
    (one,) = checkpoints_of(history(batch(3)))
    assert reachable(one, {101}, topic((0, 9), topic_id="another")) is Reach.GONE
    assert "created anew" in missing(one.progress, topic((0, 9), topic_id="another"))
    assert reachable(one, {101}, None) is Reach.UNKNOWN
    assert missing(Progress(TOPIC, ""), topic((0, 9))) == ""


def test_earliest_that_a_rewind_can_go_to() -> None:
    made = history(batch(1), batch(2), batch(3))
    found = earliest(checkpoints_of(made), made.versions.keys(), topic((2, 3)))
    assert found is not None
    assert found.table_snapshot == 102
    assert earliest(checkpoints_of(made), made.versions.keys(), topic((9, 9))) is None


def test_references() -> None:
    made = history(batch(1), batch(2), fence(), refs={"good": 101})
    assert find_snapshot(made, "latest") == 102
    assert find_snapshot(made, "tag:good") == 101
    assert find_snapshot(made, "103") == 103
    assert find_snapshot(replace(made, versions={5012: made.versions[101]}), "50") == 5012
    assert find_snapshot(made, (START + timedelta(minutes=1, seconds=30)).isoformat()) == 102
    assert find_snapshot(made, "2026-01-31T12:00:30") == 101, "a time without an offset is UTC"
    assert find_snapshot(made, "2026-01-31T13:01:30+01:00") == 102
    gone_back = replace(made, head=101, main_log=(*made.main_log, (START + timedelta(minutes=9), 101)))
    assert find_snapshot(gone_back, "2026-02-01") == 101
    assert find_snapshot(gone_back, "2026-01-31T12:05Z") == 103, "what was main then, though it was given up since"


@pytest.mark.parametrize(
    ("reference", "kind", "message"),
    [
        ("tag:bad", TerminalError, "no tag 'bad'"),
        ("10", TerminalError, "2 snapshots .* begin with 10"),
        ("7", TerminalError, "no snapshot 7"),
        ("yesterday", TerminalError, "no snapshot, tag or time"),
        ("2026-01-30", PositionLost, "as old as"),
        ("2026-01-31T12:00:30Z", PositionLost, "was expired"),
    ],
)
def test_references_to_nothing(reference: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        find_snapshot(without(history(batch(1), batch(2), batch(3)), 101), reference)
