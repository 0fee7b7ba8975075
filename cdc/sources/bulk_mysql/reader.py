"""Reading a range in one statement, between two positions of the primary's log."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa  # type: ignore[import-untyped]

from cdc.core.errors import PreflightError
from cdc.core.load import Range
from cdc.core.names import quote_table
from cdc.sources.bulk_mysql.connection import Server, await_replica, executed, position, visible_position
from cdc.sources.bulk_mysql.protocol import Block, PacketConnection, cells


class Read(Protocol):
    """Something that is read of a row, or of all rows together."""

    @property
    def name(self) -> str:
        """Return what it is called in the batches."""
        ...

    @property
    def expression(self) -> str:
        """Return the SQL that prints it."""
        ...

    def convert(self, cells: pa.Array) -> pa.Array:
        """Return what the server printed as values; raises TerminalError if one does not fit."""
        ...


@dataclass(frozen=True)
class MySqlRangeReader:
    """Reads ranges of a table; ``ordered`` says that the primary key is the target's key."""

    server: Server
    reads: tuple[Read, ...]
    ordered: bool

    def read(self, part: Range) -> "MySqlRangeRows":
        """Open a range: the position is known and the statement has begun when this returns."""
        return MySqlRangeRows(self.server, self.reads, part, self.statement(part))

    def statement(self, part: Range) -> str:
        """Return the statement of a range."""
        columns = ", ".join(read.expression for read in self.reads)
        # In the order in which the rows are stored; ORDER BY could make the server sort.
        index = " FORCE INDEX (`PRIMARY`)" if self.ordered else ""
        return f"SELECT {columns} FROM {quote_table(part.relation, '`')}{index}{part.clause}"  # noqa: S608 - names are quoted


class MySqlRangeRows:
    """The rows of one range, read once."""

    low: str
    high: str = ""

    def __init__(self, server: Server, reads: tuple[Read, ...], part: Range, statement: str) -> None:
        self._server, self._reads, self._part = server, reads, part
        self._open = ExitStack()
        with server.translated(part.relation), ExitStack() as opened:
            self._connection = opened.enter_context(server.connect())
            self.low = _low(server, self._connection)
            self._blocks = self._connection.blocks(statement)
            self._open = opened.pop_all()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield record batches of about 4 MB, or of one row where that is larger."""
        with self._server.translated(self._part.relation):
            for block in self._blocks:
                yield self._batch(block)
            self.high = _high(self._server, self._connection)
        self.close()

    def close(self) -> None:
        """End the statement and the connections."""
        self._open.close()

    def _batch(self, block: Block) -> pa.RecordBatch:
        columns = cells(block, len(self._reads))
        arrays = [read.convert(column) for read, column in zip(self._reads, columns, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, names=[read.name for read in self._reads])


def _low(server: Server, connection: PacketConnection) -> str:
    """Return a position of the primary that the connection's next statement sees everything up to."""
    if not server.host:
        return visible_position(connection)
    with server.connection(primary=True) as primary:
        low, seen = visible_position(primary), executed(primary)
    if not seen:
        what = f"source {server.source.name!r} has no GTIDs, so what a replica holds cannot be told"
        raise PreflightError(what, hint="enable gtid_mode and enforce_gtid_consistency, or do not set load_host")
    await_replica(connection, seen)
    return low


def _high(server: Server, connection: PacketConnection) -> str:
    if not server.host:
        return position(connection)
    with server.connection(primary=True) as primary:
        return position(primary)
