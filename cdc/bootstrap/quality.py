"""Looks at whole tables by their rules of quality, with the real parts: Spark, and what is told of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession

from cdc.config.models import Config
from cdc.config.sources import SourceConfig, TableConfig
from cdc.core.errors import CdcError, PreflightError
from cdc.core.names import TableName, quote_table
from cdc.core.quality import Verdict
from cdc.lake.checkpoints import Histories
from cdc.lake.control import Control
from cdc.lake.java import java_errors
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.quality import QualityResults
from cdc.lazy import lazy
from cdc.spark.quality import Look

log = structlog.get_logger()


@dataclass
class Quality:
    """Judges tables of one configuration; what they have in common is made once."""

    config: Config
    session: SparkSession

    @lazy
    def _catalog(self) -> Catalog:
        return open_catalog(self.config.catalog)

    def look(self, source: SourceConfig, table: TableConfig, *, write: bool = True) -> list[Verdict]:
        """Return what the rules of a table say of all its rows; raises CdcError if it cannot be read.

        It is written down, and the table marked, or its mark taken away, if ``write``.
        """
        target, began = source.target_of(table), datetime.now(UTC)
        with java_errors(f"look at {target}"):
            verdicts = Look(target, self._rows).run([rule.rule() for rule in table.quality])
        if write:
            self._record(target, verdicts, began)
        return verdicts

    def _record(self, target: TableName, verdicts: Sequence[Verdict], since: datetime) -> None:
        """Write down what a look that began at a moment has found; they are results also where that fails."""
        why = "; ".join(str(verdict) for verdict in verdicts if not verdict.holds)
        try:
            QualityResults(self._catalog, self.config.metadata_namespace).write(target, verdicts)
            Control(self._catalog, self.config.metadata_namespace).judged(target, why, since.isoformat())
        except CdcError as error:
            log.warning("quality not written down", table=str(target), error=str(error))

    def _rows(self, name: TableName) -> DataFrame:
        """Return the rows of the newest snapshot, the same however often they are read."""
        head = Histories(self._catalog).read(name).head
        if head is None:
            raise PreflightError(f"table {name} holds nothing yet", hint="`cdc status` tells whether it is loaded")
        sql = quote_table((self.config.catalog.name, *name), "`")
        return self.session.read.format("iceberg").option("versionAsOf", head).load(sql)
