"""A table as MySQL declares it, as far as bulk reading must know."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cdc.core.errors import PreflightError
from cdc.core.names import TableName, quote, quote_table
from cdc.sources.bulk_mysql.connection import rows
from cdc.sources.bulk_mysql.protocol import PacketConnection

_COLUMNS = """
SELECT COLUMN_NAME AS name, LOWER(DATA_TYPE) AS kind, LOWER(COLUMN_TYPE) AS declared, IS_NULLABLE = 'YES' AS nullable,
       CHARACTER_SET_NAME AS charset, COLLATION_NAME AS collation,
       IF(EXTRA LIKE '%%DEFAULT_GENERATED%%', NULL, COLUMN_DEFAULT) AS fallback
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %(namespace)s AND TABLE_NAME = %(table)s ORDER BY ORDINAL_POSITION
"""
_INDEXES = """
SELECT INDEX_NAME AS name, COLUMN_NAME AS part, SUB_PART IS NOT NULL AS cut FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = %(namespace)s AND TABLE_NAME = %(table)s AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX
"""


_PARTITIONED = """
SELECT CREATE_OPTIONS LIKE '%%partitioned%%' AS partitioned FROM information_schema.TABLES
WHERE TABLE_SCHEMA = %(namespace)s AND TABLE_NAME = %(table)s
"""


@dataclass(frozen=True)
class Declared:
    """A column: ``kind`` is its type without arguments, ``fallback`` its default if that is a constant."""

    name: str
    kind: str
    declared: str
    nullable: bool
    charset: str | None
    collation: str | None
    fallback: str | None

    @property
    def quoted(self) -> str:
        """Return the name as SQL."""
        return quote(self.name, "`")

    @property
    def width(self) -> int:
        """Return the first argument of the type, or 1."""
        found = re.search(r"\((\d+)", self.declared)
        return int(found[1]) if found else 1


@dataclass(frozen=True)
class Index:
    """The unique index that a table is cut by; ``parts`` ends before a column that is indexed by a prefix."""

    name: str
    parts: tuple[Declared, ...]


@dataclass(frozen=True)
class Table:
    """A table with its columns and its unique indexes (name -> whole columns)."""

    name: TableName
    columns: dict[str, Declared]
    indexes: dict[str, tuple[str, ...]]
    partitioned: bool

    @property
    def quoted(self) -> str:
        """Return the name as SQL."""
        return quote_table(self.name, "`")

    def some(self, names: Sequence[str]) -> tuple[Declared, ...]:
        """Return columns by name; raises PreflightError for one that is not there."""
        for name in names:
            if name not in self.columns:
                hint = "was it dropped or renamed, or may the user not read it? GRANT SELECT on the whole table"
                raise PreflightError(f"table {self.name} has no column {name!r}", hint=hint)
        return tuple(self.columns[name] for name in names)

    def index(self, key: Sequence[str]) -> Index | None:
        """Return the primary key, by which InnoDB stores the rows, or else the unique index of the key."""
        same = [name for name, parts in self.indexes.items() if set(parts) == set(key)]
        for name in ("PRIMARY", *same):
            if self.indexes.get(name):
                return Index(name, self.some(self.indexes[name]))
        return None

    def clustered_by(self, key: Sequence[str]) -> bool:
        """Return whether the rows are stored in the order of the key's columns."""
        return not self.partitioned and set(self.indexes.get("PRIMARY", ())) == set(key)


def declared_table(connection: PacketConnection, name: TableName) -> Table:
    """Return a table's declarations; raises PreflightError if it is not there or may not be read."""
    columns = rows(connection, _COLUMNS, **name._asdict())
    if not columns:
        grant = f"correct tables[].source, or GRANT SELECT ON {quote_table(name, '`')} to the user"
        raise PreflightError(f"table {name} does not exist, or the user may not read it", hint=grant)
    indexes: dict[str, list[str]] = {}
    cut = set()
    for row in rows(connection, _INDEXES, **name._asdict()):
        parts = indexes.setdefault(row["name"], [])
        if row["cut"] or row["part"] is None:
            cut.add(row["name"])
        elif row["name"] not in cut:
            parts.append(row["part"])
    found = [Declared(**{**row, "nullable": bool(row["nullable"])}) for row in columns]
    partitioned = bool(rows(connection, _PARTITIONED, **name._asdict())[0]["partitioned"])
    whole = {index: tuple(parts) for index, parts in indexes.items()}
    return Table(name, {one.name: one for one in found}, whole, partitioned)
