"""What a batch does to rows, on Arrow: which rows go, which are new, and what is in them.

The rules are those of the MERGE (``cdc.spark.merge``): a row is touched only by a change with a greater position, a
deleted key comes back only by a change newer than its tombstone, columns that the batch does not carry stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.core.collapse import MOVED_IN
from cdc.core.history import DELETED, INSERTED, UPDATED
from cdc.core.positions import Layout
from cdc.spark.decode import RowShape


@dataclass(frozen=True)
class Plan:
    """Numbers of changes: those that delete a row, those that update one, and those that insert one."""

    deleted: pa.Array
    updated: pa.Array
    inserted: pa.Array

    @property
    def counts(self) -> dict[str, str]:
        """Return how many there are, as a MERGE has it in its summary."""
        return counted(len(self.inserted), len(self.updated), len(self.deleted))


def counted(inserted: int, updated: int, deleted: int) -> dict[str, str]:
    """Return counts of rows as a MERGE has them in its summary."""
    return {INSERTED: str(inserted), UPDATED: str(updated), DELETED: str(deleted)}


def planned(changes: pa.Table, there: pa.ChunkedArray, layout: Layout, floors: pa.Array | None = None) -> Plan:
    """Return what the changes (``cdc.spark.collapse``) do.

    ``there`` holds for each the position of the row that has its key, ``floors`` that of the key's last delete, both
    null where there is none.
    """
    order, goes = _order(changes["position"], layout), changes["deleted"]
    absent = pc.is_null(there)
    newer = pc.fill_null(pc.greater(order, _order(there, layout)), fill_value=False)
    new = pc.and_not(absent, goes)
    if floors is not None:
        new = pc.and_(new, pc.fill_null(pc.greater(order, _order(floors, layout)), fill_value=True))
    return Plan(*[_numbers_where(chosen) for chosen in (pc.and_(newer, goes), pc.and_not(newer, goes), new)])


@dataclass(frozen=True)
class Known:
    """What is known of the rows that a plan updates: their positions, and whether they have moved onto their key."""

    position: pa.ChunkedArray
    moved_in: pa.ChunkedArray


@dataclass(frozen=True)
class Fresh:
    """The rows that a batch writes: those that it updates, then those that it inserts.

    ``before`` are the rows from before its updates, in their order, with at least the columns that ``kept`` names.
    """

    schema: pa.Schema
    changes: pa.Table
    plan: Plan
    before: pa.Table
    known: Known
    layout: Layout

    def table(self, shape: RowShape, now: datetime) -> pa.Table:
        """Return them, with the columns of the table."""
        columns = [self._column(field, shape, now) for field in self.schema]
        return pa.Table.from_arrays(columns, schema=self.schema)

    @property
    def _sources(self) -> pa.Array:
        return pa.concat_arrays([self.plan.updated, self.plan.inserted])

    def _column(self, field: pa.Field, shape: RowShape, now: datetime) -> pa.Array:
        match field.name:
            case "_cdc_position":
                return self.changes["position"].take(self._sources).cast(field.type)
            case "_cdc_source_ts":
                return self.changes["source_ts"].take(self._sources).cast(field.type)
            case "_cdc_committed_at":
                return pa.repeat(pa.scalar(now, field.type), len(self._sources))
            case "_cdc_op":
                return self._operations().cast(field.type)
        if field.name in self.before.column_names and (field.name in shape.key or field.name not in shape.columns):
            return self._before(field, shape)
        return _value(self.changes, field.name).take(self._sources).cast(field.type)

    def _before(self, field: pa.Field, shape: RowShape) -> pa.ChunkedArray:
        """Return values that an update leaves, keys too: the row's may be another form of an equal one (-0.0)."""
        own = self.before[field.name].chunks
        if field.name in shape.key:
            new = _value(self.changes, field.name).take(self.plan.inserted).cast(field.type)
        else:
            new = pa.nulls(len(self.plan.inserted), field.type)
        return pa.chunked_array([*own, new], field.type)

    def _operations(self) -> pa.ChunkedArray:
        """Return marks: a marked row keeps its own while its transaction goes on, unless a fold has seen the end."""
        updated, width = self.changes.take(self.plan.updated), self.layout.transaction_width
        same = pc.equal(_first(updated["position"], width), _first(self.known.position, width))
        plain = pc.and_not(pc.equal(updated["operation"], "u"), updated["folded"])
        stays = pc.and_(pc.and_(plain, self.known.moved_in), same)
        told = updated["operation"].combine_chunks()
        kept = pc.if_else(pc.fill_null(stays, fill_value=False), pa.scalar(MOVED_IN, told.type), told)
        new = self.changes["operation"].take(self.plan.inserted)
        return pa.chunked_array([*_chunks(kept), *new.chunks], told.type)


def kept(schema: pa.Schema, shape: RowShape) -> list[str]:
    """Return the columns whose values an update takes from the row before it.

    Those are columns that the batch does not carry, and keys with several forms of one value.
    """
    return [
        field.name
        for field in schema
        if not field.name.startswith("_cdc_")
        and (field.name not in shape.columns or (field.name in shape.key and pa.types.is_floating(field.type)))
    ]


def differing_column(schema: pa.Schema, changes: pa.Table, shape: RowShape) -> str | None:
    """Return the first column whose values would have to be converted."""
    told = {field.name: field.type for field in changes.schema.field("v").type}
    return next((n for n in shape.columns if not _alike(told[n], schema.field(n).type)), None)


def _value(changes: pa.Table, name: str) -> pa.Array:
    values = changes["v"].combine_chunks()
    return pc.struct_field(values, [values.type.get_field_index(name)])  # a name may look like a path


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


def _order(positions: pa.ChunkedArray, layout: Layout) -> pa.ChunkedArray:
    return _first(positions, layout.order_width)


def _first(texts: pa.ChunkedArray, characters: int) -> pa.ChunkedArray:
    return pc.utf8_slice_codeunits(texts.cast(pa.large_string()), 0, characters)


def _chunks(values: pa.Array | pa.ChunkedArray) -> Sequence[pa.Array]:
    found: Sequence[pa.Array] = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    return found


def _numbers_where(chosen: pa.ChunkedArray) -> pa.Array:
    whole = chosen.combine_chunks() if isinstance(chosen, pa.ChunkedArray) else chosen
    return pc.indices_nonzero(whole).cast(pa.int64())
