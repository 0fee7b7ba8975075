# ruff: noqa: S608 - identifiers are quoted by cdc.core.names, everything else is made here
"""The MERGE of collapsed changes into a table's branch, as SQL text.

A row is touched only by a change with a greater position; a deleted key only comes back by a change newer than its
tombstone (``floor``). Columns that the batch does not carry are left as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cdc.core.collapse import MOVED_IN
from cdc.core.names import quote
from cdc.core.positions import Layout


@dataclass(frozen=True)
class KeyBounds:
    """The least and greatest value of the first key column in a batch, as SQL literals; prunes the target's files."""

    column: str
    low: str
    high: str


def merge_sql(
    target: str, source: str, key: Iterable[str], columns: Iterable[str], layout: Layout, bounds: KeyBounds | None
) -> str:
    """Return the MERGE statement.

    ``target`` and ``source`` are quoted identifiers; ``source`` has the columns ``k, deleted, position, operation,
    source_ts, folded, committed_at, floor, v``.
    """
    keys = list(key)
    matching = [f"t.{_q(name)} = s.k.{_q(name)}" for name in keys]
    if bounds:
        matching.append(f"t.{_q(bounds.column)} BETWEEN {bounds.low} AND {bounds.high}")
    width = layout.order_width
    newer = f"left(s.position, {width}) > left(t._cdc_position, {width})"
    assigned = _assignments(columns, layout)
    updates = ", ".join(f"t.{_q(name)} = {value}" for name, value in assigned.items() if name not in keys)
    inserted = {**assigned, "_cdc_op": "s.operation"}
    return (
        f"MERGE INTO {target} t USING {source} s ON {' AND '.join(matching)} "
        f"WHEN MATCHED AND {newer} AND s.deleted THEN DELETE "
        f"WHEN MATCHED AND {newer} THEN UPDATE SET {updates} "
        f"WHEN NOT MATCHED AND NOT s.deleted AND left(s.position, {width}) > left(s.floor, {width}) "
        f"THEN INSERT ({', '.join(map(_q, inserted))}) VALUES ({', '.join(inserted.values())})"
    )


def truncate_sql(target: str, place: str) -> str:
    """Return the DELETE of everything below a truncate's place."""
    return f"DELETE FROM {target} WHERE _cdc_position < '{place}'"


def _assignments(columns: Iterable[str], layout: Layout) -> Mapping[str, str]:
    width = layout.transaction_width
    same_transaction = f"left(t._cdc_position, {width}) = left(s.position, {width})"
    # The row that moved onto an occupied key keeps its mark until the former row's delete has come; a fold has seen
    # whether it came in this batch.
    operation = (
        f"CASE WHEN NOT s.folded AND s.operation = 'u' AND t._cdc_op = '{MOVED_IN}' AND {same_transaction} "
        f"THEN '{MOVED_IN}' ELSE s.operation END"
    )
    return {
        **{name: f"s.v.{_q(name)}" for name in columns},
        "_cdc_position": "s.position",
        "_cdc_op": operation,
        "_cdc_source_ts": "s.source_ts",
        "_cdc_committed_at": "s.committed_at",
    }


def _q(name: str) -> str:
    return quote(name, "`")
