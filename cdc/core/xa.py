"""XA transactions in MySQL's binary log: changes stand there from the prepare on, whatever becomes of them.

``XA START``, the changes, ``XA PREPARE``, and, maybe much later, ``XA COMMIT`` or ``XA ROLLBACK`` of the same id
(MySQL manual, "XA Transactions", and what ``SHOW BINLOG EVENTS`` tells of them).
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from cdc.core.names import TableName

_XA = re.compile(r"XA (START|PREPARE|COMMIT|ROLLBACK) (X'[0-9a-f]*',X'[0-9a-f]*',\d+)( ONE PHASE)?", re.IGNORECASE)
_TABLE = re.compile(r"table_id: \d+ \((.*)\)", re.DOTALL)


class LogEvent(NamedTuple):
    """An event of the binary log as the server lists it: from ``position`` to ``end``."""

    file: str
    position: int
    kind: str
    end: int
    info: str


class Ended(NamedTuple):
    """A prepared transaction that has ended; ``tables`` are those that it changed, None if not known."""

    rolled_back: bool
    tables: frozenset[TableName] | None


class XaLog:
    """Follows prepared transactions through the events of a log; one that began before the first event is not known."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[tuple[str, int], set[TableName]]] = {}
        self._current = ""

    @property
    def resume(self) -> tuple[str, int] | None:
        """Return where the oldest transaction begins that has not ended, None if there is none."""
        return min((place for place, _ in self._open.values()), default=None)

    def take(self, events: Iterable[LogEvent]) -> list[Ended]:
        """Return the prepared transactions that end in these events and have, or may have, left a row wrong.

        One that is committed is right, if all of it was seen.
        """
        return [ended for event in events if (ended := self._take(event))]

    def _take(self, event: LogEvent) -> Ended | None:
        if event.kind == "Table_map" and self._current and (found := _TABLE.search(event.info)):
            self._open[self._current][1].add(_named(found[1]))
        statement = _XA.search(event.info) if event.kind in ("Query", "XA_prepare") else None
        if not statement:
            return None
        verb, xid = statement[1].upper(), statement[2]
        if verb == "START":
            self._current, self._open[xid] = xid, ((event.file, event.position), set())
            return None
        self._current = ""
        if verb == "PREPARE":
            return None
        known = self._open.pop(xid, None)
        if statement[3]:  # never prepared
            return None
        if known is None:
            return Ended(verb == "ROLLBACK", None)
        return Ended(rolled_back=True, tables=frozenset(known[1])) if verb == "ROLLBACK" else None


def _named(text: str) -> TableName:
    """Return a table as the server lists it: without quotes, so a dot in a name cannot be told from the one between."""
    return TableName(*text.split(".", 1))
