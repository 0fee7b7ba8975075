"""Arrow columns as ADBC reads them from PostgreSQL, made into the lake's values; a column at a time.

A function takes the columns that a reading asked for and returns one. ValueError, and Arrow's that is one, says that a
value has no place in the lake. Only hstore is made value by value.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.arrow import plain_type

Make = Callable[[Sequence[pa.Array]], pa.Array]

# PostgreSQL counts from 2000-01-01, and ADBC adds the difference without looking: what stands for infinity, and what is
# too far ahead for microseconds since 1970, wraps around to before 4714-11-24 BC, where PostgreSQL's calendar begins.
_EPOCH_DAYS, _EPOCH_MICROS = 10_957, 946_684_800_000_000
_FIRST_DAY, _FIRST_MICRO = -2_440_588, -210_866_803_200_000_000
_MINUS_DAY, _PLUS_DAY = -(2**31) + _EPOCH_DAYS, -(2**31) + _EPOCH_DAYS - 1
_MINUS_MICRO, _PLUS_MICRO = -(2**63) + _EPOCH_MICROS, -(2**63) + _EPOCH_MICROS - 1
_STREAMED_PLUS_DAY = 2_146_033_979
"""The day that Debezium makes of ``infinity`` from the log (P40); of ``-infinity`` it makes ADBC's."""


def fitted(column: pa.Array, target: str) -> pa.Array:
    """Return a column in the Arrow type of an Iceberg type; structs are made in theirs."""
    if target.startswith("struct<"):
        return column
    wanted = arrow_type(target)
    return column if column.type == wanted else column.cast(wanted)


def arrow_type(target: str) -> pa.DataType:
    """Return the Arrow type of an Iceberg type that is no struct; raises KeyError for another."""
    if target.startswith("list<"):
        return pa.list_(pa.field("element", arrow_type(target[5:-1])))
    return plain_type(target)


def first(columns: Sequence[pa.Array]) -> pa.Array:
    """Return the column as it was read."""
    return columns[0]


def micros_of_day(columns: Sequence[pa.Array]) -> pa.Array:
    """Return times of the day as microseconds, ``24:00`` too (P42)."""
    return columns[0].cast(pa.int64())


def dates(columns: Sequence[pa.Array]) -> pa.Array:
    """Return dates, infinities as the log has them (P40)."""
    days = columns[0].cast(pa.int32())
    least = pc.min(days).as_py()
    if least is None or least >= _FIRST_DAY:
        return columns[0]
    return pc.if_else(pc.equal(days, _PLUS_DAY), pa.scalar(_STREAMED_PLUS_DAY, pa.int32()), days).cast(pa.date32())


def timestamps(columns: Sequence[pa.Array]) -> pa.Array:
    """Return timestamps, infinities as the greatest and least value (P39); raises for what is beyond."""
    micros = columns[0].cast(pa.int64())
    least = pc.min(micros).as_py()
    if least is None or least >= _FIRST_MICRO:
        return columns[0]
    if least < _PLUS_MICRO:
        raise ValueError("after the year 294246")
    whole = pa.scalar(2**63 - 1, pa.int64()), pa.scalar(-(2**63), pa.int64())
    rest = pc.if_else(pc.equal(micros, _MINUS_MICRO), whole[1], micros)
    return pc.if_else(pc.equal(micros, _PLUS_MICRO), whole[0], rest).cast(columns[0].type)


class Decimals:
    """Makes decimals of the declared size from texts; raises for NaN and infinity (P44)."""

    def __init__(self, precision: int, scale: int) -> None:
        self._size = precision, scale

    def __call__(self, columns: Sequence[pa.Array]) -> pa.Array:
        """Return the numbers."""
        return columns[0].cast(pa.decimal128(*self._size))


class Lists:
    """Makes lists of elements that are made alike; a second column says which are lists of lists, which none may be."""

    def __init__(self, make: Make) -> None:
        self._make = make

    def __call__(self, columns: Sequence[pa.Array]) -> pa.Array:
        """Return the lists; ADBC reads a list of lists as one of all their elements."""
        lists, nested = columns
        if pc.any(nested).as_py():
            raise ValueError("an array of arrays")
        return pa.ListArray.from_arrays(lists.offsets, self._make([lists.values]), mask=lists.is_null())


def points(columns: Sequence[pa.Array]) -> pa.Array:
    """Return Debezium's point: its coordinates, and the same as WKB."""
    x, y, wkb = columns
    fields = [pa.field("x", x.type), pa.field("y", y.type), pa.field("wkb", wkb.type), pa.field("srid", pa.int32())]
    no_srid = pa.nulls(len(x), pa.int32())
    return pa.StructArray.from_arrays([x, y, wkb, no_srid], fields=fields, mask=x.is_null())


def lines(columns: Sequence[pa.Array]) -> pa.Array:
    """Return Debezium's line: the coefficients of its equation."""
    fields = [pa.field(name, pa.float64()) for name in "abc"]
    return pa.StructArray.from_arrays(list(columns), fields=fields, mask=columns[0].is_null())


def hash_maps(columns: Sequence[pa.Array]) -> pa.Array:
    """Return JSON objects as Debezium writes hstore: without spaces, in the order of Java's hash table."""
    texts = columns[0].to_pylist()
    return pa.array([None if text is None else _hash_map(json.loads(text)) for text in texts], pa.string())


def _hash_map(pairs: Mapping[str, str | None]) -> str:
    text = json.dumps(in_java_order(pairs), ensure_ascii=False, separators=(",", ":"))
    return re.sub(r"(\\\\)|\\u([0-9a-f]{4})", lambda m: m[1] or "\\u" + m[2].upper(), text)


def in_java_order(pairs: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the pairs in the order in which Java's HashMap holds them."""
    places = 16
    while len(pairs) > places * 3 // 4:
        places *= 2
    return dict(sorted(pairs.items(), key=lambda pair: _spread(pair[0]) & (places - 1)))


def _spread(key: str) -> int:
    units = key.encode("utf-16-be")
    value = 0
    for at in range(0, len(units), 2):
        value = (value * 31 + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    return value ^ value >> 16
