"""A process that ends at any point of a batch: the next one finds the table whole, and no reader sees it go back.

Every point, operation, way of writing and source's order of events. The points are functions of the real path, made to
end as a SIGKILL would end them: nothing that was under way is tidied up, memory and open files are gone, and the key
index is what was on the disk at that moment.
"""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cdc.core.names import TableName
from cdc.lake.checkpoints import Histories
from cdc.lake.key_indexes import KeyIndexes
from cdc.pipeline.apply import TableMemory
from cdc.pipeline.begin import begin
from tests.contract.events import INT, NUMBERED, TEXT, Topic, column
from tests.lake import LakeTable, Message

NewTable = Callable[..., LakeTable]
Row = dict[str, Any]

BEFORE, BEHIND = "before", "behind"
POINTS = {
    "before the table is read": ("cdc.lake.target.Target.find", BEFORE),
    "behind the read": ("cdc.lake.target.Target.find", BEHIND),
    "before new columns": ("cdc.lake.tables.IcebergTable.evolve", BEFORE),
    "behind new columns": ("cdc.lake.tables.IcebergTable.evolve", BEHIND),
    "behind the collapse": ("cdc.spark.batch.SparkTableBatch.collapse", BEHIND),
    "before the stage": ("cdc.spark.batch.SparkTableBatch.stage", BEFORE),
    "behind the files of a small table": ("cdc.lake.rewriting.data_files", BEHIND),
    "behind a small table is staged": ("cdc.lake.rewriting.RewrittenTable.replace", BEHIND),
    "before the index is asked": ("cdc.lake.indexed_table.IndexedTable.find", BEFORE),
    "behind the new rows of a delta": ("cdc.lake.indexed_table.data_files", BEHIND),
    "behind the deletes of a delta": ("cdc.lake.indexed_table.write_deletes", BEHIND),
    "before the index is told": ("cdc.lake.key_index.KeyIndex.hand_over", BEFORE),
    "behind the index is told": ("cdc.lake.key_index.KeyIndex.hand_over", BEHIND),
    "before the branch": ("cdc.lake.tables.IcebergTable.stage", BEFORE),
    "before a merge": ("cdc.spark.staging.merge_changes", BEFORE),
    "behind a merge": ("cdc.spark.staging.merge_changes", BEHIND),
    "before tombstones": ("cdc.spark.batch.write_tombstones", BEFORE),
    "behind tombstones": ("cdc.spark.batch.write_tombstones", BEHIND),
    "behind the stage": ("cdc.spark.batch.SparkTableBatch.stage", BEHIND),
    "before the audit": ("cdc.pipeline.apply.audit", BEFORE),
    "before the commit without Spark": ("cdc.lake.target.committed", BEFORE),
    "behind the commit without Spark": ("cdc.lake.target.committed", BEHIND),
    "before the swap by Spark": ("cdc.lake.tables.IcebergTable._swap", BEFORE),
    "behind the swap by Spark": ("cdc.lake.tables.IcebergTable._swap", BEHIND),
    "behind it all": ("cdc.pipeline.apply.Applier.apply", BEHIND),
}
WAYS = ("rewrite", "delta", "merge")
ENGINES = ("postgres", "mysql", "oracle")
OPERATIONS = ("insert", "update", "delete", "key change", "truncate", "new column")
NOT_OF = {
    "rewrite": ("index", "delta", "merge", "branch", "swap"),
    "delta": ("small", "merge", "branch", "swap"),
    "merge": ("small", "index", "delta", "without Spark", "table is read", "behind the read"),
}
"""Words of the points that a way does not come by: they are other ways', or a catalog's that pyiceberg writes to."""
SOME = int(os.environ.get("CDC_TEST_CRASHES", "1"))  # noqa: TID251 - how long a test goes on
SEED = int(os.environ.get("CDC_TEST_SEED") or random.SystemRandom().randrange(10**6))  # noqa: TID251


class Crash(BaseException):
    """The process ends here; nobody catches it."""


@contextmanager
def crash_at(point: str) -> Iterator[list[str]]:
    """End whatever comes to the point; the list says so afterwards."""
    path, when = POINTS[point]
    owner, name = _owner(path)
    real, reached = getattr(owner, name), list[str]()

    def crashing(*arguments: Any, **options: Any) -> Any:
        if when == BEHIND:
            real(*arguments, **options)
        reached.append(point)
        raise Crash(point)

    setattr(owner, name, crashing)
    try:
        yield reached
    finally:
        setattr(owner, name, real)


def _owner(path: str) -> tuple[Any, str]:
    before, _, name = path.rpartition(".")
    module, _, kind = before.rpartition(".")
    if kind[0].isupper():
        return getattr(import_module(module), kind), name
    return import_module(before), name


@dataclass
class Source:
    """The source's side: what its rows are, and the events that told of each change so far."""

    engine: str
    topic: Topic = field(init=False)
    columns: list[dict[str, Any]] = field(default_factory=lambda: [*NUMBERED, column("large", TEXT)])
    rows: dict[int, Row] = field(default_factory=dict)
    log: list[Message] = field(default_factory=list)
    place: int = 0

    def __post_init__(self) -> None:
        self.topic = Topic(self.engine)

    def at(self) -> tuple[Any, ...]:
        """Return the next place in the log, as its engine tells it."""
        self.place += 1
        n = self.place
        return {
            "postgres": (1000 * n, 1000 * n + 5),
            "mysql": (f"binlog.{1 + n // 50:06}", 4 + 100 * n),
            "oracle": (str(2**53 + 10 * n), str(2**53 + 10 * n + 1), 1),
        }[self.engine]

    def put(self, *messages: Message) -> None:
        self.log.extend(messages)

    def insert(self, key: int) -> None:
        self.rows[key] = {"id": key, "n": self.place, "large": f"of {key}"}
        self.rows[key] |= {c["name"]: key for c in self.columns[3:]}
        self.put(self.topic.change("c", self.rows[key], self.at()))

    def update(self, key: int) -> None:
        self.rows[key] = self.rows[key] | {"n": self.place}
        self.put(self.topic.change("u", self.full(key), self.at()))

    def delete(self, key: int) -> None:
        gone = self.full(key)
        del self.rows[key]
        self.put(self.topic.change("d", gone, self.at()), self.topic.tombstone(gone))

    def move(self, key: int, new: int) -> None:
        old = self.full(key)
        del self.rows[key]
        self.rows[new] = old | {"id": new, "n": self.place}
        self.put(*self.topic.move(old, self.full(new), self.at()))

    def truncate(self) -> None:
        self.rows.clear()
        self.put(self.topic.truncate(self.at()))

    def bring_again(self, messages: int) -> None:
        """Have a connector that crashed, too, write its last messages once more."""
        self.put(*map(self.topic.again, self.log[-messages:]))

    def full(self, key: int) -> Row:
        """Return a row with all columns that there are by now."""
        return {c["name"]: self.rows[key].get(c["name"]) for c in self.columns}


@dataclass
class Rig:
    """One table, its source, and the processes that write to it one after another."""

    new_table: NewTable
    way: str
    source: Source
    folder: Path
    process: LakeTable = field(init=False)
    token: int = 0
    number: int = 0
    reached: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin as a process that knows nothing but what the table and the disk hold."""
        self.token += 1
        name = f"crashes_{self.way}_{self.source.engine}"
        made = self.new_table(
            name, self.source.columns, engine=self.source.engine, token=self.token, deltas=self.way == "delta"
        )
        made.rewrites = self.way == "rewrite"
        made.memory = TableMemory("topic-id")
        if self.way == "delta":
            made.indexes = KeyIndexes(self._index_left(made))
        begin(made.spec, made.target, self.token, made.memory, lambda: None)
        made.memory.given_up = ""
        self.process = made

    def _index_left(self, made: LakeTable) -> Path:
        """Return a copy of the key indexes as the last process has left them on the disk."""
        copy = self.folder / f"index-{self.token}"
        if self.token > 1:
            shutil.copytree(self.folder / f"index-{self.token - 1}", copy)
        else:
            copy.mkdir()
        made.index_folder = copy
        return copy

    def apply(self) -> None:
        """Apply all that the table may lack, and some that it has."""
        self.process.columns = list(self.source.columns)
        self.process.apply(self.source.log[-20:])

    def step(self, operation: str, point: str) -> None:
        """Do an operation whose batch comes to an end at a point, and see that the next process gets it right."""
        self.number += 1
        first = 10 * self.number
        for key in range(first, first + 3):
            self.source.insert(key)
        self.apply()
        self._do(operation, first)
        with crash_at(point) as reached:
            try:
                self.apply()
            except Crash:
                assert reached == [point]
        self.reached |= set(reached)
        self.start()
        if self.number % 2:
            self.source.bring_again(7)
        self.apply()
        self.assert_equal(f"{operation}, {point}")

    def _do(self, operation: str, first: int) -> None:
        source = self.source
        match operation:
            case "insert":
                source.insert(first + 5)
            case "update":
                source.update(first)
            case "delete":
                source.delete(first)
            case "key change":
                source.move(first, first + 6)
            case "truncate":
                source.truncate()
                source.insert(first + 7)
            case "new column":
                source.columns.append(column(f"c{self.number}", INT))
                source.insert(first + 8)
        if first + 1 in source.rows:
            source.update(first + 1)

    def assert_equal(self, what: str) -> None:
        found = self.process.values()
        wanted = {key: self.source.full(key) for key in self.source.rows}
        there = {key: {name: row[name] for name in wanted.get(key, row)} for key, row in found.items()}
        assert there == wanted, what
        assert self.process.table.row_count() >= len(wanted)

    def assert_no_reader_saw_it_go_back(self) -> None:
        """Look at every snapshot that was ``main``: no row is older than in one before, and no deleted one is back."""
        catalog, name = self.process.files, TableName("ns", self.process.spec.target.table)
        table = catalog.load_table(tuple(name))
        history = Histories(catalog).read(name)
        newest: dict[int, str] = {}
        before: dict[int, str] = {}
        for version in reversed(list(history.ancestry(history.head))):
            rows = table.scan(snapshot_id=version.snapshot_id, selected_fields=("id", "_cdc_position")).to_arrow()
            now = dict(zip(rows["id"].to_pylist(), rows["_cdc_position"].to_pylist(), strict=True))
            assert len(now) == rows.num_rows, "a key is there twice"
            older = {key for key, position in now.items() if position < newest.get(key, "")}
            back = {key for key in now.keys() - before.keys() if now[key] <= newest.get(key, "")}
            assert not older | back, version
            newest |= now
            before = now


def cases(way: str) -> list[tuple[str, str]]:
    """Return operation and point of each step; those that a way does not come by are left out."""
    points = [point for point in POINTS if not any(word in point for word in NOT_OF[way])]
    found = []
    for point in points:
        fit = [o for o in OPERATIONS if _fits(way, o, point)]
        found += [(operation, point) for operation in random.Random(f"{SEED}{point}").sample(fit, min(SOME, len(fit)))]
    random.Random(SEED).shuffle(found)
    return found


def _fits(way: str, operation: str, point: str) -> bool:
    if (
        way == "delta"
        and operation == "truncate"
        and any(word in point for word in ("delta", "index", "without Spark"))
    ):
        return False  # it is merged
    if "columns" in point:
        return operation == "new column"
    if "tombstones" in point:
        return operation in ("delete", "key change")
    if "deletes of a delta" in point:
        return operation not in ("insert", "truncate")
    return True


RUN = {("rewrite", "postgres"), ("delta", "mysql"), ("merge", "oracle")}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("way", WAYS)
def test_whoever_comes_after_a_crash_finds_the_table_whole_and_no_reader_saw_it_go_back(
    new_table: NewTable, tmp_path: Path, way: str, engine: str
) -> None:
    """S1, S4, S22, K1: at every point, for every operation, in each way of writing."""
    if (way, engine) not in RUN and SOME == 1:
        pytest.skip("with CDC_TEST_CRASHES, as `make test-long` sets it")
    print("seed", SEED)
    rig, steps = Rig(new_table, way, Source(engine), tmp_path), cases(way)
    for operation, point in steps:
        rig.step(operation, point)
    rig.assert_no_reader_saw_it_go_back()
    points = {point for _, point in steps}
    assert rig.reached == points, points - rig.reached
    assert len(points) >= 12
