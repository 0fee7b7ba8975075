"""Sessions of a load with PostgreSQL: how they connect, what they ask first, and what their errors mean."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from adbc_driver_manager import AdbcStatusCode
from adbc_driver_manager import Error as AdbcError
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from cdc.config.sources import PostgresSource
from cdc.core.errors import CdcError, PreflightError, TerminalError, TransientError
from cdc.core.names import TableName, quote, quote_table

# Every statement is a read-only transaction of its own, so its snapshot is let go of as soon as it ends. Names are
# found in pg_catalog only. Compiling expressions or more workers would cost the source more than they save.
_SETTINGS = {
    "default_transaction_read_only": "on",
    "default_transaction_isolation": r"read\ committed",
    "TimeZone": "UTC",
    "DateStyle": r"ISO,\ YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "xmloption": "content",
    "extra_float_digits": "1",
    "search_path": "",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
POSITION = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text AS lsn
"""
_REFUSED = r"authentication failed|does not exist|no pg_hba\.conf entry|permission denied|not permitted|SSL"
_TRANSIENT = re.compile(r"08...|40...|53...|55P03|57...|58...")
"""Connection lost, conflict with recovery, out of resources, lock not to be had, cancelled or shut down, I/O."""
_MISSING = ("42P01", "42703", "3F000", "42501")
_TIMEOUT = "57014"


@dataclass(frozen=True)
class Session:
    """How to connect to the source or to a replica of it; may be pickled, and is not printed with its password."""

    source: PostgresSource
    host: str
    statement_timeout: float

    def address(self) -> str:
        """Return the connection string of libpq, password included."""
        settings = {**_SETTINGS, "statement_timeout": f"{round(self.statement_timeout * 1000)}"}
        return make_conninfo(
            host=self.host,
            port=self.source.port,
            dbname=self.source.database,
            user=self.source.user,
            password=self.source.password.reveal(),
            sslmode=self.source.sslmode,
            connect_timeout=10,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=6,
            tcp_user_timeout=90_000,
            client_encoding="UTF8",
            application_name=f"cdc load {self.source.name}",
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )

    @contextmanager
    def open(self, table: TableName | None = None) -> Iterator["Catalog"]:
        """Connect to ask the catalog; ``table`` is what errors are about."""
        try:
            with psycopg.connect(self.address(), autocommit=True) as connection:
                yield Catalog(connection)
        except psycopg.Error as error:
            raise self.translated(error, error.sqlstate, table) from error

    def translated(
        self, error: Exception, state: str | None, table: TableName | None, relation: TableName | None = None
    ) -> CdcError:
        """Return the project's error for one of the database's."""
        text = self._first_line(error)
        where = f"source {self.source.name!r}: PostgreSQL at {self.host}:{self.source.port}"
        if state is None or state in ("00000", "") or state.startswith(("08", "28")):
            return self._connection_error(f"{where}: {text}")
        if state in _MISSING and table is not None:
            return self.refused(relation or table, text)
        if _TRANSIENT.fullmatch(state):
            hint = "read smaller ranges, or allow the statement more time" if state == _TIMEOUT else ""
            return TransientError(f"{where}: {about(table)}{text}", hint=hint)
        # What the server says of values would show them.
        return TerminalError(f"{where}: {about(table)}error {state} while it was read", hint="see the server's log")

    def refused(self, relation: TableName, why: str) -> PreflightError:
        """Return the error for a table that may not be read, or is not as it was."""
        role = quote(self.source.user)
        grant = (
            f"GRANT USAGE ON SCHEMA {quote(relation.namespace)} TO {role}; "
            f"GRANT SELECT ON {quote_table(relation)} TO {role}"
        )
        what = f"table {relation} cannot be read by role {self.source.user!r} of source {self.source.name!r}: {why}"
        return PreflightError(what, hint=f"is it there, with these columns? else, as its owner: {grant}")

    def _connection_error(self, message: str) -> CdcError:
        if re.search(_REFUSED, message):
            return PreflightError(message, hint="check user, password, database and sslmode")
        return TransientError(message, hint="is the database up, and host and port right?")

    def _first_line(self, error: Exception) -> str:
        # ADBC puts the statement, which may hold keys, after the server's message; what follows DETAIL may hold values
        text = str(error).strip().replace(self.source.password.reveal() or "\0", "***")
        lines = [line for line in text.splitlines() if line.strip()]
        said = next((line for line in lines if re.search(r"\b(ERROR|FATAL|PANIC):", line)), lines[0] if lines else "")
        return re.sub(r"^.*?\b(?:ERROR|FATAL|PANIC):\s*", "", said).partition("Query was:")[0].strip() or "no answer"


def state_of(error: AdbcError) -> str | None:
    """Return the SQLSTATE of an error of ADBC, its own name for what is no answer of the server, None for no answer."""
    if error.sqlstate:
        return str(error.sqlstate)
    lost = error.status_code in (AdbcStatusCode.IO, AdbcStatusCode.TIMEOUT) and "ReadRecord" not in str(error)
    return None if lost else error.status_code.name


def about(table: TableName | None) -> str:
    """Return the beginning of a message about a table."""
    return f"table {table}: " if table else ""


class Catalog:
    """A connection that asks what the database knows of itself."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @property
    def version(self) -> int:
        """Return the server's version: 140005 is 14.5."""
        return self._connection.info.server_version

    def rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        """Return the rows of a statement of ours; ``%`` is doubled where there are values."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode(), values or None).fetchall()

    def position(self) -> str:
        """Return the end of the log, or what a replica has replayed of it."""
        return str(self.rows(POSITION)[0]["lsn"])


def relation(catalog: Catalog, table: TableName, session: Session) -> Mapping[str, Any]:
    """Return the table's entry in the catalog; raises PreflightError if it is not there or may not be read."""
    rows = catalog.rows(_RELATION, namespace=table.namespace, table=table.table)
    if not rows:
        raise session.refused(table, "it does not exist")
    if not rows[0]["readable"]:
        raise session.refused(table, "permission denied")
    return rows[0]


_RELATION = """
SELECT c.oid, c.relkind, has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS readable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(namespace)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p')
"""
