"""Connections to a MySQL source as the connector's own user."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import pymysql
from pymysql.constants import ER
from pymysql.cursors import DictCursor

from cdc.config.sources import MySqlSource
from cdc.core.errors import PreflightError, TransientError

Connection: TypeAlias = "pymysql.Connection[DictCursor]"
SETUP = "run sql/sources/mysql/setup.sql as an administrator"
_REFUSED = frozenset({
    ER.ACCESS_DENIED_ERROR,
    ER.DBACCESS_DENIED_ERROR,
    ER.BAD_DB_ERROR,
    ER.TABLEACCESS_DENIED_ERROR,
    ER.SPECIFIC_ACCESS_DENIED_ERROR,
    ER.HOST_NOT_PRIVILEGED,
})  # fmt: skip


@contextmanager
def connected(source: MySqlSource) -> Iterator[Connection]:
    """Yield a connection that only reads; its errors are raised as the project's."""
    try:
        connection = pymysql.connect(**_parameters(source))
        with connection:
            rows(connection, "SET SESSION TRANSACTION READ ONLY")
            yield connection
    except pymysql.MySQLError as error:
        raise _translated(source, error) from error


def _parameters(source: MySqlSource) -> dict[str, Any]:
    modes: dict[str, dict[str, Any]] = {
        "disabled": {"ssl_disabled": True},
        "required": {"ssl": {"check_hostname": False, "verify_mode": False}},
        "verify_ca": {"ssl_verify_cert": True},
        "verify_identity": {"ssl_verify_cert": True, "ssl_verify_identity": True},
    }
    return {
        "host": source.host,
        "port": source.port,
        "database": source.database or None,
        "user": source.user,
        "password": source.password.reveal(),
        "charset": "utf8mb4",
        "connect_timeout": 10,
        "read_timeout": 15,
        "cursorclass": DictCursor,
        **modes[source.ssl_mode],
    }


def rows(connection: Connection, statement: str, **values: object) -> list[dict[str, Any]]:
    """Return the rows of a statement, each by the names of its columns."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def _translated(source: MySqlSource, error: pymysql.MySQLError) -> Exception:
    """Return the project's error, or the error itself where it shows a mistake of ours."""
    code, text = (*error.args, "", "")[:2] if error.args else (0, str(error))
    reason = str(text or code).replace(source.password.reveal() or "\0", "***")
    message = f"source {source.name!r}: MySQL at {source.host}:{source.port}: {reason}"
    if code in _REFUSED:
        return PreflightError(message, hint=f"check user, password, database and ssl_mode; or {SETUP}")
    if not isinstance(error, (pymysql.OperationalError, pymysql.InterfaceError)):
        return error
    return TransientError(message, hint="is the database up, and host and port right?")
