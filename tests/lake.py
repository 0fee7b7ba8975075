"""A lake for tests without servers: Spark with an Iceberg catalog of plain files, and micro-batches made by hand."""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
from pyspark.sql import SparkSession

from cdc.bootstrap.spark import fetch_spark
from cdc.config.models import Config
from cdc.core.evolution import CDC_COLUMNS
from cdc.core.names import TableName
from cdc.core.positions import LAYOUTS
from cdc.core.types import parse_avro_key, parse_avro_row
from cdc.lake.held import HeldTable
from cdc.lake.index_entries import KeyColumns
from cdc.lake.indexed_table import IndexedTable
from cdc.lake.key_indexes import KeyIndexes
from cdc.lake.pyiceberg_catalog import direct_catalog
from cdc.lake.rewriting import RewrittenTable
from cdc.lake.tables import IcebergTable
from cdc.lake.target import Target
from cdc.lake.tombstones import Tombstones
from cdc.pipeline.apply import Applied, Applier, TableMemory
from cdc.pipeline.table import TableSpec, TargetTable
from cdc.spark.batch import Resolve, SparkTableBatch, TableFormat
from cdc.spark.envelope import Writer, fixed_decimals
from cdc.spark.microbatch import MESSAGE_DDL, MicroBatch
from cdc.spark.session import SessionPool, build_session
from cdc.spark.staging import TableTarget, create_quarantine
from cdc.spark.work import Direct
from tests.file_catalog import FileCatalog

PLACEHOLDER = "__debezium_unavailable_value"
EVERY_PLACE = "ffffffffffffffff-f-ffffffffffffffff"
"""Sorts behind every place in a log."""


def lake_config(folder: Path, catalog: dict[str, str] | None = None) -> Config:
    """Return a configuration whose catalog is a folder, if it is no other."""
    return Config.model_validate(
        {
            "kafka": {"bootstrap_servers": "127.0.0.1:1"},
            "registry": {"url": "http://127.0.0.1:1"},
            "connect": {"url": "http://127.0.0.1:1"},
            "catalog": catalog or {"type": "hadoop", "warehouse": f"{folder}/warehouse"},
            "spark": {"master": "local[2]", "driver_memory": "2g"},
            "sources": [
                {
                    "type": "postgres",
                    "name": "shop",
                    "host": "127.0.0.1",
                    "database": "shop",
                    "password": "${env:NONE}",
                    "tables": [{"source": "public.t", "key": ["id"]}],
                }
            ],
        }
    )


@dataclass(frozen=True)
class Message:
    """A Kafka message to be: ``key`` and ``value`` are records of the table's Avro schemas, headers are JSON texts."""

    partition: int
    offset: int
    key: dict[str, Any] | None
    value: dict[str, Any] | None
    headers: dict[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    raw_key: bytes | None = None


def envelope_schema(columns: Sequence[dict[str, Any]], engine: str = "postgres") -> dict[str, Any]:
    """Return a Debezium envelope's Avro schema for rows with these Avro fields."""
    source = {
        "postgres": [{"name": "sequence", "type": ["null", "string"], "default": None}],
        "mysql": [{"name": "file", "type": "string"}, {"name": "pos", "type": "long"}],
        "oracle": [
            {"name": "scn", "type": ["null", "string"], "default": None},
            {"name": "commit_scn", "type": ["null", "string"], "default": None},
            {"name": "txSeq", "type": ["null", "long"], "default": None},
        ],
    }[engine]
    row = {"type": "record", "name": "Value", "fields": list(columns)}
    common = [
        {"name": "version", "type": "string"},
        {"name": "ts_ms", "type": "long"},
        {"name": "snapshot", "type": [{"type": "string", "connect.name": "io.debezium.data.Enum"}, "null"]},
    ]
    return {
        "type": "record",
        "name": "Envelope",
        "namespace": "shop.public.t",
        "fields": [
            {"name": "before", "type": ["null", row], "default": None},
            {"name": "after", "type": ["null", "Value"], "default": None},
            {
                "name": "source",
                "type": {"type": "record", "name": "Source", "namespace": "io", "fields": common + source},
            },
            {"name": "op", "type": "string"},
            {"name": "ts_ms", "type": ["null", "long"], "default": None},
        ],
    }


class LakeTable:
    """A target table fed with micro-batches made by hand, through the real decoder, fold, merge and publish."""

    event_format = "avro"

    def __init__(
        self,
        session: SparkSession,
        config: Config,
        columns: Sequence[dict[str, Any]],
        *,
        name: str = "t",
        key: tuple[str, ...] = ("id",),
        engine: str = "postgres",
        token: int = 1,
        properties: dict[str, str] | None = None,
        deltas: bool = False,
    ) -> None:
        self.session = session
        if deltas:
            properties = {"write.merge.mode": "merge-on-read", **(properties or {})}
        self.pool = SessionPool(session, config.catalog, 1)
        self.catalog = config.catalog.name
        self.spec = TableSpec(
            "shop", engine, f"shop.public.{name}", TableName("ns", name), key, LAYOUTS[engine], (), properties or {}
        )
        self.columns = list(columns)
        # Batches made by hand may tear key changes on purpose; ``apply_whole`` is for those that may not.
        self.memory = TableMemory("topic-id", given_up=EVERY_PLACE)
        self.pending: list[Message] = []
        self.token = token
        self.blocked_keys = 1000
        self.files = writable_catalog(config)
        self.rewrites = True
        self.index_folder = Path(config.catalog.warehouse).with_name("index")
        self.indexes = KeyIndexes(self.index_folder) if deltas else None
        self.before_publish: Callable[[], None] = lambda: None
        self.quarantine = f"`{self.catalog}`.`cdc`.`quarantine`"
        session.sql(f"CREATE NAMESPACE IF NOT EXISTS {self.catalog}.cdc")
        create_quarantine(session, self.quarantine)
        self.table = IcebergTable(session, self.catalog, self.spec.target)
        self.held = HeldTable(self.files, self.spec.target)
        self.held_tombstones = HeldTable(self.files, TableName("cdc", f"tombstones_{name}"))

    def writer(self, columns: Sequence[dict[str, Any]], number: int) -> Writer:
        """Return the writer of rows with these Avro fields; ``number`` stands for its registry ids."""
        envelope = json.loads(fixed_decimals(json.dumps(envelope_schema(columns, self.spec.engine))))
        row = envelope["fields"][0]["type"][1]["fields"]
        fields = [{"name": c["name"], "type": _required(c["type"])} for c in row if _source_name(c) in self.spec.key]
        key = {"type": "record", "name": "Key", "namespace": "shop.public.t", "fields": fields}
        return Writer(
            number, number, parse_avro_key(key), parse_avro_row(envelope), json.dumps(key), json.dumps(envelope)
        )

    def apply(self, messages: Iterable[Message], columns: Sequence[dict[str, Any]] | None = None) -> Applied:
        """Apply one micro-batch."""
        return self.apply_mixed([(columns or self.columns, list(messages))])

    def apply_whole(self, messages: Iterable[Message]) -> Applied:
        """Apply a micro-batch as a pipeline does: what is held back comes again with the next one."""
        self.memory.given_up = ""
        batch = self.pending + list(messages)
        applied = self.apply(batch)
        next_offsets = {p: state.next_offset for p, state in applied.progress.partitions.items()}
        self.pending = [m for m in batch if applied.held and m.offset >= next_offsets.get(m.partition, 0)]
        return applied

    def apply_mixed(self, groups: Sequence[tuple[Sequence[dict[str, Any]], Sequence[Message]]]) -> Applied:
        """Apply one micro-batch whose messages were written with several schemas, oldest first."""
        writers = {number: self.writer(columns, number) for number, (columns, _) in enumerate(groups, 1)}
        rows = [
            self._row(message, writers[number], number)
            for number, (_, messages) in enumerate(groups, 1)
            for message in messages
        ]
        self.memory.progress = None  # a batch made by hand is the first one of a query, wherever the table is by then
        with self.batch(rows, writers) as batch:
            applier = Applier(self.token, self.blocked_keys, self.before_publish, judges=True)
            return applier.apply(self.spec, self.target, batch, self.memory)

    @contextmanager
    def batch(self, rows: Sequence[Any], writers: dict[int, Writer]) -> Iterator[SparkTableBatch]:
        """Open a micro-batch of messages without applying it."""
        frame = self.session.createDataFrame(rows, MESSAGE_DDL)
        micro = MicroBatch(frame, "cdc_messages_test", {self.spec.topic: self.event_format}, len(rows))
        part = micro.slices()[self.spec.topic]
        with self.pool.borrow(lambda: part.messages + self.table.row_count(), self.spec.topic) as session:
            target = TableTarget(
                self.table.sql_name,
                self.table.branch_sql,
                f"`{self.catalog}`.`cdc`.`tombstones_{self.spec.target.table}`",
                self.quarantine,
            )
            table_format = TableFormat(
                "shop", self.spec.topic, self.spec.engine, self.event_format, self.spec.key, PLACEHOLDER
            )
            resolve = self.resolver(micro, writers)
            direct = self.direct() if self.rewrites or self.indexes else Direct()
            batch = SparkTableBatch(session, micro.view, part, table_format, target, resolve, direct)
            try:
                yield batch
            finally:
                batch.close()
                micro.close()

    @property
    def target(self) -> TargetTable:
        """Return the table as a pipeline has it; without any such way the catalog is Spark's alone."""
        return Target(self.held, self.table) if self.rewrites or self.indexes else self.table

    def direct(self) -> Direct:
        """Return what is written without Spark."""
        columns = KeyColumns(self.spec.key, self.spec.layout.order_width)
        indexed = IndexedTable(self.held, self.indexes, columns) if self.indexes else None
        small = RewrittenTable(self.held) if self.rewrites else None
        return Direct(small, indexed, Tombstones(self.held_tombstones, self.held))

    def resolver(self, _micro: MicroBatch, writers: dict[int, Writer]) -> Resolve:
        """Return what finds the schemas of messages."""
        return lambda pair: writers.get(pair.value_id, "unknown schema")

    def framed(self, schema: str, record: dict[str, Any], number: int) -> bytes:
        """Return a record as it is in a message."""
        return _framed(schema, record, number)

    def rows(self) -> list[Any]:
        """Return the published rows."""
        return self.session.sql(f"SELECT * FROM {self.table.sql_name}").collect()

    def values(self) -> dict[Any, dict[str, Any]]:
        """Return the published rows by ``id``, without the columns that are ours; instants have their zone."""
        frame = self.session.sql(f"SELECT * FROM {self.table.sql_name}").drop(*CDC_COLUMNS)
        return {row["id"]: row for row in frame.toArrow().to_pylist()}

    def _row(self, message: Message, writer: Writer, number: int) -> tuple[Any, ...]:
        key = message.raw_key
        if key is None and message.key is not None:
            key = self.framed(writer.key_schema, message.key, number)
        value = message.raw
        if value is None and message.value is not None:
            value = self.framed(writer.value_schema, message.value, number)
        headers = [(name, json.dumps(content).encode()) for name, content in message.headers.items()] or None
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return self.spec.topic, message.partition, message.offset, now, key, value, headers


class Killed(Exception):
    """Stands for a process that ended."""


@contextmanager
def killed_before_publish(table: LakeTable) -> Iterator[None]:
    """Whatever is applied to the table meanwhile is staged, and raises Killed instead of being published."""

    def killed() -> None:
        raise Killed

    table.before_publish = killed
    try:
        yield
    finally:
        table.before_publish = lambda: None


def writable_catalog(config: Config) -> Any:
    """Return the lake's catalog as pyiceberg writes to it; that of plain files is made so for tests."""
    return direct_catalog(config.catalog) or FileCatalog(config)


def start_session(folder: Path, catalog: dict[str, str] | None = None) -> tuple[SparkSession, Config]:
    """Return a Spark session whose lake is in the folder, or in another catalog."""
    config = lake_config(folder, catalog)
    return build_session(config, fetch_spark()), config


_parsed: dict[str, Any] = {}


def _framed(schema: str, record: dict[str, Any], number: int) -> bytes:
    if schema not in _parsed:
        _parsed[schema] = fastavro.parse_schema(json.loads(schema))
    out = io.BytesIO()
    out.write(b"\0" + number.to_bytes(4, "big"))
    fastavro.schemaless_writer(out, _parsed[schema], record)
    return out.getvalue()


def _required(schema: Any) -> Any:
    """Return a column's type as a key has it: never null, and without the source's type."""
    kind = next(s for s in schema if s != "null") if isinstance(schema, list) else schema
    return {n: v for n, v in kind.items() if n != "connect.parameters"} if isinstance(kind, dict) else kind


def _source_name(column: dict[str, Any]) -> str:
    kind = column["type"][-1] if isinstance(column["type"], list) else column["type"]
    parameters = kind.get("connect.parameters", {}) if isinstance(kind, dict) else {}
    return str(parameters.get("__debezium.source.column.name", column["name"]))
