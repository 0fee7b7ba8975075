"""Definitions of a source's table, and what has changed between two of them (docs/decisions/0020)."""

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from cdc.core.preflight import SourceColumn, SourcePartition, SourceTable
from cdc.core.widening import widened


class Definition(NamedTuple):
    """What a look at the source's catalog tells of a table, but for its keys; columns by name, partitions by id.

    ``dropped`` are columns that were there once: the target has them still.
    """

    id: str
    file: str
    columns: Mapping[str, SourceColumn]
    partitions: Mapping[str, SourcePartition]
    dropped: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the form that the ledger keeps."""
        return json.dumps(self, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Definition":
        """Return the definition that ``to_json`` wrote; raises ValueError or TypeError for anything else."""
        id_, file, columns, partitions, dropped = json.loads(text)
        return cls(
            id_,
            file,
            {name: SourceColumn(*column) for name, column in columns.items()},
            {number: SourcePartition(*partition) for number, partition in partitions.items()},
            tuple(dropped),
        )

    def after(self, before: "Definition") -> "Definition":
        """Return this definition of what was defined otherwise ``before``."""
        if self.id != before.id:
            return self
        gone = {*before.dropped, *before.columns} - {*self.columns}
        return self._replace(dropped=tuple(sorted(gone)))

    def same_declarations(self, other: "Definition") -> bool:
        """Return whether nothing but files differs, which says nothing on its own."""
        return self.id == other.id and self.columns == other.columns and {*self.partitions} == {*other.partitions}


class DefinitionRow(NamedTuple):
    """A row of the ledger: at ``at`` (UTC) a table was found with this definition, as JSON, after these changes."""

    at: datetime
    source: str
    table_name: str
    target: str
    changes: str
    silent: bool
    definition: str


def definition_of(table: SourceTable, left_out: Collection[str] = ()) -> Definition:
    """Return the definition of a table, without the columns that are not captured."""
    logged = (column for column in table.columns if column.filled or not column.generated)
    columns = {column.name: column for column in logged if column.name not in left_out}
    return Definition(table.id, table.file, columns, table.partitions)


class Change(NamedTuple):
    """What has changed, in words without values; ``silent``: rows may be others now, and no event tells which."""

    what: str
    silent: bool = False


def changes(before: Definition, now: Definition) -> list[Change]:
    """Return what has changed; nothing for another table of the same name, which is no change of this one."""
    if before.id != now.id:
        return []
    columns = list(_columns(before, now))
    # What writes rows anew for a column leaves partitions as uncounted as what truncates them; a truncate of the whole
    # table, of which an event tells, truncates all.
    files = [(partition, now.partitions.get(number)) for number, partition in before.partitions.items()]
    whole = len(files) > 1 and all(new and new.truncated and new.file != old.file for old, new in files)
    truncated = not whole and not any(change.silent for change in columns)
    return [*columns, *_partitions(before, now, truncated=truncated)]


def _columns(before: Definition, now: Definition) -> Iterator[Change]:
    renamed = dict(_renamed(before, now))
    for old, new in renamed.items():
        yield Change(f"column {old!r} was renamed to {new!r}", silent=True)
    gone = [name for name in before.columns if name not in now.columns and name not in renamed]
    yield from (Change(f"column {name!r} was dropped") for name in gone)
    rewritten = _rewritten(before, now)
    for name, column in now.columns.items():
        if name in before.columns:
            yield from _column(before.columns[name], column, rewritten=rewritten)
        elif name in before.dropped:
            yield _again(name)
        elif name not in renamed.values():
            yield _added(column, gone, rewritten=rewritten)


def _renamed(before: Definition, now: Definition) -> Iterator[tuple[str, str]]:
    names = {column.number: name for name, column in now.columns.items() if column.number}
    for name, column in before.columns.items():
        if name not in now.columns and column.number in names:
            yield name, names[column.number]


def _column(before: SourceColumn, now: SourceColumn, *, rewritten: bool) -> Iterator[Change]:
    name, touched = now.name, before.mark != now.mark and rewritten
    if before.number != now.number:
        yield _again(name)
    elif before.type != now.type:
        # Where a database has no marks, it cannot be told whether rows were written anew.
        silent = touched or not (now.mark or widened(before.type, now.type))
        yield Change(f"column {name!r} was changed from {before.type} to {now.type}", silent=silent)
    elif touched:
        yield Change(f"column {name!r} was declared anew, and the rows were written anew", silent=True)
    if any(now.labels.get(number, label) != label for number, label in before.labels.items()):
        yield Change(f"a label of column {name!r} was renamed", silent=True)


def _added(column: SourceColumn, gone: Collection[str], *, rewritten: bool) -> Change:
    """A default that was dropped again is in the rows all the same, and they were written anew for one that varies."""
    what = f"column {column.name!r} ({column.type}) was added"
    if column.filled or rewritten:
        return Change(f"{what}, which older rows hold a default in", silent=True)
    if gone and not column.number:
        return Change(f"{what}, and may have been {', '.join(map(repr, gone))} before", silent=True)
    return Change(what)


def _again(name: str) -> Change:
    return Change(f"column {name!r} was dropped and added again", silent=True)


def _rewritten(before: Definition, now: Definition) -> bool:
    """Return whether rows were written anew, in the table itself or in a partition that it had before."""
    files = (now.partitions.get(number, old).file != old.file for number, old in before.partitions.items())
    return before.file != now.file or any(files)


def _partitions(before: Definition, now: Definition, *, truncated: bool) -> Iterator[Change]:
    for number, partition in before.partitions.items():
        if number not in now.partitions:
            yield Change(f"partition {partition.name} was detached or dropped", silent=True)
        elif truncated and now.partitions[number].truncated and now.partitions[number].file != partition.file:
            yield Change(f"partition {partition.name} was truncated", silent=True)
    for number, partition in now.partitions.items():
        if number not in before.partitions:
            rows = ", and had rows" if partition.full else ""
            yield Change(f"partition {partition.name} was attached{rows}", silent=partition.full)
