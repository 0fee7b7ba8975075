"""Rows by their keys: the condition for values as the target's columns hold them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from psycopg import sql

from cdc.core.errors import TerminalError
from cdc.core.names import quote
from cdc.sources.bulk_postgres.values import split


class KeyColumn(NamedTuple):
    """A column of the key.

    ``type`` is that of its literals; ``schema`` is where its operators are, None for the system's own.
    """

    name: str
    declared: str
    type: str
    schema: str | None


def one_of(columns: Sequence[KeyColumn], values: Sequence[Sequence[Any]]) -> str:
    """Return the condition that holds for the rows with these keys."""
    if not values:
        return "false"
    rows = [[_literal(column, value) for column, value in zip(columns, row, strict=True)] for row in values]
    if any(column.schema for column in columns):
        return " OR ".join(_equal(columns, row) for row in rows)
    if len(columns) == 1:
        return f"{_compared(columns[0])} IN ({', '.join(row[0] for row in rows)})"
    # The planner looks up each of a list of VALUES by the index; of row comparisons it makes one long OR.
    names = ", ".join(map(_compared, columns))
    listed = ", ".join(f"({', '.join(row)})" for row in rows)
    return f"({names}) IN (VALUES {listed})"


def _equal(columns: Sequence[KeyColumn], row: Sequence[str]) -> str:
    pairs = (f"{_compared(c)} {_equals(c)} {value}" for c, value in zip(columns, row, strict=True))
    return f"({' AND '.join(pairs)})"


def _compared(column: KeyColumn) -> str:
    # the same time at another offset is another value
    zoned = column.type == "time with time zone"
    return f"({quote(column.name)} AT TIME ZONE 'UTC')" if zoned else quote(column.name)


def _equals(column: KeyColumn) -> str:
    return f"OPERATOR({quote(column.schema)}.=)" if column.schema else "="


def _literal(column: KeyColumn, value: object) -> str:
    return f"{sql.Literal(_text(column, value)).as_string(None)}::{column.type}"


def _text(column: KeyColumn, value: object) -> str:
    """Return the value as PostgreSQL reads it."""
    base, _ = split(column.declared.removeprefix("domain "))
    if isinstance(value, bool):
        return str(int(value)) if base == "bit" else str(value).lower()
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, int) and base.startswith("time "):
        seconds, fraction = divmod(value, 1_000_000)
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (list, tuple, dict, float)) or value is None:
        raise TerminalError(
            f"key column {column.name!r} cannot be looked up by a value of its type",
            hint="set `snapshot: connector` for the table, or choose another key",
        )
    return str(value)


def key_columns(rows: Sequence[Mapping[str, Any]]) -> list[KeyColumn]:
    """Return the columns from the catalog's rows."""
    return [
        KeyColumn(row["name"], row["declared"], row["type"], None if row["known"] else row["schema"]) for row in rows
    ]
