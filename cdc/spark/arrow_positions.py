"""Positions of many events at once, as texts: what ``cdc.core.positions`` makes of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.core.positions import EPOCH_DIGITS, OFFSET_DIGITS, Layout
from cdc.spark.arrow_values import Refused
from cdc.spark.decode import Epochs

Numbers = np.ndarray[Any, np.dtype[np.int64]]

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_SEQUENCE = r'^\[(?:"(?P<committed>\d+)"|null),\s*"(?P<lsn>\d+)"\]$'
_FILE = r"^(?:.*\.)?(?P<number>\d+)$"
_SCN = r"^(?P<number>\d+)$"


def position_texts(layout: Layout, epochs: Numbers, components: Sequence[Numbers], offsets: Numbers) -> pa.Array:
    """Return positions in their fixed-width form; raises Refused if a number does not fit."""
    widths = (EPOCH_DIGITS, *layout.digits, OFFSET_DIGITS)
    parts = [_hexadecimal(n, width) for n, width in zip((epochs, *components, offsets), widths, strict=True)]
    dash = np.full((len(offsets), 1), ord("-"), np.uint8)
    columns = [column for part in parts for column in (dash, part)][1:]
    whole = np.ascontiguousarray(np.hstack(columns))
    ends = np.arange(len(offsets) + 1, dtype=np.int32) * whole.shape[1]
    return pa.Array.from_buffers(pa.string(), len(offsets), [None, pa.py_buffer(ends), pa.py_buffer(whole)])


def _hexadecimal(numbers: Numbers, digits: int) -> np.ndarray[Any, Any]:
    if len(numbers) and (numbers.min() < 0 or (digits < OFFSET_DIGITS and numbers.max() >= 16**digits)):
        raise Refused("a position whose parts do not fit")
    shifts = np.arange(digits - 1, -1, -1, dtype=np.int64) * 4
    found: np.ndarray[Any, Any] = _DIGITS[(numbers[:, None] >> shifts) & 15]
    return found


def epochs_of(partitions: Numbers, offsets: Numbers, epochs: Epochs) -> Numbers:
    """Return the epoch of each message; ``epochs`` are pairs of first offset and epoch, for each partition."""
    found = np.zeros(len(offsets), np.int64)
    for partition in np.unique(partitions).tolist():
        here = partitions == partition
        pairs = sorted(epochs.get(partition, ()))
        numbers = np.array([0, *(epoch for _, epoch in pairs)], np.int64)
        starts = np.array([first for first, _ in pairs], np.int64)
        found[here] = numbers[np.searchsorted(starts, offsets[here], side="right")]
    return found


def components_of(engine: str, source: pa.StructArray, operations: pa.Array) -> list[Numbers]:
    """Return the three components of each change's position; raises Refused for a form that is not the usual one."""
    change = _numbers(pc.not_equal(operations, "r").cast(pa.int64()))
    match engine:
        case "postgres":
            parts = _parts(pc.struct_field(source, "sequence"), _SEQUENCE)
            committed = pc.struct_field(parts, "committed")
            known = pc.if_else(pc.equal(committed, ""), pa.scalar("0", committed.type), committed)
            return [_numbers(known), change, _numbers(pc.struct_field(parts, "lsn"))]
        case "mysql":
            file = pc.struct_field(_parts(pc.struct_field(source, "file"), _FILE), "number")
            return [_numbers(file), _numbers(pc.struct_field(source, "pos")), change]
        case _:
            commit, scn = pc.struct_field(source, "commit_scn"), pc.struct_field(source, "scn")
            known = pc.if_else(pc.equal(pc.fill_null(commit, ""), ""), scn, commit)
            number = pc.struct_field(_parts(known, _SCN), "number")
            return [_numbers(number), change, _numbers(pc.fill_null(pc.struct_field(source, "txSeq"), 0))]


def _parts(texts: pa.Array, form: str) -> pa.StructArray:
    found = pc.extract_regex(texts, form)
    if found.null_count:
        raise Refused("a place in the log in another form")
    return found


def _numbers(values: pa.Array) -> Numbers:
    if values.null_count:
        raise Refused("a place in the log that is not whole")
    found: Numbers = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found
