"""Large batches: collapsed by Spark."""

from dataclasses import replace

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as f

from cdc.core.batch import Collapsed
from cdc.core.collapse import unavailable
from cdc.spark import collapse
from cdc.spark.decode import RowShape
from cdc.spark.work import Share, Work, bounds_of, cached, free


def collapse_large(share: Share) -> Work:
    """Return the share of a micro-batch, collapsed; raises UnavailableValue."""
    keys = cached(collapse.newest(share.events, share.shape.key))
    try:
        row = keys.agg(*_statistics(share.shape)).collect()[0]
        plain = collapse.plain_changes(keys)
        work = Work(share, _counted(row), lambda: keys, lambda: plain, cached=[keys])
        if not row.entangled:
            return replace(work, bounds=bounds_of(share.shape, row.low, row.high))
        return _disentangled(work, keys, plain, moved=row.moved)
    except Exception:
        free([keys])
        raise


def _counted(row: Row) -> Collapsed:
    return Collapsed(
        events=row.events,
        keys=row.keys,
        deletes=row.deletes,
        problems=row.problems,
        truncates=row.truncates,
        snapshot_reads=row.snapshot_reads,
        first_position=row.first_position or "",
        last_position=row.last_position or "",
        last_delete=row.last_delete or "",
        newest_at_ms=row.newest_at_ms,
    )


def _disentangled(work: Work, keys: DataFrame, plain: DataFrame, *, moved: bool) -> Work:
    """Fold the keys whose newest event does not say it all; their rows in the table are read for it."""
    share, found = work.share, work.collapsed
    states = collapse.fold(
        keys, share.events, share.rows(), work.floors, share.shape, share.skip.doubtful
    ).localCheckpoint()
    if moved and (torn := collapse.torn(states, share.skip.given_up)):
        return replace(work, collapsed=replace(found, torn=torn), changes=None)
    folded = collapse.judge(states, share.missing)
    if folded.waiting:
        states = collapse.complete(states, share.shape)
        folded = collapse.judge(states, share.missing)
    if folded.unknown is not None and not share.skip.doubtful:
        raise unavailable(folded.unknown, share.target.table)
    changes = cached(collapse.union([plain, collapse.folded_changes(states, share.missing)]))
    collapsed = found.with_more(folded.keys, folded.deletes, folded.last_delete or "")
    return replace(work, collapsed=collapsed, changes=lambda: changes, cached=[keys, changes])


def _statistics(shape: RowShape) -> list[Column]:
    keyed = f.col("k").isNotNull() & f.col("last.position").isNotNull()
    plain = keyed & ~collapse.entangled()
    deleted = plain & (f.col("last.operation") == "d")
    first = f.col("k")[shape.key[0]] if shape.key else f.lit(None)
    totals = [f.coalesce(f.sum(n), f.lit(0)).alias(n) for n in ("events", "problems", "truncates", "snapshot_reads")]
    return [
        *totals,
        f.count_if(plain).alias("keys"),
        f.count_if(keyed & collapse.entangled()).alias("entangled"),
        f.coalesce(f.bool_or(keyed & f.col("moved")), f.lit(False)).alias("moved"),
        f.count_if(deleted).alias("deletes"),
        f.min("first_position").alias("first_position"),
        f.max("last.position").alias("last_position"),
        f.max(f.when(deleted, f.col("last.position"))).alias("last_delete"),
        f.unix_millis(f.max("newest_ts")).alias("newest_at_ms"),
        f.min(first).alias("low"),
        f.max(first).alias("high"),
    ]
