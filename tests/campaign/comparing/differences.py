"""Every difference between a source's table and its copy in the lake, by name: which row, and which of its columns."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.campaign.comparing.lake import LakeTable
from tests.campaign.comparing.source import SourceColumn, SourceTable
from tests.campaign.comparing.texts import SORTS, Text, of_lake, of_source

Row = Mapping[str, Text]
Key = tuple[Text, ...]


@dataclass(frozen=True)
class Difference:
    """One difference.

    ``kind`` is ``missing``, ``extra``, ``doubled`` (several rows of one key in the lake), ``different`` (which
    ``columns``), or ``column``: one that the lake has as something else, or that the source has not.
    """

    kind: str
    key: Key = ()
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join(filter(None, (self.kind, repr(self.key) if self.key else "", ", ".join(self.columns))))


@dataclass(frozen=True)
class Comparison:
    """What the comparison of one table has found."""

    table: str
    source_rows: int
    lake_rows: int
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Return whether every column of every row is the same."""
        return not self.differences


def compare(table: str, source: SourceTable, lake: LakeTable, key: Sequence[str]) -> Comparison:
    """Compare by key; a column that the lake has not holds null there."""
    forms = {column.name: column.form for column in source.columns}
    there = _by_key([_read(source.columns, row) for row in source.rows], key)
    here = _by_key([_found(forms, lake, row) for row in lake.rows], key)
    found = [*_columns(forms, lake), *(Difference("missing", one) for one in there if one not in here)]
    for one, rows in here.items():
        if one not in there:
            found.append(Difference("extra", one))
            continue
        wrong = tuple(name for name in forms if any(row.get(name) != there[one][0][name] for row in rows))
        found += [Difference("different", one, wrong)] if wrong else []
        found += [Difference("doubled", one)] if len(rows) > 1 else []
    return Comparison(table, len(source.rows), len(lake.rows), tuple(found))


def _columns(forms: Mapping[str, str], lake: LakeTable) -> list[Difference]:
    sorts = dict(zip(lake.columns, lake.sorts, strict=True))
    wrong = [name for name, sort in sorts.items() if name not in forms or sort not in SORTS[forms[name]]]
    return [Difference("column", (), (name,)) for name in wrong]


def _read(columns: Sequence[SourceColumn], row: Sequence[Text]) -> Row:
    return {c.name: of_source(c.form, value) for c, value in zip(columns, row, strict=True)}


def _found(forms: Mapping[str, str], lake: LakeTable, row: Sequence[Text]) -> Row:
    named = zip(lake.columns, row, strict=True)
    return {name: of_lake(forms.get(name, ""), value) for name, value in named}


def _by_key(rows: Sequence[Row], key: Sequence[str]) -> dict[Key, list[Row]]:
    held = defaultdict[Key, list[Row]](list)
    for row in rows:
        held[tuple(row.get(name) for name in key)].append(row)
    return held
