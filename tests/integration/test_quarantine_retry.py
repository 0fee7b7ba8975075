"""`cdc quarantine retry` on a real catalog: what was held comes into the table in its order, and what cannot stays."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pyspark.sql import SparkSession

from cdc.bootstrap.spark import fetch_spark
from cdc.config.models import Config
from cdc.core.checkpoints import checkpoints_of
from cdc.core.errors import PositionLost
from cdc.core.names import TableName
from cdc.core.replay import Known, ReplayPlan, plan_retry
from cdc.lake.checkpoints import Histories
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.quarantine import Quarantine
from cdc.lake.shadow import Shadow
from cdc.local.stack import LocalStack
from cdc.pipeline.apply import TableMemory
from cdc.pipeline.replay import ReplayParts
from cdc.pipeline.retry import Retried, Retry
from cdc.spark.session import build_session
from cdc.spark.staging import blocked_keys
from tests.contract.events import NUMBERED, Topic
from tests.fakes.control import MemoryControl
from tests.fakes.operations import MemoryAudit
from tests.integration.test_shadow import jdbc_config
from tests.lake import LakeTable, Message
from tests.ranges import RangeEngine

pytestmark = pytest.mark.timeout(600)
MENDED, BROKEN = b"\0\0\0\0\x07", b"\0\0\0\0\x63"
"""Frames of a schema that the registry has again after a while, and of one that it never has."""


@pytest.fixture(scope="module")
def lake(stack: LocalStack) -> Iterator[tuple[SparkSession, Config]]:
    config = jdbc_config(stack)
    session = build_session(config, fetch_spark())
    yield session, config
    session.stop()


class Crowd:
    """A table, its topic, and whoever tries its quarantine again."""

    def __init__(self, lake: tuple[SparkSession, Config]) -> None:
        self.session, self.config = lake
        self.table = LakeTable(*lake, NUMBERED, name=f"retry_{uuid.uuid4().hex[:8]}")
        self.topic, self.log = Topic(), list[Message]()
        self.catalog = open_catalog(self.config.catalog)
        self.quarantine = Quarantine(self.catalog, "cdc")
        self.control, self.audit = MemoryControl(), MemoryAudit()
        self.first = 0

    def arrive(self, *messages: Message) -> None:
        """Let a micro-batch arrive, as a service that has just started sees it."""
        self.log += messages
        self.table.memory = TableMemory("topic-id", self.blocked())
        self.table.apply(list(messages))

    def change(self, number: int, n: int, frame: bytes | None = None, operation: str = "u") -> Message:
        """Return an event; one with a frame was written with that schema, which nobody knows yet."""
        made = self.topic.change(operation, {"id": number, "n": n}, (0, 100 + len(self.log) + n))
        if frame is None:
            return made
        writer = self.table.writer(self.table.columns, 1)
        value = self.table._row(made, writer, 1)[5]  # noqa: SLF001
        return replace(made, raw=frame + value[5:])

    def mend(self) -> None:
        """Bring the lost schema back: from now on its messages are as good as others."""
        self.log = [
            replace(one, raw=b"\0\0\0\0\x01" + one.raw[5:]) if one.raw and one.raw.startswith(MENDED) else one
            for one in self.log
        ]

    def blocked(self) -> dict[bytes, tuple[int, int]]:
        """Return the keys that wait."""
        topic = self.table.spec.topic
        return blocked_keys(self.session, self.table.quarantine, [topic]).get(topic, {})

    def held(self) -> list[int]:
        """Return the offsets that are held."""
        return [one.offset for one in self.quarantine.places(self.table.spec.topic)]

    def retry(self, **options: Any) -> Retried:
        """Try the quarantine again."""
        engine = Engine(self.table, self.log, first=self.first)
        engine.crowd = self
        parts = ReplayParts(
            engine,
            lambda spec: Shadow(self.session, "lake", "cdc", spec.target),
            None,  # type: ignore[arg-type] - a copy into a new table needs it
            self.control,
            self.audit,
        )

        def plan(places: Any) -> ReplayPlan:
            history = Histories(self.catalog).read(self.table.spec.target)
            topic = engine.topics([self.table.spec.topic])[self.table.spec.topic]
            return plan_retry(Known(history, list(checkpoints_of(history)), self.table.spec.topic, topic), places)

        options = {"pause": lambda _seconds: None, **options}
        return Retry(parts, self.quarantine, plan, self.table.spec, **options).run()

    def rows(self) -> dict[int, int]:
        """Return the table's rows as a reader sees them."""
        found = self.catalog.load_table(tuple(self.table.spec.target)).scan().to_arrow().to_pylist()
        assert len({row["id"] for row in found}) == len(found)
        return {row["id"]: row["n"] for row in found}


class Engine(RangeEngine):
    """An engine that knows which keys wait."""

    crowd: Crowd

    def blocked(self, topics: Any) -> Any:
        return {self.crowd.table.spec.topic: self.crowd.blocked()} if topics else {}


@pytest.fixture
def crowd(lake: tuple[SparkSession, Config]) -> Crowd:
    made = Crowd(lake)
    made.arrive(*(made.change(i, 0, operation="c") for i in (1, 2, 3)))
    made.arrive(made.change(1, 1, MENDED), made.change(2, 1, BROKEN), made.change(3, 1))
    made.arrive(made.change(1, 2), made.change(2, 2), made.change(3, 2))
    assert made.rows() == {1: 0, 2: 0, 3: 2}
    assert made.held() == [3, 4, 6, 7]
    return made


def test_what_is_mended_comes_in_and_the_rest_stays_and_is_named(crowd: Crowd) -> None:
    crowd.mend()
    done = crowd.retry()
    assert (done.released, done.changed > 0) == (2, True)
    assert set(done.left) == {(0, 4), (0, 7)}
    assert "unknown" in done.left[0, 4]
    assert crowd.rows() == {1: 2, 2: 0, 3: 2}
    assert crowd.held() == [4, 7]
    assert len(crowd.blocked()) == 1
    assert set(crowd.control.moves) == {str(crowd.table.spec.target)}
    assert [entry[0] for entry in crowd.audit.entries] == ["quarantine retry"]
    crowd.arrive(crowd.change(1, 3), crowd.change(2, 3))
    assert crowd.rows() == {1: 3, 2: 0, 3: 2}
    again = crowd.retry()
    assert (again.released, again.changed, set(again.left)) == (0, 0, {(0, 4), (0, 7), (0, 10)})


def test_nothing_is_mended_and_nothing_changes(crowd: Crowd) -> None:
    before = crowd.table.table.read()
    done = crowd.retry()
    assert (done.released, done.changed, len(done.left)) == (0, 0, 4)
    assert crowd.table.table.read() == before
    assert crowd.held() == [3, 4, 6, 7]


def test_of_one_key_alone(crowd: Crowd) -> None:
    crowd.mend()
    (key,) = [key for key, at in crowd.blocked().items() if at == (0, 3)]
    done = crowd.retry(keys=[key])
    assert (done.released, done.left) == (2, {})
    assert crowd.rows() == {1: 2, 2: 0, 3: 2}
    assert crowd.held() == [4, 7]


def test_killed_between_the_swap_and_the_release(crowd: Crowd) -> None:
    """The messages are in the table and still held: done again they are let go of, and no row changes."""
    crowd.mend()
    release = crowd.quarantine.release

    def killed(_topic: str, _places: Any) -> None:
        raise KeyboardInterrupt

    crowd.quarantine.release = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        crowd.retry()
    assert crowd.rows() == {1: 2, 2: 0, 3: 2}
    assert crowd.held() == [3, 4, 6, 7]
    crowd.quarantine.release = release  # type: ignore[method-assign]
    done = crowd.retry()
    assert (done.released, done.changed) == (2, 0)
    assert crowd.held() == [4, 7]


def test_what_a_service_puts_behind_meanwhile_is_the_next_rounds(crowd: Crowd) -> None:
    """It began its query between the swap and the release, so it does not know yet that the key is free."""
    crowd.mend()
    late: list[Message] = []

    def service(_seconds: float) -> None:
        if not late:
            late.append(crowd.change(1, 9))
            crowd.log += late
            crowd.table.memory = TableMemory("topic-id", stale)
            crowd.table.apply(late)

    stale = crowd.blocked()
    done = crowd.retry(pause=service)
    assert late
    assert done.released == 3
    assert crowd.rows() == {1: 9, 2: 0, 3: 2}
    assert crowd.held() == [4, 7]


def test_a_topic_that_has_lost_the_messages_says_that_a_reset_is_the_way(crowd: Crowd) -> None:
    crowd.mend()
    crowd.first = 5
    with pytest.raises(PositionLost, match="in the topic no more") as caught:
        crowd.retry()
    assert caught.value.hint_for(TableName("shop", "a")).startswith("`cdc tables reset shop.a`")
    assert crowd.held() == [3, 4, 6, 7]
