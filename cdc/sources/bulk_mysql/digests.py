"""Rows as MySQL digests them itself (``cdc.core.fingerprint``): canonical texts in SQL, their MD5, sums of it.

Floats are compared by value: the server has no function that tells their bits. So is JSON, which the log's reader
prints otherwise than the server.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa  # type: ignore[import-untyped]

from cdc.arrow import plain_type
from cdc.core.fingerprint import END, MARK, NULL, Rendering
from cdc.sources.bulk_mysql.declared import Declared
from cdc.sources.bulk_mysql.literals import BYTES, INTEGERS, TEXTS

_MICROS_OF_DAY = "TIME_TO_SEC({0}) * 1000000 + IF({0} < CAST(0 AS TIME), -1, 1) * MICROSECOND({0})"


@dataclass(frozen=True)
class Computed:
    """What is read of a range that is no column of its table, as a plain type of Iceberg's."""

    name: str
    expression: str
    target: str

    def convert(self, cells: pa.Array) -> pa.Array:
        """Return the cells as values."""
        return cells.cast(pa.string()).cast(plain_type(self.target))


def rendering(column: Declared, target: str) -> tuple[str, Rendering] | None:
    """Return the SQL of the text of a column that is digested, null for null; None if it is compared by value."""
    text = _text(column, target)
    if text is None:
        return None
    exact = column.kind == "decimal" and target == "string"
    return (_without_zeros(text), Rendering.NUMBER) if exact else (text, Rendering.PLAIN)


def _text(column: Declared, target: str) -> str | None:
    quoted, kind = column.quoted, column.kind
    if kind in INTEGERS or kind == "decimal":
        return f"CAST({quoted} + 0 AS CHAR)"  # zeros in front are how the server prints a column that is filled
    if kind in TEXTS or kind in ("enum", "set"):
        return f"CONVERT({quoted} USING utf8mb4)"
    if kind in BYTES:
        return f"LOWER(HEX({quoted}))"
    if kind == "bit":
        bits = f"LPAD(BIN({quoted} + 0), {column.width}, '0')"
        return f"ELT({quoted} + 1, 'false', 'true')" if target == "boolean" else bits
    if kind == "time":
        return f"CAST({_MICROS_OF_DAY.format(quoted)} AS CHAR)"
    if kind == "date":
        return _moment(column, f"TO_DAYS({quoted}) - 719528", "TO_DAYS({0}) - 719528")
    if kind in ("datetime", "timestamp"):
        since = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {0})"
        return _moment(column, since.format(quoted), since)
    return None


def _moment(column: Declared, number: str, of_default: str) -> str:
    """Return the text of a date; one that is none is null, or where that may not be what the stream puts in its place.

    A default that is none itself is 1970-01-01 there.
    """
    real = f"IF(DAYOFMONTH({column.quoted}) = 0 OR MONTH({column.quoted}) = 0, NULL, {number})"
    if not column.nullable:
        default = of_default.format("'" + (column.fallback or "1970-01-01").replace("'", "''") + "'")
        real = f"COALESCE({real}, {default}, 0)"
    return f"CAST({real} AS CHAR)"


def _without_zeros(text: str) -> str:
    return f"IF(INSTR({text}, '.'), TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text})), {text})"


def joined(texts: Sequence[str]) -> str:
    """Return the SQL that joins the texts of a row, or of its key, to one."""
    parts = (f"COALESCE(CONCAT(REPLACE({text}, '{MARK}', '{MARK * 2}'), '{END}'), '{NULL}')" for text in texts)
    return f"CONCAT({', '.join(parts)})"


def fingerprint_reads(texts: Sequence[str]) -> tuple[Computed, ...]:
    """Return what is read of a range for its fingerprint: one row of ``rows, first, second``, the sums as texts."""
    first, second = _halves(texts)
    sums = (Computed("first", f"SUM({first})", "string"), Computed("second", f"SUM({second})", "string"))
    return (Computed("rows", "COUNT(*)", "long"), *sums)


def digest_reads(key: Sequence[str], texts: Mapping[str, str]) -> tuple[Computed, ...]:
    """Return what is read of each row: ``key``, joined, and its digest, ``first`` and ``second``."""
    first, second = _halves(list(texts.values()))
    halves = (Computed("first", first, "long"), Computed("second", second, "long"))
    return (Computed("key", joined([texts[name] for name in key]), "string"), *halves)


def _halves(texts: Sequence[str]) -> tuple[str, str]:
    digits = f"MD5({joined(texts)})"
    return tuple(f"CAST(CONV(SUBSTR({digits}, {start}, 15), 16, 10) AS UNSIGNED)" for start in (1, 17))  # type: ignore[return-value]
