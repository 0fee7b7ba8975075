# ruff: noqa: ARG002 - the names of arguments belong to the protocol
"""An engine over messages made by hand: ranges of a topic are applied to any table of a lake without servers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cdc.core.progress import TopicState
from cdc.lake.held import HeldTable
from cdc.lake.tables import IcebergTable
from cdc.lake.tombstones import Tombstones
from cdc.pipeline.table import TableSpec
from cdc.spark.batch import SparkTableBatch, TableFormat
from cdc.spark.microbatch import MESSAGE_DDL, MicroBatch
from cdc.spark.staging import TableTarget
from cdc.spark.work import Direct
from tests.lake import PLACEHOLDER, LakeTable, Message


@dataclass
class RangeBatch:
    """Messages of one range; implements ``cdc.pipeline.stream.Batch``."""

    table: LakeTable
    messages: Sequence[Message]

    def topics(self) -> Sequence[str]:
        return [self.table.spec.topic] if self.messages else []

    @contextmanager
    def of(self, spec: TableSpec) -> Iterator[SparkTableBatch]:
        lake = self.table
        writer = lake.writer(lake.columns, 1)
        frame = lake.session.createDataFrame([lake._row(m, writer, 1) for m in self.messages], MESSAGE_DDL)  # noqa: SLF001
        micro = MicroBatch(frame, "cdc_messages_range", {spec.topic: "avro"})
        part = micro.slices()[spec.topic]
        table = IcebergTable(lake.session, lake.catalog, spec.target)
        tombstones = f"`{lake.catalog}`.`cdc`.`tombstones_{(spec.beside or spec.target).table}`"
        target = TableTarget(table.sql_name, table.branch_sql, tombstones, lake.quarantine)
        table_format = TableFormat("shop", spec.topic, spec.engine, "avro", spec.key, PLACEHOLDER)
        with lake.pool.borrow(lambda: part.messages + table.row_count(), spec.topic) as session:
            batch = SparkTableBatch(
                session,
                micro.view,
                part,
                table_format,
                target,
                lambda pair: writer if pair.value_id == 1 else "unknown",
                Direct(tombstones=self._tombstones(spec)),
            )
            try:
                yield batch
            finally:
                batch.close()
                micro.close()

    def _tombstones(self, spec: TableSpec) -> Tombstones:
        """Return those of the table that the rows come from, some of which may wait in its properties."""
        lake = self.table
        target, beside = (HeldTable(lake.files, name) for name in (spec.target, spec.beside or spec.target))
        return Tombstones(lake.held_tombstones, target, beside if spec.beside else None, wait=False)

    def close(self) -> None:
        pass


@dataclass
class RangeEngine:
    """Implements ``cdc.pipeline.catch_up.RangeEngine``; ``first`` messages of each partition are gone."""

    table_: LakeTable
    messages: list[Message] = field(default_factory=list)
    partitions: int = 1
    first: int = 0

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        marks = {p: (self.first, end) for p, end in self.ends("").items()}
        return dict.fromkeys(names, TopicState("topic-id", marks))

    @contextmanager
    def table(self, spec: TableSpec) -> Iterator[Any]:
        yield IcebergTable(self.table_.session, self.table_.catalog, spec.target)

    def blocked(self, topics: Sequence[str]) -> Mapping[str, dict[bytes, tuple[int, int]]]:
        return {}

    def ends(self, topic: str) -> Mapping[int, int]:
        return {p: sum(m.partition == p for m in self.messages) for p in range(self.partitions)}

    def read(self, topic: str, start: Mapping[int, int], end: Mapping[int, int]) -> RangeBatch:
        found = [m for m in self.messages if start.get(m.partition, 0) <= m.offset < end.get(m.partition, 0)]
        return RangeBatch(self.table_, found)
