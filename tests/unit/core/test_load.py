"""Loads as the core sees them: plans, positions, and the proof of decision 0014, run over generated histories."""

import random
from dataclasses import dataclass, field

import pytest

from cdc.core.collapse import READ_AGAIN, UNKNOWN, Row
from cdc.core.events import ChangeEvent, Operation
from cdc.core.load import LoadPlan, Range, TableSize, loaded_position, new_epoch, reread_position
from cdc.core.merge import TableState, merge
from cdc.core.names import TableName
from cdc.core.positions import LAYOUTS, Position, newer, parse_position
from cdc.core.progress import PartitionProgress, Progress, slice_of

POSTGRES = LAYOUTS["postgres"]
HISTORIES = 400


def test_a_plan_survives_its_form() -> None:
    plan = LoadPlan(
        "a1",
        TableName("public", "Order. Items"),
        ("id", "line"),
        {"id": "long", "line": "int"},
        TableSize(10, 1000),
        (
            Range(0, TableName("public", "leaf"), "id < '5'", 5),
            Range(1, TableName("public", "leaf"), "", 5, ordered=False),
        ),
        Progress("t", "topic", {0: PartitionProgress(7, 2, streaming=True)}),
        "0/16B3748",
        "2026-01-01T00:00:00+00:00",
    )
    assert LoadPlan.from_json(plan.to_json()) == plan


def test_a_load_opens_an_epoch_above_all_of_before() -> None:
    before = Progress("t", "x", {0: PartitionProgress(5, 3, streaming=True), 1: PartitionProgress(9, 3)})
    begun = new_epoch("t", "x", {0: 50, 1: 60}, before)
    assert begun.partitions == {
        0: PartitionProgress(50, 4, streaming=True),
        1: PartitionProgress(60, 4, streaming=True),
    }
    assert new_epoch("t", "x", {0: 5}, None).of(0).epoch == 1


@pytest.mark.parametrize("engine", ["postgres", "mysql", "oracle"])
def test_every_change_of_the_epoch_wins_over_a_loaded_row_and_none_of_before(engine: str) -> None:
    """P29, S13: also the first change after the slot was made, which knows of no commit before it."""
    row = loaded_position(engine, 2, "FF/FF000000")
    first = {"postgres": (0, 1, 1), "mysql": (1, 4, 1), "oracle": (1, 1, 0)}[engine]
    assert newer(Position(2, first, 0), row, LAYOUTS[engine])
    assert not newer(Position(1, (2**30, 1, 1), 10**9), row, LAYOUTS[engine])


def test_a_slice_is_shared_among_partitions() -> None:
    assert slice_of({0: 0, 1: 10}, {0: 10, 1: 40}, 1000) == {0: 10, 1: 40}
    assert slice_of({0: 0, 1: 10}, {0: 10, 1: 40}, 20) == {0: 5, 1: 25}
    assert slice_of({0: 3}, {0: 3}, 20) == {0: 3}


@dataclass
class Source:
    """A table with a log: rows have a small and a large value, and a place on disk that updates move."""

    random: random.Random
    rows: dict[int, tuple[int, int]] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    log: list[list[ChangeEvent]] = field(default_factory=list)
    lsn: int = 100
    value: int = 0

    def transaction(self) -> None:
        last_commit, events = (self.lsn if self.log else 0), list[ChangeEvent]()
        for _ in range(self.random.randint(1, 3)):
            events += self._change(last_commit)
        self.lsn += 10
        self.log.append(events)

    def _change(self, last_commit: int) -> list[ChangeEvent]:
        r = self.random
        key, self.value = r.randrange(12), self.value + 1
        self.lsn += 1
        at = Position(1, (last_commit, 1, self.lsn), 0)
        if r.random() < 0.02:
            self.rows.clear()
            return [ChangeEvent(Operation.TRUNCATE, (), at)]
        if key not in self.rows:
            return [self._insert(key, at)]
        choice = r.random()
        self.places[key] = r.randrange(12)
        if choice < 0.25:
            del self.rows[key]
            return [ChangeEvent(Operation.DELETE, (key,), at)]
        if choice < 0.45 and (new := r.randrange(12)) not in self.rows:
            return self._move(key, new, at)
        large = self.rows[key][1]
        if choice < 0.6:
            self.rows[key] = (self.value, self.value)
            return [ChangeEvent(Operation.UPDATE, (key,), at, {"small": self.value, "large": self.value})]
        self.rows[key] = (self.value, large)
        return [ChangeEvent(Operation.UPDATE, (key,), at, {"small": self.value}, frozenset({"large"}))]

    def _insert(self, key: int, at: Position) -> ChangeEvent:
        self.rows[key], self.places[key] = (self.value, self.value), self.random.randrange(12)
        return ChangeEvent(Operation.CREATE, (key,), at, {"small": self.value, "large": self.value})

    def _move(self, key: int, new: int, at: Position) -> list[ChangeEvent]:
        self.rows[new], self.places[new] = (self.value, self.rows.pop(key)[1]), self.random.randrange(12)
        return [
            ChangeEvent(Operation.DELETE, (key,), at, new_key=(new,)),
            ChangeEvent(Operation.CREATE, (new,), at, {"small": self.value}, frozenset({"large"}), old_key=(key,)),
        ]


def loaded(source: Source, *, by_place: bool) -> tuple[TableState, int]:
    """Load a source that changes all the while, as decision 0014 says; return the shadow and the rows read again."""
    r, again = source.random, 0
    delivered = r.randint(0, len(source.log))  # the connector may be behind
    begin = delivered
    position = loaded_position("postgres", 1, "0/1")
    rows: dict[int, list[Row]] = {}
    parts = [range(4), range(4, 8), range(8, 12)]
    r.shuffle(parts)
    for part in parts:
        for _ in range(r.randrange(4)):
            source.transaction()
        for key, (small, large) in source.rows.items():
            if (source.places[key] if by_place else key) in part:
                rows.setdefault(key, []).append(Row({"small": small, "large": large}, position, "r"))
    repeated = [key for key, found in rows.items() if len(found) > 1]
    table = TableState({(key,): found[0] for key, found in rows.items()})
    reread(source, table, repeated, position)
    again += len(repeated)
    doubtful = "r" + READ_AGAIN
    while True:
        until = len(source.log)  # passed: all that is committed by now is in the topic
        for batch in cut(r, source.log[begin:until]):
            table = merge(table, batch, POSTGRES, doubtful)
            if r.random() < 0.3:
                source.transaction()
        begin, doubtful = until, READ_AGAIN
        marked = [key for (key,), row in table.rows.items() if row.operation == UNKNOWN]
        if not marked:
            break
        reread(source, table, marked, position)
        again += len(marked)
    for batch in cut(r, source.log[begin:]):  # from here on it is the stream, which is not lenient
        table = merge(table, batch, POSTGRES)
    return table, again


def reread(source: Source, table: TableState, keys: list[int], position: Position) -> None:
    for key in keys:
        table.rows.pop((key,), None)
        if key in source.rows:
            small, large = source.rows[key]
            at = parse_position(reread_position(position.text(POSTGRES), table.truncated))
            table.rows[(key,)] = Row({"small": small, "large": large}, at, READ_AGAIN)


def cut(r: random.Random, log: list[list[ChangeEvent]]) -> list[list[ChangeEvent]]:
    batches: list[list[ChangeEvent]] = []
    for transaction in log:
        if batches and r.random() < 0.6:
            batches[-1] += transaction
        else:
            batches.append(list(transaction))
    return batches


@pytest.mark.parametrize("by_place", [False, True])
def test_a_load_ends_equal_to_the_source_p29_p34_s13(by_place: bool) -> None:
    """P33: deleted, moved, updated without a large value, between any two statements; no row is lost or comes back."""
    again = 0
    for seed in range(HISTORIES):
        source = Source(random.Random(seed))
        for _ in range(source.random.randint(0, 10)):
            source.transaction()
        table, reread_rows = loaded(source, by_place=by_place)
        found = {key[0]: (row.values["small"], row.values["large"]) for key, row in table.rows.items()}
        assert found == source.rows, f"seed {seed}"
        again += reread_rows
    assert again > 0, "no history needed what it is there for"
