"""Many Avro messages of one schema decoded at once: a container file is laid around them, and polars reads it to Arrow.

Messages stand in their buffer as they came, each behind the five bytes that name its schema. So the file's schema has
these in front, and no byte is moved. They are compared afterwards: were a message longer or shorter than its schema
says, those behind it would not begin where they should.
"""

import io
import json
from itertools import count
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from fastavro import writer
from fastavro.schema import expand_schema

from cdc.spark.arrow_values import Refused
from cdc.spark.marks import FRAME

_MARK = "frame"
_SYNC = b"behind a block, "
_PLAIN = {"boolean", "int", "long", "float", "double", "bytes", "string"}


def container(schema: str) -> bytes:
    """Return the head of a container file of framed messages; raises Refused for a schema that is not read here."""
    record = _plain(expand_schema(json.loads(schema)), count())
    if not isinstance(record, dict) or any(field["name"] == _MARK for field in record["fields"]):
        raise Refused("messages that are no records of their own")
    frame = {"name": _MARK, "type": {"type": "fixed", "name": "Frame", "size": FRAME}}
    head = io.BytesIO()
    writer(head, {**record, "fields": [frame, *record["fields"]]}, [], sync_marker=_SYNC)
    return head.getvalue()


def _plain(schema: Any, numbers: "count[int]") -> Any:  # noqa: ANN401 - JSON
    """Return a schema of nothing but records and types that are read exactly; every record has a name of its own."""
    if isinstance(schema, list):
        if len(schema) > 2 or "null" not in schema:
            raise Refused("a union of several types")
        return ["null" if part == "null" else _plain(part, numbers) for part in schema]
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, dict | list):
        return _plain(kind, numbers)
    if kind == "record":
        name = f"r{next(numbers)}"
        fields = [{"name": field["name"], "type": _plain(field["type"], numbers)} for field in schema["fields"]]
        return {"type": "record", "name": name, "fields": fields}
    if kind == "array":
        return {"type": "array", "items": _plain(schema["items"], numbers)}
    if kind == "map":  # its entries follow each other as the items of an array do
        return _plain({"type": "array", "items": {"type": "record", "fields": _entry(schema["values"])}}, numbers)
    if kind not in _PLAIN:
        raise Refused(f"Avro's {kind}")
    return kind


def _entry(values: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    return [{"name": "key", "type": "string"}, {"name": "value", "type": values}]


def _long(number: int) -> bytes:
    """Return a number as Avro writes it."""
    found, rest = bytearray(), number << 1
    while rest > 0x7F:
        found.append((rest & 0x7F) | 0x80)
        rest >>= 7
    return bytes([*found, rest])


def read_all(messages: pa.ChunkedArray, head: bytes) -> dict[str, pa.Array]:
    """Return the fields of messages that are all there, each as one array; raises Refused, or whatever polars does."""
    values = messages.combine_chunks()
    if values.null_count:
        raise Refused("a message without a key")
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    data = values.buffers()[2]
    body = memoryview(data)[offsets[0] : offsets[-1]] if data is not None else b""
    found = _read(b"".join([head, _long(len(values)), _long(len(body)), body, _SYNC]))
    mark = values[0].as_py()[:FRAME]
    if found.num_rows != len(values) or not pc.all(pc.equal(found[_MARK], pa.scalar(mark, found[_MARK].type))).as_py():
        raise Refused("a message that does not end where its schema says")
    return {name: found[name].combine_chunks() for name in found.column_names if name != _MARK}


def _read(file: bytes) -> pa.Table:
    try:
        return pl.read_avro(io.BytesIO(file)).to_arrow()
    except pl.exceptions.PanicException as error:  # which is no Exception
        raise Refused("a message that cannot be read") from error
