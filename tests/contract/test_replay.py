"""Replays into new tables: a copy of any checkpoint, brought forward, is the table as it was."""

import os
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from cdc.core.checkpoints import checkpoints_of
from cdc.core.errors import TerminalError
from cdc.core.events import ChangeEvent
from cdc.core.names import TableName
from cdc.core.replay import Known, plan_copy
from cdc.lake.checkpoints import Histories
from cdc.lake.copies import copy_rows
from cdc.lake.tables import IcebergTable
from cdc.pipeline.replay import Replay, Replayed, ReplayParts
from tests.contract.events import NUMBERED, Topic
from tests.contract.sequences import PARTITIONS, history
from tests.contract.test_equivalence import COLUMNS, renumbered
from tests.fakes.control import MemoryControl
from tests.fakes.operations import MemoryAudit
from tests.file_catalog import FileCatalog
from tests.lake import LakeTable
from tests.ranges import RangeEngine

HISTORY = int(os.environ.get("CDC_TEST_HISTORY", "12"))  # noqa: TID251 - how long a test goes on


NewTable = Callable[..., LakeTable]


class LakeCopier:
    def __init__(self, table: LakeTable) -> None:
        self.table = table

    def copy(self, spec: Any, into: TableName, snapshot: int, summary: Any) -> int:
        return copy_rows(self.table.session, self.table.catalog, spec.target, snapshot, into, summary)


def copied(table: LakeTable, engine: RangeEngine, config: Any, start: object, end: object, into: TableName) -> Replayed:
    made: Any = FileCatalog(config)
    read = Histories(made).read(table.spec.target)
    topic = engine.topics([table.spec.topic])[table.spec.topic]
    known = Known(read, list(checkpoints_of(read)), table.spec.topic, topic)
    plan = plan_copy(known, str(start), str(end), into, from_connector=True)

    def no_shadow(_spec: Any) -> Any:
        raise AssertionError("a copy needs no shadow")

    audit = MemoryAudit()
    done = Replay(ReplayParts(engine, no_shadow, LakeCopier(table), MemoryControl(), audit), table.spec, plan).run()
    assert len(audit.entries) == 1
    return done


def rows(table: LakeTable, name: TableName, at: int | None = None) -> list[Any]:
    """Return all rows of a table with their positions, as they were at a snapshot."""
    sql_name = IcebergTable(table.session, table.catalog, name).sql_name
    version = "" if at is None else f" VERSION AS OF {at}"
    found = table.session.sql(f"SELECT * FROM {sql_name}{version}").drop("_cdc_committed_at").collect()
    return sorted(found, key=str)


def test_a_copy_of_any_checkpoint_brought_forward_equals_the_table(new_table: NewTable, lake: tuple[Any, Any]) -> None:
    table, topic = new_table("replayed", NUMBERED), Topic()
    batches = [
        [topic.change("c", {"id": i, "n": i}, (0, 100 + i)) for i in (1, 2, 3)],
        [topic.change("d", {"id": 1}, (200, 210)), topic.tombstone({"id": 1})],
        [topic.truncate((300, 310)), topic.change("c", {"id": 7, "n": 7}, (300, 320))],
        [topic.change("c", {"id": 1, "n": 1}, (0, 101)), *topic.move({"id": 7}, {"id": 8, "n": 7}, (400, 410))],
        [topic.change("c", {"id": 7, "n": 7}, (300, 320)), topic.change("c", {"id": 9, "n": 9}, (500, 510))],
    ]
    snapshots = [table.apply(batch).snapshot_id for batch in batches]
    engine = RangeEngine(table, [message for batch in batches for message in batch])
    for number, start in enumerate(["earliest", snapshots[0], snapshots[1], snapshots[3]]):
        into = TableName("ns", f"copy_{number}")
        copied(table, engine, lake[1], start, "latest", into)
        assert rows(table, into) == rows(table, table.spec.target), start
    into = TableName("ns", "copy_at")
    copied(table, engine, lake[1], "earliest", snapshots[2], into)
    assert rows(table, into) == rows(table, table.spec.target, snapshots[2])
    with pytest.raises(TerminalError, match="there already"):
        copied(table, engine, lake[1], "earliest", "latest", into)


def test_generated_histories(new_table: NewTable, lake: tuple[Any, Any]) -> None:
    """S15: redeliveries, key changes and deletes, from every checkpoint to every later one that chance picks."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    batches: dict[int, list[ChangeEvent]] = defaultdict(list)
    for number in range(HISTORY):
        for batch, event in history(seed, number, transactions=8).deliveries(4, whole=True):
            batches[batch].append(event)
    offsets = [0] * PARTITIONS
    log = [renumbered(batches[number], offsets)[1] for number in sorted(batches)]
    table = new_table("generated", COLUMNS, key=("s", "id"))
    snapshots = [snapshot for batch in log if (snapshot := table.apply_whole(batch).snapshot_id) is not None]
    engine = RangeEngine(table, [message for batch in log for message in batch], partitions=PARTITIONS)
    for number in range(3):
        first = chance.randrange(len(snapshots))
        last = chance.randrange(first, len(snapshots))
        into = TableName("ns", f"generated_{number}")
        copied(table, engine, lake[1], chance.choice(["earliest", snapshots[first]]), snapshots[last], into)
        assert rows(table, into) == rows(table, table.spec.target, snapshots[last]), f"seed {seed}: {first} to {last}"
