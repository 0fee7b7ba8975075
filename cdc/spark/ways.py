"""The ways to stage a batch without Spark, and why a batch takes none of them."""

from collections.abc import Mapping

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark.sql import functions as f

from cdc.spark import staging
from cdc.spark.delta import delta
from cdc.spark.rewrite import rewrite
from cdc.spark.work import LARGE, Work

KEYS, BYTES = 500_000, 128 << 20
"""A batch that Spark has collapsed is brought to the driver up to so many keys, and bytes of its values."""

VALUE_BYTES = 8
"""What a value of a fixed width takes, about."""

MERGE = "merge: "


def write_tombstones(work: Work, *, wait: bool) -> Mapping[str, str]:
    """Remember the deleted keys, before the deletes themselves are published.

    Returns properties to publish with them: what may ``wait`` for that is in these alone.
    """
    share, stones = work.share, work.share.direct.tombstones
    kept = stones.keep(deleted(work.gathered), wait=wait) if stones and work.gathered is not None else None
    if kept is None and work.changes is not None:
        staging.write_tombstones(share.session, share.target, share.shape, work.changes())
    return kept or {}


def deleted(changes: pa.Table) -> pa.Table:
    """Return the keys that changes delete, in columns of their own, with ``_cdc_position``."""
    gone = changes.filter(changes["deleted"])
    keys = pa.Table.from_struct_array(gone["k"].combine_chunks())
    return keys.append_column("_cdc_position", gone["position"])


def staged(work: Work, truncate: str, summary: Mapping[str, str]) -> str:
    """Stage without Spark, and return in which way; where that cannot be done, ``merge:`` and why."""
    why = _rewritten(work, truncate, summary)
    if why is None:
        return "rewrite"
    other = _delta(work, truncate, summary)
    if other is None:
        return "delta"
    return MERGE + (other or why)


def _rewritten(work: Work, truncate: str, summary: Mapping[str, str]) -> str | None:
    """Stage as a whole table; returns why it could not be done."""
    small, shape = work.share.direct.small, work.share.shape
    if small is None:
        return "the catalog is written to by Spark alone"
    if work.gathered is None:
        return LARGE
    return rewrite(small, work.gathered, shape, truncate, summary, lambda: work.known_floors)


def _delta(work: Work, truncate: str, summary: Mapping[str, str]) -> str | None:
    """Stage as a row delta; returns why it could not be done, nothing where the table is not one for deltas."""
    table, shape = work.share.direct.indexed, work.share.shape
    if table is None or not shape.key:
        return ""
    if (why := table.why_not()) is not None:
        return why
    if truncate:
        return "a truncate"
    changes = work.gathered if work.gathered is not None else _gathered(work)
    if changes is None:
        return LARGE
    return delta(table, changes, shape, work.known_floors, summary)


def _gathered(work: Work) -> pa.Table | None:
    """Return the changes that Spark has collapsed, None if they are too many or too large for the driver."""
    shape = work.share.shape
    if work.changes is None or work.collapsed.keys > KEYS:
        return None
    size = VALUE_BYTES * work.collapsed.keys * len(shape.columns)
    texts = staging.row_bytes(shape)
    if texts is not None:
        size += work.changes().agg(f.sum(texts)).collect()[0][0] or 0
    return work.changes().toArrow() if size <= BYTES else None
