"""Keys of rows as bytes: equal exactly where a MERGE finds keys equal, whatever their types (docs/decisions/0026).

Components of a fixed width stand one after another; one of any length has its length before it, unless it is the only
one. So with the types given, no two keys have the same bytes. ``NaN`` equals itself and ``-0.0`` equals ``0.0``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

VERSION = 1
"""Of the encoding; an index made with another one is made anew."""

Kind = tuple[str, Callable[[pa.DataType], bool]]


def kind_of(of: pa.DataType) -> str | None:
    """Return what decides the bytes of a component's type; None for one that is no key here (nested, infinite)."""
    if pa.types.is_decimal(of):
        return f"decimal of scale {of.scale}"
    if pa.types.is_timestamp(of) or pa.types.is_time64(of):
        return f"microseconds of {'time' if pa.types.is_time64(of) else 'timestamp'}" if of.unit == "us" else None
    return next((name for name, fits in _PLAIN if fits(of)), None)


def encoded(components: Sequence[pa.Array]) -> pa.Array:
    """Return the keys as binary, of a fixed size where all components have one; ``components`` are columns of values.

    Raises ValueError for a null, and for a type that ``kind_of`` does not know.
    """
    columns = [_plain(one) for one in components]
    if not columns or any(one.null_count for one in columns):
        raise ValueError("a key has no value")
    if all(_width(one.type) for one in columns):
        return _joined([_fixed(one) for one in columns])
    if len(columns) == 1:
        return columns[0].cast(pa.binary())
    parts = [part for one in columns for part in _variable(one)]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))


def as_bytes(keys: pa.Array) -> list[bytes]:
    """Return encoded keys as Python has bytes."""
    if not pa.types.is_fixed_size_binary(keys.type):
        found: list[bytes] = keys.to_pylist()
        return found
    width = keys.type.byte_width
    return list(np.frombuffer(keys.buffers()[1], f"V{width}", len(keys), keys.offset * width).tolist())


def order_of(keys: pa.Array) -> np.ndarray[Any, Any]:
    """Return the numbers of the keys in the order of their bytes."""
    if pa.types.is_fixed_size_binary(keys.type) and keys.type.byte_width == 8:
        numbers = np.frombuffer(keys.buffers()[1], ">u8", len(keys), keys.offset * 8)
        return np.argsort(numbers.astype(np.uint64), kind="stable")
    return np.asarray(pc.sort_indices(keys.cast(pa.binary())))


def _plain(column: pa.Array) -> pa.Array:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return whole.storage if isinstance(whole.type, pa.ExtensionType) else whole


def _width(of: pa.DataType) -> int:
    """Return how many bytes a component of this type takes, 0 if that differs."""
    if pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_binary(of) or pa.types.is_large_binary(of):
        return 0
    if pa.types.is_decimal(of):
        return 16
    return of.byte_width if pa.types.is_fixed_size_binary(of) else 8


def _fixed(column: pa.Array) -> np.ndarray[Any, Any]:
    """Return bytes that sort as the values do, as (rows, width)."""
    kind = column.type
    if kind_of(kind) is None:
        raise ValueError(f"{kind} is not a type of keys")
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        return np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width :][: len(column) * width].reshape(
            -1, width
        )
    if pa.types.is_floating(kind):
        return _big_endian(_numbers_of_floats(column.cast(pa.float64()).to_numpy(zero_copy_only=False)))
    if pa.types.is_temporal(kind):
        column = column.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    numbers = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return _big_endian(numbers.view(np.uint64) ^ np.uint64(1 << 63))


def _numbers_of_floats(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(np.isnan(values), np.nan, values + 0.0).view(np.uint64)


def _big_endian(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return numbers.astype(">u8").view(np.uint8).reshape(-1, 8)


def _decimals(column: pa.Array) -> np.ndarray[Any, Any]:
    wide = column.cast(pa.decimal128(38, column.type.scale))
    little = np.frombuffer(wide.buffers()[1], np.uint8)[wide.offset * 16 :][: len(wide) * 16].reshape(-1, 16)
    big = little[:, ::-1].copy()
    big[:, 0] ^= 0x80
    return big


def _joined(parts: Sequence[np.ndarray[Any, Any]]) -> pa.Array:
    whole = np.ascontiguousarray(np.hstack(parts))
    rows, width = whole.shape
    return pa.Array.from_buffers(pa.binary(width), rows, [None, pa.py_buffer(whole)])


def _variable(column: pa.Array) -> list[pa.Array]:
    """Return the parts of one component among several."""
    if _width(column.type):
        return [_joined([_fixed(column)]).cast(pa.binary())]
    values = column.cast(pa.binary())
    lengths = pc.binary_length(values).to_numpy(zero_copy_only=False).astype(">u4").view(np.uint8).reshape(-1, 4)
    return [_joined([lengths]).cast(pa.binary()), values]


def _is_text(of: pa.DataType) -> bool:
    return bool(pa.types.is_string(of) or pa.types.is_large_string(of))


def _is_bytes(of: pa.DataType) -> bool:
    return bool(pa.types.is_binary(of) or pa.types.is_large_binary(of))


_PLAIN: tuple[Kind, ...] = (
    ("integer", pa.types.is_integer),
    ("floating", pa.types.is_floating),
    ("boolean", pa.types.is_boolean),
    ("date", pa.types.is_date32),
    ("text", _is_text),
    ("bytes", _is_bytes),
    ("bytes of a fixed size", pa.types.is_fixed_size_binary),
)
