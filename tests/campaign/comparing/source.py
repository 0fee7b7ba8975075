"""The rows of a source's table as text: a plain SELECT over the database's protocol, texts made by the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.campaign.comparing.texts import Text


@dataclass(frozen=True)
class SourceColumn:
    """A column; ``form`` is one of ``texts.SORTS``."""

    name: str
    form: str


@dataclass(frozen=True)
class SourceTable:
    """What one SELECT has returned."""

    columns: tuple[SourceColumn, ...]
    rows: Sequence[tuple[Text, ...]]


POSTGRES_FORMS = {
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("text", "varchar", "bpchar", "uuid"), "text"),
    **dict.fromkeys(("json", "jsonb"), "json"),
    "numeric": "decimal",
    "float4": "single",
    "float8": "double",
    "bool": "boolean",
    "bytea": "binary",
    "date": "date",
    "timestamp": "moment",
    "timestamptz": "instant",
    "time": "time",
}
MYSQL_FORMS = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year"), "integer"),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum"), "text"),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "binary"),
    "json": "json",
    "decimal": "decimal",
    "float": "single",
    "double": "double",
    "date": "date",
    "datetime": "moment",
    "timestamp": "instant",
    "time": "time",
}
LONGEST = 38
"""Digits of a decimal in the lake; longer ones, and those without a precision, are text there."""

_POSTGRES_COLUMNS = (
    "SELECT column_name, udt_name, numeric_precision FROM information_schema.columns "
    "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"
)
_MYSQL_COLUMNS = (
    "SELECT column_name, data_type, numeric_precision FROM information_schema.columns "
    "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"
)
_POSTGRES_SESSION = (
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO, YMD'",
    "SET extra_float_digits = 1",
    "SET statement_timeout = '60s'",
)


def read_postgres(connection: Any, schema: str, table: str) -> SourceTable:
    """Return the rows; ``connection`` is psycopg's, whose session is changed. Raises ValueError for other types."""
    with connection.cursor() as cursor:
        for setting in _POSTGRES_SESSION:
            cursor.execute(setting)
        cursor.execute(_POSTGRES_COLUMNS, (schema, table))
        found = cursor.fetchall()
        columns = tuple(_column(POSTGRES_FORMS, *one) for one in found)
        chosen = ", ".join(_postgres_text(f'"{name}"', kind) for name, kind, _ in found)
        cursor.execute(f'SELECT {chosen} FROM "{schema}"."{table}"')
        return SourceTable(columns, cursor.fetchall())


def read_mysql(connection: Any, schema: str, table: str) -> SourceTable:
    """Return the rows; ``connection`` is pymysql's, whose session is changed. Raises ValueError for other types."""
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("SET NAMES utf8mb4")
        cursor.execute(_MYSQL_COLUMNS, (schema, table))
        found = cursor.fetchall()
        columns = tuple(_column(MYSQL_FORMS, *one) for one in found)
        chosen = ", ".join(_mysql_text(f"`{name}`", MYSQL_FORMS[kind], kind) for name, kind, _ in found)
        cursor.execute(f"SELECT {chosen} FROM `{schema}`.`{table}`")
        return SourceTable(columns, cursor.fetchall())


READERS = {"postgres": read_postgres, "mysql": read_mysql}


def _column(forms: dict[str, str], name: str, kind: str, precision: int | None) -> SourceColumn:
    if kind not in forms:
        raise ValueError(f"column {name} has type {kind}, of which the campaign's reader knows nothing")
    form = forms[kind]
    return SourceColumn(name, "text" if form == "decimal" and not 0 < (precision or 0) <= LONGEST else form)


def _postgres_text(name: str, kind: str) -> str:
    if kind == "bytea":
        return f"encode({name}, 'hex')"
    if kind == "bpchar":  # a cast to text would take away the blanks at its end
        return f"CASE WHEN {name} IS NOT NULL THEN format('%s', {name}) END"
    return f"{name}::text"


def _mysql_text(name: str, form: str, kind: str) -> str:
    if form == "binary":
        return f"LOWER(HEX({name}))"
    if kind == "float":  # printed with six digits; as a double all of them
        name = f"{name} + 0e0"
    return f"CAST({name} AS CHAR CHARACTER SET utf8mb4)"
