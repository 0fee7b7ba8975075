"""Every column of every row of a MySQL table, as canonical text made from what the server itself prints."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import pymysql
from pymysql.cursors import SSCursor

from cdc.core.canonical import PART, Column, Form, days, double_text, micros, micros_of_time, single_text
from cdc.core.errors import PreflightError
from cdc.core.names import TableName, quote, quote_table

Convert = Callable[[str], str | None]
_COLUMNS = """
SELECT column_name, data_type, column_type FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position
"""
_BINARY = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_TEMPORAL = frozenset({"date", "time", "datetime", "timestamp"})


@dataclass(frozen=True)
class _Read:
    """A column with the SQL that reads it and the conversion of the text that comes back."""

    column: Column
    expression: str
    convert: Convert | None


class MySqlRows:
    """Reads a table in one statement, but for ``excluded`` columns.

    The connection must give values as plain text (``raw_connection``). ``where`` is a condition that the column
    ``PART`` tells of. Raises PreflightError if the table is not there.
    """

    def __init__(
        self,
        connection: "pymysql.Connection[SSCursor]",
        table: TableName,
        key: tuple[str, ...],
        where: str = "",
        excluded: Collection[str] = (),
    ) -> None:
        self._connection = connection
        self._table = quote_table(table, "`")
        self._key = key
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute(_COLUMNS, tuple(table))
            found = cursor.fetchall()
        if not found:
            raise PreflightError(
                f"table {table} is not in the source, or user may not see it",
                hint="check the name and the user's grants",
            )
        self._reads = [_read(*map(str, row)) for row in found if row[0] not in excluded]
        if where:
            self._reads.append(_Read(Column(PART), f"CASE WHEN ({where}\n) THEN 'true' ELSE 'false' END", None))
        self.columns = tuple(read.column for read in self._reads)

    def rows(self) -> Iterator[tuple[str | None, ...]]:
        """Yield the rows in the order of their key."""
        convert = [(index, read.convert) for index, read in enumerate(self._reads) if read.convert]
        with self._connection.cursor(SSCursor) as cursor:
            cursor.execute(self._statement())
            for row in cursor:
                values = list(row)
                for index, change in convert:
                    if values[index] is not None:
                        values[index] = change(values[index])
                yield tuple(values)

    def _statement(self) -> str:
        columns = ", ".join(read.expression for read in self._reads)
        order = ", ".join(quote(name, "`") for name in self._key)
        return f"SELECT {columns} FROM {self._table} ORDER BY {order}"  # noqa: S608 - names are quoted


def raw_connection(**settings: object) -> "pymysql.Connection[SSCursor]":
    """Return a connection (pymysql's settings) that leaves values as the server prints them."""
    return pymysql.connect(**settings, conv={}, charset="utf8mb4", autocommit=True)  # type: ignore[call-overload,no-any-return]


def _read(name: str, type_: str, full_type: str) -> _Read:
    type_, quoted = type_.lower(), quote(name, "`")
    expression = quoted
    if type_ in _BINARY:
        expression = f"LOWER(HEX({quoted}))"
    elif type_ in _TEMPORAL:
        expression = f"CAST({quoted} AS CHAR)"
    elif type_ == "float":  # printed with six digits; as a double all of them
        expression = f"{quoted} + 0e0"
    elif "zerofill" in full_type.lower():  # zeros in front are how the server prints it
        expression = f"{quoted} + 0"
    elif type_ == "bit":
        width = int(re.sub(r"\D", "", full_type) or "1")
        expression = f"ELT({quoted} + 1, 'false', 'true')" if width == 1 else f"LPAD(BIN({quoted} + 0), {width}, '0')"
    precision = re.match(r"decimal\((\d+)", full_type)
    unbounded = type_ == "decimal" and precision is not None and int(precision[1]) > 38
    form = Form.JSON if type_ == "json" else Form.NUMBER if unbounded else Form.TEXT
    return _Read(Column(name, form), expression, _CONVERT.get(type_))


def _date(text: str) -> str | None:
    """Return the days, or None for a date that is none (0000-00-00)."""
    return str(days(text)) if _real_date(text) else None


def _micros(text: str) -> str | None:
    return micros(text) if _real_date(text) else None


def _real_date(text: str) -> bool:
    return not (text[5:7] == "00" or text[8:10] == "00")


_CONVERT: dict[str, Convert] = {
    "float": lambda text: single_text(float(text)),
    "double": lambda text: double_text(float(text)),
    "year": lambda text: str(int(text)),
    "date": _date,
    "time": lambda text: str(micros_of_time(text)),
    "datetime": _micros,
    "timestamp": _micros,
}
