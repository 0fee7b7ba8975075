"""What a collapsed batch writes: tombstones, the merge into the staging branch, and quarantined messages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from cdc.core.batch import Problem
from cdc.core.ddl import spark_type
from cdc.core.history import part_of_batch
from cdc.core.names import quote
from cdc.core.positions import LAYOUTS, OFFSET_DIGITS, hexadecimal
from cdc.core.progress import Progress
from cdc.spark.decode import RowShape
from cdc.spark.merge import KeyBounds, merge_sql, truncate_sql
from cdc.spark.session import snapshot_properties

_BOUND_METADATA = "'write.metadata.delete-after-commit.enabled' = 'true', 'write.metadata.previous-versions-max' = '10'"


@dataclass(frozen=True)
class TableTarget:
    """Where a table's changes go: quoted names of the table, its staging branch, and the tables beside it."""

    table: str
    branch: str
    tombstones: str
    quarantine: str


def table_rows(session: SparkSession, target: TableTarget, shape: RowShape) -> DataFrame:
    """Return the table's rows as ``k, position, operation, v``."""
    key = f.struct(*[f.col(_q(name)).alias(name) for name in shape.key])
    values = f.struct(*[f.col(_q(name)).alias(name) for name in shape.columns])
    columns = (key.alias("k"), f.col("_cdc_position").alias("position"), f.col("_cdc_op").alias("operation"))
    return session.table(target.table).select(*columns, values.alias("v"))


def row_bytes(shape: RowShape) -> Column | None:
    """Return about how many bytes a row of ``table_rows`` takes in columns of any length; None if it has none."""
    kinds = {name: spark_type(kind) for name, kind in shape.columns.items()}
    texts = [f.col("v")[name] for name, kind in kinds.items() if kind in {"string", "binary"}]
    nested = [f.col("v")[name].cast("string") for name, kind in kinds.items() if "<" in kind]
    sizes = [f.coalesce(f.octet_length(text), f.lit(0)).cast("bigint") for text in (*texts, *nested)]
    while len(sizes) > 1:  # in pairs: of a very wide table the depth of one long sum would be the planner's
        pairs = zip(sizes[::2], sizes[1::2], strict=False)
        sizes = [*(a + b for a, b in pairs), *([sizes[-1]] if len(sizes) % 2 else [])]
    return sizes[0] if sizes else None


def tombstone_floors(
    session: SparkSession,
    target: TableTarget,
    shape: RowShape,
    keys: DataFrame,
    progress: Progress,
    waiting: pa.Table | None = None,
) -> DataFrame | None:
    """Return ``k, floor`` for those of ``keys`` (``k, partition``) that were deleted before; None if nothing ever was.

    Tombstones at or after the table's progress do not count: their batch was never published. Those ``waiting`` are in
    no table yet.
    """
    columns = [*map(_q, shape.key), "_cdc_position"]
    found = [session.table(target.tombstones)] if session.catalog.tableExists(target.tombstones) else []
    if waiting is not None:
        found.append(session.createDataFrame(waiting, f"{_key_fields(shape)}, _cdc_position string"))
    if not found:
        return None
    key = f.struct(*[f.col(_q(name)).alias(name) for name in shape.key])
    stones = reduce(DataFrame.unionByName, [one.select(*columns) for one in found]).select(
        key.alias("k"), "_cdc_position"
    )
    published = f.right("_cdc_position", f.lit(OFFSET_DIGITS)) < _next_offset(progress)
    counting = stones.join(keys.select("k", "partition"), "k").where(published)
    return counting.groupBy("k").agg(f.max("_cdc_position").alias("floor"))


def _next_offset(progress: Progress) -> Column:
    """Return the next offset of the partition, in the form in which positions end with offsets."""
    limit = f.lit("")
    for partition, state in progress.partitions.items():
        limit = f.when(f.col("partition") == partition, hexadecimal(state.next_offset, OFFSET_DIGITS)).otherwise(limit)
    return limit


def _key_fields(shape: RowShape) -> str:
    return ", ".join(f"{_q(name)} {spark_type(shape.columns[name])}" for name in shape.key)


def write_tombstones(session: SparkSession, target: TableTarget, shape: RowShape, changes: DataFrame) -> None:
    """Remember the deleted keys, before the deletes themselves are published: a late duplicate finds them (S14)."""
    session.sql(
        f"CREATE TABLE IF NOT EXISTS {target.tombstones} "
        f"({_key_fields(shape)}, _cdc_position string, deleted_at timestamp) "
        "USING iceberg PARTITIONED BY (day(deleted_at)) "
        f"TBLPROPERTIES ({_BOUND_METADATA}, 'write.distribution-mode' = 'none', "
        "'write.metadata.metrics.column._cdc_position' = 'full')"
    )
    keys = [f.col("k")[name].alias(name) for name in shape.key]
    position, now = f.col("position").alias("_cdc_position"), f.current_timestamp().alias("deleted_at")
    changes.where("deleted").select(*keys, position, now).writeTo(target.tombstones).append()


def merge_changes(
    session: SparkSession,
    target: TableTarget,
    shape: RowShape,
    changes: DataFrame,
    *,
    floors: DataFrame | None,
    truncate: str,
    bounds: KeyBounds | None,
    summary: Mapping[str, str],
) -> None:
    """Merge the changes into the staging branch; of the commits made the last one bears ``summary``."""
    source = changes if floors is None else changes.join(floors, "k", "left")
    floor = f.lit("") if floors is None else f.coalesce(f.col("floor"), f.lit(""))
    at = f.lit(datetime.now(UTC)).cast("timestamp")
    source.withColumn("floor", floor).withColumn("committed_at", at).createOrReplaceTempView("changes")
    if truncate:
        with snapshot_properties(session, part_of_batch(summary)):
            session.sql(truncate_sql(target.branch, truncate))
    with snapshot_properties(session, summary):
        layout = LAYOUTS[shape.engine]
        session.sql(merge_sql(target.branch, "changes", shape.key, list(shape.columns), layout, bounds))


def write_quarantine(
    session: SparkSession, target: TableTarget, pipeline: str, messages: DataFrame, problems: Sequence[Problem]
) -> None:
    """Write messages that cannot be used to the quarantine table, once each however often the batch is repeated."""
    places = [(p.partition, p.offset, p.reason) for p in problems]
    reasons = session.createDataFrame(places, "`partition` int, `offset` bigint, reason string")
    rows = messages.join(f.broadcast(reasons), ["partition", "offset"]).select(
        f.lit(pipeline).alias("pipeline"),
        "topic",
        "partition",
        "offset",
        "key",
        "value",
        "reason",
        f.current_timestamp().alias("quarantined_at"),
    )
    rows.createOrReplaceTempView("quarantined")
    session.sql(
        f"MERGE INTO {target.quarantine} t USING quarantined s ON t.topic = s.topic "
        "AND t.`partition` = s.`partition` AND t.`offset` = s.`offset` WHEN NOT MATCHED THEN INSERT *"
    )


def create_quarantine(session: SparkSession, name: str) -> None:
    """Create the quarantine table; ``name`` is quoted."""
    session.sql(
        f"CREATE TABLE IF NOT EXISTS {name} (pipeline string, topic string, `partition` int, `offset` bigint, "
        "key binary, value binary, reason string, quarantined_at timestamp) USING iceberg "
        f"TBLPROPERTIES ({_BOUND_METADATA})"
    )


def release_quarantined(session: SparkSession, name: str, topic: str, before: Mapping[int, int]) -> None:
    """Remove a topic's quarantined messages below these offsets: a load has read what they were about."""
    escaped = topic.replace("\\", "\\\\").replace("'", "\\'")
    below = " OR ".join(f"`partition` = {partition} AND `offset` < {offset}" for partition, offset in before.items())
    rows = f"topic = '{escaped}' AND ({below or 'false'})"
    if not session.table(name).where(rows).isEmpty():  # it nearly always is: planning takes seconds
        session.sql(f"DELETE FROM {name} WHERE {rows}")  # noqa: S608 - quoted names, escaped text


def blocked_keys(session: SparkSession, name: str, topics: Iterable[str]) -> dict[str, dict[bytes, tuple[int, int]]]:
    """Return per topic the raw keys that wait behind a quarantined message, with its (partition, offset)."""
    rows = session.table(name).where(f.col("topic").isin(*topics) & f.col("key").isNotNull())
    first = rows.groupBy("topic", "key").agg(f.min_by(f.struct("partition", "offset"), "offset").alias("at"))
    found: dict[str, dict[bytes, tuple[int, int]]] = {}
    for row in first.collect():
        found.setdefault(row.topic, {})[bytes(row.key)] = (row["at"]["partition"], row["at"]["offset"])
    return found


def _q(name: str) -> str:
    return quote(name, "`")
