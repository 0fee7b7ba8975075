"""The commit protocol on real tables: what a crash, a lost answer, a rival or an operator may do to a batch."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pyiceberg.exceptions import CommitStateUnknownException
from pyiceberg.table import CommitTableResponse

from cdc.core.errors import CommitConflict, CommitStateUnknown, Fenced, TerminalError, UnavailableValue
from cdc.core.progress import Progress
from cdc.lake.held import HeldTable
from cdc.lake.tables import IcebergTable
from cdc.pipeline.apply import PROGRESS, TOKEN, TableMemory
from tests.contract.events import NUMBERED, TEXT, Topic, column
from tests.file_catalog import FileCatalog
from tests.lake import PLACEHOLDER, Killed, LakeTable, killed_before_publish

NewTable = Callable[..., LakeTable]


def numbers(table: LakeTable) -> dict[int, int]:
    """Return id -> n as published; a key that is there twice is an error."""
    rows = [(row.id, row.n) for row in table.rows()]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def progress(table: LakeTable) -> Progress:
    return Progress.from_json(table.table.read().summary[PROGRESS])


def inserts(topic: Topic, *ids: int, partition: int = 0) -> list[Any]:
    return [topic.change("c", {"id": i, "n": i}, (0, 100 + i), partition=partition) for i in ids]


def test_replays_and_crashes(new_table: NewTable) -> None:
    """S1, P13, S18: a batch staged but not published is done again; one that was published is not."""
    table, topic = new_table("replays", NUMBERED), Topic()
    first = inserts(topic, 1, 2) + inserts(topic, 3, partition=2)
    with killed_before_publish(table), pytest.raises(Killed):
        table.apply(first)
    assert numbers(table) == {}
    published = table.apply(first)
    assert published.counts == {"inserted": 3, "updated": 0, "deleted": 0}
    state = table.table.read()
    assert state.snapshot_id == published.snapshot_id
    assert {p: s.next_offset for p, s in progress(table).partitions.items()} == {0: 2, 2: 1}
    assert progress(table).topic_id == "topic-id"
    assert state.summary["cdc.events"] == "3"
    assert state.summary["cdc.first_position"] < state.summary["cdc.last_position"]

    table.memory = TableMemory("topic-id")
    assert table.apply(first).snapshot_id is None
    assert table.table.read() == state
    overlapping = [*first, topic.change("u", {"id": 1, "n": 10}, (200, 210)), *inserts(topic, 4)]
    assert table.apply(overlapping).collapsed.events == 2
    assert numbers(table) == {1: 10, 2: 2, 3: 3, 4: 4}

    tombstones = [topic.tombstone({"id": i}) for i in (1, 2)]
    assert table.apply(tombstones).collapsed.keys == 0
    table.apply([topic.tombstone({"id": 3}), *inserts(topic, 5), topic.tombstone({"id": 4})])
    assert numbers(table) == {1: 10, 2: 2, 3: 3, 4: 4, 5: 5}, "P13: a message without a value deletes nothing"


def test_a_key_change_was_lost_after_a_crash_between_tombstones_and_publish_s14_p12(new_table: NewTable) -> None:
    """The tombstone of a batch that was never published counted as a delete: the row stayed at its old key."""
    table, topic = new_table("crashed", [*NUMBERED, column("large", TEXT)]), Topic()
    table.apply([topic.change("c", {"id": 1, "n": 1, "large": "of 1"}, (0, 10))])
    moves = [
        *topic.move({"id": 1}, {"id": 2, "n": 2, "large": PLACEHOLDER}, (20, 30)),
        topic.change("c", {"id": 5, "n": 5, "large": "of 5"}, (30, 40)),
        *topic.move({"id": 5}, {"id": 6, "n": 6, "large": PLACEHOLDER}, (40, 50)),
    ]
    with killed_before_publish(table), pytest.raises(Killed):
        table.apply_whole(moves)
    table.memory = TableMemory("topic-id")
    table.apply_whole(moves)
    assert {row.id: (row.n, row.large) for row in table.rows()} == {2: (2, "of 1"), 6: (6, "of 5")}
    table.apply_whole([topic.change("c", {"id": 1, "n": 1, "large": "of 1"}, (0, 10))])
    assert sorted(numbers(table)) == [2, 6], "the tombstone of a published batch counts"


def test_small_tables_drowned_in_small_files(new_table: NewTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 6, S36: merges rewrite a small table; once it is large, or its owner says so, they write deletes."""
    table, topic = new_table("small", NUMBERED), Topic()
    for n in range(4):
        table.apply([topic.change("u", {"id": i, "n": n}, (200 + n, 10 * n + i)) for i in (n, n + 1)])
    assert numbers(table) == {0: 0, 1: 1, 2: 2, 3: 3, 4: 3}
    table.apply([topic.change("u", {"id": i, "n": 9}, (300, 300 + i)) for i in range(5)])
    assert set(numbers(table).values()) == {9}
    assert table.table.row_count() == 5
    assert files(table)[0] <= 2
    assert files(table)[1] == 0

    monkeypatch.setattr("cdc.lake.tables.SMALL_BYTES", 0)
    for n in (5, 6):
        table.apply([topic.change("u", {"id": 0, "n": n}, (400 + n, n))])
    assert numbers(table)[0] == 6
    assert files(table)[1] > 0
    kinds = {row.content for row in table.session.sql(f"SELECT content FROM {table.table.sql_name}.files").collect()}
    assert kinds == {0, 1}, "S36: deletes are by position, which every reader applies"
    told = table.session.sql(f"SHOW TBLPROPERTIES {table.table.sql_name}").collect()
    assert {row.key: row.value for row in told}["format-version"] == "2"

    monkeypatch.undo()
    own, topic = new_table("own_mode", NUMBERED, properties={"write.merge.mode": "merge-on-read"}), Topic()
    own.apply(inserts(topic, 1, 2))
    own.apply([topic.change("u", {"id": 1, "n": 7}, (200, 210))])
    assert numbers(own) == {1: 7, 2: 2}
    assert files(own)[1] > 0


def files(table: LakeTable) -> tuple[int, int]:
    """Return how many data and delete files the table has."""
    kinds = table.session.sql(f"SELECT content FROM {table.table.sql_name}.files").collect()
    return sum(row.content == 0 for row in kinds), sum(row.content == 1 for row in kinds)


class LostAnswer(IcebergTable):
    """Publishes and loses the answer once; ``arrives`` tells whether the commit was made."""

    arrives: bool | None = None

    def _swap(self, base: int, staged: int, properties: Mapping[str, str]) -> None:
        arrives, self.arrives = self.arrives, None
        if arrives is not False:
            super()._swap(base, staged, properties)
        if arrives is not None:
            raise CommitStateUnknown("the answer was lost")


class ForgetfulCatalog(FileCatalog):
    """The same for commits without Spark."""

    arrives: bool | None = None

    def commit_table(self, table: Any, requirements: Any, updates: Any) -> CommitTableResponse:
        arrives, self.arrives = self.arrives, None
        done = super().commit_table(table, requirements, updates) if arrives is not False else None
        if done is None or arrives is not None:
            raise CommitStateUnknownException("the answer was lost")
        return done


@pytest.mark.parametrize("direct", [False, True], ids=["by Spark", "without Spark"])
def test_lost_answers_and_rivals(new_table: NewTable, lake: tuple[Any, Any], direct: bool) -> None:
    """S4, S5, S44 and promise 4: every outcome is found out, and whoever was overtaken publishes nothing."""
    table, topic = new_table(f"rivals_{direct}", NUMBERED), Topic()
    lossy: Any = ForgetfulCatalog(lake[1]) if direct else LostAnswer(lake[0], table.catalog, table.spec.target)
    if direct:
        table.held = HeldTable(lossy, table.spec.target)
    else:
        table.table, table.rewrites = lossy, False
    table.apply(inserts(topic, 1))
    lossy.arrives = True
    second = inserts(topic, 2)
    assert table.apply(second).snapshot_id == table.table.read().snapshot_id
    lossy.arrives = False
    third = inserts(topic, 3)
    with pytest.raises(CommitStateUnknown):
        table.apply(third)
    assert numbers(table) == {1: 1, 2: 2}

    table.before_publish = fail_once(lambda: foreign_insert(table, 50))
    with pytest.raises(CommitConflict):
        table.apply(third)
    assert numbers(table) == {1: 1, 2: 2, 50: 50}
    table.apply(third)
    assert numbers(table) == {1: 1, 2: 2, 3: 3, 50: 50}

    rival = IcebergTable(lake[0], table.catalog, table.spec.target)
    carried = {PROGRESS: progress(table).to_json(), TOKEN: str(table.token + 1)}
    table.before_publish = fail_once(lambda: rival.fence(carried))
    with pytest.raises(CommitConflict):
        table.apply(fourth := inserts(topic, 4))
    with pytest.raises(Fenced, match="token 2, ours is 1"):
        table.apply(fourth)
    assert 4 not in numbers(table)
    table.token += 1
    table.apply(fourth)
    assert numbers(table) == {1: 1, 2: 2, 3: 3, 4: 4, 50: 50}


def test_what_operators_do_to_a_tables_history(new_table: NewTable) -> None:
    """S20, S21, X10: progress is found beyond maintenance, survives expiry, and goes back with the rows."""
    table, topic = new_table("history", NUMBERED), Topic()
    one, two = inserts(topic, 1), inserts(topic, 2)
    first, _ = table.apply(one), table.apply(two)
    call(table, f"rollback_to_snapshot('{NAME}', {first.snapshot_id})")
    assert numbers(table) == {1: 1}
    assert progress(table).of(0).next_offset == 1
    table.apply(one + two)
    assert numbers(table) == {1: 1, 2: 2}

    call(table, f"rollback_to_snapshot('{NAME}', {first.parent_id})")
    assert numbers(table) == {}
    assert PROGRESS not in table.table.read().summary, "S21: rows and progress go back together, to nothing"
    table.apply(one + two)
    assert numbers(table) == {1: 1, 2: 2}

    before = progress(table)
    table.session.sql(f"DELETE FROM {table.table.sql_name} WHERE id = 1")
    assert progress(table) == before
    table.session.sql(f"ALTER TABLE {table.table.sql_name} DROP BRANCH cdc")
    call(table, f"expire_snapshots(table => '{NAME}', older_than => TIMESTAMP '2100-01-01', retain_last => 1)")
    assert table.session.sql(f"SELECT count(*) FROM {table.table.sql_name}.snapshots").collect()[0][0] == 1
    assert progress(table) == before, "S20: absent is not zero"
    assert table.apply(one + two).snapshot_id is None
    table.apply(inserts(topic, 3))
    assert numbers(table) == {2: 2, 3: 3}


def test_what_cannot_be_right_stops_the_table(new_table: NewTable) -> None:
    """P4 and S12: nothing is published, and progress stays."""
    columns = [*NUMBERED, column("large", TEXT)]
    table, topic = new_table("stops", columns), Topic()
    table.apply([topic.change("c", {"id": 1, "n": 1, "large": "x"}, (0, 10))])
    before = table.table.read()
    lost = topic.change("u", {"id": 2, "n": 2, "large": PLACEHOLDER}, (0, 20))
    with pytest.raises(UnavailableValue, match="'large'") as refused:
        table.apply([topic.change("u", {"id": 1, "n": 5, "large": "y"}, (0, 15)), lost])
    assert "REPLICA IDENTITY FULL" in refused.value.hint
    assert table.table.read() == before

    topic.offsets[0] = 1
    foreign_insert(table, 1)
    before = table.table.read()
    with pytest.raises(TerminalError, match="audit") as refused:
        table.apply([topic.change("u", {"id": 1, "n": 6, "large": "z"}, (30, 40))])
    assert "more than once" in refused.value.hint
    assert table.table.read() == before

    keyless = new_table("keyless", [column("other", "int")], key=("id",))
    with pytest.raises(TerminalError, match="key column 'id'"):
        keyless.apply([Topic(key=("other",)).raw({}, b"\0\0\0\0\1")])


NAME = "{name}"


def call(table: LakeTable, procedure: str) -> None:
    table.session.sql(f"CALL {table.catalog}.system.{procedure.replace(NAME, f'ns.{table.spec.target.table}')}")


def foreign_insert(table: LakeTable, number: int) -> None:
    table.session.sql(f"INSERT INTO {table.table.sql_name} (id, n, _cdc_position) VALUES ({number}, {number}, '')")


def fail_once(event: Exception | Callable[[], None]) -> Callable[[], None]:
    """Return a function that does something when it is called first, and nothing later."""
    events = [event]

    def act() -> None:
        for one in [events.pop()] if events else []:
            if isinstance(one, Exception):
                raise one
            one()

    return act
