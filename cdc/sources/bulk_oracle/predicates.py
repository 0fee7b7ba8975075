"""Keys of Oracle as SQL: values, conditions, and the statements that find where to cut; never run, see the package."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from cdc.core.errors import TerminalError
from cdc.core.names import TableName, quote_table
from cdc.sources.bulk_oracle.columns import MOMENTS, Column

_DATE_FORMAT, _MOMENT_FORMAT = "YYYY-MM-DD HH24:MI:SS", "YYYY-MM-DD HH24:MI:SS.FF9"


def between(parts: Sequence[Column], bounds: Sequence[Sequence[str]]) -> list[str]:
    """Return the conditions of the ranges between bounds (literals), each the first key of its range."""
    lower = [_after(parts, bound, ">=") for bound in bounds]
    upper = [_after(parts, bound, "<") for bound in bounds]
    return [" AND ".join(f"({one})" for one in pair if one) for pair in zip(["", *lower], [*upper, ""], strict=True)]


def equal_to_one_of(parts: Sequence[Column], values: Sequence[Sequence[Any]]) -> str:
    """Return the condition of the rows with one of these keys."""
    # An IN list may have a thousand elements, but any number of conditions may be joined.
    rows = [[f"{part.quoted} = {literal(part, one)}" for part, one in zip(parts, row, strict=True)] for row in values]
    return " OR ".join(f"({' AND '.join(row)})" for row in rows) or "1 = 0"


def literal(column: Column, value: Any) -> str:  # noqa: ANN401 - as Arrow's to_pylist gives it
    """Return a key value as SQL, free of quotes and of the session's settings."""
    if isinstance(value, bytes):
        return f"HEXTORAW('{value.hex()}')"
    if column.kind == "NUMBER":
        return format(Decimal(value), "f")
    if isinstance(value, datetime):
        return _moment(column, value.strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0"))
    if isinstance(value, date):
        return _moment(column, f"{value.isoformat()} 00:00:00")
    if column.kind.startswith(MOMENTS):
        return _moment(column, str(value).replace("T", " ").removesuffix("Z"))
    return _text(column, str(value))


def _moment(column: Column, text: str) -> str:
    if not re.fullmatch(r"\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})?", text):
        raise TerminalError(
            "a key value has not the form of its column's type",
            hint="the column was changed meanwhile? start the load again",
        )
    if column.kind == "DATE":
        return f"TO_DATE('{text[:19]}', '{_DATE_FORMAT}')"
    utc = f"TO_TIMESTAMP('{text}', '{_MOMENT_FORMAT}')"
    return f"FROM_TZ({utc}, '+00:00')" if "TIME ZONE" in column.kind else utc


def _text(column: Column, value: str) -> str:
    units = value.encode("utf-16-be").hex()
    escaped = "".join(f"\\{units[at : at + 4]}" for at in range(0, len(units), 4))
    text = f"UNISTR('{escaped}')"
    # Of the column's own kind, or the column would be converted and its index not used. CHAR ignores spaces at the end
    # only against another CHAR.
    if column.kind.startswith("N"):
        return f"CAST({text} AS NCHAR({max(len(value), 1)}))" if column.kind == "NCHAR" else text
    return f"CAST({text} AS CHAR({max(len(value), 1)} CHAR))" if column.kind == "CHAR" else f"TO_CHAR({text})"


def _after(parts: Sequence[Column], values: Sequence[str], operator: str) -> str:
    (column, *others), (value, *rest) = parts, values
    if not others:
        return f"{column.quoted} {operator} {value}"
    deeper = _after(others, rest, operator)
    return f"{column.quoted} {operator[0]} {value} OR ({column.quoted} = {value} AND ({deeper}))"


def extremes_query(table: TableName, column: Column) -> str:
    """Return the statement for the least and the greatest value, as text."""
    least, greatest = (f"TO_CHAR(NVL({name}({column.quoted}), 0), 'TM9')" for name in ("MIN", "MAX"))
    return f"SELECT {least} AS low, {greatest} AS high FROM {quote_table(table)}"  # noqa: S608 - names are quoted


def quantiles_query(table: TableName, parts: Sequence[Column], per_range: int) -> str:
    """Return the statement for the first key of each range but the first."""
    names = ", ".join(part.quoted for part in parts)
    printed = ", ".join(f"{_printed(part)} AS c{n}" for n, part in enumerate(parts))
    numbered = f"SELECT {names}, ROW_NUMBER() OVER (ORDER BY {names}) AS n$ FROM {quote_table(table)}"  # noqa: S608
    return f"SELECT {printed} FROM ({numbered}) WHERE n$ > 1 AND MOD(n$ - 1, {int(per_range)}) = 0 ORDER BY n$"  # noqa: S608


def _printed(column: Column) -> str:
    if column.kind == "NUMBER":
        return f"TO_CHAR({column.quoted}, 'TM9')"
    if column.kind == "DATE":
        return f"TO_CHAR({column.quoted}, '{_DATE_FORMAT}')"
    if column.kind.startswith("TIMESTAMP"):
        value = f"SYS_EXTRACT_UTC({column.quoted})" if "TIME ZONE" in column.kind else column.quoted
        return f"TO_CHAR({value}, '{_MOMENT_FORMAT}')"
    return column.quoted
