"""Values as Debezium encodes them, converted at the driver: the plain ones of ``cdc.spark.convert``, each to the same.

What a converter here cannot convert for certain it refuses, and Spark converts it: types that are not plain, texts that
are not in the usual form.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from cdc.arrow import plain_type
from cdc.core.types import ARRAY_TEXT, DECIMAL, EventField

Convert = Callable[[Sequence[Any]], pa.Array]
"""Return values of one column, in Avro without its logical types, as Arrow; raises for what Spark has to do."""

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_WIDER = {("int", "long"), ("float", "double")}
_MICROS_PER_UNIT = {"io.debezium.time.Timestamp": 1000, "io.debezium.time.MicroTimestamp": 1}
_NUMBER_TEXTS = {"NAN": "NaN", "POSITIVE_INFINITY": "Infinity", "NEGATIVE_INFINITY": "-Infinity"}
_EXACT = Context(prec=100)


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
            return lambda values: _array([_unscaled(value, scale) for value in values], column_type)
        case "string", _:
            return _text(field, column_type)
        case (("int" | "long"), _):
            return _integer(field, column_type)
        case "boolean", None:
            return lambda values: pa.array(values, pa.bool_()).cast(arrow_type(column_type))
        case (("float" | "double" | "bytes"), None) if column_type in ("float", "double", "binary"):
            return lambda values: _array(values, column_type)
    raise Refused(f"{field.semantic or field.physical} as {column_type}")


def _text(field: EventField, column_type: str) -> Convert:
    if column_type == "timestamptz" and field.semantic == "io.debezium.time.ZonedTimestamp":
        return lambda values: pa.array(values, pa.string()).cast(arrow_type(column_type))
    if column_type.startswith("decimal"):
        return lambda values: _array([_number(text) for text in values], column_type)
    if column_type != "string":
        raise Refused(f"text as {column_type}")
    if field.decimal_source:
        return lambda values: _array([_number_text(text, field) for text in values], column_type)
    return _listed if field.semantic == ARRAY_TEXT else lambda values: _array(values, column_type)


def _integer(field: EventField, column_type: str) -> Convert:
    if column_type == "date" and field.semantic == "io.debezium.time.Date":
        return lambda values: pa.array(values, pa.int32()).cast(pa.date32())
    if column_type == "timestamp" and field.semantic in _MICROS_PER_UNIT:
        unit = _MICROS_PER_UNIT[field.semantic]
        return lambda values: pa.array(times(values, unit), pa.int64()).cast(pa.timestamp("us"))
    if column_type not in ("int", "long"):
        raise Refused(f"{field.semantic or field.physical} as {column_type}")
    if field.semantic == "io.debezium.time.Time":
        return lambda values: _array(times(values, 1000), column_type)
    return lambda values: _array(values, column_type)


def times(values: Iterable[int | None], factor: int) -> list[int | None]:
    """Return the values so many times, nulls as they are."""
    return [None if value is None else value * factor for value in values]


def _array(values: Sequence[Any], column_type: str) -> pa.Array:
    return pa.array(values, arrow_type(column_type))


def _unscaled(value: bytes | None, scale: int) -> Decimal | None:
    if value is None:
        return None
    return Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale, _EXACT)


def _number(text: str | None) -> Decimal | None:
    if text is not None and not _NUMBER.fullmatch(text):
        raise Refused("a number in another form")
    return None if text is None else Decimal(text)


def _number_text(text: str | None, field: EventField) -> str | None:
    """Return an exact number as PostgreSQL prints it."""
    if text is None:
        return None
    plain = re.sub(r"\.0*$", "", text) if field.negative_scale else text
    return _NUMBER_TEXTS.get(text, plain)


def _listed(values: Sequence[Any]) -> pa.Array:
    if any(text is not None and text.endswith("]") for text in values):
        raise Refused("an array that may be a list")
    return pa.array(values, pa.string())
