"""Rewrite: a small table with the changes of a small batch in it, from Arrow to Arrow (docs/decisions/0022).

The rules are those of the MERGE (``cdc.spark.merge``), which is the other way to the same rows.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.core.collapse import MOVED_IN
from cdc.core.events import Key
from cdc.core.positions import LAYOUTS
from cdc.spark.by_key import codes_of_both
from cdc.spark.decode import RowShape
from cdc.spark.fresh import Fresh, Known, counted, differing_column, planned
from cdc.spark.gathered import floors_for


class SmallTable(Protocol):
    """A table that may be small enough to be written anew as a whole."""

    def rows(self) -> pa.Table | str:
        """Return the rows of ``main``, every column as Iceberg has it in Arrow, or why they are not to be rewritten."""
        ...

    def replace(self, rows: pa.Table, summary: Mapping[str, str]) -> str | None:
        """Commit these rows, in place of all that are there, to the staging branch; raises as a commit does.

        Returns why it cannot be done, and has committed nothing then; None if it was.
        """
        ...


class Rewritten(NamedTuple):
    """The rows after a batch, and how many it has inserted, updated and deleted."""

    rows: pa.Table
    inserted: int
    updated: int
    deleted: int

    @property
    def counts(self) -> dict[str, str]:
        """Return the counts as a MERGE has them in its summary."""
        return counted(self.inserted, self.updated, self.deleted)


def rewrite(
    table: SmallTable,
    changes: pa.Table,
    shape: RowShape,
    truncate: str,
    summary: Mapping[str, str],
    floors: Callable[[], Mapping[Key, str] | None] = lambda: None,
) -> str | None:
    """Stage a batch; returns why it cannot be done in this way, None if it was. Raises as a commit does.

    ``floors`` gives positions of keys deleted before, where some may be.
    """
    rows = table.rows()
    if isinstance(rows, str):
        return rows
    if differing := differing_column(rows.schema, changes, shape):
        return f"column {differing!r} has another type in Arrow"
    found = rewritten(rows, changes, shape, truncate, datetime.now(UTC), floors_for(changes, floors()))
    if found is None:
        return "a key is there more than once, or a row without a position"
    return table.replace(found.rows, {**summary, **found.counts})


def known_rows(table: SmallTable, shape: RowShape, wanted: pa.Table, truncated: str) -> pa.Table | None:
    """Return those rows whose keys are ``wanted`` (``k``), as ``k, position, operation, v``; None if it is not small.

    Rows below ``truncated`` are none of them.
    """
    rows = table.rows()
    if isinstance(rows, str) or rows["_cdc_position"].null_count:
        return None
    held, asked = codes_of_both(_struct(rows, shape.key), wanted["k"].combine_chunks())
    here = pc.and_(pc.greater_equal(rows["_cdc_position"], truncated), pa.array(np.isin(held, asked)))
    return told(rows.filter(here), shape)


def told(rows: pa.Table, shape: RowShape) -> pa.Table:
    """Return rows of the table as ``k, position, operation, v``."""
    found = rows.combine_chunks()
    return pa.table(
        {
            "k": _struct(found, shape.key),
            "position": found["_cdc_position"],
            "operation": found["_cdc_op"],
            "v": _struct(found, shape.columns),
        }
    )


def rewritten(
    rows: pa.Table, changes: pa.Table, shape: RowShape, truncate: str, now: datetime, floors: pa.Array | None = None
) -> Rewritten | None:
    """Return the rows with the changes (``cdc.spark.collapse``) in them; None if rows share a key, or are not ours.

    ``floors`` holds for each change the position of its key's last delete.
    """
    if rows["_cdc_position"].null_count:
        return None
    if truncate:
        rows = rows.filter(pc.greater_equal(rows["_cdc_position"], truncate))
    held, asked = codes_of_both(_struct(rows, shape.key), changes["k"].combine_chunks())
    if len(held) and held.max() < len(held) - 1:
        return None
    found = pa.array(asked, mask=asked >= len(held))  # keys that are all different are numbered as the rows are
    layout = LAYOUTS[shape.engine]
    plan = planned(changes, rows["_cdc_position"].take(found), layout, floors)
    before = rows.take(found.take(plan.updated))
    known = Known(before["_cdc_position"], pc.equal(before["_cdc_op"], MOVED_IN))
    fresh = Fresh(rows.schema, changes, plan, before, known, layout).table(shape, now)
    untouched = np.ones(len(held), bool)
    untouched[found.take(pa.concat_arrays([plan.deleted, plan.updated])).to_numpy()] = False
    kept = rows if untouched.all() else rows.filter(pa.array(untouched))
    whole = pa.concat_tables([kept, fresh]) if fresh.num_rows else kept
    return Rewritten(whole, len(plan.inserted), len(plan.updated), len(plan.deleted))


def _struct(rows: pa.Table, names: Iterable[str]) -> pa.Array:
    parts = {name: rows[name].combine_chunks() for name in names}
    return pa.StructArray.from_arrays(list(parts.values()), names=list(parts))
