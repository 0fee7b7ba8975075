"""A MySQL server that answers the statements of preflight from what is given here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class FakeMySql:
    """A server whose settings, user and one table are fit, until a test changes what is told of them."""

    def __init__(self) -> None:
        self.variables = {
            "log_bin": "ON",
            "binlog_format": "ROW",
            "binlog_row_image": "FULL",
            "binlog_row_value_options": "",
            "gtid_mode": "ON",
            "server_id": "1",
            "binlog_expire_logs_seconds": "604800",
            "sql_mode": "NO_ZERO_IN_DATE,NO_ZERO_DATE",
            "version": "8.0.44",
        }
        self.granted = "GRANT RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `cdc`@`%`"
        self.table = {"type": "BASE TABLE", "engine": "InnoDB"}
        self.cascades: list[str] = []
        self.logs: dict[str, int] = {}
        self.reaches = 1

    @contextmanager
    def connected(self, _source: object) -> Iterator["FakeMySql"]:
        """Yield a connection, which is this; in the place of ``cdc.sources.mysql.connection.connected``."""
        yield self

    def cursor(self) -> "FakeMySql":
        """Return a cursor, which is this."""
        return self

    def __enter__(self) -> "FakeMySql":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str, values: Mapping[str, Any] | None) -> None:
        """Answer one of the statements of preflight."""
        self._rows = self._answer(statement, values or {})

    def fetchall(self) -> list[dict[str, Any]]:
        """Return the rows of the last statement."""
        return self._rows

    def _answer(self, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        if "VARIABLES" in statement:
            wanted = [name for name in values["names"] if name in self.variables]
            return [{"Variable_name": name, "Value": self.variables[name]} for name in wanted]
        if "GRANTS" in statement:
            return [{"Grants for cdc@%": self.granted}]
        if "BINARY LOGS" in statement:
            return [{"Log_name": name, "File_size": size} for name, size in self.logs.items()]
        if "GTID_SUBSET" in statement:
            return [{"reaches": self.reaches}]
        names = [dict(zip(("ns", "tbl"), name, strict=True)) for name in values["names"]]
        if "REFERENTIAL_CONSTRAINTS" in statement:
            return [{**name, "name": key} for name in names for key in self.cascades]
        return [{**name, **self.table} for name in names]
