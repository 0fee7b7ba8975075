"""What a captured table must be like, decided from what its database says about it."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from cdc.core.errors import PreflightError
from cdc.core.identity import Identity
from cdc.core.names import TableName, quote_table


class Finding(NamedTuple):
    """Something that is not as it should be; a fatal one makes going on wrong.

    ``table`` is whom it concerns alone, None the whole source. ``name`` is the same word in log, status and metrics.
    With a ``gap`` changes made meanwhile may have been missed. One that does not ``stop`` its table is told only.
    """

    name: str
    what: str
    hint: str
    fatal: bool = True
    table: TableName | None = None
    gap: bool = False
    stops: bool = True

    @property
    def said(self) -> str:
        """Return what and hint in one line."""
        return "; ".join(filter(None, (self.what, self.hint)))


def of_table(table: TableName, findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings as those of one table."""
    return [finding._replace(table=table) for finding in findings]


def begin_anew(source: str) -> str:
    """Return the commands after which a connector that has lost its place is right again."""
    return f"cdc connectors remove {source} --offsets, cdc connectors apply {source}, then cdc tables reset '*'"


def unfit(findings: Iterable[Finding]) -> dict[TableName, Finding]:
    """Return the tables that must not go on, each with the first reason."""
    reasons: dict[TableName, Finding] = {}
    for finding in findings:
        if finding.fatal and finding.stops and finding.table is not None:
            reasons.setdefault(finding.table, finding)
    return reasons


_ROOTS = frozenset(
    {"table_missing", "not_a_table", "unlogged", "temporary", "index_organised", "table_name", "column_case"}
)
"""Findings that explain the others of their table: what is no table in the log has no key and no publication."""


def causes(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings without those that others of the same table explain."""
    listed = list(findings)
    explained = {finding.table for finding in listed if finding.table is not None and finding.name in _ROOTS}
    kept_out = {finding.table for finding in listed if finding.name in ENDS_CONNECTOR}
    gaps = {finding.table for finding in listed if finding.gap}  # which goes with what is told
    return [
        finding._replace(gap=finding.table in gaps) if finding.table is not None else finding
        for finding in listed
        if finding.name in _ROOTS
        or not (finding.table in explained or (finding.name == "left_out" and finding.table in kept_out))
    ]


class Retained(NamedTuple):
    """How many seconds of changes something keeps, at the rate of late, and what makes it keep more."""

    what: str
    seconds: float
    remedy: str


class LogRoom(NamedTuple):
    """How far a connector is behind its source's log, and how soon its place is lost; None: not known, or never."""

    behind_bytes: int | None = None
    left_seconds: float | None = None


SHORT_SECONDS = 3600.0
"""Less than this is a trouble: a night's work cannot wait for the morning."""


def check_room(source: str, room: LogRoom) -> list[Finding]:
    """Return whether a connector's place in the log is about to be lost, at the rate at which it grows."""
    if room.left_seconds is None or room.left_seconds >= SHORT_SECONDS:
        return []
    what = f"the log drops the place of connector {source!r} in about {room.left_seconds / 60:.0f} minutes"
    hint = f"let it catch up: cdc connectors status {source}; or raise max_slot_wal_keep_size"
    return [Finding("log_short", what, hint)]


class SourceColumn(NamedTuple):
    """A column as the source declares it; ``type`` in the source's own words, lower case.

    An array of PostgreSQL has a pair of brackets for each dimension that is declared: ``integer[][]``.
    Empty where the database cannot tell: a ``number`` that it keeps when it is renamed, a ``mark`` that is another one
    whenever its declaration has changed, and ``labels`` of its enum by their ids. ``filled``: had it been added to
    rows, these would hold something in it.
    """

    name: str
    type: str
    nullable: bool
    generated: bool
    filled: bool = False
    number: str = ""
    mark: str = ""
    labels: Mapping[str, str] = {}


class SourcePartition(NamedTuple):
    """A partition; ``file`` is another one when its rows were written anew, or ``truncated``.

    ``full``: it has rows, and was a table of its own before it was attached.
    """

    name: str
    file: str
    truncated: bool = False
    full: bool = False


class SourceTable(NamedTuple):
    """A table as the source declares it.

    ``unique_keys`` are enforced, whole-table and over plain columns. ``identity`` is what the log holds of an old row:
    None is all of it, the empty set nothing. ``id`` is the text of an ``Identity``: another
    one for another table of the same name, where the table was out of what is captured meanwhile, and for another
    history of the database; empty if the database cannot tell. ``file`` is another one
    when all rows were written anew; partitions by their ids.
    """

    name: TableName
    columns: tuple[SourceColumn, ...]
    unique_keys: frozenset[frozenset[str]]
    identity: frozenset[str] | None
    id: str = ""
    file: str = ""
    partitions: Mapping[str, SourcePartition] = {}


def of_history(table: SourceTable, history: str) -> SourceTable:
    """Return a table, whose ``id`` is that of its relation, as one of a history of its database."""
    return table._replace(id=str(Identity(table.id, history)))


Known = TypeVar("Known")
"""What is known of a table."""


def each_declared(
    names: Iterable[TableName], declare: Callable[[TableName], Known]
) -> dict[TableName, Known | PreflightError]:
    """Return what is known of each table, or the error that says why nothing is."""
    found: dict[TableName, Known | PreflightError] = {}
    for name in names:
        try:
            found[name] = declare(name)
        except PreflightError as error:
            found[name] = error
    return found


_FLOATS = ("real", "double", "float", "binary_float", "binary_double")


def check_key(table: SourceTable, key: Sequence[str]) -> list[Finding]:
    """Return why the columns cannot be the key: none, missing, inexact, nullable, not unique or not in the log."""
    if not key:
        return [_without_key(table)]
    columns = {column.name: column for column in table.columns}
    missing = [name for name in key if name not in columns]
    if missing:
        hint = f"the table has the columns {', '.join(columns)}"
        return [Finding("key_missing", f"key column {missing[0]!r} of {table.name} does not exist", hint)]
    findings = [finding for name in key for finding in _check_key_column(table, columns[name])]
    return findings + _check_unique(table, frozenset(key)) + _check_identity(table, frozenset(key))


def _without_key(table: SourceTable) -> Finding:
    columns = {column.name: column for column in table.columns}
    fit = [unique for unique in table.unique_keys if not any(_check_key_column(table, columns[n]) for n in unique)]
    if not fit:
        what = f"{table.name} has no key: none is configured, it has no primary key, and no other unique index is fit"
        return Finding("no_key", what, "add a primary key")
    what = f"no key of {table.name} is known: none is configured, and which of its unique indexes it is cannot be told"
    return Finding("no_key", what, f"name one in `key` of the table: {_listed(fit)}")


def _listed(keys: Iterable[frozenset[str]]) -> str:
    return " or ".join(sorted(f"({', '.join(sorted(key))})" for key in keys))


def _check_key_column(table: SourceTable, column: SourceColumn) -> list[Finding]:
    findings = []
    if column.nullable:
        what = f"key column {column.name!r} of {table.name} may be NULL, and NULL equals nothing"
        findings.append(Finding("key_nullable", what, "declare it NOT NULL, or choose another key"))
    if column.type.removeprefix("domain ").startswith(_FLOATS):
        what = f"key column {column.name!r} of {table.name} is {column.type}, which is not compared exactly"
        findings.append(Finding("key_float", what, "choose a key of integers, text or decimals"))
    if column.generated:
        what = f"key column {column.name!r} of {table.name} is generated, and the log may not hold it"
        findings.append(Finding("key_generated", what, "choose a key of stored columns"))
    return findings


def _check_unique(table: SourceTable, key: frozenset[str]) -> list[Finding]:
    if key in table.unique_keys:
        return []
    known = _listed(table.unique_keys) or "none"
    what = f"key ({', '.join(sorted(key))}) of {table.name} is not unique by any constraint"
    return [
        Finding(
            "key_not_unique", what, f"unique in the source: {known}; add a unique constraint, or choose one of these"
        )
    ]


def _check_identity(table: SourceTable, key: frozenset[str]) -> list[Finding]:
    if table.identity is None or (table.identity and key <= table.identity):
        return []
    what = (
        f"the log does not hold the old key ({', '.join(sorted(key))}) of {table.name} when a row is changed or deleted"
    )
    return [
        Finding(
            "key_not_in_identity", what, f"as its owner: ALTER TABLE {quote_table(table.name)} REPLICA IDENTITY FULL"
        )
    ]


ENDS_CONNECTOR = frozenset({"table_name", "zerofill", "column_case"})
"""Findings for which the connector is not told of a table: it would end, or hang, and with it every other table."""


def check_names(table: SourceTable) -> list[Finding]:
    """Return what Debezium's connector does not survive in the names of a table and its columns."""
    if any(ord(character) < ord(" ") for part in table.name for character in part):
        what = f"the name of {str(table.name)!r} has a control character, which stops Debezium's connector"
        return [Finding("table_name", what, "rename the table, or take it out of the configuration")]
    if not alike(column.name for column in table.columns):
        return []
    what = f"columns of {table.name} differ in case only, which ends Debezium's connector"
    return [Finding("column_case", what, "rename one of them, or take the table out of the publication", gap=True)]


def check_connector_snapshot(table: SourceTable) -> list[Finding]:
    """Return what the snapshot of MySQL's connector does not survive: its driver pads such numbers wrongly."""
    padded = [column.name for column in table.columns if re.match(r"decimal.*zerofill", column.type)]
    if not padded:
        return []
    what = f"column {padded[0]!r} of {table.name} is a decimal with zerofill, which ends the connector's snapshot"
    return [Finding("zerofill", what, "read its first rows with `snapshot: load`")]


def alike(names: Iterable[str]) -> bool:
    """Return whether two names differ in case only."""
    lower = [name.lower() for name in names]
    return len(set(lower)) < len(lower)


def check_part(table: SourceTable) -> list[Finding]:
    """Return what may go wrong where a part of a table is loaded: events of rows outside may lack values."""
    if table.identity is None:
        return []
    what = f"a row of {table.name} that is not loaded stops the table if it is changed and a large value of it is not"
    return [
        Finding("part", what, f"as its owner: ALTER TABLE {quote_table(table.name)} REPLICA IDENTITY FULL", fatal=False)
    ]


def is_text(column: SourceColumn, named: Collection[str]) -> bool:
    """Return whether an array is carried as its database prints it: one of several dimensions, or one that is named.

    PostgreSQL holds no value to the dimensions that are declared, hence the names.
    """
    return column.type.endswith("[][]") or (column.name in named and column.type.endswith("[]"))


def check_text(table: SourceTable, named: Sequence[str]) -> list[Finding]:
    """Return which of the columns that are named to be carried as text are none, or no arrays."""
    types = {column.name: column.type for column in table.columns}
    hint = "only arrays are carried as text: correct `text` of the table"
    return [
        Finding(
            "text_column", f"column {name!r} of {table.name}, which `text` names, {_what_is(types.get(name))}", hint
        )
        for name in named
        if not types.get(name, "").endswith("[]")
    ]


def _what_is(type_: str | None) -> str:
    return "does not exist" if type_ is None else f"is {type_}"


def generated_columns(table: SourceTable, setting: str = "") -> list[str]:
    """Return the generated columns that ``column.exclude.list`` does not leave out already."""
    excluded = excluded_columns(table, setting)
    return [column.name for column in table.columns if column.generated and column.name not in excluded]


def check_generated(table: SourceTable, setting: str) -> list[Finding]:
    """Return a remark of the generated columns that are left out by themselves: the log does not hold them."""
    names = ", ".join(map(repr, generated_columns(table, setting)))
    if not names:
        return []
    what = f"generated columns of {table.name} are not in the log, and are left out: {names}"
    return [Finding("generated_column", what, "compute them where the target is read", fatal=False)]


def excluded_columns(table: SourceTable, setting: str) -> list[str]:
    """Return the columns that ``column.exclude.list`` leaves out: its patterns fit whole names, whatever their case."""
    patterns = [_from_java(pattern.strip()) for pattern in setting.split(",") if pattern.strip()]
    names = {column.name: ".".join((*table.name, column.name)) for column in table.columns}
    return [name for name, full in names.items() if any(re.fullmatch(p, full, re.IGNORECASE) for p in patterns)]


def _from_java(pattern: str) -> str:
    return re.sub(r"\\x\{([0-9A-Fa-f]+)\}", lambda match: re.escape(chr(int(match[1], 16))), pattern)
