"""The parts of a table, from what the database knows of it: its leaves, their sizes, the order of their rows."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cdc.core.fingerprint import WHOLE, KeyRange, ranges_between
from cdc.core.load import TableSize
from cdc.core.names import TableName, quote, quote_table
from cdc.sources.bulk_postgres.cuts import Part, by_block, by_key, count_of, even, is_dense
from cdc.sources.bulk_postgres.session import Catalog, Session, relation

_COUNTED_BYTES = 64 << 20
_ORDERED = 0.9
"""Rows lie in the order of the key from this correlation on: reading by the index then reads each block once."""
_SAMPLE_BLOCKS = 10
"""So many blocks a range are looked at for the bounds: where rows lie in order, the ranges differ by a third then."""
_TID_RANGE_SCAN = 140000
_INTEGERS = ("smallint", "integer", "bigint")

# All leaves that are tables of their own; the order is the same each time.
_LEAVES = """
SELECT c.oid, n.nspname AS namespace, c.relname AS name, pg_relation_size(c.oid) AS bytes,
       pg_table_size(c.oid) AS total, current_setting('block_size')::int AS block, pg_relation_filenode(c.oid) AS file,
       c.reltuples < 0 OR c.relpages = 0 AS unknown,
       has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS readable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND (c.oid = %(oid)s::oid OR c.oid IN (SELECT relid FROM pg_partition_tree(%(oid)s::oid) WHERE isleaf))
ORDER BY n.nspname, c.relname
"""

# Columns of the key with the types that literals are cast to. Types of extensions have operators of their own, which
# are not found without their schema, and might order otherwise.
_KEY = """
SELECT a.attname AS name, a.attnum AS number, format_type(b.oid, -1) AS type,
       bn.nspname = 'pg_catalog' OR b.typtype = 'e' AS known, abs(coalesce(s.correlation, 0)) AS correlation
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
JOIN pg_namespace bn ON bn.oid = b.typnamespace
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stats s
  ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
"""

_INDEXES = """
SELECT (SELECT array_agg(k::int ORDER BY o) FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS u(k, o))
       AS columns, i.indisprimary AS main
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_am m ON m.oid = x.relam
WHERE i.indrelid = %(oid)s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'
ORDER BY i.indisprimary DESC, x.relname
"""


class Leaf(NamedTuple):
    """A relation that holds rows."""

    oid: int
    name: TableName
    rows: int
    bytes: int
    blocks: int
    filenode: int


class KeyCut(NamedTuple):
    """The columns that a leaf can be cut by, the types of their literals, and whether its rows lie in their order."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    unique: bool
    ordered: bool


def leaves(catalog: Catalog, table: TableName, session: Session) -> list[Leaf]:
    """Return the table, or its leaf partitions, in the order of their names."""
    found = catalog.rows(_LEAVES, oid=relation(catalog, table, session)["oid"])
    return [_leaf(catalog, row, session) for row in found]


def size(catalog: Catalog, table: TableName, session: Session) -> TableSize:
    """Return the sum of the leaves."""
    found = leaves(catalog, table, session)
    return TableSize(sum(leaf.rows for leaf in found), sum(leaf.bytes for leaf in found))


def parts(catalog: Catalog, table: TableName, key: Sequence[str], rows_per_range: int, session: Session) -> list[Part]:
    """Return the parts of a table, leaf by leaf."""
    found = [
        part
        for leaf in leaves(catalog, table, session)
        for part in _parts_of(leaf, catalog, key, count_of(leaf.rows, rows_per_range))
    ]
    # A partitioned table may have no partition yet.
    return found or [Part(table, "", 0)]


def key_ranges(
    catalog: Catalog, table: TableName, key: Sequence[str], rows_per_range: int, session: Session
) -> tuple[KeyRange, ...]:
    """Return ranges of the first key column, whose bounds are values of it; one if it is of no type that is known."""
    bounds: set[str] = set()
    kind = ""
    for leaf in leaves(catalog, table, session):
        cut, count = _key_cut(leaf, catalog, key[:1]), count_of(leaf.rows, rows_per_range)
        if cut is None or cut.types[0] not in (*_INTEGERS, "uuid"):
            return (WHOLE,)
        kind = cut.types[0]
        bounds |= {_plain(bound) for bound in (_bounds(leaf, catalog, cut, count) if count > 1 else ())}
    numbers = kind in _INTEGERS
    return ranges_between(key[0], sorted(bounds, key=int if numbers else str), numbers=numbers)


def within(keys: KeyRange) -> str:
    """Return the condition of a range of keys."""
    kind = "bigint" if keys.numbers else "uuid"
    return keys.condition(quote, lambda bound: f"{literal(bound)}::{kind}")


def _plain(bound: str) -> str:
    """Return the value of a bound: an integer, or a literal with its type."""
    return bound.split("'")[1] if "'" in bound else bound


def _leaf(catalog: Catalog, row: Mapping[str, Any], session: Session) -> Leaf:
    name = TableName(row["namespace"], row["name"])
    if not row["readable"]:
        raise session.refused(name, "permission denied")
    rows = _rows(catalog, name, row["bytes"], unknown=row["unknown"])
    return Leaf(row["oid"], name, rows, row["total"], row["bytes"] // row["block"], row["file"])


def _rows(catalog: Catalog, name: TableName, size_in_bytes: int, *, unknown: bool) -> int:
    if size_in_bytes == 0:
        return 0
    if unknown and size_in_bytes < _COUNTED_BYTES:
        return int(catalog.rows(f"SELECT count(*) AS n FROM ONLY {quote_table(name)}")[0]["n"])  # noqa: S608
    # The planner scales its statistics to the present size, and guesses from the columns' widths where it has none.
    plan = catalog.rows(f"EXPLAIN (FORMAT JSON) SELECT FROM ONLY {quote_table(name)}")[0]["QUERY PLAN"]
    return int(plan[0]["Plan"]["Plan Rows"])


def _parts_of(leaf: Leaf, catalog: Catalog, key: Sequence[str], count: int) -> list[Part]:
    if count == 1:
        return [Part(leaf.name, "", leaf.rows)]
    cut, by_blocks = _key_cut(leaf, catalog, key), catalog.version >= _TID_RANGE_SCAN
    if cut is not None and (cut.ordered or not by_blocks):
        predicates, ordered = by_key(cut.columns, _bounds(leaf, catalog, cut, count)), True
    else:  # without TID range scans each range would read the whole table
        predicates, ordered = by_block(leaf.blocks, count, leaf.filenode) if by_blocks else [""], False
    return [Part(leaf.name, predicate, leaf.rows // len(predicates), ordered) for predicate in predicates]


def _key_cut(leaf: Leaf, catalog: Catalog, key: Sequence[str]) -> KeyCut | None:
    columns = {row["name"]: row for row in catalog.rows(_KEY, oid=leaf.oid)}
    if any(name not in columns for name in key):
        return None
    numbers = [columns[name]["number"] for name in key]
    for index in catalog.rows(_INDEXES, oid=leaf.oid):
        used = _common(numbers, index["columns"])
        chosen = [columns[name] for name in key[:used]]
        if used and all(column["known"] for column in chosen):
            return KeyCut(
                tuple(column["name"] for column in chosen),
                tuple(column["type"] for column in chosen),
                len(index["columns"]) == used == 1,
                chosen[0]["correlation"] > _ORDERED,
            )
    return None


def _common(key: Sequence[int], index: Sequence[int]) -> int:
    """Return how many columns the key and the index begin with alike."""
    pairs = zip(key, index, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(key), len(index)))


def _bounds(leaf: Leaf, catalog: Catalog, cut: KeyCut, count: int) -> list[str]:
    if cut.unique and cut.types[0] in _INTEGERS:
        column = quote(cut.columns[0])
        query = f"SELECT min({column}) AS low, max({column}) AS high FROM ONLY {quote_table(leaf.name)}"  # noqa: S608
        ends = catalog.rows(query)[0]
        if ends["low"] is not None and is_dense(ends["low"], ends["high"], leaf.rows):
            return even(ends["low"], ends["high"], count)
    return list(dict.fromkeys(row["bound"] for row in catalog.rows(sample_query(leaf, cut, count))))


def sample_query(leaf: Leaf, cut: KeyCut, count: int) -> str:
    """Return the query for the bounds of ``count`` parts with about as many rows each, from a sample of the blocks.

    The database sorts by the columns' own collations, and writes the literals itself.
    """
    columns = ", ".join(map(quote, cut.columns))
    percent = min(100.0, 100.0 * _SAMPLE_BLOCKS * count / max(leaf.blocks, 1))
    names = [f"c{i}" for i in range(len(cut.columns))]
    literals = " || ', ' || ".join(
        f"quote_literal({name}) || {literal(f'::{kind}')}" for name, kind in zip(names, cut.types, strict=True)
    )
    values = ", ".join(f"{quote(column)}::text AS {name}" for column, name in zip(cut.columns, names, strict=True))
    return (
        f"SELECT {literals} AS bound FROM ("  # noqa: S608
        f"SELECT {values}, row_number() OVER (ORDER BY {columns}) - 1 AS i, count(*) OVER () AS n "
        f"FROM ONLY {quote_table(leaf.name)} TABLESAMPLE SYSTEM ({percent:.6f}) REPEATABLE (1)"
        f") AS sample WHERE i > 0 AND i * {count} / n > (i - 1) * {count} / n ORDER BY i"
    )


def literal(text: str) -> str:
    """Return a text as a literal of SQL; backslashes are plain (``standard_conforming_strings``)."""
    return "'" + text.replace("'", "''") + "'"
