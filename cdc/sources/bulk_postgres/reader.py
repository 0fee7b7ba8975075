"""The rows of a range: one COPY through ADBC, each batch made into the lake's values as it comes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import adbc_driver_postgresql  # type: ignore[import-untyped]
import pyarrow as pa  # type: ignore[import-untyped]
from adbc_driver_manager import AdbcConnection, AdbcStatement
from adbc_driver_manager import Error as AdbcError
from adbc_driver_manager._reader import AdbcRecordBatchReader  # the public one loses the code of an error
from adbc_driver_postgresql import StatementOptions

from cdc.core.errors import TerminalError
from cdc.core.load import Range, RangeRows
from cdc.core.names import TableName, quote, quote_table
from cdc.sources.bulk_postgres.cuts import filenode_of
from cdc.sources.bulk_postgres.planning import literal
from cdc.sources.bulk_postgres.session import POSITION, Session, state_of
from cdc.sources.bulk_postgres.values import Reading

_BATCH_BYTES = 4 << 20
"""A batch ends with the row that goes beyond this, so a large value makes one large batch and no more."""


@dataclass(frozen=True)
class PostgresReader:
    """Reads ranges of one table; holds settings only."""

    session: Session
    table: TableName
    partitioned: bool
    key: tuple[str, ...]
    readings: tuple[Reading, ...]

    def read(self, part: Range) -> RangeRows:
        """Open a range; the errors are those of the contract."""
        return PostgresRange(self, part)

    def query(self, part: Range) -> str:
        """Return the statement that reads a range; rows of child tables are in the log under their own names."""
        own = "" if self.partitioned and part.relation == self.table else "ONLY "
        columns = ", ".join(expression for reading in self.readings for expression in reading.expressions)
        # Not by the bare names: they would mean what is selected, which may be a text of the column.
        key = ", ".join(f"part.{quote(name)}" for name in self.key)
        order = f" ORDER BY {key}" if part.ordered else ""
        return f"SELECT {columns} FROM {own}{quote_table(part.relation)} AS part{part.clause}{order}"  # noqa: S608


class PostgresRange:
    """The batches of one range, from a connection of its own that ends with them."""

    def __init__(self, reader: PostgresReader, part: Range) -> None:
        self._reader = reader
        self._part = part
        self._open = ExitStack()
        self.high = ""
        with self._translating():
            self._connection = self._connect()
            self.low = self._position()
            self._batches = self._run(reader.query(part))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches, then learn the position after them."""
        names = [reading.name for reading in self._reader.readings]
        try:
            while (batch := self._next()) is not None:
                yield pa.RecordBatch.from_arrays(batch, names=names)
            with self._translating():
                self.high = self._position()
        finally:
            self.close()

    def close(self) -> None:
        """End the statement and the connection; idempotent."""
        with suppress(AdbcError, OSError):
            self._open.close()

    def _connect(self) -> AdbcConnection:
        database = adbc_driver_postgresql.connect(self._reader.session.address())
        self._open.callback(database.close)
        connection = AdbcConnection(database)
        self._open.callback(connection.close)
        return connection

    def _run(self, query: str) -> AdbcRecordBatchReader:
        statement = AdbcStatement(self._connection)
        self._open.callback(statement.close)
        statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(_BATCH_BYTES)})
        statement.set_sql_query(query)
        handle, _ = statement.execute_query()
        batches = AdbcRecordBatchReader._import_from_c(handle.address)  # noqa: SLF001
        self._open.callback(batches.close)
        return batches

    def _position(self) -> str:
        """Return the end of the log; raises TerminalError if the blocks of the range are those of another file."""
        table = literal(quote_table(self._part.relation))
        file = f"pg_relation_filenode(to_regclass({table}))::bigint"
        batches = self._run(f"SELECT lsn, {file} AS file FROM ({POSITION}) AS p")  # noqa: S608
        answer = batches.read_next_batch()
        batches.close()
        wanted = filenode_of(self._part.predicate)
        if wanted is not None and answer.column("file")[0].as_py() != wanted:
            what = f"table {self._part.relation} was rewritten or truncated while it was loaded: its rows have moved"
            raise TerminalError(
                what, hint="`cdc tables reset TABLE` begins anew; avoid VACUUM FULL, CLUSTER and TRUNCATE meanwhile"
            )
        return str(answer.column("lsn")[0].as_py())

    def _next(self) -> list[pa.Array] | None:
        try:
            with self._translating():
                batch = self._batches.read_next_batch()
        except StopIteration:
            return None
        columns = iter(batch.columns)
        readings = self._reader.readings
        return [self._converted(reading, [next(columns) for _ in reading.expressions]) for reading in readings]

    def _converted(self, reading: Reading, columns: Sequence[pa.Array]) -> pa.Array:
        try:
            return reading.convert(columns)
        except (ValueError, NotImplementedError):
            # not chained: Arrow's text shows the value
            what = f"column {reading.name!r} of table {self._part.relation} holds a value that has no place in"
            raise TerminalError(f"{what} {reading.target}", hint=reading.hint) from None

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """End the connection at an error, and say it in the project's words; not chained, ADBC's show the statement."""
        try:
            yield
        except StopIteration:
            raise
        except (AdbcError, OSError) as error:
            self.close()
            state = state_of(error) if isinstance(error, AdbcError) else None
            session = self._reader.session
            raise session.translated(error, state, self._reader.table, self._part.relation) from None
        except BaseException:
            self.close()
            raise
