"""Compare a source's table with its target: every column of every row, read independently of the pipeline."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cdc.core.canonical import PART, Column, same

Row = tuple[str | None, ...]


class RowReader(Protocol):
    """One table as canonical text (``cdc.core.canonical``), at one moment, in any order; can be read once."""

    @property
    def columns(self) -> Sequence[Column]:
        """Return the columns in the order of the rows' values."""
        ...

    def rows(self) -> Iterator[Row]:
        """Yield every row; raises the reader's own errors when it cannot read them all."""
        ...


@dataclass(frozen=True)
class TableReport:
    """What the comparison of one table found; ``columns`` counts the differing values per column.

    ``where`` is the condition of the part that was loaded; ``outside`` the rows of the source that the lake has not and
    need not have: they are not of the part, and may not have changed since.
    """

    source: str
    target: str
    source_rows: int = 0
    lake_rows: int = 0
    missing: int = 0
    extra: int = 0
    differing: int = 0
    columns: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    where: str = ""
    outside: int = 0

    @property
    def equal(self) -> bool:
        """Return whether source and target hold the same rows."""
        return not (self.missing or self.extra or self.differing or self.error)


@dataclass(frozen=True)
class VerifyReport:
    """The comparison of several tables."""

    tables: tuple[TableReport, ...]

    @property
    def equal(self) -> bool:
        """Return whether every table is equal."""
        return all(table.equal for table in self.tables)


def compare(source: RowReader, lake: RowReader, key: Sequence[str], names: tuple[str, str]) -> TableReport:
    """Compare two tables by key; a row of the lake whose key was seen before counts as extra.

    ``names`` are those of the source's table and of the target, for the report. A column that the lake has not is
    read as null there; columns that only the lake has are left out (the source may have dropped them). Memory: the
    rows of the lake. Where the source has a column ``PART``, rows that are not of the part may be missing.
    """
    held, lake_rows, extra = _by_key(lake, key)
    place = {column.name: index for index, column in enumerate(lake.columns)}
    pairs = [(column, i, place.get(column.name)) for i, column in enumerate(source.columns) if column.name != PART]
    partly = any(column.name == PART for column in source.columns)
    pick = _picker(source, key)
    found: Counter[str] = Counter()
    source_rows = missing = outside = differing = 0
    for row in source.rows():
        source_rows += 1
        other = held.pop(pick(row), None)
        if other is None:
            left_out = partly and row[-1] != "true"
            outside, missing = outside + left_out, missing + (not left_out)
            continue
        unequal = [c.name for c, i, j in pairs if not same(c.form, row[i], None if j is None else other[j])]
        differing += bool(unequal)
        found.update(unequal)
    extra += len(held)
    return TableReport(*names, source_rows, lake_rows, missing, extra, differing, dict(found), outside=outside)


def _by_key(lake: RowReader, key: Sequence[str]) -> tuple[dict[Row, Row], int, int]:
    pick = _picker(lake, key)
    held: dict[Row, Row] = {}
    total = 0
    for row in lake.rows():
        total += 1
        held.setdefault(pick(row), row)
    return held, total, total - len(held)


def _picker(reader: RowReader, key: Sequence[str]) -> Callable[[Row], Row]:
    names = [column.name for column in reader.columns]
    absent = [name for name in key if name not in names]
    if absent:
        raise ValueError(f"key column {absent[0]!r} is not among the columns")
    places = [names.index(name) for name in key]
    return lambda row: tuple([row[place] for place in places])
