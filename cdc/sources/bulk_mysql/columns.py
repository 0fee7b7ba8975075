"""What is read of a column, and how its text becomes the value that the stream would write.

The forms are those of Debezium (its BinlogValueConverters) under connectors/mysql.yaml, as cdc.spark.convert takes
them: the server prints, Arrow parses, nothing is rounded.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from cdc.arrow import plain_type
from cdc.core.errors import IncompatibleSchema, TerminalError
from cdc.sources.bulk_mysql.declared import Declared
from cdc.sources.bulk_mysql.literals import BYTES, INTEGERS, TEXTS

_GEOMETRIES = frozenset({
    "point", "geometry", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection",
    "geometrycollection",
})  # fmt: skip
_NUMBERS = frozenset({"int", "long", "decimal"})
_TARGETS: dict[str, frozenset[str]] = {
    **dict.fromkeys(INTEGERS, _NUMBERS),
    **dict.fromkeys(TEXTS | {"enum", "set", "json"}, frozenset({"string"})),
    **dict.fromkeys(BYTES, frozenset({"binary"})),
    **dict.fromkeys(_GEOMETRIES, frozenset({"struct"})),
    "decimal": frozenset({"decimal", "string"}),
    "float": frozenset({"float", "double"}),
    "double": frozenset({"double"}),
    "bit": frozenset({"boolean", "string"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"timestamp"}),
    "timestamp": frozenset({"timestamptz"}),
    "time": frozenset({"long"}),
}
"""Which kinds of targets a type is read for."""


@dataclass(frozen=True)
class Read:
    """A column to read: its declaration and the Iceberg type of the target."""

    column: Declared
    target: str

    @property
    def name(self) -> str:
        """Return the column's name."""
        return self.column.name

    @property
    def expression(self) -> str:
        """Return the SQL that prints the value."""
        quoted, kind = self.column.quoted, self.column.kind
        if kind in ("float", "double"):  # else printed with six digits, or with those declared; "+ 0" would lose -0
            return f"{quoted} - 0e0"
        if kind == "bit":
            text = f"LPAD(BIN({quoted} + 0), {self.column.width}, '0')"
            return f"{quoted} + 0" if self.target == "boolean" else text
        if kind == "time":
            fraction = f"IF({quoted} < CAST(0 AS TIME), -1, 1) * MICROSECOND({quoted})"
            return f"TIME_TO_SEC({quoted}) * 1000000 + {fraction}"
        return quoted

    def convert(self, cells: pa.Array) -> pa.Array:
        """Return the cells as the target's values; raises TerminalError if one does not fit."""
        try:
            return _converter(self.target)(self, cells)
        except (pa.ArrowInvalid, OverflowError):
            what = f"a value of column {self.column.name!r} ({self.column.declared}) does not fit {self.target}"
            raise TerminalError(what, hint="has the source's column changed its type?") from None


def read_of(column: Declared, target: str) -> Read:
    """Return how to read a column for a target type; raises IncompatibleSchema where that is not known."""
    if re.split(r"[<(]", target)[0] not in _TARGETS.get(column.kind, ()):
        what = f"column {column.name!r} of type {column.declared} cannot be read in bulk as {target}"
        raise IncompatibleSchema(what, hint="exclude it, or let the connector read the table (snapshot: connector)")
    return Read(column, target)


def arrow_type(target: str) -> pa.DataType:
    """Return the Arrow type of an Iceberg type that a MySQL column can have."""
    if target.startswith("struct<"):
        fields = (part.split(": ") for part in target[7:-1].split(", "))
        return pa.struct([(name, arrow_type(kind)) for name, kind in fields])
    return plain_type(target)


def _parsed(read: Read, cells: pa.Array) -> pa.Array:
    return cells.cast(pa.string()).cast(arrow_type(read.target))


def _single(_: Read, cells: pa.Array) -> pa.Array:
    # The server prints the double of the same value: read back as a double nothing is rounded twice.
    return cells.cast(pa.string()).cast(pa.float64()).cast(pa.float32())


def _moment(read: Read, cells: pa.Array) -> pa.Array:
    texts = cells.cast(pa.string())
    try:
        return texts.cast(_naive(read.target)).cast(arrow_type(read.target))
    except pa.ArrowInvalid:  # perhaps a zero date, which the stream has as null, or in a NOT NULL column as the default
        found = pc.if_else(_zero(texts), None, texts)
        values = found.cast(_naive(read.target))
        return (values if read.column.nullable else _filled(read, values)).cast(arrow_type(read.target))


def _zero(texts: pa.Array) -> pa.Array:
    month, day = (pc.utf8_slice_codeunits(texts, start, start + 2) for start in (5, 8))
    return pc.or_(pc.equal(month, "00"), pc.equal(day, "00"))


def _filled(read: Read, values: pa.Array) -> pa.Array:
    default = pa.array([read.column.fallback or "1970-01-01"], pa.string())
    real = pc.if_else(_zero(default), "1970-01-01", default)
    return values.fill_null(real.cast(values.type)[0])


def _naive(target: str) -> pa.DataType:
    return pa.date32() if target == "date" else pa.timestamp("us")


def _geometry(read: Read, cells: pa.Array) -> pa.Array:
    """Return Debezium's struct from four bytes of SRID and the WKB that follows; SRID 0 is none."""
    srid = _fixed(cells, 0, "<i4")
    parts = {
        "wkb": pc.binary_slice(cells, 4),
        "srid": pa.array(srid, pa.int32(), mask=srid == 0),
    }
    if read.column.kind == "point":
        parts |= {"x": pa.array(_fixed(cells, 9, "<f8")), "y": pa.array(_fixed(cells, 17, "<f8"))}
    kind = arrow_type(read.target)
    missing = cells.is_null() if cells.null_count else None
    return pa.StructArray.from_arrays([parts[field.name] for field in kind], fields=list(kind), mask=missing)


def _fixed(cells: pa.Array, start: int, kind: str) -> "np.ndarray[tuple[int], np.dtype[np.generic]]":
    size = np.dtype(kind).itemsize
    found = pc.binary_slice(cells, start, start + size).fill_null(bytes(size))
    return np.frombuffer(b"".join(found.to_pylist()), kind)


def _converter(target: str) -> Callable[[Read, pa.Array], pa.Array]:
    if target.startswith("struct<"):
        return _geometry
    special: dict[str, Callable[[Read, pa.Array], pa.Array]] = {
        "binary": lambda _, cells: cells,
        "float": _single,
        "date": _moment,
        "timestamp": _moment,
        "timestamptz": _moment,
    }
    return special.get(target, _parsed)
