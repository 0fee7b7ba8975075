"""An Oracle redo log as LogMiner tells it: rows of ``V$LOGMNR_CONTENTS``, statements in LogMiner's own writing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

(SCN, SQL, CODE, TIMESTAMP, XID, CSF, TABLE, OWNER, OPERATION, ROW_ID, ROLLBACK, STATUS, INFO, SSN, THREAD) = range(
    1, 16
)
START_SCN, COMMIT_SCN, SEQUENCE, STARTED, COMMITTED, RS_ID, USER = 19, 20, 21, 22, 23, 24, 25
"""Where the columns stand in the connector's query."""

CODES = {
    "INSERT": 1,
    "DELETE": 2,
    "UPDATE": 3,
    "DDL": 5,
    "START": 6,
    "COMMIT": 7,
    "SELECT_LOB_LOCATOR": 9,
    "LOB_WRITE": 10,
    "ROLLBACK": 36,
}

Literals = Mapping[str, str | None]
"""Columns with values as LogMiner writes them: ``'1'``, ``TO_DATE('..')``; None is NULL."""

Log = list[dict[int, Any]]


def text(value: str) -> str:
    """Return a text or a number as LogMiner writes it."""
    return "'" + value.replace("'", "''") + "'"


@dataclass
class Transaction:
    """Writes the rows of one transaction; each change of it has the next SCN."""

    xid: str
    scn: int
    thread: int = 1
    owner: str = "SALES"
    table: str = "ORDERS"
    rows: Log = field(default_factory=list)
    every_column: Sequence[str] = ()
    """The columns that supplemental logging adds to updates and deletes; empty is all."""

    def insert(self, values: Literals, row_id: str = "AAAR3sAAEAAAACXAAA") -> "Transaction":
        names = ",".join(f'"{name}"' for name in values)
        told = ",".join("NULL" if value is None else value for value in values.values())
        return self.add("INSERT", f"insert into {self._relation}({names}) values ({told});", row_id=row_id)

    def update(self, before: Literals, changed: Literals, row_id: str = "AAAR3sAAEAAAACXAAA") -> "Transaction":
        setting = ", ".join(f'"{n}" = {"NULL" if v is None else v}' for n, v in changed.items())
        statement = f"update {self._relation} set {setting} where {self._where(before)};"
        return self.add("UPDATE", statement, row_id=row_id)

    def delete(self, before: Literals, row_id: str = "AAAR3sAAEAAAACXAAA") -> "Transaction":
        return self.add("DELETE", f"delete from {self._relation} where {self._where(before)};", row_id=row_id)

    def undone(self, statement: str, operation: str = "DELETE", row_id: str = "AAAR3sAAEAAAACXAAA") -> "Transaction":
        """Add what Oracle logs when it takes a change back: to a savepoint, or after a violated constraint."""
        return self.add(operation, statement, row_id=row_id, rollback=1)

    def ddl(self, statement: str) -> "Transaction":
        return self.add("DDL", statement, row_id="AAAAAAAAAAAAAAAAAA")

    def add(self, operation: str, statement: str, *, row_id: str = "", rollback: int = 0) -> "Transaction":
        """Add a row."""
        if not self.rows:
            self.rows.append(self._row("START", None))
        self.scn += 1
        self.rows.append(
            {
                **self._row(operation, statement),
                TABLE: self.table,
                OWNER: self.owner,
                ROW_ID: row_id,
                ROLLBACK: rollback,
            }
        )
        return self

    def commit(self, scn: int) -> Log:
        """Return the rows up to the commit."""
        return [*self.rows, {**self._row("COMMIT", "commit;"), SCN: str(scn)}]

    def roll_back(self, scn: int) -> Log:
        """Return the rows up to the rollback."""
        return [*self.rows, {**self._row("ROLLBACK", "rollback;"), SCN: str(scn)}]

    @property
    def _relation(self) -> str:
        return f'"{self.owner}"."{self.table}"'

    def _where(self, before: Literals) -> str:
        logged = {n: v for n, v in before.items() if not self.every_column or n in self.every_column}
        return " and ".join(f'"{n}" IS NULL' if v is None else f'"{n}" = {v}' for n, v in logged.items())

    def _row(self, operation: str, statement: str | None) -> dict[int, Any]:
        return {
            SCN: str(self.scn),
            SQL: statement,
            CODE: CODES[operation],
            TIMESTAMP: "2026-01-02T03:04:05Z",
            XID: self.xid,
            CSF: 0,
            OPERATION: operation,
            ROLLBACK: 0,
            STATUS: 0,
            SSN: 0,
            THREAD: self.thread,
            RS_ID: f" 0x{self.scn:06x}.0000{len(self.rows):04x}.0010 ",
            USER: "APP",
        }
