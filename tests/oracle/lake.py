"""A target table fed with what Debezium's Oracle classes and our converter have made, through the real decoders."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from cdc.bootstrap.writers import Writers
from cdc.config.services import RegistryConfig
from cdc.config.sources import EventFormat
from cdc.core.evolution import CDC_COLUMNS
from cdc.kafka.registry import SchemaRegistry
from cdc.pipeline.apply import Applied, Applier
from cdc.spark.batch import SparkTableBatch, TableFormat
from cdc.spark.microbatch import MESSAGE_DDL, MicroBatch
from cdc.spark.staging import TableTarget
from tests.lake import PLACEHOLDER, LakeTable
from tests.oracle import Record, Registry


class OracleTable(LakeTable):
    """A target table of Oracle's table ``SALES.ORDERS``; messages get ascending offsets."""

    def __init__(self, lake: tuple[Any, Any], registry: Registry, name: str, key: tuple[str, ...] = ("ID",)) -> None:
        super().__init__(*lake, [], name=name, key=key, engine="oracle")
        self.writers = Writers(SchemaRegistry(RegistryConfig(url=registry.url)), EventFormat.AVRO)
        self.offset = 0

    def feed(self, records: Sequence[Record], partition: int = 0) -> Applied:
        """Apply the records of the table as one micro-batch; the others are for other topics."""
        rows = [self._message(record, partition) for record in records if record.topic.count(".") == 2]
        self.memory.progress = None
        with self.opened(rows) as batch:
            return Applier(self.token, self.blocked_keys, self.before_publish).apply(
                self.spec, self.target, batch, self.memory
            )

    def _message(self, record: Record, partition: int) -> tuple[Any, ...]:
        self.offset += 1
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return self.spec.topic, partition, self.offset, at, record.key, record.value, record.headers or None

    @contextmanager
    def opened(self, rows: list[Any]) -> Iterator[SparkTableBatch]:
        frame = self.session.createDataFrame(rows, MESSAGE_DDL)
        micro = MicroBatch(frame, "cdc_messages_oracle", {self.spec.topic: "avro"}, len(rows))
        part = micro.slices()[self.spec.topic]
        beside = f"`{self.catalog}`.`cdc`.`tombstones_{self.spec.target.table}`"
        target = TableTarget(self.table.sql_name, self.table.branch_sql, beside, self.quarantine)
        table_format = TableFormat("shop", self.spec.topic, "oracle", "avro", self.spec.key, PLACEHOLDER)
        resolve = self.writers.resolver(self.spec.topic, micro)
        with self.pool.borrow(lambda: part.messages, self.spec.topic) as session:
            batch = SparkTableBatch(session, micro.view, part, table_format, target, resolve, self.direct())
            try:
                yield batch
            finally:
                batch.close()
                micro.close()

    def by_key(self) -> dict[Any, dict[str, Any]]:
        """Return the published rows by ``ID``, every column but ours; instants have their zone."""
        frame = self.session.sql(f"SELECT * FROM {self.table.sql_name}").drop(*CDC_COLUMNS)
        found = frame.toArrow().to_pylist()
        assert len({row["ID"] for row in found}) == len(found), "a key is in the table twice"
        return {int(row["ID"]): row for row in found}

    def quarantined(self) -> list[str]:
        """Return why messages of the table are in the quarantine."""
        rows = self.session.sql(f"SELECT reason FROM {self.quarantine} WHERE topic = '{self.spec.topic}'").collect()
        return [row.reason for row in rows]
