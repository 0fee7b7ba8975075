"""What a first configuration makes of a listed table: how it is captured, or why it is not."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from cdc.core.errors import IncompatibleSchema
from cdc.core.evolution import plan_schema
from cdc.core.listing import Kind, ListedTable, UniqueIndex, choose_key
from cdc.core.names import TableName, topic_part
from cdc.core.preflight import Finding, SourceColumn
from cdc.core.source_types import event_row

Readable = Callable[[SourceColumn, str], object]
"""Raises IncompatibleSchema if a load does not read a column as this Iceberg type."""

_BY_CONNECTOR = "set `snapshot: connector` for the table, or leave the column out with column.exclude.list"
_TEXTS = ("character", "varchar", "char", "text", "citext", "name", "tinytext", "mediumtext", "longtext", "uuid")


class Proposed(NamedTuple):
    """A table that can be captured.

    ``left_out`` are columns that the connector must not send, ``mend`` is what the source must be told first, and
    ``remarks`` are the columns whose type in the lake is not the obvious one.
    """

    listed: ListedTable
    key: UniqueIndex
    left_out: tuple[str, ...] = ()
    mend: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> TableName:
        """Return its name in the source."""
        return self.listed.name


class Unfit(NamedTuple):
    """A table that is not captured as it is, and why."""

    name: TableName
    finding: Finding


def propose(engine: str, tables: Iterable[ListedTable], readable: Readable) -> list[Proposed | Unfit]:
    """Return for each table how it is captured, or why it is not; of two with one topic the first is."""
    found: list[Proposed | Unfit] = []
    topics: dict[str, TableName] = {}
    for listed in tables:
        one = _proposal(engine, listed, readable)
        if isinstance(one, Proposed):
            first = topics.setdefault(".".join(map(topic_part, one.name)), one.name)
            if first != one.name:
                what = f"the topic of {one.name} would be that of {first}"
                one = Unfit(one.name, Finding("topic_taken", what, "rename it, or capture it as a source of its own"))
        found.append(one)
    return found


def _proposal(engine: str, listed: ListedTable, readable: Readable) -> Proposed | Unfit:
    if listed.kind is Kind.PARTITION:
        what = f"{listed.name} is a partition, which is captured through {listed.parent} or not at all"
        return Unfit(listed.name, Finding("is_partition", what, ""))
    if fatal := [finding for finding in listed.findings if finding.fatal]:
        return Unfit(listed.name, fatal[0])
    key = choose_key(listed)
    if isinstance(key, Finding):
        return Unfit(listed.name, key)
    # What the snapshot would fill and PostgreSQL's log would not; they can be computed again.
    left_out = tuple(c.name for c in listed.table.columns if c.generated and engine == "postgres")
    try:
        remarks = _remarks(engine, [c for c in listed.table.columns if c.name not in left_out], readable)
    except IncompatibleSchema as error:
        return Unfit(listed.name, Finding("column_type", f"{listed.name}: {error}", error.hint))
    return Proposed(listed, key.unique, left_out, key.findings, remarks)


def _remarks(engine: str, columns: Sequence[SourceColumn], readable: Readable) -> tuple[str, ...]:
    """Return the columns whose type is another one in the lake; raises IncompatibleSchema for one that has none."""
    types = _types(engine, columns)
    plan_schema({}, types)
    for column in columns:
        readable(column, types[column.name])
    return tuple(
        f"{column.name} {column.type} as {types[column.name]}"
        for column in columns
        if _remarkable(column.type, types[column.name])
    )


def _types(engine: str, columns: Sequence[SourceColumn]) -> dict[str, str]:
    try:
        return event_row(engine, columns).columns()
    except IncompatibleSchema as error:  # its hint is for another format of events
        raise IncompatibleSchema(str(error), hint=_BY_CONNECTOR) from None


def _remarkable(declared: str, iceberg: str) -> bool:
    kind = declared.removeprefix("domain ").partition("(")[0].split(" ")[0]
    if iceberg == "string":
        return kind not in _TEXTS
    return iceberg.startswith(("list", "struct", "map")) or (kind == "time" and iceberg == "long")
