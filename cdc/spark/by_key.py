"""The events of a batch by their keys, each key's in the order of their positions, without Python for each event."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

Numbers = np.ndarray[Any, Any]


class Runs(NamedTuple):
    """Numbers of events, those of a key one behind the other, and where each key's begin; keys as they came first."""

    events: Numbers
    starts: Numbers

    @property
    def newest(self) -> Numbers:
        """Return the number of each key's newest event."""
        return self.events[np.append(self.starts[1:], len(self.events)) - 1] if len(self.starts) else self.events

    def any_of(self, marked: Numbers) -> Numbers:
        """Return for each key whether one of its events is marked; ``marked`` is of all events of the batch."""
        return np.add.reduceat(marked[self.events], self.starts, dtype=np.int64) > 0 if len(self.starts) else marked[:0]

    def of(self, chosen: Numbers) -> list[list[int]]:
        """Return the numbers of the events of each chosen key, ascending."""
        ends = np.append(self.starts[1:], len(self.events))
        return [sorted(self.events[self.starts[n] : ends[n]].tolist()) for n in np.flatnonzero(chosen)]


def runs_of(numbers: Numbers, codes: Numbers, positions: pa.Array) -> Runs:
    """Return the runs of these events of a batch; codes and positions are theirs, in their order."""
    order = np.argsort(codes, kind="stable")
    sorted_codes, told = codes[order], positions.take(pa.array(order))
    begins = np.ones(len(codes), bool)
    begins[1:] = sorted_codes[1:] != sorted_codes[:-1]
    rises = pc.less_equal(told.slice(0, max(len(codes) - 1, 0)), told.slice(1)).to_numpy(zero_copy_only=False)
    if not (rises | begins[1:]).all():  # as they come mostly, a key's events follow each other
        texts = positions.to_pylist()
        order = np.array(sorted(order.tolist(), key=lambda n: (codes[n], texts[n])), np.int64)
    return Runs(numbers[order], np.flatnonzero(begins))


def key_codes(keys: pa.StructArray) -> Numbers:
    """Return a number for each key, the same for equal ones, in the order in which they come first."""
    return _codes([comparable(part) for part in keys.flatten()])


def codes_of_both(held: pa.StructArray, told: pa.StructArray) -> tuple[Numbers, Numbers]:
    """Return ``key_codes`` of keys that follow each other; of ``held`` that are all different they are 0, 1, 2, .."""
    parts = zip(held.flatten(), told.flatten(), strict=True)
    codes = _codes([pa.concat_arrays(_alike(comparable(one), comparable(other))) for one, other in parts])
    return codes[: len(held)], codes[len(held) :]


def _alike(one: pa.Array, other: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return both in the type of the first, or where that is too narrow for the second in that of the second."""
    if one.type == other.type:
        return one, other
    try:
        return one, other.cast(one.type)
    except pa.ArrowInvalid:
        return one.cast(other.type), other


def _codes(columns: Sequence[pa.Array]) -> Numbers:
    parts = [pc.dictionary_encode(column, null_encoding="encode") for column in columns]
    found = _numbered(parts[0])
    for part in parts[1:]:
        found = _numbered(pc.dictionary_encode(pa.array(found * len(part.dictionary) + _numbered(part))))
    return found


def _numbered(values: pa.DictionaryArray) -> Numbers:
    return np.asarray(values.indices.to_numpy(zero_copy_only=False), np.int64)


def comparable(values: pa.Array) -> pa.Array:
    """Return values of which two are equal where two keys are."""
    kind = values.type
    if pa.types.is_temporal(kind):  # Python's own reach from the year 1 to 9999
        return values.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    if pa.types.is_floating(kind):  # NaN equals NaN, and -0.0 equals 0.0
        return pa.array([None if value is None else repr(value + 0.0) for value in values.to_pylist()], pa.string())
    return values
