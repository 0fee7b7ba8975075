"""Cutting a table into ranges: evenly where the database says that this is even, else at quantiles that it finds."""

from collections.abc import Iterator, Sequence
from math import ceil

from cdc.core.fingerprint import WHOLE, KeyRange, ranges_between
from cdc.core.load import Range
from cdc.core.names import quote
from cdc.sources.bulk_mysql.connection import rows
from cdc.sources.bulk_mysql.declared import Declared, Index, Table
from cdc.sources.bulk_mysql.literals import CUTTABLE, INTEGERS, from_printed, printed
from cdc.sources.bulk_mysql.protocol import PacketConnection

_UNEVEN = 4
"""Times the wanted rows that a range may have by the database's own estimate."""

Literals = tuple[str, ...]


def cut(
    connection: PacketConnection, table: Table, key: Sequence[str], rows_: int, per_range: int
) -> tuple[Range, ...]:
    """Return the ranges of a table with about ``rows_`` rows; the first and the last have no bound."""
    index = table.index(key)
    parts = _cuttable(index)
    # A row whose primary key is not the target's key may move from one range to another meanwhile.
    ordered = table.clustered_by(key)
    count = ceil(rows_ / max(per_range, 1))
    if count <= 1 or index is None or not parts:
        return (Range(0, table.name, "", rows_, ordered=ordered),)
    predicates = _evenly(connection, table, parts[0], count, per_range)
    if predicates is None:
        bounds = list(_quantiles(connection, table, Index(index.name, parts), per_range))
        predicates = between(parts, bounds)
    each = ceil(rows_ / len(predicates))
    return tuple(Range(n, table.name, one, each, ordered=ordered) for n, one in enumerate(predicates))


def key_ranges(
    connection: PacketConnection, table: Table, key: Sequence[str], rows_: int, per_range: int
) -> tuple[KeyRange, ...]:
    """Return ranges of the first column of the key's index, whose bounds are values of it; one for texts.

    The order of texts is their collation's, which the lake does not know.
    """
    index = table.index(key)
    first = index.parts[0] if index else None
    if index is None or first is None or first.kind not in INTEGERS | {"binary", "varbinary"} or first.name not in key:
        return (WHOLE,)
    bounds: list[str] = []
    if rows_ > per_range:
        even = _even_bounds(connection, table, first, ceil(rows_ / per_range), per_range)
        steps = _quantiles(connection, table, Index(index.name, (first,)), per_range)
        bounds = [bound for (bound,) in steps] if even is None else even
    numbers = first.kind in INTEGERS
    plain = [bound if numbers else bound[2:-1].lower() for bound in bounds]
    return ranges_between(first.name, sorted(set(plain), key=int if numbers else str), numbers=numbers)


def within(keys: KeyRange) -> str:
    """Return the condition of a range of keys."""

    def literal(bound: str) -> str:
        return str(int(bound)) if keys.numbers else f"X'{bytes.fromhex(bound).hex()}'"

    return keys.condition(lambda name: quote(name, "`"), literal)


def between(parts: Sequence[Declared], bounds: Sequence[Literals]) -> list[str]:
    """Return the conditions of the ranges between bounds, each the first key of its range."""
    lower = [after(parts, bound, ">=") for bound in bounds]
    upper = [after(parts, bound, "<") for bound in bounds]
    pairs = zip(["", *lower], [*upper, ""], strict=True)
    return [" AND ".join(f"({one})" for one in pair if one) for pair in pairs]


def after(parts: Sequence[Declared], values: Literals, operator: str) -> str:
    """Return ``(a, b) operator (x, y)`` in the form that MySQL uses an index for: ``a > x OR (a = x AND b >= y)``."""
    (column, *others), (value, *rest) = parts, values
    if not others:
        return f"{column.quoted} {operator} {value}"
    strict = operator[0]
    deeper = after(others, tuple(rest), operator)
    return f"{column.quoted} {strict} {value} OR ({column.quoted} = {value} AND ({deeper}))"


def _cuttable(index: Index | None) -> tuple[Declared, ...]:
    parts: list[Declared] = []
    for part in index.parts if index else ():
        if part.kind not in CUTTABLE or part.nullable:
            break
        parts.append(part)
    return tuple(parts)


def _evenly(
    connection: PacketConnection, table: Table, column: Declared, count: int, per_range: int
) -> list[str] | None:
    """Return even ranges of an integer column, or None where one would hold far too many rows."""
    bounds = _even_bounds(connection, table, column, count, per_range)
    return None if bounds is None else between([column], [(bound,) for bound in bounds])


def _even_bounds(
    connection: PacketConnection, table: Table, column: Declared, count: int, per_range: int
) -> list[str] | None:
    if column.kind not in INTEGERS:
        return None
    extremes = f"SELECT MIN({column.quoted}) AS low, MAX({column.quoted}) AS high FROM {table.quoted}"  # noqa: S608
    low, high = rows(connection, extremes)[0].values()
    if low is None:
        return []
    width = int(high) - int(low) + 1
    bounds = [str(n) for n in sorted({int(low) + width * n // count for n in range(1, count)} - {int(low)})]
    predicates = between([column], [(bound,) for bound in bounds])
    if any(_estimate(connection, table, one) > _UNEVEN * per_range for one in predicates):
        return None
    return bounds


def _estimate(connection: PacketConnection, table: Table, predicate: str) -> int:
    """Return the rows that the optimizer expects of a range: it looks at the index, not at the rows."""
    plan = rows(connection, f"EXPLAIN SELECT 1 FROM {table.quoted} WHERE {predicate or '1 = 1'}")  # noqa: S608
    return int(plan[0]["rows"] or 0)


def _quantiles(connection: PacketConnection, table: Table, index: Index, per_range: int) -> Iterator[Literals]:
    """Yield the first key of each range but the first, stepping along the index."""
    columns = ", ".join(f"{printed(part)} AS c{n}" for n, part in enumerate(index.parts))
    order = ", ".join(part.quoted for part in index.parts)
    where, skipped = "", per_range
    while True:
        step = f"SELECT {columns} FROM {table.quoted} FORCE INDEX (`{index.name}`) {where}"  # noqa: S608
        found = rows(connection, f"{step} ORDER BY {order} LIMIT 1 OFFSET {skipped}")
        literals = (
            [from_printed(part, row) for part, row in zip(index.parts, found[0].values(), strict=True)] if found else []
        )
        bound = tuple(one for one in literals if one is not None)
        if not literals or len(bound) < len(literals):
            return
        yield bound
        where, skipped = f"WHERE {after(index.parts, bound, '>')}", per_range - 1
