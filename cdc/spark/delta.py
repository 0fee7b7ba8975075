"""Row deltas: a batch of changes staged as new rows and deletes by position, without the rest of the table.

The rules are those of the MERGE (``cdc.spark.fresh``); where the rows are, the table tells (docs/decisions/0026).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.core.events import Key
from cdc.core.positions import LAYOUTS
from cdc.spark.decode import RowShape
from cdc.spark.fresh import Fresh, Known, differing_column, kept, planned
from cdc.spark.gathered import floors_for
from cdc.spark.rewrite import told

KEPT_BYTES = 256 << 20
"""Bytes of old values that a batch may need; a MERGE copies more of them in pieces."""


class IndexedTable(Protocol):
    """A table that knows where the rows of keys are."""

    def why_not(self) -> str | None:
        """Return why batches cannot be staged in this way, None if they can; empty for a table that is rewritten."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Return all columns, as Iceberg has them in Arrow."""
        ...

    def find(self, keys: pa.StructArray) -> pa.Table | str:
        """Return for each key its row's ``key, file, row, position, marked``, or why that is not known.

        All but ``key`` are null where no row has the key; ``position`` has those leading characters that order changes.
        """
        ...

    def read(self, places: pa.Table, names: Sequence[str], limit: int) -> pa.Table | None:
        """Return these columns of the rows at ``places``, in their order; None if they take more bytes than that."""
        ...

    def write(self, fresh: pa.Table, replaced: pa.Table, deleted: pa.Table, summary: Mapping[str, str]) -> str | None:
        """Commit new rows, and deletes of those at the places that are replaced or deleted, to the staging branch.

        Returns why it cannot be done, and has committed nothing then; None if it was. Raises as a commit does.
        """
        ...


def delta(
    table: IndexedTable,
    changes: pa.Table,
    shape: RowShape,
    floors: Mapping[Key, str] | None,
    summary: Mapping[str, str],
) -> str | None:
    """Stage a batch; returns why it cannot be done in this way, None if it was. Raises as a commit does.

    ``floors`` are positions of keys deleted before, where some may be.
    """
    found = table.find(changes["k"].combine_chunks())
    if isinstance(found, str):
        return found
    if differing := differing_column(table.schema, changes, shape):
        return f"column {differing!r} has another type in Arrow"
    layout = LAYOUTS[shape.engine]
    plan = planned(changes, found["position"], layout, floors_for(changes, floors))
    replaced = found.take(plan.updated)
    names = kept(table.schema, shape)
    before = table.read(replaced, names, KEPT_BYTES) if names else replaced.select([])
    if before is None:
        return "the columns that it does not carry are too large"
    known = Known(replaced["position"], replaced["marked"])
    fresh = Fresh(table.schema, changes, plan, before, known, layout).table(shape, datetime.now(UTC))
    return table.write(fresh, replaced, found.take(plan.deleted), {**summary, **plan.counts})


def rows_of(table: IndexedTable, shape: RowShape, wanted: pa.Table, truncated: str, limit: int) -> pa.Table | None:
    """Return those rows whose keys are ``wanted`` (``k``), as ``k, position, operation, v``; None if they are not had.

    Rows below ``truncated`` are none of them.
    """
    if table.why_not() is not None:
        return None
    found = table.find(wanted["k"].combine_chunks())
    if isinstance(found, str):
        return None
    names = list(dict.fromkeys([*shape.key, *shape.columns, "_cdc_position", "_cdc_op"]))
    rows = table.read(found.filter(found["file"].is_valid()), names, limit)
    return None if rows is None else told(rows.filter(pc.greater_equal(rows["_cdc_position"], truncated)), shape)
