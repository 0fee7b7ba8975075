"""Avro messages to change events at the driver: what ``cdc.spark.decode`` makes of them, for a few and without a job.

Only what is in order is decoded here: every message of the share can be used, and its columns are plain. Everything
else is Spark's to decode and to judge.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import fastavro
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.arrow import plain_type
from cdc.core.batch import Skip
from cdc.core.positions import LAYOUTS, Position
from cdc.core.types import EventField, unfit_text
from cdc.spark.arrow_values import Convert, Refused, arrow_type, converter, times
from cdc.spark.convert import is_converted, plain_placeholder
from cdc.spark.decode import NEW_KEY, OLD_KEY, Epochs, RowShape, key_fields
from cdc.spark.envelope import Writer
from cdc.spark.microbatch import SchemaPair

REMEMBERED = 300
"""Kinds of messages whose schemas are kept parsed, those used last."""

AT_ONCE = 5_000
"""Messages whose records are in memory at a time: as Python has them, they take ten times as much as in Arrow."""

_FRAME = 5
_QUOTED_PAIR = 5
_JSON_TYPES = {"int": int, "long": int, "string": str}


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
    places = zip(messages["partition"].to_pylist(), messages["offset"].to_pylist(), strict=True)
    there = messages["value"].is_valid().to_pylist()
    next_offsets, held = {p: state.next_offset for p, state in skip.progress.partitions.items()}, skip.held
    keep = [
        t and offset >= next_offsets.get(p, 0) and not (p in held and offset >= held[p])
        for (p, offset), t in zip(places, there, strict=True)
    ]
    return messages if all(keep) else messages.filter(pa.array(keep, pa.bool_()))


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
    starts = range(0, max(messages.num_rows, 1), AT_ONCE)
    return pa.concat_tables([decoder.events(messages.slice(start, AT_ONCE), epochs) for start in starts])


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
            fastavro.parse_schema(_physical(json.loads(writer.key_schema))),
            fastavro.parse_schema(_physical(json.loads(writer.value_schema))),
            [(_Field.of(keys[name], types[name], placeholder), keys[name].physical) for name in key],
            [_Field.of(rows[name], kind, placeholder) for name, kind in columns if name in rows],
            [name for name in types if name not in rows],
            pa.struct([(name, arrow_type(types[name])) for name in key]),
            pa.struct([(name, arrow_type(kind)) for name, kind in columns]),
        )
    except Refused as refused:
        return str(refused)


def _physical(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema without logical types: values are converted by what Debezium calls them."""
    if isinstance(schema, list):
        return [_physical(part) for part in schema]
    if isinstance(schema, dict):
        return {name: _physical(part) for name, part in schema.items() if name != "logicalType"}
    return schema


@dataclass(frozen=True)
class _Decoder:
    """Decodes the messages of one writer for one shape of rows; raises for whatever is out of the ordinary."""

    engine: str
    key_schema: Any
    value_schema: Any
    key: Sequence[tuple[_Field, str]]
    fields: Sequence[_Field]
    missing: Sequence[str]
    key_type: pa.StructType
    row_type: pa.StructType

    def events(self, messages: pa.Table, epochs: Epochs) -> pa.Table:
        """Return the events of messages that all have a key and a value."""
        envelopes = [_read(value, self.value_schema) for value in messages["value"].to_pylist()]
        keys = [_read(key, self.key_schema) for key in messages["key"].to_pylist()]
        operations = [envelope["op"] for envelope in envelopes]
        rows = [envelope["after"] for envelope in envelopes]
        if not set(operations) <= {"c", "r", "u", "d"}:
            raise Refused("a truncate, or an operation that is not known")
        if any((row is None) != (operation == "d") for row, operation in zip(rows, operations, strict=True)):
            raise Refused("a row that is not there, or there after a delete")
        sources = [envelope["source"] for envelope in envelopes]
        values, unavailable = self._values(rows)
        moved, old, new = self._moves(messages["headers"])
        places = zip(messages["partition"].to_pylist(), messages["offset"].to_pylist(), strict=True)
        positions = [
            self._position(source, operation, p, offset, epochs)
            for source, operation, (p, offset) in zip(sources, operations, places, strict=True)
        ]
        micros = pa.array(times((source["ts_ms"] for source in sources), 1000), pa.int64())
        return pa.table(
            {
                "partition": messages["partition"],
                "offset": messages["offset"],
                "problem": pa.nulls(len(rows), pa.string()),
                "operation": pa.array(operations, pa.string()),
                "snapshot_read": pa.array(map(_snapshot_read, operations, sources), pa.bool_()),
                "position": pa.array(positions, pa.string()),
                "source_ts": micros.cast(plain_type("timestamptz")),
                "moved": pa.array(moved, pa.bool_()),
                "old_key": old,
                "new_key": new,
                "unavailable": unavailable,
                "k": self._keys(keys),
                "v": values,
            }
        )

    def _values(self, rows: Sequence[dict[str, Any] | None]) -> tuple[pa.StructArray, pa.ListArray]:
        found: dict[str, pa.Array] = {}
        lacking: list[list[str] | None] = [None] * len(rows)
        for x in self.fields:
            values = [None if row is None else row[x.event_name] for row in rows]
            if x.unfit is not None and x.unfit in values:
                raise Refused("a value that events cannot carry")
            if x.placeholder is not None and x.placeholder in values:
                values = self._known(x, values, lacking)
            found[x.name] = x.convert(values)
        empty = pa.array([row is None for row in rows], pa.bool_())
        children = [found.get(x.name) for x in self.row_type]
        arrays = [pa.nulls(len(rows), x.type) if c is None else c for c, x in zip(children, self.row_type, strict=True)]
        names = [
            [] if row is None else [*(left_out or ()), *self.missing]
            for row, left_out in zip(rows, lacking, strict=True)
        ]
        whole = pa.StructArray.from_arrays(arrays, fields=list(self.row_type), mask=empty)
        return whole, pa.array(names, pa.list_(pa.string()))

    def _known(self, x: _Field, values: list[Any], lacking: list[list[str] | None]) -> list[Any]:
        """Return the values without those that were left out, whose column's name is noted."""
        is_key = any(x.name == part.name for part, _ in self.key)
        for number, value in enumerate(values):
            if value == x.placeholder and not is_key:
                lacking[number] = [*(lacking[number] or ()), x.name]
        return [None if value == x.placeholder else value for value in values]

    def _keys(self, keys: Iterable[dict[str, Any] | None]) -> pa.StructArray:
        """Return keys as structs; a part that is null is Spark's to judge."""
        listed = list(keys)
        parts = [x.convert([None if key is None else key[x.event_name] for key in listed]) for x, _ in self.key]
        mask = pa.array([key is None for key in listed], pa.bool_())
        if any(part.null_count > sum(key is None for key in listed) for part in parts):
            raise Refused("a key that is null")
        return pa.StructArray.from_arrays(parts, fields=list(self.key_type), mask=mask)

    def _moves(self, headers: pa.ChunkedArray) -> tuple[list[bool], pa.Array, pa.Array]:
        none = pa.nulls(len(headers), self.key_type)
        if not LAYOUTS[self.engine].deferred_keys or headers.null_count == len(headers):
            return [False] * len(headers), none, none
        named = [{h["key"]: h["value"] for h in reversed(of_one or ())} for of_one in headers.to_pylist()]
        moved = [OLD_KEY in one or NEW_KEY in one for one in named]
        if not any(moved):
            return moved, none, none
        return moved, *[self._keys(self._told(one.get(header)) for one in named) for header in (OLD_KEY, NEW_KEY)]

    def _told(self, header: bytes | None) -> dict[str, Any] | None:
        """Return the key in a header, JSON of the values as they are in messages."""
        if header is None:
            return None
        key: dict[str, Any] = json.loads(header)
        for x, physical in self.key:
            if type(key[x.event_name]) is not _JSON_TYPES.get(physical):
                raise Refused("a key in a header in another form")
        return key

    def _position(self, source: Mapping[str, Any], operation: str, partition: int, offset: int, epochs: Epochs) -> str:
        epoch = max((pair for pair in epochs.get(partition, ()) if pair[0] <= offset), default=(0, 0))[1]
        change = 0 if operation == "r" else 1
        return Position(epoch, _components(self.engine, source, change), offset).text(LAYOUTS[self.engine])


def _components(engine: str, source: Mapping[str, Any], change: int) -> tuple[int, int, int]:
    match engine:
        case "postgres":
            parts = source["sequence"].split('"')  # ["1234","5678"], or [null,"5678"]
            committed, lsn = (parts[1], parts[3]) if len(parts) == _QUOTED_PAIR else json.loads(source["sequence"])
            return int(committed or 0), change, int(lsn)
        case "mysql":
            return int(source["file"].rpartition(".")[2]), source["pos"], change
        case _:
            return int(source["commit_scn"] or source["scn"]), change, source["txSeq"] or 0


def _read(message: bytes | None, schema: Any) -> dict[str, Any]:  # noqa: ANN401 - a parsed schema
    if message is None:
        raise Refused("a message without a key")
    found: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(message[_FRAME:]), schema, None)  # type: ignore[assignment]
    return found


def _snapshot_read(operation: str, source: Mapping[str, Any]) -> bool:
    return operation == "r" and source["snapshot"] not in (None, "incremental")
