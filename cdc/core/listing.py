"""All that a database holds, as one look finds it, and which columns of a table are fit to be its key."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from cdc.core.names import TableName
from cdc.core.preflight import Finding, SourceTable, check_key


class Kind(StrEnum):
    """What a relation is."""

    TABLE = "table"
    PARTITION = "partition"
    VIEW = "view"
    FOREIGN = "foreign table"


class UniqueIndex(NamedTuple):
    """An index over plain columns of the whole table that holds no key twice; ``columns`` in its order.

    One that is not ``immediate`` is checked only at the end of a transaction.
    """

    name: str
    columns: tuple[str, ...]
    primary: bool
    immediate: bool = True


class ListedTable(NamedTuple):
    """A relation of a database, whether it can be captured or not.

    ``findings`` is what is wrong with it whatever its key. Of a partition ``parent`` is the whole table, through which
    its rows are captured. ``owner`` is empty where the database has none.
    """

    table: SourceTable
    kind: Kind
    indexes: tuple[UniqueIndex, ...]
    findings: tuple[Finding, ...] = ()
    parent: TableName | None = None
    owner: str = ""

    @property
    def name(self) -> TableName:
        """Return its name in the source."""
        return self.table.name


_MENDABLE = ("key_not_in_identity",)
"""What a statement to the log mends."""


def fits(pattern: TableName, name: TableName) -> bool:
    """Return whether a pattern, with ``*`` for any text in a part, is one of this table."""
    return all(_fits(part, text) for part, text in zip(pattern, name, strict=True))


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


class Server(NamedTuple):
    """The server of a database before anything is set up; ``findings`` is what is wrong with it, roles aside.

    ``published`` are the tables of the publication, None if there is none; ``role`` is whether the role is there.
    """

    version: str
    findings: tuple[Finding, ...]
    role: bool = False
    published: frozenset[TableName] | None = None


class Key(NamedTuple):
    """The index whose columns are a table's key, and what has to be mended before they are one."""

    unique: UniqueIndex
    findings: tuple[Finding, ...]


def choose_key(listed: ListedTable) -> Key | Finding:
    """Return the best key of a table, or why it has none.

    The primary key, if that is fit, comes first, then the index of the replica identity, then the shortest. What only
    the log lacks can be mended, so it is chosen where nothing else is fit.
    """
    checked = [(index, tuple(check_key(listed.table, index.columns))) for index in _in_order(listed)]
    for mendable in ((), _MENDABLE):
        for index, findings in checked:
            if all(finding.name in mendable for finding in findings):
                return Key(index, findings)
    if checked:
        return next(finding for finding in checked[0][1] if finding.name != "key_not_in_identity")
    what = f"{listed.name} has no primary key, and no other unique index over plain columns"
    return Finding("key_not_unique", what, "add a primary key", table=listed.name)


def default_key(listed: ListedTable) -> tuple[str, ...] | Finding:
    """Return the columns of the key that nobody has configured, or why there is none.

    Of several indexes none of which is the primary key or identifies rows in the log, only a person can choose.
    """
    key = choose_key(listed)
    if isinstance(key, Finding):
        return key
    findings = {frozenset(index.columns): check_key(listed.table, index.columns) for index in listed.indexes}
    fit = [columns for columns, found in findings.items() if all(f.name in _MENDABLE for f in found)]
    if key.unique.primary or frozenset(key.unique.columns) == listed.table.identity or len(fit) == 1:
        return key.unique.columns
    (finding,) = check_key(listed.table, ())
    return finding._replace(table=listed.name)


def _in_order(listed: ListedTable) -> Iterable[UniqueIndex]:
    def rank(index: UniqueIndex) -> tuple[bool, bool, int, str]:
        in_log = frozenset(index.columns) == listed.table.identity
        return not index.primary, not in_log, len(index.columns), index.name

    return sorted(listed.indexes, key=rank)
