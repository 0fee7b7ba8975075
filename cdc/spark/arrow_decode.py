"""Avro messages to change events at the driver: what ``cdc.spark.decode`` makes of them, for a few and without a job.

Only what is in order is decoded here: every message of the share can be used, and its columns are plain. Everything
else is Spark's to decode and to judge.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.arrow import plain_type
from cdc.core.batch import Skip
from cdc.core.positions import LAYOUTS
from cdc.core.types import EventField, unfit_text
from cdc.cores import cut, on_cores
from cdc.lazy import lazy
from cdc.spark.arrow_positions import components_of, epochs_of, position_texts
from cdc.spark.arrow_values import Convert, Refused, arrow_type, converter
from cdc.spark.avro_batch import container, read_all
from cdc.spark.convert import is_converted, plain_placeholder
from cdc.spark.decode import NEW_KEY, OLD_KEY, Epochs, RowShape, key_fields
from cdc.spark.envelope import Writer
from cdc.spark.microbatch import SchemaPair

REMEMBERED = 300
"""Kinds of messages whose schemas are kept parsed, those used last."""

AT_ONCE = 25_000
"""Messages that are decoded in one go."""

_JSON_TYPES = {"int": int, "long": int, "string": str}
_PHYSICAL = {"int": pa.int32(), "long": pa.int64(), "string": pa.string()}
_OPERATIONS = pa.array(["c", "r", "u", "d"])


def decode_here(
    messages: pa.Table,
    writers: Mapping[SchemaPair, Writer | str],
    shape: RowShape,
    skip: Skip,
    epochs: Epochs,
    truncated: str,
) -> pa.Table | str:
    """Return the change events of gathered messages, in the columns of ``cdc.spark.decode``, or why Spark decodes them.

    ``messages`` are those of a ``TopicSlice``.
    """
    try:
        wanted = _wanted(messages, skip)
        parts = [_decoded(_of_pair(wanted, pair, writers), writer, shape, epochs) for pair, writer in writers.items()]
        events = pa.concat_tables(parts)
    except Refused as refused:
        return str(refused)
    except Exception as error:  # noqa: BLE001 - whatever it is, Spark finds out which message it is about
        return type(error).__name__
    if not truncated:
        return events
    places = pc.utf8_slice_codeunits(events["position"], 0, LAYOUTS[shape.engine].place_width)
    return events.filter(pc.greater(places, truncated))


def _wanted(messages: pa.Table, skip: Skip) -> pa.Table:
    """Return the messages that the table does not have yet and that are not held back."""
    if skip.blocked and any(key in skip.blocked for key in messages["key"].to_pylist()):
        raise Refused("a message that may wait behind a quarantined one")
    partitions, offsets = (messages[name].to_numpy() for name in ("partition", "offset"))
    keep = messages["value"].is_valid().to_numpy()
    for p, state in skip.progress.partitions.items():
        keep = keep & ((partitions != p) | (offsets >= state.next_offset))
    for p, first in skip.held.items():
        keep = keep & ((partitions != p) | (offsets < first))
    return messages if keep.all() else messages.filter(pa.array(keep))


def _of_pair(messages: pa.Table, pair: SchemaPair, writers: Mapping[SchemaPair, Writer | str]) -> pa.Table:
    if len(writers) == 1:
        return messages
    key = pc.equal(pc.fill_null(messages["key_mark"], b""), pair.key_mark)
    return messages.filter(pc.and_(key, pc.equal(messages["value_mark"], pair.value_mark)))


def _decoded(messages: pa.Table, writer: Writer | str, shape: RowShape, epochs: Epochs) -> pa.Table:
    if isinstance(writer, str) or not writer.value_schema or not writer.key_schema:
        raise Refused("messages without a schema")
    decoder = _decoder(writer, shape.engine, shape.key, tuple(shape.columns.items()), shape.placeholder)
    if isinstance(decoder, str):
        raise Refused(decoder)
    parts = [messages[part] for part in cut(messages.num_rows, AT_ONCE)]
    return pa.concat_tables([decoder.nothing, *on_cores(lambda part: decoder.events(part, epochs), parts)])


class _Field(NamedTuple):
    """A column, how its values are converted, and what stands for a value that is unchanged, or not to be carried."""

    name: str
    event_name: str
    convert: Convert
    placeholder: str | bytes | None
    unfit: str | None

    @classmethod
    def of(cls, field: EventField, column_type: str, placeholder: str) -> "_Field":
        stand_in = plain_placeholder(field, placeholder)
        unfit = unfit_text(placeholder) if is_converted(field) else None
        return cls(field.name, field.event_name, converter(field, column_type), stand_in, unfit)


@lru_cache(REMEMBERED)
def _decoder(
    writer: Writer, engine: str, key: tuple[str, ...], columns: tuple[tuple[str, str], ...], placeholder: str
) -> "_Decoder | str":
    """Return what decodes messages of a writer, or why Spark does."""
    types, rows = dict(columns), {x.name: x for x in writer.row.fields}
    keys = key_fields(writer)
    try:
        return _Decoder(
            engine,
            container(writer.key_schema),
            container(writer.value_schema),
            [(_Field.of(keys[name], types[name], placeholder), keys[name].physical) for name in key],
            [_Field.of(rows[name], kind, placeholder) for name, kind in columns if name in rows],
            [name for name in types if name not in rows],
            pa.struct([(name, arrow_type(types[name])) for name in key]),
            pa.struct([(name, arrow_type(kind)) for name, kind in columns]),
        )
    except Refused as refused:
        return str(refused)


@dataclass(frozen=True)
class _Decoder:
    """Decodes the messages of one writer for one shape of rows; raises for whatever is out of the ordinary.

    ``key_head`` and ``value_head`` are heads of container files.
    """

    engine: str
    key_head: bytes
    value_head: bytes
    key: Sequence[tuple[_Field, str]]
    fields: Sequence[_Field]
    missing: Sequence[str]
    key_type: pa.StructType
    row_type: pa.StructType

    @lazy
    def nothing(self) -> pa.Table:
        """Return no events, in their columns."""
        columns: dict[str, pa.DataType] = {
            "partition": pa.int32(),
            "offset": pa.int64(),
            "problem": pa.string(),
            "operation": pa.string(),
            "snapshot_read": pa.bool_(),
            "position": pa.string(),
            "source_ts": plain_type("timestamptz"),
            "moved": pa.bool_(),
            "old_key": self.key_type,
            "new_key": self.key_type,
            "unavailable": pa.list_(pa.string()),
            "k": self.key_type,
            "v": self.row_type,
        }
        return pa.schema(list(columns.items())).empty_table()

    def events(self, messages: pa.Table, epochs: Epochs) -> pa.Table:
        """Return the events of messages that all have a key and a value."""
        envelope, keys = read_all(messages["value"], self.value_head), read_all(messages["key"], self.key_head)
        operations, rows, source = envelope["op"].cast(pa.string()), envelope["after"], envelope["source"]
        if not pc.all(pc.is_in(operations, _OPERATIONS)).as_py():
            raise Refused("a truncate, or an operation that is not known")
        if not pc.all(pc.equal(pc.is_null(rows), pc.equal(operations, "d"))).as_py():
            raise Refused("a row that is not there, or there after a delete")
        values, unavailable = self._values(rows)
        moved, old, new = self._moves(messages["headers"])
        partitions, offsets = (messages[name].to_numpy().astype(np.int64) for name in ("partition", "offset"))
        components = components_of(self.engine, source, operations)
        micros = pc.multiply_checked(pc.struct_field(source, "ts_ms"), pa.scalar(1000, pa.int64()))
        snapshot = pc.fill_null(pc.struct_field(source, "snapshot"), "incremental")
        columns = {
            "partition": messages["partition"],
            "offset": messages["offset"],
            "problem": pa.nulls(len(rows), pa.string()),
            "operation": operations,
            "snapshot_read": pc.and_(pc.equal(operations, "r"), pc.not_equal(snapshot, "incremental")),
            "position": position_texts(
                LAYOUTS[self.engine], epochs_of(partitions, offsets, epochs), components, offsets
            ),
            "source_ts": micros.cast(plain_type("timestamptz")),
            "moved": moved,
            "old_key": old,
            "new_key": new,
            "unavailable": unavailable,
            "k": self._keys(keys, None),
            "v": values,
        }
        return pa.table(columns, schema=self.nothing.schema)

    def _values(self, rows: pa.StructArray) -> tuple[pa.StructArray, pa.ListArray]:
        told = dict(zip([field.name for field in rows.type], rows.flatten(), strict=True))
        found: dict[str, pa.Array] = {}
        lacking: dict[str, pa.Array] = {}
        for x in self.fields:
            values = told[x.event_name]
            if x.unfit is not None and _holds(values, x.unfit):
                raise Refused("a value that events cannot carry")
            if x.placeholder is not None and _holds(values, x.placeholder):
                left_out = pc.fill_null(_equal(values, x.placeholder), fill_value=False)
                values = pc.if_else(left_out, pa.scalar(None, values.type), values)
                if all(x.name != part.name for part, _ in self.key):
                    lacking[x.name] = left_out
            found[x.name] = x.convert(values)
        children = [found.get(x.name) for x in self.row_type]
        arrays = [pa.nulls(len(rows), x.type) if c is None else c for c, x in zip(children, self.row_type, strict=True)]
        whole = pa.StructArray.from_arrays(arrays, fields=list(self.row_type), mask=pc.is_null(rows))
        return whole, self._unavailable(rows, lacking)

    def _unavailable(self, rows: pa.StructArray, lacking: Mapping[str, pa.Array]) -> pa.ListArray:
        """Return for each row the names of columns whose values it does not have."""
        there = rows.is_valid().to_numpy(zero_copy_only=False)
        if not lacking and not self.missing:
            empty = pa.array(np.zeros(len(rows) + 1, np.int32))
            return pa.ListArray.from_arrays(empty, pa.array([], pa.string()))
        masks = [there & mask.to_numpy(zero_copy_only=False) for mask in lacking.values()]
        whole = np.column_stack([*masks, *([there] * len(self.missing))])
        names = np.array([*lacking, *self.missing], object)[np.nonzero(whole)[1]]
        ends = np.concatenate([[0], np.cumsum(whole.sum(axis=1))]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), pa.array(names.tolist(), pa.string()))

    def _keys(self, keys: Mapping[str, pa.Array], absent: pa.Array | None) -> pa.StructArray:
        """Return keys as structs, null where they are ``absent``; a part that is null is Spark's to judge."""
        parts = [x.convert(keys[x.event_name]) for x, _ in self.key]
        nulls = 0 if absent is None else pc.sum(absent).as_py() or 0
        if any(part.null_count > nulls for part in parts):
            raise Refused("a key that is null")
        return pa.StructArray.from_arrays(parts, fields=list(self.key_type), mask=absent)

    def _moves(self, headers: pa.ChunkedArray) -> tuple[pa.Array, pa.Array, pa.Array]:
        none = pa.nulls(len(headers), self.key_type)
        still = pa.array(np.zeros(len(headers), bool))
        if not LAYOUTS[self.engine].deferred_keys or headers.null_count == len(headers):
            return still, none, none
        named = [{h["key"]: h["value"] for h in reversed(of_one or ())} for of_one in headers.to_pylist()]
        moved = [OLD_KEY in one or NEW_KEY in one for one in named]
        if not any(moved):
            return still, none, none
        old, new = (self._told([one.get(header) for one in named]) for header in (OLD_KEY, NEW_KEY))
        return pa.array(moved, pa.bool_()), old, new

    def _told(self, headers: Sequence[bytes | None]) -> pa.StructArray:
        """Return the keys in headers, JSON of the values as they are in messages."""
        keys = [None if header is None else json.loads(header) for header in headers]
        for x, physical in self.key:
            if any(key is not None and type(key[x.event_name]) is not _JSON_TYPES.get(physical) for key in keys):
                raise Refused("a key in a header in another form")
        parts = {
            x.event_name: pa.array(
                [None if key is None else key[x.event_name] for key in keys], _PHYSICAL.get(physical)
            )
            for x, physical in self.key
        }
        return self._keys(parts, pa.array([key is None for key in keys], pa.bool_()))


def _holds(values: pa.Array, stand_in: str | bytes) -> bool:
    return bool(pc.any(_equal(values, stand_in)).as_py())


def _equal(values: pa.Array, stand_in: str | bytes) -> pa.Array:
    return pc.equal(values, pa.scalar(stand_in, values.type))
