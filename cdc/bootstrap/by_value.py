"""Rows compared by their values, where a database cannot digest them: columns of Arrow beside each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.core.canonical import Form, same
from cdc.core.fingerprint import joined
from cdc.lake.rows import texts
from cdc.spark.by_key import Numbers, codes_of_both


def differing_values(source: pa.Table, lake: pa.Table, key: Sequence[str], forms: Mapping[str, Form]) -> Iterator[str]:
    """Yield the joined keys that both have and whose other columns differ."""
    if not (source.num_rows and lake.num_rows):
        return
    ours, theirs = _rows_of_both(source, lake, key)
    left, right = source.take(pa.array(ours)), lake.take(pa.array(theirs))
    differs = np.zeros(len(ours), bool)
    for name in source.column_names:
        if name not in key:
            differs |= _differs(left[name].combine_chunks(), right[name].combine_chunks(), forms.get(name, Form.TEXT))
    yield from joined_keys(left.filter(pa.array(differs)), key)


def _rows_of_both(source: pa.Table, lake: pa.Table, key: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Return the numbers of the rows of keys that both have, in one order."""
    structs = [_struct(rows, key) for rows in (source, lake)]
    ours, theirs = codes_of_both(*structs)
    places = np.full(int(max(ours.max(), theirs.max())) + 1, -1, np.int64)
    places[theirs] = np.arange(len(theirs))
    there = places[ours] >= 0
    return np.flatnonzero(there), places[ours][there]


def _struct(rows: pa.Table, key: Sequence[str]) -> pa.StructArray:
    columns = [rows[name].combine_chunks() for name in key]
    return pa.StructArray.from_arrays(columns, names=list(key))


def _differs(left: pa.Array, right: pa.Array, form: Form) -> np.ndarray[Any, Any]:
    """Return which values differ; those that Arrow does not find alike are compared as texts."""
    try:
        alike = pc.fill_null(pc.equal(left, right.cast(left.type)), fill_value=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # lists, structs
        alike = np.zeros(len(left), bool)
    doubtful = np.flatnonzero(~alike)
    chosen = pa.array(doubtful)
    pairs = zip(texts(left.take(chosen)), texts(right.take(chosen)), strict=True)
    found = np.zeros(len(left), bool)
    found[doubtful] = [not same(form, a, b) for a, b in pairs]
    return found


def joined_keys(rows: pa.Table, key: Sequence[str]) -> list[str]:
    """Return the keys of rows as joined texts."""
    return [joined(values) for values in zip(*(column_texts(rows[name]) for name in key), strict=True)]


def column_texts(column: pa.ChunkedArray) -> list[str | None]:
    """Return the canonical texts of a column."""
    return [text for chunk in column.chunks for text in texts(chunk)]


def key_values(keys: Sequence[Sequence[str | None]], kinds: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return keys of canonical texts as Python values of the columns' Iceberg types."""
    makers = [_VALUES.get(kind.partition("(")[0], str) for kind in kinds]
    return [tuple(make(text or "") for make, text in zip(makers, one, strict=True)) for one in keys]


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - without a time zone, as the column is

_VALUES: Mapping[str, Callable[[str], Any]] = {
    "boolean": lambda text: text == "true",
    "int": int,
    "long": int,
    "decimal": Decimal,
    "float": float,
    "double": float,
    "binary": bytes.fromhex,
    "date": lambda text: date(1970, 1, 1) + timedelta(days=int(text)),
    "timestamp": lambda text: _EPOCH + timedelta(microseconds=int(text)),
    "timestamptz": lambda text: (_EPOCH + timedelta(microseconds=int(text))).replace(tzinfo=UTC),
}
