"""Values as Debezium encodes them, converted to the column types of the core; expressions only, no Python per row."""

import hashlib
import uuid
from collections.abc import Iterable

from pyspark.sql import Column
from pyspark.sql import functions as f

from cdc.core.ddl import spark_type
from cdc.core.types import ARRAY_TEXT, EventField, unfit_text

INFINITY_MICROS = 2**63 - 1
"""What Debezium writes for PostgreSQL's ``infinity`` in microseconds; the text form is mapped to the same instant."""
MINUS_INFINITY_MICROS = -(2**63)

_CONVERTED = (ARRAY_TEXT, "io.debezium.time.ZonedTime")
"""What connectors/values make of texts, beside lists and JSON."""
_MICROS_PER_UNIT = {"io.debezium.time.Timestamp": 1000, "io.debezium.time.Time": 1000}


def convert(value: Column, field: EventField, column_type: str) -> Column:
    """Return the value as ``column_type`` (an Iceberg type name); null where a text cannot be converted.

    The caller compares nulls before and after to tell a null from a value that did not fit.
    """
    natural = field.column_type
    converted = _convert(value, field, natural)
    return converted if natural == column_type else converted.cast(spark_type(column_type))


def can_fail(field: EventField) -> bool:
    """Return whether the conversion may turn a value into null."""
    return field.physical == "string" and field.column_type != "string"


def unfit(value: Column, field: EventField, text: str) -> Column | None:
    """Return whether the value stands for one that the events cannot carry; None if the type has no such value."""
    found = placeholder(value, field, unfit_text(text)) if is_converted(field) else None
    if field.semantic == ARRAY_TEXT and found is not None:  # JSON without schemas: a list of a connector yet to be told
        found |= f.coalesce(value.endswith("]"), f.lit(False))
    return found


def is_converted(field: EventField) -> bool:
    """Return whether connectors/values makes the field's values, and has a mark for those that events cannot carry."""
    return field.physical == "array" or field.source_type == "JSON" or field.semantic in _CONVERTED


def plain_placeholder(field: EventField, text: str) -> str | bytes | None:
    """Return Debezium's stand-in for an unchanged text or binary value; None for other types."""
    if field.physical == "string":
        return text
    return text.encode() if field.physical == "bytes" and field.semantic is None else None


def placeholder(value: Column, field: EventField, text: str) -> Column | None:
    """Return whether the value is Debezium's stand-in for an unchanged value; None if the type has no such stand-in.

    Source of the shapes: io.debezium.connector.postgresql.UnchangedToastedPlaceholder (hazard P2).
    """
    shape = _placeholder_shape(field, text)
    return None if shape is None else value.eqNullSafe(shape)


def _placeholder_shape(field: EventField, text: str) -> Column | None:
    plain = plain_placeholder(field, text)
    if plain is not None:
        return f.lit(bytearray(plain) if isinstance(plain, bytes) else plain)
    if field.physical == "map":
        return f.create_map(f.lit(text), f.lit(text))
    if field.physical == "array" and field.item:
        return _placeholder_array(field.item, text)
    return None


def _placeholder_array(item: EventField, text: str) -> Column | None:
    raw = text.encode()
    if item.semantic == "io.debezium.data.Uuid":
        digest = hashlib.md5(raw, usedforsecurity=False).digest()
        return f.array(f.lit(str(uuid.UUID(bytes=digest, version=3))))
    if item.physical == "string":
        return f.array(f.lit(text))
    if item.physical == "bytes":
        return f.array(f.lit(bytearray(raw)))
    if item.physical == "boolean":
        return _literal_array(["false", "true"][byte >> bit & 1] for byte in raw for bit in range(7, -1, -1))
    if item.physical in ("int", "long", "float", "double"):
        return _literal_array(map(str, raw)).cast(f"array<{spark_type(item.physical)}>")
    return None


def _literal_array(items: Iterable[str]) -> Column:
    """Return an array of literals, parsed at once: one by one each is a call to the JVM."""
    return f.expr(f"array({', '.join(items)})")


def _convert(value: Column, field: EventField, column_type: str) -> Column:
    if field.physical == "array" and field.item:
        return _convert_array(value, field.item, numbers=field.source_type == "_NUMERIC")
    if field.semantic == "io.debezium.data.Bits":
        return _bits(value, int(field.parameters.get("length", "8")), varying=field.source_type == "VARBIT")
    if column_type == "date" and field.physical == "int":
        return f.date_from_unix_date(value) if field.semantic == "io.debezium.time.Date" else value
    if column_type == "timestamp" and field.physical == "string":
        return _local(value)
    if column_type == "timestamp":
        micros = value * _MICROS_PER_UNIT.get(field.semantic or "", 1) if field.physical == "long" else value
        return f.timestamp_micros(micros).cast("timestamp_ntz") if _is_debezium(field) else value.cast("timestamp_ntz")
    if column_type == "timestamptz":
        return _instant(value)
    if field.semantic in _MICROS_PER_UNIT:
        return value.cast("bigint") * _MICROS_PER_UNIT[field.semantic]
    if field.physical == "string":
        return _convert_text(value, field, column_type)
    return value if field.physical == "record" else value.cast(spark_type(column_type))


def _convert_text(value: Column, field: EventField, column_type: str) -> Column:
    if column_type == "string":
        return _number_text(value, negative_scale=field.negative_scale) if field.decimal_source else value
    if column_type == "int":  # MySQL's BOOLEAN, see cdc.core.source_types
        return f.when(value == "true", 1).when(value == "false", 0).otherwise(value.try_cast("int"))
    return value.try_cast(spark_type(column_type))


def _is_debezium(field: EventField) -> bool:
    return (field.semantic or "").startswith("io.debezium.")


def _convert_array(value: Column, item: EventField, *, numbers: bool) -> Column:
    if numbers and item.column_type == "string":
        return f.transform(value, lambda element: _number_text(element, negative_scale=False))
    if item.semantic is None and item.column_type == item.physical:
        return value
    return f.transform(value, lambda element: _convert(element, item, item.column_type))


def _number_text(value: Column, *, negative_scale: bool) -> Column:
    """Return an exact number as PostgreSQL prints it."""
    plain = f.regexp_replace(value, r"\.0*$", "") if negative_scale else value
    special = f.when(value == "NAN", "NaN").when(value == "POSITIVE_INFINITY", "Infinity")
    return special.when(value == "NEGATIVE_INFINITY", "-Infinity").otherwise(plain)


def _instant(value: Column) -> Column:
    return (
        f.when(value == "infinity", f.timestamp_micros(f.lit(INFINITY_MICROS)))
        .when(value == "-infinity", f.timestamp_micros(f.lit(MINUS_INFINITY_MICROS)))
        .otherwise(value.try_cast("timestamp"))
    )


def _local(value: Column) -> Column:
    """Return a local time that is told as if it were one of UTC; a year of five digits has a sign before it."""
    return f.regexp_replace(value, r"Z$", "").try_cast("timestamp_ntz")


def _bits(value: Column, length: int, *, varying: bool) -> Column:
    """Render little-endian bytes as a text of zeros and ones, most significant bit first.

    Debezium leaves out high bytes that are zero; of varying bits it does not tell the number, only its bound.
    """
    octets = f.octet_length(value) * 8
    number = f.least(f.lit(length), octets) if varying else f.lit(length)
    digits = f.rpad(f.hex(value), ((number + 7) / 8).cast("int") * 2, "0")

    def bit(index: Column) -> Column:
        byte = f.conv(f.substring(digits, (index / 8).cast("int") * 2 + 1, f.lit(2)), 16, 10).cast("int")
        return f.pmod(f.call_function("shiftright", byte, f.pmod(index, f.lit(8)).cast("int")), f.lit(2)).cast("string")

    text = f.array_join(f.transform(f.sequence(number - 1, f.lit(0), f.lit(-1)), bit), "")
    return f.when(f.lit(varying) & (octets == 0), "").when(value.isNotNull(), text)
