"""The status table and the ledger of commits: derived from the tables' own history, for people and tools to read."""

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa  # type: ignore[import-untyped]
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from cdc.core.names import quote
from cdc.core.status import LedgerRow, StatusRow

STATUS_COLUMNS = (
    "pipeline string, source string, target string, state string, position string, offsets string, "
    "table_snapshot bigint, token bigint, batches bigint, events bigint, inserted bigint, updated bigint, "
    "deleted bigint, quarantined bigint, lag_seconds double, source_at timestamp, committed_at timestamp, "
    "updated_at timestamp, last_error string"
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
        self._status = f"{self._namespace}.status"
        self._ledger = f"{self._namespace}.commits"

    def create(self) -> None:
        """Create both tables; idempotent."""
        self._session.sql(f"CREATE NAMESPACE IF NOT EXISTS {self._namespace}")
        kept = "'write.metadata.delete-after-commit.enabled' = 'true', 'write.metadata.previous-versions-max' = '10'"
        for name, columns in ((self._status, STATUS_COLUMNS), (self._ledger, LEDGER_COLUMNS)):
            self._session.sql(
                f"CREATE TABLE IF NOT EXISTS {name} ({columns}) USING iceberg PARTITIONED BY (pipeline) "
                f"TBLPROPERTIES ({kept}, 'write.distribution-mode' = 'none')"
            )

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
        kinds = [part.split(" ") for part in columns.split(", ")]
        schema = pa.schema([(name, _ARROW[kind]) for name, kind in kinds])
        return self._session.createDataFrame(pa.Table.from_pylist([asdict(row) for row in rows], schema))


_ARROW = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us", "UTC"),
}
