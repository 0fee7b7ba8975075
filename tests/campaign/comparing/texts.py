"""The one text of a value, made from what a database prints on one side, and from an Arrow array on the other.

Text is as it is; numbers have all their digits; a moment is ``2024-05-06 07:08:09.000010``, an instant ends in ``Z``;
bytes are hexadecimal; JSON is its content, whatever the order of names and the spaces.
"""

import json
import math
import re
import struct
import uuid
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

Text = str | None

FIRST, LAST = date(1, 1, 1).toordinal(), date(9999, 12, 31).toordinal()
EPOCH = date(1970, 1, 1).toordinal()
DAY = 86_400_000_000
INFINITE_DAYS = {2146033979: "infinity", -2147472691: "-infinity"}
"""What stands for the infinities of a date in the lake."""
INFINITE_MICROS = {2**63 - 1: "infinity", -(2**63): "-infinity"}

_MOMENT = re.compile(r"(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(\+00)?")
_CLOCK = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?")


def of_source(form: str, printed: Text) -> Text:
    """Return the text of a value that the database has printed; raises ValueError if it is none of the form."""
    return None if printed is None else _OF_SOURCE.get(form, _same)(printed)


def of_lake(form: str, found: Text) -> Text:
    """Return the text of a value of the lake, whose source column has the form."""
    return canonical_json(found) if form == "json" and found is not None else found


def canonical_json(text: str) -> str:
    """Return what a JSON text says: names in order, doubled ones kept, numbers by their value."""
    said = json.loads(text, object_pairs_hook=_pairs, parse_float=_number, parse_int=_number)
    return json.dumps(said, ensure_ascii=False)


def of_array(array: Any) -> list[Text]:
    """Return the texts of an Arrow array; raises TypeError for a type that no table of the campaign has."""
    kind = array.type
    if pa.types.is_date32(kind):
        return _each(array.cast(pa.int32()), _day)
    if pa.types.is_timestamp(kind):
        mark = "Z" if kind.tz else ""
        factor = {"s": 1_000_000, "ms": 1000, "us": 1}[kind.unit]
        return _each(array.cast(pa.int64()), lambda value: _moment(value * factor, mark))
    return _each(array, _printer(kind))


def sort_of(kind: Any) -> str:
    """Return what sort of values an Arrow type has, in the words of ``SORTS``."""
    for sort, fits in _SORTS.items():
        if fits(kind):
            return sort
    raise TypeError(f"no table of the campaign has a column of Arrow type {kind}")


SORTS = {
    "integer": ("integer", "decimal"),  # MySQL's unsigned bigint has 20 digits
    "time": ("integer",),
    "single": ("single",),
    "double": ("double",),
    "decimal": ("decimal",),
    "boolean": ("boolean",),
    "text": ("text",),
    "json": ("text",),
    "binary": ("binary",),
    "date": ("date",),
    "moment": ("moment",),
    "instant": ("instant",),
}
"""For each form of a source column what its column in the lake may be."""


def _each(array: Any, printed: Callable[[Any], str]) -> list[Text]:
    return [None if value is None else printed(value) for value in array.to_pylist()]


def _printer(kind: Any) -> Callable[[Any], str]:
    printers: dict[str, Callable[[Any], str]] = {
        "boolean": lambda value: "true" if value else "false",
        "integer": str,
        "single": _double,
        "double": _double,
        "decimal": lambda value: format(value, "f"),
        "text": lambda value: str(uuid.UUID(bytes=value)) if isinstance(value, bytes) else str(value),
        "binary": lambda value: value.hex(),
    }
    return printers[sort_of(kind)]


def _is_instant(kind: Any) -> bool:
    return bool(pa.types.is_timestamp(kind)) and kind.tz is not None


def _is_uuid(kind: Any) -> bool:
    return bool(pa.types.is_fixed_size_binary(kind)) and kind.byte_width == 16


_SORTS: dict[str, Callable[[Any], bool]] = {
    "boolean": pa.types.is_boolean,
    "integer": pa.types.is_integer,
    "single": pa.types.is_float32,
    "double": pa.types.is_float64,
    "decimal": pa.types.is_decimal,
    "text": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_uuid(kind),
    "binary": lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
    "date": pa.types.is_date32,
    "instant": _is_instant,
    "moment": pa.types.is_timestamp,
}


def _same(printed: str) -> str:
    return printed


def _double(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(value)


def _single(value: float) -> str:
    return _double(struct.unpack("<f", struct.pack("<f", value))[0])


def _day(days: int) -> str:
    if days in INFINITE_DAYS:
        return INFINITE_DAYS[days]
    if not FIRST <= days + EPOCH <= LAST:
        return f"day {days}"
    return date.fromordinal(days + EPOCH).isoformat()


def _moment(micros: int, mark: str) -> str:
    if micros in INFINITE_MICROS:
        return INFINITE_MICROS[micros] + mark
    days, rest = divmod(micros, DAY)
    seconds, fraction = divmod(rest, 1_000_000)
    return f"{_day(days)} {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}{mark}"


def _printed_moment(text: str) -> str:
    if text in INFINITE_MICROS.values():
        return text
    found = _MOMENT.fullmatch(text)
    if found is None or found[4]:
        raise ValueError("not a moment without a zone")
    return f"{found[1]} {found[2]}.{(found[3] or '').ljust(6, '0')}"


def _printed_instant(text: str) -> str:
    return _printed_moment(text.removesuffix("+00")) + "Z"


def _printed_time(text: str) -> str:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError("not a time of day")
    seconds = int(found[2]) * 3600 + int(found[3]) * 60 + int(found[4])
    micros = seconds * 1_000_000 + int((found[5] or "").ljust(6, "0"))
    return str(-micros if found[1] else micros)


def _pairs(pairs: list[tuple[str, Any]]) -> list[Any]:
    return ["object", *sorted(([name, value] for name, value in pairs), key=json.dumps)]


def _number(text: str) -> dict[str, str]:
    return {"number": str(Decimal(text).normalize())}


_OF_SOURCE: dict[str, Callable[[str], str]] = {
    "integer": lambda text: str(int(text)),
    "single": lambda text: _single(float(text)),
    "double": lambda text: _double(float(text)),
    "json": canonical_json,
    "moment": _printed_moment,
    "instant": _printed_instant,
    "time": _printed_time,
}
