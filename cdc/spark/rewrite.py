"""Rewrite: a small table with the changes of a small batch in it, from Arrow to Arrow (docs/decisions/0022).

The rules are those of the MERGE (``cdc.spark.merge``), which is the other way to the same rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.core.collapse import MOVED_IN
from cdc.core.history import DELETED, INSERTED, UPDATED
from cdc.core.positions import LAYOUTS, Layout
from cdc.spark.decode import RowShape
from cdc.spark.gathered import keys_of


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
        return {INSERTED: str(self.inserted), UPDATED: str(self.updated), DELETED: str(self.deleted)}


def rewrite(
    table: SmallTable, changes: pa.Table, shape: RowShape, truncate: str, summary: Mapping[str, str]
) -> str | None:
    """Stage a batch; returns why it cannot be done in this way, None if it was. Raises as a commit does."""
    rows = table.rows()
    if isinstance(rows, str):
        return rows
    if differing := _differing(rows, changes, shape):
        return f"column {differing!r} has another type in Arrow"
    found = rewritten(rows, changes, shape, truncate, datetime.now(UTC))
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
    keys = set(keys_of(wanted["k"]))
    live = rows["_cdc_position"].to_pylist()
    numbers = [n for n, key in enumerate(_keys(rows, shape)) if key in keys and live[n] >= truncated]
    found = rows.take(_numbers(numbers)).combine_chunks()
    return pa.table(
        {
            "k": _struct(found, shape.key),
            "position": found["_cdc_position"],
            "operation": found["_cdc_op"],
            "v": _struct(found, shape.columns),
        }
    )


def rewritten(rows: pa.Table, changes: pa.Table, shape: RowShape, truncate: str, now: datetime) -> Rewritten | None:
    """Return the rows with the changes (``cdc.spark.collapse``) in them; None if rows share a key, or are not ours."""
    if rows["_cdc_position"].null_count:
        return None
    if truncate:
        rows = rows.filter(pc.greater_equal(rows["_cdc_position"], truncate))
    held = {key: number for number, key in enumerate(_keys(rows, shape))}
    if len(held) != rows.num_rows:
        return None
    plan = _planned(rows, changes, held, LAYOUTS[shape.engine])
    touched = [*plan.deleted, *(row for row, _ in plan.updated)]
    kept = rows.take(_numbers(sorted(set(range(rows.num_rows)).difference(touched)))) if touched else rows
    fresh = _Fresh(rows, changes, plan, LAYOUTS[shape.engine]).table(shape, now)
    whole = pa.concat_tables([kept, fresh]) if fresh.num_rows else kept
    return Rewritten(whole, len(plan.inserted), len(plan.updated), len(plan.deleted))


@dataclass(frozen=True)
class _Plan:
    """Numbers of rows that go, of rows with the change that they get, and of changes that are new rows."""

    deleted: Sequence[int]
    updated: Sequence[tuple[int, int]]
    inserted: Sequence[int]


def _planned(rows: pa.Table, changes: pa.Table, held: Mapping[object, int], layout: Layout) -> _Plan:
    width = layout.order_width
    there, news = rows["_cdc_position"].to_pylist(), changes["position"].to_pylist()
    goes = changes["deleted"].to_pylist()
    found = [(held.get(key), number) for number, key in enumerate(keys_of(changes["k"]))]
    newer = [(row, n) for row, n in found if row is not None and news[n][:width] > there[row][:width]]
    return _Plan(
        [row for row, number in newer if goes[number]],
        [(row, number) for row, number in newer if not goes[number]],
        [number for row, number in found if row is None and not goes[number]],
    )


@dataclass(frozen=True)
class _Fresh:
    """The rows that a batch writes: those that it updates, then those that it inserts."""

    before: pa.Table
    changes: pa.Table
    plan: _Plan
    layout: Layout

    def table(self, shape: RowShape, now: datetime) -> pa.Table:
        """Return them, with the columns of the table."""
        columns = [self._column(field, shape, now) for field in self.before.schema]
        return pa.Table.from_arrays(columns, schema=self.before.schema)

    @property
    def _sources(self) -> list[int]:
        return [number for _, number in self.plan.updated] + list(self.plan.inserted)

    def _column(self, field: pa.Field, shape: RowShape, now: datetime) -> pa.Array:
        match field.name:
            case "_cdc_position":
                return self.changes["position"].take(_numbers(self._sources)).cast(field.type)
            case "_cdc_source_ts":
                return self.changes["source_ts"].take(_numbers(self._sources)).cast(field.type)
            case "_cdc_committed_at":
                return pa.repeat(pa.scalar(now, field.type), len(self._sources))
            case "_cdc_op":
                return pa.array(self._operations(), field.type)
        if field.name in shape.key:
            return self._kept_keys(field)
        if field.name in shape.columns:
            return _value(self.changes, field.name).take(_numbers(self._sources)).cast(field.type)
        kept: list[int | None] = [row for row, _ in self.plan.updated]
        return self.before[field.name].take(_numbers([*kept, *[None] * len(self.plan.inserted)]))

    def _kept_keys(self, field: pa.Field) -> pa.Array:
        """Return key values: an update leaves the row's own, which may be another form of an equal one (-0.0)."""
        own = self.before[field.name].take(_numbers([row for row, _ in self.plan.updated])).combine_chunks()
        new = _value(self.changes, field.name).take(_numbers(self.plan.inserted)).cast(field.type)
        return pa.concat_arrays([own, new])

    def _operations(self) -> list[str]:
        told, folded = self.changes["operation"].to_pylist(), self.changes["folded"].to_pylist()
        marks = self.before["_cdc_op"].to_pylist()
        there, news = self.before["_cdc_position"].to_pylist(), self.changes["position"].to_pylist()
        width = self.layout.transaction_width

        def stays(row: int, n: int) -> bool:
            marked = not folded[n] and told[n] == "u" and marks[row] == MOVED_IN
            return marked and there[row][:width] == news[n][:width]

        updated = [MOVED_IN if stays(row, number) else told[number] for row, number in self.plan.updated]
        return updated + [told[number] for number in self.plan.inserted]


def _keys(rows: pa.Table, shape: RowShape) -> list[object]:
    return keys_of(pa.chunked_array([_struct(rows, shape.key)]))


def _struct(rows: pa.Table, names: Iterable[str]) -> pa.Array:
    parts = {name: rows[name].combine_chunks() for name in names}
    return pa.StructArray.from_arrays(list(parts.values()), names=list(parts))


def _value(changes: pa.Table, name: str) -> pa.Array:
    values = changes["v"].combine_chunks()
    return pc.struct_field(values, [values.type.get_field_index(name)])  # a name may look like a path


def _differing(rows: pa.Table, changes: pa.Table, shape: RowShape) -> str | None:
    """Return the first column whose values would have to be converted."""
    told = {field.name: field.type for field in changes.schema.field("v").type}
    return next((n for n in shape.columns if not _alike(told[n], rows.schema.field(n).type)), None)


def _alike(told: pa.DataType, kept: pa.DataType) -> bool:
    """Return whether two types hold the same values in the same form, the width of their offsets aside."""
    if pa.types.is_struct(told) and pa.types.is_struct(kept):
        names = [field.name for field in told], [field.name for field in kept]
        return names[0] == names[1] and all(_alike(a.type, b.type) for a, b in zip(told, kept, strict=True))
    if _is_list(told) and _is_list(kept):
        return _alike(told.value_type, kept.value_type)
    return bool(told == kept) or {told, kept} in ({pa.string(), pa.large_string()}, {pa.binary(), pa.large_binary()})


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _numbers(numbers: Sequence[int | None]) -> pa.Array:
    return pa.array(numbers, pa.int64())
