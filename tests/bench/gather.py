"""``python -m tests.bench.gather``: messages of small batches brought to the driver, read there and by Spark.

On a broker of its own, over 7 and over 200 topics of four partitions. A child process produces the messages
in transactions; a batch is what came since the one before, as for a pipeline. Seconds are those of ``slices``, as
medians; processor seconds are those of this process and its JVM, as means: while Spark reads, and for the driver from
before the messages were produced until they are read, since it fetches ahead. Both have to bring the same messages.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import IsolationLevel, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from pyspark.sql import DataFrame, SparkSession

from cdc.config.services import KafkaConfig
from cdc.core.progress import Ranges
from cdc.kafka.client import java_settings
from cdc.kafka.ranges import RangeReader
from cdc.kafka.topics import KafkaTopics
from cdc.local.stack import LocalStack
from cdc.spark.microbatch import MicroBatch
from tests.bench.load_meter import cpu_seconds
from tests.lake import start_session

PARTITIONS, WARM = 4, 2
VALUE = b"\0\0\0\0\1" + b"v" * 300
PAUSE = 0.5
IDLE = 20.0
"""Seconds for which nothing comes, of which the cost is told."""


def main() -> None:
    """Measure, and print each figure as it comes."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gather", description=__doc__)
    parser.add_argument("--topics", type=int, nargs="+", default=[7, 200])
    parser.add_argument("--messages", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--turns", type=int, default=5, help="batches that are measured of a size, after two others")
    options = parser.parse_args()
    stack = LocalStack("bench-gather")
    equal = True
    try:
        stack.up(["postgres"])
        kafka = KafkaConfig(bootstrap_servers=stack.addresses().kafka)
        with TemporaryDirectory() as folder:
            session, _ = start_session(Path(folder))
            for count in options.topics:
                for figures in measured(session, kafka, count, options):
                    print(json.dumps({"topics": count, **figures}), flush=True)
                    equal = equal and figures.get("equal", True)
            session.stop()
    finally:
        stack.down(wipe=True)
    sys.exit(0 if equal else 1)


def measured(
    session: SparkSession, kafka: KafkaConfig, count: int, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield the figures for a number of topics."""
    names, topics = [f"gather.{count}.{number}" for number in range(count)], KafkaTopics(kafka)
    for name in names:
        topics.create(name, partitions=PARTITIONS, replication_factor=1, settings={})
    here, there = get_context("spawn").Pipe()
    child = get_context("spawn").Process(target=produce, args=(kafka.bootstrap_servers, names, there))
    child.start()
    reader = RangeReader(kafka)
    try:
        batches = Batches(session, kafka, names, here)
        for messages in options.messages:
            yield batches.of(messages, options.turns, reader)
        idle = asleep()
        reader.close()
        yield {"idle": idle, "idle_without_consumer": asleep()}
    finally:
        reader.close()
        here.send(0)
        child.join()


def asleep() -> float:
    """Return processor seconds a second of this process alone, while nothing comes."""
    before = time.process_time()
    time.sleep(IDLE)  # there is nothing to wait for: what is measured is that nothing comes
    return round((time.process_time() - before) / IDLE, 5)


class Batches:
    """Batches of a number of topics, one after another."""

    def __init__(self, session: SparkSession, kafka: KafkaConfig, names: list[str], producer: Connection) -> None:
        self._session, self._kafka, self._names, self._producer = session, kafka, names, producer
        self._formats = dict.fromkeys(names, "avro")
        self._ends: dict[str, Mapping[int, int]] = {name: dict.fromkeys(range(PARTITIONS), 0) for name in names}

    def of(self, messages: int, count: int, reader: RangeReader) -> dict[str, Any]:
        """Return the figures for batches of a size: all of them read at the driver, then the same ones by Spark."""
        here = [self._at_driver(messages, reader) for _ in range(WARM + count)][WARM:]
        spark = [self._by_spark(turn["ranges"]) for turn in here[:WARM] + here][WARM:]
        equal = all(one["found"] == other["found"] for one, other in zip(here, spark, strict=True))
        whole = all(sum(part for part, _ in turn["found"].values()) == messages for turn in here)
        told: dict[str, Any] = {"messages": messages, "equal": equal and whole}
        for way, turns in (("driver", here), ("spark", spark)):
            told[f"{way}_seconds"] = round(statistics.median(turn["seconds"] for turn in turns), 4)
            told[f"{way}_cpu"] = round(statistics.mean(turn["cpu"] for turn in turns), 4)
        return told

    def _at_driver(self, messages: int, reader: RangeReader) -> dict[str, Any]:
        before = self._used()
        self._producer.send(messages)
        ends = self._producer.recv()
        time.sleep(PAUSE)  # as between a commit and the next trigger
        fetching = self._used() - before
        ranges = {
            name: {p: (start, ends.get((name, p), start)) for p, start in self._ends[name].items()}
            for name in self._names
        }
        self._ends = {name: {p: end for p, (_, end) in of.items()} for name, of in ranges.items()}
        batch = MicroBatch(self._frame(ranges), "none", self._formats, ranges=ranges, reader=reader)
        turn = self._timed(batch)
        if batch.by_spark:
            raise RuntimeError(batch.by_spark)
        return {**turn, "cpu": fetching + turn["cpu"], "ranges": ranges}

    def _by_spark(self, ranges: Ranges) -> dict[str, Any]:
        return self._timed(MicroBatch(self._frame(ranges), "none", self._formats, ranges=ranges))

    def _timed(self, batch: MicroBatch) -> dict[str, Any]:
        """Return what is in a batch, the seconds until that is known, and processor seconds."""
        before, start = self._used(), time.monotonic()
        slices = batch.slices()
        seconds, used = time.monotonic() - start, self._used() - before
        found = {topic: (part.messages, part.last_offsets) for topic, part in slices.items()}
        return {"found": found, "seconds": seconds, "cpu": used}

    def _used(self) -> float:
        """Return processor seconds of this process and of its JVM so far."""
        return time.process_time() + cpu_seconds(self._session.sparkContext._gateway.proc.pid)  # noqa: SLF001

    def _frame(self, ranges: Ranges) -> DataFrame:
        """Return the messages as Spark's source gives them, all topics in one, as the source of a stream does."""
        options = {
            name: json.dumps({topic: {str(p): of[p][end] for p in of} for topic, of in ranges.items()})
            for end, name in enumerate(("startingOffsets", "endingOffsets"))
        }
        reading = self._session.read.format("kafka").options(**java_settings(self._kafka), **options)
        reading = reading.option("subscribe", ",".join(ranges)).option("includeHeaders", "true")
        reading = reading.option("kafka.isolation.level", "read_committed")
        return reading.option("kafka.fetch.max.wait.ms", "20").load()


def produce(servers: str, names: list[str], asked: Connection) -> None:
    """Produce as many messages as asked, over all topics in turn, in one transaction; 0 ends it.

    Answers with the ends of the partitions, behind the marker of the transaction, once it is there.
    """
    producer = Producer({"bootstrap.servers": servers, "transactional.id": names[0]})
    producer.init_transactions()
    admin = AdminClient({"bootstrap.servers": servers})
    ends: dict[tuple[str, int], int] = {}
    sent = 0

    def delivered(_error: object, message: Message) -> None:
        ends[message.topic() or "", message.partition() or 0] = (message.offset() or 0) + 2

    while count := asked.recv():
        producer.begin_transaction()
        for _ in range(count):
            producer.produce(names[sent % len(names)], VALUE, b"\0\0\0\0\2%d" % sent, on_delivery=delivered)
            sent += 1
            producer.poll(0)
        producer.flush()
        producer.commit_transaction()
        await_committed(admin, ends)
        asked.send(ends)


def await_committed(admin: AdminClient, ends: Mapping[tuple[str, int], int]) -> None:
    """Wait until readers of committed messages see the ends: a transaction's markers are written after its end."""
    while True:
        wanted = {TopicPartition(*place): OffsetSpec.latest() for place in ends}
        found = admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED)
        if all(future.result().offset >= ends[at.topic, at.partition] for at, future in found.items()):
            return
        time.sleep(0.05)


if __name__ == "__main__":
    main()
