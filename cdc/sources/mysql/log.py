"""MySQL's binary log, as the server lists its events: read only where the server has seen XA transactions."""

from itertools import pairwise

import pymysql
from pymysql.constants import ER

from cdc.config.sources import MySqlSource
from cdc.core.xa import LogEvent
from cdc.sources.mysql.connection import Connection, connected, rows

_EVENTS = "SHOW BINLOG EVENTS IN %(file)s FROM %(position)s LIMIT %(page)s"
PAGE = 20_000
"""Events asked for at once."""


class MySqlLog:
    """The log, read as the connector's own user; raises as ``MySqlDatabase`` does. Safe to use again after an error."""

    def __init__(self, source: MySqlSource) -> None:
        self._source = source

    def prepared(self) -> int:
        """Return a number that is another one whenever a prepared transaction was prepared, or has ended."""
        names = ("Com_xa_prepare", "Com_xa_commit", "Com_xa_rollback")
        with connected(self._source) as connection:
            found = rows(connection, "SHOW GLOBAL STATUS WHERE Variable_name IN %(names)s", names=names)
        return sum(int(row["Value"]) for row in found)

    def end(self) -> tuple[str, int]:
        """Return the file that is written to, and where it ends."""
        with connected(self._source) as connection:
            return _files(connection)[-1]

    def events(self, file: str, position: int) -> tuple[list[LogEvent], tuple[str, int] | None]:
        """Return events from a place on, and the place behind them; None for that if the log has it no more."""
        with connected(self._source) as connection:
            files = _files(connection)
            if file not in dict(files):
                return [], None
            following = dict(pairwise(name for name, _ in files)).get(file)
            try:
                listed = rows(connection, _EVENTS, file=file, position=position, page=PAGE)
            except pymysql.MySQLError as error:
                if error.args[0] != ER.ERROR_WHEN_EXECUTING_COMMAND:
                    raise
                return [], None  # no event begins there: it is another log
        events = [
            LogEvent(file, row["Pos"], row["Event_type"], row["End_log_pos"], row["Info"] or "") for row in listed
        ]
        if len(events) < PAGE and following:
            return events, (following, 4)
        return events, (file, events[-1].end if events else position)


def _files(connection: Connection) -> list[tuple[str, int]]:
    return [(str(row["Log_name"]), int(row["File_size"])) for row in rows(connection, "SHOW BINARY LOGS")]
