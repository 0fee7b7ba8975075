"""Small batches: decoded by Spark, collapsed at the driver by the core itself (docs/decisions/0016)."""

from dataclasses import replace
from functools import partial

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from cdc.spark import staging
from cdc.spark.collapse import changes_ddl
from cdc.spark.decode import RowShape
from cdc.spark.delta import rows_of
from cdc.spark.gathered import Folded, GatheredEvents
from cdc.spark.microbatch import TopicSlice
from cdc.spark.rewrite import known_rows
from cdc.spark.work import Share, Work, bounds_of, cached, free

MESSAGES, VALUES, BYTES = 200_000, 4_000_000, 128 << 20
"""A batch is small up to so many messages, values in rows, and bytes of messages: some three seconds of work."""

ROW_BYTES = 64 << 20
"""So much of the table's rows is brought to the driver for it."""


def is_small(part: TopicSlice, shape: RowShape, most: int) -> bool:
    """Return whether a share of a micro-batch is collapsed at the driver, where ``most`` messages may be.

    One whose key is not known is not.
    """
    values = part.messages * len(shape.columns)
    return bool(shape.key) and part.messages <= min(MESSAGES, most) and values <= VALUES and part.bytes <= BYTES


def collapse_small(share: Share) -> Work | None:
    """Return the share of a micro-batch, collapsed; None if the rows that it needs are too large for the driver.

    Raises UnavailableValue.
    """
    events = GatheredEvents(share.gathered(), share.shape)
    keys = events.places()
    frame = partial(_frame, share, keys, f"k {share.shape.key_type}, partition int")
    work = Work(share, events.counted(), frame, None, places=keys)
    folded = _folded(work, events)
    return None if folded is None else _finished(work, events, folded)


def _folded(work: Work, events: GatheredEvents) -> Folded | None:
    """Fold the keys whose newest event does not say it all; their rows in the table are read for it."""
    share = work.share
    if not events.entangled:
        return Folded(events)
    small, indexed = share.direct.small, share.direct.indexed
    known = known_rows(small, share.shape, events.wanted(), share.truncated) if small else None
    if known is None and indexed:
        known = rows_of(indexed, share.shape, events.wanted(), share.truncated, ROW_BYTES)
    if known is None:
        wanted = f.broadcast(_frame(share, events.wanted(), f"k {share.shape.key_type}"))
        known = _gathered(share.rows().join(wanted, "k", "left_semi"), share.shape)
    return None if known is None else events.fold(known, work.known_floors or {}, share.skip.doubtful)


def _gathered(rows: DataFrame, shape: RowShape) -> pa.Table | None:
    """Return the rows, or None if they are too large; a value left out of an event may be one of many megabytes."""
    size = staging.row_bytes(shape)
    if size is None:
        return rows.toArrow()
    kept = cached(rows)
    try:
        total = kept.agg(f.sum(size)).collect()[0][0] or 0
        return kept.toArrow() if total <= ROW_BYTES else None
    finally:
        free([kept])


def _finished(work: Work, events: GatheredEvents, folded: Folded) -> Work:
    share = work.share
    if torn := folded.torn(share.skip.given_up):
        return replace(work, collapsed=replace(work.collapsed, torn=torn))
    folded = folded.completed(share.missing, share.target.table, lenient=bool(share.skip.doubtful))
    changes = folded.changes()
    return replace(
        work,
        collapsed=folded.added_to(work.collapsed),
        changes=lambda: _frame(share, changes, changes_ddl(share.shape)),
        gathered=changes,
        bounds=bounds_of(share.shape, *events.first_key_column()),
    )


def _frame(share: Share, table: pa.Table, schema: str) -> DataFrame:
    return share.session.createDataFrame(table, schema)
