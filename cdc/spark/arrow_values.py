"""Values as Debezium encodes them, converted at the driver: the plain ones of ``cdc.spark.convert``, each to the same.

What a converter here cannot convert for certain it refuses, and Spark converts it: types that are not plain, texts that
are not in the usual form.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.arrow import plain_type
from cdc.core.types import ARRAY_TEXT, DECIMAL, EventField

Convert = Callable[[pa.Array], pa.Array]
"""Return values of one column, as Avro has them without its logical types; raises for what Spark has to do."""

DECIMAL_BYTES, DECIMAL_DIGITS = 16, 38
SIGN = 0x80
"""The bit of a number's first byte that is set below zero."""

_NUMBER = r"^-?\d+(\.\d+)?$"
_LOCAL = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$"
_WIDER = {("int", "long"), ("float", "double")}
_MICROS_PER_UNIT = {"io.debezium.time.Timestamp": 1000, "io.debezium.time.MicroTimestamp": 1}
_NUMBER_TEXTS = {"NAN": "NaN", "POSITIVE_INFINITY": "Infinity", "NEGATIVE_INFINITY": "-Infinity"}


class Refused(ValueError):
    """A value or a type that is left to Spark."""


def arrow_type(column_type: str) -> pa.DataType:
    """Return the Arrow type that Spark gives a column of an Iceberg type; raises Refused for one that is not plain."""
    try:
        return plain_type(column_type)
    except KeyError:
        raise Refused(f"type {column_type.partition('<')[0]}") from None


def converter(field: EventField, column_type: str) -> Convert:
    """Return what converts the values of a field to a column's type; raises Refused where it is Spark's to do."""
    natural, wanted = field.column_type, arrow_type(column_type)
    if natural != column_type and (natural, column_type) not in _WIDER:
        raise Refused(f"{natural} as {column_type}")
    convert = _natural(field, natural)
    return convert if natural == column_type else lambda values: convert(values).cast(wanted)


def _natural(field: EventField, column_type: str) -> Convert:
    match field.physical, field.semantic:
        case "bytes", semantic if semantic == DECIMAL and column_type.startswith("decimal"):
            scale = int(field.parameters.get("scale", "0"))
            return lambda values: _unscaled(values, scale).cast(arrow_type(column_type))
        case "string", _:
            return _text(field, column_type)
        case (("int" | "long"), _):
            return _integer(field, column_type)
        case "boolean", None:
            return lambda values: values.cast(arrow_type(column_type))
        case (("float" | "double" | "bytes"), None) if column_type in ("float", "double", "binary"):
            return lambda values: values.cast(arrow_type(column_type))
    raise Refused(f"{field.semantic or field.physical} as {column_type}")


def _text(field: EventField, column_type: str) -> Convert:
    if column_type == "timestamptz" and field.semantic == "io.debezium.time.ZonedTimestamp":
        return lambda values: values.cast(pa.string()).cast(arrow_type(column_type))
    if column_type == "timestamp":
        return _local
    if column_type.startswith("decimal"):
        return lambda values: _number(values).cast(arrow_type(column_type))
    if column_type != "string":
        raise Refused(f"text as {column_type}")
    if field.decimal_source:
        return lambda values: _number_text(values, negative_scale=field.negative_scale)
    return _listed if field.semantic == ARRAY_TEXT else lambda values: values.cast(pa.string())


def _integer(field: EventField, column_type: str) -> Convert:
    if column_type == "date" and field.semantic == "io.debezium.time.Date":
        return lambda values: values.cast(pa.int32()).cast(pa.date32())
    if column_type == "timestamp" and field.semantic in _MICROS_PER_UNIT:
        unit = _MICROS_PER_UNIT[field.semantic]
        return lambda values: _times(values, unit).cast(pa.timestamp("us"))
    if column_type not in ("int", "long"):
        raise Refused(f"{field.semantic or field.physical} as {column_type}")
    if field.semantic == "io.debezium.time.Time":
        return lambda values: _times(values, 1000).cast(arrow_type(column_type))
    return lambda values: values.cast(arrow_type(column_type))


def _times(values: pa.Array, factor: int) -> pa.Array:
    return pc.multiply_checked(values.cast(pa.int64()), pa.scalar(factor, pa.int64()))


def _unscaled(values: pa.Array, scale: int) -> pa.Array:
    """Return decimals of unscaled numbers, big-endian and of any length up to sixteen bytes."""
    whole = values.cast(pa.binary())
    buffers = whole.buffers()
    ends = np.frombuffer(buffers[1], np.int32)[whole.offset : whole.offset + len(whole) + 1].astype(np.int64)
    sizes = np.diff(ends)
    if len(sizes) and sizes.max() > DECIMAL_BYTES:
        raise Refused("a decimal of many digits")
    data = np.frombuffer(buffers[2], np.uint8) if buffers[2] is not None and buffers[2].size else np.zeros(1, np.uint8)
    first = data[np.minimum(ends[:-1], len(data) - 1)]
    sign = np.where((sizes > 0) & (first >= SIGN), 0xFF, 0).astype(np.uint8)
    places = np.arange(DECIMAL_BYTES)
    at = np.clip(ends[1:, None] - 1 - places, 0, len(data) - 1)
    little = np.where(places < sizes[:, None], data[at], sign[:, None])
    made = pa.py_buffer(np.ascontiguousarray(little))
    kind = pa.decimal128(DECIMAL_DIGITS, scale)
    return pc.if_else(whole.is_valid(), pa.Array.from_buffers(kind, len(whole), [None, made]), pa.scalar(None, kind))


def _local(values: pa.Array) -> pa.Array:
    """Return local times that are told as if they were of UTC."""
    if not pc.all(pc.match_substring_regex(values, _LOCAL)).as_py() and values.null_count < len(values):
        raise Refused("a time in another form")
    return pc.utf8_rtrim(values.cast(pa.string()), "Z").cast(pa.timestamp("us"))


def _number(values: pa.Array) -> pa.Array:
    if not pc.all(pc.match_substring_regex(values, _NUMBER)).as_py() and values.null_count < len(values):
        raise Refused("a number in another form")
    return values


def _number_text(values: pa.Array, *, negative_scale: bool) -> pa.Array:
    """Return exact numbers as PostgreSQL prints them."""
    texts = values.cast(pa.string())
    plain = pc.replace_substring_regex(texts, r"\.0*$", "") if negative_scale else texts
    for told, printed in _NUMBER_TEXTS.items():
        plain = pc.if_else(pc.equal(texts, told), printed, plain)
    return plain


def _listed(values: pa.Array) -> pa.Array:
    if pc.any(pc.ends_with(values, "]")).as_py():
        raise Refused("an array that may be a list")
    return values.cast(pa.string())
