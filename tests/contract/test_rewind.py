"""Rewind on real tables: going back and on again gives what never having gone back gives."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from cdc.core.checkpoints import checkpoints_of
from cdc.core.errors import CommitConflict, Fenced, PositionLost, TerminalError
from cdc.core.events import ChangeEvent
from cdc.core.progress import Progress, TopicState
from cdc.core.rewind import RewindPlan
from cdc.lake.checkpoints import Histories
from cdc.lake.rewind import Rewinder
from cdc.lake.tables import IcebergTable
from cdc.pipeline.apply import PROGRESS, TOKEN, TableMemory
from cdc.pipeline.rewind import Operations, rewind, rewind_plan
from tests.contract.events import NUMBERED, TEXT, Topic, column
from tests.contract.sequences import PARTITIONS, history
from tests.contract.test_equivalence import COLUMNS, renumbered, spark_rows
from tests.fakes.control import MemoryControl
from tests.fakes.operations import MemoryAudit, MemoryTopics
from tests.lake import EVERY_PLACE, LakeTable, Message, writable_catalog

NewTable = Callable[..., LakeTable]
_attempts = count(1)


@dataclass
class Operator:
    """Rewinds a table the way the command does, on a topic that has everything from ``first`` on."""

    table: LakeTable
    config: Any
    first: int = 0
    control: MemoryControl = field(default_factory=MemoryControl)
    audit: MemoryAudit = field(default_factory=MemoryAudit)

    def __post_init__(self) -> None:
        self.catalog: Any = writable_catalog(self.config)
        self.histories = Histories(self.catalog)

    @property
    def operations(self) -> Operations:
        marks = {0: (self.first, 10**6), 1: (0, 10**6), 2: (0, 10**6)}
        topics = MemoryTopics({self.table.spec.topic: TopicState("topic-id", marks)})
        return Operations(self.histories, topics, self.control, self.audit)

    def plan(self, reference: object) -> RewindPlan:
        return rewind_plan(self.operations, self.table.spec.target, self.table.spec.topic, str(reference))

    def rewind(self, reference: object) -> RewindPlan:
        done = rewind(self.operations, Rewinder(self.catalog), self.plan(reference), self.table.spec.topic, "why not")
        self.restart()
        return done

    def restart(self) -> None:
        """Let the stream forget what it knew, as it does when it finds that the table was moved."""
        self.table.memory = TableMemory("topic-id", given_up=EVERY_PLACE)


@pytest.fixture
def operated(new_table: NewTable, lake: tuple[Any, Any]) -> Callable[..., tuple[LakeTable, Operator]]:
    """Return a function that makes a table with an operator."""

    def make(name: str, columns: Any, **options: Any) -> tuple[LakeTable, Operator]:
        table = new_table(name, columns, **options)
        return table, Operator(table, lake[1])

    return make


def unread(table: LakeTable, messages: list[Message]) -> list[Message]:
    """Return what the stream reads: everything from the table's progress on."""
    text = table.table.read().summary.get(PROGRESS) if table.table.exists() else None
    progress = Progress.from_json(text) if text else Progress("", "")
    return [m for m in messages if m.offset >= progress.of(m.partition).next_offset]


def rows(table: LakeTable) -> dict[Any, Any]:
    """Return key -> values and position, a key that is there twice is an error."""
    found = [(row.id, (row.n, row["_cdc_position"])) for row in table.rows()]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_every_snapshot_can_be_gone_back_to(operated: Any) -> None:
    """P13, S21: deletes, tombstones of Kafka and of the lake, truncates, key changes and late duplicates are applied
    again.
    """
    table, operator = operated("rewound", NUMBERED)
    topic = Topic()
    batches = [
        [topic.change("c", {"id": i, "n": i}, (0, 100 + i)) for i in (1, 2, 3)],
        [topic.change("d", {"id": 1}, (200, 210)), topic.tombstone({"id": 1})],
        [topic.change("c", {"id": 1, "n": 11}, (300, 310)), *topic.move({"id": 2}, {"id": 5, "n": 2}, (300, 320))],
        [topic.truncate((400, 410)), topic.change("c", {"id": 7, "n": 7}, (400, 420))],
        [topic.change("c", {"id": 1, "n": 11}, (300, 310)), topic.change("d", {"id": 7}, (500, 510))],
        [topic.change("c", {"id": 8, "n": 8}, (600, 610)), topic.change("c", {"id": 7, "n": 7}, (400, 420))],
    ]
    published = []
    for batch in batches:
        applied = table.apply(batch)
        published.append((applied.snapshot_id, rows(table)))
    messages = [message for batch in batches for message in batch]
    final = rows(table)
    assert sorted(final) == [8]
    for number, (snapshot, before) in enumerate(published[:-1]):
        plan = operator.rewind(snapshot)
        assert rows(table) == before
        assert plan.messages == len(messages) - sum(len(batch) for batch in batches[: number + 1])
        assert len(unread(table, messages)) == plan.messages
        table.apply(unread(table, messages))
        assert rows(table) == final, f"after batch {number}"
    operator.rewind(published[0][0])
    for message in unread(table, messages):
        table.apply([message])
    assert rows(table) == final, "one message at a time"
    assert operator.control.moves.keys() == {str(table.spec.target)}
    assert [entry[0] for entry in operator.audit.entries] == ["rewind"] * len(batches)


@pytest.mark.parametrize("deltas", [False, True])
def test_a_rewind_to_the_deletes_of_a_truncate_lost_the_rows_of_its_batch_p14(operated: Any, *, deltas: bool) -> None:
    """Spark deletes and merges in two commits; with the batch's progress in both, each was listed as a checkpoint.

    Whichever snapshot of the table a rewind goes to, by its id, the stream brings it to the same rows.
    """
    table, operator = operated(f"halves_{deltas}", NUMBERED, deltas=deltas)
    table.rewrites, table.indexes = False, None  # all of it by Spark
    topic = Topic()
    batches = [
        [topic.change("c", {"id": i, "n": i}, (0, 100 + i)) for i in range(1, 9)],
        [
            topic.truncate((400, 410), partition=1),
            *(topic.change("c", {"id": i, "n": 7}, (400, 420 + i)) for i in (7, 8)),
        ],
        [topic.change("c", {"id": 9, "n": 9}, (500, 510))],
    ]
    for batch in batches:
        table.apply(batch)
    messages, final = [message for batch in batches for message in batch], rows(table)
    assert sorted(final) == [7, 8, 9]
    made = operator.histories.read(table.spec.target)
    assert len(list(checkpoints_of(made))) == len(batches)
    for version in list(made.ancestry(made.head))[1:]:
        operator.rewind(version.snapshot_id)
        table.apply(unread(table, messages))
        assert rows(table) == final, f"after a rewind to {version}"


def test_a_rewind_can_be_undone_and_repeated(operated: Any) -> None:
    table, operator = operated("undone", NUMBERED)
    topic = Topic()
    one = table.apply([topic.change("c", {"id": 1, "n": 1}, (0, 10))])
    two = table.apply([topic.change("c", {"id": 2, "n": 2}, (0, 20))])
    there, properties = rows(table), operator.histories.read(table.spec.target).properties
    first = operator.rewind(one.snapshot_id)
    assert sorted(rows(table)) == [1]
    gone_back = operator.histories.read(table.spec.target)
    assert Progress.from_json(gone_back.properties[PROGRESS]).of(0).next_offset == 1, "the mirror goes back, too"
    assert gone_back.refs[first.tag] == two.snapshot_id
    with pytest.raises(TerminalError, match="already"):
        operator.plan(one.snapshot_id)

    undo = operator.rewind(f"tag:{first.tag}")
    assert undo.messages == 0
    assert rows(table) == there
    assert table.apply([topic.change("c", {"id": 3, "n": 3}, (0, 30))]).collapsed.events == 1
    mirrored = operator.histories.read(table.spec.target).properties
    assert mirrored.keys() == properties.keys()
    assert [one.kind for one in checkpoints_of(operator.histories.read(table.spec.target))][:2] == ["batch", "rewind"]


def test_to_before_the_first_batch_and_to_a_time(operated: Any) -> None:
    table, operator = operated("begun", NUMBERED)
    topic = Topic()
    messages = [topic.change("c", {"id": i, "n": i}, (0, 10 * i)) for i in (1, 2, 3)]
    first = table.apply(messages[:1])
    moment = datetime.now(UTC) + timedelta(milliseconds=1)
    table.apply(messages[1:])
    final = rows(table)
    plan = operator.plan(moment.isoformat())
    assert plan.to_snapshot in {first.snapshot_id, operator.histories.read(table.spec.target).head}
    operator.rewind(first.parent_id)
    assert rows(table) == {}
    assert PROGRESS not in table.table.read().summary
    assert unread(table, messages) == messages
    table.apply(messages)
    assert rows(table) == final
    with pytest.raises(PositionLost, match="as old as"):
        operator.plan("2001-01-01")


def test_a_writer_that_was_overtaken_publishes_nothing(operated: Any, lake: tuple[Any, Any]) -> None:
    """Its base may be the very snapshot that the table was taken back to: a fence lies on it, with the newer token."""
    table, operator = operated("overtaken", NUMBERED)
    topic = Topic()
    one = table.apply([topic.change("c", {"id": 1, "n": 1}, (0, 10))])
    late = [topic.change("c", {"id": 2, "n": 2}, (0, 20))]

    def meanwhile() -> None:
        IcebergTable(lake[0], table.catalog, table.spec.target).fence({TOKEN: "2"})
        operator.rewind(one.snapshot_id)

    table.before_publish = meanwhile
    with pytest.raises(CommitConflict):
        table.apply(late)
    table.before_publish = lambda: None
    assert sorted(rows(table)) == [1]
    operator.restart()
    with pytest.raises(Fenced, match="token 2, ours is 1"):
        table.apply(late)
    table.token = 2
    table.apply(late)
    assert sorted(rows(table)) == [1, 2]


def test_a_publish_that_comes_between_makes_the_rewind_try_again(operated: Any) -> None:
    table, operator = operated("contended", NUMBERED)
    topic = Topic()
    one = table.apply([topic.change("c", {"id": 1, "n": 1}, (0, 10))])
    table.apply([topic.change("c", {"id": 2, "n": 2}, (0, 20))])
    plan = operator.plan(one.snapshot_id)
    head = table.apply([topic.change("c", {"id": 3, "n": 3}, (0, 30))])
    done = rewind(operator.operations, Rewinder(operator.catalog), plan, table.spec.topic, "")
    assert done.from_snapshot == head.snapshot_id
    assert done.messages == 2
    assert sorted(rows(table)) == [1]


def test_a_column_that_was_dropped_and_added_again_holds_its_former_values(operated: Any) -> None:
    """The current schema follows only then: a column that was merely added or widened since stays."""
    columns = [*NUMBERED, column("note", TEXT)]
    table, operator = operated("readded", columns)
    topic = Topic()
    one = table.apply([topic.change("c", {"id": 1, "n": 1, "note": "old"}, (0, 10))])
    table.session.sql(f"ALTER TABLE {table.table.sql_name} ADD COLUMNS (more int)")
    messages = [topic.change("u", {"id": 1, "n": 2, "note": "new"}, (20, 30))]
    table.apply(messages)
    plan = operator.rewind(one.snapshot_id)
    assert (plan.schema_id, plan.columns) == (None, ())
    assert "more" in table.table.read().columns
    table.apply(messages)

    table.session.sql(f"ALTER TABLE {table.table.sql_name} DROP COLUMN note")
    table.session.sql(f"ALTER TABLE {table.table.sql_name} ADD COLUMNS (note string)")
    plan = operator.rewind(one.snapshot_id)
    assert plan.columns == ("note",)
    assert [(row.id, row.n, row.note) for row in table.rows()] == [(1, 1, "old")]
    table.apply(messages)
    assert [(row.id, row.n, row.note) for row in table.rows()] == [(1, 2, "new")]


def test_what_the_topic_no_longer_has_is_refused_with_what_can_be_had(operated: Any) -> None:
    """X10."""
    table, operator = operated("lost", NUMBERED)
    topic = Topic()
    applied = [table.apply([topic.change("c", {"id": i, "n": i}, (0, 10 * i))]) for i in (1, 2, 3)]
    operator.first = 2
    with pytest.raises(PositionLost, match=r"offset 1 .* is gone") as refused:
        operator.plan(applied[0].snapshot_id)
    assert str(applied[1].snapshot_id) in refused.value.hint
    assert operator.plan(applied[1].snapshot_id).messages == 1


@given(seed=st.integers(0, 2**32 - 1))
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_going_back_at_random_ends_as_never_having_gone_back(lake: tuple[Any, Any], seed: int) -> None:
    """Generated histories with redeliveries, key changes and deletes; rewinds to random snapshots, other boundaries."""
    note(f"seed {seed}")
    print(f"seed {seed}")
    chance = random.Random(seed)
    batches: dict[int, list[ChangeEvent]] = defaultdict(list)
    for number in range(20):
        for batch, event in history(seed, number, transactions=8).deliveries(4, whole=True):
            batches[batch].append(event)
    offsets = [0] * PARTITIONS
    log = [renumbered(batches[number], offsets)[1] for number in sorted(batches)]
    messages = [message for batch in log for message in batch]
    attempt = next(_attempts)
    straight, moved = (
        LakeTable(*lake, COLUMNS, name=f"{kind}_{seed}_{attempt}", key=("s", "id")) for kind in ("straight", "moved")
    )
    for batch in log:
        straight.apply_whole(batch)
    operator = Operator(moved, lake[1])
    snapshots: list[int] = []
    left, there = 4, -1
    while todo := unread(moved, messages):
        part = cut(chance, todo)
        applied = moved.apply_whole(part)
        moved.pending = []
        if part == todo and applied.snapshot_id is None:
            break  # nothing changes any more, and progress only moves with changes
        if applied.snapshot_id is not None:
            snapshots.append(applied.snapshot_id)
            there = -1
        found = [one for one in snapshots[:-1] if one != there]
        if left and found and chance.random() < 0.5:
            left -= 1
            there = operator.rewind(chance.choice(found)).to_snapshot
    assert spark_rows(moved) == spark_rows(straight), f"seed {seed}"


def cut(chance: random.Random, messages: list[Message]) -> list[Message]:
    """Return the beginning of each partition's messages, at least one message."""
    share = chance.choice((0.2, 0.5, 1.0))
    if share == 1.0:
        return messages
    found = []
    for partition in range(PARTITIONS):
        own = [m for m in messages if m.partition == partition]
        found += own[: int(len(own) * share) + 1]
    return found
