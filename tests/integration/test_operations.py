"""Rewind and replay on a real catalog: PostgreSQL behind Iceberg's JDBC catalog, moved without Spark."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from pyspark.sql import SparkSession

from cdc.bootstrap.spark import fetch_spark
from cdc.config.models import Config
from cdc.core.checkpoints import checkpoints_of, ledger_row
from cdc.core.errors import CommitConflict, TerminalError
from cdc.core.names import shadow_of
from cdc.core.replay import Known, plan_replay
from cdc.core.rewind import plan_rewind
from cdc.lake.audit import AuditLog
from cdc.lake.checkpoints import Histories, Ledger
from cdc.lake.control import Control
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.rewind import Rewinder
from cdc.lake.shadow import Shadow
from cdc.local.stack import LocalStack
from cdc.pipeline.apply import PROGRESS, TableMemory
from cdc.pipeline.replay import Replay, Replayed, ReplayParts
from cdc.spark.session import build_session
from tests.contract.events import NUMBERED, Topic
from tests.fakes.operations import MemoryAudit
from tests.integration.test_shadow import jdbc_config
from tests.lake import EVERY_PLACE, LakeTable
from tests.ranges import RangeEngine

pytestmark = pytest.mark.timeout(600)
_numbers = count(1)


@pytest.fixture(scope="module")
def lake(stack: LocalStack) -> Iterator[tuple[SparkSession, Config]]:
    config = jdbc_config(stack)
    session = build_session(config, fetch_spark())
    yield session, config
    session.stop()


@dataclass
class Operated:
    """A table with three batches on the real catalog, and what operators use."""

    session: SparkSession
    config: Config
    topic: Topic = field(default_factory=Topic)

    def __post_init__(self) -> None:
        self.table = LakeTable(self.session, self.config, NUMBERED, name=f"operated_{next(_numbers)}")
        self.catalog = open_catalog(self.config.catalog)
        self.histories = Histories(self.catalog)
        topic = self.topic
        batches = [
            [topic.change("c", {"id": i, "n": i}, (0, 100 + i)) for i in (1, 2, 3)],
            [topic.change("d", {"id": 1}, (200, 210)), topic.tombstone({"id": 1})],
            [topic.change("u", {"id": 2, "n": 20}, (300, 310)), topic.change("c", {"id": 4, "n": 4}, (300, 320))],
        ]
        self.snapshots = [self.table.apply(batch).snapshot_id for batch in batches]
        self.engine = RangeEngine(self.table, [message for batch in batches for message in batch])
        self.control, self.audit = Control(self.catalog, "cdc"), MemoryAudit()

    def rows(self) -> dict[int, int]:
        found = [(row.id, row.n) for row in self.table.rows()]
        assert len(dict(found)) == len(found)
        return dict(found)

    def shadow(self, _spec: Any = None) -> Shadow:
        return Shadow(self.session, self.config.catalog.name, "cdc", self.table.spec.target)

    def replay(self, start: str, end: str = "latest", **options: Any) -> Replayed:
        history = self.histories.read(self.table.spec.target)
        spec = self.table.spec
        known = Known(history, list(checkpoints_of(history)), spec.topic, self.engine.topics([spec.topic])[spec.topic])
        plan = plan_replay(known, start, end)
        parts = ReplayParts(self.engine, self.shadow, None, self.control, self.audit, **options)  # type: ignore[arg-type]
        return Replay(parts, spec, plan).run()


@pytest.fixture
def operated(lake: tuple[SparkSession, Config]) -> Operated:
    return Operated(*lake)


def test_a_rewind_without_spark_is_seen_by_spark_and_undone(operated: Operated) -> None:
    target, spec = operated.table.spec.target, operated.table.spec
    topic = operated.engine.topics([spec.topic])[spec.topic]

    def move(to: int) -> str:
        plan = plan_rewind(operated.histories.read(target), to, spec.topic, topic, datetime.now(UTC))
        Rewinder(operated.catalog).move(plan)
        operated.table.memory = TableMemory("topic-id", given_up=EVERY_PLACE)
        return plan.tag

    final = operated.rows()
    tag = move(operated.snapshots[0])
    assert operated.rows() == {1: 1, 2: 2, 3: 3}
    assert operated.table.apply(operated.engine.messages[3:]).counts == {"inserted": 1, "updated": 1, "deleted": 1}
    assert operated.rows() == final
    move(operated.histories.read(target).refs[tag])
    assert operated.rows() == final
    assert operated.table.apply(operated.engine.messages).snapshot_id is None

    stale = plan_rewind(operated.histories.read(target), operated.snapshots[0], spec.topic, topic, datetime.now(UTC))
    operated.table.table.fence({"cdc.token": "1"})
    with pytest.raises(CommitConflict):
        Rewinder(operated.catalog).move(stale)


def test_audit_log_ledger_and_control_are_written_beside_sparks_tables(operated: Operated) -> None:
    log, ledger = AuditLog(operated.catalog, "cdc"), Ledger(operated.catalog, "cdc")
    log.write("rewind", str(operated.table.spec.target), "what", "why")
    mine = f"target = '{operated.table.spec.target}'"  # other tests have told of theirs
    noted = operated.session.sql(f"SELECT command, what, why FROM lake.cdc.operations WHERE {mine}").collect()
    assert ("rewind", "what", "why") in noted
    rows = [ledger_row(one) for one in checkpoints_of(operated.histories.read(operated.table.spec.target))]
    ledger.append(rows)
    assert ledger.read(operated.table.spec.target) == rows
    found = operated.session.sql("SELECT table_snapshot, committed_at, seconds FROM lake.cdc.commits").collect()
    assert {row.table_snapshot for row in found} >= set(operated.snapshots)


@pytest.mark.parametrize("start", ["earliest", "offset:0=4"])
def test_a_replay_of_what_is_there_is_a_no_op(operated: Operated, start: str) -> None:
    """S15: a deleted row does not even come and go: the table's own tombstones count."""
    before, final = operated.table.table.read(), operated.rows()
    done = operated.replay(start)
    assert (done.no_op, done.changed, done.snapshot_id) == (True, 0, None)
    assert operated.table.table.read() == before
    assert operated.rows() == final
    assert not operated.shadow().exists()
    assert operated.audit.entries[0][4].startswith("no-op, ")
    assert operated.replay("earliest", "offset:0=1").no_op, "a range that ends where the deleted row was there"


def test_rows_that_were_lost_are_set_right_while_the_stream_goes_on(operated: Operated) -> None:
    final = operated.rows()
    operated.session.sql(f"DELETE FROM {operated.table.table.sql_name} WHERE id IN (2, 3)")
    assert operated.rows() == {4: 4}
    more = [
        operated.topic.change("c", {"id": 9, "n": 9}, (400, 410)),
        operated.topic.change("d", {"id": 4}, (400, 420)),
    ]
    streamed: list[Any] = []

    ends = operated.engine.ends

    def streaming(topic: str) -> Any:
        if topic and not streamed:
            operated.engine.messages += more
            streamed.append(operated.table.apply(more))
        return ends(topic)

    operated.engine.ends = streaming  # type: ignore[method-assign]
    done = operated.replay("earliest")
    assert (done.no_op, streamed[0].counts["deleted"]) == (False, 1)
    assert operated.rows() == {2: 20, 3: 3, 9: 9}
    assert {n: final[n] for n in (2, 3)} == {2: 20, 3: 3}
    state = operated.table.table.read()
    assert state.snapshot_id == done.snapshot_id
    assert '"0":[9,' in state.summary[PROGRESS]
    assert next(checkpoints_of(operated.histories.read(operated.table.spec.target))).kind == "replay"
    assert str(operated.table.spec.target) in operated.control.read().moved
    operated.table.memory = TableMemory("topic-id", given_up=EVERY_PLACE)
    assert operated.table.apply([operated.topic.change("u", {"id": 3, "n": 33}, (500, 510))]).counts["updated"] == 1
    assert operated.table.apply([operated.topic.change("c", {"id": 4, "n": 4}, (300, 320))]).counts["inserted"] == 0
    assert operated.rows() == {2: 20, 3: 33, 9: 9}
    assert operated.replay("earliest").no_op


def test_a_load_that_is_under_way_is_left_alone(operated: Operated) -> None:
    shadow = operated.shadow()
    shadow.create({"load.plan": "{}"})
    try:
        with pytest.raises(TerminalError, match="is being loaded"):
            operated.replay("earliest")
        assert shadow.exists()
        assert operated.table.table.read().snapshot_id == operated.snapshots[-1]
    finally:
        shadow.drop()
    assert shadow.name == shadow_of("cdc", operated.table.spec.target)
