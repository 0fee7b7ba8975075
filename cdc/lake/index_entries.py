"""From rows of a table to entries of its index: a key as bytes, and the place with what a later change has to know."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyiceberg.table import Table

from cdc.core.collapse import MOVED_IN
from cdc.lake.file_rows import FileRows
from cdc.lake.index_store import value_type
from cdc.lake.key_encoding import VERSION, as_bytes, encoded, kind_of, order_of
from cdc.lake.listing import NotIndexed
from cdc.lake.live_files import DataFileRows, Numbers

_POSITION, _OPERATION = "_cdc_position", "_cdc_op"


class Entries(NamedTuple):
    """Keys, and for each its place (``index_store.value_type``)."""

    keys: pa.Array
    values: np.ndarray[Any, Any]

    def ordered(self) -> "Entries":
        """Return them in the order of their keys."""
        order = order_of(self.keys)
        return Entries(self.keys.take(pa.array(order)), self.values[order])

    def bytes(self) -> list[bytes]:
        """Return the keys; raises NotIndexed if one is there more than once."""
        found = as_bytes(self.keys)
        if len(set(found)) != len(found):
            raise NotIndexed("a key is there more than once")
        return found


@dataclass(frozen=True)
class KeyColumns:
    """What an index is made of: the key columns, and so many leading characters of positions as order changes."""

    names: tuple[str, ...]
    width: int

    def signature(self, table: Table) -> str:
        """Return what decides the contents of an index of the table; raises NotIndexed for types that are no key."""
        fields = [FileRows.of(table, [name]).schema.field(0) for name in self.names]
        kinds = [kind_of(field.type) for field in fields]
        if None in kinds or not kinds:
            raise NotIndexed("its key is of a type that is not indexed" if kinds else "it has no key")
        ids = [table.schema().find_field(name).field_id for name in self.names]
        return f"{VERSION} {table.metadata.table_uuid} {list(zip(ids, kinds, strict=True))} {self.width}"

    def encoded(self, rows: pa.Table) -> pa.Array:
        """Return the keys of rows as bytes; raises NotIndexed for a null."""
        try:
            return encoded([rows[name] for name in self.names])
        except ValueError as error:
            raise NotIndexed(str(error)) from error

    def places(self, rows: pa.Table, number: int, numbers: Numbers) -> np.ndarray[Any, Any]:
        """Return the places of rows, which stand under ``numbers`` in a file; raises NotIndexed without a position."""
        if rows[_POSITION].null_count:
            raise NotIndexed("a row without a position")
        found = np.empty(rows.num_rows, value_type(self.width))
        found["file"], found["row"] = number, numbers
        found["marked"] = pc.fill_null(pc.equal(rows[_OPERATION], MOVED_IN), fill_value=False).to_numpy()
        found["position"] = fixed(rows[_POSITION], self.width)
        return found

    def of_file(self, table: Table, path: str, file: DataFileRows) -> Iterator[Entries]:
        """Return the entries of a file's living rows, piece by piece; raises NotIndexed."""
        reader, first = FileRows.of(table, [*self.names, _POSITION, _OPERATION]), 0
        for piece in reader.all(path):
            numbers = np.arange(first, first + piece.num_rows)
            first += piece.num_rows
            lives = file.lives(numbers)
            rows = piece if lives.all() else piece.filter(pa.array(lives))
            if rows.num_rows:
                yield Entries(self.encoded(rows), self.places(rows, file.number, numbers[lives]))


def together(parts: Sequence[Entries]) -> Entries:
    """Return entries of several pieces as one."""
    return Entries(pa.concat_arrays([part.keys for part in parts]), np.concatenate([part.values for part in parts]))


def fixed(texts: pa.ChunkedArray, width: int) -> np.ndarray[Any, Any]:
    """Return the first bytes of each text, padded with zeros."""
    whole = texts.combine_chunks().cast(pa.large_binary())
    lengths = pc.min_max(pc.binary_length(whole)).as_py()
    length = lengths["min"]
    if length is None or length != lengths["max"] or length < width:
        return np.array(whole.to_pylist(), f"S{width}") if len(whole) else np.empty(0, f"S{width}")
    offsets = np.frombuffer(whole.buffers()[1], np.int64, len(whole) + 1, whole.offset * 8)
    data = np.frombuffer(whole.buffers()[2], np.uint8, len(whole) * length, int(offsets[0]))
    return np.ascontiguousarray(data.reshape(-1, length)[:, :width]).view(f"S{width}").reshape(-1)
