"""What a connector has read of DDL, as its schema history topic tells: what rows lack, and no look at a catalog shows.

A record has the statement, its position, and the definitions that it led to (Debezium's ``HistoryRecord``).
"""

import re
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from cdc.core.definitions import Definition, changes, definition_of
from cdc.core.names import TableName
from cdc.core.preflight import SourceColumn, SourceTable, excluded_columns

_ROWS = re.compile(
    r"\b(?:(?:drop|truncate|exchange|import|discard)\s+(?:sub)?partition|(?:import|discard)\s+tablespace)\b",
    re.IGNORECASE,
)
_SAME = {"integer": "int", "dec": "decimal", "fixed": "decimal", "numeric": "decimal", "bool": "tinyint"}
_SAME |= {"boolean": "tinyint", "double precision": "double", "real": "double"}
_PARTS = ("key", "index", "constraint", "check", "primary", "foreign", "partition", "subpartition", "default")
"""What ALTER TABLE can drop besides columns: unquoted, such a name is none of a column."""
REMEMBERED = 1000
"""Records that are known again: a connector that was restarted from an older place writes down what it reads again."""
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_FAMILIES = ("char", "binary", "decimal", "numeric", "number", "bit")
"""Types whose length is a part of what a value may be; that of an integer is for display."""


_OF_TABLE = re.compile(
    r"(?:\s|/\*.*?\*/|--[^\n]*\n|#[^\n]*\n)*(?P<verb>ALTER|CREATE)\s+(?:ONLINE\s+|IGNORE\s+)*TABLE\s+"
    r"(?:IF\s+NOT\s+EXISTS\s+)?"
    r"(?:(?P<namespace>`(?:[^`]|``)*`|\w+)\s*\.\s*)?(?P<table>`(?:[^`]|``)*`|[\w$]+)",
    re.IGNORECASE | re.DOTALL,
)


class Incident(NamedTuple):
    """Something that no event told: the table is another one now (``replaced``), or older rows may be others.

    ``unread``: the connector could not read the statement, so that it takes later rows for something else.
    """

    table: TableName
    what: str
    replaced: bool = False
    unread: bool = False


class SchemaHistory:
    """Follows tables through the records of a history, from its first one on.

    ``left_out`` are patterns of columns, as ``column.exclude.list`` has them.
    """

    def __init__(self, left_out: str = "") -> None:
        self._left_out = left_out
        self._seen: deque[str] = deque(maxlen=REMEMBERED)
        self._known: dict[TableName, Definition] = {}

    def take(self, record: Mapping[str, Any], captured: Collection[TableName]) -> list[Incident]:
        """Return what a record tells of captured tables; nothing for what a snapshot of the connector wrote."""
        position, statement = record.get("position") or {}, str(record.get("ddl") or "")
        snapshot = bool(position.get("snapshot"))
        mark = f"{position.get('file')}:{position.get('pos')}:{statement}"
        if position.get("file") and not snapshot and mark in self._seen:
            return []
        self._seen.append(mark)
        found = self._unread(record, statement)
        for change in record.get("tableChanges") or ():
            found += self._take(change, statement, snapshot=snapshot)
        return [] if snapshot else [incident for incident in found if incident.table in captured]

    def _unread(self, record: Mapping[str, Any], statement: str) -> list[Incident]:
        """Return the table that a statement altered, if the connector did not know what to make of it."""
        found = None if record.get("tableChanges") else _OF_TABLE.match(statement)
        if found is None:
            return []
        table = TableName(_unquoted(found["namespace"] or str(record.get("databaseName"))), _unquoted(found["table"]))
        if found["verb"].upper() == "CREATE":  # it is there all the same, and may be dropped
            self._known.setdefault(table, Definition("", "", {}, {}))
            return []
        folded = str(table).lower()  # as the server may take names
        alike = [name for name in self._known if name == table] or [n for n in self._known if str(n).lower() == folded]
        what = "it was altered by a statement that Debezium cannot read"
        return [Incident(name, what, replaced=True, unread=True) for name in alike]

    def _take(self, change: Mapping[str, Any], statement: str, *, snapshot: bool) -> list[Incident]:
        table, before = _name(change["id"]), self._known.pop(_name(change["id"]), None)
        old = _name(change["previousId"]) if change.get("previousId") else table
        if change["type"] != "DROP":
            self._known[table] = _definition(table, change["table"], self._left_out)
        if snapshot:
            return []
        if old != table:
            moved = self._known.pop(old, None)
            gone = [Incident(old, "it was renamed", replaced=True)] if moved else []
            return [*gone, Incident(table, "another table was renamed to it", replaced=True)]
        if before is None:
            return []
        if change["type"] in ("DROP", "CREATE"):  # a statement that makes a table there was dropped it, too
            return [Incident(table, "it was dropped", replaced=True)]
        now = self._known[table] = self._known[table].after(before)
        return [Incident(table, what) for what in _silent(before, now, statement)]


def _silent(before: Definition, now: Definition, statement: str) -> list[str]:
    found = [change.what for change in changes(before, now) if change.silent]
    both = before.columns.keys() & now.columns.keys()
    found += [f"column {name!r} was dropped and added again" for name in sorted(both) if _drops(statement, name)]
    if _ROWS.search(statement):
        found.append("partitions or files of it were dropped, truncated or exchanged")
    return found


def _drops(statement: str, column: str) -> bool:
    name = re.escape(column)
    plain = "" if column.lower() in _PARTS else rf"|{name}(?!\w)"
    pattern = rf"\bdrop\s+(?:column\s+(?:`{name}`|{name}(?!\w))|`{name}`{plain})"
    return re.search(pattern, statement, re.IGNORECASE) is not None


def _definition(name: TableName, table: Mapping[str, Any], left_out: str) -> Definition:
    declared = SourceTable(name, tuple(_column(column) for column in table["columns"]), frozenset(), None)
    return definition_of(declared, excluded_columns(declared, left_out))


def _plain(type_: str) -> str:
    """Return a type by the one of its names that the server keeps."""
    for old, new in _SAME.items():
        if type_ == old or type_.startswith(f"{old} "):
            return new + type_[len(old) :]
    return type_


def _column(column: Mapping[str, Any]) -> SourceColumn:
    name, _, rest = _plain(str(column.get("typeExpression") or column["typeName"]).lower()).partition(" ")
    numbers = [column[key] for key in ("length", "scale") if column.get(key) is not None]
    arguments = column.get("enumValues") or (numbers if name.endswith(_FAMILIES) or name == "varchar2" else [])
    size = f"({','.join(map(str, arguments))})" if arguments else ""
    has_default = bool(column.get("hasDefaultValue") and column.get("defaultValueExpression"))
    generated = bool(column.get("generated"))
    filled = has_default or generated or not column["optional"]
    return SourceColumn(column["name"], f"{name}{size} {rest}".strip(), column["optional"], generated, filled)


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def _name(id_: str) -> TableName:
    """Return the table that an id names, which has its parts in double quotes; the last two of them count."""
    parts = [part.replace('""', '"') for part in _QUOTED.findall(id_)] or id_.split(".")
    return TableName(*parts[-2:])
