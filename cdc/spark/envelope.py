"""From Kafka messages to Debezium envelopes, Avro or JSON; what cannot be decoded becomes null, never an error."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f
from pyspark.sql.avro.functions import from_avro

from cdc.core.ddl import struct_ddl
from cdc.core.types import EventField, EventSchema
from cdc.spark.marks import FRAME

SOURCE_FIELDS = {
    "postgres": {"sequence": "string"},
    "mysql": {"file": "string", "pos": "bigint"},
    "oracle": {"scn": "string", "commit_scn": "string", "txSeq": "bigint"},
}
"""What the position of an event is made of, per engine: fields of the envelope's source block."""

_CORRUPT = "_cdc_corrupt"
_COMMON = {"snapshot": "string", "ts_ms": "bigint"}


@dataclass(frozen=True)
class Writer:
    """The pair of schemas that a message was written with.

    ``key_id`` and ``value_id`` are the registry's ids (0 for JSON); the texts are Avro schemas, or empty for JSON.
    Messages without a key (truncates) have a writer with an empty ``key_schema``, whose ``key`` is the whole row.
    """

    key_id: int
    value_id: int
    key: EventSchema
    row: EventSchema
    key_schema: str = ""
    value_schema: str = ""


def schema_frame(column: Column) -> Column:
    """Return the bytes that name the schema in the registry's wire format: a zero byte and the id, big-endian.

    Anything else gives no bytes, and null gives null.
    """
    framed = (f.length(column) >= FRAME) & (f.substring(column, 1, 1) == f.lit(bytearray(b"\0")))
    return f.when(framed, f.substring(column, 1, FRAME)).when(column.isNotNull(), f.lit(bytearray()))


def schema_id(frame: bytes) -> int:
    """Return the registry's id in a frame, 0 for none."""
    return int.from_bytes(frame[1:], "big") if len(frame) == FRAME else 0


def open_avro(raw: DataFrame, writer: Writer, engine: str) -> DataFrame:
    """Return the messages of one writer with the columns ``key_row`` and ``envelope`` added."""
    return raw.withColumns(_avro_columns(writer, engine))


@lru_cache(300)
def _avro_columns(writer: Writer, engine: str) -> dict[str, Column]:
    envelope = json.dumps(reduced_envelope(json.loads(writer.value_schema), engine))
    key = f.lit(None).cast(_json_struct(writer.key))
    if writer.key_schema:
        key = from_avro(_body("key"), writer.key_schema, {"mode": "PERMISSIVE"})
    value = from_avro(_body("value"), writer.value_schema, {"mode": "PERMISSIVE", "avroSchema": envelope})
    return {"key_row": key, "envelope": value}


def open_json(raw: DataFrame, writer: Writer, engine: str, *, wrapped: bool) -> DataFrame:
    """Return JSON messages with ``key_row`` and ``envelope`` added; ``wrapped`` if each carries its schema."""
    source = ", ".join(f"{name}: {kind}" for name, kind in {**SOURCE_FIELDS[engine], **_COMMON}.items())
    envelope = f"struct<op: string, source: struct<{source}>, after: {_json_struct(writer.row)}>"
    parsed = raw.withColumns({
        "key_row": _from_json("key", _json_struct(writer.key), wrapped=wrapped),
        "envelope": _from_json("value", envelope, wrapped=wrapped),
    })  # fmt: skip
    return parsed.withColumns({name: _whole(name, wrapped=wrapped) for name in ("key_row", "envelope")})


def _from_json(column: str, ddl: str, *, wrapped: bool) -> Column:
    # Not decode(), which ends the query at bytes that are no UTF-8.
    text = f.col(column).cast("string")
    options = {"mode": "PERMISSIVE", "allowNonNumericNumbers": "true", "columnNameOfCorruptRecord": _CORRUPT}
    fields = f"payload: {ddl}" if wrapped else ddl.removeprefix("struct<").removesuffix(">")
    return f.from_json(text, f"struct<{fields}, {_CORRUPT}: string>", options)


def _whole(column: str, *, wrapped: bool) -> Column:
    """Return what was parsed, or null if any part of it did not fit: Spark leaves such parts out without a word."""
    parsed = f.col(column)
    return f.when(parsed[_CORRUPT].isNull(), parsed["payload"] if wrapped else parsed)


def _body(column: str) -> Column:
    return f.expr(f"substring({column}, 6, length({column}) - 5)")


def _json_struct(schema: EventSchema) -> str:
    return struct_ddl((x.event_name, json_type(x)) for x in schema.fields)


def json_type(field: EventField) -> str:
    """Return the Spark type that a field is read as from JSON, before conversion."""
    if field.physical == "array" and field.item:
        return f"array<{json_type(field.item)}>"
    if field.physical == "record":
        return _json_struct(EventSchema(field.children))
    if field.physical == "map":
        return "map<string, string>"
    if field.semantic == "org.apache.kafka.connect.data.Decimal":
        return field.column_type
    return {"bytes": "binary", "long": "bigint"}.get(field.physical, field.physical)


def reduced_envelope(schema: dict[str, Any], engine: str) -> dict[str, Any]:
    """Return the reader's schema: only what the merge needs, which spares decoding the row before the change."""
    named = _named_types(schema)
    fields = {field["name"]: field for field in schema["fields"]}
    wanted = {**SOURCE_FIELDS[engine], **_COMMON}
    source = dict(_inline(fields["source"]["type"], named))
    source["fields"] = [x for x in source["fields"] if x["name"] in wanted]
    after = [s if s == "null" else _inline(s, named) for s in _union(fields["after"]["type"])]
    reader = {"name": "after", "type": after, "default": None}
    return {**schema, "fields": [fields["op"], {"name": "source", "type": source}, reader]}


def _union(schema: Any) -> list[Any]:  # noqa: ANN401 - JSON
    return schema if isinstance(schema, list) else [schema]


def _inline(schema: Any, named: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    return named[schema] if isinstance(schema, str) and schema in named else schema


def _named_types(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in schema["fields"]:
        for option in _union(field["type"]):
            if isinstance(option, dict) and "name" in option:
                found[option["name"]] = option
                namespace = option.get("namespace", schema.get("namespace"))
                found[f"{namespace}.{option['name']}"] = option
    return found


def fixed_decimals(schema: str) -> str:
    """Return an Avro schema text with decimals of more than 38 digits cut to 20, which Spark can read.

    Connect's decimals of unknown precision claim 64 digits; the one that Debezium sends is an unsigned BIGINT.
    """

    def fix(node: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(node, list):
            return [fix(child) for child in node]
        if not isinstance(node, dict):
            return node
        fixed = {name: fix(child) for name, child in node.items()}
        if fixed.get("logicalType") == "decimal" and int(fixed.get("precision", 0)) > 38:
            fixed["precision"] = 20
        return fixed

    return json.dumps(fix(json.loads(schema)))
