"""The commit protocol: which step follows which, and what stops it."""

from dataclasses import replace
from typing import Any

import pytest

from cdc.core.batch import Collapsed, Problem
from cdc.core.errors import (
    CommitConflict,
    CommitStateUnknown,
    Fenced,
    IncompatibleSchema,
    Moved,
    RuleBroken,
    TerminalError,
)
from cdc.core.history import TOMBSTONES
from cdc.core.progress import PartitionEvents, PartitionProgress, Progress
from cdc.core.quality import Action, Rule, Verdict
from cdc.core.types import EventField, EventSchema
from cdc.pipeline.apply import LAST_DELETE, PROGRESS, TOKEN, TRUNCATED, Applied, Applier, TableMemory
from tests.fakes.pipeline import DELETED, INSERTED, UPDATED, MemoryBatch, MemoryTable, spec_of

SPEC = spec_of()
KEY = b"key"


def table_at(next_offset: int = 0, token: int = 1, **summary: str) -> MemoryTable:
    progress = Progress(SPEC.topic, "id", {0: PartitionProgress(next_offset)})
    return MemoryTable().holding(
        {"id": "int", "n": "int"}, {PROGRESS: progress.to_json(), TOKEN: str(token), **summary}
    )


def apply(table: MemoryTable, batch: MemoryBatch, memory: TableMemory | None = None, **options: Any) -> Applied:
    applier = Applier(
        **{"token": 5, "blocked_keys": 2, "still_holder": lambda: table.calls.append("holder?"), **options}
    )
    return applier.apply(SPEC, table, batch, memory or TableMemory("id"))


def test_steps_come_in_the_order_of_the_protocol() -> None:
    table = table_at()
    batch = MemoryBatch(table)
    applied = apply(table, batch)
    assert table.calls == ["read", "collapse", "stage", "merge", "holder?", "publish"]
    assert (applied.parent_id, applied.snapshot_id, table.main) == (1, 2, 2)
    assert applied.counts == {"inserted": 1, "updated": 0, "deleted": 1}
    assert set(applied.seconds) == {"read", "schema", "collapse", "merge", "publish"}


def test_an_added_column_with_a_default_marks_the_table_before_it_is_there() -> None:
    """P71: ADD COLUMN .. DEFAULT 5: older rows held null instead of 5, and nothing said so."""
    table, marked = table_at(), []
    row = EventSchema(
        (
            EventField("id", "id", "int", filled=True),
            EventField("n", "n", "int"),
            EventField("plain", "plain", "int"),
            EventField("five", "five", "int", filled=True),
        )
    )

    def outdated(spec: Any, columns: Any) -> None:
        marked.append((spec, tuple(columns)))
        table.calls.append("mark")

    applied = apply(table, MemoryBatch(table, rows=(row,)), outdated=outdated)
    assert marked == [(SPEC, ("five",))]
    assert table.calls[:3] == ["read", "mark", "evolve"]
    assert applied.schema is not None
    assert applied.schema.add == {"plain": "int", "five": "int"}


def test_progress_positions_and_token_are_in_the_commit_that_brings_the_rows() -> None:
    """Promise 3."""
    table = table_at()
    positions = {"first_position": "a", "last_position": "z", "last_delete": "m", "newest_at_ms": 9}
    batch = MemoryBatch(table, [Collapsed(events=3, keys=2, deletes=1, **positions)])
    apply(table, batch)
    assert Progress.from_json(table.summary[PROGRESS]).of(0) == PartitionProgress(3, 0, streaming=True)
    expected = {TOKEN: "5", LAST_DELETE: "m", "cdc.first_position": "a", "cdc.last_position": "z", "cdc.events": "3"}
    assert expected.items() <= table.summary.items()
    assert table.summary["cdc.source_ts_ms"] == "9"


def test_a_new_table_is_created_and_fenced_before_anything_is_staged() -> None:
    table = MemoryTable()
    apply(table, MemoryBatch(table))
    assert table.calls == ["create", "fence", "read", "collapse", "stage", "merge", "holder?", "publish"]


def test_a_batch_that_the_table_holds_already_does_nothing() -> None:
    """Promise 1: the same batch again after a crash behind the publish."""
    table = table_at(next_offset=3)
    applied = apply(table, MemoryBatch(table))
    assert table.calls == ["read"]
    assert applied.snapshot_id is None


def test_a_batch_that_the_table_holds_in_part_leaves_that_part_out() -> None:
    """S18."""
    table = table_at(next_offset=2)
    batch = MemoryBatch(table)
    apply(table, batch)
    assert batch.asked[0][0].progress.of(0).next_offset == 2


def test_a_newer_token_in_the_table_ends_this_instance() -> None:
    """Promise 4."""
    table = table_at(token=6)
    with pytest.raises(Fenced, match="token 6, ours is 5"):
        apply(table, MemoryBatch(table))
    assert table.calls == ["read"]


def test_a_lost_lease_keeps_the_staged_commit_unpublished() -> None:
    """Promise 4, X6, T13: asked right before the publish, after however long a pause."""
    table = table_at()

    def lost() -> None:
        raise Fenced("lease lost")

    with pytest.raises(Fenced):
        apply(table, MemoryBatch(table), still_holder=lost)
    assert table.main == 1
    assert "publish" not in table.calls


def test_a_table_that_moved_meanwhile_is_a_conflict_and_changes_nothing() -> None:
    """S5."""
    table = table_at()
    table.failures["publish"] = [CommitConflict("main has moved")]
    with pytest.raises(CommitConflict):
        apply(table, MemoryBatch(table))
    assert table.main == 1


@pytest.mark.parametrize(
    "counts", [{INSERTED: "2"}, {INSERTED: "1", UPDATED: "1"}, {DELETED: "3"}, {UPDATED: "1", DELETED: "2"}]
)
def test_an_audit_that_fails_publishes_nothing(counts: dict[str, str]) -> None:
    """P9: more rows touched than keys changed: the table holds a key twice."""
    table = table_at()
    with pytest.raises(TerminalError, match=r"audit of ns\.t failed"):
        apply(table, MemoryBatch(table, counts=counts))
    assert table.main == 1


def test_new_columns_are_added_before_the_collapse() -> None:
    table = table_at()
    wider = EventSchema((EventField("id", "id", "int"), EventField("n", "n", "long"), EventField("x", "x", "string")))
    apply(table, MemoryBatch(table, rows=(wider,)))
    assert table.calls[:4] == ["read", "evolve", "read", "collapse"]
    assert table.columns == {"id": "int", "n": "long", "x": "string"}


def test_a_type_that_does_not_fit_stops_before_anything_is_written() -> None:
    table = table_at()
    text = EventSchema((EventField("id", "id", "string"),))
    with pytest.raises(IncompatibleSchema):
        apply(table, MemoryBatch(table, rows=(text,)))
    assert table.calls == ["read"]


def test_a_key_that_the_events_lack_is_named() -> None:
    table = MemoryTable()
    other = EventSchema((EventField("no", "no", "int"),))
    with pytest.raises(TerminalError, match=r"key column 'id' of ns\.t is not among the source's columns"):
        apply(table, MemoryBatch(table, rows=(other,)))


def test_unusable_messages_are_quarantined_before_the_merge_and_block_their_key() -> None:
    table = table_at()
    bad = Problem(0, 1, KEY, "undecodable value")
    batch = MemoryBatch(table, [Collapsed(events=3, problems=1), Collapsed(events=2, keys=1, problems=1)], bad=[bad])
    batch.counts = {INSERTED: "1"}
    memory = TableMemory("id")
    applied = apply(table, batch, memory)
    assert table.calls == ["read", "collapse", "quarantine 1", "collapse", "stage", "merge", "holder?", "publish"]
    assert memory.blocked == {KEY: (0, 1)}
    assert batch.asked[1][0].blocked == {KEY: (0, 1)}
    assert applied.blocked == 1


def test_what_comes_behind_an_unusable_message_in_the_same_batch_was_not_kept() -> None:
    """It was neither merged nor in the quarantine, and the table's progress was past it."""
    table = table_at()
    batch = MemoryBatch(table, [Collapsed(events=3, problems=1), Collapsed(events=3, keys=1, problems=2)])
    batch.bad = [Problem(0, 1, KEY, "undecodable value")]
    batch.counts = {INSERTED: "1"}
    apply(table, batch)
    assert [call for call in table.calls if call.startswith(("collapse", "quarantine"))] == [
        "collapse",
        "quarantine 1",
        "collapse",
        "quarantine 1",
    ]


def test_the_first_unusable_message_of_a_key_is_the_one_that_blocks() -> None:
    table = table_at()
    memory = TableMemory("id", {KEY: (0, 1)})
    bad = [Problem(0, 9, KEY, "waits")]
    apply(table, MemoryBatch(table, [Collapsed(problems=1), Collapsed(events=1, keys=1)], bad=bad, counts={}), memory)
    assert memory.blocked == {KEY: (0, 1)}


def test_too_many_unusable_messages_stop_the_table_after_they_are_kept() -> None:
    table = table_at()
    bad = [Problem(0, n, b"%d" % n, "undecodable value") for n in range(3)]
    with pytest.raises(TerminalError, match="more than 2 messages cannot be used; the first: undecodable value"):
        apply(table, MemoryBatch(table, [Collapsed(problems=3)], bad=bad))
    assert "quarantine 3" in table.calls
    assert "merge" not in table.calls


def test_a_message_that_was_discarded_did_not_come_back_with_the_next_start() -> None:
    """Nothing moved the progress past it, if nothing usable followed: it was read, and held, again."""
    table = table_at()
    bad = [Problem(0, 2, KEY, "undecodable value")]
    applied = apply(table, MemoryBatch(table, [Collapsed(problems=1)], bad=bad))
    assert table.calls == ["read", "collapse", "quarantine 1", "collapse", "stage", "holder?", "publish"]
    assert applied.snapshot_id == table.main
    assert Progress.from_json(table.read().summary["cdc.progress"]).of(0).next_offset == 3
    replayed = apply(table_at(), MemoryBatch(table, [Collapsed(problems=1)], bad=bad), published=Progress("t", "id"))
    assert replayed.snapshot_id is None


def test_nothing_but_unusable_messages_creates_no_table() -> None:
    table = MemoryTable()
    bad = [Problem(0, 1, None, "schema not usable")]
    apply(table, MemoryBatch(table, [Collapsed(problems=1)], rows=(), bad=bad))
    assert not table.exists()
    assert table.calls == ["collapse", "quarantine 1", "collapse"]


def test_a_snapshot_that_begins_inside_the_batch_is_collapsed_with_its_epoch() -> None:
    table = table_at()
    reads = {0: PartitionEvents(0, 9, first_is_read=False, last_is_read=True, restarts=(5,))}
    collapsed = Collapsed(events=3, keys=2, deletes=1, snapshot_reads=4)
    batch = MemoryBatch(table, [collapsed], last_offsets={0: 9}, reads=reads)
    apply(table, batch)
    assert [asked[1] for asked in batch.asked] == [{0: ((0, 0),)}, {0: ((0, 0), (5, 1))}]
    assert Progress.from_json(table.summary[PROGRESS]).of(0) == PartitionProgress(10, 1, streaming=False)


def test_a_truncate_is_applied_and_remembered() -> None:
    table = table_at(**{TRUNCATED: "3"})
    collapsed = Collapsed(events=1, truncates=1)
    batch = MemoryBatch(table, [collapsed, replace(collapsed, truncates=0)], place="7", counts={})
    apply(table, batch)
    assert batch.staged is not None
    assert batch.staged[1] == "7"
    assert table.summary[TRUNCATED] == "7"
    assert batch.asked[-1][2] == "7"


@pytest.mark.parametrize(("first", "floors"), [("5", True), ("6", True), ("7", False), ("", False)])
def test_tombstones_are_read_only_if_an_event_may_be_older_than_a_delete(first: str, floors: bool) -> None:
    """S14."""
    table = table_at(**{LAST_DELETE: "6"})
    batch = MemoryBatch(table, [Collapsed(events=1, keys=1, first_position=first)], counts={INSERTED: "1"})
    apply(table, batch)
    assert batch.staged is not None
    assert batch.asked[0][0].reaches_back(first) is floors


def test_what_a_batch_keeps_in_properties_is_published_with_it_and_no_entry_of_its_commit() -> None:
    table = table_at()
    apply(table, MemoryBatch(table, properties={TOMBSTONES: "packed"}))
    assert table.properties[TOMBSTONES] == "packed"
    assert TOMBSTONES not in table.summary


def test_a_later_batch_carries_on_what_the_next_depends_on() -> None:
    table = table_at(**{LAST_DELETE: "6", TRUNCATED: "3"})
    batch = MemoryBatch(table, [Collapsed(events=1, keys=1, first_position="8")], counts={INSERTED: "1"})
    apply(table, batch)
    assert table.summary.items() >= {LAST_DELETE: "6", TRUNCATED: "3"}.items()


def test_events_that_change_nothing_commit_nothing() -> None:
    table = table_at()
    applied = apply(table, MemoryBatch(table, [Collapsed()]))
    assert table.calls == ["read", "collapse"]
    assert applied.progress.of(0).next_offset == 3


TORN = Collapsed(events=3, keys=2, torn="5")
WHOLE = Collapsed(events=2, keys=1)


def torn_batch(table: MemoryTable, *results: Collapsed, torn_at: int = 1) -> MemoryBatch:
    offsets = {"5": {0: torn_at}, "7": {0: torn_at}}
    return MemoryBatch(table, list(results), torn_offsets=offsets, counts={INSERTED: "1"})


def test_a_table_is_held_back_before_a_torn_key_change_p6() -> None:
    """P11: rows and progress end before it, in one commit."""
    table = table_at()
    batch = torn_batch(table, TORN, WHOLE)
    applied = apply(table, batch)
    assert applied.held
    assert table.calls == ["read", "collapse", "collapse", "stage", "merge", "holder?", "publish"]
    assert [asked[0].held for asked in batch.asked] == [{}, {0: 1}]
    assert Progress.from_json(table.summary[PROGRESS]).of(0) == PartitionProgress(1, 0, streaming=True)


def test_a_batch_that_begins_with_a_torn_key_change_changes_nothing() -> None:
    table = table_at(next_offset=1)
    applied = apply(table, torn_batch(table, TORN, Collapsed()))
    assert applied.held
    assert "stage" not in table.calls
    assert applied.progress.of(0).next_offset == 1


def test_other_partitions_go_on_where_nothing_is_torn() -> None:
    table = table_at()
    batch = torn_batch(table, TORN, WHOLE)
    batch.first_offsets, batch.last_offsets = {0: 0, 1: 7}, {0: 2, 1: 9}
    applied = apply(table, batch)
    assert {p: s.next_offset for p, s in applied.progress.partitions.items()} == {0: 1, 1: 10}


def test_a_cut_that_tears_an_earlier_key_change_is_made_earlier() -> None:
    """After redeliveries places do not only ascend; what was held back before stays so."""
    table = table_at()
    batch = torn_batch(table, replace(TORN, torn="7"), TORN, WHOLE)
    batch.torn_offsets = {"7": {0: 2, 1: 8}, "5": {0: 1}}
    batch.first_offsets, batch.last_offsets = {0: 0, 1: 7}, {0: 2, 1: 9}
    applied = apply(table, batch)
    assert [asked[0].held for asked in batch.asked] == [{}, {0: 2, 1: 8}, {0: 1, 1: 8}]
    assert {p: s.next_offset for p, s in applied.progress.partitions.items()} == {0: 1, 1: 8}


def test_what_is_waited_for_in_vain_is_applied_as_it_is() -> None:
    """Its other half was quarantined or has expired; the next one is waited for anew."""
    table, memory, now = table_at(), TableMemory("id"), [100.0]
    clock = {"clock": lambda: now[0], "hold_seconds": 30.0}
    assert apply(table, torn_batch(table, TORN, Collapsed(), torn_at=0), memory, **clock).held
    now[0] += 29
    assert apply(table, torn_batch(table, TORN, Collapsed(), torn_at=0), memory, **clock).held
    now[0] += 2
    later = torn_batch(table, TORN, replace(TORN, torn="7"), WHOLE, torn_at=2)
    applied = apply(table, later, memory, **clock)
    assert applied.held
    assert [(asked[0].given_up, asked[0].held) for asked in later.asked] == [("", {}), ("5", {}), ("5", {0: 2})]
    assert applied.progress.of(0).next_offset == 2


def added(table: MemoryTable, last: int | None) -> MemoryBatch:
    """A batch of a table that has read partition 0: up to an offset of it, and three messages of partition 1."""
    batch = MemoryBatch(table, [WHOLE], counts={INSERTED: "1"})
    known = {} if last is None else {0: last}
    batch.first_offsets, batch.last_offsets = {**dict.fromkeys(known, 0), 1: 0}, {**known, 1: 2}
    return batch


def test_messages_of_an_added_partition_wait_for_older_ones_in_the_others_k4() -> None:
    """A newer change that left a large value out was applied before the older one that alone had brought it."""
    table, memory, asked = table_at(), TableMemory("id"), []

    def ends(topic: str) -> dict[int, int]:
        asked.append(topic)
        return {0: 10, 1: 3}

    first = added(table, 4)
    applied = apply(table, first, memory, ends=ends)
    assert applied.held
    assert first.asked[0][0].held == {1: 0}
    assert dict(applied.progress.partitions) == {0: PartitionProgress(5, 0, streaming=True)}
    last = added(table, 9)
    applied = apply(table, last, memory, ends=ends)
    assert not applied.held
    assert last.asked[0][0].held == {}
    assert {p: s.next_offset for p, s in applied.progress.partitions.items()} == {0: 10, 1: 3}
    assert asked == [SPEC.topic]


def test_the_marker_of_a_transaction_at_the_end_of_a_partition_holds_nothing_back_k4() -> None:
    table = table_at()
    applier = Applier(5, 2, lambda: None, ends=lambda _topic: {0: 6, 1: 3})
    assert not applier.apply(replace(SPEC, transactional=True), table, added(table, 4), TableMemory("id")).held
    table = table_at()
    assert applier.apply(SPEC, table, added(table, 4), TableMemory("id")).held


def test_an_added_partition_is_read_when_the_others_do_not_come_to_their_ends_k4() -> None:
    """What is left there is of a transaction that was given up: no message will ever be at the end."""
    table, memory, now = table_at(5), TableMemory("id"), [100.0]
    options: dict[str, Any] = {"clock": lambda: now[0], "hold_seconds": 30.0, "ends": lambda _topic: {0: 10}}
    assert apply(table, added(table, None), memory, **options).held
    now[0] += 29
    assert apply(table, added(table, 7), memory, **options).held
    now[0] += 29
    assert apply(table, added(table, None), memory, **options).held
    now[0] += 1
    assert not apply(table, added(table, None), memory, **options).held


def test_no_partition_was_added_to_a_topic_that_is_read_from_its_beginning() -> None:
    """Connectors fill one partition after another: each would have made the query begin again."""
    table = MemoryTable().holding({"id": "int", "n": "int"}, {TOKEN: "1"})
    memory = TableMemory("id", partitions=frozenset({0, 1}))
    applied = apply(table, MemoryBatch(table), memory, ends=lambda _topic: {0: 10})
    assert {p: s.next_offset for p, s in applied.progress.partitions.items()} == {0: 3, 1: 0}
    assert not apply(table, added(table, 4), memory, ends=lambda _topic: {0: 10}).held


RULES = (Rule("amount", check="n >= 0", action=Action.STOP), Rule("mail", unique=("mail",)), Rule("n", check="n > 1"))


def judged(table: MemoryTable, *verdicts: Verdict, rules: tuple[Rule, ...] = RULES, judges: bool = True) -> Applied:
    batch = MemoryBatch(table, verdicts=verdicts)
    applier = Applier(5, 2, lambda: None, judges=judges)
    return applier.apply(replace(SPEC, rules=rules), table, batch, TableMemory("id"))


def test_a_batch_is_judged_before_anything_of_it_is_staged() -> None:
    table = table_at()
    with pytest.raises(RuleBroken, match=r"rule 'amount' is broken by 2 rows of a batch of ns\.t"):
        judged(table, Verdict(RULES[0], 2, 2), Verdict(RULES[2], 2, 1))
    assert table.calls == ["read", "collapse", "judge by amount, mail, n"]
    table = table_at()
    applied = judged(table, Verdict(RULES[0], 2), Verdict(RULES[2], 2, 1))
    assert list(applied.broken) == ["n"]
    assert table.calls[-1] == "publish"


def test_only_the_rules_for_single_rows_judge_a_batch_and_only_rows_that_a_stream_brings() -> None:
    """A load, a replay and a repair bring what the source has, or what was judged when it came."""
    for rules, judges in ((RULES, False), (RULES[1:2], True)):
        table = table_at()
        assert judged(table, Verdict(RULES[0], 2, 2), rules=rules, judges=judges).broken == {}
        assert not [call for call in table.calls if call.startswith("judge")]


def test_nothing_is_quarantined_of_a_batch_that_is_cut_short_first() -> None:
    table = table_at()
    bad = [Problem(0, 2, KEY, "undecodable value")]
    batch = torn_batch(table, replace(TORN, problems=1), WHOLE)
    batch.bad = bad
    apply(table, batch)
    assert not [call for call in table.calls if call.startswith("quarantine")]


def moved(table: MemoryTable, next_offset: int, epoch: int = 0) -> None:
    """Give the table another history, as a load, a rewind or a replay does."""
    progress = Progress(SPEC.topic, "id", {0: PartitionProgress(next_offset, epoch)})
    table.holding({"id": "int", "n": "int"}, {PROGRESS: progress.to_json(), TOKEN: "1"})


def batch_at(table: MemoryTable, first: int, last: int) -> MemoryBatch:
    return MemoryBatch(table, first_offsets={0: first}, last_offsets={0: last})


def test_a_rewound_table_is_not_given_batches_that_leave_a_gap() -> None:
    """S21."""
    table, memory = table_at(), TableMemory("id")
    apply(table, batch_at(table, 0, 2), memory)
    moved(table, 1)
    with pytest.raises(Moved, match=r"ns\.t was moved by somebody else"):
        apply(table, batch_at(table, 3, 5), memory)
    assert table.calls[-1] == "read"


@pytest.mark.parametrize(("offset", "epoch"), [(4, 1), (6, 0), (9, 0), (3, 1)])
def test_a_table_that_was_put_elsewhere_takes_no_batch_of_this_query(offset: int, epoch: int) -> None:
    """Also where the batch would fit: what had no effect before it was told from other rows."""
    table, memory = table_at(), TableMemory("id")
    apply(table, batch_at(table, 0, 2), memory)
    moved(table, offset, epoch)
    for _ in range(2):
        with pytest.raises(Moved):
            apply(table, batch_at(table, 3, 5), memory)


def test_batches_without_effect_leave_progress_behind_and_that_is_no_move() -> None:
    table, memory = table_at(), TableMemory("id")
    apply(table, MemoryBatch(table, [Collapsed()]), memory)
    applied = apply(table, batch_at(table, 3, 5), memory)
    assert applied.progress.of(0).next_offset == 6


def test_a_commit_of_our_own_whose_answer_was_lost_is_no_move() -> None:
    """S4."""
    table, memory = table_at(), TableMemory("id")
    publish = table.publish

    def lost(*given: Any) -> None:
        publish(*given)
        raise CommitStateUnknown("no answer")

    table.publish = lost  # type: ignore[method-assign]
    with pytest.raises(CommitStateUnknown):
        apply(table, MemoryBatch(table), memory)
    table.publish = publish  # type: ignore[method-assign]
    assert apply(table, MemoryBatch(table), memory).snapshot_id is None
    assert apply(table, batch_at(table, 3, 5), memory).progress.of(0).next_offset == 6


def test_a_commit_of_somebody_else_that_leaves_progress_alone_is_no_move() -> None:
    table, memory = table_at(), TableMemory("id")
    apply(table, MemoryBatch(table), memory)
    table.write_elsewhere()
    assert apply(table, batch_at(table, 3, 5), memory).snapshot_id is not None


def test_a_new_table_is_known_by_its_first_batches() -> None:
    table, memory = MemoryTable(), TableMemory("id")
    apply(table, MemoryBatch(table), memory)
    assert apply(table, batch_at(table, 3, 5), memory).progress.of(0).next_offset == 6


def test_what_was_judged_before_is_told_and_not_quarantined_again() -> None:
    """A replay of messages that the table has would block keys whose schema was lost since."""
    table, told = table_at(), list[Problem]()
    bad = Problem(0, 1, KEY, "unknown schema")
    batch = MemoryBatch(table, [Collapsed(events=3, problems=1), Collapsed(events=2, keys=1, problems=2)], bad=[bad])
    batch.counts = {INSERTED: "1"}
    memory, head = TableMemory("id"), Progress(SPEC.topic, "id", {0: PartitionProgress(9)})
    apply(table, batch, memory, published=head, on_problems=told.extend)
    assert not [call for call in table.calls if call.startswith("quarantine")]
    assert set(told) == {bad}
    assert memory.blocked == {KEY: (0, 1)}
