"""The canonical text of values, so that a row of a database and a row of the lake can be compared as text.

boolean ``true``/``false``; integers and decimals in plain digits, decimals with all digits of their scale; float and
double as the shortest text that reads back as the same double; binary as hexadecimal; date as days, time as
microseconds of the day, timestamps as microseconds, all since 1970-01-01 without a calendar's limits; lists as JSON of
their elements' text, structs of their members'. Everything else is the text that the database prints.
"""

import json
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

POSITIVE_INFINITY = "9223372036854775807"
NEGATIVE_INFINITY = "-9223372036854775808"
"""Microseconds that stand for ``infinity`` and ``-infinity``, as Debezium writes them in microseconds."""
_INFINITE_DAYS = {"infinity": "2146033979", "-infinity": "-2147472691"}
"""Days that stand for them in a date, as Debezium writes them from the log."""

_DATE = re.compile(r"(\d{4,})-(\d\d)-(\d\d)")
_TIME = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_MICROS_OF_DAY = 86_400_000_000


class Form(Enum):
    """What counts as equal beside the same text: numbers of one value, JSON of one content, or nothing.

    BITS leaves leading zeros out: Debezium does not tell the length of a ``bit varying`` value.
    """

    TEXT = "text"
    NUMBER = "number"
    JSON = "json"
    BITS = "bits"


@dataclass(frozen=True)
class Column:
    """A column of canonical texts."""

    name: str
    form: Form = Form.TEXT


PART = "_cdc_part"
"""Last column of a source of which a part was loaded: ``true`` for the rows that are of it."""


def same(form: Form, left: str | None, right: str | None) -> bool:
    """Return whether two canonical texts of a column mean the same value."""
    if left == right:
        return True
    if left is None or right is None or form is Form.TEXT:
        return False
    try:
        return normal(form, left) == normal(form, right)
    except (ArithmeticError, ValueError):
        return False


def normal(form: Form, text: str) -> str:
    """Return the one text of all that mean the same value; raises ArithmeticError or ValueError for none of them."""
    return text if form is Form.TEXT else _NORMAL[form](text)


def _number(text: str) -> str:
    value = Decimal(text)
    if not value.is_finite():
        return str(value)
    digits = format(value, "f")
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) or "0"


def _json(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)


_NORMAL: Mapping[Form, Callable[[str], str]] = {
    Form.NUMBER: _number,
    Form.JSON: _json,
    Form.BITS: lambda text: text.lstrip("0"),
}


def double_text(value: float) -> str:
    """Return the text of a double; every NaN is the same."""
    return "NaN" if value != value else repr(value)  # noqa: PLR0124


def single_text(value: float) -> str:
    """Return the text of the single-precision number nearest to the value."""
    return double_text(struct.unpack("<f", struct.pack("<f", value))[0])


def days(text: str) -> int:
    """Return the days since 1970-01-01 of ``YYYY-MM-DD`` (proleptic Gregorian), years before 1 with ``BC``."""
    match = _DATE.match(text)
    if match is None:
        raise ValueError("not a date")
    year = 1 - int(match[1]) if text.endswith(" BC") else int(match[1])
    month, day = int(match[2]), int(match[3])
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def day(text: str) -> str:
    """Return the days since 1970-01-01 of a date as PostgreSQL prints it, or of an infinity."""
    return _INFINITE_DAYS.get(text) or str(days(text))


def micros_of_time(text: str) -> int:
    """Return the microseconds of ``[-]HH:MM:SS[.ffffff]``, which may exceed a day."""
    match = _TIME.match(text)
    if match is None:
        raise ValueError("not a time")
    seconds = int(match[2]) * 3600 + int(match[3]) * 60 + int(match[4])
    micros = seconds * 1_000_000 + int((match[5] or "0").ljust(6, "0"))
    return -micros if match[1] else micros


def micros(text: str) -> str:
    """Return the microseconds since 1970-01-01 of ``YYYY-MM-DD HH:MM:SS[.ffffff]`` in UTC, or of an infinity."""
    if text.endswith("infinity"):
        return NEGATIVE_INFINITY if text.startswith("-") else POSITIVE_INFINITY
    return str(days(text) * _MICROS_OF_DAY + micros_of_time(text[text.index(" ") + 1 :]))


def list_text(items: Iterable[object]) -> str:
    """Return the text of a list whose elements are canonical texts, None or such lists."""
    return json.dumps(list(items), ensure_ascii=False)
