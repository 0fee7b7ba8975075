"""Rows of the lake as Spark digests them (``cdc.core.fingerprint``): texts, sums and ranges as a database's."""

import re
from collections.abc import Mapping, Sequence

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from cdc.core.canonical import NEGATIVE_INFINITY
from cdc.core.ddl import members
from cdc.core.fingerprint import END, MARK, NULL, Fingerprint, KeyRange, Rendering
from cdc.core.names import quote

_BEFORE_ANY_CALENDAR = "-9999-01-01 00:00:00"
"""What is before is the least value, that stands for an infinity, and cannot be made an instant of."""


def text_of(name: str, column_type: str, rendering: Rendering) -> Column:
    """Return the text of a column that is digested; null for null."""
    return _text(_column(name), column_type, rendering)


def _text(column: Column, column_type: str, rendering: Rendering = Rendering.PLAIN) -> Column:
    kind = re.split(r"[(<]", column_type, maxsplit=1)[0]
    match kind:
        case "list":
            element = column_type[5:-1]
            items = f.transform(column, lambda one: joined([_text(one, element)]))
            return f.when(column.isNotNull(), f.array_join(items, ""))
        case "struct":
            parts = [_text(column.getField(name), member) for name, member in members(column_type)]
            return f.when(column.isNotNull(), joined(parts))
        case "float" | "double":
            return _bits(column, kind)
        case "binary":
            return f.lower(f.hex(column))
        case "date":
            return f.unix_date(column).cast("string")
        case "timestamptz":
            return f.unix_micros(column).cast("string")
        case "timestamp":
            micros = f.unix_micros(column.cast("timestamp")).cast("string")
            least = column < f.lit(_BEFORE_ANY_CALENDAR).cast("timestamp_ntz")
            return f.when(least, NEGATIVE_INFINITY).when(column.isNotNull(), micros)
        case "string" if rendering is Rendering.NUMBER:
            return f.when(column.rlike(r"^-?\d+\.\d*$"), f.regexp_replace(column, r"\.?0*$", "")).otherwise(column)
        case _:
            return column.cast("string")


def joined(texts: Sequence[Column]) -> Column:
    """Return the texts of a row, or of its key, as one."""
    parts = [f.coalesce(f.concat(f.replace(x, f.lit(MARK), f.lit(MARK * 2)), f.lit(END)), f.lit(NULL)) for x in texts]
    return f.concat(*parts)


def digested(
    rows: DataFrame, key: Sequence[str], types: Mapping[str, str], columns: Mapping[str, Rendering]
) -> DataFrame:
    """Return rows with their digests, for ``digests_of`` and ``fingerprints``, beside the columns that they have."""
    texts = {name: text_of(name, types[name], rendering) for name, rendering in columns.items()}
    digits = f.md5(joined(list(texts.values())))
    with_digits = rows.select("*", joined([texts[name] for name in key]).alias(KEY), digits.alias(_DIGITS))
    return with_digits.select("*", *(_half(start).alias(name) for name, start in ((_FIRST, 1), (_SECOND, 17))))


def digests_of(rows: DataFrame, *more: str) -> DataFrame:
    """Return ``key, first, second`` of rows that are ``digested``, and ``more`` of their columns."""
    names = ((KEY, "key"), (_FIRST, "first"), (_SECOND, "second"))
    return rows.select(*(f.col(own).alias(name) for own, name in names), *map(_column, more))


def fingerprints(rows: DataFrame, types: Mapping[str, str], ranges: Sequence[KeyRange]) -> DataFrame:
    """Return ``number, rows, first, second`` of those of the ranges that have rows; of rows that are ``digested``."""
    halves = ((_FIRST, "first"), (_SECOND, "second"))
    sums = (f.sum(f.col(own).cast("decimal(20, 0)")).cast("string").alias(name) for own, name in halves)
    numbered = rows.select(number_of(types, ranges).alias("number"), _FIRST, _SECOND)
    return numbered.groupBy("number").agg(f.count("*").alias("rows"), *sums)


def fingerprints_of(rows: DataFrame, types: Mapping[str, str], ranges: Sequence[KeyRange]) -> list[Fingerprint]:
    """Return the fingerprint of each of the ranges; of rows that are ``digested``."""
    sums = fingerprints(rows, types, ranges).collect()
    found = {row["number"]: Fingerprint.of(row["rows"], row["first"], row["second"]) for row in sums}
    return [found.get(number, Fingerprint()) for number in range(len(ranges))]


def number_of(types: Mapping[str, str], ranges: Sequence[KeyRange]) -> Column:
    """Return which of the ranges a row is in; they are as ``ranges_between`` makes them."""
    if len(ranges) == 1:
        return f.lit(0)
    first = ranges[0]
    kind = "decimal(20, 0)" if first.numbers and types[first.column].startswith("decimal") else "bigint"
    value = _column(first.column)
    value = value.cast(kind) if first.numbers else _by_characters(value, types[first.column])
    depth = (len(ranges) - 1).bit_length()
    bounds = [one.through for one in ranges[:-1]]
    bounds += [None] * (2**depth - len(bounds))
    literals = f.lit(bounds).cast(f"array<{kind if first.numbers else 'string'}>")
    steps = f.lit([2**n for n in reversed(range(depth))])
    # A binary search: greater than a bound that is null is nothing.
    return f.aggregate(
        steps, f.lit(0), lambda at, step: at + f.when(value > f.get(literals, at + step - 1), step).otherwise(0)
    )


NO_DIGESTS = pa.schema([("key", pa.string()), ("first", pa.int64()), ("second", pa.int64())]).empty_table()
"""What ``digests_of`` no rows are."""

KEY, _DIGITS, _FIRST, _SECOND = "_cdc_key", "_cdc_digits", "_cdc_first", "_cdc_second"
"""Columns of rows that are ``digested``; the first is their key, joined."""


def _by_characters(column: Column, column_type: str) -> Column:
    return f.lower(f.hex(column)) if column_type == "binary" else column


def _half(start: int) -> Column:
    return f.conv(f.substring(_DIGITS, start, 15), 16, 10).cast("bigint")


def _bits(column: Column, kind: str) -> Column:
    to_bits, of, width = (
        ("floatToIntBits", "java.lang.Float", 8) if kind == "float" else ("doubleToLongBits", "java.lang.Double", 16)
    )
    bits = f.java_method(f.lit(of), f.lit(to_bits), column).cast("bigint")
    digits = f.right(f.lpad(f.hex(bits), 16, "0"), f.lit(width))
    return f.when(column.isNotNull(), f.lower(digits))


def _column(name: str) -> Column:
    return f.col(quote(name, "`"))


def differing(source: pa.Table, lake: pa.Table) -> list[str]:
    """Return the keys whose digests differ (``key, first, second``), or that only one of both has."""
    told = ["first", "second"]
    both = source.join(lake.rename_columns(["key", "there_first", "there_second"]), "key", join_type="full outer")
    alike = [pc.fill_null(pc.equal(both[name], both[f"there_{name}"]), fill_value=False) for name in told]
    keys: list[str] = both.filter(pc.invert(pc.and_(*alike)))["key"].to_pylist()
    return keys
