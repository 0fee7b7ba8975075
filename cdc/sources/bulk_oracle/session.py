"""Connections to Oracle for bulk reading: their session, their positions, their errors; never run, see the package."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cdc.config.sources import OracleSource
from cdc.core.errors import CdcError, ConfigError, PreflightError, TerminalError, TransientError
from cdc.core.names import TableName, quote, quote_table
from cdc.sources.bulk_oracle.columns import HINT

POSITION = "SELECT current_scn FROM v$database"
SESSION = (
    "ALTER SESSION SET TIME_ZONE = '+00:00'",
    "ALTER SESSION SET NLS_NUMERIC_CHARACTERS = '.,'",
    # In the order of an index, which is binary; other settings compare and sort by language.
    "ALTER SESSION SET NLS_COMP = BINARY",
    "ALTER SESSION SET NLS_SORT = BINARY",
)

Connection = Any  # of an optional module

_PATIENCE = 60
_REFUSED = ("ORA-01017", "ORA-01031", "ORA-00942", "ORA-28000", "ORA-12514", "ORA-00904", "ORA-41900")
_PASSING = (
    *("ORA-00028", "ORA-00054", "ORA-01012", "ORA-01013", "ORA-01033", "ORA-01034", "ORA-01089", "ORA-01555"),
    *("ORA-02391", "ORA-03113", "ORA-03114", "ORA-03135", "ORA-03136", "ORA-08103", "ORA-12170", "ORA-12528"),
    *("ORA-12537", "ORA-12541", "ORA-12547", "ORA-12570"),
)


@dataclass(frozen=True)
class OracleServer:
    """Where to read: ``host`` is a standby to read rows from, ``timeout`` bounds a round trip, in seconds."""

    source: OracleSource
    host: str | None
    timeout: float

    def connect(self, *, primary: bool = False) -> Connection:
        """Return a connection whose session is set; raises what the driver does."""
        source = self.source
        connection = _driver().connect(
            user=source.user,
            password=source.password.reveal(),
            host=source.host if primary else self.host or source.host,
            port=source.port,
            service_name=source.pdb or source.database,
            tcp_connect_timeout=10,
        )
        connection.call_timeout = int(self.timeout * 1000)  # of each round trip
        with connection.cursor() as cursor:
            for statement in SESSION:
                cursor.execute(statement)
        return connection

    @contextmanager
    def connection(self, table: TableName | None = None, *, primary: bool = False) -> Iterator[Connection]:
        """Yield a connection; errors inside are translated."""
        with self.translated(table), self.connect(primary=primary) as connection:
            yield connection

    @contextmanager
    def translated(self, table: TableName | None = None) -> Iterator[None]:
        """Translate errors of the driver and of the network."""
        driver = _driver()
        try:
            yield
        except driver.Error as error:
            raise self._translation(error, table) from None  # the text may quote values
        except OSError as error:
            raise TransientError(f"{self._where}: {error.strerror or error}", hint="is the database up?") from error

    @property
    def _where(self) -> str:
        return f"source {self.source.name!r}: Oracle at {self.host or self.source.host}:{self.source.port}"

    def _translation(self, error: Exception, table: TableName | None) -> CdcError:
        code = getattr(error.args[0], "full_code", "") if error.args else ""
        text = str(error).replace(self.source.password.reveal() or "\0", "***").splitlines()[0]
        if code in _REFUSED:
            grant = f"GRANT SELECT ON {quote_table(table)} TO {quote(self.source.user)}" if table else "run setup.sql"
            about = f" while reading {table}" if table else ""
            return PreflightError(f"{self._where}: {text}{about}", hint=f"{grant}; check user, password and pdb")
        if code in _PASSING or code.startswith(("DPY-4011", "DPY-4024", "DPY-6")):
            return TransientError(f"{self._where}: {text}", hint="is the database up, and host and port right?")
        return TerminalError(f"{self._where}: error {code} while reading {table or 'declarations'}", hint=HINT)


def low_position(server: OracleServer, connection: Connection) -> str:
    """Return an SCN of the source that the connection's next statement sees everything up to."""
    if not server.host:
        return position(connection)
    with server.connection(primary=True) as primary:
        low = position(primary)
    deadline = time.monotonic() + _PATIENCE
    while int(reached := position(connection)) < int(low):
        if time.monotonic() > deadline:
            what = f"the standby is {int(low) - int(reached)} SCNs behind after {_PATIENCE} s"
            raise TransientError(what, hint="is it applying redo, and how far is it behind?")
        time.sleep(0.2)
    return low


def position(connection: Connection) -> str:
    """Return the current SCN."""
    return str(rows(connection, POSITION)[0]["current_scn"])


def rows(connection: Connection, statement: str, **values: object) -> list[dict[str, Any]]:
    """Return the rows of a small statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        names = [description[0].lower() for description in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _driver() -> Any:  # noqa: ANN401 - an optional module
    try:
        return import_module("oracledb")
    except ImportError as error:
        raise ConfigError("the Oracle driver is not installed", hint="pip install 'cdc[oracle]'") from error
