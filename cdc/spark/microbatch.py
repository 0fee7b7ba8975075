"""One micro-batch of Kafka messages: read once, then handed out table by table.

A large one is cached by Spark. The messages of a small one are gathered at the driver: read there, or by Spark in one
job for all tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from cdc.core.progress import Ranges, messages_in
from cdc.lazy import lazy
from cdc.spark.envelope import schema_frame, schema_id
from cdc.spark.marks import marked

_RAW = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")
MESSAGE_DDL = (
    "topic string, `partition` int, `offset` bigint, timestamp timestamp, key binary, value binary, "
    "headers array<struct<key: string, value: binary>>"
)
"""Messages as Spark's Kafka source gives them."""

GATHERED, GATHERED_BYTES = 200_000, 192 << 20
"""Up to so many messages are gathered at the driver, and up to so many bytes of them.

Of many topics they may be more: what each has is small, and would otherwise cost each a job of Spark's. Before Spark
reads them only their number is known: each may have its part of the bytes, and the topics of those that are larger are
read again by Spark.
"""

GATHERED_OF_A_TOPIC = 500


class RangeReader(Protocol):
    """Reads small ranges of a stream without Spark, each beginning where the one before it ended."""

    def read(self, ranges: Ranges, limit: int) -> pa.Table | str:
        """Return the messages, or why they could not be read; then Spark is to read them.

        The columns are those of a Kafka source, the messages of a topic stand together. ``limit`` bounds what is held
        at the driver meanwhile, in bytes. Raises nothing that has to do with Kafka.
        """
        ...


@dataclass(frozen=True)
class SchemaPair:
    """What names the schemas of a message's key and value.

    For Avro the marks are frames of the registry's wire format, empty where a message has none; for JSON with schemas
    hashes of the schema blocks. ``sample`` is (partition, offset) of one such message.
    """

    key_mark: bytes
    value_mark: bytes
    sample: tuple[int, int] = field(default=(0, 0), compare=False)

    @property
    def key_id(self) -> int:
        """Return the registry's id of the key's schema, 0 for none."""
        return schema_id(self.key_mark)

    @property
    def value_id(self) -> int:
        """Return the registry's id of the value's schema, 0 for none."""
        return schema_id(self.value_mark)


@dataclass
class TopicSlice:
    """What a micro-batch holds of one topic: offsets per partition, and the schemas its messages were written with.

    ``gathered`` are its messages, if they are at the driver, with the columns of a Kafka source, and ``key_mark`` and
    ``value_mark``, which tell their schemas.
    """

    first_offsets: dict[int, int] = field(default_factory=dict)
    last_offsets: dict[int, int] = field(default_factory=dict)
    schemas: set[SchemaPair] = field(default_factory=set)
    messages: int = 0
    bytes: int = 0
    gathered: pa.Table | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Count messages of one partition and pair of schemas."""
        p = row["partition"]
        self.first_offsets[p] = min(row["first"], self.first_offsets.get(p, row["first"]))
        self.last_offsets[p] = max(row["last"], self.last_offsets.get(p, row["last"]))
        self.messages += row["messages"]
        self.bytes += row["bytes"] or 0
        if row["value"] is not None:
            self.schemas.add(SchemaPair(bytes(row["key"] or b""), bytes(row["value"]), (p, row["first"])))


class MicroBatch:
    """The messages of one trigger; ``close`` lets go of them.

    Tables are written from sessions of their own, which see cached messages as the global temporary view ``view``.
    ``formats`` gives the event format of each topic, ``ranges`` the offsets, or ``at_most`` a bound of the number of
    messages where no more is known. ``reader`` reads small ranges; ``by_spark`` tells why it did not, once that is so.
    Up to ``gathered`` messages are brought to the driver, none if that is 0.
    """

    def __init__(
        self,
        messages: DataFrame,
        view: str,
        formats: Mapping[str, str],
        at_most: int | None = None,
        *,
        ranges: Ranges | None = None,
        reader: RangeReader | None = None,
        gathered: int | None = None,
    ) -> None:
        self._messages = messages
        self.view = view
        self._formats = formats
        self._at_most = at_most if ranges is None else messages_in(ranges)
        self._ranges, self._reader, self._most = ranges, reader, gathered
        self.by_spark = ""
        self._cached = False
        self._slices: dict[str, TopicSlice] = {}

    @lazy
    def _raw(self) -> DataFrame:
        # A partition per core is enough: every table scans them all, and each costs it a task.
        cores = self._messages.sparkSession.sparkContext.defaultParallelism
        return self._messages.select(*_RAW).coalesce(cores)

    def slices(self) -> Mapping[str, TopicSlice]:
        """Return what there is of each topic; this reads Kafka."""
        small = self._at_most is not None and self._at_most <= self.bound
        self._slices = self._gathered(self._at_most or 1) if small else self._counted(self._raw)
        return self._slices

    @property
    def bound(self) -> int:
        """Return up to how many messages it would be gathered at the driver."""
        most = GATHERED if self._most is None else self._most
        return max(most, GATHERED_OF_A_TOPIC * len(self._ranges or ())) if most else 0

    def _gathered(self, at_most: int) -> dict[str, TopicSlice]:
        """Gather the messages at the driver, read there if that can be done."""
        if self._reader is not None and self._ranges is not None:
            found = self._reader.read(self._ranges, GATHERED_BYTES)
            if not isinstance(found, str):
                return _slices(marked(found, self._formats))
            self.by_spark = found
        return self._gathered_by_spark(at_most)

    def _gathered_by_spark(self, at_most: int) -> dict[str, TopicSlice]:
        """Gather the messages in one job; Spark reads topics again of which some are too large for that."""
        largest = GATHERED_BYTES // max(1, at_most)
        size = f.coalesce(f.octet_length("value"), f.lit(0)) + f.coalesce(f.octet_length("key"), f.lit(0))
        key_mark, value_mark = self._marks()
        fits = f.when(size <= largest, f.struct("key", "value"))
        table = self._raw.select(
            *("topic", "partition", "offset", "timestamp", "headers"),
            fits["key"].alias("key"),
            fits["value"].alias("value"),
            key_mark.alias("key_mark"),
            value_mark.alias("value_mark"),
            size.alias("size"),
        ).toArrow()
        too_large = set(table.filter(pc.greater(table["size"], largest))["topic"].to_pylist())
        found = {topic: part for topic, part in _slices(table).items() if topic not in too_large}
        if too_large:
            found |= self._counted(self._raw.where(f.col("topic").isin(*too_large)))
        return found

    def _counted(self, raw: DataFrame) -> dict[str, TopicSlice]:
        """Have Spark cache the messages and count what there is."""
        self._raw = raw.persist(StorageLevel.MEMORY_AND_DISK)
        self._raw.createOrReplaceGlobalTempView(self.view)
        self._cached = True
        key_mark, value_mark = self._marks()
        grouped = self._raw.groupBy("topic", "partition", key_mark.alias("key"), value_mark.alias("value")).agg(
            f.min("offset").alias("first"),
            f.max("offset").alias("last"),
            f.count("*").alias("messages"),
            f.sum(f.octet_length("value")).alias("bytes"),
        )
        found: dict[str, TopicSlice] = {}
        for row in grouped.collect():
            found.setdefault(row.topic, TopicSlice()).add(row.asDict())
        return found

    def sample(self, topic: str, place: tuple[int, int]) -> tuple[bytes, bytes]:
        """Return key and value of the message at (partition, offset)."""
        gathered = self._slices[topic].gathered if topic in self._slices else None
        if gathered is not None:
            here = pc.and_(pc.equal(gathered["partition"], place[0]), pc.equal(gathered["offset"], place[1]))
            row = gathered.select(["key", "value"]).filter(here).to_pylist()[0]
            return row["key"] or b"", row["value"] or b""
        at = (f.col("topic") == topic) & (f.col("partition") == place[0]) & (f.col("offset") == place[1])
        found = self._raw.where(at).select("key", "value").collect()[0]
        return bytes(found.key or b""), bytes(found.value or b"")

    def _marks(self) -> tuple[Column, Column]:
        kinds = sorted(set(self._formats.values()))
        key_mark, value_mark = schema_marks(kinds[0])
        for kind in kinds[1:]:
            here = f.col("topic").isin(*[topic for topic, is_kind in self._formats.items() if is_kind == kind])
            key, value = schema_marks(kind)
            key_mark, value_mark = f.when(here, key).otherwise(key_mark), f.when(here, value).otherwise(value_mark)
        return key_mark, value_mark

    def close(self, *, drop_view: bool = False) -> None:
        """Free the cached messages; a view that no later batch will replace is dropped."""
        if not self._cached:
            return
        self._raw.unpersist()
        if drop_view:
            self._raw.sparkSession.catalog.dropGlobalTempView(self.view)


def _slices(messages: pa.Table) -> dict[str, TopicSlice]:
    """Return messages at the driver by topic."""
    found = {topic: TopicSlice(gathered=of_topic) for topic, of_topic in _by_topic(messages).items()}
    counts = [("offset", "min"), ("offset", "max"), ("offset", "count"), ("size", "sum")]
    grouped = messages.group_by(["topic", "partition", "key_mark", "value_mark"]).aggregate(counts)
    names = ["topic", "partition", "key", "value", "first", "last", "messages", "bytes"]
    for row in grouped.rename_columns(names).to_pylist():
        found[row["topic"]].add(row)
    return found


def _by_topic(messages: pa.Table) -> dict[str, pa.Table]:
    """Return the messages of each topic; none is copied, for those that stand together stay together."""
    parts: dict[str, list[pa.RecordBatch]] = {}
    for batch in messages.to_batches():
        runs, start = pc.run_end_encode(batch["topic"]), 0
        for topic, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            parts.setdefault(topic, []).append(batch.slice(start, end - start))
            start = end
    return {topic: pa.Table.from_batches(batches) for topic, batches in parts.items()}


def messages_of(session: SparkSession, view: str, topic: str, gathered: pa.Table | None = None) -> DataFrame:
    """Return one topic's messages in another session, tombstones left out."""
    if gathered is not None:
        whole = gathered.select(list(_RAW)).take(pa.array(range(gathered.num_rows)))  # PySpark fails on slices of lists
        return session.createDataFrame(whole, MESSAGE_DDL).where(f.col("value").isNotNull())
    raw = session.table(f"global_temp.{view}")
    return raw.where((f.col("topic") == topic) & f.col("value").isNotNull())


def schema_marks(event_format: str) -> tuple[Column, Column]:
    """Return what tells the schemas of a message's key and value apart; null for a missing key or value."""
    if event_format == "avro":
        return schema_frame(f.col("key")), schema_frame(f.col("value"))
    if event_format == "json_schema":
        return _block_hash("key"), _block_hash("value")
    nothing = f.lit(bytearray())
    return nothing, f.when(f.col("value").isNotNull(), nothing)


def _block_hash(column: str) -> Column:
    block = f.substring_index(f.col(column).cast("string"), ',"payload":', 1)
    return f.unhex(f.md5(block))
