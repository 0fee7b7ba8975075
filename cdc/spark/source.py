"""The stream of Kafka messages: topics read once per micro-batch, from offsets that the tables themselves give."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cdc.core.errors import CdcError, TransientError
from cdc.core.progress import Progress, Ranges

OnBatch = Callable[[DataFrame, int], None]


def start_query(
    session: SparkSession,
    kafka: Mapping[str, str],
    progress: Mapping[str, tuple[Progress, frozenset[int]]],
    *,
    checkpoint: str,
    trigger: timedelta,
    max_offsets: int,
    name: str,
    on_batch: OnBatch,
) -> StreamingQuery:
    """Start the query of one pipeline.

    ``progress`` gives per topic its progress and its partitions: every partition starts at its next offset. ``kafka``
    are client options with Spark's ``kafka.`` prefix. The checkpoint must be empty: progress lives in the tables.
    """
    stream = (
        session.readStream.format("kafka")
        .options(**kafka)
        .options(**_reading(session))
        .option("subscribe", ",".join(sorted(progress)))
        .option("startingOffsets", starting_offsets(progress))
        .option("maxOffsetsPerTrigger", max_offsets)
        .load()
    )
    writer = stream.writeStream.foreachBatch(on_batch).queryName(name).option("checkpointLocation", checkpoint)
    return writer.trigger(processingTime=f"{int(trigger.total_seconds() * 1000)} milliseconds").start()


def starting_offsets(progress: Mapping[str, tuple[Progress, frozenset[int]]]) -> str:
    """Return Spark's JSON of starting offsets; -2 is the beginning of a partition."""
    offsets = {
        topic: {str(p): state.partitions[p].next_offset if p in state.partitions else -2 for p in sorted(partitions)}
        for topic, (state, partitions) in progress.items()
    }
    return json.dumps(offsets)


class OffsetLog:
    """What a query notes in its checkpoint, of which this process needs the offsets that a batch is made of.

    Read as files: what Spark tells of a running batch costs more, and of its offsets it tells when the batch is over.
    """

    def __init__(self, checkpoint: str) -> None:
        self._folder = Path(checkpoint)
        self._ends: tuple[int, Mapping[str, Mapping[str, int]]] = (-1, {})

    def ranges_of(self, batch: int) -> Ranges | None:
        """Return the ranges of all partitions in a batch, some of them empty; None where they are not known.

        So it is with a log that is not on a local disk, after a batch that was not asked for, and with new partitions.
        """
        before, self._ends = self._ends, (batch, self._read("offsets", str(batch)))
        starts, ends = before[1] if batch else self._read("sources", "0", "0"), self._ends[1]
        if before[0] != batch - 1 or not starts or not ends:
            return None
        if any(p not in starts.get(topic, {}) for topic, of_topic in ends.items() for p in of_topic):
            return None
        return {
            topic: {int(p): (starts[topic][p], end) for p, end in of_topic.items()} for topic, of_topic in ends.items()
        }

    def _read(self, *path: str) -> Mapping[str, Mapping[str, int]]:
        try:
            lines = self._folder.joinpath(*path).read_text(encoding="utf-8").splitlines()
            found: Mapping[str, Mapping[str, int]] = json.loads(lines[-1])
        except (OSError, ValueError, IndexError):
            return {}
        return found


def read_range(
    session: SparkSession, kafka: Mapping[str, str], topic: str, start: Mapping[int, int], end: Mapping[int, int]
) -> DataFrame:
    """Return the messages of a topic from ``start`` to before ``end``, per partition; both name every partition."""
    return (
        session.read.format("kafka")
        .options(**kafka)
        .options(**_reading(session))
        .option("subscribe", topic)
        .option("startingOffsets", json.dumps({topic: {str(p): o for p, o in sorted(start.items())}}))
        .option("endingOffsets", json.dumps({topic: {str(p): o for p, o in sorted(end.items())}}))
        .load()
    )


def _reading(session: SparkSession) -> dict[str, str]:
    """Return how messages are read, whether by a query or once."""
    return {
        "includeHeaders": "true",
        "failOnDataLoss": "true",
        "kafka.isolation.level": "read_committed",
        # The last offset of a partition may be a transaction's marker: each poll for it would wait this long.
        "kafka.fetch.max.wait.ms": "20",
        "minPartitions": str(session.sparkContext.defaultParallelism),  # a topic may have one alone
    }


def query_failure(query: StreamingQuery) -> CdcError | None:
    """Return why a query ended, None while it runs.

    Whatever it is, another query may go on: offsets that are gone are one table's, which stops before the next begins.
    """
    if query.isActive:
        return None
    reason = str(query.exception() or "the query ended")
    if "KAFKA_DATA_LOSS" in reason or "OffsetOutOfRange" in reason:
        return TransientError(
            "Kafka no longer has offsets that come next; the tables are asked whose they are",
            hint="it passes, or stops a table with what helps",
        )
    return TransientError(
        f"the streaming query ended: {reason.splitlines()[0][:300]}",
        hint="it is started again; what keeps it from running is in cdc status",
    )
