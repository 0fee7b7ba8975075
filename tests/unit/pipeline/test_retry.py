# ruff: noqa: ARG002 - the names of arguments belong to the protocols
"""Rounds of `cdc quarantine retry`, with a table that is a mapping: what comes in, what stays, what a crash leaves."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from cdc.core.batch import BEHIND, Collapsed, Problem, Skip
from cdc.core.errors import CommitConflict
from cdc.core.names import TableName, shadow_of
from cdc.core.progress import PartitionProgress, Progress, TopicState
from cdc.core.replay import ReplayPlan
from cdc.pipeline.apply import PROGRESS, Applier, TableMemory
from cdc.pipeline.quiet import quiet
from cdc.pipeline.replay import ReplayParts
from cdc.pipeline.retry import Retried, Retry
from cdc.pipeline.table import TableSpec
from tests.fakes.control import MemoryControl
from tests.fakes.operations import MemoryAudit
from tests.fakes.pipeline import INSERTED, ROW, UPDATED, spec_of
from tests.fakes.target_table import FakeTargetTable

SPEC = spec_of()
ROWS = dict[bytes, tuple[int, int]]
"""Key -> (offset of the event that made the row, n)."""


class Event(NamedTuple):
    """A message: its place, its key, the value that it brings, and why it cannot be used, if so."""

    offset: int
    key: bytes
    n: int
    broken: str = ""

    @property
    def partition(self) -> int:
        return 0


@dataclass
class RowTable(FakeTargetTable):
    """A table whose rows are known at each snapshot."""

    rows_at: dict[int, ROWS] = field(default_factory=dict)

    @property
    def rows(self) -> ROWS:
        return self.rows_at.get(self.main, {})

    def commit(self, rows: ROWS, summary: Mapping[str, str], parent: int | None = None) -> int:
        number = self._commit(self.main if parent is None else parent, summary)
        self.rows_at[number] = rows
        return number

    def stage_progress(self, base: int, summary: Mapping[str, str]) -> None:
        self.branch = self.commit(self.rows_at.get(base, {}), summary, base)


@dataclass
class World:
    """Tables, a topic and a quarantine; the engine of a replay, and the quarantine of a retry."""

    log: list[Event] = field(default_factory=list)
    tables: dict[TableName, RowTable] = field(default_factory=dict)
    held: dict[int, Event] = field(default_factory=dict)
    killed: bool = False

    def arrive(self, *events: Event, blocked: dict[bytes, tuple[int, int]] | None = None) -> None:
        """Apply a batch as a service does that has just started, or that knows these blocked keys."""
        self.log += events
        memory = TableMemory("id", self.waiting() if blocked is None else blocked)
        batch = RowBatch(self, self.tables[SPEC.target], events)
        Applier(1, 100, lambda: None).apply(SPEC, self.tables[SPEC.target], batch, memory)

    def waiting(self) -> dict[bytes, tuple[int, int]]:
        first: dict[bytes, tuple[int, int]] = {}
        for offset, event in sorted(self.held.items()):
            first.setdefault(event.key, (0, offset))
        return first

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        return dict.fromkeys(names, TopicState("id", {0: (0, len(self.log))}))

    @contextmanager
    def table(self, spec: TableSpec) -> Iterator[RowTable]:
        yield self.tables.setdefault(spec.target, RowTable())

    def blocked(self, topics: Sequence[str]) -> dict[str, dict[bytes, tuple[int, int]]]:
        return {SPEC.topic: self.waiting()}

    def ends(self, topic: str) -> Mapping[int, int]:
        return {0: len(self.log)}

    def read(self, topic: str, start: Mapping[int, int], end: Mapping[int, int]) -> "RowRange":
        return RowRange(self, [one for one in self.log if start[0] <= one.offset < end[0]])

    def places(self, topic: str) -> list[Event]:
        return [event for _, event in sorted(self.held.items())]

    def release(self, topic: str, places: Collection[tuple[int, int]]) -> None:
        if self.killed:
            raise KeyboardInterrupt
        for _, offset in places:
            self.held.pop(offset, None)

    def plan(self, places: Collection[tuple[int, int]]) -> ReplayPlan:
        head = Progress.from_json(self.tables[SPEC.target].read().summary[PROGRESS])
        start = min([offset for _, offset in places] + [head.of(0).next_offset])
        from_there = replace(head, partitions={0: replace(head.of(0), next_offset=start)})
        return ReplayPlan(SPEC.target, None, from_there, head, head)

    def retry(self, **options: Any) -> Retried:
        parts = ReplayParts(self, RowShadow.of(self), None, MemoryControl(), MemoryAudit())  # type: ignore[arg-type]
        return Retry(parts, self, self.plan, SPEC, **{"pause": lambda _seconds: None, **options}).run()

    def values(self) -> dict[bytes, int]:
        return {key: n for key, (_, n) in self.tables[SPEC.target].rows.items()}


@dataclass
class RowRange:
    """A range of the topic."""

    world: World
    events: Sequence[Event]

    def topics(self) -> Sequence[str]:
        return [SPEC.topic] if self.events else []

    @contextmanager
    def of(self, spec: TableSpec) -> Iterator["RowBatch"]:
        yield RowBatch(self.world, self.world.tables[spec.target], self.events)

    def close(self) -> None:
        pass


class RowBatch:
    """Events that are merged by their offsets, the model's positions."""

    rows = (ROW,)
    way = "merge"
    properties: Mapping[str, str] = MappingProxyType({})

    def __init__(self, world: World, table: RowTable, events: Sequence[Event]) -> None:
        self.world, self.into, self.events = world, table, events
        self.first_offsets = {0: events[0].offset}
        self.last_offsets = {0: events[-1].offset}

    def collapse(self, columns: Mapping[str, str], skip: Skip, epochs: Any, truncated: str) -> Collapsed:
        new = [one for one in self.events if one.offset >= skip.progress.of(0).next_offset]
        self.bad = [Problem(0, one.offset, one.key, why) for one in new if (why := self._problem(one, skip))]
        places = {problem.offset for problem in self.bad}
        self.changes = {one.key: one for one in new if one.offset not in places}
        return Collapsed(events=len(new), keys=len(self.changes), problems=len(self.bad))

    @staticmethod
    def _problem(one: Event, skip: Skip) -> str:
        at = skip.blocked.get(one.key)
        return BEHIND if at is not None and one.offset > at[1] else one.broken

    def problems(self, limit: int) -> Sequence[Problem]:
        return self.bad[:limit]

    def quarantine(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            self.world.held.setdefault(problem.offset, next(e for e in self.events if e.offset == problem.offset))

    def stage(self, summary: Mapping[str, str], truncate: str, branch: Callable[[], None]) -> None:
        branch()
        rows = dict(self.into.rows_at.get(self.into.branch, {}))
        newer = {k: (e.offset, e.n) for k, e in self.changes.items() if e.offset > rows.get(k, (-1, 0))[0]}
        if newer:
            counts = {INSERTED: str(len(newer.keys() - rows.keys())), UPDATED: str(len(newer.keys() & rows.keys()))}
            self.into.branch = self.into.commit({**rows, **newer}, {**summary, **counts}, self.into.branch)


@dataclass
class RowShadow:
    """The shadow of the table."""

    world: World
    name: TableName = field(default_factory=lambda: shadow_of("cdc", SPEC.target))

    @classmethod
    def of(cls, world: World) -> Any:
        return lambda _spec: cls(world)

    def exists(self) -> bool:
        return bool(self.world.tables.get(self.name, RowTable()).columns)

    def create(self, properties: Mapping[str, str], *, snapshot: int | None = None) -> None:
        target = self.world.tables[SPEC.target]
        made = self.world.tables[self.name] = RowTable(dict(target.columns), dict(properties))
        made.main = made.commit(dict(target.rows), target.read().summary)

    def append(self, files: Sequence[Any], summary: Mapping[str, str]) -> None:
        made = self.world.tables[self.name]
        made.main = made.commit(dict(made.rows), summary)

    def graft(self, base: int, summary: Mapping[str, str]) -> int:
        target, made = self.world.tables[SPEC.target], self.world.tables[self.name]
        if target.main != base:
            raise CommitConflict("main has moved")
        target.main = target.commit(dict(made.rows), {**made.read().summary, **summary})
        return target.main

    def drop(self) -> None:
        self.world.tables.pop(self.name, None)


@pytest.fixture
def world() -> World:
    """Key a broken once and followed by more, key b in order."""
    made = World(tables={SPEC.target: RowTable()})
    table = made.tables[SPEC.target]
    table.columns = {"id": "int", "n": "int"}
    table.main = table.commit({}, {PROGRESS: Progress(SPEC.topic, "id", {0: PartitionProgress(0)}).to_json()})
    made.arrive(Event(0, b"a", 0), Event(1, b"b", 0))
    made.arrive(Event(2, b"a", 1, "unknown schema"), Event(3, b"a", 2), Event(4, b"b", 1))
    made.arrive(Event(5, b"a", 3), Event(6, b"c", 1, "does not fit"))
    assert made.values() == {b"a": 0, b"b": 1}
    assert sorted(made.held) == [2, 3, 5, 6]
    return made


def mend(world: World, offset: int) -> None:
    world.log[offset] = world.log[offset]._replace(broken="")


def test_what_is_mended_comes_in_with_all_that_waited_and_the_rest_is_named(world: World) -> None:
    mend(world, 2)
    done = world.retry()
    assert (done.released, done.changed > 0, done.left) == (3, True, {(0, 6): "does not fit"})
    assert world.values() == {b"a": 3, b"b": 1}
    assert sorted(world.held) == [6]
    assert set(world.tables) == {SPEC.target}, "the shadow stays behind"
    mend(world, 6)
    assert world.retry() == Retried(1, 1, {})
    assert world.values() == {b"a": 3, b"b": 1, b"c": 1}
    assert world.retry() == Retried(0, 0, {})


def test_nothing_is_mended(world: World) -> None:
    done = world.retry()
    assert (done.released, done.changed) == (0, 0)
    assert {place[1]: why for place, why in done.left.items()} == {
        2: "unknown schema",
        3: BEHIND,
        5: BEHIND,
        6: "does not fit",
    }
    assert sorted(world.held) == [2, 3, 5, 6]


def test_one_key_alone(world: World) -> None:
    mend(world, 2)
    mend(world, 6)
    assert world.retry(keys=[b"c"]) == Retried(1, 1, {})
    assert world.values() == {b"a": 0, b"b": 1, b"c": 1}
    assert sorted(world.held) == [2, 3, 5]


def test_a_message_of_another_key_that_cannot_be_read_any_more_blocks_nothing(world: World) -> None:
    """K13: its schema was lost after it had been applied; the row is what it was, and no key waits for it."""
    mend(world, 2)
    world.log[4] = world.log[4]._replace(broken="unknown schema")
    assert world.retry().released == 3
    assert world.values() == {b"a": 3, b"b": 1}
    assert sorted(world.held) == [6]


def test_killed_between_swap_and_release_it_is_done_again_and_changes_nothing(world: World) -> None:
    mend(world, 2)
    world.killed = True
    with pytest.raises(KeyboardInterrupt):
        world.retry()
    assert world.values() == {b"a": 3, b"b": 1}
    assert sorted(world.held) == [2, 3, 5, 6]
    world.killed = False
    done = world.retry()
    assert (done.released, done.changed) == (3, 0)
    assert sorted(world.held) == [6]


def test_what_a_service_puts_behind_before_it_knows_is_the_next_rounds(world: World) -> None:
    mend(world, 2)
    stale = world.waiting()

    def service(_seconds: float) -> None:
        if len(world.log) == 7:
            world.arrive(Event(7, b"a", 4), blocked=stale)
            assert 7 in world.held

    done = world.retry(pause=service)
    assert (done.released, done.changed > 0) == (4, True)
    assert world.values() == {b"a": 4, b"b": 1}
    assert sorted(world.held) == [6]


def test_messages_that_arrive_during_the_swap_come_in_with_it(world: World) -> None:
    mend(world, 2)
    ends = world.ends

    def meanwhile(topic: str) -> Mapping[int, int]:
        if len(world.log) == 7:
            world.arrive(Event(7, b"a", 4), Event(8, b"b", 5), Event(9, b"a", 5, "broken again"))
        return ends(topic)

    world.ends = meanwhile  # type: ignore[method-assign]
    done = world.retry()
    assert world.values() == {b"a": 4, b"b": 5}
    assert sorted(world.held) == [6, 9]
    assert set(done.left) == {(0, 6), (0, 9)}


@dataclass
class BusyWorld(World):
    """A service publishes one more change whenever somebody has asked where the topic ends, unless it is paused."""

    control: MemoryControl = field(default_factory=MemoryControl)
    arrivals: int = 0

    def ends(self, topic: str) -> Mapping[int, int]:
        found = super().ends(topic)
        if str(SPEC.target) not in self.control.paused:
            assert self.arrivals < 50, "the swap never wins"
            self.arrivals += 1
            self.arrive(Event(len(self.log), b"busy", self.arrivals))
        return found


def test_a_table_that_never_rests_was_never_swapped(world: World) -> None:
    """It is kept quiet after a few swaps that came too late, and goes on afterwards."""
    busy = BusyWorld(world.log, world.tables, world.held)
    mend(busy, 2)
    paused: list[str] = []

    @contextmanager
    def kept(spec: TableSpec) -> Iterator[None]:
        with quiet(busy.control, spec.target, "somebody", "a test"):
            paused.extend(busy.control.paused)
            yield

    parts = ReplayParts(busy, RowShadow.of(busy), None, busy.control, MemoryAudit(), quiet=kept)  # type: ignore[arg-type]
    done = Retry(parts, busy, busy.plan, SPEC, pause=lambda _seconds: None).run()
    assert done.released == 3
    assert paused == [str(SPEC.target)]
    assert busy.control.paused == {}
    assert busy.values() == {b"a": 3, b"b": 1, b"busy": busy.arrivals}


def test_a_table_that_is_paused_by_somebody_stays_so() -> None:
    control = MemoryControl()
    control.pause(str(SPEC.target), "somebody", "a reason")
    with quiet(control, SPEC.target, "me", "a swap"):
        pass
    assert control.paused[str(SPEC.target)].who == "somebody"
