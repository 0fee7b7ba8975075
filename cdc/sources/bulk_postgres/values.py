"""How a column is read: expressions in SQL, and what is made of their columns, by the type that the source declares.

The values are those of the stream (``cdc.spark.convert``), tried against the real connector for every type here. What
the server's own output functions can do is left to them, and a type that is not named here is its text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa  # type: ignore[import-untyped]

from cdc.core.errors import IncompatibleSchema
from cdc.core.names import quote
from cdc.sources.bulk_postgres import columns as made
from cdc.sources.bulk_postgres.columns import Make

_REFUSED = "set `snapshot: connector` for the table, or exclude the column with column.exclude.list"
_ARRAY = (
    "arrays of several dimensions are carried as text: `text: [{}]` of the table, `cdc connectors apply`, then reset"
)
_NUMERIC = "NaN and infinity have no place in a decimal: correct the rows, or declare the column numeric without size"


@dataclass(frozen=True)
class Reading:
    """A column: what is read of it, what is made of that, and the Iceberg type that it ends as."""

    name: str
    target: str
    expressions: tuple[str, ...]
    make: Make
    hint: str = "compare the column's types in source and target"

    def convert(self, columns: Sequence[pa.Array]) -> pa.Array:
        """Return the lake's values; raises ValueError, or Arrow's that is one, for a value that does not fit."""
        return made.fitted(self.make(columns), self.target)


def reading(name: str, declared: str, target: str) -> Reading:
    """Return how a column is read; raises IncompatibleSchema for a type that cannot be read as the stream writes it."""
    column, domain = quote(name), declared.startswith("domain ")
    if declared.endswith("[]") and target == "string":
        return Reading(name, target, (_PRINTED.format(column),), made.first)
    if declared.endswith("[]"):
        found = _array(column, declared.removesuffix("[]"))
    else:
        found = _scalar(column, declared.removeprefix("domain "), domain=domain)
    if found is None:
        what = f"column {name!r} has type {declared}, which is not loaded as the stream would write it"
        raise IncompatibleSchema(what, hint=_REFUSED)
    if target.startswith("decimal"):
        return Reading(name, target, *found, hint=_NUMERIC)
    if target.startswith("list"):
        return Reading(name, target, *found, hint=_ARRAY.format(name))
    return Reading(name, target, *found)


def split(declared: str) -> tuple[str, tuple[int, ...]]:
    """Return a type's name and arguments: ``timestamp(3) with time zone`` has a name around its argument."""
    match = re.fullmatch(r"([^(]+?) ?(?:\((-?\d+(?:,-?\d+)?)\))?((?: with(?:out)? time zone)?)", declared)
    if match is None:
        return declared, ()
    return match[1] + match[3], tuple(map(int, match[2].split(","))) if match[2] else ()


def _scalar(column: str, declared: str, *, domain: bool) -> tuple[tuple[str, ...], Make] | None:
    base, arguments = split(declared)
    if base.startswith("interval"):  # its fields may be named: interval day to second
        return (_INTERVAL.format(column),), made.first
    if base == "numeric":
        precision, scale = (*arguments, 0, 0)[:2]
        exact = not domain and 0 <= scale <= precision <= 38 and precision > 0
        return (f"{column}::text",), made.Decimals(precision, scale) if exact else made.first
    if base == "bit":
        return (f"{column} = B'1'" if arguments in ((), (1,)) else f"{column}::text",), made.first
    if base in _GEOMETRIES or _of_extension(base):
        return None
    expressions, make = _SCALARS.get(base, ((_PRINTED,), made.first))
    return tuple(expression.format(column) for expression in expressions), make


def _array(column: str, declared: str) -> tuple[tuple[str, ...], Make] | None:
    base, _ = split(declared)
    base = "interval" if base.startswith("interval") else base
    if _of_extension(base):
        return None
    expression, make = _ELEMENTS.get(base, ("{}::text::text[]", made.first))
    # A slice begins at 1, whatever the array does; ADBC reads no others.
    return (f"({expression.format(column)})[:]", f"array_ndims({column}) > 1"), made.Lists(make)


def _of_extension(base: str) -> bool:
    return base.partition("(")[0].rpartition(".")[2] in _EXTENSION_TYPES


# An output function prints more than a cast to text does: no prefix length of a host, and a document's declaration.
_SPECIAL = {"inet": "textin(inet_out({}))", "xml": "textin(xml_out({}))"}
_PRINTED = "{}::text"
_INTERVAL = (
    "'P' || date_part('year', {0})::int || 'Y' || date_part('month', {0})::int || 'M' || date_part('day', {0})::int"
    " || 'DT' || date_part('hour', {0})::bigint || 'H' || date_part('minute', {0})::int"
    " || 'M' || trim_scale(date_part('second', {0})::numeric(8, 6)) || 'S'"
)
# Without the offset, +00; the end of UTC's own day is one.
_UTC = "CASE WHEN {0} = '24:00+00' THEN '24:00:00' ELSE left(({0} AT TIME ZONE 'UTC')::text, -3) END || 'Z'"
_EACH = (  # of the elements, {1}
    "CASE WHEN {0} IS NOT NULL THEN ARRAY(SELECT {1} FROM unnest({0}) WITH ORDINALITY AS e (v, n) ORDER BY n) END"
)
_UTC_EACH = _EACH.format("{0}", _UTC.format("e.v"))
_INTERVAL_EACH = _EACH.format("{0}", _INTERVAL.format("e.v"))
# Little endian: the order of bytes, the type of a point, its coordinates; float8send is big endian.
_WKB = (
    "CASE WHEN {0} IS NOT NULL THEN '\\x0101000000'::bytea"
    + "".join(
        f" || substring(float8send({{0}}[{axis}]), {byte}, 1)" for axis in (0, 1) for byte in (8, 7, 6, 5, 4, 3, 2, 1)
    )
    + " END"
)
_LINE = tuple(f"split_part(btrim({{0}}::text, '{{{{}}}}'), ',', {i})::float8" for i in (1, 2, 3))
_GEOMETRIES = ("box", "lseg", "path", "polygon", "circle")
_EXTENSION_TYPES = ("geometry", "geography", "vector", "halfvec", "sparsevec", "isbn")
"""What Debezium makes structs of, and nothing here does."""
_PLAIN = (
    *("boolean", "smallint", "integer", "bigint", "real", "double precision"),
    *("character", "bpchar", "character varying", "text", "name", "bytea"),
)
_SCALARS: Mapping[str, tuple[tuple[str, ...], Make]] = {
    **dict.fromkeys(_PLAIN, (("{}",), made.first)),
    **{base: ((expression,), made.first) for base, expression in _SPECIAL.items()},
    "oid": (("{}::bigint",), made.first),
    "money": (("{}::numeric::text",), made.first),
    "date": (("{}",), made.dates),
    "time without time zone": (("{}",), made.micros_of_day),
    "time with time zone": ((_UTC,), made.first),
    "timestamp without time zone": (("{}",), made.timestamps),
    "timestamp with time zone": (("{}",), made.timestamps),
    "hstore": (("{}::json::text",), made.hash_maps),
    "point": (("{}[0]", "{}[1]", _WKB), made.points),
    "line": (_LINE, made.lines),
}
_ELEMENTS: Mapping[str, tuple[str, Make]] = {
    **dict.fromkeys(_PLAIN, ("{}", made.first)),
    "box": ("{}::text[]", made.first),  # whose separator is a semicolon
    "hstore": ("{}::json[]::text[]", made.hash_maps),
    "oid": ("{}::bigint[]", made.first),
    "date": ("{}", made.dates),
    "time without time zone": ("{}", made.micros_of_day),
    "time with time zone": (_UTC_EACH, made.first),
    "interval": (_INTERVAL_EACH, made.first),
    "timestamp without time zone": ("{}", made.timestamps),
    "timestamp with time zone": ("{}", made.timestamps),
}
