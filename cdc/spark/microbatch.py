"""One micro-batch of Kafka messages: read and cached once, then handed out table by table."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from cdc.spark.envelope import schema_id

_RAW = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")


@dataclass(frozen=True)
class SchemaPair:
    """The registry's ids of a message's key and value; 0 where a message is not in the registry's wire format.

    For JSON with schemas the ids are hashes of the schema blocks, and ``sample`` is the offset of one such message.
    """

    key_id: int
    value_id: int
    sample: tuple[int, int] = field(default=(0, 0), compare=False)


@dataclass
class TopicSlice:
    """What a micro-batch holds of one topic: offsets per partition, and the schemas its messages were written with."""

    first_offsets: dict[int, int] = field(default_factory=dict)
    last_offsets: dict[int, int] = field(default_factory=dict)
    schemas: set[SchemaPair] = field(default_factory=set)
    messages: int = 0


class MicroBatch:
    """The messages of one trigger, cached; ``close`` lets go of them.

    Tables are written from sessions of their own, which see the messages as the global temporary view ``view``.
    ``formats`` gives the event format of each topic.
    """

    def __init__(self, messages: DataFrame, view: str, formats: Mapping[str, str]) -> None:
        # A partition per core is enough: every table scans them all, and each costs it a task.
        cores = messages.sparkSession.sparkContext.defaultParallelism
        self._raw = messages.select(*_RAW).coalesce(cores).persist(StorageLevel.MEMORY_AND_DISK)
        self._raw.createOrReplaceGlobalTempView(view)
        self.view = view
        self._formats = formats

    def slices(self) -> Mapping[str, TopicSlice]:
        """Return what there is of each topic; this reads Kafka."""
        key_id, value_id = self._pair_ids()
        grouped = self._raw.groupBy("topic", "partition", key_id.alias("key_id"), value_id.alias("value_id")).agg(
            f.min("offset").alias("first"), f.max("offset").alias("last"), f.count("*").alias("messages")
        )
        found: dict[str, TopicSlice] = {}
        for row in grouped.collect():
            part = found.setdefault(row.topic, TopicSlice())
            p = row.partition
            part.first_offsets[p] = min(row["first"], part.first_offsets.get(p, row["first"]))
            part.last_offsets[p] = max(row["last"], part.last_offsets.get(p, row["last"]))
            part.messages += row.messages
            if row.value_id is not None:
                part.schemas.add(SchemaPair(row.key_id or 0, row.value_id, (p, row["first"])))
        return found

    def sample(self, topic: str, place: tuple[int, int]) -> tuple[bytes, bytes]:
        """Return key and value of the message at (partition, offset)."""
        here = (f.col("topic") == topic) & (f.col("partition") == place[0]) & (f.col("offset") == place[1])
        row = self._raw.where(here).select("key", "value").collect()[0]
        return bytes(row.key or b""), bytes(row.value or b"")

    def _pair_ids(self) -> tuple[Column, Column]:
        kinds = sorted(set(self._formats.values()))
        key_id, value_id = pair_ids(kinds[0])
        for kind in kinds[1:]:
            here = f.col("topic").isin(*[topic for topic, is_kind in self._formats.items() if is_kind == kind])
            other_key, other_value = pair_ids(kind)
            key_id, value_id = f.when(here, other_key).otherwise(key_id), f.when(here, other_value).otherwise(value_id)
        return key_id, value_id

    def close(self) -> None:
        """Free the cached messages."""
        self._raw.unpersist()


def messages_of(session: SparkSession, view: str, topic: str) -> DataFrame:
    """Return one topic's messages in another session, tombstones left out."""
    raw = session.table(f"global_temp.{view}")
    return raw.where((f.col("topic") == topic) & f.col("value").isNotNull())


def pair_ids(event_format: str) -> tuple[Column, Column]:
    """Return what tells the schemas of a message's key and value apart: registry ids, or hashes of schema blocks."""
    if event_format == "avro":
        return schema_id(f.col("key")), schema_id(f.col("value"))
    if event_format == "json_schema":
        return _block_hash("key"), _block_hash("value")
    return f.lit(0).cast("bigint"), f.when(f.col("value").isNotNull(), f.lit(0).cast("bigint"))


def _block_hash(column: str) -> Column:
    block = f.substring_index(f.decode(f.col(column), "UTF-8"), '"payload"', 1)
    return f.when(f.col(column).isNotNull(), f.xxhash64(block))
