"""MySQL as a source of bulk reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from cdc.config.sources import MySqlSource
from cdc.core.fingerprint import KeyRange, RowDigests
from cdc.core.load import Range, TableSize
from cdc.core.names import TableName
from cdc.sources.bulk_mysql import digests
from cdc.sources.bulk_mysql.columns import read_of
from cdc.sources.bulk_mysql.connection import Server, position, rows
from cdc.sources.bulk_mysql.declared import declared_table
from cdc.sources.bulk_mysql.literals import from_value
from cdc.sources.bulk_mysql.protocol import PacketConnection
from cdc.sources.bulk_mysql.ranges import cut, key_ranges, within
from cdc.sources.bulk_mysql.reader import MySqlRangeReader

_SIZE = """
SELECT COALESCE(TABLE_ROWS, 0) AS found, COALESCE(DATA_LENGTH, 0) AS bytes
FROM information_schema.TABLES WHERE TABLE_SCHEMA = %(namespace)s AND TABLE_NAME = %(table)s
"""


class MySqlBulk:
    """A source's tables, read as the connector's own user in read-only transactions.

    ``host`` is a replica to read from, else the source's own; positions are always those of the source. A statement
    may take ``statement_timeout`` seconds.
    """

    def __init__(self, source: MySqlSource, *, host: str | None = None, statement_timeout: float = 3600) -> None:
        self._server = Server(source, host, statement_timeout)

    def size(self, table: TableName) -> TableSize:
        """Return InnoDB's own estimate of rows and bytes; raises PreflightError if the table is not there."""
        with self._server.connection(table) as connection:
            declared_table(connection, table)
            return _size(connection, table)

    def ranges(self, table: TableName, key: Sequence[str], rows_per_range: int) -> tuple[Range, ...]:
        """Return ranges of about so many rows, by the primary key; always the same for the same table."""
        with self._server.connection(table) as connection:
            declared = declared_table(connection, table)
            declared.some(key)
            return cut(connection, declared, key, _size(connection, table).rows, rows_per_range)

    def reader(self, table: TableName, key: Sequence[str], columns: dict[str, str]) -> MySqlRangeReader:
        """Return the reader; raises IncompatibleSchema for a column that cannot be read as its target's type."""
        with self._server.connection(table) as connection:
            declared = declared_table(connection, table)
        reads = tuple(read_of(*one) for one in zip(declared.some(list(columns)), columns.values(), strict=True))
        return MySqlRangeReader(self._server, reads, declared.clustered_by(key))

    def digests(self, table: TableName, key: Sequence[str], columns: Mapping[str, str]) -> RowDigests:
        """Return how rows are digested; ``columns`` with their Iceberg types, those of the key among them."""
        with self._server.connection(table) as connection:
            declared = declared_table(connection, table)
        made = {one.name: digests.rendering(one, columns[one.name]) for one in declared.some(list(columns))}

        def reader(reads: tuple[digests.Computed, ...]) -> MySqlRangeReader:
            return MySqlRangeReader(self._server, reads, declared.clustered_by(key))

        return RowDigests.of(
            made,
            lambda texts: reader(digests.fingerprint_reads(texts)),
            lambda texts: reader(digests.digest_reads(key, texts)),
        )

    def key_ranges(self, table: TableName, key: Sequence[str], rows_per_range: int) -> tuple[KeyRange, ...]:
        """Return ranges whose bounds mean the same in the lake; one where there are none."""
        with self._server.connection(table) as connection:
            declared = declared_table(connection, table)
            return key_ranges(connection, declared, key, _size(connection, table).rows, rows_per_range)

    def part(self, table: TableName, keys: KeyRange) -> Range:
        """Return the rows of a range of keys as a range to be read."""
        return Range(0, table, within(keys), 0, ordered=False)

    def keys(self, table: TableName, key: Sequence[str], values: Sequence[Sequence[Any]]) -> Range:
        """Return the range of some keys; with none it is empty.

        A collation may call other texts equal too (``a`` and ``A``): the row that comes has its own key.
        """
        with self._server.connection(table) as connection:
            parts = declared_table(connection, table).some(key)
        literals = [[from_value(part, one) for part, one in zip(parts, row, strict=True)] for row in values]
        if len(parts) == 1:
            listed = ", ".join(row[0] for row in literals)
            predicate = f"{parts[0].quoted} IN ({listed})"
        else:
            names = ", ".join(part.quoted for part in parts)
            predicate = f"({names}) IN ({', '.join('(' + ', '.join(row) + ')' for row in literals)})"
        return Range(0, table, predicate if literals else "1 = 0", len(literals), ordered=False)

    def position(self) -> str:
        """Return the end of the source's binary log."""
        with self._server.connection(primary=True) as connection:
            return position(connection)


def _size(connection: PacketConnection, table: TableName) -> TableSize:
    found = rows(connection, _SIZE, **table._asdict())
    return TableSize(int(found[0]["found"]), int(found[0]["bytes"]))
