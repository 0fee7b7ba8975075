"""Connections for bulk reading: their session, their positions, their errors."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.constants import CR, ER
from pymysql.cursors import DictCursor

from cdc.config.sources import MySqlSource
from cdc.core.errors import CdcError, PreflightError, TerminalError, TransientError
from cdc.core.names import TableName, quote_table
from cdc.sources.bulk_mysql.protocol import PacketConnection

_SILENCE = 300
"""Seconds without a byte from the server after which a connection counts as lost."""
_PATIENCE = 60
"""Seconds to wait for locks of definitions, for commits under way, and for a replica."""
_CONNECTOR = "or let the connector read the table (snapshot: connector)"
_REFUSED = frozenset({
    ER.ACCESS_DENIED_ERROR,
    ER.DBACCESS_DENIED_ERROR,
    ER.BAD_DB_ERROR,
    ER.SPECIFIC_ACCESS_DENIED_ERROR,
    ER.HOST_NOT_PRIVILEGED,
})  # fmt: skip
_NOT_READABLE = frozenset({ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR})
_NOT_THERE = frozenset({ER.NO_SUCH_TABLE, ER.BAD_FIELD_ERROR, ER.VIEW_INVALID})
_TIMEOUT, _KILLED, _TOO_MANY_OF_USER, _OFFLINE = 3024, 3169, 1226, 3032
_PASSING = frozenset({
    CR.CR_SERVER_GONE_ERROR,
    CR.CR_SERVER_LOST,
    CR.CR_CONN_HOST_ERROR,
    CR.CR_CONNECTION_ERROR,
    ER.CON_COUNT_ERROR,
    ER.TOO_MANY_USER_CONNECTIONS,
    _TOO_MANY_OF_USER,
    ER.SERVER_SHUTDOWN,
    ER.QUERY_INTERRUPTED,
    _TIMEOUT,
    _KILLED,
    _OFFLINE,
    ER.LOCK_WAIT_TIMEOUT,
    ER.LOCK_DEADLOCK,
    ER.TABLE_DEF_CHANGED,
    ER.NET_READ_ERROR,
    ER.NET_READ_INTERRUPTED,
    ER.NET_ERROR_ON_WRITE,
    ER.NET_WRITE_INTERRUPTED,
    ER.NEW_ABORTING_CONNECTION,
})  # fmt: skip


@dataclass(frozen=True)
class Server:
    """Where to read: ``host`` is a replica to read rows from, ``timeout`` bounds a statement, in seconds."""

    source: MySqlSource
    host: str | None
    timeout: float

    @contextmanager
    def connection(self, table: TableName | None = None, *, primary: bool = False) -> Iterator[PacketConnection]:
        """Yield a connection whose session is set; errors inside are translated, about ``table`` if one is named."""
        with self.translated(table), self.connect(primary=primary) as connection:
            yield connection

    def connect(self, *, primary: bool = False) -> PacketConnection:
        """Return a connection whose session is set; raises what pymysql does."""
        host = self.source.host if primary else self.host or self.source.host
        connection = PacketConnection(**_parameters(self.source), host=host)
        try:
            _settle_session(connection, self.timeout)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def translated(self, table: TableName | None = None) -> Iterator[None]:
        """Translate errors of the driver and of the network."""
        try:
            yield
        except pymysql.MySQLError as error:
            raise self._translation(error, table) from None  # the server's text may quote values
        except OSError as error:
            raise TransientError(f"{self._where}: {error.strerror or error}", hint=_UP) from error

    @property
    def _where(self) -> str:
        return f"source {self.source.name!r}: MySQL at {self.host or self.source.host}:{self.source.port}"

    def _translation(self, error: pymysql.MySQLError, table: TableName | None) -> CdcError:
        code, text = (*error.args, "", "")[:2]
        reason = str(text or code).replace(self.source.password.reveal() or "\0", "***")
        if code in _NOT_READABLE and table is not None:
            grant = f"GRANT SELECT ON {quote_table(table, '`')} TO {self.source.user!r}"
            return PreflightError(f"user {self.source.user!r} may not read table {table}: {reason}", hint=grant)
        if code in _NOT_THERE and table is not None:
            return PreflightError(f"table {table} cannot be read: {reason}", hint="was it dropped or altered?")
        if code in _REFUSED | _NOT_READABLE:
            hint = "check user, password, database and ssl_mode; or run sql/sources/mysql/setup.sql as an administrator"
            return PreflightError(f"{self._where}: {reason}", hint=hint)
        if code in _PASSING or isinstance(error, pymysql.InterfaceError):
            return TransientError(f"{self._where}: {reason}", hint=_UP)
        return TerminalError(f"{self._where}: error {code} while reading {table or 'declarations'}", hint=_CONNECTOR)


_UP = "is the database up, and host and port right?"


def rows(connection: PacketConnection, statement: str, **values: object) -> list[dict[str, Any]]:
    """Return the rows of a small statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def position(connection: PacketConnection) -> str:
    """Return the end of the binary log as ``file:position``."""
    major, minor = map(int, rows(connection, "SELECT VERSION() AS version")[0]["version"].split(".")[:2])
    status = "SHOW BINARY LOG STATUS" if (major, minor) >= (8, 2) else "SHOW MASTER STATUS"
    found = rows(connection, status)
    if not found:
        raise PreflightError("the server writes no binary log", hint="start the server with --log-bin")
    return f"{found[0]['File']}:{found[0]['Position']}"


def visible_position(connection: PacketConnection) -> str:
    """Return a position up to which every transaction can be seen by statements that begin from now on.

    A transaction is in the log before it can be seen: at any moment of a busy server a group of them is being written
    to disk, or waits for a semi-synchronous replica. They own their GTIDs until they can be seen. Without GTIDs that
    cannot be asked for, and the position is that of the log alone.
    """
    found = position(connection)
    deadline = time.monotonic() + _PATIENCE
    under_way = _owned(connection)
    while under_way:
        if time.monotonic() > deadline:
            raise TransientError("commits have been under way for a minute", hint="does a replica not acknowledge?")
        time.sleep(0.002)
        under_way &= _owned(connection)
    return found


def _owned(connection: PacketConnection) -> frozenset[str]:
    owned = rows(connection, "SELECT @@GLOBAL.gtid_owned AS owned")[0]["owned"]
    # uuid:[tag:]number#thread[#thread..], separated by commas where the uuid changes and by colons where it does not
    found, uuid = set(), ""
    for part in re.split(r"[,:\s]+", owned):
        uuid = part if "-" in part else uuid
        found.add(f"{uuid}:{part.split('#')[0]}")
    return frozenset(found) if owned else frozenset()


def await_replica(connection: PacketConnection, executed: str, seconds: int = _PATIENCE) -> None:
    """Wait until a replica has executed a set of GTIDs; raises TransientError that tells how many are missing."""
    values = {"gtids": executed, "seconds": seconds}
    waited = rows(connection, "SELECT WAIT_FOR_EXECUTED_GTID_SET(%(gtids)s, %(seconds)s) AS late", **values)
    if waited[0]["late"]:
        missing = rows(connection, "SELECT GTID_SUBTRACT(%(gtids)s, @@GLOBAL.gtid_executed) AS missing", **values)
        behind = _count(missing[0]["missing"])
        what = f"the replica is {behind} transactions behind the primary after {seconds} s"
        raise TransientError(what, hint="does it replicate from this source, and how far is it behind?")


def executed(connection: PacketConnection) -> str:
    """Return the set of GTIDs that the server has executed."""
    return str(rows(connection, "SELECT @@GLOBAL.gtid_executed AS executed")[0]["executed"]).replace("\n", "")


def _count(gtids: str) -> int:
    spans = re.findall(r":(\d+)(?:-(\d+))?(?=[:,\s]|$)", gtids)
    return sum(int(last or first) - int(first) + 1 for first, last in spans)


def _settle_session(connection: PacketConnection, timeout: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SET SESSION time_zone = '+00:00', SESSION max_execution_time = %s, SESSION lock_wait_timeout = %s,"
            " SESSION net_write_timeout = 3600, SESSION range_optimizer_max_mem_size = 0,"
            " SESSION information_schema_stats_expiry = 0",
            (int(timeout * 1000), _PATIENCE),
        )
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # The log holds CHAR without the spaces at its end, so rows may not have them either.
        cursor.execute("SET SESSION sql_mode = REPLACE(@@SESSION.sql_mode, 'PAD_CHAR_TO_FULL_LENGTH', '')")


def _parameters(source: MySqlSource) -> dict[str, Any]:
    modes: dict[str, dict[str, Any]] = {
        "disabled": {"ssl_disabled": True},
        "required": {"ssl": {"check_hostname": False, "verify_mode": False}},
        "verify_ca": {"ssl_verify_cert": True},
        "verify_identity": {"ssl_verify_cert": True, "ssl_verify_identity": True},
    }
    return {
        "port": source.port,
        "database": source.database or None,
        "user": source.user,
        "password": source.password.reveal(),
        "charset": "utf8mb4",
        "autocommit": True,
        "connect_timeout": 10,
        "read_timeout": _SILENCE,
        "write_timeout": 30,
        "cursorclass": DictCursor,
        **modes[source.ssl_mode],
    }
