"""The Arrow types of columns that are not nested, alike wherever values are read, decoded or written without Spark."""

import re

import pyarrow as pa  # type: ignore[import-untyped]

PLAIN = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
"""By Iceberg's names of types, those with arguments left out."""

_DECIMAL = re.compile(r"decimal\((\d+), ?(\d+)\)")


def plain_type(column_type: str) -> pa.DataType:
    """Return the Arrow type of an Iceberg type that is not nested; raises KeyError for another."""
    if match := _DECIMAL.fullmatch(column_type):
        return pa.decimal128(int(match[1]), int(match[2]))
    return PLAIN[column_type]
