"""Every column of every row of a PostgreSQL table, as canonical text made from what the server itself prints."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from cdc.core.canonical import PART, Column, Form, day, double_text, list_text, micros, micros_of_time, single_text
from cdc.core.errors import PreflightError
from cdc.core.names import TableName

Convert = Callable[[str], str]
Nested = list["str | Nested | None"]

_SETTINGS = (
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO, YMD'",
    "SET IntervalStyle = 'postgres'",
    "SET extra_float_digits = 1",
    "SET bytea_output = 'hex'",
    "SET xmloption = 'content'",
)
_COLUMNS = """
SELECT a.attname, coalesce(e.typname, b.typname),
       CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END,
       CASE WHEN e.oid IS NOT NULL THEN greatest(a.attndims, t.typndims, 1) ELSE 0 END
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
LEFT JOIN pg_type e ON e.oid = b.typelem AND b.typcategory = 'A'
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""
_INTERVAL = re.compile(
    r"(?:([+-]?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?(?:([+-]?)(\d+):(\d+):([\d.]+))?"
)


@dataclass(frozen=True)
class _Read:
    """A column with the SQL that reads it and the conversion of the text that comes back."""

    column: Column
    expression: sql.Composable
    convert: Convert | None


class PostgresRows:
    """Reads a table in one statement, so at one moment, but for ``excluded`` columns.

    Generated ones, which no log carries, are left out too. Arrays of several dimensions, and those in ``text``, are the
    text of the server. The connection must be idle; its session settings are changed. ``where`` is a condition that
    column ``PART`` tells of. Raises PreflightError if the table is not there.
    """

    def __init__(
        self,
        connection: psycopg.Connection[tuple[object, ...]],
        table: TableName,
        key: tuple[str, ...],
        where: str = "",
        excluded: Collection[str] = (),
        text: Collection[str] = (),
    ) -> None:
        self._connection = connection
        self._table = sql.Identifier(*table)
        self._key = key
        for setting in _SETTINGS:
            connection.execute(setting)
        found = connection.execute(_COLUMNS, (self._table.as_string(connection),)).fetchall()
        if not found:
            raise PreflightError(
                f"table {table} is not in the source, or role may not see it",
                hint="check the name and the role's grants",
            )
        self._reads = [
            _printed(str(n))
            if int(str(d)) > 1 or (d and n in text)
            else _read(str(n), str(t), int(str(m)), array=bool(d))
            for n, t, m, d in found
            if n not in excluded
        ]
        if where:
            part = sql.SQL(f"CASE WHEN ({where}\n) THEN 'true' ELSE 'false' END")
            self._reads.append(_Read(Column(PART), part, None))
        self.columns = tuple(read.column for read in self._reads)

    def rows(self) -> Iterator[tuple[str | None, ...]]:
        """Yield the rows in the order of their key."""
        convert = [(index, read.convert) for index, read in enumerate(self._reads) if read.convert]
        with self._connection.cursor() as cursor, cursor.copy(self._statement()) as copy:
            for row in copy.rows():
                values = list(row)
                for index, change in convert:
                    if values[index] is not None:
                        values[index] = change(values[index])
                yield tuple(values)

    def _statement(self) -> sql.Composed:
        return sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
            sql.SQL(", ").join(read.expression for read in self._reads),
            self._table,
            sql.SQL(", ").join(sql.Identifier(name) for name in self._key),
        )


def _printed(name: str) -> _Read:
    return _Read(Column(name), sql.Identifier(name), None)


def _read(name: str, type_: str, modifier: int, *, array: bool) -> _Read:
    expression: sql.Composable = sql.Identifier(name)
    if type_ == "money" and not array:
        expression = sql.SQL("{}::numeric").format(expression)
    convert = _bit(modifier) if type_ == "bit" else _CONVERT.get(type_)
    unbounded = type_ == "numeric" and not array and (modifier < 0 or (modifier - 4) >> 16 > 38)
    form = Form.NUMBER if unbounded else _FORMS.get(type_, Form.TEXT)
    separator = ";" if type_ == "box" else ","
    return _Read(Column(name, form), expression, _list_of(convert, separator) if array else convert)


def _bit(modifier: int) -> Convert | None:
    return _boolean_bit if modifier == 1 else None


def _boolean_bit(text: str) -> str:
    return "true" if text == "1" else "false"


def _list_of(convert: Convert | None, separator: str) -> Convert:
    def each(items: Nested) -> Nested:
        return [
            item if item is None else each(item) if isinstance(item, list) else convert(item) if convert else item
            for item in items
        ]

    return lambda text: list_text(each(parse_array(text, separator)))


def parse_array(text: str, separator: str = ",") -> Nested:
    """Return the elements of an array as PostgreSQL prints it; raises ValueError if it is none."""
    start = text.find("{")
    if start < 0:
        raise ValueError("not an array")
    stack: list[Nested] = [[]]
    for quoted, bare, mark in _TOKENS[separator].findall(text, start):
        if mark == "{":
            stack.append([])
        elif mark == "}":
            done = stack.pop()
            stack[-1].append(done)
        elif bare:
            stack[-1].append(None if bare == "NULL" else bare)
        elif mark != separator:
            stack[-1].append(re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL))
    return stack[0][0]  # type: ignore[return-value]


_TOKENS = {
    separator: re.compile(rf'("(?:[^"\\]|\\.)*")|([^{{}}{separator}"]+)|([{{}}{separator}])', re.DOTALL)
    for separator in ",;"
}
_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"=>(?:NULL|"((?:[^"\\]|\\.)*)")', re.DOTALL)


def _hstore(text: str) -> str:
    def plain(part: str) -> str:
        return re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL)

    pairs = {plain(m[1]): None if m[2] is None else plain(m[2]) for m in _PAIR.finditer(text)}
    return json.dumps(pairs, sort_keys=True)


def interval_text(text: str) -> str:
    """Return an interval in the ISO form that Debezium writes: all six parts, seconds without trailing zeros."""
    match = _INTERVAL.fullmatch(text)
    if match is None:
        raise ValueError("not an interval")
    years, months, day, sign, hours, minutes, seconds = match.groups()
    mark = "-" if sign == "-" else ""

    def part(value: str | None) -> str:
        number = str(int(value or "0"))
        return mark + number if number != "0" else "0"

    whole, _, fraction = (seconds or "0").partition(".")
    fraction = fraction.rstrip("0")
    exact = str(int(whole)) + (f".{fraction}" if fraction else "")
    second = mark + exact if exact != "0" else "0"
    return f"P{int(years or 0)}Y{int(months or 0)}M{int(day or 0)}DT{part(hours)}H{part(minutes)}M{second}S"


def _zoned_time(text: str) -> str:
    """Return the time at UTC as Debezium writes it, e.g. ``09:30:00Z``; the end of UTC's day is ``24:00:00Z``."""
    match = re.fullmatch(r"([^+-]+)([+-])(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        raise ValueError("not a time with time zone")
    offset = (int(match[3]) * 3600 + int(match[4] or 0) * 60 + int(match[5] or 0)) * 1_000_000
    if not offset and match[1] == "24:00:00":
        return "24:00:00Z"
    utc = (micros_of_time(match[1]) + (-offset if match[2] == "+" else offset)) % 86_400_000_000
    seconds, fraction = divmod(utc, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return clock + (f".{fraction:06}".rstrip("0") if fraction else "") + "Z"


_FORMS = {"hstore": Form.JSON}
_CONVERT: dict[str, Convert] = {
    "bool": lambda text: "true" if text == "t" else "false",
    "float4": lambda text: single_text(float(text)),
    "float8": lambda text: double_text(float(text)),
    "bytea": lambda text: text[2:],
    "date": day,
    "time": lambda text: str(micros_of_time(text)),
    "timetz": _zoned_time,
    "timestamp": micros,
    "timestamptz": micros,
    "interval": interval_text,
    "hstore": _hstore,
}
