"""Key values as SQL: always of the column's own type, charset and collation, so that its index is used.

Texts and bytes are hexadecimal, so no sql_mode changes what they mean.
"""

import re
from datetime import date, datetime, timedelta
from typing import Any

from cdc.core.errors import TerminalError
from cdc.sources.bulk_mysql.declared import Declared

INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "year"})
TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
MOMENTS = frozenset({"date", "datetime", "timestamp", "time"})
CUTTABLE = INTEGERS | TEXTS | BYTES | MOMENTS | {"decimal"}
"""Types whose order in the index is the order of ``<`` and ``>``; that of an enumeration is not."""

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MOMENT = re.compile(r"-?[\d:. -]+")
_ZERO = re.compile(r"\d{4}-(00-\d\d|\d\d-00)")


def printed(column: Declared) -> str:
    """Return the expression that prints a key column for ``from_printed``."""
    if column.kind in TEXTS | BYTES:
        return f"HEX({column.quoted})"
    return f"CAST({column.quoted} AS CHAR)"


def from_printed(column: Declared, text: str) -> str | None:
    """Return the literal of a printed value, or None for a date that is none and so cannot be compared with."""
    if column.kind in TEXTS:
        return f"_{_word(column.charset)} X'{_hex(text)}' COLLATE {_word(column.collation)}"
    if column.kind in BYTES:
        return f"X'{_hex(text)}'"
    if column.kind in MOMENTS:
        return None if _ZERO.match(text) else f"'{_matched(_MOMENT, text)}'"
    return _matched(_NUMBER, text)


def from_value(column: Declared, value: Any) -> str:  # noqa: ANN401 - as Arrow's to_pylist gives it
    """Return the literal of a value of the target's column; raises TerminalError for a kind that no key has."""
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, str):
        return f"b'{_matched(re.compile('[01]+'), value)}'" if column.kind == "bit" else _text(column, value)
    if isinstance(value, datetime):
        return f"'{value.replace(tzinfo=None).isoformat(' ')}'"
    if isinstance(value, date):
        return f"'{value.isoformat()}'"
    if column.kind == "time" and isinstance(value, int):
        return f"'{_time(value)}'"
    return _matched(_NUMBER, format(value, "f") if not isinstance(value, int) else str(int(value)))


def _text(column: Declared, value: str) -> str:
    literal = f"_utf8mb4 X'{value.encode().hex()}'"
    if column.charset is None:  # an exact number beyond the lake's digits, which is a text there
        return _matched(_NUMBER, value)
    return f"CONVERT({literal} USING {_word(column.charset)}) COLLATE {_word(column.collation)}"


def _time(micros: int) -> str:
    seconds, rest = divmod(abs(micros), 1_000_000)
    clock = timedelta(seconds=seconds % 3600)
    sign = "-" if micros < 0 else ""
    return f"{sign}{seconds // 3600:02}:{str(clock)[2:]}.{rest:06}"


def _matched(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise TerminalError(
            "a key value has not the form of its column's type",
            hint="the column was changed meanwhile? start the load again",
        )
    return text


def _hex(text: str) -> str:
    return _matched(re.compile("[0-9A-Fa-f]*"), text)


def _word(name: str | None) -> str:
    return _matched(re.compile(r"\w+"), name or "")
