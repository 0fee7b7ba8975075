"""Schema evolution: what a table needs before rows of an event schema can be merged into it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cdc.core.errors import IncompatibleSchema
from cdc.core.types import EventSchema

CDC_COLUMNS = {
    "_cdc_position": "string",
    "_cdc_op": "string",
    "_cdc_source_ts": "timestamptz",
    "_cdc_committed_at": "timestamptz",
}
"""Columns that every target table has beside the source's own."""

_RESERVED = {"_file", "_pos", "_deleted", "_spec_id", "_partition", "_row_id", "_last_updated_sequence_number"}
_DECIMAL = re.compile(r"decimal\((\d+), ?(\d+)\)")


@dataclass(frozen=True)
class SchemaPlan:
    """Changes to a table's columns: new ones with their type, and existing ones made wider."""

    add: dict[str, str]
    widen: dict[str, str]

    def __bool__(self) -> bool:
        return bool(self.add or self.widen)


def unify(schemas: Iterable[EventSchema]) -> dict[str, str]:
    """Return the columns of several versions of a row schema together, each with the widest of its types."""
    columns: dict[str, str] = {}
    for schema in schemas:
        for name, column_type in schema.columns().items():
            columns[name] = wider(name, columns.get(name, column_type), column_type)
    return columns


def filled(schemas: Iterable[EventSchema], added: Iterable[str]) -> tuple[str, ...]:
    """Return those of the added columns that hold something in the source's older rows, of which no event tells."""
    there = {field.name for schema in schemas for field in schema.fields if field.filled}
    return tuple(name for name in added if name in there)


def plan_schema(table: Mapping[str, str], columns: Mapping[str, str]) -> SchemaPlan:
    """Return what the table lacks for rows with these columns.

    Raises IncompatibleSchema for a type change that Iceberg does not allow, or a reserved name.
    """
    add: dict[str, str] = {}
    widen: dict[str, str] = {}
    for name, column_type in columns.items():
        _refuse_reserved(name)
        if name not in table:
            add[name] = column_type
        elif (wide := wider(name, table[name], column_type)) != table[name]:
            widen[name] = wide
    return SchemaPlan(add, widen)


def is_reserved(column: str) -> bool:
    """Return whether no column of a source may be called so in a target table."""
    return column.lower() in _RESERVED or column.lower().startswith("_cdc_")


def _refuse_reserved(name: str) -> None:
    if is_reserved(name):
        raise IncompatibleSchema(
            f"column {name!r} has a name that is reserved in target tables",
            hint="rename the column at the source or exclude it with column.exclude.list",
        )


def wider(name: str, one: str, other: str) -> str:
    """Return the type that holds both, by Iceberg's promotions (specification, "Schema Evolution")."""
    if one == other:
        return one
    if {one, other} == {"int", "long"}:
        return "long"
    if {one, other} == {"float", "double"}:
        return "double"
    a, b = _DECIMAL.fullmatch(one), _DECIMAL.fullmatch(other)
    if a and b and a[2] == b[2]:
        return one if int(a[1]) > int(b[1]) else other
    raise IncompatibleSchema(
        f"column {name!r} has type {one} in the table and {other} in the events",
        hint="Iceberg cannot promote one to the other: `cdc tables reset TABLE` loads the table anew with the new type",
    )
