"""The status table and the ledger of commits: derived from the tables' own history, for people and tools to read."""

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyiceberg.catalog import Catalog
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from cdc.core.errors import TerminalError
from cdc.core.names import TableName, quote
from cdc.core.status import LedgerRow, StatusRow
from cdc.lake.checkpoints import LEDGER
from cdc.lake.foreign import lake_errors
from cdc.lake.held import HeldTable
from cdc.lake.own_tables import append, overwrite
from cdc.lake.status_reader import STATUS

STATUS_COLUMNS = (
    "pipeline string, source string, target string, state string, position string, offsets string, "
    "table_snapshot bigint, token bigint, batches bigint, events bigint, inserted bigint, updated bigint, "
    "deleted bigint, quarantined bigint, lag_seconds double, source_at timestamp, committed_at timestamp, "
    "updated_at timestamp, last_error string, way string, seconds double"
)
LEDGER_COLUMNS = (
    "pipeline string, target string, table_snapshot bigint, parent_snapshot bigint, token bigint, "
    "first_position string, last_position string, offsets string, events bigint, inserted bigint, updated bigint, "
    "deleted bigint, source_at timestamp, committed_at timestamp, seconds double"
)


class StatusTables:
    """Writes the status table and the ledger of one pipeline, in a session of its own. Not thread-safe."""

    def __init__(self, session: SparkSession, catalog: str, namespace: str) -> None:
        self._session = session
        self._namespace = ".".join(quote(part, "`") for part in (catalog, namespace))
        self._status = f"{self._namespace}.{STATUS}"
        self._ledger = f"{self._namespace}.{LEDGER}"

    def create(self) -> None:
        """Create both tables, and the columns that older ones lack; idempotent."""
        self._session.sql(f"CREATE NAMESPACE IF NOT EXISTS {self._namespace}")
        kept = "'write.metadata.delete-after-commit.enabled' = 'true', 'write.metadata.previous-versions-max' = '10'"
        for name, columns in ((self._status, STATUS_COLUMNS), (self._ledger, LEDGER_COLUMNS)):
            self._session.sql(
                f"CREATE TABLE IF NOT EXISTS {name} ({columns}) USING iceberg PARTITIONED BY (pipeline) "
                f"TBLPROPERTIES ({kept}, 'write.distribution-mode' = 'none')"
            )
            present = self._session.table(name).columns
            if missing := [f"{column} {kind}" for column, kind in _kinds(columns).items() if column not in present]:
                self._session.sql(f"ALTER TABLE {name} ADD COLUMNS ({', '.join(missing)})")

    def write(self, status: Sequence[StatusRow], ledger: Sequence[LedgerRow]) -> None:
        """Replace the pipeline's status rows and append to the ledger; each is one commit.

        Tables that somebody has dropped meanwhile are made again.
        """
        try:
            self._write(status, ledger)
        except AnalysisException as error:
            if error.getCondition() != "TABLE_OR_VIEW_NOT_FOUND":
                raise
            self.create()
            self._write(status, ledger)

    def _write(self, status: Sequence[StatusRow], ledger: Sequence[LedgerRow]) -> None:
        if ledger:
            self._frame(ledger, LEDGER_COLUMNS).coalesce(1).writeTo(self._ledger).append()
        if status:
            self._frame(status, STATUS_COLUMNS).coalesce(1).writeTo(self._status).overwritePartitions()

    def _frame(self, rows: Sequence[StatusRow | LedgerRow], columns: str) -> DataFrame:
        """Return the rows as a data frame; as an Arrow table they reach the JVM without a Python worker."""
        schema = pa.schema([(name, _ARROW[kind]) for name, kind in _kinds(columns).items()])
        return self._session.createDataFrame(_table(rows, schema))


class DirectStatusTables:
    """The same tables, written without Spark where the catalog can be; ``made`` makes them. Not thread-safe."""

    def __init__(self, made: StatusTables, catalog: Catalog, namespace: str) -> None:
        self._made = made
        self._status = HeldTable(catalog, TableName(namespace, STATUS))
        self._ledger = HeldTable(catalog, TableName(namespace, LEDGER))

    def create(self) -> None:
        """Create both tables, and the columns that older ones lack, unless all is there; idempotent."""
        with lake_errors("look at the status tables"):
            there = _has(self._status, STATUS_COLUMNS) and _has(self._ledger, LEDGER_COLUMNS)
        if not there:
            self._made.create()

    def write(self, status: Sequence[StatusRow], ledger: Sequence[LedgerRow]) -> None:
        """Replace the pipeline's status rows and append to the ledger; each is one commit."""
        try:
            self._write(status, ledger)
        except TerminalError:  # dropped by somebody
            self._made.write(status, ledger)

    def _write(self, status: Sequence[StatusRow], ledger: Sequence[LedgerRow]) -> None:
        if ledger:
            append(self._ledger, lambda schema: _table(ledger, schema))
        if status:
            overwrite(self._status, lambda rows: _replaced(rows, status))


def _has(held: HeldTable, columns: str) -> bool:
    table = held.look()
    return table is not None and _kinds(columns).keys() <= set(table.schema().column_names)


def _kinds(columns: str) -> dict[str, str]:
    """Return the type of each column, in Spark's words."""
    return dict(column.split(" ") for column in columns.split(", "))


def _replaced(rows: pa.Table, status: Sequence[StatusRow]) -> pa.Table:
    """Return all rows of the status table, with those of one pipeline anew."""
    others = rows.filter(pc.not_equal(rows["pipeline"], status[0].pipeline))
    return pa.concat_tables([others, _table(status, rows.schema)])


def _table(rows: Sequence[StatusRow | LedgerRow], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([asdict(row) for row in rows], schema)


_ARROW = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us", "UTC"),
}
