"""Ranges of Kafka read at the driver are what Spark reads: column by column, type by type, transactions too."""

import queue
import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import reduce
from itertools import count, product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from confluent_kafka import Producer
from pyspark.sql import DataFrame

from cdc.config.services import KafkaConfig
from cdc.core.progress import Progress, Ranges
from cdc.kafka.client import java_settings
from cdc.kafka.ranges import RangeReader
from cdc.kafka.topics import KafkaTopics
from cdc.local.stack import LocalStack
from cdc.spark.in_turns import InTurns
from cdc.spark.microbatch import MicroBatch, TopicSlice, messages_of
from cdc.spark.source import OffsetLog, read_range, start_query

PARTITIONS = 3
TEXTS = [
    None,
    b"",
    b"\0",
    b"\0\0\0\0",
    b"\0\0\0\0\7",
    b"\0\0\0\0\7record",
    b"\0\x80\0\0\7record",
    b"\1\0\0\0\7another first byte",
    b'{"schema":{"type":"struct"},"payload":{"a":1}}',
    b'{"schema":{"type":"struct"},"payload":{"a":",\\"payload\\":"}},"payload":2',
    b'{"a":1}',
    b',"payload":',
    b'\xff\xfe\xc3,"payload":\x80',
    '{"schema":"ü","payload":"é"}'.encode(),
]
HEADERS: list[Any] = [
    None,
    [],
    [("__debezium.oldkey", b'{"id":1}')],
    [("nothing", None), ("empty", b""), ("empty", b"\xff")],
    [("ü", b"x")],
]


@pytest.fixture(scope="module")
def kafka(stack: LocalStack) -> KafkaConfig:
    return KafkaConfig(bootstrap_servers=stack.addresses().kafka)


@pytest.fixture
def topics(kafka: KafkaConfig) -> list[str]:
    """Two new topics."""
    names = [f"ranges.{uuid.uuid4().hex}" for _ in range(2)]
    for name in names:
        KafkaTopics(kafka).create(name, partitions=PARTITIONS, replication_factor=1, settings={})
    return names


@pytest.fixture
def reader(kafka: KafkaConfig) -> Iterator[RangeReader]:
    found = RangeReader(kafka)
    yield found
    found.close()


def ranges_of(kafka: KafkaConfig, names: Sequence[str], starts: Ranges | None = None) -> dict[str, Any]:
    """Return the ranges from the ends of others, or from the beginning, to the ends of the topics."""
    known = KafkaTopics(kafka)
    return {
        name: {p: (starts[name][p][1] if starts else 0, end) for p, end in known.settled_ends(name).items()}
        for name in names
    }


def by_spark(lake: tuple[Any, Any], kafka: KafkaConfig, ranges: Ranges) -> DataFrame:
    frames = [
        read_range(
            lake[0], java_settings(kafka), topic, {p: s for p, (s, _) in of.items()}, {p: e for p, (_, e) in of.items()}
        )
        for topic, of in ranges.items()
    ]
    return reduce(DataFrame.unionAll, frames)


def assert_alike(here: Mapping[str, TopicSlice], spark: Mapping[str, TopicSlice]) -> None:
    assert here.keys() == spark.keys()
    for topic, part in spark.items():
        other = here[topic]
        for name in ("first_offsets", "last_offsets", "schemas", "messages", "bytes"):
            assert getattr(other, name) == getattr(part, name), (topic, name)
        assert in_order(other.gathered) == in_order(part.gathered)


def in_order(messages: pa.Table) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return types by column, and the rows by their offsets."""
    assert messages["topic"].combine_chunks().unique().to_pylist() in ([], [messages["topic"][0].as_py()])
    rows = messages.to_pylist()
    kinds = {field.name: field.type for field in messages.schema}
    return kinds, sorted(rows, key=lambda row: (row["partition"], row["offset"]))


@pytest.mark.parametrize("event_format", ["avro", "json_schema", "json", "mixed"])
def test_messages_of_every_shape_are_read_alike(
    lake: tuple[Any, Any], kafka: KafkaConfig, topics: list[str], reader: RangeReader, event_format: str
) -> None:
    """No key, no value, short ones, other first bytes, bytes that are no text, headers without values."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for number, ((key, value), topic) in enumerate(product(product(TEXTS, TEXTS), topics)):
        headers = HEADERS[number % len(HEADERS)]
        producer.produce(topic, value, key, number % PARTITIONS, headers=headers)
    producer.flush()
    ranges = ranges_of(kafka, topics)
    formats = dict.fromkeys(topics, event_format)
    if event_format == "mixed":
        formats = dict(zip(topics, ("json_schema", "avro"), strict=True))
    frame = by_spark(lake, kafka, ranges)
    here = MicroBatch(frame, "none", formats, ranges=ranges, reader=reader)
    spark = MicroBatch(frame, "none", formats, ranges=ranges)
    found = here.slices()
    assert_alike(found, spark.slices())
    assert here.by_spark == ""
    assert sum(part.messages for part in found.values()) == 2 * len(TEXTS) ** 2
    for topic, part in found.items():  # what Spark has to decode it is given as it is
        told = messages_of(lake[0], "none", topic, part.gathered).toArrow()
        valued = part.gathered.select(told.column_names).filter(pc.is_valid(part.gathered["value"]))
        assert told.to_pylist() == valued.to_pylist()


def test_transactions_are_read_alike_wherever_ranges_end(
    lake: tuple[Any, Any], kafka: KafkaConfig, topics: list[str], reader: RangeReader
) -> None:
    """K8: markers have offsets and are no messages; what was given up is not read; a range may be of markers alone."""
    chosen = random.Random("transactions")
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topics[0], "linger.ms": 0})
    producer.init_transactions()
    formats, ranges = dict.fromkeys(topics, "avro"), ranges_of(kafka, topics)
    total = committed = 0
    for step in range(12):
        for _ in range(chosen.randint(1, 4)):
            count, given_up = chosen.randint(0, 5), step == 5 or chosen.random() < 0.4
            producer.begin_transaction()
            for number in range(count):
                topic, partition = chosen.choice(topics), chosen.randrange(PARTITIONS)
                producer.produce(topic, b"\0\0\0\0\1%d" % number, b"key", partition)
            producer.flush()
            _ = producer.abort_transaction() if given_up else producer.commit_transaction()
            committed += 0 if given_up else count
        ranges = ranges_of(kafka, topics, ranges)
        frame = by_spark(lake, kafka, ranges)
        here = MicroBatch(frame, "none", formats, ranges=ranges, reader=reader)
        found = here.slices()
        assert_alike(found, MicroBatch(frame, "none", formats, ranges=ranges).slices())
        assert here.by_spark == ""
        total += sum(part.messages for part in found.values())
    assert total == committed


def test_offsets_that_are_gone_are_sparks_to_name(kafka: KafkaConfig, topics: list[str], reader: RangeReader) -> None:
    """K1: and the range behind them is read again."""
    topic = topics[0]
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for _ in range(4):
        producer.produce(topic, b"v", b"k", 0)
    producer.flush()
    gone = reader.read({topic: {0: (7, 9)}}, 1 << 20)
    assert isinstance(gone, str)
    assert "out of range" in gone
    found = reader.read({topic: {0: (1, 4)}}, 1 << 20)
    assert found["offset"].to_pylist() == [1, 2, 3]


class Nothing:
    """A reader that never reads."""

    def read(self, _ranges: Ranges, _limit: int) -> str:
        return "not today"


def test_a_small_batch_that_is_read_at_the_driver_runs_no_job(
    lake: tuple[Any, Any], kafka: KafkaConfig, topics: list[str], reader: RangeReader, tmp_path: Path
) -> None:
    """From the first batch of a query on; one that Spark reads runs some."""
    session, readers = lake[0], [reader]
    came: queue.Queue[int] = queue.Queue()
    noted = OffsetLog(str(tmp_path / "checkpoint"))

    def on_batch(frame: DataFrame, number: int) -> None:
        batch = MicroBatch(
            frame, "none", dict.fromkeys(topics, "avro"), ranges=noted.ranges_of(number), reader=readers[0]
        )
        came.put(sum(part.messages for part in batch.slices().values()))

    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})

    def send() -> None:
        for topic in topics:
            producer.produce(topic, b"\0\0\0\0\1v", b"k")
        producer.flush()

    def await_messages(count: int) -> None:
        while count > 0:
            count -= came.get(timeout=60)
        assert count == 0

    send()
    progress = {topic: (Progress(topic, "id"), frozenset(range(PARTITIONS))) for topic in topics}
    query = start_query(
        session,
        java_settings(kafka),
        progress,
        checkpoint=str(tmp_path / "checkpoint"),
        trigger=timedelta(milliseconds=100),
        max_offsets=1000,
        name="ranges",
        on_batch=on_batch,
    )
    jobs = lambda: session.sparkContext.statusTracker().getJobIdsForGroup(str(query.runId))  # noqa: E731
    try:
        for _ in range(3):
            await_messages(2)
            send()
        await_messages(2)
        assert list(jobs()) == []
        readers[0] = Nothing()  # type: ignore[assignment]
        send()
        await_messages(2)
        assert list(jobs()) != []
    finally:
        query.stop()


def test_topics_in_turns_bring_every_committed_message_once_and_in_order(
    kafka: KafkaConfig, topics: list[str], reader: RangeReader
) -> None:
    """Messages that come while others are worked on, and markers that are none."""
    chosen = random.Random("turns")
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topics[0], "linger.ms": 0})
    producer.init_transactions()

    def send() -> None:
        for _ in range(chosen.randint(1, 3)):
            producer.begin_transaction()
            for number in range(chosen.randint(0, 9)):
                producer.produce(chosen.choice(topics), b"%d" % number, b"key", chosen.randrange(PARTITIONS))
            producer.flush()
            _ = producer.commit_transaction() if chosen.random() < 0.7 else producer.abort_transaction()

    seconds = count()
    turns, came = InTurns(reader, 1, 10_000, lambda: float(next(seconds))), list[tuple[str, int, int]]()
    ranges, beyond, deadline = ranges_of(kafka, topics), 0, time.monotonic() + 120
    for step in count():
        if step >= 15 and beyond:
            break
        assert time.monotonic() < deadline, "nothing came meanwhile"
        send()
        ranges = ranges_of(kafka, topics, ranges)
        for part in turns.of(turns.left(ranges)):
            assert not isinstance(part, str), part
            read, messages = part[0], part[1].read(part[0], 1 << 20)
            beyond += sum(end > ranges[topic][p][1] for topic, of in read.items() for p, (_, end) in of.items())
            came += zip(*(messages[name].to_pylist() for name in ("topic", "partition", "offset")), strict=True)
            send()
    last = turns.left(ranges_of(kafka, topics, ranges))
    messages = reader.read(last, 1 << 20)
    came += zip(*(messages[name].to_pylist() for name in ("topic", "partition", "offset")), strict=True)
    whole = {topic: {p: (0, end) for p, (_, end) in of.items()} for topic, of in last.items()}
    once = RangeReader(kafka)
    expected = once.read(whole, 1 << 20)
    once.close()
    for topic, partition in product(topics, range(PARTITIONS)):
        offsets = [offset for t, p, offset in came if (t, p) == (topic, partition)]
        here = pc.and_(pc.equal(expected["topic"], topic), pc.equal(expected["partition"], partition))
        assert offsets == expected.filter(here)["offset"].to_pylist()
