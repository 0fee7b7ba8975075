"""Oracle as a source of bulk reads; never run, see the package."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from cdc.config.sources import OracleSource
from cdc.core.errors import PreflightError
from cdc.core.load import Range, TableSize
from cdc.core.names import TableName, quote_table
from cdc.sources.bulk_oracle.columns import MOMENTS, TEXTS, Column, OracleRead
from cdc.sources.bulk_oracle.predicates import between, equal_to_one_of, extremes_query, literal, quantiles_query
from cdc.sources.bulk_oracle.session import Connection, OracleServer, low_position, position, rows

SIZE = """
SELECT NVL(num_rows, 0) AS found, NVL(num_rows * avg_row_len, 0) AS bytes FROM all_tables
WHERE owner = :namespace AND table_name = :name
"""
COLUMNS = """
SELECT column_name AS name, data_type AS kind, data_scale AS scale, nullable FROM all_tab_cols
WHERE owner = :namespace AND table_name = :name AND hidden_column = 'NO' ORDER BY column_id
"""

_ROWS = 5000
"""Rows of a batch; the driver cannot bound it in bytes."""
_UNEVEN = 4
_CUTTABLE = ("NUMBER", *TEXTS, *MOMENTS, "RAW")


class OracleBulk:
    """A source's tables, read as the connector's own user. ``host`` is a physical standby that is open for reading.

    Positions are SCNs of the source itself. ``statement_timeout`` bounds each round trip, in seconds.
    """

    def __init__(self, source: OracleSource, *, host: str | None = None, statement_timeout: float = 3600) -> None:
        self._server = OracleServer(source, host, statement_timeout)

    def size(self, table: TableName) -> TableSize:
        """Return rows and bytes of the last statistics; raises PreflightError if the table is not there."""
        with self._server.connection(table) as connection:
            found = rows(connection, SIZE, **_names(table))
        if not found:
            raise _missing(table)
        return TableSize(int(found[0]["found"]), int(found[0]["bytes"]))

    def ranges(self, table: TableName, key: Sequence[str], rows_per_range: int) -> tuple[Range, ...]:
        """Return ranges of about so many rows by the key; always the same for the same table."""
        size = self.size(table)
        count = ceil(size.rows / max(rows_per_range, 1))
        with self._server.connection(table) as connection:
            parts = _some(_columns(connection, table), table, key)
            cuttable = all(part.kind.startswith(_CUTTABLE) for part in parts)
            if count <= 1 or not cuttable:
                return (Range(0, table, "", size.rows, ordered=False),)
            bounds = _bounds(connection, table, parts, count, rows_per_range)
        predicates = between(parts, bounds)
        each = ceil(size.rows / len(predicates))
        return tuple(Range(n, table, one, each, ordered=False) for n, one in enumerate(predicates))

    def reader(self, table: TableName, key: Sequence[str], columns: dict[str, str]) -> "OracleRangeReader":  # noqa: ARG002
        """Return the reader; rows come in no order. Raises IncompatibleSchema for a column that cannot be read."""
        with self._server.connection(table) as connection:
            declared = _some(_columns(connection, table), table, list(columns))
        reads = tuple(OracleRead(*one) for one in zip(declared, columns.values(), strict=True))
        reader = OracleRangeReader(self._server, reads)
        reader.statement(Range(0, table, "", 0))  # what cannot be read is refused here, not in every task
        return reader

    def keys(self, table: TableName, key: Sequence[str], values: Sequence[Sequence[Any]]) -> Range:
        """Return the range of some keys; with none it is empty."""
        with self._server.connection(table) as connection:
            parts = _some(_columns(connection, table), table, key)
        return Range(0, table, equal_to_one_of(parts, values), len(values), ordered=False)

    def position(self) -> str:
        """Return the source's current SCN."""
        with self._server.connection(primary=True) as connection:
            return position(connection)


@dataclass(frozen=True)
class OracleRangeReader:
    """Reads ranges of a table, in a task."""

    server: OracleServer
    reads: tuple[OracleRead, ...]

    def read(self, part: Range) -> "OracleRangeRows":
        """Open a range."""
        return OracleRangeRows(self, part)

    def statement(self, part: Range) -> str:
        """Return the statement of a range."""
        columns = ", ".join(f"{read.expression} AS c{n}" for n, read in enumerate(self.reads))
        return f"SELECT {columns} FROM {quote_table(part.relation)}{part.clause}"  # noqa: S608 - names are quoted


class OracleRangeRows:
    """The rows of one range, read once."""

    low: str
    high: str = ""

    def __init__(self, reader: OracleRangeReader, part: Range) -> None:
        self._reader, self._part, server = reader, part, reader.server
        with server.translated(part.relation):
            self._connection = server.connect()
            self.low = low_position(server, self._connection)
            self._frames = self._connection.fetch_df_batches(reader.statement(part), size=_ROWS)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield record batches of some thousand rows."""
        server = self._reader.server
        with server.translated(self._part.relation):
            for frame in self._frames:
                yield from (self._batch(batch) for batch in pa.table(frame).to_batches() if batch.num_rows)
        with server.connection(primary=True) as connection:
            self.high = position(connection)
        self.close()

    def close(self) -> None:
        """End the statement and the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._reader.server.translated():
                connection.close()

    def _batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        reads = self._reader.reads
        arrays = [read.convert(column) for read, column in zip(reads, batch.columns, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, names=[read.column.name for read in reads])


def _bounds(
    connection: Connection,
    table: TableName,
    parts: Sequence[Column],
    count: int,
    per_range: int,
) -> list[list[str]]:
    if len(parts) == 1 and parts[0].kind == "NUMBER" and parts[0].scale == 0:
        low, high = map(int, rows(connection, extremes_query(table, parts[0]))[0].values())
        width = high - low + 1
        if width <= _UNEVEN * count * per_range:
            return [[str(low + width * n // count)] for n in range(1, count)]
    found = rows(connection, quantiles_query(table, parts, per_range))
    return [[literal(*one) for one in zip(parts, row.values(), strict=True)] for row in found]


def _columns(connection: Connection, table: TableName) -> dict[str, Column]:
    found = rows(connection, COLUMNS, **_names(table))
    if not found:
        raise _missing(table)
    return {
        row["name"]: Column(row["name"], re.sub(r"\(\d+\)", "", row["kind"]), row["scale"], row["nullable"] == "Y")
        for row in found
    }


def _some(columns: Mapping[str, Column], table: TableName, names: Sequence[str]) -> tuple[Column, ...]:
    for name in names:
        if name not in columns:
            raise PreflightError(f"table {table} has no column {name!r}", hint="was it dropped or renamed?")
    return tuple(columns[name] for name in names)


def _missing(table: TableName) -> PreflightError:
    what = f"table {table} does not exist, or the user may not read it"
    return PreflightError(what, hint="correct tables[].source (upper case unless created in quotes), or run tables.sql")


def _names(table: TableName) -> dict[str, object]:
    return {"namespace": table.namespace, "name": table.table}
