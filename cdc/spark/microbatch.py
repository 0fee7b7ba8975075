"""One micro-batch of Kafka messages: read and cached once, then handed out table by table."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from cdc.spark.envelope import schema_frame, schema_id

_RAW = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")


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
    """What a micro-batch holds of one topic: offsets per partition, and the schemas its messages were written with."""

    first_offsets: dict[int, int] = field(default_factory=dict)
    last_offsets: dict[int, int] = field(default_factory=dict)
    schemas: set[SchemaPair] = field(default_factory=set)
    messages: int = 0
    bytes: int = 0


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
        key_mark, value_mark = self._marks()
        grouped = self._raw.groupBy("topic", "partition", key_mark.alias("key"), value_mark.alias("value")).agg(
            f.min("offset").alias("first"),
            f.max("offset").alias("last"),
            f.count("*").alias("messages"),
            f.sum(f.octet_length("value")).alias("bytes"),
        )
        found: dict[str, TopicSlice] = {}
        for row in grouped.collect():
            part = found.setdefault(row.topic, TopicSlice())
            p = row.partition
            part.first_offsets[p] = min(row["first"], part.first_offsets.get(p, row["first"]))
            part.last_offsets[p] = max(row["last"], part.last_offsets.get(p, row["last"]))
            part.messages += row.messages
            part.bytes += row.bytes or 0
            if row["value"] is not None:
                part.schemas.add(SchemaPair(bytes(row["key"] or b""), bytes(row["value"]), (p, row["first"])))
        return found

    def sample(self, topic: str, place: tuple[int, int]) -> tuple[bytes, bytes]:
        """Return key and value of the message at (partition, offset)."""
        here = (f.col("topic") == topic) & (f.col("partition") == place[0]) & (f.col("offset") == place[1])
        row = self._raw.where(here).select("key", "value").collect()[0]
        return bytes(row.key or b""), bytes(row.value or b"")

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
        self._raw.unpersist()
        if drop_view:
            self._raw.sparkSession.catalog.dropGlobalTempView(self.view)


def messages_of(session: SparkSession, view: str, topic: str) -> DataFrame:
    """Return one topic's messages in another session, tombstones left out."""
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
