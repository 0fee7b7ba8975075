"""Where a table is cut: predicates over its key or its blocks, as PostgreSQL reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cdc.core.load import Range
from cdc.core.names import TableName, quote

WORTH_CUTTING = 1.5
"""A table of fewer rows than this many ranges' worth is read in one."""
_DENSE = 2
"""Cutting integers evenly gives ranges of at most this many times the rows that were asked for."""


@dataclass(frozen=True)
class Part:
    """A condition, its share of the rows of its relation, and whether they are read in the order of the key."""

    relation: TableName
    predicate: str
    rows: int
    ordered: bool = False


def numbered(parts: Sequence[Part]) -> tuple[Range, ...]:
    """Return the parts as ranges, numbered in their order."""
    return tuple(Range(n, p.relation, p.predicate, p.rows, ordered=p.ordered) for n, p in enumerate(parts))


def count_of(rows: int, rows_per_range: int) -> int:
    """Return in how many parts so many rows are read."""
    return -(-rows // rows_per_range) if rows >= WORTH_CUTTING * rows_per_range else 1


def by_key(columns: Sequence[str], bounds: Sequence[str]) -> list[str]:
    """Return the predicates between ascending bounds; the first and the last are open, so they hold every row.

    ``bounds`` are literals in SQL, one a column, separated by commas.
    """
    key = f"({', '.join(map(quote, columns))})"
    ends = [None, *(f"({bound})" for bound in bounds), None]
    return [_between(key, low, high) for low, high in pairwise(ends)]


def by_block(blocks: int, count: int, filenode: int) -> list[str]:
    """Return the predicates over a relation's blocks; the last is open, so rows that are added are held.

    They name the file that they were made for: when the table is rewritten its rows move, and the cuts mean nothing.
    """
    starts = list(dict.fromkeys(blocks * i // count for i in range(count)))
    ends: list[int | None] = [*starts[1:], None]
    return [_blocks(low, high, filenode) for low, high in zip(starts, ends, strict=True)]


def even(low: int, high: int, count: int) -> list[str]:
    """Return the bounds of ``count`` ranges of integers of about the same span."""
    span = high - low + 1
    return [str(bound) for bound in dict.fromkeys(low + span * i // count for i in range(1, count)) if bound > low]


def is_dense(low: int, high: int, rows: int) -> bool:
    """Return whether so many unique integers leave few gaps between the least and the greatest."""
    return high - low + 1 <= _DENSE * max(rows, 1)


def filenode_of(predicate: str) -> int | None:
    """Return the file that a predicate over blocks was made for."""
    _, found, rest = predicate.partition(_FILENODE)
    return int(rest.removesuffix(" */")) if found else None


_FILENODE = " /* of file "


def _between(key: str, low: str | None, high: str | None) -> str:
    conditions = [f"{key} >= {low}" if low else "", f"{key} < {high}" if high else ""]
    return " AND ".join(filter(None, conditions))


def _blocks(low: int, high: int | None, filenode: int) -> str:
    end = "" if high is None else f" AND ctid < '({high},0)'::tid"
    return f"ctid >= '({low},0)'::tid{end}{_FILENODE}{filenode} */"
