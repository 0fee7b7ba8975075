"""The live workload: applies the shop's transactions to a source at a rate, on a thread of its own."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psycopg
import pymysql

from cdc.local.demo.shop import Shop, Transaction

_FOLDER = Path(__file__).parent


class Connection(Protocol):
    """What the workload needs of a database connection; both drivers have it."""

    def cursor(self) -> Any:  # noqa: ANN401 - the drivers' own cursors
        """Return a cursor."""
        ...

    def commit(self) -> None:
        """Make the transaction permanent."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


def connect_postgres(host: str, port: int, password: str) -> Connection:
    """Return a connection of the shop's owner to the demo's PostgreSQL."""
    return psycopg.connect(
        host=host, port=port, dbname="shop", user="shop_owner", password=password, options="-c TimeZone=UTC"
    )


def connect_mysql(host: str, port: int, password: str) -> Connection:
    """Return a connection of the shop's owner to the demo's MySQL."""
    connection: Connection = pymysql.connect(
        host=host,
        port=port,
        database="shop",
        user="shop_owner",
        password=password,
        charset="utf8mb4",
        init_command="SET time_zone = '+00:00'",
    )
    return connection


def schema(engine: str) -> list[str]:
    """Return the statements that create the demo's tables in ``postgres`` or ``mysql``."""
    text = (_FOLDER / f"{engine}.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";\n") if statement.strip()]


def create_tables(connection: Connection, engine: str) -> None:
    """Create the demo's tables, replacing those of an earlier demo."""
    mark = "`" if engine == "mysql" else '"'
    with connection.cursor() as cursor:
        for statement in schema(engine):
            name = statement.removeprefix("CREATE TABLE ").partition(" (")[0].strip(mark)
            cursor.execute(f"DROP TABLE IF EXISTS {mark}{name}{mark}")
            cursor.execute(statement)
    connection.commit()


def apply(connection: Connection, transaction: Transaction) -> int:
    """Run one transaction and return how many rows it changed."""
    changes = 0
    with connection.cursor() as cursor:
        for sql, values in transaction:
            cursor.execute(sql, values)
            changes += max(cursor.rowcount, 0)
    connection.commit()
    return changes


class Workload:
    """Runs transactions at ``rate`` changes a second from entering the context until leaving it.

    ``changes`` counts the rows changed; ``error`` is what ended the thread early, if anything did.
    """

    def __init__(self, connect: Callable[[], Connection], shop: Shop, rate: float) -> None:
        self.changes = 0
        self.error: Exception | None = None
        self._connect = connect
        self._shop = shop
        self._rate = rate
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workload", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End after the present transaction; idempotent."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=30)

    def _run(self) -> None:
        try:
            connection = self._connect()
            try:
                self._work(connection)
            finally:
                connection.close()
        except (psycopg.Error, pymysql.Error) as error:
            self.error = error

    def _work(self, connection: Connection) -> None:
        began = time.monotonic()
        while not self._ended.is_set():
            self.changes += apply(connection, self._shop.next())
            ahead = began + self.changes / self._rate - time.monotonic()
            if ahead > 0:
                self._ended.wait(min(ahead, 1.0))
