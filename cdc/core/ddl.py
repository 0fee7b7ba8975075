"""Iceberg's type names as SQL DDL writes them."""

import re
from collections.abc import Iterable

from cdc.core.names import quote

_SPARK = {"long": "bigint", "timestamp": "timestamp_ntz", "timestamptz": "timestamp"}


def spark_type(iceberg: str) -> str:
    """Return the Spark DDL of an Iceberg type name, nested types included."""
    if iceberg.startswith("list<"):
        return f"array<{spark_type(iceberg[5:-1])}>"
    if iceberg.startswith("struct<"):
        return struct_ddl((name, spark_type(kind)) for name, kind in members(iceberg))
    return _SPARK.get(iceberg, iceberg)


def members(struct: str) -> list[tuple[str, str]]:
    """Return name and type of a struct's members, by Iceberg's name of its type."""
    fields = (part.partition(": ") for part in _split(struct[7:-1]))
    return [(name, kind) for name, _, kind in fields]


def struct_ddl(fields: Iterable[tuple[str, str]]) -> str:
    """Return the DDL of a struct of (name, Spark type) pairs, names quoted."""
    return "struct<" + ",".join(f"{quote(name, '`')}:{kind}" for name, kind in fields) + ">"


def iceberg_type(text: str) -> str:
    """Return the plain name of a type as Iceberg's Java API prints it (ids and optionality left out)."""
    return re.sub(r"\d+: ([^:]+): (?:optional|required) ", r"\1: ", text)


def _split(fields: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, character in enumerate(fields):
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(fields[start:at])
            start = at + 2
    return [*parts, fields[start:]]
